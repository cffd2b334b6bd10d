"""What an argument of the command line may be: each function takes its text, and raises ArgumentTypeError."""

from __future__ import annotations

import argparse
import math

from logcollector_handler.entry.model import LEVELS, level_called


def limit(text: str) -> str | None:
    """A number of entries, or None for `all`."""
    if text == "all":
        return None
    if not (text.isdecimal() and text.isascii() and 0 < int(text) < 10**9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0, and not `all`")
    return text


def lines(text: str) -> int:
    """A number of lines."""
    if not (text.isdecimal() and text.isascii() and len(text) < 5 and int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 1000")
    return int(text)


def level(text: str) -> str:
    """A level by any of its usual names."""
    found = level_called(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(LEVELS)}")
    return found


def positive(text: str) -> float:
    """A number of days, MiB or the like."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1,000,000")
    return number


def port(text: str) -> int:
    """A port; 0 lets the system choose."""
    if not (text.isdecimal() and text.isascii() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)
