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
from .conditions import Sql
from .groups import Groups, grouped
from .plan import Plan
from .query import MAX_VALUE, Cursor, Grouping, Query
from .scan import Budget, Scan

#: Bytes of JSON in one answer, unless its only entry is longer.
MAX_BYTES: Final = 8 * 1024 * 1024
#: Rows that arrived later which a stream looks at in one go.
ROWS: Final = 20_000
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
    #: If the time was over before the page was full: down to when it has looked.
    looked_to: float | None = None


@dataclass(frozen=True)
class Around:
    """An entry, and its neighbours in time, all in the form of those of a Page; each list has the newest first."""

    entry: dict[str, Any]
    older: list[dict[str, Any]]
    newer: list[dict[str, Any]]


@dataclass(frozen=True)
class Arrivals:
    """Entries in the form of those of a Page, in order of arrival."""

    entries: list[dict[str, Any]]
    #: The id of the last row that was examined; the next query continues after it.
    position: int
    #: How many matching entries were left out before the first of these.
    skipped: int
    #: Whether no row arrived after `position`.
    is_last: bool = True


@dataclass(frozen=True)
class Histogram:
    """`counts[level][n]` is the number of entries from `since + n * width` on, for `width` seconds. In Unix seconds."""

    since: float
    width: float
    counts: dict[str, list[int]]
    #: If the time was over: where it continues, and down to when it has counted.
    next: Cursor | None = None
    looked_to: float | None = None


def page(reader: sqlite3.Connection, query: Query, budget: Budget, *, most: int | None = None) -> Page:
    """The newest logs that match the query, by their time; as many as fit into the budget, and `most` or MAX_BYTES."""
    # One more than the page has.
    wanted = query.limit + 1
    ids: list[tuple[Any, ...]] = []
    with _snapshot(reader):
        scan = Scan(reader, query, budget)
        for rows in scan.rows(("id", []), wanted):
            ids += rows[: wanted - len(ids)]
            if len(ids) == wanted:
                break
        entries = _entries(reader, ids[: query.limit], most or MAX_BYTES)
    if len(entries) < len(ids):
        return Page(entries, Cursor(entries[-1]["created_at"], entries[-1]["id"]))
    return Page(entries, scan.rest, scan.looked_to)


def around(reader: sqlite3.Connection, row_id: int, query: Query, budget: Budget) -> Around | None:
    """The entry with this id, and those before and after it that match the query: of each as many as its limit."""
    with _snapshot(reader):
        row = reader.execute(search.SELECT_ONE, (row_id,)).fetchone()
        if row is None:
            return None
        entry = _entry(row)
        position = Cursor(_finite(entry["created_at"]), row_id)
        newer = _entries(reader, budget.first(reader, *Plan(query).after("id", position, query.limit)), MAX_BYTES // 2)
    older = page(reader, replace(query, after=position), budget, most=MAX_BYTES // 2)
    return Around(entry, older.entries, newer[::-1])


def arrivals(
    reader: sqlite3.Connection, query: Query, position: int, *, newest: bool = False, most: int = MAX_BYTES
) -> Arrivals:
    """The matching logs that arrived after the row `position`, in order: the first `limit`, or the `newest`.

    Of these as many as fit into `most` bytes. Without `newest` it looks at no more than ROWS rows at once.
    """
    plan = Plan(query)
    with _snapshot(reader):
        last = last_id(reader)
        end = last if newest else min(last, position + ROWS)
        ids = (
            reader.execute(*plan.arrivals(position, end, query.limit, newest=newest)).fetchall()
            if end > position
            else []
        )
        entries = _entries(reader, ids, most)
        skipped = 0
        if len(ids) == query.limit or len(entries) < len(ids):
            # There may be more than these.
            if newest:
                skipped = reader.execute(*plan.count_arrivals(position, entries[-1]["id"])).fetchone()[0]
            else:
                end = entries[-1]["id"]
        if newest:
            entries.reverse()
    # A position beyond the last row is kept.
    return Arrivals(entries, max(position, end), skipped, is_last=end >= last)


def before_last(reader: sqlite3.Connection, query: Query, count: int | None, budget: Budget) -> int:
    """The position after which the last `count` matching logs arrived, or all of them; as far as the budget lasts."""
    if count is None:
        # The times of rows are about in the order of their arrival.
        begin = reader.execute(search.FIRST_SINCE, (query.since or -math.inf,)).fetchone()[0]
        return last_id(reader) if begin is None else begin - 1
    with _snapshot(reader):
        end = last_id(reader)
        ids = budget.first(reader, *Plan(query).arrivals(0, end, count, newest=True))
    return ids[-1][0] - 1 if ids else end


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


def histogram(reader: sqlite3.Connection, query: Query, buckets: int, budget: Budget) -> Histogram:
    """How many logs of each level match the query, over time. Without a bound in time it uses that of all logs."""
    with _snapshot(reader):
        since, until = _bounds(reader, query)
        width = max((until - since) / buckets, 1e-3)
        counts: dict[str, list[int]] = {level: [0] * buckets for level in LEVELS}
        scan = Scan(reader, replace(query, since=since, until=until), budget)
        if query.text is None and query.where is None and query.after is None and not query.exact:
            for level in LEVELS[LEVELS.index(query.min_level or LEVELS[0]) :]:
                for bucket in range(buckets):
                    # The last one ends where the query does: the sum of so many widths can be rounded to less.
                    end = until if bucket == buckets - 1 else min(since + (bucket + 1) * width, until)
                    bounds = (since + bucket * width, end)
                    counts[level][bucket] = reader.execute(search.COUNT_LEVEL, (level, *bounds)).fetchone()[0]
        else:
            place_sql: Sql = ("CAST((created_at - ?) / ? AS INT) AS place, level, count(*)", [since, width])
            for rows in scan.rows(place_sql, group="place, level"):
                for place, level, count in rows:
                    if level not in counts or not isinstance(place, int) or not 0 <= place <= buckets:
                        raise sqlite3.DatabaseError("a row has no level, or a time that it cannot have")
                    # Rounding can put a log at the very end into a bucket beyond the last.
                    counts[level][min(place, buckets - 1)] += count
            return Histogram(since, width, _without_zeros(counts), scan.rest, scan.looked_to)
    return Histogram(since, width, _without_zeros(counts))


def _without_zeros(counts: dict[str, list[int]]) -> dict[str, list[int]]:
    return {level: row for level, row in counts.items() if any(row)}


def groups(reader: sqlite3.Connection, grouping: Grouping, budget: Budget) -> Groups:
    """How many logs match, by the values of fields, and over time."""
    with _snapshot(reader):
        bounds = _bounds(reader, grouping.query)
        return grouped(reader, grouping.query, bounds, grouping.by, grouping.buckets, budget)


def _bounds(reader: sqlite3.Connection, query: Query) -> tuple[float, float]:
    """The bounds in time of a query; without them those of all logs."""
    since, until = query.since, query.until
    if since is None:
        since = _finite(reader.execute("SELECT min(created_at) FROM logs").fetchone()[0] or 0.0)
    if until is None:
        until = _finite(reader.execute("SELECT max(created_at) FROM logs").fetchone()[0] or since)
        until = math.nextafter(until, math.inf)
    return since, until


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


@contextmanager
def _snapshot(reader: sqlite3.Connection) -> Iterator[None]:
    """All statements in the `with` block see the same state of the logs."""
    reader.execute("BEGIN")
    try:
        yield
    finally:
        reader.execute("ROLLBACK")


def _entries(reader: sqlite3.Connection, ids: list[tuple[Any, ...]], most: int) -> list[dict[str, Any]]:
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
