"""Which logs are removed, by age and by size, and that their space is returned to the disk."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from logcollector_handler.collector import app, retention
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.retention import Keep, retain
from logcollector_handler.collector.search import INDEXED
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import RawBatch
from logcollector_handler.wire.posted.entries import check
from tests.collector.app_client import AppClient

DAY = 24 * 3600.0


def add(store: Store, *entries: dict[str, Any], key: str | None = None) -> None:
    with_ids = [{"trace_id": f"t{number}", "user_id": "u", **entry} for number, entry in enumerate(entries)]
    store.add(check(RawBatch(with_ids, suspicious=True), strict=False, now=0.0).rows, key)


def messages(store: Store) -> list[str]:
    return [entry["message"] for entry in store.in_order_of_arrival()]


def assert_whole(path: Path) -> None:
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    # Raises if a full-text index does not match the logs.
    for index in INDEXED:
        database.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")
    database.close()


def test_logs_older_than_the_limit_are_removed(store: Store, tmp_path: Path) -> None:
    add(store, *({"message": f"day {n}", "created_at": n * DAY} for n in (3, 1, 4, 0, 2)))
    assert retain(store, Keep(days=2), now=4 * DAY) == 2
    assert messages(store) == ["day 3", "day 4", "day 2"]
    assert store.page(Query(text="day")).entries != []
    assert store.page(Query(text="1")).entries == []
    assert retain(store, Keep(days=2), now=4 * DAY) == 0
    assert_whole(tmp_path / "logs.sqlite")


def test_without_limits_nothing_is_removed(store: Store) -> None:
    add(store, {"message": "a", "created_at": 0})
    assert retain(store, Keep(), now=1e9) == 0
    assert store.count() == 1


def test_logs_beyond_the_size_are_removed_oldest_arrival_first_and_the_file_shrinks(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 100)
    path = tmp_path / "logs.sqlite"
    for part in range(20):
        texts = ((f"message {part * 200 + n}", f"word{n} " * 100) for n in range(200))
        add(store, *({"message": message, "stack_trace": trace, "created_at": 1} for message, trace in texts))
    limit = store.used_bytes() // 2
    retain(store, Keep(max_bytes=limit), now=0.0)
    left = messages(store)
    assert 1000 < len(left) < 2500
    assert left == [f"message {n}" for n in range(4000 - len(left), 4000)], "wrong logs were removed"
    assert limit * 0.8 < store.used_bytes() <= limit
    store.close()
    assert path.stat().st_size <= limit, "the freed space was not returned to the disk"
    assert_whole(path)


def test_no_more_logs_are_removed_than_must_be_however_often(store: Store) -> None:
    """Their words stay in the indexes until these are merged, so that removing logs alone frees hardly anything."""
    rng = random.Random(5)

    def add_some() -> None:
        ids = ({"message": f"order {rng.random()}", "metadata": {"request_id": rng.random()}} for _ in range(500))
        add(store, *({**each, "trace_id": f"{rng.getrandbits(128):032x}"} for each in ids))

    for _ in range(8):
        add_some()
    limit, fit = store.used_bytes(), store.count()
    for _ in range(6):
        add_some()
        retain(store, Keep(max_bytes=limit), now=0.0)
        assert fit * 0.75 < store.count() <= fit
        assert store.used_bytes() <= limit


def test_of_large_logs_only_as_many_are_removed_as_must_be(store: Store) -> None:
    add(store, *({"message": f"{n} " + "x" * 60_000} for n in range(100)))
    retain(store, Keep(max_bytes=store.used_bytes() - 1), now=0.0)
    assert 80 < store.count() < 100


def test_a_store_within_its_size_keeps_everything(store: Store) -> None:
    add(store, {"message": "a"})
    assert retain(store, Keep(max_bytes=10_000_000), now=0.0) == 0


def test_a_size_too_small_for_any_log_empties_the_store(store: Store) -> None:
    add(store, *({"message": "a"} for _ in range(500)))
    assert retain(store, Keep(max_bytes=1), now=0.0) == 500


def test_ids_of_removed_logs_are_not_used_again(store: Store) -> None:
    """A stream that continues after such an id would miss the log that had it again."""
    add(store, {"message": "a", "created_at": 1}, {"message": "b", "created_at": 1})
    retain(store, Keep(days=1), now=9 * DAY)
    add(store, {"message": "c"})
    assert [entry["id"] for entry in store.in_order_of_arrival()] == [3]
    assert [entry["message"] for entry in store.arrivals(Query(), 2).entries] == ["c"]


def test_the_position_of_a_stream_does_not_go_back_when_the_last_logs_are_removed(store: Store) -> None:
    """A client behind it would be taken for one of another file, and be sent everything once more."""
    add(store, {"message": "new", "created_at": 1000.0}, {"message": "old", "created_at": 1.0})
    assert retain(store, Keep(days=1), now=DAY + 10) == 1
    assert store.last_id() == 2
    assert store.before_last(Query(text="other"), 1) == 2
    assert store.arrivals(Query(), 2).entries == []
    store.remove_first(1)
    assert store.last_id() == 2


def test_a_key_outlives_its_logs(store: Store) -> None:
    add(store, {"message": "a", "created_at": 1}, key="key")
    retain(store, Keep(days=1), now=9 * DAY)
    add(store, {"message": "a", "created_at": 1}, key="key")
    assert store.count() == 0


def test_removal_ends_early_when_the_server_stops(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP", 1)
    add(store, *({"message": str(n), "created_at": 1} for n in range(10)))
    answers = iter([False, False, False, True])
    assert retain(store, Keep(days=1), 9 * DAY, stopping=lambda: next(answers)) == 3


def test_a_running_server_removes_logs_by_itself(
    store: Store, client_of: Callable[[Starlette], AppClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "INTERVAL", 0.01)
    client = client_of(app.create_app(store, keep=Keep(days=1)))
    client.post({"message": "old", "created_at": 1}, {"message": "new"})
    for _ in range(1000):
        if [entry["message"] for entry in client.get("/logs").json()["logs"]] == ["new"]:
            break
        client.wait(0.01)
    else:
        pytest.fail("it is still there")
    client.close()


def test_a_file_made_without_auto_vacuum_keeps_its_size(tmp_path: Path) -> None:
    path = tmp_path / "logs.sqlite"
    Store(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("PRAGMA auto_vacuum = NONE")
    other.execute("VACUUM")
    assert other.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    other.close()
    store = Store(path)
    add(store, *({"message": "x" * 1000} for _ in range(500)))
    assert retain(store, Keep(max_bytes=1), now=0.0) == 500
    store.close()
