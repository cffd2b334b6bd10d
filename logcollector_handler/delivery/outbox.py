"""The outbox: batches between the listener, which puts them, and the sender, which settles them.

What is decided here is room, order and what may go when there is no room. Which batch is tried when, and
what an answer means, is the sender's affair. This file holds the interface and the outbox in memory; `spool`
holds the one of files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from .batch import Batch

#: Told of each batch that the outbox had to let go, and why.
GiveUp = Callable[[Batch, str], None]


class Outbox(Protocol):
    """What the listener and the sender ask of the place where batches wait."""

    #: A batch in it survives the process. Age and level then close a batch also while the sender is busy.
    durable: bool

    def put(self, batch: Batch) -> None:
        """Keep a batch behind the others. What has to go to make room for it is given up."""

    def next(self) -> Batch | None:
        """The oldest batch that is not set aside."""

    def __len__(self) -> int:
        """Batches in it, set aside or not."""

    def begin(self, batch: Batch) -> bytes | None:
        """The sender is about to post a batch, which cannot go for room from here on.

        Returns:
            Its body; None when it is not here any more, or cannot be read and was given up.
        """

    def end(self, batch: Batch) -> None:
        """The attempt is over and the batch stays."""

    def read(self, batch: Batch) -> bytes | None:
        """The body of a batch, if it can be had."""

    def remove(self, batch: Batch) -> bool:
        """The batch is settled. False: it was not there any more, and somebody else settled it."""

    def bury(self, batch: Batch) -> bool:
        """The batch is a dead letter. False as for `remove`."""

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> bool:
        """Put others in a batch's place: they are kept before it is given up. False: it was not there."""

    def holds_before(self, ordinal: int) -> bool:
        """Whether a batch is here that was cut from the queue before that many records had left it."""

    def clear(self) -> list[Batch]:
        """Take out everything that the end of the process loses."""

    def look(self) -> float | None:
        """Look for batches that others left behind, if it is time to. Seconds until the next time, if any."""

    def close(self) -> None:
        """Nothing more will be put or sent for now: let go of what others could use."""

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""


class MemoryOutbox:
    """Batches in memory, up to a number of bytes."""

    durable = False

    def __init__(self, max_bytes: int, give_up: GiveUp) -> None:
        self._max_memory = max_bytes
        self._give_up = give_up
        # Guards the two fields below. Never held while anything else is called.
        self._lock = threading.RLock()
        self._batches: dict[str, Batch] = {}
        self._memory_bytes = 0

    def put(self, batch: Batch) -> None:
        evicted = []
        with self._lock:
            self._batches[batch.id] = batch
            self._memory_bytes += batch.size
            if self._memory_bytes > self._max_memory:
                for old in list(self._batches.values()):
                    if self._memory_bytes <= self._max_memory:
                        break
                    if old.body is not None and not old.in_flight and old is not batch:
                        del self._batches[old.id]
                        self._memory_bytes -= old.size
                        evicted.append(old)
        for old in evicted:
            self._erase(old)
            self._give_up(old, "buffer_full")

    def next(self) -> Batch | None:
        with self._lock:
            return next((batch for batch in self._batches.values() if not batch.aside), None)

    def __len__(self) -> int:
        return len(self._batches)

    def begin(self, batch: Batch) -> bytes | None:
        with self._lock:
            batch.in_flight = batch.id in self._batches
            return batch.body if batch.in_flight else None

    def end(self, batch: Batch) -> None:
        batch.in_flight = False

    def read(self, batch: Batch) -> bytes | None:
        return batch.body

    def remove(self, batch: Batch) -> bool:
        with self._lock:
            if self._batches.pop(batch.id, None) is None:
                return False
            self._memory_bytes -= batch.size
            return True

    def bury(self, batch: Batch) -> bool:
        return self.remove(batch)

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> bool:
        with self._lock:
            if batch.id not in self._batches:
                return False
            self._batches = dict(in_place(self._batches, batch, successors))
            self._memory_bytes += sum(each.size for each in successors) - batch.size
            return True

    def holds_before(self, ordinal: int) -> bool:
        with self._lock:
            return any(batch.ordinal < ordinal for batch in self._batches.values())

    def clear(self) -> list[Batch]:
        with self._lock:
            batches = list(self._batches.values())
            self._batches = {}
            self._memory_bytes = 0
        return batches

    def look(self) -> float | None:
        return None

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def _erase(self, batch: Batch) -> None:
        """What else is left of a batch that is settled."""


def in_place(batches: dict[str, Batch], batch: Batch, successors: Sequence[Batch]) -> Iterator[tuple[str, Batch]]:
    """The batches in order, with the successors where the batch was."""
    for old in batches.values():
        for each in successors if old is batch else (old,):
            yield each.id, each
