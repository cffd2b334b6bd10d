"""What a strict collector takes and refuses, as the real server was seen to."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.wire.posted.test_entries import NOW, nested, refusal, row


@pytest.mark.parametrize("name", ["environment", "service_version", "service"])
def test_a_strict_collector_refuses_null_where_the_real_server_does(name: str) -> None:
    assert refusal({"message": "m", name: None}).status == 500


@pytest.mark.parametrize(
    ("name", "posted", "stored"),
    [
        ("created_at", None, NOW),
        ("duration_ms", "12.5", 12.5),
        ("duration_ms", math.nan, None),
        ("duration_ms", True, 1.0),
        ("duration_ms", None, None),
        ("metadata", [1, {"a": 2}], '[1,{"a":2}]'),
        ("metadata", "text", '"text"'),
        ("metadata", 7, "7"),
    ],
)
def test_a_strict_collector_takes_what_the_real_server_takes(name: str, posted: Any, stored: Any) -> None:
    assert row({"message": "m", name: posted})[name] == stored


def test_a_strict_collector_stores_what_is_left_out_as_the_real_server_does() -> None:
    assert row({})["message"] == ""
    assert row({})["service"] == "unknown"
    assert row({"metadata": nested(300)})["metadata"]


@pytest.mark.parametrize("posted", ["long", "1e9", 1e9, [1], math.inf, "inf"])
def test_a_strict_collector_refuses_what_is_no_duration(posted: Any) -> None:
    assert refusal({"message": "m", "duration_ms": posted}).status == 500
