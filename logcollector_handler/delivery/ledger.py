"""The ledger: counts records as they move from one stage to the next.

Every record that was accepted is at any time in exactly one of: the queue, a batch, delivered, dead-lettered, handed
over to others, dropped.
A logging call changes one number at most, and everything else is worked out when somebody asks. So the counts add up
also after a signal handler has raised, which can end a logging call anywhere.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from logcollector_handler.stats import DROP_REASONS, LOSSES, REFUSED, Counts, Stats

from .clock import Clock, Waiters
from .locks import is_held, new_lock


class Ledger:
    """Counts records as they move. One lock guards all counts, and is held briefly.

    The lock is re-entrant because a logging call in a GC callback or a signal handler may have to count
    a loss while the interrupted thread is counting here.

    Records are not counted when they enter the queue, because that would cost every logging call: the records that left
    the queue, those that never got in, and the length of the queue add up to those that were accepted.
    """

    def __init__(self, clock: Clock) -> None:
        self.lock: threading.RLock = new_lock()
        #: Threads that wait for records to be settled. Notified after every settlement.
        self.settled: Waiters = Waiters(clock)
        # Records that the listener took from the queue; and those of them that it has not put into the outbox yet.
        self._taken = 0
        self._in_hand = 0
        # Dropped records by reason: taken out of the full queue; not in the queue; and from a batch. Each has every
        # reason from the beginning: adding a key takes several steps, and a signal handler may raise in between.
        self._pushed_out: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
        self._turned_away: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
        self._given_up: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
        self._delivered = 0
        self._dead_lettered = 0
        self._handed_over = 0
        # Records that another process had accepted, by what became of them; those that were dropped also by reason.
        self._adopted: Counter[str] = Counter()
        self._adopted_losses: Counter[str] = Counter(dict.fromkeys(LOSSES, 0))
        # Losses that some batch reports to the server.
        self._told: Counter[str] = Counter(dict.fromkeys(LOSSES, 0))
        self._batches = 0
        self._requests = 0
        self._encoded_bytes = 0
        self._sent_bytes = 0

    def is_counting(self) -> bool:
        """Whether the calling thread holds `lock`."""
        return is_held(self.lock)

    @property
    def passed(self) -> int:
        """How many records have left the front of the queue since the beginning."""
        return self._taken + sum(self._pushed_out.values())

    @property
    def dropped(self) -> int:
        """How many records were dropped, for whatever reason."""
        return sum(self._dropped().values())

    def lost(self) -> dict[str, int]:
        """Records that were dropped so far, by the reason in words."""
        with self.lock:
            return {DROP_REASONS[reason]: count for reason, count in self._dropped().items() if count}

    # Called in logging calls

    def push_out(self, reason: str) -> None:
        """A caller took the oldest record out of the full queue."""
        with self.lock:
            self._pushed_out[reason] += 1

    def turn_away(self, reason: str) -> None:
        """A caller dropped a record that was never in the queue, or that it took out again as the newest."""
        with self.lock:
            self._turned_away[reason] += 1

    # Called in the threads of the package

    def take(self, count: int) -> None:
        """The listener took records from the queue. Called with `lock` held, in one step with the taking."""
        self._taken += count
        self._in_hand += count

    def hand_over(self, count: int) -> bool:
        """The listener puts records into the outbox. False: they were dropped and counted already."""
        with self.lock:
            if self._in_hand < count:
                return False
            self._in_hand -= count
            return True

    def take_back(self, count: int) -> None:
        """The outbox failed on these records: the listener has them still."""
        with self.lock:
            self._in_hand += count

    def drop_in_hand(self, reason: str) -> int:
        """Drop the records that were taken from the queue and did not get to the outbox. Returns how many."""
        with self.lock:
            count, self._in_hand = self._in_hand, 0
            self._given_up[reason] += count
        self.settled.notify()
        return count

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
            untold: earlier losses that the dropped batch was to report to the server; the next batch reports them.
        """
        with self.lock:
            self._told.subtract(untold)
            if adopted:
                self._adopted["dropped"] += count
                self._adopted_losses[reason] += count
            else:
                self._given_up[reason] += count
        self.settled.notify()

    def bury(self, count: int, *, adopted: bool = False) -> None:
        """Records were dead-lettered."""
        with self.lock:
            if adopted:
                self._adopted["dead_lettered"] += count
                self._adopted_losses[REFUSED] += count
            else:
                self._dead_lettered += count
        self.settled.notify()

    def leave_to_others(self, count: int) -> None:
        """A batch with that many records was left in the spool for another process to send."""
        with self.lock:
            self._handed_over += count
        self.settled.notify()

    def take_losses(self) -> dict[str, int]:
        """Losses that no batch reports to the server yet, by reason. From now on they count as reported."""
        with self.lock:
            losses = self._adopted_losses + self._dropped()
            losses[REFUSED] += self._dead_lettered
            losses -= self._told
            self._told.update(losses)
        return dict(losses)

    def snapshot(self, queue_length: Callable[[], int] = lambda: 0) -> Stats:
        """The counts as they are now. `queue_length` returns how many records are in the queue."""
        with self.lock:
            queued = queue_length()
            dropped = self._dropped()
            settled = self._delivered + self._dead_lettered + self._handed_over + sum(self._given_up.values())
            return Stats(
                accepted=self.passed + sum(self._turned_away.values()) + queued,
                delivered=self._delivered,
                dropped=Counts(+dropped),
                dead_lettered=self._dead_lettered,
                handed_over=self._handed_over,
                pending=queued + self._taken - settled,
                batches=self._batches,
                requests=self._requests,
                encoded_bytes=self._encoded_bytes,
                sent_bytes=self._sent_bytes,
                adopted=Counts(self._adopted),
            )

    def _dropped(self) -> Counter[str]:
        return self._pushed_out + self._turned_away + self._given_up
