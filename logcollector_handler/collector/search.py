"""The SQL: the tables with their indexes, and the statements for queries, written so that SQLite uses the right index.

`store` decides who reads and writes when. Nothing here touches a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from logcollector_handler.entry.model import COLUMNS, LEVELS, Duration, Time
from logcollector_handler.wire.posted.entries import ROW_COLUMNS

from .query import IDS, Query

SCHEMA_VERSION: Final = 3
_NUMBERS: Final = frozenset(name for name, kind in COLUMNS.items() if isinstance(kind, Time | Duration))
#: Every column of the table except its id, with its type.
COLUMN_TYPES: Final = {name: "REAL" if name in _NUMBERS else "TEXT" for name in ROW_COLUMNS}
#: The two full-text indexes and the columns of each.
INDEXED: Final = {"logs_text": "message, stack_trace", "logs_ids": ", ".join(IDS)}
# Every index makes every insert slower, so there are only those that queries need:
# - Queries want the newest rows first, so each index contains the time behind its column. Level (and environment)
#   follow where a histogram is to be counted from the index alone, without reading the rows.
# - The full-text indexes store neither a copy of the text (`content`) nor lengths for ranking (`columnsize`).
# - Ids are practically random, so each insert into an ordinary index would change another page; at a million rows that
#   costs more than everything else together. A full-text index is appended to and merged later. In `logs_ids` every
#   character except white space belongs to a word, so nearly every id is one word.
SCHEMA: Final = f"""
CREATE TABLE logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {", ".join(f"{name} {kind}" for name, kind in COLUMN_TYPES.items())}
);
CREATE INDEX logs_by_time ON logs (created_at, id, level, environment);
CREATE INDEX logs_by_level ON logs (level, created_at);
CREATE INDEX logs_by_service ON logs (service, created_at, id, level);
CREATE INDEX logs_by_logger ON logs (logger, created_at, id, level);
CREATE VIRTUAL TABLE logs_text USING fts5(
    {INDEXED["logs_text"]}, content = 'logs', content_rowid = 'id', columnsize = 0
);
CREATE VIRTUAL TABLE logs_ids USING fts5(
    {INDEXED["logs_ids"]}, content = 'logs', content_rowid = 'id', columnsize = 0,
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* Co'"
);
CREATE TABLE batches (
    key TEXT PRIMARY KEY, count INTEGER NOT NULL, stored_at REAL NOT NULL, digest BLOB
) WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (stored_at);
PRAGMA user_version = {SCHEMA_VERSION};
"""
INSERT: Final = f"INSERT INTO logs ({', '.join(ROW_COLUMNS)}) VALUES ({', '.join('?' * len(ROW_COLUMNS))})"  # noqa: S608 - constants
SELECT: Final = f"SELECT id, {', '.join(ROW_COLUMNS[:-1])} FROM logs"  # noqa: S608 - constants
SELECT_ONE: Final = f"{SELECT} WHERE id = ?"
#: SQLite keeps the largest id ever given, because ids are not given twice (AUTOINCREMENT).
LAST_ID: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM logs), 0), "
    "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'logs'), 0))"
)
#: A text that at least this many rows contain is common: SQLite then reads the rows in the order wanted and looks each
#: up among those that contain the text. Rows with a rare text it fetches and sorts.
COMMON: Final = 20_000

#: A statement and its values.
Sql: TypeAlias = tuple[str, list[str | float]]


def page_sql(query: Query, *, common: bool) -> Sql:
    """The ids of the newest rows by their time; one more than the page has, which shows if there is a next page."""
    conditions, values = _found(query, common=common)
    if query.after is not None:
        conditions.append("(created_at, id) < (?, ?)")
        values += [query.after.created_at, query.after.id]
    sql = f"SELECT id FROM logs{_where(conditions)} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608
    return sql, [*values, query.limit + 1]


def arrivals_sql(query: Query, position: int, *, newest: bool) -> Sql:
    """The ids of the first `limit` rows after `position`, in order of arrival; or the `newest`, the last one first."""
    conditions, values = _arrived(query, position)
    order = "DESC" if newest else "ASC"
    sql = f"SELECT id FROM logs NOT INDEXED{_where(conditions)} ORDER BY id {order} LIMIT ?"  # noqa: S608
    return sql, [*values, query.limit]


def count_arrivals_sql(query: Query, position: int, before: int) -> Sql:
    """The number of matching rows after the row `position` and before the row `before`."""
    conditions, values = _arrived(query, position)
    sql = f"SELECT count(*) FROM logs NOT INDEXED{_where([*conditions, 'id < ?'])}"  # noqa: S608 - constants
    return sql, [*values, before]


def histogram_sql(query: Query, since: float, width: float, *, common: bool) -> Sql:
    """Rows of (place, count) for the matching logs; place is the bucket, counted from `since`, times 6 plus the level.

    No matching log may be older than `since`.
    """
    conditions, values = _found(query, common=common)
    # Sorting by one number takes half the time of sorting by two columns.
    sql = (
        f"SELECT CAST((created_at - ?) / ? AS INT) * {len(LEVELS)} + CASE level {_RANKS} END AS place, count(*) "  # noqa: S608
        f"FROM logs{_where(conditions)} GROUP BY place"
    )
    return sql, [since, width, *values]


#: The number of rows of one level in an interval of time; ten times as fast as `histogram_sql`.
COUNT_LEVEL: Final = "SELECT count(*) FROM logs WHERE level = ? AND created_at >= ? AND created_at < ?"
_RANKS: Final = " ".join(f"WHEN '{level}' THEN {rank}" for rank, level in enumerate(LEVELS))
#: Gives COMMON if a text is common, and less if it is not.
COUNT_TEXT: Final = f"SELECT count(*) FROM (SELECT 1 FROM logs_text WHERE logs_text MATCH ? LIMIT {COMMON})"  # noqa: S608
#: The next larger value of a column, of those that are short enough for a filter. Listing all values this way takes one
#: step for each value, not for each row.
NEXT_VALUE: Final = "SELECT {column} FROM logs WHERE {column} > ? AND length({column}) <= ? ORDER BY {column} LIMIT 1"


def match(text: str | None) -> str | None:
    """The MATCH expression for a text; None if no piece of the text has a letter or digit, which the index needs."""
    # Quotes protect from FTS syntax; the star makes the last word of each piece match the beginning of words.
    pieces = filter(_has_word, _pieces(text))
    return " AND ".join(f"{_quoted(piece)} *" for piece in pieces) or None


def _has_word(text: str) -> bool:
    """Whether the full-text index is sure to have a word of it. If not, `_conditions` compares without the index."""
    return any(map(str.isalnum, text))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _pieces(text: str | None) -> list[str]:
    """The words of a text; several words in double quotes are one piece."""
    return [quoted or word for quoted, word in re.findall(r'"([^"]+)"(?!\S)|(\S+)', text or "")]


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _arrived(query: Query, position: int) -> tuple[list[str], list[str | float]]:
    conditions, values = _conditions(query, common=True, position=position)
    return [*conditions, "id > ?"], [*values, position]


def _found(query: Query, *, common: bool) -> tuple[list[str], list[str | float]]:
    """The conditions of a query, including those that make SQLite use the index of ids."""
    conditions, values = _conditions(query, common=common)
    for column, value in _ids(query).items():
        conditions.append("id IN (SELECT rowid FROM logs_ids WHERE logs_ids MATCH ?)")
        values.append(f"{column} : {_quoted(value)}")
    return conditions, values


def _ids(query: Query) -> dict[str, str]:
    """The ids in the query that the index of ids can find."""
    return {column: value for column, value in query.exact.items() if column in IDS and _has_word(value)}


def _conditions(query: Query, *, common: bool, position: int = 0) -> tuple[list[str], list[str | float]]:
    # No injection: names of columns come from `query.EXACT`, and values from outside become parameters.
    conditions: list[str] = []
    values: list[str | float] = []
    expression = match(query.text)
    # A plus before a column keeps SQLite from using that column's index: with an id or a rare text it is faster to
    # fetch the few rows that the full-text index finds, and to sort them.
    plus = "+" if _ids(query) or (expression is not None and not common) else ""
    for column, value in query.exact.items():
        conditions.append(f"{plus}{column} = ?")
        values.append(value)
    if query.min_level is not None:
        levels = LEVELS[LEVELS.index(query.min_level) :]
        # Not from the index of levels: with several levels SQLite would have to sort all rows that it finds there.
        conditions.append(f"+level IN ({', '.join('?' * len(levels))})")
        values += levels
    if query.since is not None:
        conditions.append(f"{plus}created_at >= ?")
        values.append(query.since)
    if query.until is not None:
        conditions.append(f"{plus}created_at < ?")
        values.append(query.until)
    if expression is not None:
        # With a common text the plus makes SQLite read the rows in order and look up each in this subquery.
        found = "SELECT rowid FROM logs_text WHERE logs_text MATCH ? AND rowid > ?"
        conditions.append(f"{'+' if common else ''}id IN ({found})")
        values += [expression, position]
    for piece in _pieces(query.text):
        if not piece.isalnum():
            # The index has words only. A piece with other characters is also compared as it is.
            escaped = piece.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            conditions.append("(message LIKE ? ESCAPE '\\' OR stack_trace LIKE ? ESCAPE '\\')")
            values += [f"%{escaped}%"] * 2
    return conditions, values
