"""The logs on disk: one SQLite file that one connection writes and any number of others read.

In WAL mode a reader works on a snapshot, so a long query never holds up a write. A batch and its
idempotency key go in with one transaction: after a crash both are there, or neither.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from .entries import ROW_COLUMNS, Row
from .query import Cursor, Query

#: Seconds for which the key of a batch is remembered.
KEEP_KEYS: Final = 7 * 24 * 3600.0
#: Old keys are looked for once in so many batches, and twice as many at most go at once: it always catches
#: up, and no single batch waits for a long sweep.
SWEEP_EVERY: Final = 100

_SCHEMA_VERSION: Final = 1
_FOREIGN: Final = "{path} was not made by this version of the collector. Name another file, or move that one away."
_NUMBERS: Final = ("created_at", "duration_ms")
# Few indexes, because each is paid for with every row, and one of random values most of all; without one, a
# million rows are read through in less than half a second. Rows are asked for newest first, so an index ends
# in the time; those of one trace are few enough to be sorted.
_SCHEMA: Final = f"""
CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {", ".join(f"{name} {'REAL' if name in _NUMBERS else 'TEXT'}" for name in ROW_COLUMNS)}
);
CREATE INDEX logs_by_time ON logs (created_at);
CREATE INDEX logs_by_level ON logs (level, created_at);
CREATE INDEX logs_by_service ON logs (service, created_at);
CREATE INDEX logs_by_trace ON logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE TABLE batches (key TEXT PRIMARY KEY, count INTEGER NOT NULL, stored_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (stored_at);
PRAGMA user_version = {_SCHEMA_VERSION};
"""
_INSERT: Final = f"INSERT INTO logs ({', '.join(ROW_COLUMNS)}) VALUES ({', '.join('?' * len(ROW_COLUMNS))})"  # noqa: S608 - constants
_SELECT: Final = f"SELECT id, {', '.join(ROW_COLUMNS[:-1])} FROM logs"  # noqa: S608 - constants


class StoreError(Exception):
    """The file cannot be used. The text says why and what to do."""


@dataclass(frozen=True)
class Added:
    """What became of a batch."""

    count: int
    #: Its key was known: nothing was added, and `count` is that of the first time.
    repeated: bool


@dataclass(frozen=True)
class Page:
    """Entries newest first, each with its `id`; columns that are NULL are left out, `metadata` is decoded."""

    entries: list[dict[str, Any]]
    #: Where the next page begins; None when this is the last.
    next: Cursor | None


class Store:
    """The logs in the SQLite file at `path`, which is made when it is missing.

    Every method may be called from any thread; writes wait for each other. `clock` gives Unix seconds. Raises
    StoreError when the file cannot be opened or was made by another version; the methods raise sqlite3.Error
    for what the disk does.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(path)
        self._clock = clock
        #: Guards the writing connection and `_batches`.
        self._write_lock = threading.Lock()
        self._batches = 0
        #: Reading connections that nobody uses just now; guarded by its lock.
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        try:
            self._writer = self._connect()
            try:
                self._create()
            except BaseException:
                self._writer.close()
                raise
        except sqlite3.Error as error:
            raise StoreError(f"{self._path} cannot be opened: {error}. Name a file that can be written.") from error

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: transactions are begun and ended here, not by the module.
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
        # NORMAL: no fsync for a commit. A killed process loses nothing; power loss may lose the last commits,
        # but never tears one.
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        if self._version() == 0:
            tables = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables:
                raise StoreError(_FOREIGN.format(path=self._path))
        self._writer.execute("PRAGMA journal_mode = WAL")
        # 32 MiB of pages at hand, and the log folded in once in 16 MiB: a fifth less work for a row.
        self._writer.execute("PRAGMA cache_size = -32768")
        self._writer.execute("PRAGMA wal_autocheckpoint = 4000")
        with self._transaction() as cursor:
            # Asked again: another process may have been faster.
            if self._version() == 0:
                for statement in _SCHEMA.split(";"):
                    cursor.execute(statement)

    def _version(self) -> int:
        version: int = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _SCHEMA_VERSION):
            raise StoreError(_FOREIGN.format(path=self._path))
        return version

    def close(self) -> None:
        """Close the file. Nothing else may be called afterwards."""
        with self._readers_lock:
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        with self._write_lock:
            self._writer.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._write_lock:
            cursor = self._writer.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if self._writer.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            finally:
                cursor.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._readers_lock:
            reader = self._readers.pop() if self._readers else None
        if reader is None:
            reader = self._connect()
            reader.execute("PRAGMA query_only = ON")
        try:
            yield reader
        except BaseException:
            reader.close()
            raise
        with self._readers_lock:
            self._readers.append(reader)

    def add(self, rows: Sequence[Row], key: str | None = None) -> Added:
        """Store the rows of one batch, all or none; a batch whose key is known is not stored again."""
        now = self._clock()
        with self._transaction() as cursor:
            if key is not None:
                known = cursor.execute("SELECT count FROM batches WHERE key = ?", (key,)).fetchone()
                if known is not None:
                    return Added(known[0], repeated=True)
                cursor.execute("INSERT INTO batches VALUES (?, ?, ?)", (key, len(rows), now))
                self._sweep(cursor, now)
            cursor.executemany(_INSERT, rows)
        return Added(len(rows), repeated=False)

    def _sweep(self, cursor: sqlite3.Cursor, now: float) -> None:
        self._batches += 1
        if self._batches % SWEEP_EVERY == 0:
            cursor.execute(
                "DELETE FROM batches WHERE key IN (SELECT key FROM batches WHERE stored_at < ? LIMIT ?)",
                (now - KEEP_KEYS, 2 * SWEEP_EVERY),
            )

    def clear(self) -> None:
        """Forget all logs and all keys."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM logs")
            cursor.execute("DELETE FROM batches")

    def page(self, query: Query) -> Page:
        """The logs that the query asks for."""
        where, values = _conditions(query)
        sql = f"{_SELECT} {where} ORDER BY created_at DESC, id DESC LIMIT ?"
        with self._reading() as reader:
            # One more than the page has: whether there is a next one.
            rows = reader.execute(sql, (*values, query.limit + 1)).fetchall()
        entries = [_entry(row) for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return Page(entries, None)
        return Page(entries, Cursor(entries[-1]["created_at"], entries[-1]["id"]))

    def in_order_of_arrival(self) -> list[dict[str, Any]]:
        """All logs, as `page` gives them, the first that came first."""
        with self._reading() as reader:
            return [_entry(row) for row in reader.execute(f"{_SELECT} ORDER BY id")]

    def count(self) -> int:
        """How many logs there are."""
        with self._reading() as reader:
            return int(reader.execute("SELECT count(*) FROM logs").fetchone()[0])

    def stats(self) -> dict[str, Any]:
        """`total_logs`, `level_distribution`, `service_distribution` (most first), `recent_errors_1h`."""
        with self._reading() as reader:
            # One transaction, so that the numbers fit each other.
            reader.execute("BEGIN")
            try:
                levels = _distribution(reader, "level")
                services = _distribution(reader, "service")
                recent = reader.execute(
                    "SELECT count(*) FROM logs WHERE level IN ('ERROR', 'FATAL') AND created_at >= ?",
                    (self._clock() - 3600,),
                ).fetchone()[0]
            finally:
                reader.execute("ROLLBACK")
        return {
            "total_logs": sum(level["count"] for level in levels),
            "level_distribution": levels,
            "service_distribution": services,
            "recent_errors_1h": recent,
        }


def _distribution(reader: sqlite3.Connection, column: str) -> list[dict[str, Any]]:
    # The column is one of the two that `stats` names.
    sql = f"SELECT {column}, count(*) FROM logs GROUP BY {column} ORDER BY 2 DESC, 1"  # noqa: S608
    return [{column: value, "count": count} for value, count in reader.execute(sql)]


def _conditions(query: Query) -> tuple[str, list[str | float]]:
    # Names of columns come from `query.EXACT`; everything from outside is a parameter.
    conditions: list[str] = []
    values: list[str | float] = []
    for column, value in query.exact.items():
        conditions.append(f"{column} = ?")
        values.append(value)
    if query.text is not None:
        escaped = query.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        conditions.append("(message LIKE ? ESCAPE '\\' OR stack_trace LIKE ? ESCAPE '\\')")
        values += [f"%{escaped}%"] * 2
    if query.since is not None:
        conditions.append("created_at >= ?")
        values.append(query.since)
    if query.until is not None:
        conditions.append("created_at < ?")
        values.append(query.until)
    if query.after is not None:
        conditions.append("(created_at, id) < (?, ?)")
        values += [query.after.created_at, query.after.id]
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


_NAMES: Final = ("id", *ROW_COLUMNS[:-1])


def _entry(row: tuple[Any, ...]) -> dict[str, Any]:
    entry = {name: value for name, value in zip(_NAMES, row, strict=True) if value is not None}
    if "metadata" in entry:
        entry["metadata"] = msgspec.json.decode(entry["metadata"])
    return entry
