"""Functions that SQL calls for each row: is a word in a text, is a value in the JSON of `metadata`.

SQLite alone knows the case of ASCII letters only, and neither a key with a dot in its name nor the values of lists.
Each returns 0 or 1 and never NULL, so that NOT means what it says.
"""

from __future__ import annotations

import re
import sqlite3
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from .compared import number

#: What SQLite says when one of the functions fails, which only a damaged row makes it do.
FAILED: Final = "user-defined function raised exception"
#: Characters of the value of a field by which entries are grouped; of a longer one the begin.
MAX_SHOWN: Final = 200
#: The keys that lead further into an object at the begin of a path, each with the steps behind it; empty at its end.
Steps: TypeAlias = tuple[tuple[str, "Steps"], ...]


def register(connection: sqlite3.Connection) -> None:
    """Make the functions known to a connection."""
    for name, count, function in (
        ("has_word", 4, has_word),
        ("matches", 3, matches),
        ("field_matches", 4, field_matches),
        ("field_exists", 2, field_exists),
        ("has_value", 2, has_value),
        ("field_shown", 2, field_shown),
    ):
        connection.create_function(name, count, function, deterministic=True)


def has_word(word: str, anywhere: int, message: str | None, trace: str | None) -> int:
    """Whether a message or a stack trace has the word, in any case: anywhere, or where a word of the text begins."""
    wanted = word.lower()
    # Called for each row that is looked at: without a loop it takes a quarter less.
    if message is not None and _found(wanted, anywhere, message.lower()):
        return 1
    return int(trace is not None and _found(wanted, anywhere, trace.lower()))


def _found(wanted: str, anywhere: int, text: str) -> bool:
    at = text.find(wanted)
    if at <= 0 or anywhere or not wanted[0].isalnum():
        return at >= 0
    return _beginning(wanted).search(text, at) is not None


@lru_cache(maxsize=256)
def _beginning(wanted: str) -> re.Pattern[str]:
    """Finds a text where a word begins: not behind a letter, a digit, or an accent, as the full-text index sees it."""
    return re.compile(rf"(?<![^\W_])(?<![\u0300-\u036f]){re.escape(wanted)}")


def matches(how: str, wanted: str, text: str | None) -> int:
    """Whether a text begins with, contains, or ends with another, in any case."""
    if text is None:
        return 0
    wanted, text = wanted.lower(), text.lower()
    if how == "begins":
        return int(text.startswith(wanted))
    return int(text.endswith(wanted) if how == "ends" else wanted in text)


def field_matches(metadata: str | None, path: str, how: str, wanted: str | float) -> int:
    """Whether a value at the dotted `path` in the JSON compares so with `wanted`; of a list, any of its values."""
    for value in _values(metadata, path):
        if _compares(value, how, wanted):
            return 1
    return 0


def field_exists(metadata: str | None, path: str) -> int:
    """Whether something that is not null is at the dotted `path`."""
    return int(_first(metadata, path) is not None)


def has_value(metadata: str | None, wanted: str) -> int:
    """Whether any value in the JSON, at any depth, is `wanted`, as it is written there."""
    if metadata is None or _json(wanted) not in metadata:
        return 0
    waiting: list[Any] = [msgspec.json.decode(metadata)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif _written(value) == wanted:
            return 1
    return 0


def field_shown(metadata: str | None, path: str) -> str | None:
    """The first value at the dotted `path` as text, cut at MAX_SHOWN characters; None if there is none."""
    value = _first(metadata, path)
    return None if value is None else _written(value)[:MAX_SHOWN]


def first_at(metadata: msgspec.Raw | None, path: str) -> Any:
    """The first value at the dotted `path` in the JSON; None if there is none."""
    return _first(None if metadata is None else bytes(metadata).decode(), path)


def _first(metadata: str | None, path: str) -> Any:
    for value in _values(metadata, path):
        if value is not None:
            return value
    return None


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@lru_cache(maxsize=256)
def _json(text: str) -> str:
    """A text as it stands in JSON, without its quotes."""
    return msgspec.json.encode(text).decode()[1:-1]


def _values(metadata: str | None, path: str) -> list[Any]:
    """All values at the dotted `path` in the JSON."""
    steps, last = _route(path)
    found: list[Any] = []
    # Most rows have no such key: then their JSON, which takes longest, is not parsed.
    if metadata is not None and last in metadata:
        _collect(msgspec.json.decode(metadata), steps, found)
    return found


@lru_cache(maxsize=256)
def _route(path: str) -> tuple[Steps, str]:
    """The steps of a path, and its last part as it stands in JSON."""
    parts = path.split(".")
    steps: list[Steps] = [()]
    for begin in reversed(range(len(parts))):
        # Each dot is a step into an object, or a dot in the name of a key.
        names = [".".join(parts[begin:end]) for end in range(begin + 1, len(parts) + 1)]
        steps.append(tuple(zip(names, reversed(steps), strict=True)))
    return steps[-1], _json(parts[-1])


def _collect(value: Any, steps: Steps, found: list[Any]) -> None:
    """Append to `found` what is at the end of all steps from `value` on."""
    if isinstance(value, list):
        for each in value:
            _collect(each, steps, found)
    elif not steps:
        found.append(value)
    elif isinstance(value, dict):
        for key, further in steps:
            if key in value:
                _collect(value[key], further, found)


def _compares(value: Any, how: str, wanted: str | float) -> bool:
    if isinstance(wanted, str):
        if how == "=":
            return _equals(value, wanted)
        return isinstance(value, str) and matches(how, wanted, value) == 1
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if how == "<":
        return value < wanted
    if how == "<=":
        return value <= wanted
    return value > wanted if how == ">" else value >= wanted


def _equals(value: Any, wanted: str) -> bool:
    if isinstance(value, str):
        return value == wanted
    if value is None or isinstance(value, bool):
        return wanted == ("null" if value is None else str(value).lower())
    if isinstance(value, int | float):
        amount = number(wanted)
        # A float is often written with fewer digits than it has, a whole number never.
        return amount is not None and value == (float(amount) if isinstance(value, float) else amount)
    return False
