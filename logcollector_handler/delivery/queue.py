"""The caller's end: a record becomes an entry, and the entry goes into a bounded queue.

Everything here runs inside the application's logging calls. So there is no I/O and no lock that is held while
anything is called, and one comparison, `len(queue) >= threshold`, tells the usual call from all others.

An exception out of a signal handler can end a logging call at any of the calls and jumps in it. The order of the steps
sees to it that then at most one record is missing, none counts twice, and the next logging call repairs the rest:

| interrupted | the record | what the next call finds |
|---|---|---|
| before `append` | missing, not counted | nothing changed |
| after `append`, before the listener is woken | in the queue | a length from the threshold on: it wakes the listener |
| while the listener is woken | in the queue | the threshold at 1: it wakes the listener once more |
| after the oldest entry was taken out for room | in the queue, that one missing | one entry fewer |
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from itertools import repeat
from logging.handlers import QueueHandler
from typing import Any, Final, NamedTuple

from logcollector_handler.entry.model import Entry

from .clock import Clock, Waiters
from .ledger import Ledger
from .process import may_wait
from .report import Reporter

Build = Callable[[logging.LogRecord], Entry]

#: Seconds that a caller waits for the listener to take something when the queue is full.
_GRACE: Final = 0.02
#: Seconds after which a caller that `overflow: block` holds looks again on its own.
_BLOCK_STEP: Final = 1.0


class Taken(NamedTuple):
    """What the listener took from the queue: the entries of one batch."""

    entries: list[Any]
    #: How many records had left the front of the queue before the first of them.
    ordinal: int
    #: The id that the batch has already. The entries are then lines that were encoded in the logging calls.
    batch_id: str | None = None


class Intake:
    """What callers and the listener both know of the queue between them, wherever its entries are.

    Args:
        max_size: entries that it holds.
        clock: keeps the time of those who wait for room.
    """

    def __init__(self, max_size: int, clock: Clock) -> None:
        self.max_size = max_size
        #: Appending the entry that brings the queue to this length also wakes the listener: 1 when the listener is
        #: idle, `batch_size` while a batch fills.
        self.threshold = 1
        # Callers that wait for room.
        self._waiters = Waiters(clock)
        # How often the listener has taken something.
        self._moves = 0
        #: A caller has waited in vain. No other waits until the listener has taken something.
        self.is_stuck = False
        # The process is going down: nobody waits for room any more.
        self.exiting = False

    @property
    def is_durable(self) -> bool:
        """Its entries survive the process."""
        return False

    @property
    def entries(self) -> deque[Any]:
        """Where callers append."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Entries that the listener has not taken."""
        raise NotImplementedError

    def is_full(self) -> bool:
        """Whether there are more entries than `max_size`."""
        return len(self) > self.max_size

    def take(self, count: int, ledger: Ledger) -> Taken:
        """Take the entries of the next batch, `count` at most, and count them as taken in the same step."""
        raise NotImplementedError

    def has_batch(self, count: int) -> bool:
        """Whether a batch is complete, which holds `count` entries at most."""
        return len(self) >= count

    def kept(self, batch_id: str) -> None:
        """The batch that had its id already is in the outbox."""

    def is_held(self) -> bool:
        """Whether the calling thread holds a lock that the listener needs to take entries."""
        return False

    def abandon(self) -> None:
        """In a forked child: close what is the parent's."""

    def relax(self, wanted: int) -> None:
        """Wake the listener at that length of the queue, and at the latest when it is full."""
        self.threshold = min(wanted, self.max_size + 1)

    def wake_once(self, wake: Callable[[], bool]) -> None:
        """Wake the listener, and see to it that callers who come before it runs do not wake it again.

        Args:
            wake: wakes the listener. False: nobody could be woken, and the next record tries again.
        """
        woken = False
        try:
            self.threshold = self.max_size + 1
            woken = wake()
        finally:
            # A plain assignment, because nothing can interrupt it.
            if not woken:
                self.threshold = 1

    def moved(self) -> None:
        """The listener has taken entries: there is room."""
        self._moves += 1
        self.is_stuck = False
        self._waiters.notify()

    def begin_exit(self) -> None:
        """The process is going down: each record is attended to at once, and nobody waits."""
        self.exiting = True
        self.relax(1)
        self._waiters.notify()

    def wait_for_room(self) -> None:
        """Wait for the listener to take something, as long as it does so every 20 ms."""
        seen = -1
        # Other threads may take each freed slot. While slots are freed the listener is alive: keep waiting.
        while not self.is_stuck and seen != self._moves:
            seen = self._moves
            if self._waiters.wait(self._is_roomy, _GRACE):
                return
        self.is_stuck = True

    def block(self, wake: Callable[[], object]) -> None:
        """Wait until there is room, however long that takes. `wake` wakes the listener, in case it went to sleep."""
        # Asked again each time: another caller may have taken the room that this one was woken for.
        while not self._is_roomy():
            self._waiters.wait(self._is_roomy, _BLOCK_STEP)
            wake()

    def _is_roomy(self) -> bool:
        return self.exiting or not self.is_full()


