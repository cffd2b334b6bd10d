"""Time and waiting: the one seam through which the package learns the time and lets it pass.

Tests put a clock of their own here. Nothing else in the package calls `time` or blocks on a lock of
`threading` to let time pass.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the package asks of time."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never set: for every wait and every age."""

    def time(self) -> float:
        """Unix seconds: for what people and servers read."""


class SystemClock:
    """The real time."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class Wakeup:
    """A flag on which one thread waits and which any thread sets.

    `set` neither blocks nor takes a lock, so it may be called from a signal handler, a GC callback or
    `__del__`. The flag falls when the wait returns, which is before the waiter looks at its work: a flag
    set while it works is not lost.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the waiter, now or when it waits next."""
        try:
            self._lock.release()
        except RuntimeError:  # The flag is up already.
            return

    def wait(self, seconds: float | None) -> None:
        """Wait until the flag is up, at most that long (None: for ever), and take it down."""
        self._lock.acquire(timeout=-1 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX))


class Waiters:
    """Threads that wait until something holds; `notify` makes them look again.

    Each waiter brings a lock of its own, so a waiter that is interrupted by a signal handler or by the
    garbage collector, which then waits or notifies here itself, holds nothing that the other needs.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._locks: deque[threading.Lock] = deque()

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until `holds()`, at most that many seconds; the last answer of `holds` is returned."""
        deadline = self._clock.monotonic() + seconds
        while not holds():
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0:
                return False
            lock = threading.Lock()
            lock.acquire()
            self._locks.append(lock)
            if not holds():
                lock.acquire(timeout=min(remaining, threading.TIMEOUT_MAX))
        return True

    def notify(self) -> None:
        """Make every waiter look again. Never blocks."""
        while True:
            try:
                lock = self._locks.popleft()
            except IndexError:
                return
            lock.release()
