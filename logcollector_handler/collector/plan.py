"""The statements for one query, written so that SQLite uses the right index. Pure: no I/O."""

from __future__ import annotations

import math
from typing import Final

from .conditions import Finds, Sql, condition
from .query import Cursor, Query
from .tree import All, Compare, Has, Node

#: Columns whose rows an index has in the order of time, the one with the fewest rows for a value first.
_DRIVERS: Final = ("logger", "service", "level")
#: After all rows.
_NEWEST: Final = Cursor(9e99, 0)


class Plan:
    """The statements for one query: each names the index that it reads, because SQLite does not know what rows hold."""

    def __init__(self, query: Query) -> None:
        #: The rows before this position are to be looked at.
        self.begin: Cursor = query.after or _NEWEST
        self.node: Node = query.node
        since, until = _bounds(query)
        if until <= self.begin.created_at:
            self.begin = Cursor(until, 0)
        self._since: Sql = ("", []) if since == -math.inf else ("created_at >= ?", [since])
        self._source, self._driver = _driver(query.node)
        self._matching = condition(query.node)

    def step(self, before: Cursor, size: int) -> Sql:
        """The position of the last one of the `size` rows before a position; nothing if there are fewer."""
        where, values = _where(self._driver, self._since, _before(before))
        sql = f"SELECT created_at, id FROM {self._source}{where} ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?"  # noqa: S608
        return sql, [*values, size - 1]

    def rows(self, what: Sql, before: Cursor, until: Cursor | None, end: Sql) -> Sql:
        """`what` is selected of the matching rows before a position, down to the row at `until`."""
        # One lower bound: of two SQLite would begin at the first one, however far from the second that is.
        last: Sql = self._since if until is None else ("(created_at, id) >= (?, ?)", [until.created_at, until.id])
        where = _where(self._driver, _before(before), last, self._matching)
        return _select(what, self._source, where, end)

    def found(self, what: Sql, before: Cursor, places: Finds, end: Sql) -> Sql:
        """`what` is selected of all matching rows before a position, which full-text indexes find."""
        where = _where(_found(places), self._since, _before(before), self._matching)
        return _select(what, "logs NOT INDEXED", where, end)

    def after(self, columns: str, position: Cursor, limit: int) -> Sql:
        """The matching rows after a position, the oldest first."""
        later: Sql = ("(created_at, id) > (?, ?)", [position.created_at, position.id])
        # The bound in time, too, does not make it begin any earlier.
        since: Sql = ("+created_at >= ?", self._since[1]) if self._since[1] else ("", [])
        where, values = _where(self._driver, since, _before(self.begin), later, self._matching)
        sql = f"SELECT {columns} FROM {self._source}{where} ORDER BY created_at, id LIMIT ?"  # noqa: S608
        return sql, [*values, limit]

    def arrivals(self, position: int, until: int, limit: int, *, newest: bool) -> Sql:
        """The ids of the first `limit` matching rows in order of arrival; or of the `newest`, the last one first."""
        where, values = self._arrived(position, until)
        order = "DESC" if newest else "ASC"
        sql = f"SELECT id FROM logs NOT INDEXED{where} ORDER BY id {order} LIMIT ?"  # noqa: S608
        return sql, [*values, limit]

    def count_arrivals(self, position: int, before: int) -> Sql:
        """The number of matching rows after the row `position` and before the row `before`."""
        where, values = self._arrived(position, before - 1)
        return f"SELECT count(*) FROM logs NOT INDEXED{where}", values  # noqa: S608

    def _arrived(self, position: int, until: int) -> Sql:
        return _where(("id > ? AND id <= ?", [position, until]), self._since, _before(self.begin), self._matching)


def newest_first(limit: int) -> Sql:
    """The end of a statement for rows: at most `limit`."""
    return " ORDER BY created_at DESC, id DESC LIMIT ?", [limit]


def _select(what: Sql, source: str, where: Sql, end: Sql) -> Sql:
    return f"SELECT {what[0]} FROM {source}{where[0]}{end[0]}", [*what[1], *where[1], *end[1]]  # noqa: S608


def _bounds(query: Query) -> tuple[float, float]:
    """The bounds in time of all rows that can match: those of the query, and those that its language has."""
    since = -math.inf if query.since is None else query.since
    until = math.inf if query.until is None else query.until
    for each in _parts(query.node):
        if isinstance(each, Compare) and each.field == "created_at":
            time = float(each.value)
            if each.how in ("=", ">", ">="):
                since = max(since, time)
            if each.how in ("=", "<", "<="):
                until = min(until, time if each.how == "<" else math.nextafter(time, math.inf))
    return since, until


def _parts(node: Node) -> tuple[Node, ...]:
    """The conditions that must all be met."""
    return node.nodes if isinstance(node, All) else (node,)


def _driver(node: Node) -> tuple[str, Sql]:
    """The table with the index to read in the order of time, and the condition for that."""
    fields = {
        each.field: each
        for each in _parts(node)
        if isinstance(each, Has) or (isinstance(each, Compare) and each.how == "=")
    }
    if "error_type" in fields:
        return "logs INDEXED BY logs_by_error", ("error_type IS NOT NULL", [])
    for column in _DRIVERS:
        given = fields.get(column)
        if isinstance(given, Compare):
            return f"logs INDEXED BY logs_by_{column}", (f"{column} = ?", [given.value])
    return "logs INDEXED BY logs_by_time", ("", [])


def _before(position: Cursor) -> Sql:
    return ("", []) if position == _NEWEST else ("(created_at, id) < (?, ?)", [position.created_at, position.id])


def _found(places: Finds) -> Sql:
    each = " UNION ALL ".join(f"SELECT rowid FROM {index} WHERE {index} MATCH ?" for index, _ in places)  # noqa: S608
    return f"id IN ({each})", [expression for _, expression in places]


def _where(*parts: Sql) -> Sql:
    given = [(sql, values) for sql, values in parts if sql]
    joined = " AND ".join(f"({sql})" for sql, _ in given)
    return f" WHERE {joined}" if given else "", [value for _, values in given for value in values]


def count_sql(index: str, expression: str, most: int) -> Sql:
    """The number of rows that a full-text index finds, at most `most`."""
    return f"SELECT count(*) FROM (SELECT 1 FROM {index} WHERE {index} MATCH ? LIMIT ?)", [expression, most]  # noqa: S608
