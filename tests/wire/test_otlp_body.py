"""The URL, headers, bodies and answers of OTLP, also where they are damaged or from elsewhere."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.format import Taken
from logcollector_handler.wire.protobuf import delimited, varint
from tests.entry.making import BIG, builder, exc_info, raised, record
from tests.wire.reading import read

FORM = FORMATS["otlp"]


def body_of(*messages: str) -> bytes:
    by = builder(site_entry=FORM.site_entry, common=FORM.common)
    return FORM.join(
        FORM.encode([by.build(record(each, created=5.0, extra={"a": [1, {"b": 2}]})) for each in messages], BIG)
    )


GOOD = body_of("one", "two", "three")


# The request


@pytest.mark.parametrize(
    ("server_url", "url"),
    [
        ("http://host:4318", "http://host:4318/v1/logs"),
        ("http://host:4318/", "http://host:4318/v1/logs"),
        ("http://host:4318/v1/logs", "http://host:4318/v1/logs"),
        ("http://host:4318/v1/logs/", "http://host:4318/v1/logs"),
        ("http://host:4318/v1/logs//", "http://host:4318/v1/logs"),
        ("https://host/otlp", "https://host/otlp/v1/logs"),
        ("https://host/otlp/v1/logs", "https://host/otlp/v1/logs"),
        ("https://host/insert/opentelemetry/", "https://host/insert/opentelemetry/v1/logs"),
        ("https://host/v1", "https://host/v1/v1/logs"),
        ("https://host/v1/logsink", "https://host/v1/logsink/v1/logs"),
        ("http://v1/logs", "http://v1/logs/v1/logs"),
    ],
)
def test_the_url_ends_in_the_path_of_otlp_once(server_url: str, url: str) -> None:
    assert FORM.url(server_url, "0199-7") == url


def test_the_content_type_is_exactly_that_of_protobuf() -> None:
    assert FORM.headers({"Content-Type": "application/json"}) == {"Content-Type": "application/x-protobuf"}


# Bodies


def test_everything_in_a_foreign_body_stays_with_each_record_byte_for_byte() -> None:
    request = ExportLogsServiceRequest()
    resource_logs = request.resource_logs.add(schema_url="of the resource")
    resource_logs.resource.attributes.add(key="k").value.bytes_value = b"\0\xff"
    unknown = (
        delimited(varint(99 << 3 | 2), b"new") + varint(98 << 3 | 0) + varint(2**64 - 1) + varint(97 << 3 | 5) + b"1234"
    )
    for name in "a", "b":
        scope_logs = resource_logs.scope_logs.add(schema_url="of the scope")
        scope_logs.scope.name = name
        scope_logs.scope.attributes.add(key="scoped").value.int_value = -1
        for number in range(2):
            added = scope_logs.log_records.add(flags=1, dropped_attributes_count=2, event_name=f"{name}{number}")
            added.MergeFromString(unknown)
        scope_logs.MergeFromString(unknown)
    resource_logs.MergeFromString(unknown)
    runs = FORM.split(request.SerializeToString())
    assert len(runs) == 4
    for run, name in zip(runs, ("a0", "a1", "b0", "b1"), strict=True):
        alone = ExportLogsServiceRequest()
        alone.ParseFromString(run.encoded)
        [only] = alone.resource_logs
        [scope_logs] = only.scope_logs
        [kept] = scope_logs.log_records
        assert kept.event_name == name
        assert only.resource == resource_logs.resource
        assert (only.schema_url, scope_logs.schema_url) == ("of the resource", "of the scope")
        assert scope_logs.scope.name == name[0]
        for message in only, scope_logs, kept:
            assert unknown in message.SerializeToString()
    assert FORM.split(FORM.join(runs)) == runs


def test_a_record_is_found_wherever_its_fields_stand() -> None:
    # In another order than this package writes them, and with the resource behind the records.
    own = delimited(b"\x2a", delimited(b"\x0a", b"late")) + b"\x09" + (5 * 10**9).to_bytes(8, "little")
    scope_logs = delimited(b"\x12", own + delimited(b"\x1a", b"INFO")) + delimited(b"\x0a", delimited(b"\x0a", b"x"))
    body = delimited(b"\x0a", delimited(b"\x12", scope_logs) + delimited(b"\x0a", b""))
    [run] = FORM.split(body)
    assert FORM.describe(bytes(run.encoded)) == "INFO at 5.000: 'late'"
    assert read_messages(bytes(run.encoded)) == ["late"]


def read_messages(body: bytes) -> list[str]:
    request = ExportLogsServiceRequest.FromString(body)
    return [
        each.body.string_value
        for resource_logs in request.resource_logs
        for scope_logs in resource_logs.scope_logs
        for each in scope_logs.log_records
    ]


TORN = b"\x80" * 9
GROUP = b"\x0b" * 50_000


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x05",
        b"\x0a\x05\x12\x03",
        TORN,
        b"\x0a" + TORN,
        b"\x0a" + TORN + b"\x80\x01",
        b"\x0a" + b"\xff" * 9 + b"\x7f",
        b"\x08\x01",
        b"\x0d1234",
        b"\x0912345678",
        b"\x12\x00",
        b"\x00\x00",
        b"\x02\x00",
        GROUP,
        b"\x0a\x02\x00\x01",
        delimited(b"\x0a", varint(2**29 << 3) + b"\x01"),
        b"\x0a\x02\x0b\x0c",
        b"\x0a\x02\x10\x01",
        b"\x0a\x04\x12\x02\x10\x01",
        b"\x0a\x03\x12\x01\x0b",
        b"\x0a\x01\x0f",
        b'{"logs":[]}',
        b"[]",
        b"\x1f\x8b\x08\x00",
    ],
    ids=repr,
)
def test_splitting_something_that_is_not_a_body_raises_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends|wire type|no field|number"):
        FORM.split(body)


def test_no_beginning_of_a_body_is_taken_for_all_of_it() -> None:
    for length in range(1, len(GOOD)):
        with pytest.raises(ValueError, match="ends"):
            FORM.split(GOOD[:length])


def test_a_body_without_records_splits_into_none() -> None:
    for body in b"", b"\x0a\x00", delimited(b"\x0a", delimited(b"\x12", b"")):
        assert FORM.split(body) == []


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
@example(0, b"", 0)
def test_a_damaged_body_raises_at_most_a_value_error(at: int, instead: bytes, removed: int) -> None:
    body = GOOD[:at] + instead + GOOD[at + removed :]
    with suppress(ValueError):
        for run in FORM.split(body):
            assert len(FORM.describe(bytes(run.encoded))) < 1000
            assert FORM.split(bytes(run.encoded)) == [run]


def test_deep_nesting_in_a_record_is_no_matter() -> None:
    value = b""
    for _ in range(20_000):
        value = delimited(b"\x2a", delimited(b"\x0a", value))
    attribute = delimited(b"\x32", delimited(b"\x0a", b"deep") + delimited(b"\x12", value))
    body = delimited(b"\x0a", delimited(b"\x12", delimited(b"\x12", attribute)))
    [run] = FORM.split(body)
    assert run.encoded == body
    assert FORM.describe(body) == repr(body[:100])


@pytest.mark.parametrize(
    "inside",
    [
        b"",
        b"\xff",
        GROUP,
        LogRecord(severity_text="INFO", time_unix_nano=1).SerializeToString(),
        LogRecord(body=AnyValue(int_value=5), severity_text="INFO", time_unix_nano=1).SerializeToString(),
        delimited(b"\x2a", delimited(b"\x0a", b"\xff")) + delimited(b"\x1a", b"INFO") + b"\x09" + bytes(8),
        b"\x08\x05" + delimited(b"\x2a", delimited(b"\x0a", b"m")) + delimited(b"\x1a", b"INFO"),
    ],
)
def test_a_record_that_cannot_be_read_is_described_by_its_bytes(inside: bytes) -> None:
    body = delimited(b"\x0a", delimited(b"\x12", delimited(b"\x12", inside)))
    [run] = FORM.split(body)
    assert FORM.describe(bytes(run.encoded)) == repr(body[:100])


def test_a_record_is_described_by_its_level_time_and_the_beginning_of_its_message() -> None:
    by = builder(site_entry=FORM.site_entry, common=FORM.common)
    made = record("it\nfailed " + "x" * 200, created=5.0, exc_info=exc_info(raised(ValueError())))
    [run] = FORM.encode([by.build(made)], BIG)
    assert FORM.describe(bytes(run.encoded)).startswith("INFO at 5.000: 'it failed xxx")
    assert len(FORM.describe(bytes(run.encoded))) < 130


def test_bodies_put_together_hold_the_records_of_both() -> None:
    assert read(GOOD + body_of("four")) == read(GOOD) + read(body_of("four"))


# Answers


@given(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"])))
def test_the_partial_success_of_an_answer_is_read(rejected: int, why: str) -> None:
    success = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=why)
    answer = ExportLogsServiceResponse(partial_success=success).SerializeToString()
    assert FORM.taken(answer) == Taken(None, max(0, rejected), why)
    unknown = delimited(varint(99 << 3 | 2), b"new") + b"\x20\x07"
    assert FORM.taken(unknown + answer + unknown) == FORM.taken(answer)


@pytest.mark.parametrize(
    "content",
    [
        *[b"", b"\x0a\x00", b"{}", b'{"partialSuccess":{"rejectedLogRecords":"3"}}', b"ok", b"\xff", b"<html>"],
        *[
            b"\x08\x03",
            b"\x0a\x02\x10\x03",
            b"\x0a\x05\x08",
            b"\x0a\x02\x0a\x00",
            TORN,
            GROUP,
            b"\x0a\x0b\x08" + TORN + b"\xff",
        ],
    ],
    ids=repr,
)
def test_an_answer_without_a_partial_success_says_nothing(content: bytes) -> None:
    assert FORM.taken(content) == Taken()
