"""An entry as OTLP has it: which field or attribute each column and each field of `metadata` becomes.

The names are those of OpenTelemetry's semantic conventions; a field without one keeps its own. `resource` has what
stands before the records of one service and process.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Raw
from msgspec.json import decode

from logcollector_handler.entry.model import ORIGIN, LogEntry
from logcollector_handler.entry.text import unused
from logcollector_handler.entry.traceback import Trace

from .protobuf import LENGTHS, NUL, delimited, length, utf8, varint
from .resource import attributes_of

# Tags of fields: the number of the field, times eight, plus its wire type.
RESOURCE_LOGS: Final = b"\x0a"
SCOPE_LOGS: Final = b"\x12"
LOG_RECORD: Final = b"\x12"
_RESOURCE: Final = b"\x0a"
_SCOPE: Final = b"\x0a"
_SCOPE_NAME: Final = b"\x0a"
_BODY: Final = b"\x2a"
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
_MANY: Final = len(LENGTHS)
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
_ERROR_MESSAGE: Final = "exception.message"
_SPAN: Final = "span_id"
#: The attributes of columns that most records leave empty.
_COLUMNS: Final = {
    "user_id": "user.id",
    "session_id": "session.id",
    "error_type": "exception.type",
    "stack_trace": "exception.stacktrace",
    "path": "url.path",
    "method": "http.request.method",
    "action_type": "action_type",
    "duration_ms": "duration_ms",
}
#: All names that are given here. A user's field of such a name gets a number, if the entry has both.
_BY_COLUMN: Final = [*_COLUMNS.items(), ("trace_id", "trace_id"), ("stack_trace", _ERROR_MESSAGE)]
_GIVEN: Final = {_FUNCTION, _FILE, _LINE, _THREAD, _LOG_TYPE, *(name for _, name in _BY_COLUMN)}
#: Fields of `metadata` that have their own place.
_PLACED: Final = frozenset({*ORIGIN, _SPAN})
_HEX: Final = re.compile(r"(?!0+$)[0-9a-fA-F]+", re.ASCII)


def _body(size: int) -> bytes:
    """What stands before a message of that many bytes."""
    text = b"\x0a" + length(size)
    return _BODY + length(len(text) + size) + text


_BODIES: Final = tuple(map(_body, range(_MANY)))


class Placed(NamedTuple):
    """An entry without level, message and time."""

    #: The beginning of the ResourceLogs and of the ScopeLogs in which its record stands.
    resource: bytes
    scope: bytes
    #: Further fields of its record.
    rest: bytes


def record(level: str, message: str, created_at: float, rest: bytes) -> bytes:
    """A LogRecord, as a field of its ScopeLogs. Raises an Exception for a text or a time that OTLP cannot hold."""
    text = message.encode()
    if b"\0" in text:
        raise ValueError(NUL)
    nanoseconds = _nanoseconds(created_at)
    severity = _SEVERITIES[level]
    count = len(text)
    body = _BODIES[count] if count < _MANY else _body(count)
    size = _TIMES.size + len(severity) + len(body) + count + len(rest)
    # Joined once and without further calls, because this is done for every record.
    return b"".join(
        (
            LOG_RECORD,
            LENGTHS[size] if size < _MANY else varint(size),
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
    get = metadata.get
    parts = [_site(entry.function_name, entry.file_path, entry.log_type, get("line"), get("thread"))]
    if entry.trace_id is not UNSET:
        parts.append(_id(_TRACE_ID, 32, "trace_id", entry.trace_id))
    if _SPAN in metadata:
        parts.append(_id(_SPAN_ID, 16, _SPAN, metadata[_SPAN]))
    for column, name in _COLUMNS.items():
        value = getattr(entry, column)
        if value is not UNSET:
            if column == "stack_trace":
                value = value.text() if isinstance(value, Trace) else value
                message = _error_message(entry.error_type, value)
                if message:
                    parts.append(_attribute(_ATTRIBUTE, _ERROR_MESSAGE, message))
            parts.append(_attribute(_ATTRIBUTE, name, value))
    if not _GIVEN.isdisjoint(metadata):
        metadata = _numbered(metadata, entry)
    parts += [_attribute(_ATTRIBUTE, name, value) for name, value in metadata.items() if name not in _PLACED]
    resource = _resource(variable, entry.service, entry.service_version, entry.environment, get("process"))
    return Placed(resource, _scope(get("logger")), b"".join(parts))


def _nanoseconds(seconds: float) -> int:
    """The time, exactly rounded, within what 64 bits without a sign hold."""
    whole = int(seconds)
    if seconds >= _EXACT_FROM:
        return min(whole * 1_000_000_000 + round((seconds - whole) * 1e9), _LAST_NANOSECOND)
    numerator, denominator = seconds.as_integer_ratio()
    return max(0, (2 * numerator * 1_000_000_000 + denominator) // (2 * denominator))


@lru_cache(maxsize=256, typed=True)
def _resource(*described: Any) -> bytes:
    attributes = attributes_of(*described)
    return delimited(_RESOURCE, b"".join(_attribute(b"\x0a", name, value) for name, value in attributes.items()))


@lru_cache(maxsize=1024, typed=True)
def _scope(logger: Any) -> bytes:
    return delimited(_SCOPE, b"" if logger is None else delimited(_SCOPE_NAME, utf8(str(logger))))


@lru_cache(maxsize=4096, typed=True)
def _site(function: Any, file: Any, log_type: Any, line: Any, thread: Any) -> bytes:
    """What the records of one call site have in common. They are many, so their fields are written once."""
    named = ((_FUNCTION, function), (_FILE, file), (_LINE, line), (_THREAD, thread), (_LOG_TYPE, log_type))
    return b"".join(_attribute(_ATTRIBUTE, name, value) for name, value in named if value not in (None, UNSET))


def _id(tag: bytes, digits: int, name: str, value: Any) -> bytes:
    """The id of a trace or span; an attribute if it is not so many hexadecimal digits, or only zeros, which is none."""
    if type(value) is str and len(value) == digits and _HEX.fullmatch(value):
        return delimited(tag, bytes.fromhex(value))
    return _attribute(_ATTRIBUTE, name, value)


def _numbered(metadata: Mapping[str, Any], entry: LogEntry) -> dict[str, Any]:
    """The fields, with a number behind the names that attributes of the entry have already."""
    taken = _GIVEN - {name for column, name in _BY_COLUMN if getattr(entry, column) is UNSET}
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
    """A KeyValue, as a field."""
    made = delimited(b"\x12", _any_value(value))
    key = utf8(name)
    return delimited(tag, b"\x0a%b%b%b" % (length(len(key)), key, made))


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
