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
| while it makes way for others, or waits in line | in the queue | those in line wait a few milliseconds longer |
| after the oldest entry was taken out for room | in the queue, that one missing | one entry fewer |

The queue is bounded in bytes as well, without a sum that an exception could falsify: its length is the sum. The queue
has `max_size` slots, and an entry takes one. Before a larger entry is appended, the call appends `None` once for each
further slot that it takes. Whoever takes entries out skips these; if the call ends before it appends its entry, they
take up room until the listener comes past them.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from itertools import repeat
from logging.handlers import QueueHandler
from typing import Final

from logcollector_handler.entry.model import Entry

from .clock import Clock
from .intake import Intake, Taken
from .ledger import Ledger
from .process import may_wait
from .report import Reporter
from .turns import Turns

#: Makes an entry of a record. It is also given `Intake.reserve`, and calls that for the large parts of an entry.
Build = Callable[[logging.LogRecord, Callable[[int], None]], Entry]

#: Bytes of an entry with hardly any text in it: the objects that it is made of. No slot is smaller.
_BARE: Final = 512
#: A queue to which callers have added one part in so many, since they woke the listener, is crowded.
_CROWDED_SHARE: Final = 16
#: Large entries that make a batch are taken in this many steps.
_STEPS: Final = 8


def slot_size(max_size: int, max_bytes: int) -> int:
    """Bytes that an entry may have without taking more than one slot of a queue with these limits."""
    return max(_BARE, max_bytes // max_size)


def usual_length(slot: int) -> int:
    """How long the message of an entry may be, and all its fields together, without being weighed.

    An eighth each of what a slot has room for, because a character takes up to four bytes.
    """
    return (slot - _BARE) // 8


class EntryQueue(Intake):
    """The queue of entries in memory.

    Args:
        max_size: entries that it holds at most.
        max_bytes: their estimated size at most.
        max_batch_bytes: the listener takes about this much at a time, if entries take more than one slot.
        clock: measures how long callers wait for room.
    """

    threshold: int

    def __init__(self, max_size: int, max_bytes: int, max_batch_bytes: int, clock: Clock) -> None:
        self._slot = slot_size(max_size, max_bytes)
        super().__init__(min(max_size, max(1, max_bytes // self._slot)), clock)
        # Callers append on the right, the listener takes from the left. None: a slot that a larger entry takes.
        self._slots: deque[Entry | None] = deque()
        # A larger entry has come. Until then no slot is looked for that holds no entry.
        self._has_larger = False
        # Slots taken at a time; and how many of them may hold no entry until what is taken is enough for a batch.
        self._step = max(1, max_batch_bytes // self._slot // _STEPS)
        self._reserved_in_batch = self._step * (_STEPS - 1)
        # From this length on the listener does not keep up with the callers, and they take turns.
        self._crowded_from = self.max_size
        self._turns = Turns(clock)

    @property
    def entries(self) -> deque[Entry | None]:
        return self._slots

    def reserve(self, size: int) -> None:
        # A part that is larger than the queue leaves one slot, so that its entry fits into an empty queue.
        if further := min(size // self._slot, self.max_size - 1):
            self._has_larger = True
            self._slots.extend(repeat(None, further))

    def _reserved(self) -> int:
        """How many slots hold no entry."""
        return self._slots.copy().count(None) if self._has_larger else 0

    def __len__(self) -> int:
        slots = self._slots.copy()
        return len(slots) - slots.count(None)

    def __bool__(self) -> bool:
        return bool(self._slots)

    def is_full(self) -> bool:
        return len(self._slots) > self.max_size

    def has_batch(self, count: int) -> bool:
        slots = len(self._slots)
        if slots < min(count, self._reserved_in_batch, self.max_size):
            return False
        reserved = self._reserved()
        # A queue with room for less than a batch is full before it has one.
        return slots - reserved >= count or reserved >= self._reserved_in_batch or slots >= self.max_size

    def relax(self, wanted: int) -> None:
        super().relax(min(wanted + self._reserved(), self.max_size))
        self._look_later()

    def moved(self) -> None:
        super().moved()
        self._look_later()

    def begin_exit(self) -> None:
        super().begin_exit()
        self._turns.end()

    def attend(self, wake: Callable[[], bool], may_wait: Callable[[], bool]) -> None:
        """The queue has reached the threshold: wake the listener if it is time to, and let other callers go first.

        Args:
            wake: as for `wake_once`.
            may_wait: whether the calling thread may wait for others.
        """
        length = len(self._slots)
        if length >= self._wakes_at:
            self.wake_once(wake)
            self._crowded_from = length + self.max_size // _CROWDED_SHARE
        if length >= self._crowded_from and not self.is_stuck:
            self._turns.begin()
        self._look_later()
        if self._turns.until and may_wait():
            self._turns.take()

    def _look_later(self) -> None:
        """Set the threshold: to the length at which the turn of a caller is over, or the queue is crowded."""
        try:
            length = len(self._slots)
            may_get_crowded = length < self._crowded_from and not self._turns.until
            self.threshold = self._crowded_from if may_get_crowded else length + self._turns.entries
        finally:
            # Last: if the listener has begun to wait meanwhile, a caller must see at which length it is to be woken. As
            # in `wake_once`, nothing is called here.
            while self.threshold > self._wakes_at:
                self.threshold = self._wakes_at

    def take(self, count: int, ledger: Ledger) -> Taken:
        taken: list[Entry] = []
        reserved = 0
        with ledger.lock:
            ordinal = ledger.passed
            while not taken or (len(taken) < count and reserved < self._reserved_in_batch):
                slots: list[Entry | None] = []
                # Not limited by a length asked before: a caller that makes room may take entries out at the same time.
                with contextlib.suppress(IndexError):
                    slots.extend(map(deque.popleft, repeat(self._slots, min(self._step, count - len(taken)))))
                if not slots:
                    break
                entries = [each for each in slots if each is not None]
                ledger.take(len(entries))
                taken += entries
                reserved += len(slots) - len(entries)
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

    prepare: Build  # type: ignore[assignment]  # the stdlib's is a method
    queue: deque[Entry | None]  # type: ignore[assignment]  # a deque has no `get`; only the methods overridden below use it

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
        self.prepare = build
        self._intake = intake
        self._reserve = intake.reserve
        self._overflow = overflow
        self._ledger = ledger
        self._reporter = reporter
        self._wake = wake

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record into the queue, as an entry.

        The stdlib's `emit` would report a record as lost also when a signal handler raises after its entry was queued.
        """
        try:
            entry = self.prepare(record, self._reserve)
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
            intake.attend(self._wake, self._may_wait)
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
        """Drop the oldest or the newest record. The newest also under `block`, if this caller must not wait.

        Further slots of the oldest record go first, under every rule: so a record that is larger than the queue is
        accepted when it is alone. Until the oldest has left, the queue then exceeds its limit by that record at most.
        """
        # Under the lock, so that nobody who asks finds a record in neither the queue nor the counts. The queue is empty
        # if the listener was faster. Then there is room.
        with self._ledger.lock, contextlib.suppress(IndexError):
            if self._overflow == "drop_oldest" or self.queue[0] is None:
                if self.queue.popleft() is not None:
                    self._ledger.push_out("queue_full")
            elif self.queue.pop() is not None:
                self._ledger.turn_away("queue_full")
                while self.queue[-1] is None:
                    self.queue.pop()

    def _may_wait(self) -> bool:
        # While this thread holds a lock that the listener needs, it would wait for itself.
        return not (self._intake.exiting or self._ledger.is_counting() or self._intake.is_held()) and may_wait()