class EntryQueue(Intake):
    """The queue of entries in memory."""

    def __init__(self, max_size: int, clock: Clock) -> None:
        super().__init__(max_size, clock)
        # Callers append, the listener takes from the left.
        self._entries: deque[Entry] = deque()

    @property
    def entries(self) -> deque[Entry]:
        return self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, count: int, ledger: Ledger) -> Taken:
        taken: list[Entry] = []
        with ledger.lock:
            ordinal = ledger.passed
            # Until there are no more. Their number is not asked before: a caller that makes room takes some too.
            with contextlib.suppress(IndexError):
                taken.extend(map(deque.popleft, repeat(self._entries, count)))
            ledger.take(len(taken))
        return Taken(taken, ordinal)


class RecordQueueHandler(QueueHandler):
    """Makes entries of records and puts them into the queue. What a full queue does is decided here.

    Args:
        build: makes the entry: a snapshot of the record, taken in the logging call.
        intake: the queue.
        overflow: `drop_oldest`, `drop_newest` or `block`.
        wake: has the listener look at the queue. False: nobody could be woken, and the next record asks again.
    """

    queue: deque[Entry]  # type: ignore[assignment]  # a deque has no `get`; only the methods overridden below use it

    def __init__(
        self,
        *,
        build: Build,
        intake: Intake,
        overflow: str,
        ledger: Ledger,
        reporter: Reporter,
        wake: Callable[[], bool],
    ) -> None:
        super().__init__(intake.entries)  # type: ignore[arg-type]  # the stdlib asks for put_nowait in what we override
        # As an attribute, because a method that calls `build` would cost every record one call more.
        self.prepare = build  # type: ignore[assignment]  # the stdlib's is a method
        self._intake = intake
        self._overflow = overflow
        self._ledger = ledger
        self._reporter = reporter
        self._wake = wake

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record into the queue, as an entry.

        Not the stdlib's, which takes an exception that comes after the entry is in the queue for a record that is lost.
        """
        try:
            entry = self.prepare(record)
        except Exception:  # noqa: BLE001 - a signal handler's, in the middle of it: `build` itself raises none
            self.handleError(record)
        else:
            self.enqueue(entry)

    def enqueue(self, entry: Entry) -> None:  # type: ignore[override]  # an entry, where the stdlib has the record
        """Append an entry; wake the listener or make room where that is due."""
        queue = self.queue
        queue.append(entry)
        if len(queue) >= self._intake.threshold:
            self._attend()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the stdlib's name
        """Count the record as dropped; nothing is raised to the application."""
        self._ledger.turn_away("internal_error")
        self._reporter.say(
            "internal_error", f"a record of logger {record.name!r} was dropped: the handler failed on it"
        )

    def _attend(self) -> None:
        intake = self._intake
        if not intake.is_full():
            intake.wake_once(self._wake)
            return
        self._wake()
        blocking = self._overflow == "block"
        if not blocking and not intake.is_stuck and self._may_wait():
            intake.wait_for_room()
        while intake.is_full():
            if blocking and self._may_wait():
                intake.block(self._wake)
            else:
                self._make_room()

    def _make_room(self) -> None:
        """Give up one record: the oldest or the newest. The newest also where `block` asks to wait and nobody may."""
        # The listener may be faster: then there is room.
        with contextlib.suppress(IndexError):
            if self._overflow == "drop_oldest":
                self.queue.popleft()
                self._ledger.push_out("queue_full")
            else:
                self.queue.pop()
                self._ledger.turn_away("queue_full")

    def _may_wait(self) -> bool:
        # A caller that holds a lock which the listener needs interrupts itself: the wait would be for itself.
        return not (self._intake.exiting or self._ledger.is_counting() or self._intake.is_held()) and may_wait()
