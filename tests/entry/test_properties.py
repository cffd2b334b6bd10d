"""Whatever is logged: the server takes it, nothing raises, nothing is lost, nothing is changed."""

from __future__ import annotations

import dataclasses
import enum
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logcollector_handler.entry.model import LogEntry
from logcollector_handler.wire.collector import JsonSiteEntry
from logcollector_handler.wire.compression import compress, decompress
from tests.entry.making import BIG, FORMAT, accepted, body_of, builder, encode_lines, metadata_of, parsed, record, split

# The server's table, written down anew: what is tested must not be its own judge.
ENUMS = {
    "level": {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"},
    "log_type": {"BACKEND", "FRONTEND", "MOBILE", "IOT", "WORKER"},
    "environment": {"production", "staging", "development", "test", "local"},
    "method": {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"},
}
TEXTS = {
    "message": math.inf,
    "stack_trace": math.inf,
    "service": 100,
    "service_version": 50,
    "trace_id": 32,
    "user_id": 255,
    "session_id": 100,
    "error_type": 200,
    "function_name": 300,
    "file_path": 1000,
    "path": 500,
    "action_type": 50,
}
COLUMNS = {*ENUMS, *TEXTS, "created_at", "duration_ms", "metadata"}
ORIGIN = {"logger", "line", "process", "thread"}


def storable(value: Any) -> None:
    """Fail for what no text or JSON column holds, anywhere in the value."""
    if isinstance(value, str):
        assert "\0" not in value
        value.encode()
    elif isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            storable(key)
            storable(inner)
    elif isinstance(value, list):
        for inner in value:
            storable(inner)


def check_entry(line: bytes, max_bytes: int) -> dict[str, Any]:
    """The entry, which the table takes."""
    assert len(line) <= max_bytes
    assert b"\n" not in line
    entry = parsed(line)
    assert {"level", "message", "created_at", "log_type", "metadata"} <= entry.keys() <= COLUMNS
    storable(entry)
    for name, value in entry.items():
        if name in ENUMS:
            assert value in ENUMS[name], name
        elif name in TEXTS:
            assert isinstance(value, str), name
            assert len(value) <= TEXTS[name], name
    assert type(entry["created_at"]) in (int, float)
    assert 0 <= entry["created_at"] < 1e11
    duration = entry.get("duration_ms", 0)
    assert type(duration) in (int, float)
    assert abs(duration) < 10_000_000
    assert round(duration, 3) == duration
    assert isinstance(entry["metadata"], dict)
    return entry


def shipped(made: logging.LogRecord, max_bytes: int = BIG) -> dict[str, Any]:
    """The way of a record between two ordinary ones, which it does not spoil."""
    by = builder(max_record_bytes=max_bytes)
    neighbour = record("neighbour")
    before = list(made.__dict__.items())
    with Switch():
        entries = [by.build(neighbour), by.build(made), by.build(neighbour)]
    after = list(made.__dict__.items())
    assert [(id(key), id(value)) for key, value in before] == [(id(key), id(value)) for key, value in after]
    with Switch():
        lines = encode_lines(entries, max_bytes)
    first, entry, last = (check_entry(line, max_bytes) for line in lines)
    assert first == last
    assert first["message"] == "neighbour"
    accepted(lines)
    body = body_of(lines)
    assert split(body) == lines
    return entry


# Values

texts = st.text(st.characters(codec=None), max_size=30)  # with surrogates and U+0000
unicode = st.text(st.characters(exclude_categories=()), max_size=30) | texts


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: Any
    password: Any = "p"


class Name(str):
    __slots__ = ()


class Switch:
    """Objects fail while it is on: the test's own tools can look at them before and after."""

    on = False

    def __enter__(self) -> None:
        Switch.on = True

    def __exit__(self, *_: object) -> None:
        Switch.on = False


def breaking(kind: type, name: str) -> Any:
    """A method that fails, and does what it does in `kind` when the switch is off."""

    def method(self: Any, *args: Any) -> Any:
        if Switch.on:
            raise ZeroDivisionError("broken")
        return getattr(kind, name)(self, *args)

    return method


def broken(kind: type, *names: str) -> Any:
    """A class of which the named methods fail."""
    return type(f"Broken{kind.__name__}", (kind,), {name: breaking(kind, name) for name in names})


class Broken(broken(object, "__repr__", "__str__", "__eq__", "__format__", "__lt__")):  # type: ignore[misc]  # made above
    """Everything that the interpreter may ask of it raises."""

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return not breaking(object, "__str__")(self) or True

    __len__ = __iter__ = __fspath__ = __float__ = __int__ = __index__ = __bool__

    @property  # type: ignore[misc]  # isinstance asks for it
    def __class__(self) -> Any:
        if Switch.on:
            raise ZeroDivisionError("broken")
        return Broken


BrokenDict = broken(dict, "items", "__repr__", "__len__", "__iter__", "keys")
BrokenInt = broken(int, "bit_length", "__repr__", "__str__", "__int__", "__float__", "__floordiv__", "__lt__")
BrokenError = broken(Exception, "__str__", "__repr__")


def circular() -> Any:
    made: dict[str, Any] = {"x": []}
    made["x"].append(made)
    return made


def deep() -> Any:
    made: Any = "bottom"
    for _ in range(10_000):
        made = [made]
    return made


class Laughs(list[Any]):
    """Who prints it prints for ever; hypothesis would, to show a failure."""

    def __repr__(self) -> str:
        return "<laughs>"


def laughs() -> Any:
    made: Any = ["ha"] * 10
    for _ in range(30):
        made = [made] * 10
    return Laughs(made)


def long_texts() -> Any:
    return ["x" * 100_000] * 4_000


#: Built anew for each example: hypothesis cannot print it where Python limits the digits.
huge = st.builds(pow, st.just(10), st.just(5000))
odd: st.SearchStrategy[Any] = st.one_of(
    st.builds(Broken),
    st.builds(BrokenDict, st.just({"password": 1})),
    st.builds(BrokenInt, st.just(3)),
    huge,
    st.sampled_from([BrokenError("x"), ValueError("why"), Colour.RED, Colour.BLUE, len, int, Name("n\0"), Ellipsis]),
)
#: Of these the text has no end, or nearly none: nobody can have them in a message.
absurd: st.SearchStrategy[Any] = st.sampled_from([circular, deep, laughs, long_texts]).flatmap(st.builds)
leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62),
    st.floats(),
    unicode,
    unicode.map(Name),
    st.binary(max_size=20),
    st.binary(max_size=20).map(bytearray),
    st.decimals(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.complex_numbers(),
    odd,
)
keys: st.SearchStrategy[Any] = st.one_of(
    unicode, unicode.map(Name), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=5), huge
) | st.sampled_from([Colour.RED, Colour.BLUE, Broken(), BrokenInt(3), (1, 2), "pass word", b"password"])


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(Point, inner)
    )


