"""Checks each posted entry against the columns of `entry.model`, and makes the row that is stored for it.

A strict collector does what the real server does: it answers 500 to a wrong batch, drops keys that are no columns, and
takes and refuses the same values. A lenient one answers 422 with the index of the wrong entry, keeps such keys in
`metadata`, and takes a `created_at` in milliseconds. Pure: no I/O, no threads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from logcollector_handler.entry.model import (
    COLUMNS,
    CREATED_AT_LIMIT,
    DURATION_LIMIT,
    ENVIRONMENTS,
    LEVELS,
    LOG_TYPES,
    TEXT_LIMITS,
    Choice,
    Duration,
    Fields,
)

from .body import RawBatch, RefusedError

#: The columns of a stored row, in order: those of the schema with `metadata` (JSON text) last, then the logger's name,
#: copied from `metadata` so that it can be searched.
ROW_COLUMNS: Final = (*(name for name in COLUMNS if name != "metadata"), "metadata", "logger")
Row: TypeAlias = tuple[str | float | None, ...]

#: Levels of nesting allowed in `metadata`: few enough that no recursive parser overflows its stack on reading it.
MAX_DEPTH: Final = 256
#: As many as a strict collector can read again; the real server takes more.
STRICT_DEPTH: Final = 400
_TOO_DEEP: Final = "metadata: nested too deep"

#: The year 1 in Unix seconds, the earliest time that is accepted.
_EARLIEST: Final = -62_135_596_800
_KNOWN: Final = frozenset(COLUMNS)
_HINTS: Final = {
    **{name: f"allowed: {', '.join(kind.values)}" for name, kind in COLUMNS.items() if isinstance(kind, Choice)},
    "created_at": "Unix seconds are expected",
    "service": "leave it out when there is none",
}


@dataclass(frozen=True)
class Batch:
    """The rows of a batch in which every entry is valid."""

    rows: list[Row]
    #: Top-level keys of its entries that are not stored.
    ignored_keys: frozenset[str]


def _entry_type(created_at_below: float, strict: dict[str, tuple[Any, ...]]) -> type[msgspec.Struct]:
    """A struct type with the rule for each column as the type of its field, in the order of ROW_COLUMNS.

    A column that an entry leaves out becomes NULL or its default. An explicit null is allowed only where the table
    allows NULL. `strict` has rules in place of others.
    """
    # decimal(10,3) rounds to three places before it checks the size.
    widest = DURATION_LIMIT - 0.0005
    special: dict[str, tuple[Any, ...]] = {
        "message": (str,),
        "level": (Literal[LEVELS], "INFO"),
        "log_type": (Literal[LOG_TYPES], "BACKEND"),
        "created_at": (Annotated[float, msgspec.Meta(ge=_EARLIEST, lt=created_at_below)], None),
        "service": (Annotated[str, msgspec.Meta(max_length=TEXT_LIMITS["service"])], None),
        **strict,
    }

    def field(name: str) -> tuple[Any, ...]:
        if name in special:
            return (name, *special[name])
        kind: Any = COLUMNS[name]
        if isinstance(kind, Choice):
            return name, Literal[kind.values] | None, None
        if isinstance(kind, Duration):
            return name, Annotated[float, msgspec.Meta(gt=-widest, lt=widest)] | None, None
        if isinstance(kind, Fields):
            return name, dict[str, Any] | None, None
        return name, Annotated[str, msgspec.Meta(max_length=TEXT_LIMITS.get(name))] | None, None

    return msgspec.defstruct("PostedEntry", [field(name) for name in ROW_COLUMNS[:-1]], kw_only=True)


#: Where the real server takes other values than its columns hold, or refuses null. It converts a duration itself.
_REAL: Final[dict[str, tuple[Any, ...]]] = {
    "message": (str, ""),
    "created_at": (Annotated[float, msgspec.Meta(ge=_EARLIEST, lt=CREATED_AT_LIMIT)] | None, None),
    "service": (Annotated[str, msgspec.Meta(max_length=TEXT_LIMITS["service"])], "unknown"),
    "environment": (Literal[ENVIRONMENTS], None),
    "service_version": (Annotated[str, msgspec.Meta(max_length=TEXT_LIMITS["service_version"])], None),
    "metadata": (Any, None),
}
_STRICT: Final = _entry_type(CREATED_AT_LIMIT, _REAL)
_LENIENT: Final = _entry_type(CREATED_AT_LIMIT * 1000, {})
_CREATED_AT: Final = ROW_COLUMNS.index("created_at")


def check(raw: RawBatch, *, strict: bool, now: float) -> Batch:
    """Check every entry and make its row.

    An entry without `created_at` gets `now`, in Unix seconds. Raises RefusedError with its index for the first entry
    that is not valid: with status 422, or 500 when `strict`.
    """
    ignored: set[str] = set()
    rows: list[Row] = []
    kind, deepest = (_STRICT, STRICT_DEPTH) if strict else (_LENIENT, MAX_DEPTH)
    for index, entry in enumerate(raw.entries):
        try:
            posted = entry
            unknown: dict[str, Any] = {}
            if isinstance(entry, dict):
                if strict and "duration_ms" in entry:
                    posted = {**entry, "duration_ms": _as_decimal(entry["duration_ms"])}
                if not entry.keys() <= _KNOWN:
                    unknown = {name: entry[name] for name in entry.keys() - _KNOWN}
            if raw.suspicious and isinstance(entry, dict):
                _refuse_unstorable(posted)
                # Only the columns: msgspec would fail on any other key that contains a lone surrogate.
                posted = {name: posted[name] for name in _KNOWN & entry.keys()}
                dropped = {name for name, value in unknown.items() if _problem([name, value])}
                ignored |= dropped
                unknown = {name: value for name, value in unknown.items() if name not in dropped}
            elif isinstance(entry, str):
                # No text is an entry, whatever it says; msgspec would fail on half of a surrogate pair in it.
                posted = ""
            values = list(msgspec.structs.astuple(msgspec.convert(posted, kind)))
            metadata = values[-1]
            if strict:
                ignored.update(unknown)
            elif unknown:
                metadata = _with_unknown(metadata or {}, unknown)
            if metadata is not None:
                values[-1] = text = msgspec.json.encode(metadata).decode()
                if text.count("{") + text.count("[") > deepest and _depth(metadata) > deepest:
                    raise msgspec.ValidationError(_TOO_DEEP)
        except msgspec.ValidationError as error:
            raise _refused(index, _plain(error), strict) from error
        except RecursionError:
            raise _refused(index, _TOO_DEEP, strict) from None
        created_at = values[_CREATED_AT]
        if created_at is None:
            values[_CREATED_AT] = now
        elif created_at >= CREATED_AT_LIMIT:
            values[_CREATED_AT] = created_at / 1000
        logger = metadata.get("logger") if isinstance(metadata, dict) else None
        values.append(logger if isinstance(logger, str) else None)
        rows.append(tuple(values))
    return Batch(rows, frozenset(ignored))


def _refused(index: int, reason: str, strict: bool) -> RefusedError:
    return RefusedError(500 if strict else 422, f"Entry {index} is refused: {reason}.", index)


def _plain(error: msgspec.ValidationError) -> str:
    """Rewrites msgspec's text, which ends in a path, as `level: Invalid enum value 'WARNING' (allowed: ...)`."""
    text, _, path = str(error).partition(" - at ")
    found = re.match(r"`\$\.(\w+)", path)
    if found is None:
        return text.replace("`", "")
    name = found.group(1)
    hint = f" ({_HINTS[name]})" if name in _HINTS else ""
    return f"{name}: {text.replace('`', '')}{hint}"


