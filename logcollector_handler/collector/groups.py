"""Counts of the logs that match a query, by the values of one field or of several, each over time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .conditions import Sql
from .matching import MAX_SHOWN
from .query import Cursor, Query
from .scan import Budget, Scan
from .tree import All, Has, is_column, path_of

#: Groups in memory at the same time. When there are more, the smaller half of them is counted together: so a large
#: group stays, whenever its logs came, and at most lacks those that came while it was small.
MAX_GROUPS: Final = 10_000


@dataclass
class Group:
    """The logs with the same values. Times are in Unix seconds."""

    #: Of the fields, in their order; None where a log has no value.
    values: tuple[str | None, ...]
    buckets: int
    count: int = 0
    first: float = 0.0
    last: float = 0.0
    #: The id of the one that arrived last.
    last_id: int = 0
    #: How many there are in each interval of time.
    counts: list[int] = field(default_factory=list)

    def add(self, bucket: int, count: int, first: float, last: float, last_id: int) -> None:
        """Count further logs, all of them in the same interval."""
        self.counts = self.counts or [0] * self.buckets
        # Rounding can put a log at the very end into a bucket beyond the last.
        self.counts[min(max(bucket, 0), self.buckets - 1)] += count
        self.first = min(self.first, first) if self.count else first
        self.last = max(self.last, last)
        self.last_id = max(self.last_id, last_id)
        self.count += count


@dataclass(frozen=True)
class Groups:
    """The largest groups, and how many logs are in others; `counts[n]` are those from `since + n * width` on."""

    since: float
    width: float
    groups: list[Group]
    others: int
    #: There were more groups than are kept in memory: the counts are the least that they can be.
    at_least: bool
    #: If the time was over: where it continues, and down to when it has counted.
    next: Cursor | None
    looked_to: float | None


def grouped(
    reader: sqlite3.Connection,
    query: Query,
    bounds: tuple[float, float],
    by: tuple[str, ...],
    buckets: int,
    budget: Budget,
) -> Groups:
    """The logs by the values of the fields `by`; those without the first field are left out.

    `bounds` are those in time, which the intervals divide.
    """
    since, until = bounds
    width = max((until - since) / buckets, 1e-3)
    asked = Has(by[0]) if query.where is None else All((query.where, Has(by[0])))
    scan = Scan(reader, replace(query, where=asked, since=since, until=until), budget)
    shown = [_shown(name) for name in by]
    what: Sql = (
        f"{', '.join(sql for sql, _ in shown)}, CAST((created_at - ?) / ? AS INT), "
        "count(*), min(created_at), max(created_at), max(id)",
        [*(value for _, values in shown for value in values), since, width],
    )
    found: dict[tuple[str | None, ...], Group] = {}
    others = 0
    at_least = False
    for rows in scan.rows(what, group=", ".join(str(number + 1) for number in range(len(by) + 1))):
        for row in rows:
            key = row[: len(by)]
            if key not in found and len(found) >= MAX_GROUPS:
                at_least = True
                ranked = _ranked(found.values())
                others += sum(group.count for group in ranked[MAX_GROUPS // 2 :])
                found = {group.values: group for group in ranked[: MAX_GROUPS // 2]}
            group = found.setdefault(key, Group(key, buckets))
            group.add(*row[len(by) :])
    largest = _ranked(found.values())
    others += sum(group.count for group in largest[query.limit :])
    return Groups(since, width, largest[: query.limit], others, at_least, scan.rest, scan.looked_to)


def _ranked(groups: Iterable[Group]) -> list[Group]:
    """The largest first; of the same size, the one that came last."""
    return sorted(groups, key=lambda group: (-group.count, -group.last))


def _shown(name: str) -> tuple[str, list[Any]]:
    if is_column(name):
        return f"substr({name}, 1, {MAX_SHOWN})", []
    return "field_shown(metadata, ?)", [path_of(name)]
