"""Values that are too deep, too many, too long or circular, and values whose own code fails."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pydantic
import pytest

from logcollector_handler.entry.redact import MASK
from logcollector_handler.entry.text import MAX_KEY, MAX_REPR
from logcollector_handler.entry.values import MAX_DEPTH, MAX_VALUES
from tests.entry.making import (
    builder,
    metadata,
    metadata_of,
    record,
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


def test_of_too_many_values_the_rest_is_left_out_and_counted() -> None:
    shown = metadata(value=list(range(MAX_VALUES + 10)))["value"]
    assert shown[:3] == [0, 1, 2]
    assert len(shown) == MAX_VALUES
    assert shown[-1] == f"… {MAX_VALUES + 10 - len(shown) + 1} more left out"
    shown = metadata(value={f"k{n}": {} for n in range(MAX_VALUES + 10)})["value"]
    assert shown["…"] == f"{MAX_VALUES + 10 - len(shown) + 1} more left out"


def test_masked_values_count_towards_the_limit_of_values() -> None:
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


def test_long_keys_are_cut() -> None:
    [key] = metadata(value={"k" * 5000: 1})["value"]
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
