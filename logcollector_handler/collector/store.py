"""The logs on disk: one SQLite file that one connection writes and any number of others read.

In WAL mode a reader works on a snapshot, so a long query never holds up a write. A batch and its
idempotency key go in with one transaction: after a crash both are there, or neither.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import reading
from .entries import Row
from .query import Query
from .reading import Arrivals, Histogram, Page
from .search import COLUMN_TYPES, INDEXED, INSERT, SCHEMA, SCHEMA_VERSION

#: Seconds for which the key of a batch is remembered.
KEEP_KEYS: Final = 7 * 24 * 3600.0
#: Old keys are looked for once in so many batches, and twice as many at most go at once: it always catches
#: up, and no single batch waits for a long sweep.
SWEEP_EVERY: Final = 100

#: Pages of 4 KiB that go back to the disk at once.
PAGES_GIVEN_BACK: Final = 1000
_FOREIGN: Final = "{path} was not made by this version of the collector. Name another file, or move that one away."


class StoreError(Exception):
    """The file cannot be used. The text says why and what to do."""


@dataclass(frozen=True)
class Added:
    """What became of a batch."""

    count: int
    #: Its key was known: nothing was added, and `count` is that of the first time.
    repeated: bool


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
        # Before there is any table: what is deleted can be given back to the disk, some pages at a time.
        self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._writer.execute("PRAGMA journal_mode = WAL")
        # 32 MiB of pages at hand, and the log folded in once in 16 MiB: a fifth less work for a row.
        self._writer.execute("PRAGMA cache_size = -32768")
        self._writer.execute("PRAGMA wal_autocheckpoint = 4000")
        # A log that grew beyond that while somebody read for long is cut again.
        self._writer.execute("PRAGMA journal_size_limit = 16777216")
        with self._transaction() as cursor:
            # Asked again: another process may have been faster.
            if self._version() == 0:
                for statement in SCHEMA.split(";"):
                    cursor.execute(statement)
            # A file from before a column was added gets it now; the old rows have no value in it.
            there = {column for _, column, *_ in cursor.execute("PRAGMA table_info(logs)")}
            for column, kind in COLUMN_TYPES.items():
                if column not in there:
                    cursor.execute(f"ALTER TABLE logs ADD COLUMN {column} {kind}")

    def _version(self) -> int:
        version: int = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
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
            before = cursor.execute("SELECT coalesce(max(id), 0) FROM logs").fetchone()[0]
            cursor.executemany(INSERT, rows)
            for index, columns in INDEXED.items():
                cursor.execute(
                    f"INSERT INTO {index} (rowid, {columns}) SELECT id, {columns} FROM logs WHERE id > ?",  # noqa: S608
                    (before,),
                )
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
            for index in INDEXED:
                cursor.execute(f"INSERT INTO {index} ({index}) VALUES ('delete-all')")  # noqa: S608 - a constant
            cursor.execute("DELETE FROM batches")

    def remove_older(self, than: float, most: int) -> int:
        """Remove logs whose time is before `than`, in Unix seconds, at most so many; how many it were."""
        return self._remove("created_at < ? ORDER BY created_at", (than, most))

    def remove_first(self, most: int) -> int:
        """Remove the logs that came first, at most so many; how many it were."""
        return self._remove("true ORDER BY id", (most,))

    def _remove(self, which: str, values: tuple[float, ...]) -> int:
        chosen = f"id IN (SELECT id FROM logs WHERE {which} LIMIT ?)"  # noqa: S608 - from the two above
        with self._transaction() as cursor:
            # A text index has no copy of its own to know the words by.
            for index, columns in INDEXED.items():
                cursor.execute(
                    f"INSERT INTO {index} ({index}, rowid, {columns}) "  # noqa: S608 - constants
                    f"SELECT 'delete', id, {columns} FROM logs WHERE {chosen}",
                    values,
                )
            return cursor.execute(f"DELETE FROM logs WHERE {chosen}", values).rowcount  # noqa: S608

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        with self._reading() as reader:
            pages, free, size = (
                reader.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def give_back(self) -> None:
        """Give the free pages of the file back to the disk."""
        left: float = math.inf
        while left:
            with self._write_lock:
                # In steps, so that no batch waits for long. It wants to be read to its end.
                self._writer.execute(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})").fetchall()
                before, left = left, self._writer.execute("PRAGMA freelist_count").fetchone()[0]
            if left >= before:
                # Others write and remove as well.
                break
        with self._write_lock:
            # The file itself becomes shorter only now.
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def page(self, query: Query) -> Page:
        """The newest logs that the query asks for, by their time."""
        with self._reading() as reader:
            return reading.page(reader, query)

    def arrivals(self, query: Query, position: int, *, newest: bool = False) -> Arrivals:
        """What came after the row `position`: the first `limit` of the query, or the `newest`; in order of arrival."""
        with self._reading() as reader:
            return reading.arrivals(reader, query, position, newest=newest)

    def last_id(self) -> int:
        """The row that came last, 0 if there is none: the position of a stream that begins now."""
        with self._reading() as reader:
            return reading.last_id(reader)

    def histogram(self, query: Query, buckets: int) -> Histogram:
        """Levels over time, of what the query asks for. Where it has no bounds in time, those of all logs."""
        with self._reading() as reader:
            return reading.histogram(reader, query, buckets)

    def values(self) -> dict[str, list[str]]:
        """The services and loggers that there are, in order, so many of each as `reading.MAX_LISTED`."""
        with self._reading() as reader:
            return reading.values(reader)

    def stats(self) -> dict[str, Any]:
        """`total_logs`, `level_distribution`, `service_distribution` (most first), `recent_errors_1h`."""
        with self._reading() as reader:
            return reading.stats(reader, self._clock() - 3600)

    def in_order_of_arrival(self) -> list[dict[str, Any]]:
        """All logs, as `page` gives them, the first that came first."""
        with self._reading() as reader:
            return reading.all_entries(reader)

    def count(self) -> int:
        """How many logs there are."""
        with self._reading() as reader:
            return int(reader.execute("SELECT count(*) FROM logs").fetchone()[0])
