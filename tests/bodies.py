"""Bodies as a server reads them, whatever format they are in: each record as the collector would store it.

OTLP is read by the official classes, so nothing of the package under test is in here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

Entry = dict[str, Any]

#: The format of a body by its Content-Type.
WIRES: Final = {"application/json": "collector", "application/x-ndjson": "ndjson", "application/x-protobuf": "otlp"}
#: Which attribute of OTLP holds a column, or a field of `metadata` if the name is not one of a column.
_ATTRIBUTES: Final = {
    "service.name": "service",
    "service.version": "service_version",
    "deployment.environment.name": "environment",
    "process.pid": "process",
    "code.function.name": "function_name",
    "code.file.path": "file_path",
    "code.line.number": "line",
    "thread.name": "thread",
    "exception.type": "error_type",
    "exception.stacktrace": "stack_trace",
    "user.id": "user_id",
    "session.id": "session_id",
    "url.path": "path",
    "http.request.method": "method",
}
_COLUMNS: Final = frozenset(
    {"service", "service_version", "environment", "function_name", "file_path", "error_type", "stack_trace", "user_id"}
    | {"session_id", "path", "method", "log_type", "action_type", "duration_ms", "trace_id"}
)


def entries_in(body: bytes, wire: str) -> list[Entry]:
    """The records in an uncompressed body. Raises ValueError if it is not a body in that format."""
    if wire == "otlp":
        return list(_otlp(body))
    if wire == "ndjson":
        if body and not body.endswith(b"\n"):
            raise ValueError("the last line has no end")
        return [json.loads(line) for line in body.splitlines()]
    batch = json.loads(body)
    entries = batch.get("logs") if isinstance(batch, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it has no list of logs")
    return entries


def _otlp(body: bytes) -> Iterator[Entry]:
    # Not needed by most programs that read bodies.
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(body)
    except Exception as error:
        raise ValueError(str(error)) from error
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield _entry(record, [*resource.resource.attributes, *record.attributes], scope.scope.name)


def _entry(record: Any, attributes: list[Any], logger: str) -> Entry:
    metadata: Entry = {"logger": logger} if logger else {}
    entry: Entry = {
        "level": record.severity_text,
        "message": record.body.string_value,
        "created_at": record.time_unix_nano / 1e9,
        "metadata": metadata,
    }
    if record.trace_id:
        entry["trace_id"] = record.trace_id.hex()
    if record.span_id:
        metadata["span_id"] = record.span_id.hex()
    for attribute in attributes:
        name = _ATTRIBUTES.get(attribute.key, attribute.key)
        (entry if name in _COLUMNS else metadata)[name] = _plain(attribute.value)
    return entry


def _plain(value: Any) -> Any:
    """What an AnyValue holds."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    held = getattr(value, kind)
    if kind == "kvlist_value":
        return {each.key: _plain(each.value) for each in held.values}
    return [_plain(each) for each in held.values] if kind == "array_value" else held