def _as_decimal(value: Any) -> Any:
    """A duration as the real server stores it: it converts text and booleans, and knows NaN, which is none here."""
    if isinstance(value, str | bool):
        try:
            value = float(value)
        except ValueError:
            return value
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_unknown(metadata: dict[str, Any], unknown: dict[str, Any]) -> dict[str, Any]:
    """The metadata with the keys that are no columns, numbered where it has a key of the name itself."""
    together = dict(metadata)
    for name, value in sorted(unknown.items()):
        free, number = name, 2
        while free in together:
            free, number = f"{name}_{number}", number + 1
        together[free] = value
    return together


def _refuse_unstorable(entry: dict[str, Any]) -> None:
    """Raise ValidationError for a key or value, at any depth, that no text or JSON column can hold."""
    for name in _KNOWN & entry.keys():
        if problem := _problem(entry[name]):
            raise msgspec.ValidationError(f"Contains {problem} - at `$.{name}`")


def _problem(whole: Any) -> str | None:
    # A list of values still to be checked instead of recursion: the nesting may be deeper than the stack allows.
    waiting: list[Any] = [whole]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if problem := _text_problem(value):
                return problem
        elif isinstance(value, float) and not math.isfinite(value):
            return "a number that is not finite"
        elif isinstance(value, dict):
            waiting.extend(_flat(value.items()))
        elif isinstance(value, list):
            waiting.extend(value)
    return None


def _flat(items: Iterable[tuple[str, Any]]) -> Iterable[Any]:
    for key, value in items:
        yield key
        yield value


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return depth


def _text_problem(text: str) -> str | None:
    if "\0" in text:
        return "U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair"
    return None
