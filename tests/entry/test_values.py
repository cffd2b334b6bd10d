"""Every type of the table in `values`, with the real types; bounds; secrets at any depth."""

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

from logcollector_handler.entry.redact import DEFAULT_REDACT, MASK, Redactor
from logcollector_handler.entry.text import MAX_KEY, MAX_REPR, shortened
from logcollector_handler.entry.values import MAX_DEPTH, MAX_VALUES, encode_fields
from tests.entry.making import builder, metadata, metadata_of, record, ship, shipped


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


def test_a_large_array_is_summed_up() -> None:
    shown = metadata(value=np.zeros(MAX_VALUES))["value"]
    assert shown.startswith("array([0., 0., 0., ...")


def test_a_generator_is_not_consumed() -> None:
    numbers = (n for n in [1, 2])
    assert "generator" in metadata(value=numbers)["value"]
    assert list(numbers) == [1, 2]


# Bounds


def test_what_contains_itself_says_so() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    loop: dict[str, Any] = {}
    loop["data"] = Data(1, loop)
    assert metadata(value=circle)["value"] == [1, "<itself>"]
    assert metadata(value=loop)["value"] == {"data": {"x": 1, "inner": "<itself>"}}


def test_what_stands_twice_is_shown_twice() -> None:
    shared = [1]
    assert metadata(value=[shared, shared])["value"] == [[1], [1]]


def test_deep_values_end_in_a_word() -> None:
    value: Any = "bottom"
    for _ in range(10_000):
        value = [value]
    shown = metadata(value=value)["value"]
    for _ in range(MAX_DEPTH - 1):
        [shown] = shown
    assert shown == f"<nested deeper than {MAX_DEPTH} levels>"


def test_what_opens_into_something_else_for_ever_comes_to_an_end() -> None:
    class One:
        model_fields: Any = ()

        def model_dump(self) -> Any:
            return Two()

    class Two(One):
        def model_dump(self) -> Any:
            return One()

    assert metadata(value=One())["value"] == f"<nested deeper than {MAX_DEPTH} levels>"


def test_of_very_many_values_the_rest_is_counted() -> None:
    shown = metadata(value=list(range(MAX_VALUES + 10)))["value"]
    assert shown[:3] == [0, 1, 2]
    assert len(shown) == MAX_VALUES
    assert shown[-1] == f"… {MAX_VALUES + 10 - len(shown) + 1} more left out"
    shown = metadata(value={f"k{n}": {} for n in range(MAX_VALUES + 10)})["value"]
    assert shown["…"] == f"{MAX_VALUES + 10 - len(shown) + 1} more left out"


def test_secrets_count_too_among_very_many_values() -> None:
    shown = metadata(value=[{"password": 1}] * (MAX_VALUES + 10))["value"]
    assert len(shown) < MAX_VALUES / 2 + 2


def test_long_texts_are_cut_and_say_how_much() -> None:
    by = builder(max_record_bytes=2000)
    entry = by.build(record(extra={"value": ["x" * 5000] * 100}))
    shown = msgspec.json.decode(metadata_of(entry))["value"]
    assert shown[0] == "x" * 1960 + "… [3040 more characters cut]"
    assert shown[-1] == "… [5000 more characters cut]"
    assert len(metadata_of(entry)) < 20_000


def test_a_long_repr_is_cut() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * (MAX_REPR + 100)

    assert len(metadata(value=Long())["value"]) <= MAX_REPR


def test_views_of_a_mapping_are_lists() -> None:
    login = {"user": {"password": "hunter2"}}
    assert metadata(value=login.keys())["value"] == ["user"]
    assert metadata(value=login.values())["value"] == [{"password": MASK}]


def test_long_keys_are_cut() -> None:
    [key] = metadata(value={"k" * 5000: 1})["value"]
    assert len(key) <= MAX_KEY
    assert key.endswith(" more characters cut]")


def test_many_keys_of_the_same_text_are_all_kept() -> None:
    shown = metadata(value={Mute(): number for number in range(1000)})["value"]
    assert sorted(shown.values()) == list(range(1000))


@pytest.mark.parametrize("limit", [0, 1, 39, 40, 41, 100, 999])
def test_shortened_text_says_how_much_is_missing_also_when_it_is_shortened_again(limit: int) -> None:
    once = shortened("x" * 1000, limit)
    for text in (once, shortened(shortened("x" * 1000, 500), limit) if limit < 500 else once):
        kept = text.count("x")
        assert text == f"{'x' * kept}… [{1000 - kept} more characters cut]"
        assert kept <= limit


def test_text_that_fits_is_not_shortened() -> None:
    assert shortened("x" * 10, 10) == "x" * 10


def test_the_fields_that_are_encoded_are_not_changed() -> None:
    fields = {"a": (1,), "b": "x"}
    assert encode_fields(fields, Redactor([]), 1000) == b'{"a":[1],"b":"x"}'
    assert fields == {"a": (1,), "b": "x"}


