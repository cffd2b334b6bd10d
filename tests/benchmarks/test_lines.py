"""The verdicts on the numbers to hold, and that a full run measures each of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.lines import LINES, Line, Results, is_held, number
from tests.benchmarks.plan import full
from tests.benchmarks.table import COLUMNS, held

PLAIN = number("plain", "memory", "p50_us_ratio")
MOST = Line("median call", PLAIN, 1.4, "x floor")
LEAST = Line("delivered", PLAIN, 2.7, "x peer", at_least=True)
ALIKE = Line("wire", PLAIN, 1.0, "x collector", slack=0.05)


def results(**contenders: dict[str, float]) -> Results:
    return {"machine": {}, "works": {"plain": {"title": "Plain", "contenders": contenders}}}


@pytest.mark.parametrize(
    ("line", "value", "expected"),
    [
        (MOST, 1.4, True),
        (MOST, 1.41, False),
        (LEAST, 2.7, True),
        (LEAST, 2.69, False),
        (ALIKE, 1.05, True),
        (ALIKE, 1.06, False),
    ],
)
def test_a_number_is_held_up_to_its_limit(line: Line, value: float, expected: bool) -> None:
    assert is_held(line, value) is expected


def test_the_table_has_a_verdict_for_each_machine() -> None:
    fast, slow = results(memory={"p50_us_ratio": 1.3}), results(memory={"p50_us_ratio": 1.9})
    head, row = held({"fast": fast, "slow": slow, "idle": results()})
    assert head == ("", "limit", "fast", "", "slow", "", "idle", "")
    assert row[1:] == ("at most 1.40 x floor", "1.30 x floor", "held", "1.90 x floor", "NOT HELD", "not measured", "")


def test_the_peer_to_beat_is_the_fastest_of_those_that_lose_nothing() -> None:
    found = results(
        memory={"delivered_per_s": 120.0, "lost": 0},
        ndjson={"delivered_per_s": 130.0, "lost": 0},
        logzio={"delivered_per_s": 40.0, "lost": 0},
        logtail={"delivered_per_s": 30.0, "lost": 0},
        sentry={"delivered_per_s": 80.0, "lost": 1},
    )
    (ratio,) = [line.measured(found) for line in LINES if line.unit == "x whole peer" and "batch" not in line.what]
    assert ratio == 3.0


def test_a_full_run_measures_every_line() -> None:
    """A misspelt work, contender or number would leave a line out of every table."""
    numbers = {**dict.fromkeys((name for _, name, _ in COLUMNS), 1.0), "lost": 0.0, "uncounted": 0.0}
    measured: dict[str, Any] = {
        "httpx_imported": 0,
        "start_up_ms": 50,
        "hot_path": {"exception": {"ours_us": 20.0, "floor_us": 5.0}},
        "leftovers": {"fresh_s": 0.5, "delivered_s": 20.0, "posted_s": 15.0, "lost": 0},
        "works": {work.name: {"contenders": dict.fromkeys(work.contenders, numbers)} for work in full()},
    }
    assert [line.what for line in LINES if line.measured(measured) is None] == []
