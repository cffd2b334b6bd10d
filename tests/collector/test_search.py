"""Searching logs by words and filters, and that SQLite uses the right indexes, so that a million rows stay fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.collector import conditions, scan, search
from logcollector_handler.collector.query import IDS, MAX_WORDS, Query, parse_histogram, parse_query
from logcollector_handler.collector.store import Store
from logcollector_handler.entry.model import LEVELS
from logcollector_handler.wire.posted.body import RawBatch, RefusedError
from logcollector_handler.wire.posted.entries import check


def add(store: Store, *entries: dict[str, Any]) -> None:
    store.add(check(RawBatch(list(entries), suspicious=True), strict=False, now=0.0).rows)


def found(store: Store, **filters: Any) -> list[str]:
    return [entry["message"] for entry in store.page(Query(**filters)).entries]


@pytest.fixture
def database(store: Store, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the file of `store`."""
    connection = sqlite3.connect(tmp_path / "logs.sqlite")
    yield connection
    connection.close()


def plan(database: sqlite3.Connection, sql: conditions.Sql) -> list[str]:
    return [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql[0]}", sql[1])]


@pytest.mark.parametrize("column", IDS)
@pytest.mark.parametrize(
    "value",
    [
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "user-7",
        "Müller",
        "a b",
        " a",
        'a"b',
        "a'b",
        "a*",
        "***",
        " ",
        "",
        "\x01",
        "😀",
    ],
)
def test_any_id_is_found_by_its_exact_value(store: Store, column: str, value: str) -> None:
    others = [other[:32] for other in (f"7{value}", f"x {value}", f"{value[1:]}7", f"{value[1:]} {value}")]
    add(store, {"message": "it", column: value}, *({"message": "other", column: other} for other in others))
    add(store, *({"message": "elsewhere", other: value} for other in IDS if other != column), {"message": value})
    assert found(store, exact={column: value}) == ["it"]
    counts = store.histogram(Query(exact={column: value}), 1).counts
    assert counts == {"INFO": [1]}


def test_the_levels_over_time_are_counted_from_an_index_alone(database: sqlite3.Connection) -> None:
    assert plan(database, (search.COUNT_LEVEL, ["INFO", 1.0, 2.0])) == [
        "SEARCH logs USING COVERING INDEX logs_by_level (level=? AND created_at>? AND created_at<?)"
    ]


def test_listing_the_values_of_a_column_takes_one_index_step_for_each(database: sqlite3.Connection) -> None:
    for name in ("service", "logger"):
        steps = plan(database, (search.NEXT_VALUE.format(column=name), ["a", 1000]))
        assert steps == [f"SEARCH logs USING COVERING INDEX logs_by_{name} ({name}>?)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pay", True),
        ("PAYMENT", True),
        ("fail pay", True),
        ("ayment", False),
        ("payment nothing", False),
        ('"payment of user-7 failed"', True),
        ('"failed payment"', False),
        ("user-7", True),
        ("user_7", False),
        ("of-user", False),
        ("zürich", True),
        ("ZÜRICH", True),
        ("declined", True),
        ("pay() declined", True),
        ("pay) declined", False),
        ("%", False),
        ("   ", True),
    ],
)
def test_an_entry_matches_if_each_word_of_the_text_begins_a_word_of_it(store: Store, text: str, expected: bool) -> None:
    add(store, {"message": "Payment of user-7 failed in Zürich", "stack_trace": "in pay()\nDeclinedError: declined"})
    assert found(store, text=text) == (["Payment of user-7 failed in Zürich"] if expected else [])


@pytest.mark.parametrize(
    "text",
    [
        'a"',
        '"',
        '""',
        '"""a"',
        "a AND b",
        "NOT a",
        "a OR (b",
        "NEAR(a b, 2)",
        "message : a",
        "message:a",
        "- a",
        "^a",
        "a*",
        "*",
        "{message stack_trace}: a",
        "a + b",
        "'; DROP TABLE logs; --",
        "\x01\U0001f600",
    ],
)
def test_full_text_syntax_in_a_text_has_no_special_meaning(store: Store, text: str) -> None:
    add(store, {"message": "unlike all of it"}, {"message": f"it is here: {text}"})
    assert found(store, text=text) == [f"it is here: {text}"]


