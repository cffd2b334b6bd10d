"""Callers take turns while the queue is crowded, so that none of many threads waits long.

The interpreter runs one thread at a time, for five milliseconds each while others wait. Where sixteen threads log as
fast as they can, a call that is interrupted waits for fifteen others, and so does the listener. It falls behind, the
queue fills, and then callers wait for room, which others take before they are awake.

While callers take turns, one of them logs and the others wait in line. The one whose turn it is makes way for the first
in line after some entries, and goes to its end. So a round of all callers is short, and the listener waits for one
caller only.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import Final

from .clock import Clock

#: Entries that all callers together append in a round; and those that a caller appends in a turn at least.
_ROUND: Final = 640
_TURN: Final = 40
#: Seconds that an entry usually takes at most in a turn, what the listener and the sender do meanwhile included.
_PER_ENTRY: Final = 12e-6
#: When nobody has made way for as long as this many turns take, the thread whose turn it is does not log any more.
_PATIENCE: Final = 4
#: The longest that a caller waits in line, in seconds.
_LONGEST: Final = 0.05
#: Seconds for which callers go on taking turns after the queue was crowded last; and the entries in that time that tell
#: that they still log at full speed. Then they go on for as long again.
_LASTS: Final = 0.5
_FULL_SPEED: Final = 15_000


class Turns:
    """Whose turn it is to log, and who waits in line. Only logging calls change that, and the end of the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Those in line, each with a lock of its own that the caller before it releases. A lock that is not held belongs
        # to a caller that waits no more.
        self._line: deque[threading.Lock] = deque()
        # The ident of the thread whose turn it is, and when one made way for another last, in monotonic seconds.
        self._turn = 0
        self._made_way = 0.0
        #: Until when callers take turns, in monotonic seconds. 0: they do not.
        self.until: float = 0.0
        # The entries of turns that are over; and how often the thread whose turn it is has asked for its end.
        self._appended = 0
        self._asked = 0

    @property
    def entries(self) -> int:
        """How many entries are appended in a turn."""
        return max(_TURN, _ROUND // (len(self._line) + 1))

    def begin(self) -> None:
        """The queue is crowded: take turns for some time. The first turn is that of the calling thread."""
        now = self._clock.monotonic()
        if now > self.until:
            self._turn = threading.get_ident()
        self.until = now + _LASTS
        self._appended = 0

    def end(self) -> None:
        """Take no turns any more: everyone in line goes on."""
        self.until = 0.0
        while self._line:
            self._call_next()

    def is_over(self) -> bool:
        """Whether the turn of the calling thread is over, or was none, where it asks this after each of its entries."""
        if self._turn != threading.get_ident():
            return True
        self._asked += 1
        if self._asked < self.entries:
            return False
        self._asked = 0
        return True

    def take(self) -> None:
        """The calling thread has appended some entries: make way for the first in line, and wait for the next turn.

        Returns at once when nobody else is in line, or when it is time to take no more turns.
        """
        now = self._clock.monotonic()
        if now > self.until:
            if self._appended < _FULL_SPEED:
                self.end()
                return
            self.begin()
        me = threading.get_ident()
        if self._turn == me:
            self._appended += self.entries
            self._made_way = now
            if not self._call_next():
                return
        self._wait(now)
        # If the wait was in vain, the turn of the other thread is over.
        self._turn = me

    def _wait(self, now: float) -> None:
        """Wait in line until another caller makes way, or while others do."""
        lock = threading.Lock()
        lock.acquire()
        self._line.append(lock)
        seconds = self.entries * _PER_ENTRY
        due, end = now + len(self._line) * seconds, now + _LONGEST
        while not lock.acquire(timeout=max(0.0, min(due, end) - now)):
            now = self._clock.monotonic()
            due = self._made_way + _PATIENCE * seconds
            if now >= min(due, end):
                break
        with contextlib.suppress(RuntimeError):
            # Where the wait was in vain, the lock is still in line.
            lock.release()

    def _call_next(self) -> bool:
        """Let the first in line go on that still waits. Returns whether there was one."""
        while True:
            try:
                self._line.popleft().release()
            except IndexError:
                return False
            except RuntimeError:
                # Its caller waits no more.
                continue
            return True