# Values whose code fails: fields and items may be secret, so their repr is not shown


class BrokenDict(dict[str, Any]):
    def items(self) -> Any:
        raise ZeroDivisionError


class BrokenList(list[Any]):
    def __iter__(self) -> Any:
        raise ZeroDivisionError


class BrokenModel(pydantic.BaseModel):
    password: str

    @pydantic.field_serializer("password")
    def fail(self, value: str) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "value", [BrokenDict(password="hunter2"), BrokenList(["hunter2"]), BrokenModel(password="hunter2")]
)
def test_a_container_that_cannot_be_read_is_named_and_not_shown(value: Any) -> None:
    shown = metadata(value=value, other=[1])
    assert "hunter2" not in str(shown)
    assert shown["value"].startswith(f"<{type(value).__name__}, which could not be read: ")
    assert shown["other"] == [1]


def test_a_dict_that_changes_while_it_is_read_is_shown_as_it_was() -> None:
    class Meddler:
        def __repr__(self) -> str:
            fields["new"] = 1
            items.append(1)
            return "meddler"

    fields: dict[str, Any] = {"a": Meddler(), "b": 2, "password": "p"}
    items: list[Any] = []
    assert metadata(value=fields)["value"] == {"a": "meddler", "b": 2, "password": MASK}
    items[:] = [Meddler(), 2]
    assert metadata(value=items)["value"] == ["meddler", 2]


def test_one_broken_value_leaves_the_others_alone() -> None:
    class Liar:
        @property  # type: ignore[misc]  # isinstance asks for it
        def __class__(self) -> Any:
            raise ZeroDivisionError

        def __repr__(self) -> str:
            return "liar"

    assert metadata(value=Liar(), other=[1]) == {"value": "liar", "other": [1]}


# Secrets


@pytest.mark.parametrize(
    "name",
    [*DEFAULT_REDACT, "PASSWORD", "Pass_Word", "apiKey", "API-KEY", "X-Api-Key", "Set-Cookie", " access token ", "CVV"],
)
def test_a_secret_is_masked_however_its_name_is_spelt(name: str) -> None:
    assert metadata(**{name: "hunter2"}) == {name: MASK}
    assert metadata(value={"a": [{name: {"b": "hunter2"}}]})["value"] == {"a": [{name: MASK}]}


@pytest.mark.parametrize("name", ["passwords", "tokens_used", "key", "author", "secretary", "cookies_eaten"])
def test_other_names_are_not_masked(name: str) -> None:
    assert metadata(**{name: "shown"}) == {name: "shown"}


@dataclasses.dataclass
class Login:
    user: str
    password: str


@attrs.define
class AttrsLogin:
    user: str
    password: str


class StructLogin(msgspec.Struct):
    user: str
    password: str


class ModelLogin(pydantic.BaseModel):
    user: str
    password: str


class TupleLogin(NamedTuple):
    user: str
    password: str


def items_view(**fields: str) -> Any:
    return fields.items()


@pytest.mark.parametrize(
    "kind", [dict, Login, AttrsLogin, StructLogin, ModelLogin, TupleLogin, types.SimpleNamespace, items_view]
)
def test_a_secret_is_masked_in_whatever_has_fields(kind: Any) -> None:
    expected = {"user": "u", "password": MASK}
    login = kind(user="u", password="hunter2")
    assert metadata(value=[{"deep": login}])["value"] == [{"deep": expected}]
    assert metadata(metadata={"login": login, "token": 1}) == {"login": expected, "token": MASK}
    entry = ship({"event": "e", "login": login, "api_key": "hunter2"})
    assert entry["metadata"]["login"] == expected
    assert entry["metadata"]["api_key"] == MASK


@pytest.mark.parametrize("key", [Text("password"), b"password", enum.Enum("E", {"P": "password"}).P])  # type: ignore[attr-defined]  # a member
def test_a_secret_is_masked_whatever_its_key_is(key: Any) -> None:
    assert metadata(value={key: "hunter2", "password": "hunter2"})["value"].keys() >= {"password"}
    assert "hunter2" not in str(metadata(value={key: "hunter2", "password": "hunter2"}))
    made = record()
    made.__dict__[key] = "hunter2"
    assert "hunter2" not in str(shipped(made))


def test_a_name_to_redact_is_masked_also_if_it_is_that_of_a_column() -> None:
    by = builder(redact=["user_id"])
    [entry] = shipped(record(extra={"user_id": "hunter2", "password": "shown"}), by=by)
    assert "user_id" not in entry
    assert entry["metadata"]["user_id"] == MASK
    assert entry["metadata"]["password"] == "shown"


def test_names_to_redact_are_taken_in_any_spelling() -> None:
    secret = Redactor(["Session-ID", "straße"])
    assert secret("session_id")
    assert secret("STRASSE")
    assert not secret("session")
