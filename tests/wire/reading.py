"""Bodies of OTLP as OpenTelemetry's own classes read them, and what should be in them for an entry of the collector.

The table of names is written down here a second time: the code under test must not be its own judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}
#: Attributes of a resource that do not come from the entry.
ALWAYS = {"host.name", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"}
IN_RESOURCE = {
    "service": "service.name",
    "service_version": "service.version",
    "environment": "deployment.environment.name",
    "process": "process.pid",
}
IN_RECORD = {
    "function_name": "code.function.name",
    "file_path": "code.file.path",
    "line": "code.line.number",
    "thread": "thread.name",
    "error_type": "exception.type",
    "stack_trace": "exception.stacktrace",
    "user_id": "user.id",
    "session_id": "session.id",
    "path": "url.path",
    "method": "http.request.method",
    "log_type": "log_type",
    "action_type": "action_type",
    "duration_ms": "duration_ms",
}


@dataclass
class Read:
    """One record."""

    resource: dict[str, Any]
    scope: str
    severity: tuple[int, str]
    nanoseconds: int
    body: Any
    ids: tuple[str, str]
    attributes: dict[str, Any]


def read(body: bytes) -> list[Read]:
    """The records of a body. Fails for a name that stands twice, and if the two times of a record differ."""
    request = ExportLogsServiceRequest()
    request.ParseFromString(body)
    found = []
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            for each in scope_logs.log_records:
                assert each.time_unix_nano == each.observed_time_unix_nano
                found.append(
                    Read(
                        named(resource_logs.resource.attributes),
                        scope_logs.scope.name,
                        (each.severity_number, each.severity_text),
                        each.time_unix_nano,
                        plain(each.body),
                        (each.trace_id.hex(), each.span_id.hex()),
                        named(each.attributes),
                    )
                )
    return found


def named(attributes: Iterable[Any]) -> dict[str, Any]:
    """Attributes as a dict."""
    pairs = [(each.key, plain(each.value)) for each in attributes]
    assert len(dict(pairs)) == len(pairs), "a name twice"
    return dict(pairs)


def plain(value: Any) -> Any:
    """What an AnyValue holds."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "kvlist_value":
            return named(value.kvlist_value.values)
        case "array_value":
            return [plain(each) for each in value.array_value.values]
        case kind:
            return getattr(value, kind)


def same(one: Any, other: Any) -> bool:
    """Whether values are equal and of the same types: to Python, 1 is True and 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def check(found: Read, entry: dict[str, Any]) -> None:
    """Fail unless the record says all that the entry says, as the collector's format has it, and nothing else."""
    metadata = dict(entry.get("metadata", {}))
    columns = {**entry, "line": metadata.pop("line", None), "thread": metadata.pop("thread", None)}
    assert found.scope == str(metadata.pop("logger", None) or "")
    # What is empty names nothing.
    resource = {IN_RESOURCE[name]: entry[name] for name in IN_RESOURCE if entry.get(name)}
    resource.setdefault("service.name", "unknown_service")
    process = metadata.pop("process", None)
    resource |= {} if process is None else {"process.pid": process}
    assert {name: value for name, value in found.resource.items() if name not in ALWAYS} == resource
    assert found.resource.keys() >= ALWAYS
    assert found.severity == (SEVERITIES[entry["level"]], entry["level"])
    assert found.body == entry["message"]
    assert 0 <= found.nanoseconds < 2**64
    exact = min(Fraction(entry["created_at"]) * 10**9, Fraction(2**64 - 1))
    assert abs(found.nanoseconds - exact) <= Fraction(1, 2)

    expected = {IN_RECORD[name]: columns[name] for name in IN_RECORD if columns.get(name) is not None}
    for name, digits, given, placed in (
        ("trace_id", 32, entry, found.ids[0]),
        ("span_id", 16, metadata, found.ids[1]),
    ):
        value = given.get(name)
        if isinstance(value, str) and re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", value) and value.strip("0"):
            assert placed == value.lower()
            metadata.pop(name, None)
        else:
            assert placed == ""
            expected |= {name: value} if name == "trace_id" and name in entry else {}
    attributes = dict(found.attributes)
    message = attributes.pop("exception.message", "") if "stack_trace" in entry else ""
    assert message in entry.get("stack_trace", "")
    for name, value in metadata.items():
        # The user's field is numbered where the entry has both.
        taken = name in expected or (name == "exception.message" and message)
        shown = (
            next(each for each in attributes if re.fullmatch(rf"{re.escape(name)} \(\d+\)", each)) if taken else name
        )
        assert same(attributes.pop(shown), as_otlp(value)), name
    assert attributes.keys() == expected.keys()
    assert all(same(attributes[name], as_otlp(value)) for name, value in expected.items())


def as_otlp(value: Any) -> Any:
    """A value of JSON as OTLP can hold it: whole numbers beyond 64 bits with a sign are text."""
    if isinstance(value, dict):
        return {name: as_otlp(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_otlp(each) for each in value]
    return str(value) if type(value) is int and not -(2**63) <= value < 2**63 else value