sayable: st.SearchStrategy[Any] = st.recursive(leaves, nested, max_leaves=8)
values: st.SearchStrategy[Any] = st.recursive(leaves | absurd, nested, max_leaves=8)
names = st.sampled_from(sorted(COLUMNS - {"message"})) | st.sampled_from(
    sorted(ORIGIN | {"truncated", "password", "…"})
)
names |= unicode
extras = st.dictionaries(names, values, max_size=6)
big = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def cleaned(text: str) -> str:
    return "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)


@big
@given(extras)
@example({"metadata": {"process": 1, "logger": "mine"}})
@example({"metadata": BrokenDict(x=1)})
@example({"action_type": laughs(), "created_at": {"a": 1}, "session_id": None})
@example({"user_id": Broken(), "duration_ms": Broken(), "path": Broken(), "method": Broken()})
@example({"trace_id": BrokenInt(3), "duration_ms": BrokenInt(3)})
@example({"a\0": 1, "b\ufffd": 2, "c\ud800": 3})
def test_every_extra_is_found_in_its_column_or_in_metadata(extra: dict[str, Any]) -> None:
    made = record()
    standard = set(made.__dict__) | {"message", "asctime"}
    extra = {name: value for name, value in extra.items() if name not in standard | {"unreadable"}}
    made.__dict__.update(extra)
    entry = shipped(made)
    assert entry["message"] == "hello"
    assert "unreadable" not in entry["metadata"]
    for name in extra:
        if name == "metadata" and type(extra[name]) is dict:
            continue
        assert cleaned(name) in entry["metadata"] or (name in COLUMNS - {"message"} and name in entry)


@big
@given(st.dictionaries(keys, values, max_size=6))
def test_no_key_of_a_dict_as_message_is_lost(event: dict[Any, Any]) -> None:
    entry = shipped(record({**event, "event": "hello"}))
    assert entry["message"] == "hello"
    found = len(entry["metadata"].keys() - ORIGIN) + len(entry.keys() & COLUMNS)
    assert found >= len(event.keys() - {"event", "logger", "line", "process", "thread"})


attributes = st.sampled_from(sorted(record().__dict__))
changed = st.dictionaries(attributes, sayable, max_size=4)


@big
@given(sayable, st.lists(sayable, max_size=3), changed, st.sets(attributes, max_size=3))
def test_a_record_of_any_make_ships(msg: Any, args: list[Any], changes: dict[str, Any], missing: set[str]) -> None:
    made = record()
    made.__dict__.update({"msg": msg, "args": tuple(args)} | changes)
    for name in missing:
        del made.__dict__[name]
    shipped(made)


