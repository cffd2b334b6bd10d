"""How a question becomes SQL, and what the file is laid out for: the tables, their indexes, and the plans over them.

Who reads and writes, and when, is in `store`. Nothing here opens, locks or changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from logcollector_handler.entry.model import COLUMNS, LEVELS, Duration, Time

from .entries import ROW_COLUMNS
from .query import IDS, Query

SCHEMA_VERSION: Final = 3
_NUMBERS: Final = frozenset(name for name, kind in COLUMNS.items() if isinstance(kind, Time | Duration))
#: Every column of the table but its id, with its type.
COLUMN_TYPES: Final = {name: "REAL" if name in _NUMBERS else "TEXT" for name in ROW_COLUMNS}
#: Both text indexes, and the columns of each.
INDEXED: Final = {"logs_text": "message, stack_trace", "logs_ids": ", ".join(IDS)}
# Each index is paid for with every row. Rows are asked for newest first, so an index ends in the time, and has the
# level behind it where levels over time are counted from it alone, as those of an environment are. Neither the text
# index nor that of ids keeps a copy of what it indexes, or the lengths that a ranking would want. Ids are as good as
# random: each would change a page of its own in a common index, which at a million rows costs more than all else
# together. A text index is appended to and merged. In that of ids all but white space is part of a word, so that an id
# is one word, most of the time.
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
CREATE TABLE batches (key TEXT PRIMARY KEY, count INTEGER NOT NULL, stored_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX batches_by_time ON batches (stored_at);
PRAGMA user_version = {SCHEMA_VERSION};
"""
INSERT: Final = f"INSERT INTO logs ({', '.join(ROW_COLUMNS)}) VALUES ({', '.join('?' * len(ROW_COLUMNS))})"  # noqa: S608 - constants
SELECT: Final = f"SELECT id, {', '.join(ROW_COLUMNS[:-1])} FROM logs"  # noqa: S608 - constants
#: From so many rows on, a text is common: rows are then walked through in their order and looked up among the found
#: ones, where those with a rare text are fetched and sorted.
COMMON: Final = 20_000

#: A statement and its values.
Sql: TypeAlias = tuple[str, list[str | float]]


def page_sql(query: Query, *, common: bool) -> Sql:
    """The newest rows by their time; one more than the page has, to know whether there is a next one."""
    conditions, values = _found(query, common=common)
    if query.after is not None:
        conditions.append("(created_at, id) < (?, ?)")
        values += [query.after.created_at, query.after.id]
    return f"{SELECT}{_where(conditions)} ORDER BY created_at DESC, id DESC LIMIT ?", [*values, query.limit + 1]


def arrivals_sql(query: Query, position: int, *, newest: bool) -> Sql:
    """The first `limit` rows that came after the row `position`, or the `newest` of them; in order of arrival."""
    conditions, values = _arrived(query, position)
    order = "DESC" if newest else "ASC"
    sql = f"{SELECT} NOT INDEXED{_where(conditions)} ORDER BY id {order} LIMIT ?"
    return sql, [*values, query.limit]


def count_arrivals_sql(query: Query, position: int, before: int) -> Sql:
    """How many rows came after the row `position` and before the row `before`."""
    conditions, values = _arrived(query, position)
    sql = f"SELECT count(*) FROM logs NOT INDEXED{_where([*conditions, 'id < ?'])}"  # noqa: S608 - constants
    return sql, [*values, before]


def histogram_sql(query: Query, since: float, width: float, *, common: bool) -> Sql:
    """Rows of (bucket, level, count) for what the query asks; buckets are counted from `since`, which is before all."""
    conditions, values = _found(query, common=common)
    # One number to group by sorts in half the time of two columns.
    sql = (
        f"SELECT CAST((created_at - ?) / ? AS INT) * {len(LEVELS)} + CASE level {_RANKS} END AS place, count(*) "  # noqa: S608
        f"FROM logs{_where(conditions)} GROUP BY place"
    )
    return sql, [since, width, *values]


