"""The value that a query compares a field with: what of it is allowed, and what it stands for.

Pure: no I/O. Raises ValueError with what is wrong, in words for people.
"""

from __future__ import annotations

import math
import re
from typing import Final

from logcollector_handler.entry.model import (
    COLUMNS,
    ENVIRONMENT_ALIASES,
    TEXT_LIMITS,
    Choice,
    Duration,
    Time,
    level_called,
)

from .times import WRITTEN, seconds
from .tree import METADATA, Compare, Has, How, Node, is_column

_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
#: As people paste it; in the column it has no dashes.
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
STAR_INSIDE: Final = "a star may stand before and behind a text, not inside it; in quotes it is a sign as others"
#: By whether a star stands before the text, and behind it.
_STARS: Final[dict[tuple[bool, bool], How]] = {(False, True): "begins", (True, True): "contains", (True, False): "ends"}


def number(text: str) -> float | None:
    """The finite number that a text is, an int if it has digits alone: ids may be too long for a float. Else None."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else value


def without_dashes(text: str) -> str | None:
    """A UUID as the column of trace ids has it; None if the text is none."""
    return text.replace("-", "").lower() if _UUID.fullmatch(text) else None


def ordered(field: str, how: How, value: str, now: float) -> Compare:
    """The field before, behind or at a value in its order: that of numbers, of times (`now` is now), or of levels."""
    kind = COLUMNS.get(field)
    if field == "level" and isinstance(kind, Choice):
        return Compare(field, how, _chosen(field, kind, value))
    if isinstance(kind, Time):
        time = seconds(value, now)
        if time is None:
            raise ValueError(WRITTEN)
        return Compare(field, how, time)
    if is_column(field) and not isinstance(kind, Duration):
        raise ValueError(f"{field} has no order; numbers, times and levels have one")
    amount = number(value)
    if amount is None:
        raise ValueError(f"{value!r} is not a number")
    # SQLite has no longer whole numbers.
    return Compare(field, how, amount if abs(amount) < 2**63 else float(amount))


def equal(field: str, value: str, now: float) -> Compare:
    """The field that has exactly this value."""
    kind = COLUMNS.get(field)
    if isinstance(kind, Duration | Time):
        return ordered(field, "=", value, now)
    if isinstance(kind, Choice):
        return Compare(field, "=", _chosen(field, kind, value))
    if field == "trace_id":
        value = without_dashes(value) or value
    # What is too long for its column is kept in `metadata` under the same name.
    return Compare(METADATA + field if len(value) > TEXT_LIMITS.get(field, math.inf) else field, "=", value)


def starred(field: str, value: str) -> Node:
    """The field that matches a value with a star at one or both of its ends; with a star alone any value does."""
    plain = value.strip("*")
    if not plain:
        return Has(field)
    if isinstance(COLUMNS.get(field), Duration | Time | Choice):
        raise ValueError(f"{field} takes no star")
    if "*" in plain:
        raise ValueError(STAR_INSIDE)
    return Compare(field, _STARS[value.startswith("*"), value.endswith("*")], plain)


def _chosen(field: str, kind: Choice, value: str) -> str:
    plain = value.strip().lower()
    called = (level_called(plain) if field == "level" else ENVIRONMENT_ALIASES.get(plain)) or plain
    for allowed in kind.values:
        if allowed.lower() == called.lower():
            return allowed
    raise ValueError(f"{value!r} is no {field}; there are {', '.join(kind.values)}")
