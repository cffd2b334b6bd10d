"""The logs on disk: one SQLite file, written by one connection and read by any number of others.

In WAL mode a reader works on a snapshot, so a long query never delays a write. A batch and its idempotency key are
stored in one transaction: after a crash both are there, or neither.
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
from typing import Any, Final, TypeVar

from logcollector_handler.wire.posted.entries import Row

from . import matching, reading
from .file import LogFile, UnusableError
from .query import Query
from .reading import Arrivals, Histogram, Page
from .scan import Budget
from .search import INDEXED, insert
from .upgrade import ForeignFileError, prepare

#: Seconds for which the key of a batch is remembered.
KEEP_KEYS: Final = 7 * 24 * 3600.0
#: Every SWEEP_EVERY batches at most twice as many old keys are deleted: more than were added meanwhile, so that none
#: accumulate, and few enough that no batch waits for long.
SWEEP_EVERY: Final = 100

#: Pages of 4 KiB returned to the disk at once.
PAGES_GIVEN_BACK: Final = 1000
_FOREIGN: Final = "{path} was not made by this version of the collector. Name another file, or move that one away."

T = TypeVar("T")


class StoreError(Exception):
    """The file cannot be opened. The message says why and what to do."""


class ReusedKeyError(Exception):
    """The key of a batch is that of a batch with another body."""


@dataclass(frozen=True)
class Added:
    """The result of adding a batch."""

    count: int
    #: Whether its key was known: then nothing was added, and `count` is that of the first time.
    repeated: bool


class Store:
    """The logs in the SQLite file at `path`, which is created if it does not exist.

    All methods are thread-safe; writes wait for each other. `clock` returns Unix seconds. Raises StoreError if the file
    cannot be opened or was made by another version. The methods raise UnusableError if the file was deleted, replaced
    or damaged meanwhile, and sqlite3.Error if the disk fails.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = lambda: time.time()) -> None:
        #: As people know it.
        self._name = Path(path)
        # The directory of the process may change, in tests above all.
        self._path = self._name.absolute()
        try:
            self._file = LogFile(self._path)
        except OSError as error:
            raise self._not_opened(error) from error
        self._clock = clock
        #: Guards the writing connection and `_batches`.
        self._write_lock = threading.Lock()
        self._batches = 0
        #: Reading connections that are not in use; guarded by `_readers_lock`.
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        try:
            self._writer = self._connect()
            try:
                prepare(self._writer)
            except BaseException:
                self._writer.close()
                raise
        except BaseException as error:
            self._file.close()
            # SQLite may quote what is damaged, in which case the message itself cannot be decoded.
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                raise self._not_opened(error) from error
            if isinstance(error, ForeignFileError):
                raise StoreError(_FOREIGN.format(path=self._name)) from error
            raise
        self._file.opened()

    def _not_opened(self, error: Exception) -> StoreError:
        return StoreError(f"{self._name} cannot be opened: {error}. Name a file that can be written.")

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: this class begins and ends transactions, not Python's sqlite3 module.
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
        # NORMAL: no fsync at a commit. A killed process loses nothing. A power failure may lose the last commits, but
        # never part of one.
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the file. Nothing else may be called afterwards."""
        with self._readers_lock:
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        with self._write_lock:
            self._writer.close()
        self._file.close()

    def trouble(self) -> str | None:
        """What is wrong with the file; None if it can be read, and nothing else is known."""
        try:
            self.last_id()
        except (UnusableError, sqlite3.Error) as error:
            return str(error)
        return self._file.trouble()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._write_lock, self._file.in_use():
            cursor = self._writer.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                # When the disk is full SQLite may have rolled back by itself.
                if self._writer.in_transaction:
                    cursor.execute("ROLLBACK")
                raise
            finally:
                cursor.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._file.in_use():
            with self._readers_lock:
                reader = self._readers.pop() if self._readers else None
            if reader is None:
                reader = self._connect()
                reader.execute("PRAGMA query_only = ON")
                matching.register(reader)
            try:
                yield reader
            except BaseException as error:
                reader.close()
                if str(error) == matching.FAILED:
                    raise sqlite3.DatabaseError("a row cannot be compared") from error
                raise
            with self._readers_lock:
                self._readers.append(reader)

    def add(self, rows: Sequence[Row], key: str | None = None, digest: bytes | None = None) -> Added:
        """Store the rows of one batch, all or none. A batch whose key is known is not stored again.

        `digest` stands for the body that the rows came from. Raises ReusedKeyError if it is another than the first
        time; a batch that was stored without one, as by version 0.1.0, is the same as any.
        """
        now = self._clock()
        with self.transaction() as cursor:
            if key is not None:
                known = cursor.execute("SELECT count, digest FROM batches WHERE key = ?", (key,)).fetchone()
                if known is not None:
                    if None not in (digest, known[1]) and digest != known[1]:
                        raise ReusedKeyError
                    return Added(known[0], repeated=True)
                cursor.execute(
                    "INSERT INTO batches (key, count, stored_at, digest) VALUES (?, ?, ?, ?)",
                    (key, len(rows), now, digest),
                )
                self._sweep(cursor, now)
            before = cursor.execute("SELECT coalesce(max(id), 0) FROM logs").fetchone()[0]
            for sql, values in insert(rows):
                cursor.execute(sql, values)
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
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM logs")
            for index in INDEXED:
                cursor.execute(f"INSERT INTO {index} ({index}) VALUES ('delete-all')")  # noqa: S608 - a constant
            cursor.execute("DELETE FROM batches")

    def remove_older(self, than: float, most: int) -> int:
        """Remove at most `most` logs whose time is before `than`, in Unix seconds, and return how many it removed."""
        return self._remove("created_at < ? ORDER BY created_at", (than, most))

    def remove_first(self, most: int) -> int:
        """Remove at most `most` of the logs that arrived first, and return how many it removed."""
        return self._remove("true ORDER BY id", (most,))

    def _remove(self, which: str, values: tuple[float, ...]) -> int:
        chosen = f"id IN (SELECT id FROM logs WHERE {which} LIMIT ?)"  # noqa: S608 - from the two above
        with self.transaction() as cursor:
            # The full-text indexes keep no copy of the text, so it must be given to them for its words to be deleted.
            for index, columns in INDEXED.items():
                cursor.execute(
                    f"INSERT INTO {index} ({index}, rowid, {columns}) "  # noqa: S608 - constants
                    f"SELECT 'delete', id, {columns} FROM logs WHERE {chosen}",
                    values,
                )
            return cursor.execute(f"DELETE FROM logs WHERE {chosen}", values).rowcount  # noqa: S608

    def used_bytes(self) -> int:
        """The size of the file without its free pages, in bytes."""
        with self._reading() as reader:
            pages, free, size = (
                reader.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def give_back(self) -> None:
        """Return the free pages of the file to the disk."""
        left: float = math.inf
        while left:
            with self._write_lock, self._file.in_use():
                # In steps, so that no batch waits for long. Each row read frees a page, so all rows must be fetched.
                self._writer.execute(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})").fetchall()
                before, left = left, self._writer.execute("PRAGMA freelist_count").fetchone()[0]
            if left >= before:
                # Nothing was freed, or other threads free pages as fast. The next call continues.
                break
        with self._write_lock, self._file.in_use():
            # Only the checkpoint makes the file itself shorter.
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer to a question about the logs, such as those in `reading`."""
        with self._reading() as reader:
            return question(reader)

    def page(self, query: Query, budget: Budget | None = None, *, most: int | None = None) -> Page:
        """The newest logs that match the query, by their time. Like others, it stops looking within its budget."""
        with self._reading() as reader:
            return reading.page(reader, query, budget or Budget(), most=most)

    def arrivals(self, query: Query, position: int, *, newest: bool = False, most: int = reading.MAX_BYTES) -> Arrivals:
        """The matching logs that arrived after the row `position`, in order: the first `limit`, or the `newest`."""
        with self._reading() as reader:
            return reading.arrivals(reader, query, position, newest=newest, most=most)

    def before_last(self, query: Query, count: int | None, budget: Budget | None = None) -> int:
        """The position after which the last `count` matching logs arrived; None: all of them."""
        with self._reading() as reader:
            return reading.before_last(reader, query, count, budget or Budget())

    def last_id(self) -> int:
        """The id of the row that arrived last, also if it was removed since; 0 if none ever did."""
        return self.read(reading.last_id)

    def histogram(self, query: Query, buckets: int, budget: Budget | None = None) -> Histogram:
        """How many logs of each level match the query, over time. Without a bound in time it uses that of all logs."""
        with self._reading() as reader:
            return reading.histogram(reader, query, buckets, budget or Budget())

    def values(self) -> dict[str, list[str]]:
        """The names of services and of loggers, each sorted and at most `reading.MAX_LISTED`."""
        return self.read(reading.values)

    def stats(self) -> dict[str, Any]:
        """The answer to `GET /stats`: totals, counts by level and by service, and the errors of the last hour."""
        with self._reading() as reader:
            return reading.stats(reader, self._clock() - 3600)

    def in_order_of_arrival(self) -> list[dict[str, Any]]:
        """All logs in order of arrival, in the form of `page`."""
        return self.read(reading.all_entries)

    def count(self) -> int:
        """The number of logs."""
        return self.read(lambda reader: int(reader.execute("SELECT count(*) FROM logs").fetchone()[0]))
