"""When the batch that fills in the queue is due."""

from __future__ import annotations

import math
from typing import Final

from .carrier import Carrier
from .intake import Intake
from .outbox import BatchStore

#: Longest time in seconds for which urgent entries are gathered.
_GATHER: Final = 0.2


class Due:
    """Says when the listener is to take a batch from the queue.

    A batch is due when it has `batch_size` entries or the bytes of a batch, and when somebody flushes or the handler is
    closed. It is also due when its oldest entry is `flush_interval` old or one in it is urgent, but not while the
    sender is busy with another batch: a small batch would only wait behind it, so it goes on filling. A durable outbox
    gets it all the same.

    A storm of errors must not become a batch for each of them. So the urgent entry that comes first makes its batch due
    at once, and those behind it are gathered for as long as the last request took, at most _GATHER seconds; and for all
    of _GATHER while batches wait in a durable outbox, which a small batch would only wait behind.

    Whoever does the listener's work calls this; `urge` and `has_batch` may be called from any thread.

    Args:
        batch_size: entries of a batch at most.
        flush_interval: seconds that an entry waits at most.
    """

    def __init__(
        self, *, queue: Intake, outbox: BatchStore, sender: Carrier, batch_size: int, flush_interval: float
    ) -> None:
        self._queue = queue
        self._outbox = outbox
        self._sender = sender
        # A queue that is smaller than a batch could never fill one.
        self.batch_size: int = min(batch_size, queue.max_size)
        self._flush_interval = flush_interval
        # An entry at `flush_level` or above is in the queue.
        self._is_urgent = False
        # Monotonic seconds at which a batch with an urgent entry was last taken.
        self._urgent_taken = -math.inf
        # Monotonic seconds from which the oldest entry in the queue counts as waiting. None: the queue was empty.
        self._since: float | None = None

    def urge(self) -> bool:
        """Note that an urgent entry is in the queue. Returns False if that was noted already."""
        if self._is_urgent:
            return False
        self._is_urgent = True
        return True

    def has_batch(self) -> bool:
        """Whether the queue has the entries of a full batch."""
        return self._queue.has_batch(self.batch_size)

    @property
    def is_awaited(self) -> bool:
        """Whether entries were in the queue at the last look: a batch will be due without another record."""
        return self._since is not None

    def is_now(self, now: float, *, asked: bool) -> bool:
        """Whether a batch is due. `asked`: somebody flushes or closes, so everything in the queue is due."""
        if self.has_batch():
            return True
        if not self._queue:
            return False
        if asked:
            return True
        old = self._since is not None and now - self._since >= self._flush_interval
        return (old or (self._is_urgent and now >= self._gathered_at())) and not self._is_held_back()

    def seconds(self, now: float) -> float | None:
        """The seconds until a batch will be due, where none is and entries wait. None: until the sender is done."""
        if self._since is None or self._is_held_back():
            return None
        due = self._since + self._flush_interval
        if self._is_urgent:
            due = min(due, self._gathered_at())
        return max(0.0, due - now)

    def something_waits(self, now: float) -> None:
        """The queue is not empty."""
        if self._since is None:
            self._since = now

    def nothing_waits(self) -> None:
        """The queue is empty."""
        self._since = None
        self._calm()

    def taken(self, now: float) -> None:
        """A batch was taken from the queue."""
        if self._is_urgent:
            self._urgent_taken = now
        self._calm()
        self._since = now

    def _calm(self) -> None:
        """Forget the urgent entry if the queue is empty."""
        if not self._queue:
            self._is_urgent = False
            # If an entry came in between, it may be the urgent one.
            self._is_urgent = bool(self._queue)

    def _is_held_back(self) -> bool:
        return self._sender.busy and not self._outbox.durable

    def _gathered_at(self) -> float:
        """Monotonic seconds from which a batch with an urgent entry is due."""
        return self._urgent_taken + (_GATHER if self._sender.busy else min(self._sender.request_seconds, _GATHER))
