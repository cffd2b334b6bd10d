"""What OpenTelemetry's own classes read of a body is what was logged, whatever that was."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logcollector_handler import log_context
from logcollector_handler.context import current_fields
from logcollector_handler.entry.model import Entry
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.format import Format
from tests.entry.making import BIG, builder, exc_info, parsed, raised, record
from tests.entry.strategies import Switch, big, names, sayable, texts, unicode
from tests.wire.reading import Read, check, read

FORM = FORMATS["otlp"]
COLLECTOR = FORMATS["collector"]
LONG = 400_000
#: What has no end, or nearly so, is cut before it comes here; that takes time, and is tested with the entry.
extras = st.dictionaries(names, sayable, max_size=6)


def built(form: Format, *records: logging.LogRecord, **sources: Any) -> list[Entry]:
    by = builder(site_entry=form.site_entry, common=form.common, **sources)
    with Switch():
        return [by.build(each) for each in records]


def shipped(*records: logging.LogRecord, **sources: Any) -> list[Read]:
    """What is read of the records. Fails unless it is what the collector would be sent, and the same by each way."""
    whole = [parsed(COLLECTOR.encode_line(entry, LONG)) for entry in built(COLLECTOR, *records, **sources)]
    body = FORM.join(FORM.encode(built(FORM, *records, **sources), LONG))
    found = read(body)
    assert len(found) == len(whole)
    for each, entry in zip(found, whole, strict=True):
        check(each, entry)
    # By way of the journal, and each record alone.
    lines = [FORM.encode_line(entry, LONG) for entry in built(FORM, *records, **sources)]
    assert read(FORM.join(FORM.runs_of_lines(lines))) == found
    split = FORM.split(body)
    assert [each for run in split for each in read(bytes(run.encoded))] == found
    assert read(FORM.join(split)) == found
    return found


def ship(msg: object = "hello", *args: object, **given: Any) -> Read:
    [found] = shipped(record(msg, *args, **given))
    return found


@big
@given(unicode, extras)
def test_any_record_is_read_as_it_was_logged(message: str, extra: dict[str, Any]) -> None:
    made = record("%s", message, created=1.7e9)
    made.__dict__.update({name: value for name, value in extra.items() if name not in {*made.__dict__, "message"}})
    shipped(record("before", created=1.7e9), made, record("behind", created=1.7e9))


@big
@given(st.dictionaries(texts, sayable, max_size=4), st.dictionaries(texts, sayable, max_size=3))
def test_any_bound_fields_are_read_as_they_were_bound(bound: dict[str, Any], extra: dict[str, Any]) -> None:
    with log_context(**bound):
        made = record(created=1.7e9)
        made.__dict__.update({name: value for name, value in extra.items() if name not in {*made.__dict__, "message"}})
        shipped(made, bound=current_fields)


@given(unicode, unicode, unicode, unicode, st.integers(0, 60))
def test_any_call_site_and_level_are_read_as_they_were(
    function: str, path: str, name: str, thread: str, level: int
) -> None:
    shipped(record(funcName=function, pathname=path, name=name, threadName=thread, levelno=level))


@pytest.mark.parametrize("part", [None, 7, 2**70, "text", ["list"]])
def test_call_sites_of_records_made_by_hand_are_read_as_they_are(part: Any) -> None:
    for name in ("funcName", "pathname", "name", "threadName", "lineno", "process"):
        shipped(record(**{name: part}))


@given(st.floats(0, 1e11, exclude_max=True) | st.floats(1.6e9, 2e9))
@example(0.0)
@example(0.1)
@example(float(2**20) - 2**-33)
@example(1e11 - 1)
def test_any_time_is_exact_to_the_nanosecond(created: float) -> None:
    shipped(record(created=created, extra={"a": 1}), record(created=created))


@given(st.lists(st.sampled_from(["a", "b"]), max_size=30), st.lists(st.sampled_from(["x", "y"]), min_size=30))
def test_records_of_many_loggers_and_services_keep_their_order(loggers: list[str], services: list[str]) -> None:
    made = [
        record(str(number), name=name, created=1.7e9, extra={"service": service})
        for number, (name, service) in enumerate(zip(loggers, services, strict=False))
    ]
    assert [each.body for each in shipped(*made)] == [each.msg for each in made]


def test_what_a_hundred_records_have_in_common_is_written_once() -> None:
    for extra in None, {"a": 1}:
        made = [record(str(number), created=5.0, extra=extra) for number in range(250)]
        runs = FORM.encode(built(FORM, *made), BIG)
        assert [run.entries for run in runs] == [100, 100, 50]
        for run in runs:
            encoded = bytes(run.encoded)
            assert encoded.count(b"service.name") == encoded.count(b"shop.cart") == 1
            assert len(read(encoded)) == run.entries


def test_values_are_those_of_json() -> None:
    odd = {"nan": float("nan"), "inf": float("-inf"), "true": True, "one": 1, "float": 1.0, "small": -(2**63)}
    # Encoded with the batch, and in the logging call.
    for more in {}, {"larger": 2**70}:
        found = ship(extra={**odd, "large": 2**63, **more}).attributes
        assert found.items() >= {"nan": None, "inf": None, "small": -(2**63), "large": str(2**63)}.items()
        assert [type(found[name]) for name in ("true", "one", "float")] == [bool, int, float]
    with log_context(pairs=[("a", 1)], pair=("password", "hunter2")):
        [bound] = shipped(record(), bound=current_fields)
    assert bound.attributes["pairs"] == [["a", 1]]
    assert bound.attributes["pair"] == ["password", "***"]


# Exceptions


class OwnError(Exception):
    pass


def failed(error: BaseException, **given: Any) -> dict[str, Any]:
    return ship("failed", exc_info=exc_info(raised(error)), **given).attributes


@given(unicode)
@example("two\nlines")
def test_an_exception_is_read_with_its_type_message_and_trace(said: str) -> None:
    found = failed(OwnError(said))
    assert found["exception.type"] == "OwnError"
    clean = said.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert found["exception.stacktrace"].startswith("Traceback (most recent call last):\n")
    if clean.isascii():
        assert found.get("exception.message", "") == clean


def test_the_message_is_that_of_the_exception_that_was_logged() -> None:
    error = raised(ValueError("last"))
    error.__cause__ = raised(ValueError("first"))
    assert failed(error)["exception.message"] == "last"
    assert "exception.message" not in failed(ValueError())
    assert failed(KeyError("k"), stack_info="Stack (most recent call last):\n  a")["exception.message"] == "'k'"
    text = 'Traceback (most recent call last):\n  File "a", line 1, in f\na.b.OwnError: as text'
    assert ship("failed", exc_text=text).attributes["exception.message"] == "as text"
    assert "exception.message" not in ship("failed", extra={"error_type": "E"}).attributes
    assert "exception.message" not in failed(ValueError("x"), extra={"error_type": "Other"})


def test_the_message_of_a_group_is_its_own() -> None:
    group = pytest.importorskip("builtins").__dict__.get("ExceptionGroup")
    if group is None:
        pytest.skip("this Python has no exception groups")
    inner = group("inner", [ValueError("a\nb")])
    assert failed(group("outer", [inner, ValueError("c")]))["exception.message"] == "outer (2 sub-exceptions)"


# Names and ids


def test_a_users_field_with_the_name_of_an_attribute_is_kept_beside_it() -> None:
    names = [
        "exception.message",
        "user.id",
        "code.line.number",
        "exception.type",
        "log_type (2)",
        "url.path",
        "service.name",
        "process.pid",
    ]
    found = ship(extra={**dict.fromkeys(names, "mine"), "user_id": 7, "log_type": object(), "user.id (2)": 1})
    assert found.attributes["user.id"] == "7"
    assert found.attributes["user.id (3)"] == "mine"
    assert found.attributes["code.line.number (2)"] == "mine"
    # Where the entry has none of its own, the user's has the name.
    for name in "exception.type", "exception.message", "url.path":
        assert found.attributes[name] == "mine"
    assert found.resource["service.name"] == "shop"


@pytest.mark.parametrize("trace", ["0" * 32, "g" * 32, "4bf92f35", "", "\uff14" * 32, " " + "a" * 31, "4_" * 16])
def test_an_id_that_is_none_to_opentelemetry_is_an_attribute(trace: str) -> None:
    found = ship(extra={"trace_id": trace, "span_id": trace[:16]})
    assert found.ids == ("", "")
    assert found.attributes["trace_id"] == trace
    assert found.attributes["span_id"] == trace[:16]


def test_ids_stand_in_their_own_fields() -> None:
    found = ship(extra={"trace_id": "4BF92F3577B34DA6A3CE929D0E0E4736", "span_id": "00f067aa0ba902b7"})
    assert found.ids == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    assert not {"trace_id", "span_id"} & found.attributes.keys()


# Entries that need care


@big
@given(extras, st.integers(1024, 5000), st.integers(0, 6000), unicode.filter(bool))
@example({"items": [1.5] * 4000}, 1024, 10, "x")
@example({"items": [{}] * 4000}, 2000, 10, "x")
@example({"items": [1.5] * 100}, 1024, 10, "x")
@example({f"f{number}": "x" * 30 for number in range(60)} | {"service": "s" * 100}, 1024, 5000, "x")
@example({"service": "\U0001f600" * 100, "service_version": "\U0001f600" * 50, "a": "x" * 900}, 1024, 500, "x")
@example({"service": "\U0001f600" * 100, "service_version": "\U0001f600" * 50, "a": "x" * 900}, 1024, 0, "x")
@example({"a": {"b": {"c": [[]] * 3000}}, "service": "\U0001f600" * 40}, 1500, 10, "x")
def test_a_record_over_the_limit_is_cut_and_its_service_is_whole(
    extra: dict[str, Any], limit: int, size: int, text: str
) -> None:
    made = record((text * size)[:size])
    made.__dict__.update({name: value for name, value in extra.items() if name not in {*made.__dict__, "message"}})
    [run] = FORM.encode(built(FORM, made), limit)
    assert len(run.encoded) <= limit
    [cut] = read(bytes(run.encoded))
    [whole] = read(FORM.join(FORM.encode(built(FORM, made), BIG)))
    assert cut.resource == whole.resource
    assert (cut.severity, cut.nanoseconds) == (whole.severity, whole.nanoseconds)
    line = FORM.encode_line(built(FORM, made)[0], limit)
    [from_line] = FORM.runs_of_lines([line])
    assert max(len(line), len(from_line.encoded)) <= limit
    assert whole == cut or "cut]" in str(cut) or "truncated" in str(cut) or "left out" in str(cut)


def test_no_body_need_be_larger_than_receivers_take() -> None:
    limit = 4 * 1024 * 1024
    made = [record("x" * 700_000), record("y" * 3_000_000)]
    runs = FORM.encode(built(FORM, *made, max_record_bytes=limit), limit)
    assert [run.entries for run in runs] == [1, 1]
    assert all(len(run.encoded) <= FORM.max_batch_bytes for run in runs)
    [line] = [FORM.encode_line(entry, limit) for entry in built(FORM, made[1], max_record_bytes=limit)]
    assert len(line) <= FORM.max_batch_bytes


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"level":"LOUD","message":"m","created_at":1.5,"log_type":"BACKEND"}',
        b'{"level":["INFO"],"message":"m","created_at":1.5,"log_type":"BACKEND"}',
        b'{"level":"INFO","message":5,"created_at":1.5,"log_type":"BACKEND"}',
        b'{"level":"INFO","message":"m","created_at":null,"log_type":"BACKEND"}',
        b'{"level":"INFO","message":"m","created_at":-1e300,"log_type":"BACKEND","new":{"a":"\\u0000"}}',
        b'{"level":"INFO","message":"m","created_at":1.5,"log_type":"BACKEND","metadata":[]}',
        b'{"level":"INFO","message":"m","created_at":1.5,"log_type":[],"metadata":{"line":{},"process":[1]}}',
        b'{"a":"\\ud800"}',
        b"torn \xff\0 {",
        b'{"metadata":' + b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_entry_is_sent_as_text_and_the_others_are_whole(line: bytes) -> None:
    good = FORM.encode_line(built(FORM, record("good"))[0], BIG)
    before, odd, behind = read(FORM.join(FORM.runs_of_lines([good, line, good])))
    assert before == behind
    assert before.body == "good"
    assert odd.body == line.decode("utf-8", "replace").replace("\0", "\ufffd")
    assert odd.severity == (17, "ERROR")


def test_an_entry_that_cannot_be_encoded_is_replaced_and_the_others_are_whole() -> None:
    entries = built(FORM, record("good"), record("bad", extra={"a": 1}), record("good"))
    entries[1].user_id = object()  # type: ignore[union-attr]  # on purpose
    found = read(FORM.join(FORM.encode(entries, BIG)))
    assert [each.body for each in found] == ["good", "bad", "good"]
    assert found[1].attributes["unreadable"] == "TypeError"
