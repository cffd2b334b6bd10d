"""How entries of a collector are printed: for people, or as they are stored."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from logcollector_handler.entry.model import ORIGIN

Show = Callable[[Mapping[str, Any]], None]

#: Columns that are printed behind the message, as far as an entry has them.
_COLUMNS: Final = ("trace_id", "user_id", "session_id", "method", "path", "action_type")
#: Characters of a value that are printed at most.
_LONGEST: Final = 100

_COLOURS: Final = {"TRACE": "2", "DEBUG": "2", "INFO": "36", "WARN": "33", "ERROR": "31", "FATAL": "1;35"}
#: Control characters: printed as they are, a log could move the cursor, change the title, or look like another line.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def shown(*, as_json: bool, traces: bool) -> Show:
    """What prints each entry."""
    return _as_json if as_json else _Lines(traces=traces, colours=_wants_colours(os.environ))


def _wants_colours(environment: Mapping[str, str]) -> bool:
    return sys.stdout.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def _as_json(entry: Mapping[str, Any]) -> None:
    """Print an entry as one line of JSON, as it is stored."""
    print(json.dumps(entry, separators=(",", ":")))


def _moment(seconds: float) -> str:
    """A time with its date, its milliseconds, and its zone, which is that of this machine."""
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{int(seconds % 1 * 1000):03d}{zone[:3]}:{zone[3:]}"


def _fields(entry: Mapping[str, Any]) -> str:
    """What was logged beside the message, as `name=value`."""
    found = {name: entry[name] for name in _COLUMNS if name in entry}
    found |= {name: value for name, value in entry.get("metadata", {}).items() if name not in ORIGIN}
    return " ".join(f"{_value(name)}={_value(value)}" for name, value in found.items())


def _value(value: object) -> str:
    """A value as JSON, as text without quotes where that cannot be mistaken, and no longer than a line has room for."""
    is_word = isinstance(value, str) and re.fullmatch(r"[^\s\"=]+", value)
    text = plain(str(value) if is_word else json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class _Lines:
    """Prints each entry for people to read."""

    def __init__(self, *, traces: bool, colours: bool) -> None:
        self._traces = traces
        self._colours = colours

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Print an entry."""
        level = entry["level"]
        names = (entry.get("service"), entry.get("metadata", {}).get("logger"))
        source = " ".join(plain(str(name)) for name in names if name)
        took = f"  ({entry['duration_ms']:g} ms)" if "duration_ms" in entry else ""
        message = plain(entry["message"]).replace("\n", "\n    ")
        fields = _fields(entry)
        print(
            self._paint("2", _moment(entry["created_at"])),
            self._paint(_COLOURS[level], f"{level:<5}"),
            self._paint("2", source),
            message + took,
            *([self._paint("2", fields)] if fields else ()),
        )
        lines = plain(entry.get("stack_trace", "")).strip("\n").splitlines()
        if self._traces:
            for line in lines:
                print("    " + self._paint("31" if not line.startswith((" ", "Traceback")) else "2", line))
        elif lines:
            folded = f" (+{len(lines) - 1} lines)" if len(lines) > 1 else ""
            print("    " + self._paint("31", lines[-1]) + self._paint("2", folded))

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and text else text


def plain(text: str) -> str:
    """A text without what would change the terminal."""
    return _CONTROLS.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}",
        text.replace("\r\n", "\n"),
    )
