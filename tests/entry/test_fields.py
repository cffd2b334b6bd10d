"""Which value an entry has when several have one name, and what becomes of odd names."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.entry.making import (
    ORIGIN,
    Name,
    metadata,
    record,
    ship,
    shipped,
)


def test_an_extra_wins_over_the_handlers_settings() -> None:
    entry = ship(extra={"service": "s", "environment": "test", "service_version": "9", "log_type": "IOT"})
    assert (entry["service"], entry["environment"], entry["service_version"], entry["log_type"]) == (
        *("s", "test", "9", "IOT"),
    )


def test_message_level_and_time_come_from_the_record_only() -> None:
    made = record("the message", created=5.0)
    made.__dict__.update(level="FATAL", created_at=1)
    entry = shipped(made)[0]
    assert (entry["message"], entry["level"], entry["created_at"]) == ("the message", "INFO", 5.0)
    assert (entry["metadata"]["level"], entry["metadata"]["created_at"]) == ("FATAL", 1)


def test_a_dict_named_metadata_is_merged_and_what_has_the_name_of_a_field_is_numbered() -> None:
    assert metadata(metadata={"a": 1, "b": {"c": 2}}, a=3) == {"a": 3, "a (2)": 1, "b": {"c": 2}}


@pytest.mark.parametrize("name", sorted(ORIGIN))
def test_a_field_named_like_one_that_every_record_has_is_numbered(name: str) -> None:
    own = ship()["metadata"][name]
    for found in (ship(extra={"metadata": {name: "mine"}}), ship({"event": "e", name: "mine"})):
        assert (found["metadata"][name], found["metadata"][f"{name} (2)"]) == (own, "mine")


@pytest.mark.parametrize("neighbour", [1, [1]])
def test_an_extra_named_like_a_field_that_every_record_has_is_numbered(neighbour: Any) -> None:
    found = ship(extra={"line": 99, "logger": "mine", "other": neighbour})["metadata"]
    assert (found["line (2)"], found["logger (2)"], found["other"]) == (99, "mine", neighbour)
    assert (found["line"], found["logger"]) == (12, "shop.cart")


def test_a_field_that_says_what_the_record_says_is_not_said_twice() -> None:
    assert ship({"event": "e", "logger": "shop.cart"})["metadata"].keys() == ORIGIN


def test_a_dict_named_metadata_that_cannot_be_read_is_a_field_like_others() -> None:
    class Tricky(dict[str, int]):
        def items(self) -> Any:
            raise ZeroDivisionError

    assert metadata(metadata=Tricky(a=1), other=2) == {
        "metadata": "<Tricky, which could not be read: ZeroDivisionError>",
        "other": 2,
    }


def test_fields_whose_names_are_not_plain_text_ship_too() -> None:
    made = record()
    made.__dict__.update({Name("user_id"): 5, Name("word"): 1, 7: "int", "7": "text"})  # type: ignore[dict-item]  # on purpose
    entry = shipped(made)[0]
    assert entry["user_id"] == "5"
    assert entry["metadata"]["word"] == 1
    assert sorted(value for name, value in entry["metadata"].items() if name[0] == "7") == ["int", "text"]


def test_fields_are_found_at_any_position_among_the_attributes_of_a_record() -> None:
    behind = record(extra={"a": 1, "b": "2"})
    behind.__dict__["msg"] = behind.__dict__.pop("msg")
    instead = record()
    del instead.module
    instead.__dict__["a"] = 1
    instead.__dict__["b"] = "2"
    formatted = record(extra={"a": 1, "b": "2"})
    formatted.message = formatted.asctime = "by another handler's formatter"
    for made in (behind, instead, formatted):
        entry = shipped(made)[0]
        assert entry["message"] == "hello"
        assert entry["metadata"].keys() == {*ORIGIN, "a", "b"}


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="every record has a task's name from Python 3.12 on")
def test_a_field_named_as_the_task_is_the_users_where_records_have_no_such_attribute() -> None:
    assert metadata(taskName="mine") == {"taskName": "mine"}
