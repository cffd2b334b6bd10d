"""Values that are too deep, too many, too long or circular, and values whose own code fails."""

from __future__ import annotations

import collections
import dataclasses
import re
from typing import Any

import msgspec
import pydantic
import pytest

from logcollector_handler.entry.marks import MORE, left_out
from logcollector_handler.entry.redact import MASK
from logcollector_handler.entry.text import MAX_KEY, MAX_REPR
from logcollector_handler.entry.walk import MAX_DEPTH
from tests.entry.making import (
    builder,
    metadata,
    metadata_of,
    record,
    shipped,
)


@dataclasses.dataclass
class Data:
    inner: Any


# Bounds


def test_a_container_inside_itself_is_replaced_by_a_note() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    loop: dict[str, Any] = {}
    loop["data"] = Data(loop)
    assert metadata(value=circle)["value"] == [1, "<itself>"]
    assert metadata(value=loop)["value"] == {"data": {"inner": "<itself>"}}


def test_a_container_that_occurs_twice_is_shown_twice() -> None:
    shared = [1]
    assert metadata(value=[shared, shared])["value"] == [[1], [1]]


def test_values_nested_too_deep_are_replaced_by_a_note() -> None:
    value: Any = "bottom"
    for _ in range(10_000):
        value = [value]
    shown = metadata(value=value)["value"]
    for _ in range(MAX_DEPTH - 1):
        [shown] = shown
    assert shown == f"<nested deeper than {MAX_DEPTH} levels>"


def test_an_object_that_opens_into_another_without_end_is_replaced_by_a_note() -> None:
    class One:
        model_fields: Any = ()

        def model_dump(self) -> Any:
            return Two()

    class Two(One):
        def model_dump(self) -> Any:
            return One()

    assert metadata(value=One())["value"] == f"<nested deeper than {MAX_DEPTH} levels>"


def test_many_values_that_fit_are_all_there() -> None:
    assert metadata(value=[[n] for n in range(20_000)])["value"][-1] == [19_999]
    assert metadata(value={str(n): n for n in range(15_000)})["value"]["14999"] == 14_999


@pytest.mark.parametrize(
    "items", [range(100_000), [{"password": n} for n in range(30_000)], [[n] for n in range(50_000)]]
)
def test_of_too_many_values_the_rest_is_left_out_and_counted(items: Any) -> None:
    *shown, mark = metadata(value=list(items))["value"]
    assert len(shown) > 10_000
    assert mark == f"… {len(items) - len(shown)} more left out"
    shown = metadata(value={f"k{number}": item for number, item in enumerate(items)})["value"]
    assert shown["…"] == f"{len(items) - len(shown) + 1} more left out"


def test_of_an_endless_value_no_more_is_looked_at_than_there_is_room_for() -> None:
    looked = 0

    class Endless(list[Any]):
        def __len__(self) -> int:
            return 10**9

        def __iter__(self) -> Any:
            nonlocal looked
            while True:
                looked += 1
                yield [looked]

    by = builder(max_record_bytes=5000)
    (entry,) = shipped(record(extra={f"value{number}": Endless() for number in range(10)}), by=by, max_bytes=5000)
    assert all("more left out" in entry["metadata"][f"value{number}"][-1] for number in range(10))
    assert looked < 10 * 5000


@pytest.mark.parametrize("length", [0, 2, 10**9])
def test_a_mapping_that_tells_a_wrong_length_is_shown_and_never_lacks_less_than_nothing(length: int) -> None:
    kind = type("Wrong", (collections.UserDict,), {"__len__": lambda self: length})
    shown = metadata(value=kind(a=1, b=2, c=3))["value"]
    assert shown.items() >= {"a": 1, "b": 2, "c": 3}.items()
    assert shown.get(MORE) in (None, left_out(length - 3))
    assert (MORE in shown) == (length > 3)


def test_long_texts_are_cut_and_say_how_much() -> None:
    by = builder(max_record_bytes=2000)
    entry = by.build(record(extra={"value": ["x" * 5000] * 100, "bytes": b"y" * 5000, "note": "z" * 100}))
    shown = msgspec.json.decode(metadata_of(entry))
    assert re.fullmatch(r"x+… \[\d+ more characters cut\]", shown["value"][0])
    assert re.fullmatch(r"… \d\d more left out", shown["value"][-1])
    assert re.fullmatch(r"y+… \[\d+ more bytes cut\]", shown["bytes"])
    assert shown["note"] == "z" * 100
    assert len(metadata_of(entry)) < 2_500


def test_a_long_repr_is_cut() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * (MAX_REPR + 100)

    assert len(metadata(value=Long())["value"]) <= MAX_REPR


def test_long_keys_are_cut() -> None:
    [key] = metadata(value={"k" * 500_000: 1})["value"]
    assert len(key) <= MAX_KEY
    assert key.endswith(" more characters cut]")


# Values whose code fails. Their fields and items may be secret, so their `repr` is not shown.


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
