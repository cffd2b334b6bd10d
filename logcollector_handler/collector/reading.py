"""Runs queries for stored logs on a reading connection, and turns the rows into entries.

`search` makes the SQL, `store` owns the connection.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import msgspec

from logcollector_handler.entry.model import LEVELS
from logcollector_handler.wire.posted.entries import ROW_COLUMNS

from . import search
from .query import MAX_VALUE, Cursor, Query

#: Bytes of JSON in one answer, unless its only entry is longer.
MAX_BYTES: Final = 8 * 1024 * 1024
#: Services that the statistics count: those with the most logs.
MAX_SERVICES: Final = 10_000
#: Names of the columns that `search.SELECT` reads.
_NAMES: Final = ("id", *ROW_COLUMNS[:-1])
#: Columns whose values are listed for clients to filter by, and the maximum of values listed of each.
LISTED: Final = ("service", "logger")
MAX_LISTED: Final = 500


@dataclass(frozen=True)
class Page:
    """Entries, newest first, each with its `id`; columns that are NULL are left out, `metadata` is a msgspec.Raw."""

    entries: list[dict[str, Any]]
    #: Where the next page begins; None if this is the last.
    next: Cursor | None


@dataclass(frozen=True)
class Arrivals:
    """Entries in the form of those of a Page, in order of arrival."""

    entries: list[dict[str, Any]]
    #: The id of the last row that was examined; the next query continues after it.
    position: int
    #: How many matching entries were left out before the first of these.
    skipped: int


@dataclass(frozen=True)
class Histogram:
    """`counts[level][n]` is the number of entries from `since + n * width` on, for `width` seconds. In Unix seconds."""

    since: float
    width: float
    counts: dict[str, list[int]]


def page(reader: sqlite3.Connection, query: Query) -> Page:
    """The newest logs that match the query, by their time; as many as fit into MAX_BYTES."""
    with _snapshot(reader):
        # One more than the page has.
        ids = reader.execute(*search.page_sql(query, common=_is_common(reader, query))).fetchall()
        entries = _entries(reader, ids[: query.limit], MAX_BYTES)
    if len(entries) == len(ids):
        return Page(entries, None)
    return Page(entries, Cursor(entries[-1]["created_at"], entries[-1]["id"]))


def arrivals(
    reader: sqlite3.Connection, query: Query, position: int, *, newest: bool = False, most: int = MAX_BYTES
) -> Arrivals:
    """The matching logs that arrived after the row `position`, in order: the first `limit`, or the `newest`.

    Of these as many as fit into `most` bytes.
    """
    with _snapshot(reader):
        end = last_id(reader)
        ids = reader.execute(*search.arrivals_sql(query, position, newest=newest)).fetchall() if end > position else []
        entries = _entries(reader, ids, most)
        skipped = 0
        if len(ids) == query.limit or len(entries) < len(ids):
            # There may be more than these.
            if newest:
                skipped = reader.execute(*search.count_arrivals_sql(query, position, entries[-1]["id"])).fetchone()[0]
            else:
                end = entries[-1]["id"]
        if newest:
            entries.reverse()
    # A position beyond the last row is kept.
    return Arrivals(entries, max(position, end), skipped)


def before_last(reader: sqlite3.Connection, query: Query, count: int) -> int:
    """The position after which the last `count` matching logs arrived."""
    ids = reader.execute(*search.arrivals_sql(replace(query, limit=count), 0, newest=True)).fetchall()
    return ids[-1][0] - 1 if ids else last_id(reader)


def all_entries(reader: sqlite3.Connection) -> list[dict[str, Any]]:
    """All logs in order of arrival, with `metadata` as a dict."""
    entries = [_entry(row) for row in reader.execute(f"{search.SELECT} ORDER BY id")]
    for entry in entries:
        if "metadata" in entry:
            entry["metadata"] = msgspec.json.decode(entry["metadata"])
    return entries


def last_id(reader: sqlite3.Connection) -> int:
    """The id of the row that arrived last, removed or not, 0 if none ever did: where a stream begins that begins now.

    If it went back when rows are removed, a client that reconnects would seem to come from another file.
    """
    return int(reader.execute(search.LAST_ID).fetchone()[0])


def histogram(reader: sqlite3.Connection, query: Query, buckets: int) -> Histogram:
    """How many logs of each level match the query, over time. Without a bound in time it uses that of all logs."""
    with _snapshot(reader):
        since, until = query.since, query.until
        if since is None:
            since = _finite(reader.execute("SELECT min(created_at) FROM logs").fetchone()[0] or 0.0)
        if until is None:
            until = _finite(reader.execute("SELECT max(created_at) FROM logs").fetchone()[0] or since)
            until = math.nextafter(until, math.inf)
        width = max((until - since) / buckets, 1e-3)
        counts: dict[str, list[int]] = {level: [0] * buckets for level in LEVELS}
        if query.text is None and not query.exact:
            for level in LEVELS[LEVELS.index(query.min_level or LEVELS[0]) :]:
                for bucket in range(buckets):
                    bounds = (since + bucket * width, min(since + (bucket + 1) * width, until))
                    counts[level][bucket] = reader.execute(search.COUNT_LEVEL, (level, *bounds)).fetchone()[0]
        else:
            bounded = replace(query, since=since, until=until)
            sql = search.histogram_sql(bounded, since, width, common=_is_common(reader, query))
            for place, count in reader.execute(*sql):
                if place is None or not 0 <= place < (buckets + 1) * len(LEVELS):
                    raise sqlite3.DatabaseError("a row has no level, or a time that it cannot have")
                bucket, rank = divmod(place, len(LEVELS))
                # Rounding can put a log at the very end into a bucket beyond the last.
                counts[LEVELS[rank]][min(bucket, buckets - 1)] += count
    return Histogram(since, width, {level: row for level, row in counts.items() if any(row)})


def values(reader: sqlite3.Connection) -> dict[str, list[str]]:
    """The values of the columns in LISTED, at most MAX_LISTED of each."""
    return {column: list(islice(_values(reader, column), MAX_LISTED)) for column in LISTED}


def stats(reader: sqlite3.Connection, recent_from: float) -> dict[str, Any]:
    """The answer to `GET /stats`. The largest count comes first; recent errors are those since `recent_from`."""
    with _snapshot(reader):
        levels = _distribution(reader, "level")
        services = _distribution(reader, "service")
        recent = reader.execute(
            "SELECT count(*) FROM logs WHERE level IN ('ERROR', 'FATAL') AND created_at >= ?",
            (recent_from,),
        ).fetchone()[0]
    return {
        "total_logs": sum(level["count"] for level in levels),
        "level_distribution": levels,
        "service_distribution": services,
        "recent_errors_1h": recent,
    }


def _distribution(reader: sqlite3.Connection, column: str) -> list[dict[str, Any]]:
    # No injection: `column` is one of the two constants in `stats`.
    sql = f"SELECT {column}, count(*) FROM logs GROUP BY {column} ORDER BY 2 DESC, 1 LIMIT {MAX_SERVICES}"  # noqa: S608
    return [{column: value, "count": count} for value, count in reader.execute(sql)]


def _values(reader: sqlite3.Connection, column: str) -> Iterator[str]:
    value = ""
    while True:
        found = reader.execute(search.NEXT_VALUE.format(column=column), (value, MAX_VALUE)).fetchone()
        if found is None:
            return
        value = found[0]
        yield value


def _is_common(reader: sqlite3.Connection, query: Query) -> bool:
    expression = search.match(query.text)
    if expression is None:
        return False
    count: int = reader.execute(search.COUNT_TEXT, (expression,)).fetchone()[0]
    return count >= search.COMMON


@contextmanager
def _snapshot(reader: sqlite3.Connection) -> Iterator[None]:
    """All statements in the `with` block see the same state of the logs."""
    reader.execute("BEGIN")
    try:
        yield
    finally:
        reader.execute("ROLLBACK")


def _entries(reader: sqlite3.Connection, ids: list[tuple[int]], most: int) -> list[dict[str, Any]]:
    """The entries with these ids, of which the first is always there, and the others as far as `most` bytes allow."""
    entries: list[dict[str, Any]] = []
    size = 0
    for row_id in ids:
        row = reader.execute(search.SELECT_ONE, row_id).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("an index names a row that is not there")
        entry = _entry(row)
        _finite(entry.get("created_at"))
        size += len(msgspec.json.encode(entry))
        if size > most and entries:
            break
        entries.append(entry)
    return entries


def _finite(time: Any) -> float:
    """The time of a row. Raises DatabaseError if it is none, which only happens in a damaged file."""
    if not isinstance(time, float) or not math.isfinite(time):
        raise sqlite3.DatabaseError("a row has no time")
    return time


def _entry(row: tuple[Any, ...]) -> dict[str, Any]:
    entry = {name: value for name, value in zip(_NAMES, row, strict=True) if value is not None}
    if "metadata" in entry:
        # Checked but not decoded: as objects of Python it would need many times the memory.
        entry["metadata"] = msgspec.json.decode(entry["metadata"], type=msgspec.Raw)
    return entry
