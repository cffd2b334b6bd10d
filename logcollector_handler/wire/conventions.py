"""An entry as OTLP has it: which field or attribute each column and each field of `metadata` becomes.

The names are those of OpenTelemetry's semantic conventions; a field without one keeps its own. `resource` has what
stands before the records of one service and process.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from msgspec import UNSET, Raw
from msgspec.json import decode

from logcollector_handler.entry.model import ORIGIN, LogEntry
from logcollector_handler.entry.text import unused
from logcollector_handler.entry.traceback import Trace

from .protobuf import NUL, delimited, length, utf8, varint
from .resource import attributes_of

# Tags of fields: the number of the field, times eight, plus its wire type.
RESOURCE_LOGS: Final = b"\x0a"
SCOPE_LOGS: Final = b"\x12"
LOG_RECORD: Final = b"\x12"
_RESOURCE: Final = b"\x0a"
_SCOPE: Final = b"\x0a"
_SCOPE_NAME: Final = b"\x0a"
_BODY: Final = b"\x2a"
_VALUE: Final = b"\x12"
_ATTRIBUTE: Final = b"\x32"
_TRACE_ID: Final = b"\x4a"
_SPAN_ID: Final = b"\x52"
#: Time, and time at which it was observed: nanoseconds.
_TIMES: Final = struct.Struct("<cQcQ")
_DOUBLE: Final = struct.Struct("<cd")
#: By level: `severity_number` and `severity_text`.
_SEVERITIES: Final = {
    name: b"\x10" + varint(number) + delimited(b"\x1a", name.encode())
    for name, number in (("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21))
}
_INT64: Final = range(-(2**63), 2**63)
_LAST_NANOSECOND: Final = 2**64 - 1
#: From this time on, some days after 1970, a float of seconds has so few bits after the point that their product with
#: a billion is exact.
_EXACT_FROM: Final = float(2**20)

_FUNCTION: Final = "code.function.name"
_FILE: Final = "code.file.path"
_LINE: Final = "code.line.number"
_THREAD: Final = "thread.name"
_LOG_TYPE: Final = "log_type"
_STACK_TRACE: Final = "exception.stacktrace"
_ERROR_MESSAGE: Final = "exception.message"
_TRACE: Final = "trace_id"
_SPAN: Final = "span_id"
#: The attributes of columns that most records leave empty.
_COLUMNS: Final = {
    "trace_id": _TRACE,
    "user_id": "user.id",
    "session_id": "session.id",
    "error_type": "exception.type",
    "stack_trace": _STACK_TRACE,
    "path": "url.path",
    "method": "http.request.method",
    "action_type": "action_type",
    "duration_ms": "duration_ms",
}
_NAMES: Final = tuple(_COLUMNS.values())
_EMPTY: Final = (UNSET,) * len(_COLUMNS)
_own_columns: Final = attrgetter(*_COLUMNS)
_site_columns: Final = attrgetter("service", "service_version", "environment", "function_name", "file_path", "log_type")
#: All names that are given here. A user's field of such a name gets a number, if the entry has both.
_GIVEN: Final = {_FUNCTION, _FILE, _LINE, _THREAD, _LOG_TYPE, _ERROR_MESSAGE, *_NAMES}
#: Names of fields that are shorter, in characters, are encoded once. Few programs use many.
_REMEMBERED: Final = 100
#: Fields of `metadata` that have their own place.
_PLACED: Final = frozenset({*ORIGIN, _SPAN})
_HEX: Final = re.compile(r"(?!0+$)[0-9a-fA-F]+", re.ASCII)


@lru_cache(maxsize=1024)
def _text(tag: bytes, size: int) -> bytes:
    """What stands before a text of that many bytes in a field that is an AnyValue."""
    inner = b"\x0a" + length(size)
    return tag + length(len(inner) + size) + inner


#: An entry without level, message and time: the beginnings of the ResourceLogs and of the ScopeLogs in which its record
#: stands, and further fields of its record.
Placed = tuple[bytes, bytes, bytes]


def record(level: str, message: str, created_at: float, rest: bytes) -> bytes:
    """A LogRecord, as a field of its ScopeLogs. Raises an Exception for a text or a time that OTLP cannot hold."""
    text = message.encode()
    if b"\0" in text:
        raise ValueError(NUL)
    nanoseconds = _nanoseconds(created_at)
    severity = _SEVERITIES[level]
    count = len(text)
    body = _text(_BODY, count)
    size = _TIMES.size + len(severity) + len(body) + count + len(rest)
    # Joined once, because this is done for every record.
    return b"".join(
        (
            LOG_RECORD,
            length(size),
            _TIMES.pack(b"\x09", nanoseconds, b"\x59", nanoseconds),
            severity,
            body,
            text,
            rest,
        )
    )


def placed(entry: LogEntry, variable: str) -> Placed:
    """Everything else of an entry. Raises an Exception for what OTLP cannot hold.

    Args:
        entry: the entry, which is not changed.
        variable: the value of OTEL_RESOURCE_ATTRIBUTES.
    """
    metadata: Any = entry.metadata
    if type(metadata) is Raw:
        metadata = decode(metadata)
    elif metadata is UNSET:
        metadata = {}
    resource, scope, site = _site(variable, *_site_columns(entry), *map(metadata.get, ORIGIN))
    parts = [site]
    columns = _own_columns(entry)
    if columns != _EMPTY:
        for name, value in zip(_NAMES, columns):  # noqa: B905 - it takes time
            if value is UNSET:
                continue
            if name == _TRACE:
                parts.append(_id(_TRACE_ID, 32, _TRACE, value))
            elif name == _STACK_TRACE:
                parts += _of_trace(entry.error_type, value)
            else:
                parts.append(_attribute(_ATTRIBUTE, name, value))
    if _SPAN in metadata:
        parts.append(_id(_SPAN_ID, 16, _SPAN, metadata[_SPAN]))
    if not _GIVEN.isdisjoint(metadata):
        metadata = _numbered(metadata, entry)
    parts += [_attribute(_ATTRIBUTE, name, value) for name, value in metadata.items() if name not in _PLACED]
    return resource, scope, b"".join(parts)


@lru_cache(maxsize=2048)
def _site(
    variable: str,
    service: Any,
    version: Any,
    environment: Any,
    function: Any,
    file: Any,
    log_type: Any,
    logger: Any,
    line: Any,
    process: Any,
    thread: Any,
) -> Placed:
    """What the records of one call site have in common. They are many, so it is encoded once."""
    named = ((_FUNCTION, function), (_FILE, file), (_LINE, line), (_THREAD, thread), (_LOG_TYPE, log_type))
    return (
        _resource(variable, service, version, environment, process),
        delimited(_SCOPE, b"" if logger is None else delimited(_SCOPE_NAME, utf8(str(logger)))),
        b"".join([_attribute(_ATTRIBUTE, name, value) for name, value in named if value not in (None, UNSET)]),
    )


# Cached by itself, so that all call sites have the same object, which is compared with itself in no time.
@lru_cache(maxsize=256)
def _resource(*described: Any) -> bytes:
    attributes = attributes_of(*described)
    return delimited(_RESOURCE, b"".join([_attribute(b"\x0a", name, value) for name, value in attributes.items()]))


def _of_trace(kind: Any, trace: str | Trace) -> Iterator[bytes]:
    """The trace of an exception of that class, and the message that it ends with."""
    text = trace.text() if isinstance(trace, Trace) else trace
    if message := _error_message(kind, text):
        yield _attribute(_ATTRIBUTE, _ERROR_MESSAGE, message)
    yield _attribute(_ATTRIBUTE, _STACK_TRACE, text)


def _nanoseconds(seconds: float) -> int:
    """The time, exactly rounded, within what 64 bits without a sign hold."""
    whole = int(seconds)
    if seconds >= _EXACT_FROM:
        return min(whole * 1_000_000_000 + round((seconds - whole) * 1e9), _LAST_NANOSECOND)
    numerator, denominator = seconds.as_integer_ratio()
    return max(0, (2 * numerator * 1_000_000_000 + denominator) // (2 * denominator))


def _id(tag: bytes, digits: int, name: str, value: Any) -> bytes:
    """The id of a trace or span; an attribute if it is not so many hexadecimal digits, or only zeros, which is none."""
    if type(value) is str and len(value) == digits and _HEX.fullmatch(value):
        return delimited(tag, bytes.fromhex(value))
    return _attribute(_ATTRIBUTE, name, value)


def _numbered(metadata: Mapping[str, Any], entry: LogEntry) -> dict[str, Any]:
    """The fields, with a number behind the names that attributes of the entry have already."""
    taken = _GIVEN - {name for column, name in _COLUMNS.items() if getattr(entry, column) is UNSET}
    if _STACK_TRACE not in taken:
        taken.discard(_ERROR_MESSAGE)
    made: dict[str, Any] = {}
    for name, value in metadata.items():
        made[name if name not in taken else unused(name, {*taken, *made, *metadata})] = value
    return made


def _error_message(kind: Any, trace: str) -> str | None:
    """The message of an exception of that class, as its traceback ends with it; None if it does not."""
    if type(kind) is not str:
        return None
    # Of exceptions that led to it the last one is the one that was logged. A group stands beside a line.
    found = re.match(rf"(?ms).*^(  \| )?(?:[\w.<>]+\.)?{re.escape(kind)}(?:: |$)", trace)
    if found is None:
        return None
    message = trace[found.end() :].partition("\nStack (most recent call last):\n")[0]
    return message.partition("\n")[0] if found[1] else message


# Values


def _attribute(tag: bytes, name: str, value: Any) -> bytes:
    """A KeyValue, as a field. Its parts are joined once, because there are many in each record."""
    key = _key(name) if len(name) < _REMEMBERED else delimited(b"\x0a", utf8(name))
    if type(value) is str:
        made = utf8(value)
        size = len(made)
        before = _text(_VALUE, size)
    else:
        made = _any_value(value)
        before = _VALUE + length(len(made))
    size = len(key) + len(before) + len(made)
    return b"".join((tag, length(size), key, before, made))


@lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    return delimited(b"\x0a", utf8(name))


def _any_value(value: Any) -> bytes:
    """An AnyValue of what JSON knows. None, and floats that JSON has no word for, are one without a value."""
    kind = type(value)
    if kind is str:
        return delimited(b"\x0a", utf8(value))
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int:
        # Larger ones are text: they are exact then.
        return b"\x18" + varint(value) if value in _INT64 else delimited(b"\x0a", str(value).encode())
    if kind is float:
        return _DOUBLE.pack(b"\x21", value) if math.isfinite(value) else b""
    if value is None:
        return b""
    if kind is dict:
        return delimited(b"\x32", b"".join([_attribute(b"\x0a", *each) for each in value.items()]))
    if kind is list or kind is tuple:  # bound pairs are tuples
        return delimited(b"\x2a", b"".join([delimited(b"\x0a", _any_value(each)) for each in value]))
    raise TypeError(f"JSON knows no {kind.__name__}")
