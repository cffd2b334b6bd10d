"""The SQL: the tables with their indexes, and the statements that are always the same; `plan` makes those of queries.

`store` decides who reads and writes when. Nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from logcollector_handler.entry.model import COLUMNS, Duration, Time
from logcollector_handler.wire.posted.entries import ROW_COLUMNS, Row

from .query import IDS

SCHEMA_VERSION: Final = 4
_NUMBERS: Final = frozenset(name for name, kind in COLUMNS.items() if isinstance(kind, Time | Duration))
#: Every column of the table except its id, with its type.
COLUMN_TYPES: Final = {name: "REAL" if name in _NUMBERS else "TEXT" for name in ROW_COLUMNS}
#: The full-text indexes and the columns of each.
INDEXED: Final = {"logs_text": "message, stack_trace", "logs_ids": ", ".join(IDS), "logs_fields": "metadata"}
# Every index makes every insert slower, so there are only those that queries need:
# - Queries want the newest rows first, so each index contains the time behind its column. Level (and environment)
#   follow where a histogram is to be counted from the index alone, without reading the rows.
# - The full-text indexes store neither a copy of the text (`content`) nor lengths for ranking (`columnsize`).
# - Ids are practically random, so each insert into an ordinary index would change another page; at a million rows that
#   costs more than everything else together. A full-text index is appended to and merged later. In `logs_ids` every
#   character except white space belongs to a word, so nearly every id is one word.
# - `logs_fields` has the words of keys and values in `metadata`, for ids and numbers that an application has made up.
# - Few rows have an error, so the index with all that errors are grouped by is small.
ADDED_INDEX: Final = """CREATE INDEX logs_by_error ON logs (
    created_at, id, error_type, file_path, function_name
) WHERE error_type IS NOT NULL"""
ADDED_TABLE: Final = (
    "CREATE VIRTUAL TABLE logs_fields USING fts5(metadata, content = 'logs', content_rowid = 'id', columnsize = 0)"
)
#: Each batch adds a part to a full-text index, and SQLite merges such parts little by little. With sixteen at once,
#: not four, each word is merged half as often. At `crisismerge` parts SQLite merges all of them in one go, while the
#: batch waits: that must stay out of reach.
MERGING: Final = tuple(
    f"INSERT INTO {index} ({index}, rank) VALUES ('{name}', {value})"  # noqa: S608 - constants
    for index in INDEXED
    for name, value in (("automerge", 16), ("crisismerge", 64))
)
SCHEMA: Final = f"""
CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {", ".join(f"{name} {kind}" for name, kind in COLUMN_TYPES.items())}
);
CREATE INDEX logs_by_time ON logs (created_at, id, level, environment);
CREATE INDEX logs_by_level ON logs (level, created_at);
CREATE INDEX logs_by_service ON logs (service, created_at, id, level);
CREATE INDEX logs_by_logger ON logs (logger, created_at, id, level);
{ADDED_INDEX};
CREATE VIRTUAL TABLE logs_text USING fts5(
    {INDEXED["logs_text"]}, content = 'logs', content_rowid = 'id', columnsize = 0
);
CREATE VIRTUAL TABLE logs_ids USING fts5(
    {INDEXED["logs_ids"]}, content = 'logs', content_rowid = 'id', columnsize = 0,
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'"
);
{ADDED_TABLE};
CREATE TABLE batches (
    key TEXT PRIMARY KEY, count INTEGER NOT NULL, stored_at REAL NOT NULL, digest BLOB
) WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (stored_at);
PRAGMA user_version = {SCHEMA_VERSION};
"""
#: Rows that one statement inserts: every version of SQLite takes 999 values.
TOGETHER: Final = 999 // len(ROW_COLUMNS)
_ROW: Final = f"({', '.join('?' * len(ROW_COLUMNS))})"
SELECT: Final = f"SELECT id, {', '.join(ROW_COLUMNS[:-1])} FROM logs"  # noqa: S608 - constants
SELECT_ONE: Final = f"{SELECT} WHERE id = ?"
#: SQLite keeps the largest id ever given, because ids are not given twice (AUTOINCREMENT).
LAST_ID: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM logs), 0), "
    "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'logs'), 0))"
)
#: The first row to arrive among those since a time.
FIRST_SINCE: Final = "SELECT min(id) FROM logs WHERE created_at >= ?"
#: The number of rows of one level in an interval of time; ten times as fast as to look at each row.
COUNT_LEVEL: Final = "SELECT count(*) FROM logs WHERE level = ? AND created_at >= ? AND created_at < ?"
#: The next larger value of a column, of those that are short enough for a filter. Listing all values this way takes one
#: step for each value, not for each row.
NEXT_VALUE: Final = "SELECT {column} FROM logs WHERE {column} > ? AND length({column}) <= ? ORDER BY {column} LIMIT 1"


def insert(rows: Sequence[Row]) -> Iterator[tuple[str, list[str | float | None]]]:
    """The statements that insert rows, with their values.

    Between two statements other threads may run, and keep the interpreter: with few statements a batch seldom waits for
    those that search.
    """
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        places = ", ".join([_ROW] * len(some))
        yield f"INSERT INTO logs ({', '.join(ROW_COLUMNS)}) VALUES {places}", [*chain(*some)]  # noqa: S608 - constants
