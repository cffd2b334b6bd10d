"""Makes the tables in a new file of the store, and brings those in a file of an earlier version up to date."""

from __future__ import annotations

import logging
import sqlite3
from typing import Final

from .search import ADDED_INDEX, ADDED_TABLE, COLUMN_TYPES, MERGING, SCHEMA, SCHEMA_VERSION

#: The version of files whose `metadata` is not searched by an index, nor their errors.
_BEFORE_FIELDS: Final = 3
_log = logging.getLogger(__name__)


class ForeignFileError(Exception):
    """The database was made by another program, or by a version whose tables are other ones."""


def prepare(writer: sqlite3.Connection) -> None:
    """Set up the file behind a connection. Raises ForeignFileError."""
    if _version(writer) == 0 and writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise ForeignFileError
    # Lets `Store.give_back` return free pages to the disk. It must be set before the first table is created.
    writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
    writer.execute("PRAGMA journal_mode = WAL")
    # A cache of 32 MiB, and a checkpoint every 16 MiB of write-ahead log: together a fifth less work for a row.
    writer.execute("PRAGMA cache_size = -32768")
    writer.execute("PRAGMA wal_autocheckpoint = 4000")
    # The write-ahead log grows beyond 16 MiB during a long read; this truncates it afterwards.
    writer.execute("PRAGMA journal_size_limit = 16777216")
    # If this fails, the caller closes the connection, which undoes it.
    writer.execute("BEGIN IMMEDIATE")
    # Checked again, under the write lock: another process may have created the tables meanwhile.
    if _version(writer) == 0:
        for statement in (*SCHEMA.split(";"), *MERGING):
            writer.execute(statement)
    # A file from before a column was added gets it now; the old rows have no value in it.
    _add_missing(writer, "logs", COLUMN_TYPES)
    _add_missing(writer, "batches", {"digest": "BLOB"})
    if _version(writer) == _BEFORE_FIELDS:
        _log.warning("The file is of an earlier version: its logs get further indexes now.")
        writer.execute(ADDED_INDEX)
        writer.execute(ADDED_TABLE)
        writer.execute("INSERT INTO logs_fields (logs_fields) VALUES ('rebuild')")
        for statement in MERGING:
            writer.execute(statement)
        writer.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    writer.execute("COMMIT")


def _add_missing(writer: sqlite3.Connection, table: str, columns: dict[str, str]) -> None:
    there = {column for _, column, *_ in writer.execute(f"PRAGMA table_info({table})")}
    for column, kind in columns.items():
        if column not in there:
            writer.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def _version(writer: sqlite3.Connection) -> int:
    version: int = writer.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _BEFORE_FIELDS, SCHEMA_VERSION):
        raise ForeignFileError
    return version
