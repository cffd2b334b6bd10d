"""The ledger: counts records as they move from one stage to the next."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from logcollector_handler.stats import DROP_REASONS, LOSSES, REFUSED, Stats

from .clock import Clock, Waiters


class Ledger:
    """Counts records as they move. One lock guards all of it; it is held for a few additions at a time.

    The lock is re-entrant because a logging call in a GC callback or a signal handler may have to count
    a loss while the interrupted thread is counting here.

    Records in the queue are not counted when they come (that would cost every call): `taken`, the length
    of the queue and what overflowed from it add up to what was accepted.
    """

    def __init__(self, queue_length: Callable[[], int], clock: Clock) -> None:
        self.lock = threading.RLock()
        #: Threads that wait for records to be settled: they look again after each settlement.
        self.settled = Waiters(clock)
        self._queue_length = queue_length
        self._taken = 0
        self._pushed_out = 0
        self._turned_away = 0
        self._in_batches = 0
        self._delivered = 0
        self._dead_lettered = 0
        # Every reason from the beginning: to add a key takes longer than to count, and a signal may come in between.
        self._dropped: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
        self._adopted: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter(dict.fromkeys(LOSSES, 0))
        self._batches = 0
        self._requests = 0
        self._encoded_bytes = 0
        self._sent_bytes = 0

    def is_counting(self) -> bool:
        """Whether the calling thread holds `lock`."""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]  # there, for Condition, but not in the stubs

    @property
    def passed(self) -> int:
        """How many records have left the front of the queue since the beginning."""
        return self._taken + self._pushed_out

    @property
    def dropped(self) -> int:
        """How many records were dropped, for whatever reason."""
        return sum(self._dropped.values())

    def lost(self) -> dict[str, int]:
        """Records that were dropped so far, by the reason in words."""
        with self.lock:
            return {DROP_REASONS[reason]: count for reason, count in self._dropped.items() if count}

    def take(self, count: int) -> None:
        """The listener took records from the queue. Called with `lock` held, in one step with the taking."""
        self._taken += count
        self._in_batches += count

    def overflow(self, reason: str, *, from_front: bool) -> None:
        """A caller gave up one record: the oldest in the queue, or one that is not in the queue."""
        with self.lock:
            if from_front:
                self._pushed_out += 1
            else:
                self._turned_away += 1
            self._dropped[reason] += 1
            self._unreported[reason] += 1

    def request(self) -> None:
        """A request was made."""
        with self.lock:
            self._requests += 1

    def deliver(self, count: int, encoded_bytes: int, sent_bytes: int, *, adopted: bool = False) -> None:
        """A batch with that many records was delivered."""
        with self.lock:
            if adopted:
                self._adopted["delivered"] += count
            else:
                self._in_batches -= count
                self._delivered += count
                self._batches += 1
                self._encoded_bytes += encoded_bytes
                self._sent_bytes += sent_bytes
        self.settled.notify()

    def drop(
        self, reason: str, count: int, *, adopted: bool = False, untold: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Records that had left the queue were dropped.

        Args:
            reason: a key of DROP_REASONS.
            count: how many records.
            adopted: another process had accepted them.
            untold: earlier losses that the dropped batch was to tell the server of; the next batch tells of them.
        """
        with self.lock:
            self._unreported[reason] += count
            self._unreported.update(untold)
            if adopted:
                self._adopted["dropped"] += count
            else:
                self._in_batches -= count
                self._dropped[reason] += count
        self.settled.notify()

    def bury(self, count: int, *, adopted: bool = False) -> None:
        """Records were dead-lettered."""
        with self.lock:
            self._unreported[REFUSED] += count
            if adopted:
                self._adopted["dead_lettered"] += count
            else:
                self._in_batches -= count
                self._dead_lettered += count
        self.settled.notify()

    def take_losses(self) -> dict[str, int]:
        """Losses that no batch has told the server of yet, by reason; from now on they count as told."""
        with self.lock:
            losses = +self._unreported
            self._unreported.subtract(losses)
        return dict(losses)

    def snapshot(self) -> Stats:
        """The counts as they are now."""
        with self.lock:
            queued = self._queue_length()
            return Stats(
                accepted=self.passed + self._turned_away + queued,
                delivered=self._delivered,
                dropped=MappingProxyType(dict(+self._dropped)),
                dead_lettered=self._dead_lettered,
                pending=queued + self._in_batches,
                batches=self._batches,
                requests=self._requests,
                encoded_bytes=self._encoded_bytes,
                sent_bytes=self._sent_bytes,
                adopted=MappingProxyType(dict(self._adopted)),
            )
