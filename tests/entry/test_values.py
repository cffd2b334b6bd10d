"""Every type in the table of `values`, with the real types."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import types
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec
import numpy as np
import pydantic
import pytest

from logcollector_handler.entry.encoding import encode_fields
from logcollector_handler.entry.redact import MASK, Redactor
from tests.entry.making import (
    metadata,
)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, "two")


class Level(enum.IntEnum):
    HIGH = 3


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class Data:
    x: int
    inner: Any = None


@dataclasses.dataclass
class Unset:
    x: int = dataclasses.field(init=False)
    y: int = 1


@attrs.define
class Attrs:
    x: int
    inner: Any = None


class Struct(msgspec.Struct):
    x: int
    inner: Any = None


class Model(pydantic.BaseModel):
    x: int
    inner: Any = None
    hidden: str = pydantic.Field(default="h", exclude=True)
    key: pydantic.SecretStr = pydantic.SecretStr("s3")


class Root(pydantic.RootModel[list[int]]):
    pass


class Pair(NamedTuple):
    first: int
    second: Any


class Said:
    def __repr__(self) -> str:
        return "said\0"


class Mute:
    def __repr__(self) -> str:
        raise ZeroDivisionError


class MuteError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        ("a\0b\ud800c😀", "a\ufffdb\ufffdc😀"),
        ("back\\u0000slash", "back\\u0000slash"),
        (Text("text"), "text"),
        (True, True),
        (None, None),
        (1.5, 1.5),
        (float("nan"), None),
        (float("-inf"), None),
        (Real(1.5), 1.5),
        (Real("nan"), None),
        (Number(5), 5),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (10**5000, "<a whole number of 16610 bits>"),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.Counter("aa"), {"a": 2}),
        ({1: "a", "1": "b", None: "c"}, {"1": "a", "1 (2)": "b", "None": "c"}),
        ({1.5: 1, b"k": 2, (1, 2): 3, Colour.RED: 4, Level.HIGH: 5}, {"1.5": 1, "k": 2, "(1, 2)": 3, "red": 4, "3": 5}),
        ({10**5000: 1}, {"<a whole number of 16610 bits>": 1}),
        ({"k\0": 1, "k\ufffd": 2}, {"k\ufffd": 1, "k\ufffd (2)": 2}),
        ([1, [2]], [1, [2]]),
        ((1, "a"), [1, "a"]),
        ({3}, [3]),
        (frozenset({3}), [3]),
        (collections.deque([1, 2]), [1, 2]),
        (b"bytes \xff", "bytes \\xff"),
        (bytearray(b"b\0"), "b\ufffd"),
        (memoryview(b"view"), "view"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5, 6, UTC), "2020-01-02T03:04:05.000006+00:00"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.time(3, 4), "03:04:00"),
        (datetime.timedelta(days=1, seconds=2), "1 day, 0:00:02"),
        (decimal.Decimal("1.50"), "1.50"),
        (decimal.Decimal("NaN"), "NaN"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (Path("/a/b"), "/a/b"),
        (Colour.RED, "red"),
        (Colour.PAIR, [1, "two"]),
        (Level.HIGH, 3),
        (Flags.A | Flags.B, 3),
        (Data(1, Data(2)), {"x": 1, "inner": {"x": 2, "inner": None}}),
        (Unset(), {"y": 1}),
        (Attrs(1, [Attrs(2)]), {"x": 1, "inner": [{"x": 2, "inner": None}]}),
        (Struct(1, {"a": Struct(2)}), {"x": 1, "inner": {"a": {"x": 2, "inner": None}}}),
        (Model(x=1), {"x": 1, "inner": None, "key": "SecretStr('**********')"}),
        (Root([1, 2]), [1, 2]),
        (Pair(1, "b"), {"first": 1, "second": "b"}),
        (np.int64(5), 5),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
        (np.bytes_(b"s"), "s"),
        (np.datetime64("2020-01-02"), "2020-01-02"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(7), 7),
        (np.longdouble(1.5), repr(np.longdouble(1.5))),
        (ValueError("why"), "ValueError: why"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (fractions.Fraction(1, 2), "Fraction(1, 2)"),
        (1j, "1j"),
        (range(3), "range(0, 3)"),
        (Data, repr(Data)),
        (Model, repr(Model)),
        (int, "<class 'int'>"),
        (Said(), "said\ufffd"),
        (Mute(), "<Mute, whose repr raises ZeroDivisionError>"),
        (MuteError(), "MuteError: <MuteError, whose str raises ZeroDivisionError>"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_type_becomes_its_json(value: Any, shown: Any) -> None:
    assert metadata(value=value)["value"] == shown
    assert metadata(value=[value])["value"] == [shown]


def test_a_large_array_is_cut_like_a_list_and_says_how_much() -> None:
    shown = metadata(value=np.zeros(200_000))["value"]
    assert shown[:-1] == [0.0] * (len(shown) - 1)
    assert shown[-1] == f"… {200_001 - len(shown)} more left out"
    rows = metadata(value=np.zeros((2, 200_000)))["value"]
    assert [row[-1] for row in rows] == [f"… {200_001 - len(row)} more left out" for row in rows]


def test_a_generator_is_not_consumed() -> None:
    numbers = (n for n in [1, 2])
    assert "generator" in metadata(value=numbers)["value"]
    assert list(numbers) == [1, 2]


def test_keys_and_values_of_a_mapping_become_lists() -> None:
    login = {"user": {"password": "hunter2"}}
    assert metadata(value=login.keys())["value"] == ["user"]
    assert metadata(value=login.values())["value"] == [{"password": MASK}]


def test_many_keys_of_the_same_text_are_all_kept() -> None:
    shown = metadata(value={Mute(): number for number in range(1000)})["value"]
    assert sorted(shown.values()) == list(range(1000))


def test_encoding_fields_does_not_change_them() -> None:
    fields = {"a": (1,), "b": "x"}
    assert encode_fields(fields, Redactor([]), 1000) == b'{"a":[1],"b":"x"}'
    assert fields == {"a": (1,), "b": "x"}
