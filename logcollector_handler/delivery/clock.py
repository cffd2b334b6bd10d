"""Time and waiting: what a handler's parts use to read the time and to let it pass, so that tests can replace it.

`delivery`, the timers and the rate limit read the time from a Clock, and wait through a Wakeup or Waiters. Exceptions:
the waits of the network and of `process`, and the sleep of the look-out. What reads the time by itself: `entry` for
the time of an entry, the structlog processor, the collector, and the command line.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Protocol


class Clock(Protocol):
    """What the package asks of time."""

    def monotonic(self) -> float:
        """Seconds on a clock that nobody can set: for every wait and every age."""

    def time(self) -> float:
        """Unix seconds: for times that people and servers read."""


class SystemClock:
    """The real time for waits, also where tests of the application freeze it; and the time that people read."""

    monotonic: ClassVar[staticmethod[[], float]]
    if sys.platform == "win32":
        monotonic = staticmethod(time.monotonic)
    else:
        # freezegun replaces `time.monotonic`, and a wait by a clock that stands still would never end.
        monotonic = staticmethod(partial(time.clock_gettime, time.CLOCK_MONOTONIC))

    @staticmethod
    def time() -> float:
        # Looked up with each call: what is found at the import may be the function of a test that is over.
        return time.time()


class Wakeup:
    """A flag that any thread can raise and for which one thread waits.

    `set` neither blocks nor takes a lock, so it may be called from a signal handler, a GC callback or `__del__`. `wait`
    lowers the flag when it returns, before the waiter looks for work: a flag raised while it works is not lost.
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
        """Wait until the flag is up, for at most `seconds` (None: for ever), and lower it."""
        self._lock.acquire(timeout=-1 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX))


class Waiters:
    """Threads that wait until a condition holds; `notify` makes them check it again.

    Each waiter has a lock of its own. So when a signal handler or the garbage collector interrupts a waiter and then
    waits or notifies here itself, it needs nothing that the interrupted waiter holds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._locks: deque[threading.Lock] = deque()

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until `holds()` is true, for at most `seconds`. Returns the last answer of `holds`."""
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
        """Make every waiter check its condition again. Never blocks."""
        while True:
            try:
                lock = self._locks.popleft()
            except IndexError:
                return
            lock.release()