#: How many rows of one level there are in a stretch of time: `histogram_sql` takes ten times as long for it.
COUNT_LEVEL: Final = "SELECT count(*) FROM logs WHERE level = ? AND created_at >= ? AND created_at < ?"
_RANKS: Final = " ".join(f"WHEN '{level}' THEN {rank}" for rank, level in enumerate(LEVELS))
#: Whether a text is a common one: gives COMMON then.
COUNT_TEXT: Final = f"SELECT count(*) FROM (SELECT 1 FROM logs_text WHERE logs_text MATCH ? LIMIT {COMMON})"  # noqa: S608
#: The next value of a column in its order, behind the one given: a step for each value, and not for each row.
NEXT_VALUE: Final = "SELECT {column} FROM logs WHERE {column} > ? ORDER BY {column} LIMIT 1"


def match(text: str | None) -> str | None:
    """What the text index is asked for, None if it cannot help: there is no letter or digit in the text."""
    # In quotes nothing is syntax; the star makes the last word of each piece the beginning of one.
    pieces = filter(_has_word, _pieces(text))
    return " AND ".join(f"{_quoted(piece)} *" for piece in pieces) or None


def _has_word(text: str) -> bool:
    """Whether a text index knows it for sure; where not, an answer is right without the index, too."""
    return any(map(str.isalnum, text))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _pieces(text: str | None) -> list[str]:
    """The words of a text; what stands in double quotes is one."""
    return [quoted or word for quoted, word in re.findall(r'"([^"]+)"(?!\S)|(\S+)', text or "")]


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _arrived(query: Query, position: int) -> tuple[list[str], list[str | float]]:
    conditions, values = _conditions(query, common=True, position=position)
    return [*conditions, "id > ?"], [*values, position]


def _found(query: Query, *, common: bool) -> tuple[list[str], list[str | float]]:
    """The conditions, with those that the index of ids answers."""
    conditions, values = _conditions(query, common=common)
    for column, value in _ids(query).items():
        conditions.append("id IN (SELECT rowid FROM logs_ids WHERE logs_ids MATCH ?)")
        values.append(f"{column} : {_quoted(value)}")
    return conditions, values


def _ids(query: Query) -> dict[str, str]:
    """The ids that are asked for and that their index knows."""
    return {column: value for column, value in query.exact.items() if column in IDS and _has_word(value)}


def _conditions(query: Query, *, common: bool, position: int = 0) -> tuple[list[str], list[str | float]]:
    # Names of columns come from `query.EXACT`; everything from outside is a parameter.
    conditions: list[str] = []
    values: list[str | float] = []
    expression = match(query.text)
    # A plus keeps a column from its index: few rows are fetched by what a text index found, and then sorted.
    plus = "+" if _ids(query) or (expression is not None and not common) else ""
    for column, value in query.exact.items():
        conditions.append(f"{plus}{column} = ?")
        values.append(value)
    if query.min_level is not None:
        levels = LEVELS[LEVELS.index(query.min_level) :]
        # Never from the index of levels, behind which all that is found would have to be sorted.
        conditions.append(f"+level IN ({', '.join('?' * len(levels))})")
        values += levels
    if query.since is not None:
        conditions.append(f"{plus}created_at >= ?")
        values.append(query.since)
    if query.until is not None:
        conditions.append(f"{plus}created_at < ?")
        values.append(query.until)
    if expression is not None:
        # Of many, rows are looked up among it as they are walked through in their order.
        found = "SELECT rowid FROM logs_text WHERE logs_text MATCH ? AND rowid > ?"
        conditions.append(f"{'+' if common else ''}id IN ({found})")
        values += [expression, position]
    for piece in _pieces(query.text):
        if not piece.isalnum():
            # The index knows words only. What stands between them is compared as it is.
            escaped = piece.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            conditions.append("(message LIKE ? ESCAPE '\\' OR stack_trace LIKE ? ESCAPE '\\')")
            values += [f"%{escaped}%"] * 2
    return conditions, values