@big
@given(st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_level_number_ships_under_the_servers_name(levelno: float) -> None:
    number = int(levelno)
    bounds = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR"}
    expected = next((name for bound, name in bounds.items() if number < bound), "FATAL")
    assert shipped(record(levelno=levelno))["level"] == expected


@big
@given(unicode, st.lists(leaves, max_size=3))
def test_a_message_that_cannot_be_made_ships_with_its_arguments(template: str, args: list[Any]) -> None:
    made = record(template, *args)
    try:
        with Switch():
            expected = made.getMessage()
    except Exception:  # noqa: BLE001 - of any kind
        entry = shipped(made)
        assert entry["message"] == cleaned(template)
        assert {"args", "format_error"} <= entry["metadata"].keys()
    else:
        assert shipped(made)["message"] == cleaned(expected)


@big
@given(extras, st.integers(1024, 5000), st.integers(0, 6000), unicode.filter(bool))
@example({f"field{n}": "x" * 30 for n in range(60)}, 1024, 5000, "x")
@example({"k" * 300_000: 1}, 2000, 10, "x")
@example({"user_id": "\x01" * 255, "session_id": "\U0001f600" * 100, "path": "\x01" * 500}, 1024, 10, "x")
@example({"items": list(range(4000))}, 1024, 10, "x")
@example({"metadata": Broken()}, 1024, 0, "0")
def test_a_record_over_the_limit_is_cut_and_says_so(extra: dict[str, Any], limit: int, size: int, text: str) -> None:
    made = record((text * size)[:size])
    made.__dict__.update({name: value for name, value in extra.items() if name not in {*made.__dict__, "message"}})
    whole = encode_lines([builder().build(made)], BIG)[0]
    entry = shipped(made, limit)
    if len(whole) > limit + 1000 and size > limit + 1000:
        marks = [value for name, value in entry["metadata"].items() if name.startswith("truncated")]
        told = [mark["bytes"] for mark in marks if isinstance(mark, dict) and isinstance(mark.get("bytes"), int)]
        assert any(each > limit for each in told) or " more characters cut]" in str(entry)
    assert entry["metadata"]["line"] == 12 or "line" in extra or "metadata" in extra


@given(unicode, unicode, unicode, unicode, unicode)
@example('"log_type":', "x" * 400, "p" * 2000, "a\\b", "\n")
def test_what_a_call_site_has_encoded_once_is_what_the_long_way_says(
    message: str, function: str, path: str, name: str, thread: str
) -> None:
    made = record(message, funcName=function, pathname=path, name=name, threadName=thread)
    long_way = builder()
    long_way.formatter = logging.Formatter("%(message)s")
    quick, slow = builder().build(made), long_way.build(made)
    assert (type(quick), type(slow)) == (JsonSiteEntry, LogEntry)
    assert encode_lines([quick], BIG) == encode_lines([slow], BIG)
    assert check_entry(FORMAT.encode_line(quick, BIG), BIG)["message"] == cleaned(message)


@given(st.lists(st.binary(max_size=50)))
def test_what_is_compressed_comes_back_and_is_the_same_each_time(parts: list[bytes]) -> None:
    body = b"".join(parts)
    assert decompress(compress(body)) == body
    assert compress(body) == compress(body)


@given(st.lists(unicode, max_size=250))
def test_a_body_splits_into_the_lines_it_was_joined_of(messages: list[str]) -> None:
    by = builder()
    lines = encode_lines([by.build(record(message)) for message in messages], BIG)
    assert [parsed(line)["message"] for line in lines] == list(map(cleaned, messages))
    assert split(body_of(lines)) == lines


# Exceptions: the text is tested in test_traces


class CauselessError(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]  # on purpose
        if Switch.on:
            raise ZeroDivisionError("broken")
        return None


def chained(inner: BaseException, outer: BaseException) -> BaseException:
    outer.__context__ = inner
    return outer


errors: st.SearchStrategy[BaseException] = st.recursive(
    st.sampled_from(
        [ValueError, KeyError, BrokenError, CauselessError, KeyboardInterrupt, UnicodeError, SyntaxError]
    ).flatmap(lambda kind: st.builds(kind, sayable)),
    lambda inner: st.builds(chained, inner, inner),
    max_leaves=4,
)


@big
@given(errors, unicode | st.none(), unicode | st.none())
def test_any_exception_ships_with_its_type(error: BaseException, stack: str | None, text: str | None) -> None:
    made = record(exc_info=(type(error), error, None), stack_info=stack, exc_text=text)
    entry = shipped(made)
    assert entry["error_type"] == type(error).__name__
    assert type(error).__name__ in entry["stack_trace"]
    if stack:
        assert entry["stack_trace"].endswith(cleaned(stack))


@pytest.mark.parametrize("make", [deep, laughs, long_texts, circular], ids=lambda make: str(make.__name__))
def test_a_value_of_absurd_size_becomes_a_line_of_bounded_size(make: Callable[[], Any]) -> None:
    entry = builder().build(record(extra={"value": make(), "again": make()}))
    assert len(metadata_of(entry)) < 5 * BIG


def test_plain_json_values_arrive_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True, "x", {"b": []}], "c": -(2**63), "d": 2**64 - 1}
    assert shipped(record(extra={"value": value}))["metadata"]["value"] == value
