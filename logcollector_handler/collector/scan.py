"""Goes through the rows that a query matches, newest first, within a budget of time.

A query whose rows an index can find is answered whole. For any other the rows are compared one by one, in steps, from
the newest on: when the time is over, the answer has what was found until then, says how far that was, and the next
request goes on from there.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from .conditions import COMMON, Finds, Sql, finds
from .plan import Plan, count_sql, newest_first
from .query import Cursor, Query

#: Seconds that one request may compare rows for.
SECONDS: Final = 1.0
#: Further seconds that it may take to compare the rows that an index finds: then they are all of them.
_FOUND: Final = 4.0
#: Rows of the first step, and of the largest; each has twice as many as the one before.
STEPS: Final = (250, 16_000)
#: Rows that are looked at before the full-text indexes are asked: a text that most rows have needs none.
GLANCE: Final = 1_500
#: Instructions of SQLite between two looks at the clock.
_INSTRUCTIONS: Final = 5_000


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


class Budget:
    """The time that one request has, from now on. `stopped` says whether its client has gone."""

    def __init__(
        self, stopped: Callable[[], bool] = lambda: False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stopped = stopped
        self._clock = clock
        self._deadline = clock() + SECONDS

    def is_spent(self) -> bool:
        """Whether the time is over. Raises StoppedError if the client has gone."""
        if self._stopped():
            raise StoppedError
        return self._clock() >= self._deadline

    @contextmanager
    def watching(self, reader: sqlite3.Connection, more: float) -> Iterator[None]:
        """Interrupt statements in the block once the client has gone, or the time is over, and `more` seconds."""
        deadline = self._deadline + more
        reader.set_progress_handler(lambda: self._stopped() or self._clock() >= deadline, _INSTRUCTIONS)
        try:
            yield
        except sqlite3.OperationalError:
            if self._stopped():
                raise StoppedError from None
            raise
        finally:
            reader.set_progress_handler(None, 0)

    def first(self, reader: sqlite3.Connection, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """The rows of a statement; when the time is over, those that came until then."""
        rows: list[tuple[Any, ...]] = []
        try:
            with self.watching(reader, 0.0):
                rows.extend(reader.execute(sql, values))
        except sqlite3.OperationalError as error:
            if str(error) != "interrupted":
                raise
        return rows


class Scan:
    """One walk through the rows that a query matches."""

    def __init__(self, reader: sqlite3.Connection, query: Query, budget: Budget) -> None:
        self._reader = reader
        self._plan = Plan(query)
        self._budget = budget
        #: The rows before this position are still to be looked at.
        self.reached: Cursor = self._plan.begin
        #: Whether all rows were looked at.
        self.is_complete: bool = False

    @property
    def looked_to(self) -> float | None:
        """The time down to which all rows were looked at; None if that is all of them, or none yet."""
        return None if self.is_complete or self.reached == self._plan.begin else self.reached.created_at

    @property
    def rest(self) -> Cursor | None:
        """Where another walk continues; None if all rows were looked at."""
        return None if self.is_complete else self.reached

    def rows(self, what: Sql, limit: int = -1, group: str = "") -> Iterator[list[tuple[Any, ...]]]:
        """What is selected of the matching rows, step by step: newest first, at most `limit` in each, or grouped.

        Ends when all rows were looked at, or the time is over. Raises StoppedError once the client has gone.
        """
        end: Sql = (f" GROUP BY {group}", []) if group else newest_first(limit)
        size, looked, is_asked = STEPS[0], 0, False
        while not self.is_complete:
            try:
                places = None
                if looked >= GLANCE and not is_asked:
                    is_asked = True
                    places = finds(self._plan.node, self._count)
                # The first step has no end, so that each request gets further.
                rows = self._step(size, what, end, looked > 0) if places is None else self._rest(places[1], what, end)
            except sqlite3.OperationalError as error:
                if str(error) != "interrupted":
                    raise
                return
            yield rows
            looked += size
            size = min(2 * size, STEPS[1])
            if self._budget.is_spent():
                return

    def _step(self, size: int, what: Sql, end: Sql, has_end: bool) -> list[tuple[Any, ...]]:
        """What is selected of those among the next `size` rows that match."""
        with self._budget.watching(self._reader, 0.0 if has_end else math.inf):
            last = self._reader.execute(*self._plan.step(self.reached, size)).fetchone()
            until = None if last is None else Cursor(*last)
            rows = self._reader.execute(*self._plan.rows(what, self.reached, until, end)).fetchall()
        self.is_complete = until is None
        self.reached = until or self.reached
        return rows

    def _rest(self, places: Finds, what: Sql, end: Sql) -> list[tuple[Any, ...]]:
        """What is selected of all further rows that match, which indexes find."""
        with self._budget.watching(self._reader, _FOUND):
            rows = self._reader.execute(*self._plan.found(what, self.reached, places, end)).fetchall()
        self.is_complete = True
        return rows

    def _count(self, index: str, expression: str) -> int:
        with self._budget.watching(self._reader, _FOUND):
            return int(self._reader.execute(*count_sql(index, expression, COMMON)).fetchone()[0])
