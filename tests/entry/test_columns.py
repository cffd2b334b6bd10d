"""Which values a column takes, converts, cuts or declines, and what `metadata` keeps of them."""

from __future__ import annotations

import enum
import math
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest

from logcollector_handler.entry.columns import _rule
from logcollector_handler.entry.model import COLUMNS, TEXT_LIMITS, Choice, Time
from tests.entry.making import (
    Broken,
    Name,
    ship,
)
from tests.entry.strategies import CHOICES, TABLE, TEXTS


class Method(enum.Enum):
    GET = "get"


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        ("user_id", 12345, "12345"),
        ("user_id", "u-1", "u-1"),
        ("user_id", 1.5, "1.5"),
        ("user_id", Decimal("1.50"), "1.50"),
        ("user_id", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("user_id", Name("n"), "n"),
        ("user_id", "é" * 255, "é" * 255),
        ("user_id", Method.GET, "get"),
        ("session_id", "s" * 100, "s" * 100),
        ("trace_id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("trace_id", uuid.UUID("4bf92f35-77b3-4da6-a3ce-929d0e0e4736"), "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("trace_id", "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736", "4BF92F3577B34DA6A3CE929D0E0E4736"),
        ("trace_id", "not-a-uuid", "not-a-uuid"),
        ("trace_id", "x" * 32, "x" * 32),
        ("environment", "prod", "production"),
        ("environment", "DEV", "development"),
        ("environment", " Stage ", "staging"),
        ("environment", "testing", "test"),
        ("environment", "LOCAL", "local"),
        ("log_type", "worker", "WORKER"),
        ("method", "get", "GET"),
        ("method", Method.GET, "GET"),
        ("service", "other", "other"),
        ("service_version", 2, "2"),
        ("path", PurePosixPath("/a/b"), "/a/b"),
        ("action_type", "a" * 50, "a" * 50),
        ("error_type", "MyError", "MyError"),
        ("function_name", "mine", "mine"),
        ("file_path", "mine.py", "mine.py"),
        ("stack_trace", "at line 1", "at line 1"),
        ("stack_trace", "x" * 5000, "x" * 5000),
        ("duration_ms", 1, 1),
        ("duration_ms", 1.23456, 1.235),
        ("duration_ms", "12.5", 12.5),
        ("duration_ms", Decimal("0.1"), 0.1),
        ("duration_ms", timedelta(seconds=2), 2000),
        ("duration_ms", -9_999_999.999, -9_999_999.999),
    ],
)
def test_a_value_that_a_column_can_hold_is_converted_to_its_type(name: str, value: Any, column: Any) -> None:
    entry = ship(extra={name: value})
    assert entry[name] == column
    assert name not in entry["metadata"]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("user_id", True, True),
        ("user_id", None, None),
        ("user_id", [1], [1]),
        ("user_id", "u" * 256, "u" * 256),
        ("session_id", "s" * 101, "s" * 101),
        ("trace_id", "x" * 33, "x" * 33),
        ("trace_id", "-" * 36, "-" * 36),
        ("trace_id", "4bf92f3-577b3-4da6-a3ce-929d0e0e47361", "4bf92f3-577b3-4da6-a3ce-929d0e0e47361"),
        ("trace_id", {"a": 1}, {"a": 1}),
        ("environment", "qa", "qa"),
        ("environment", 1, 1),
        ("log_type", "SERVER", "SERVER"),
        ("method", "BREW", "BREW"),
        ("method", None, None),
        ("service", None, None),
        ("path", b"/x", "/x"),
        ("duration_ms", 10_000_000, 10_000_000),
        ("duration_ms", 9_999_999.9996, 9_999_999.9996),
        ("duration_ms", float("nan"), None),
        ("duration_ms", float("inf"), None),
        ("duration_ms", 10**400, str(10**400)),
        ("duration_ms", "soon", "soon"),
        ("duration_ms", True, True),
        ("duration_ms", 1j, "1j"),
        ("user_id", Broken(), "<Broken, whose repr raises ZeroDivisionError>"),
        ("level", "debug", "debug"),
        ("created_at", 5, 5),
        ("metadata", [1], [1]),
        ("metadata", "text", "text"),
    ],
)
def test_a_value_that_no_column_can_hold_is_kept_whole_in_metadata(name: str, value: Any, kept: Any) -> None:
    by_default, entry = ship(), ship(extra={name: value})
    assert entry["metadata"][name] == kept
    assert entry.get(name) == by_default.get(name) or name in {"created_at", "metadata"}


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *[("service", 100), ("service_version", 50), ("error_type", 200), ("function_name", 300)],
        *[("file_path", 1000), ("path", 500), ("action_type", 50)],
    ],
)
def test_text_too_long_is_cut_in_its_column_and_whole_in_metadata(name: str, limit: int) -> None:
    entry = ship(extra={name: "é" * (limit + 1)})
    assert entry[name] == "é" * limit
    assert entry["metadata"][name] == "é" * (limit + 1)


def test_the_columns_are_those_of_the_servers_table() -> None:
    assert set(COLUMNS) == TABLE
    assert {name: kind.values for name, kind in COLUMNS.items() if isinstance(kind, Choice)}.keys() == CHOICES.keys()
    for name, values in CHOICES.items():
        kind = COLUMNS[name]
        assert isinstance(kind, Choice)
        assert set(kind.values) == values
    assert {name: limit for name, limit in TEXTS.items() if limit < math.inf} == TEXT_LIMITS


def test_a_column_that_no_rule_can_fill_is_an_error_at_import() -> None:
    with pytest.raises(TypeError, match="seen_at"):
        _rule("seen_at", Time())
