"""What every queue between the logging calls and the listener has in common: who waits for whom, and who wakes whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .clock import Clock, Waiters
from .ledger import Ledger

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
        #: A call whose entry brings the queue to this length has more to do than to append it.
        self.threshold: int = 1
        # It then wakes the listener if the queue has this length: 1 when the listener is idle, `batch_size` while a
        # batch fills. The threshold is never above it.
        self._wakes_at = 1
        # Callers that wait for room.
        self._waiters = Waiters(clock)
        # How often the listener has taken entries or encoded a part of them: whoever waits for room sees by it that the
        # listener is at work.
        self._moves = 0
        #: A caller has waited in vain. Until the listener takes something, no other caller waits.
        self.is_stuck: bool = False
        # The process is going down: nobody waits for room any more.
        self.exiting: bool = False

    @property
    def is_durable(self) -> bool:
        """Whether its entries survive the process."""
        return False

    @property
    def entries(self) -> deque[Any]:
        """Where callers append what they log."""
        raise NotImplementedError

    def reserve(self, size: int) -> None:
        """Take further room for an entry that is about to be appended: a part of it is `size` bytes large."""

    def __len__(self) -> int:
        """How many entries the listener has not taken yet."""
        raise NotImplementedError

    def is_full(self) -> bool:
        """Whether there is more than it holds at most: callers append their entry first and ask then."""
        raise NotImplementedError

    def take(self, count: int, ledger: Ledger) -> Taken:
        """Take the entries of the next batch, at most `count`, and count them as taken in the same step."""
        raise NotImplementedError

    def has_batch(self, count: int) -> bool:
        """Whether the next batch is complete, where a batch holds at most `count` entries."""
        raise NotImplementedError

    def done_with(self, batch_id: str) -> None:
        """The listener has put the batch of this id, which came with `Taken`, into the outbox, or failed on it."""

    def is_held(self) -> bool:
        """Whether the calling thread holds a lock that the listener needs in order to take entries."""
        return False

    def abandon(self) -> None:
        """In a forked child: close the parent's files."""

    def relax(self, wanted: int) -> None:
        """Have callers wake the listener when the queue has `wanted` entries, and at the latest when it is full."""
        self._wakes_at = self.threshold = min(wanted, self.max_size + 1)

    def wake_once(self, wake: Callable[[], bool]) -> None:
        """Wake the listener. The threshold is raised first, so that callers before it runs do not wake it again.

        Args:
            wake: wakes the listener. False if none could be woken or started: then the next record tries again.
        """
        woken = False
        try:
            self._wakes_at = self.threshold = self.max_size + 1
            woken = wake()
        finally:
            # A plain assignment and no call of `relax`: no signal handler can run in the middle of it.
            if not woken:
                self._wakes_at = self.threshold = 1

    def attend(self, wake: Callable[[], bool], may_wait: Callable[[], bool]) -> None:
        """A call has brought the queue to the threshold: wake the listener.

        Args:
            wake: as for `wake_once`.
            may_wait: whether the calling thread may wait for others.
        """
        self.wake_once(wake)

    def moved(self) -> None:
        """The listener has taken entries: there is room."""
        self._moves += 1
        self.is_stuck = False
        self._waiters.notify()

    def at_work(self) -> None:
        """The listener goes on with what it took: callers that wait for room are right to wait."""
        self._moves += 1
        self.is_stuck = False

    def begin_exit(self) -> None:
        """The process is going down: every record wakes the listener at once, and nobody waits for room."""
        self.exiting = True
        self.relax(1)
        self._waiters.notify()

    def wait_for_room(self) -> None:
        """Wait until there is room; give up when the listener has taken and encoded nothing for 20 ms."""
        self._wait_for_listener(self._is_roomy)

    def _wait_for_listener(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()` is true; give up when the listener has taken and encoded nothing for 20 ms."""
        seen = -1
        # Other threads may take each freed slot. While slots are freed the listener is alive: keep waiting.
        while not self.is_stuck and seen != self._moves:
            seen = self._moves
            if self._waiters.wait(holds, _GRACE):
                return
        if seen == self._moves:
            self.is_stuck = True
            # It may have moved since, and would not say so again for long.
            if seen != self._moves:
                self.is_stuck = False

    def block(self, wake: Callable[[], object]) -> None:
        """Wait until there is room, however long that takes. Every second `wake` wakes the listener once more."""
        # Another caller may have taken the room that this one was woken for.
        while not self._is_roomy():
            self._waiters.wait(self._is_roomy, _BLOCK_STEP)
            wake()

    def _is_roomy(self) -> bool:
        return self.exiting or not self.is_full()
