"""Anything that can be logged, made by hypothesis, and the check of what is shipped for it: for tests of properties."""

from __future__ import annotations

import dataclasses
import enum
import logging
import math
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.entry.making import (
    BIG,
    ORIGIN,
    Name,
    accepted,
    body_of,
    builder,
    encode_lines,
    parsed,
    record,
    split,
)

# The server's table, written down a second time: the code under test must not be its own judge.


CHOICES = {
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
TABLE = {*CHOICES, *TEXTS, "created_at", "duration_ms", "metadata"}


def storable(value: Any) -> None:
    """Fail if there is anything in the value that a text or JSON column cannot hold."""
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
    """The entry in a line. Fails if the server's table would refuse it."""
    assert len(line) <= max_bytes
    assert b"\n" not in line
    entry = parsed(line)
    assert {"level", "message", "created_at", "log_type", "metadata"} <= entry.keys() <= TABLE
    storable(entry)
    for name, value in entry.items():
        if name in CHOICES:
            assert value in CHOICES[name], name
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


def checked(made: logging.LogRecord, max_bytes: int = BIG) -> dict[str, Any]:
    """What the server is sent for a record between two ordinary ones. Fails if it changes, or changes those."""
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


class Switch:
    """Broken objects fail only while it is on, so that pytest and hypothesis can look at them before and after."""

    on = False

    def __enter__(self) -> None:
        Switch.on = True

    def __exit__(self, *_: object) -> None:
        Switch.on = False


def breaking(kind: type, name: str) -> Any:
    """A method that raises while the switch is on, and else does what it does in `kind`."""

    def method(self: Any, *args: Any) -> Any:
        if Switch.on:
            raise ZeroDivisionError("broken")
        return getattr(kind, name)(self, *args)

    return method


def broken(kind: type, *names: str) -> Any:
    """A subclass whose named methods raise while the switch is on."""
    return type(f"Hostile{kind.__name__}", (kind,), {name: breaking(kind, name) for name in names})


class Hostile(broken(object, "__repr__", "__str__", "__eq__", "__format__", "__lt__")):  # type: ignore[misc]  # made above
    """Whatever the interpreter calls on it raises while the switch is on."""

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return not breaking(object, "__str__")(self) or True

    __len__ = __iter__ = __fspath__ = __float__ = __int__ = __index__ = __bool__

    @property  # type: ignore[misc]  # isinstance asks for it
    def __class__(self) -> Any:
        if Switch.on:
            raise ZeroDivisionError("broken")
        return Hostile


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
    """A list with a short `repr`. Hypothesis prints values when a test fails, and would never finish printing this."""

    def __repr__(self) -> str:
        return "<laughs>"


def laughs() -> Any:
    made: Any = ["ha"] * 10
    for _ in range(30):
        made = [made] * 10
    return Laughs(made)


def long_texts() -> Any:
    return ["x" * 100_000] * 4_000


#: Made by a call that hypothesis can print: Python refuses to print the number itself, which has too many digits.
huge = st.builds(pow, st.just(10), st.just(5000))
odd: st.SearchStrategy[Any] = st.one_of(
    st.builds(Hostile),
    st.builds(BrokenDict, st.just({"password": 1})),
    st.builds(BrokenInt, st.just(3)),
    huge,
    st.sampled_from([BrokenError("x"), ValueError("why"), Colour.RED, Colour.BLUE, len, int, Name("n\0"), Ellipsis]),
)
#: Objects whose text would be endless or nearly so. They cannot be part of a message.
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
) | st.sampled_from([Colour.RED, Colour.BLUE, Hostile(), BrokenInt(3), (1, 2), "pass word", b"password"])


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(Point, inner)
    )


sayable: st.SearchStrategy[Any] = st.recursive(leaves, nested, max_leaves=8)
values: st.SearchStrategy[Any] = st.recursive(leaves | absurd, nested, max_leaves=8)
names = st.sampled_from(sorted(TABLE - {"message"})) | st.sampled_from(sorted(ORIGIN | {"truncated", "password", "…"}))
names |= unicode
extras = st.dictionaries(names, values, max_size=6)
# The check runs them on every Python, each time with other examples.
big = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def cleaned(text: str) -> str:
    return "".join("\ufffd" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)
