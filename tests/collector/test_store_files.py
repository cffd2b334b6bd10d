"""The file of the store: which files are refused, with which explanation, and an older one that is upgraded."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from logcollector_handler.collector import scan
from logcollector_handler.collector.query import parse_query
from logcollector_handler.collector.search import INDEXED, SCHEMA_VERSION
from logcollector_handler.collector.store import Added, ReusedKeyError, Store, StoreError
from tests.collector.storing import rows

OLD = Path(__file__).parents[1] / "fixtures" / "v0_1_0" / "logs.sqlite"


def test_a_file_that_is_not_a_database_is_refused_with_an_explanation(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 1000)
    with pytest.raises(StoreError, match=r"notes\.txt cannot be opened"):
        Store(path)
    assert path.read_text().startswith("not a database")


def test_a_database_of_another_program_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="was not made by this version"):
        Store(path)
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    assert other.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    other.close()


def test_a_missing_directory_is_refused_with_an_explanation(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "nowhere" / "logs.sqlite")


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "logs.sqlite"
    Store(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreError, match="move that one away"):
        Store(path)


def test_a_batch_that_was_stored_before_bodies_were_compared_is_known_by_its_key_alone(tmp_path: Path) -> None:
    path = tmp_path / "logs.sqlite"
    Store(path).close()
    earlier = sqlite3.connect(path)
    earlier.execute("ALTER TABLE batches DROP COLUMN digest")
    earlier.execute("INSERT INTO batches VALUES ('old', 7, 1e12)")
    earlier.commit()
    earlier.close()
    for _ in range(2):
        store = Store(path)
        assert store.add(rows({"message": "a"}), "old", b"any") == Added(7, repeated=True)
        assert store.add(rows({"message": "b"}), "new", b"new").count == 1
        with pytest.raises(ReusedKeyError):
            store.add(rows({"message": "c"}), "new", b"other")
        assert store.count() == 1
        store.close()


def test_a_file_from_before_a_column_was_added_gets_it_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "logs.sqlite"
    store = Store(path)
    store.add(rows({"message": "before"}))
    store.close()
    earlier = sqlite3.connect(path)
    earlier.execute("ALTER TABLE logs DROP COLUMN action_type")
    earlier.execute("ALTER TABLE logs DROP COLUMN duration_ms")
    earlier.close()
    store = Store(path)
    store.add(rows({"message": "after", "action_type": "pay", "duration_ms": 1.5}))
    before, after = store.in_order_of_arrival()
    store.close()
    assert before["message"] == "before"
    assert "action_type" not in before
    assert (after["action_type"], after["duration_ms"]) == ("pay", 1.5)


def test_a_file_of_version_0_1_0_gets_the_indexes_that_came_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The indexes are asked at once.
    monkeypatch.setattr(scan, "GLANCE", 0)
    path = tmp_path / "logs.sqlite"
    shutil.copy(OLD, path)
    store = Store(path)
    for text, count in (("amount:12.5", 1), ("nested.list:ä", 6), ("shop.orders", 6), ("has:error_type", 1)):
        assert len(store.page(parse_query([("q", text)])).entries) == count, text
    store.remove_first(2)
    store.close()
    Store(path).close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert database.execute("SELECT count(*) FROM logs_fields WHERE logs_fields MATCH 'orders'").fetchone() == (4,)
    # Raises if a full-text index does not match the logs.
    for index in INDEXED:
        database.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")
    database.close()


@pytest.mark.parametrize("old", [None, OLD])
def test_full_text_indexes_are_merged_rarely_and_never_all_at_once(tmp_path: Path, old: Path | None) -> None:
    """With the defaults of SQLite every insert does more, or one batch in hundreds waits for long."""
    path = tmp_path / "logs.sqlite"
    if old is not None:
        shutil.copy(old, path)
    Store(path).close()
    database = sqlite3.connect(path)
    for index in INDEXED:
        settings = dict(database.execute(f"SELECT k, v FROM {index}_config"))
        assert (settings["automerge"], settings["crisismerge"]) == (16, 64)
    database.close()
