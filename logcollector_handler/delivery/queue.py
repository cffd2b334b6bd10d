"""The caller's end: a record becomes an entry, and the entry goes into a bounded queue.

`RecordQueueHandler` runs inside the application's logging calls. So the usual call does no I/O and takes no lock: it
builds the entry, appends it, and makes one comparison, `len(queue) >= threshold`. Only where that holds is there more
to do: wake the listener, or make room in a full queue.

An exception out of a signal handler can end a logging call at any of the calls and jumps in it. Because of the order of
the steps, at most one record is then missing, none counts twice, and the next logging call repairs the rest:

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

#: Seconds for which a caller that finds the queue full waits for the listener to take something.
_GRACE: Final = 0.02
#: Seconds after which a caller that waits under `overflow: block` checks for room without being notified.
_BLOCK_STEP: Final = 1.0


class Taken(NamedTuple):
    """What the listener took from the queue: the entries of one batch."""

    entries: list[Any]
    #: How many records had left the front of the queue before the first of them.
    ordinal: int
    #: Set by the journal, whose files have their batch's id: `entries` are then lines, encoded in the logging calls.
    batch_id: str | None = None


class Intake:
    """The queue between the logging calls and the listener. Subclasses hold its entries, in memory or in files.

    Args:
        max_size: entries that it holds at most.
        clock: measures how long callers wait for room.
    """

    def __init__(self, max_size: int, clock: Clock) -> None:
        self.max_size = max_size
        #: Appending the entry that brings the queue to this length also wakes the listener: 1 when the listener is
        #: idle, `batch_size` while a batch fills.
        self.threshold = 1
        # Callers that wait for room.
        self._waiters = Waiters(clock)
        # How often the listener has taken entries: whoever waits for room sees by it that the listener is at work.
        self._moves = 0
        #: A caller has waited in vain. Until the listener takes something, no other caller waits.
        self.is_stuck = False
        # The process is going down: nobody waits for room any more.
        self.exiting = False

    @property
    def is_durable(self) -> bool:
        """Whether its entries survive the process."""
        return False

    @property
    def entries(self) -> deque[Any]:
        """Where callers append what they log."""
        raise NotImplementedError

    def __len__(self) -> int:
        """How many entries the listener has not taken yet."""
        raise NotImplementedError

    def is_full(self) -> bool:
        """Whether there are more entries than `max_size`: callers append their entry first and ask then."""
        return len(self) > self.max_size

    def take(self, count: int, ledger: Ledger) -> Taken:
        """Take the entries of the next batch, at most `count`, and count them as taken in the same step."""
        raise NotImplementedError

    def has_batch(self, count: int) -> bool:
        """Whether the next batch is complete, where a batch holds at most `count` entries."""
        return len(self) >= count

    def done_with(self, batch_id: str) -> None:
        """The listener has put the batch of this id, which came with `Taken`, into the outbox, or failed on it."""

    def is_held(self) -> bool:
        """Whether the calling thread holds a lock that the listener needs in order to take entries."""
        return False

    def abandon(self) -> None:
        """In a forked child: close the parent's files."""

    def relax(self, wanted: int) -> None:
        """Have callers wake the listener when the queue has `wanted` entries, and at the latest when it is full."""
        self.threshold = min(wanted, self.max_size + 1)

    def wake_once(self, wake: Callable[[], bool]) -> None:
        """Wake the listener. The threshold is raised first, so that callers before it runs do not wake it again.

        Args:
            wake: wakes the listener. False if none could be woken or started: then the next record tries again.
        """
        woken = False
        try:
            self.threshold = self.max_size + 1
            woken = wake()
        finally:
            # A plain assignment and no call of `relax`: no signal handler can run in the middle of it.
            if not woken:
                self.threshold = 1

    def moved(self) -> None:
        """The listener has taken entries: there is room."""
        self._moves += 1
        self.is_stuck = False
        self._waiters.notify()

    def begin_exit(self) -> None:
        """The process is going down: every record wakes the listener at once, and nobody waits for room."""
        self.exiting = True
        self.relax(1)
        self._waiters.notify()

    def wait_for_room(self) -> None:
        """Wait until there is room; give up when the listener has taken nothing for 20 ms."""
        seen = -1
        # Other threads may take each freed slot. While slots are freed the listener is alive: keep waiting.
        while not self.is_stuck and seen != self._moves:
            seen = self._moves
            if self._waiters.wait(self._is_roomy, _GRACE):
                return
        self.is_stuck = True

    def block(self, wake: Callable[[], object]) -> None:
        """Wait until there is room, however long that takes. Every second `wake` wakes the listener once more."""
        # Another caller may have taken the room that this one was woken for.
        while not self._is_roomy():
            self._waiters.wait(self._is_roomy, _BLOCK_STEP)
            wake()

    def _is_roomy(self) -> bool:
        return self.exiting or not self.is_full()


class EntryQueue(Intake):
    """The queue of entries in memory."""

    def __init__(self, max_size: int, clock: Clock) -> None:
        super().__init__(max_size, clock)
        # Callers append on the right, the listener takes from the left.
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
            # Not limited by a length asked before: a caller that makes room may take entries out at the same time.
            with contextlib.suppress(IndexError):
                taken.extend(map(deque.popleft, repeat(self._entries, count)))
            ledger.take(len(taken))
        return Taken(taken, ordinal)


class RecordQueueHandler(QueueHandler):
    """Makes entries of records, puts them into the queue, and decides what happens when it is full.

    Args:
        build: makes the entry: a snapshot of the record, taken in the logging call.
        intake: the queue.
        overflow: `drop_oldest`, `drop_newest` or `block`.
        wake: makes the listener look at the queue. It returns False when no listener could be woken or started; then
            the next record calls it again.
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
        # Not the stdlib's `__init__`: it takes the lock of `logging`, and the first record makes this object.
        self.queue = intake.entries
        # As an attribute, because a method that calls `build` would cost every record one call more.
        self.prepare = build  # type: ignore[assignment]  # the stdlib's is a method
        self._intake = intake
        self._overflow = overflow
        self._ledger = ledger
        self._reporter = reporter
        self._wake = wake

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record into the queue, as an entry.

        The stdlib's `emit` would report a record as lost also when a signal handler raises after its entry was queued.
        """
        try:
            entry = self.prepare(record)
        except Exception:  # noqa: BLE001 - raised by a signal handler that interrupted `build`, which raises none
            self.handleError(record)
        else:
            self.enqueue(entry)

    def enqueue(self, entry: Entry) -> None:  # type: ignore[override]  # an entry, where the stdlib has the record
        """Append an entry. At the threshold, wake the listener; in a full queue, make room."""
        queue = self.queue
        queue.append(entry)
        if len(queue) >= self._intake.threshold:
            self._attend()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the stdlib's name
        """Count the record as dropped and say so on stderr. Raises nothing to the application."""
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
        """Drop the oldest or the newest record. The newest also under `block`, if this caller must not wait."""
        # The queue is empty if the listener was faster. Then there is room.
        with contextlib.suppress(IndexError):
            if self._overflow == "drop_oldest":
                self.queue.popleft()
                self._ledger.push_out("queue_full")
            else:
                self.queue.pop()
                self._ledger.turn_away("queue_full")

    def _may_wait(self) -> bool:
        # While this thread holds a lock that the listener needs, it would wait for itself.
        return not (self._intake.exiting or self._ledger.is_counting() or self._intake.is_held()) and may_wait()
