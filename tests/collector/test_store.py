"""The store: batches stored once, queries and their order, and what threads may do at the same time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from logcollector_handler.collector.query import Query
from logcollector_handler.collector.search import TOGETHER
from logcollector_handler.collector.store import KEEP_KEYS, SWEEP_EVERY, Store
from tests.collector.storing import found, messages, rows


def test_an_entry_is_returned_as_it_was_stored(store: Store) -> None:
    entry = {
        "level": "WARN",
        "message": "m\n€ 😀",
        "created_at": 1_700_000_000.123456,
        "log_type": "WORKER",
        "user_id": "12345",
        "duration_ms": 0.1,
        "metadata": {"a": [1, None, {"b": "ü"}], "": 10**30},
    }
    store.add(rows(entry))
    assert msgspec.json.decode(msgspec.json.encode(store.page(Query()).entries)) == [{"id": 1, **entry}]
    assert store.in_order_of_arrival() == [{"id": 1, **entry}]


def test_a_batch_with_a_known_key_is_not_stored_again(store: Store) -> None:
    first = store.add(rows({"message": "a"}, {"message": "b"}), "key")
    again = store.add(rows({"message": "c"}), "key")
    other = store.add(rows({"message": "d"}), "another key")
    assert (first.count, first.repeated) == (2, False)
    assert (again.count, again.repeated) == (2, True)
    assert (other.count, other.repeated) == (1, False)
    assert messages(store.in_order_of_arrival()) == ["a", "b", "d"]


def test_batches_without_a_key_are_all_stored(store: Store) -> None:
    for _ in range(2):
        store.add(rows({"message": "a"}))
    assert store.count() == 2


@pytest.mark.parametrize("count", [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 2 * TOGETHER + 3])
def test_a_batch_of_any_length_is_stored_whole_and_in_order(store: Store, count: int) -> None:
    added = store.add(rows(*({"message": f"m{n}", "metadata": {"n": n}} for n in range(count))), "key")
    assert (added.count, store.count()) == (count, count)
    stored = store.in_order_of_arrival()
    assert [(entry["message"], entry["metadata"]) for entry in stored] == [(f"m{n}", {"n": n}) for n in range(count)]


def test_keys_are_known_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store(tmp_path / "logs.sqlite")
        store.add(rows({"message": "a"}), "key")
        assert store.count() == 1
        store.close()


def test_a_batch_that_fails_halfway_stores_neither_rows_nor_key(store: Store) -> None:
    good, bad = rows({"message": "good"})[0], (object(),) * len(rows({"message": "m"})[0])
    with pytest.raises(sqlite3.Error):
        store.add([good] * TOGETHER + [bad], "key")  # type: ignore[list-item]  # what no row may hold, on purpose
    assert store.count() == 0
    assert not store.add([good], "key").repeated
    assert store.count() == 1


def test_keys_are_removed_after_seven_days_a_few_at_a_time(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    store = Store(tmp_path / "logs.sqlite", clock=lambda: now)
    row = rows({"message": "m"})
    old = 3 * SWEEP_EVERY
    for number in range(old):
        store.add(row, f"old {number}")
    now += KEEP_KEYS
    for number in range(SWEEP_EVERY):
        store.add(row, f"middle {number}")
    assert store.add(row, f"old {old - 1}").repeated, "a key was removed before seven days were over"
    assert store.add(row, "old 0").repeated, "a key was removed before seven days were over"
    now += 1
    kept: list[int] = []
    reader = sqlite3.connect(tmp_path / "logs.sqlite")
    for number in range(2 * SWEEP_EVERY):
        store.add(row, f"new {number}")
        kept += reader.execute("SELECT count(*) FROM batches WHERE key LIKE 'old%'").fetchone()
    reader.close()
    store.close()
    assert sorted(set(kept), reverse=True) == [old, old - 2 * SWEEP_EVERY, 0]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["d", "c", "b", "a"]),
        ({"exact": {"service": "web"}}, ["b", "a"]),
        ({"exact": {"environment": "test"}}, ["c"]),
        ({"exact": {"level": "ERROR"}}, ["b"]),
        ({"exact": {"logger": "app.db"}}, ["d"]),
        ({"exact": {"trace_id": "t1"}}, ["c", "a"]),
        ({"exact": {"user_id": "u1"}}, ["a"]),
        ({"exact": {"session_id": "s1"}}, ["d"]),
        ({"exact": {"service": "web", "level": "ERROR"}}, ["b"]),
        ({"exact": {"service": "web", "level": "FATAL"}}, []),
        ({"since": 2.0}, ["d", "c", "b"]),
        ({"until": 2.0}, ["a"]),
        ({"since": 2.0, "until": 4.0}, ["c", "b"]),
        ({"text": "a", "since": 0.0}, ["a"]),
    ],
)
def test_filters_are_combined_with_and_and_the_newest_comes_first(
    store: Store, filters: dict[str, Any], expected: list[str]
) -> None:
    store.add(
        rows(
            {"message": "d", "created_at": 4.0, "session_id": "s1", "metadata": {"logger": "app.db"}},
            {"message": "b", "created_at": 2.0, "service": "web", "level": "ERROR"},
            {"message": "a", "created_at": 1.0, "service": "web", "trace_id": "t1", "user_id": "u1"},
            {"message": "c", "created_at": 3.0, "environment": "test", "trace_id": "t1"},
        )
    )
    assert found(store, **filters) == expected


def test_text_is_found_in_messages_and_stack_traces_in_any_case(store: Store) -> None:
    store.add(
        rows(
            {"message": "Payment Failed", "created_at": 1},
            {"message": "oops", "created_at": 2, "stack_trace": "Traceback:\n  in pay\nPaymentError: no"},
            {"message": "else", "created_at": 3, "metadata": {"a": "a payment"}},
        )
    )
    assert found(store, text="payment") == ["oops", "Payment Failed"]
    assert found(store, text="FAIL") == ["Payment Failed"]
    assert found(store, text="in pay\nPay") == ["oops"]
    assert found(store, text="nothing like it") == []


@pytest.mark.parametrize(
    "text",
    ["100%", "a_b", "a\\b", "%", "_", "\\", "\\%", "it's", 'a"b', "a;b", "[x]", "*?"],
)
def test_sql_wildcards_and_quotes_in_a_text_are_literal(store: Store, text: str) -> None:
    store.add(rows({"message": f"<{text}>"}, {"message": "100 axb ab it s x"}))
    assert found(store, text=text) == [f"<{text}>"]


@pytest.mark.parametrize("value", ["%", "_", "w_b", "web%", "' OR 1=1 --", "WEB"])
def test_sql_wildcards_and_quotes_in_a_filter_are_literal(store: Store, value: str) -> None:
    store.add(rows({"message": "m", "service": "web", "metadata": {"logger": "web"}}))
    assert found(store, exact={"service": value}) == []
    assert found(store, exact={"logger": value}) == []
    store.add(rows({"message": "hit", "service": value}))
    assert found(store, exact={"service": value}) == ["hit"]


def walk(store: Store, limit: int) -> Iterable[list[str]]:
    after = None
    while True:
        page = store.page(Query(limit=limit, after=after))
        yield messages(page.entries)
        if page.next is None:
            return
        after = page.next


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_paging_ends_with_the_last_row(store: Store, count: int) -> None:
    store.add(rows(*({"message": str(number), "created_at": number} for number in range(count))))
    pages = list(walk(store, limit=2))
    assert [message for page in pages for message in page] == [str(n) for n in reversed(range(count))]
    assert len(pages) == max(1, -(-count // 2))


def test_paging_visits_each_row_once_while_rows_are_added(store: Store) -> None:
    """Also if many rows have the same time, and rows are added before and after the cursor."""
    store.add(rows(*({"message": f"row {n}", "created_at": n // 7} for n in range(100))))
    seen: list[str] = []
    for number, page in enumerate(walk(store, limit=5)):
        seen += page
        late = [{"message": f"late {number}/{at}", "created_at": at} for at in (100, 14 - number / 2)]
        store.add(rows(*late))
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one.startswith("row")] == [f"row {n}" for n in range(99, -1, -1)]


def test_statistics_count_levels_services_and_recent_errors(tmp_path: Path) -> None:
    store = Store(tmp_path / "logs.sqlite", clock=lambda: 10_000.0)
    assert store.stats() == {
        "total_logs": 0,
        "level_distribution": [],
        "service_distribution": [],
        "recent_errors_1h": 0,
    }
    store.add(
        rows(
            {"message": "m", "level": "ERROR", "created_at": 6_400, "service": "web"},
            {"message": "m", "level": "ERROR", "created_at": 6_399, "service": "web"},
            {"message": "m", "level": "ERROR", "created_at": 6_398},
            {"message": "m", "level": "FATAL", "created_at": 9_999, "service": "web"},
            {"message": "m", "level": "WARN", "created_at": 9_999, "service": "db"},
        )
    )
    assert store.stats() == {
        "total_logs": 5,
        "level_distribution": [
            {"level": "ERROR", "count": 3},
            {"level": "FATAL", "count": 1},
            {"level": "WARN", "count": 1},
        ],
        "service_distribution": [
            {"service": "web", "count": 3},
            {"service": None, "count": 1},
            {"service": "db", "count": 1},
        ],
        "recent_errors_1h": 2,
    }
    store.close()


def test_a_running_query_does_not_delay_a_write(store: Store, tmp_path: Path) -> None:
    store.add(rows(*({"message": str(number)} for number in range(1000))))
    reader = sqlite3.connect(tmp_path / "logs.sqlite")
    results = reader.execute("SELECT message FROM logs")
    results.fetchone()
    store.add(rows({"message": "new"}))
    assert len(results.fetchall()) == 999, "and it sees the logs as they were when it began"
    assert store.count() == 1001
    reader.close()


def test_threads_can_write_and_read_at_the_same_time(store: Store) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            store.add(rows({"message": "a"}, {"message": "b"}), f"{number}")
            assert store.count() % 2 == 0
            store.page(Query(text="a"))
            store.stats()

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 40


def test_clear_forgets_logs_and_keys(store: Store) -> None:
    store.add(rows({"message": "a"}), "key")
    store.clear()
    assert store.count() == 0
    assert not store.add(rows({"message": "a"}), "key").repeated
