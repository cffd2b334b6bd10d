"""The outbox: batches between the listener, which puts them, and the sender, which settles them.

What is decided here is room, order and what may go when there is no room. Which batch is tried when, and
what an answer means, is the sender's affair.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from .batch import Batch


class Outbox(Protocol):
    """What the listener and the sender ask of the place where batches wait."""

    #: A batch in it survives the process. Age and level then close a batch also while the sender is busy.
    durable: bool

    def put(self, batch: Batch) -> list[Batch]:
        """Keep a batch behind the others. Returns the batches that had to go to make room for it."""

    def next(self) -> Batch | None:
        """The oldest batch that is not set aside."""

    def __len__(self) -> int:
        """Batches in it, set aside or not."""

    def begin(self, batch: Batch) -> bool:
        """The sender is about to try a batch, which cannot go for room from here on. False: it went already."""

    def end(self, batch: Batch) -> None:
        """The attempt is over and the batch stays."""

    def remove(self, batch: Batch) -> bool:
        """The batch is settled. False: it was not there any more, and somebody else settled it."""

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> bool:
        """Put others in a batch's place: they are kept before it is given up. False: it was not there."""

    def holds_before(self, ordinal: int) -> bool:
        """Whether a batch is here that was cut from the queue before that many records had left it."""

    def clear(self) -> list[Batch]:
        """Give everything up; returns what was there."""


class MemoryOutbox:
    """Batches in memory, up to a number of bytes."""

    durable = False

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Guards the two fields below. Never held while anything else is called.
        self._lock = threading.RLock()
        self._batches: dict[str, Batch] = {}
        self._bytes = 0

    def put(self, batch: Batch) -> list[Batch]:
        evicted = []
        with self._lock:
            self._batches[batch.id] = batch
            self._bytes += len(batch.body)
            if self._bytes > self._max_bytes:
                for old in list(self._batches.values()):
                    if self._bytes <= self._max_bytes:
                        break
                    if not old.in_flight and old is not batch:
                        self._drop(old)
                        evicted.append(old)
        return evicted

    def next(self) -> Batch | None:
        with self._lock:
            return next((batch for batch in self._batches.values() if not batch.aside), None)

    def __len__(self) -> int:
        return len(self._batches)

    def begin(self, batch: Batch) -> bool:
        with self._lock:
            batch.in_flight = batch.id in self._batches
            return batch.in_flight

    def end(self, batch: Batch) -> None:
        batch.in_flight = False

    def remove(self, batch: Batch) -> bool:
        with self._lock:
            return self._drop(batch)

    def holds_before(self, ordinal: int) -> bool:
        with self._lock:
            return any(batch.ordinal < ordinal for batch in self._batches.values())

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> bool:
        with self._lock:
            if batch.id not in self._batches:
                return False
            batches: dict[str, Batch] = {}
            for old in self._batches.values():
                for kept in successors if old is batch else (old,):
                    batches[kept.id] = kept
            self._batches = batches
            self._bytes += sum(len(successor.body) for successor in successors) - len(batch.body)
            return True

    def clear(self) -> list[Batch]:
        with self._lock:
            batches = list(self._batches.values())
            self._batches = {}
            self._bytes = 0
        return batches

    def _drop(self, batch: Batch) -> bool:
        if self._batches.pop(batch.id, None) is None:
            return False
        self._bytes -= len(batch.body)
        return True