@pytest.mark.parametrize("common", [0, conditions.COMMON])
def test_a_common_text_finds_the_same_as_a_rare_one(store: Store, monkeypatch: pytest.MonkeyPatch, common: int) -> None:
    add(store, *({"message": f"order {n}", "created_at": n, "level": "WARN"} for n in range(50)))
    add(store, *({"message": f"parcel {n}", "created_at": n} for n in range(50)))
    monkeypatch.setattr(conditions, "COMMON", common)
    monkeypatch.setattr(scan, "STEPS", (10, 20))
    monkeypatch.setattr(scan, "GLANCE", 10)
    queries = [Query(text="ord", limit=7), Query(text="ord", min_level="ERROR"), Query(text="order 4", since=30.0)]
    found = [(store.page(query).entries, store.histogram(query, 5).counts) for query in queries]
    assert [len(entries) for entries, _ in found] == [7, 0, 10]
    assert [sum(map(sum, counts.values())) for _, counts in found] == [50, 0, 10]


def test_min_level_finds_that_level_and_all_above(store: Store) -> None:
    add(store, *({"message": level, "level": level, "created_at": n} for n, level in enumerate(LEVELS)))
    assert found(store, min_level="WARN") == ["FATAL", "ERROR", "WARN"]
    assert len(found(store, min_level="TRACE")) == 6


@pytest.mark.parametrize(
    ("filters", "counts"),
    [
        ({}, {"INFO": [2, 0, 0, 1], "ERROR": [0, 1, 0, 1]}),
        ({"min_level": "ERROR"}, {"ERROR": [0, 1, 0, 1]}),
        ({"exact": {"service": "a"}}, {"INFO": [2, 0, 0, 0], "ERROR": [0, 0, 0, 1]}),
        ({"exact": {"level": "INFO"}}, {"INFO": [2, 0, 0, 1]}),
        ({"text": "two"}, {"INFO": [1, 0, 0, 0], "ERROR": [0, 0, 0, 1]}),
        ({"text": "none of it"}, {}),
    ],
)
def test_a_histogram_counts_the_levels_of_each_interval(
    store: Store, filters: dict[str, Any], counts: dict[str, list[int]]
) -> None:
    add(
        store,
        {"message": "before", "created_at": 9.9, "service": "a"},
        {"message": "one", "created_at": 10, "service": "a"},
        {"message": "two", "created_at": 10.9, "service": "a"},
        {"message": "three", "created_at": 11, "level": "ERROR"},
        {"message": "four", "created_at": 13},
        {"message": "two two", "created_at": 13.999, "level": "ERROR", "service": "a"},
        {"message": "behind", "created_at": 14, "service": "a"},
    )
    histogram = store.histogram(Query(since=10.0, until=14.0, **filters), 4)
    assert (histogram.since, histogram.width, histogram.counts) == (10.0, 1.0, counts)


def test_a_histogram_without_bounds_counts_every_log(store: Store) -> None:
    assert store.histogram(Query(), 10).counts == {}
    add(store, {"message": "a", "created_at": 5.0})
    assert sum(store.histogram(Query(), 10).counts["INFO"]) == 1
    add(store, *({"message": "a", "created_at": n / 3, "service": "s"} for n in range(100)))
    assert sum(store.histogram(Query(), 7).counts["INFO"]) == 101
    assert sum(store.histogram(Query(exact={"service": "s"}), 7).counts["INFO"]) == 100


def test_services_and_loggers_are_listed_once(store: Store) -> None:
    assert store.values() == {"service": [], "logger": []}
    add(store, *({"message": "m", "service": name} for name in "bcab"), {"message": "m", "metadata": {"logger": "x.y"}})
    assert store.values() == {"service": ["a", "b", "c"], "logger": ["x.y"]}


def test_a_text_with_too_many_words_is_refused() -> None:
    assert parse_query([("text", "a " * MAX_WORDS)]).text is not None
    with pytest.raises(RefusedError, match="text"):
        parse_query([("text", "a " * (MAX_WORDS + 1))])


def test_a_text_with_the_maximum_of_words_is_searched(store: Store) -> None:
    add(store, {"message": "a"})
    assert found(store, text="a! " * MAX_WORDS) == []
    assert found(store, text="a " * MAX_WORDS) == ["a"]


def test_a_histogram_with_too_many_buckets_is_refused() -> None:
    assert parse_histogram([("buckets", "7"), ("level", "INFO")]) == (Query(exact={"level": "INFO"}, limit=1), 7)
    for wrong in ("0", "501", "x"):
        with pytest.raises(RefusedError, match="buckets"):
            parse_histogram([("buckets", wrong)])
