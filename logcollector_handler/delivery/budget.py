"""The time that the end of the process may take: one budget for all who end it, as large as `shutdown_timeout`.

A framework's own end, a signal, and the interpreter's exit may follow each other, and each has records sent. What
counts is the time for which they held the process up. So a quick end of the framework leaves nearly all of it for the
exit, and one that waited in vain for the server leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .clock import Clock, SystemClock
from .locks import new_lock

T = TypeVar("T")


class Budget:
    """Counts the seconds for which the process was held up."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        # Guards the fields below. Held for a moment only.
        self._lock = new_lock()
        self._spent = 0.0
        # When each of those began that hold the process up now. What overlaps counts once.
        self._held: dict[object, float] = {}
        # When the last of them was over; None when there was none yet.
        self._over_at: float | None = None
        #: An end of the process has begun. That a handler was closed does not count as one.
        self.has_begun: bool = False

    def refresh(self, largest: float, *, has_more: bool) -> None:
        """Forget what was spent, if that is long over.

        Args:
            largest: the largest `shutdown_timeout` of all handlers: the last end must be over for longer than that.
            has_more: records were accepted since. Without any, only the time of `close` is forgotten.
        """
        with self._lock:
            is_old = self._over_at is not None and self._clock.monotonic() - self._over_at > largest
            if is_old and not self._held and (has_more or not self.has_begun):
                self._spent = 0.0
                self.has_begun = False

    def begin(self) -> None:
        """An end of the process begins."""
        self.has_begun = True

    def hold(self, work: Callable[[], T]) -> T:
        """Do work that holds the process up, and count its time."""
        token, now = object(), self._clock.monotonic()
        try:
            # Setting an item of a dict is no call, and removing it is one: so a signal handler that raises cannot leave
            # this entry behind, whose time would go on counting.
            self._held[token] = now
            return work()
        finally:
            try:
                self._count(token)
            finally:
                self._held.pop(token, None)

    def _count(self, token: object) -> None:
        """Work is over that held the process up."""
        with self._lock:
            # In one step: others must find this time either under way or spent, and not count it once more as theirs.
            began = self._held.pop(token)
            now = self._clock.monotonic()
            # What others began before, or hold up still, is counted when they are over.
            self._spent += max(0.0, min(self._held.values(), default=now) - began)
            self._over_at = now

    def left(self, shutdown_timeout: float) -> float:
        """Seconds that are left of this many, after all that was spent so far."""
        with self._lock:
            now = self._clock.monotonic()
            under_way = now - min(self._held.values(), default=now)
            return max(0.0, shutdown_timeout - self._spent - under_way)
