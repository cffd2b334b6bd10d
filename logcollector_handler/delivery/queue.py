"""The caller's end: a record becomes an entry, and the entry goes into a bounded queue.

Everything here runs inside the application's logging calls. So: no I/O, no lock that is held while anything
is called, and one comparison, `len(queue) >= threshold`, that tells the usual call from all the others.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from itertools import repeat
from logging.handlers import QueueHandler
from typing import Any, Final

from logcollector_handler.entry.model import Entry

from .batch import Batch
from .clock import Clock, Waiters
from .ledger import Ledger
from .process import may_wait
from .report import Reporter

Build = Callable[[logging.LogRecord], Entry]

#: Seconds that a caller waits at most for the listener to take something when the queue is full.
_GRACE: Final = 0.02
#: Seconds after which a caller that `overflow: block` holds looks again on its own.
_BLOCK_STEP: Final = 1.0


class RecordQueueHandler(QueueHandler):
    """Puts entries into a queue that holds `max_size` of them.

    `threshold` is the length of the queue from which a call has more to do than to append: the listener sets
    it to what it waits for (1 when it is idle), and nobody waits for more than the queue holds.
    """

    queue: deque[Entry]  # type: ignore[assignment]  # what the stdlib asks of a queue, we override

    def __init__(
        self,
        *,
        build: Build,
        max_size: int,
        overflow: str,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
        queue: deque[Entry],
        wake: Callable[[], bool],
    ) -> None:
        super().__init__(queue)  # type: ignore[arg-type]  # stdlib asks for put_nowait only where we override
        #: The record as an entry: a snapshot, taken now. Without a call in between, for it is every record's way.
        self.prepare = build  # type: ignore[assignment]  # the stdlib's is a method
        self._max_size = max_size
        self._overflow = overflow
        self._ledger = ledger
        self._reporter = reporter
        self._wake = wake
        #: Held by who takes from the queue, around `take`.
        self.taking: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        #: Callers that wait for room.
        self.waiters = Waiters(clock)
        #: How often the listener has taken something.
        self._moves = 0
        #: A caller has waited in vain: no other waits until the listener has taken something.
        self.waited = False
        #: The process is going down: nobody waits any more.
        self.exiting = False
        self.threshold = 1

    def enqueue(self, entry: Entry) -> None:  # type: ignore[override]  # what prepare made, as in the stdlib
        """Append an entry, and wake the listener or make room where that is due."""
        queue = self.queue
        queue.append(entry)
        if len(queue) >= self.threshold:
            self._attend()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the stdlib's name
        """An error in the handler itself: the record is counted as dropped, never raised to the application."""
        self._ledger.overflow("internal_error", from_front=False)
        self._reporter.say(
            "internal_error", f"a record of logger {record.name!r} was dropped: the handler failed on it"
        )

    def relax(self, wanted: int) -> None:
        """The listener is to be woken when the queue is that long, and not before."""
        self.threshold = min(wanted, self._max_size + 1)

    def take(self, count: int) -> tuple[str | None, list[Any]]:
        """Take what makes the next batch, at most that many; and the id that it has already, if it has one."""
        entries: list[Any] = []
        # Until there are no more; their number is not asked, because a caller that makes room takes some as well.
        with contextlib.suppress(IndexError):
            entries.extend(map(deque.popleft, repeat(self.queue, count)))
        return None, entries

    def kept(self, batch: Batch) -> None:
        """The batch of what was taken is in the outbox."""

    def holds_up(self) -> bool:
        """Whether the calling thread has what the listener needs: it was interrupted in the middle of a call."""
        return self._ledger.is_counting()

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""

    def moved(self) -> None:
        """The listener has taken entries: there is room."""
        self._moves += 1
        self.waited = False
        self.waiters.notify()

    def _attend(self) -> None:
        if not self._full():
            # One caller wakes the listener, not all that come before it has got up.
            self.relax(self._max_size + 1)
            woken = False
            try:
                woken = self._wake()
            finally:  # Also when a signal handler raises in the middle of it.
                if not woken:
                    self.relax(1)
            return
        self._wake()
        oldest = self._overflow == "drop_oldest"
        self._wait_for_room()
        while self._full():
            if self._overflow == "block" and self._can_wait():
                self._wait_for_room()
                continue
            try:
                if oldest:
                    self.queue.popleft()
                else:
                    self.queue.pop()
            except IndexError:  # The listener was faster.
                return
            self._ledger.overflow("queue_full", from_front=oldest)

    def _can_wait(self) -> bool:
        # With the ledger's lock this is code that interrupts us, and the listener needs the lock to make room.
        return not self.exiting and not self.holds_up() and may_wait()

    def _wait_for_room(self) -> None:
        if not self._can_wait():
            return
        if self._overflow == "block":
            # Asked again: who was woken need not be the one who finds room.
            while not self._roomy():
                self.waiters.wait(self._roomy, _BLOCK_STEP)
                self._wake()
            return
        seen = -1
        # Where many threads log, others may take the room as often as the listener makes it: then it is not stuck.
        while not self.waited and seen != self._moves:
            seen = self._moves
            if self.waiters.wait(self._roomy, _GRACE):
                return
        self.waited = True

    def _full(self) -> bool:
        return len(self.queue) > self._max_size

    def _roomy(self) -> bool:
        return not self._full() or self.exiting
