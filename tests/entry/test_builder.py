"""The columns that every record has, that an entry is a snapshot, and records that are logged while one is built."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import pytest

from logcollector_handler.entry import builder as builder_module
from logcollector_handler.entry import fields as fields_module
from logcollector_handler.entry.model import LogEntry
from tests.entry.making import (
    FORMAT,
    ORIGIN,
    Broken,
    Name,
    builder,
    metadata_of,
    record,
    ship,
    shipped,
)


def test_a_plain_record_fills_the_columns_that_every_record_has() -> None:
    made = record("paid %d", 3)
    entry = shipped(made)[0]
    assert entry == {
        "level": "INFO",
        "message": "paid 3",
        "created_at": made.created,
        "log_type": "BACKEND",
        "service": "shop",
        "environment": "production",
        "service_version": "v1",
        "function_name": "add",
        "file_path": "/srv/cart.py",
        "metadata": {"logger": "shop.cart", "line": 12, "process": os.getpid(), "thread": "MainThread"},
    }


def test_without_a_service_the_column_is_left_out() -> None:
    assert "service" not in shipped(record(), by=builder(service=None))[0]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        *[(-1, "TRACE"), (0, "TRACE"), (9, "TRACE"), (10, "DEBUG"), (19, "DEBUG"), (20, "INFO"), (29, "INFO")],
        *[(30, "WARN"), (39, "WARN"), (40, "ERROR"), (49, "ERROR"), (50, "FATAL"), (10**20, "FATAL"), (True, "TRACE")],
        *[(39.9, "WARN"), ("40", "ERROR"), (None, "INFO"), ("ERROR", "INFO"), (float("nan"), "INFO"), ([], "INFO")],
    ],
)
def test_a_level_is_named_by_its_number(number: Any, name: str) -> None:
    assert ship(levelno=number)["level"] == name


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        (1.5, 1.5),
        (Decimal("2.5"), 2.5),
        ("3.5", 3.5),
        (99_999_999_999, 99_999_999_999),
        (1.7e12, 1.7e9),
    ],
)
def test_a_time_in_seconds_is_kept_and_one_in_milliseconds_is_converted(created: Any, expected: float) -> None:
    entry = ship(created=created)
    assert entry["created_at"] == expected
    assert "created" not in entry["metadata"]


@pytest.mark.parametrize("created", [0, 0.0, -0.0, Decimal(0), "0"])
def test_a_time_of_zero_is_a_microsecond_because_servers_take_zero_for_no_time(created: Any) -> None:
    entry = ship(created=created)
    assert entry["created_at"] == 1e-6
    assert "created" not in entry["metadata"]


@pytest.mark.parametrize("created", [None, -1.0, float("-inf"), float("nan"), float("inf"), 1e30, "today", []])
def test_an_impossible_time_is_replaced_by_the_present_and_kept_as_a_field(
    created: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1234.5)
    made = record()
    made.created = created
    entry = shipped(made)[0]
    assert entry["created_at"] == 1234.5
    assert "created" in entry["metadata"]


@pytest.mark.parametrize("names", [("lineno",), ("funcName", "pathname"), ("name", "threadName", "process", "lineno")])
def test_attributes_that_are_none_or_missing_are_left_out(names: tuple[str, ...]) -> None:
    for gone in (True, False):
        made = record(extra={"a": 1})
        for name in names:
            if gone:
                del made.__dict__[name]
            else:
                setattr(made, name, None)
        entry = shipped(made)[0]
        assert entry["message"] == "hello"
        assert entry["metadata"]["a"] == 1
        assert ("function_name" in entry) == ("funcName" not in names)
        if "lineno" in names:
            assert entry["metadata"]["line"] is None


@pytest.mark.parametrize("name", ["pathname", "lineno", "funcName", "name", "threadName", "process"])
@pytest.mark.parametrize("value", [[], {}, 1.5, Broken(), Name("text"), "\ud800\0", "x" * 5000])
def test_attributes_of_the_call_site_can_have_any_value(name: str, value: Any) -> None:
    entry = ship(**{name: value})
    assert entry["message"] == "hello"
    assert entry["metadata"].keys() == ORIGIN


def test_function_and_file_are_cut_to_their_columns() -> None:
    entry = ship(funcName="f" * 301, pathname="p" * 1001)
    assert entry["function_name"] == "f" * 300
    assert entry["file_path"] == "p" * 1000


def test_the_number_of_remembered_call_sites_and_field_names_is_bounded() -> None:
    by = builder()
    for number in range(builder_module._REMEMBERED + 100):
        by.build(record(lineno=number, extra={f"field{number}": number}))
    assert len(by._sites) <= builder_module._REMEMBERED
    assert len(by._placer._meanings) <= fields_module._REMEMBERED
    assert shipped(record(extra={"field1": 1, "user_id": 2}), by=by)[0]["user_id"] == "2"


def test_20_000_call_sites_in_turn_are_all_remembered() -> None:
    made: list[LogEntry] = []
    by = builder(common=lambda entry: made.append(entry) or FORMAT.common(entry))  # type: ignore[func-returns-value]  # and go on
    for _ in range(2):
        for number in range(20_000):
            by.build(record(lineno=number))
    assert len(made) == 20_000


def test_a_call_site_too_many_costs_a_few_others_and_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder_module, "_REMEMBERED", 640)
    monkeypatch.setattr(fields_module, "_REMEMBERED", 640)
    by = builder()
    for number in range(641):
        by.build(record(lineno=number, extra={f"field{number}": number}))
    assert len(by._sites) == len(by._placer._meanings) == 631
    lines = [line for _, line, *_ in by._sites]
    assert lines == list(range(10, 641)), "the oldest are forgotten"


def test_a_loss_of_records_becomes_an_entry_that_says_how_many_and_why() -> None:
    entry = builder().loss_entry({"queue_full": 3, "shutdown": 1}, {"queue_full": "the queue was full"}, 5.0)
    assert (entry.level, entry.created_at, entry.service) == ("WARN", 5.0, "shop")
    assert entry.message == "4 log records were lost: 3 because the queue was full, 1 because shutdown"


# Snapshots


def test_objects_that_change_after_the_call_ship_as_they_were() -> None:
    by = builder()
    inner = [1]
    fields: dict[str, Any] = {"items": inner, "user": {"name": "a"}, "metadata": {"deep": inner}}
    made = record("hi %s", inner, extra=fields)
    entry = by.build(made)
    inner.append(2)
    fields["user"]["name"] = "b"
    made.__dict__["items"] = None
    made.msg = "other"
    assert entry.message == "hi [1]"
    assert metadata_of(entry).endswith(b'"items":[1],"user":{"name":"a"},"deep":[1]}')


# Code that logs while its record is built


def test_a_message_or_field_that_logs_itself_does_not_recurse_without_end() -> None:
    by = builder()
    built = []

    class Talker:
        def __repr__(self) -> str:
            built.append(by.build(record(self)))
            built.append(by.build(record("x", extra={"me": self})))
            built.append(by.build(record("%s", self)))
            return "talker"

    entry = by.build(record("hello", extra={"me": Talker()}))
    assert b'"me":"talker"' in metadata_of(entry)
    assert 0 < len(built) < 20_000


@pytest.mark.parametrize("args", ["one", "in a tuple", "by name"])
def test_an_argument_that_logs_itself_twice_does_not_multiply(args: str) -> None:
    by = builder()
    built = []

    def log(value: object) -> None:
        shapes: dict[str, Any] = {"one": (value,), "in a tuple": (1, value), "by name": ({"a": value},)}
        template = {"one": "%s", "in a tuple": "%d %s", "by name": "%(a)s"}[args]
        built.append(by.build(record(template, *shapes[args])))

    class Talker:
        def __str__(self) -> str:
            log(self)
            log(self)
            return "talker"

    log(Talker())
    assert built[-1].message.endswith("talker")
    assert len(built) < 100
