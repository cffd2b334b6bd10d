"""The outbox: batches between the listener, which puts them, and the sender, which settles them.

An outbox decides in which order batches wait, how much room they have, and which are dropped when it is used up. The
sender decides which batch it tries when, and what an answer means. This file holds the interface and the outbox in
memory; `spool` holds the outbox of files, and the one that hands batches over to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from .batch import Batch
from .ledger import Ledger
from .locks import is_held, new_lock
from .order import Order


class Replaced(Enum):
    """What became of an attempt to put other batches in the place of one."""

    #: The successors stand in its place.
    DONE = "done"
    #: The batch was not there any more: somebody else settled it. Nothing was kept of the successors.
    GONE = "gone"
    #: The successors could not be kept as safely as the batch is: it stays, and nothing was kept of them.
    NO_ROOM = "no room"


class BatchStore(Protocol):
    """What the listener, and whoever ends the process, ask of the place where batches wait.

    Batches are known by their id. What is dropped here is counted here, in the ledger.
    """

    @property
    def durable(self) -> bool:
        """Whether batches in it survive the process. If so, the listener never waits for a busy sender."""

    def put(self, batch: Batch) -> None:
        """Keep a batch behind the others, and drop the oldest if that is needed to make room."""

    def __len__(self) -> int:
        """How many batches are in it, set aside or not."""

    def holds_before(self, ordinal: int) -> bool:
        """Whether a batch with a lower ordinal than this is here, or is between `begin` and `end`."""

    def drop_memory(self, reason: str) -> None:
        """Drop, and count, everything that would not survive the end of the process."""

    def close(self) -> None:
        """Nothing more will be put or sent for now: release what other processes could send."""

    def is_held(self) -> bool:
        """Whether the calling thread holds the lock of the outbox."""

    def abandon(self) -> None:
        """In a forked child: close the parent's descriptors, without using them."""


class Outbox(BatchStore, Protocol):
    """What the sender asks of it, too."""

    def next(self) -> Batch | None:
        """The first batch that is not set aside, if any. Its body may be in a file, and None here."""

    def set_aside(self, batch: Batch) -> None:
        """Make `next` pass over this batch from now on."""

    def begin(self, batch: Batch) -> Batch | None:
        """The sender is about to post or settle a batch: until `end` it cannot be dropped for room.

        Returns:
            The batch with its body. None when it is not here any more, was found damaged and was dropped, or cannot be
            read now and was set aside for a while.
        """

    def end(self, batch: Batch) -> None:
        """The batch was settled and counted, or stays."""

    def note_lost_answer(self, batch: Batch) -> None:
        """The server may have stored this batch without our being told. A spool keeps that for other processes."""

    def load(self, batch: Batch) -> Batch | None:
        """The batch with its body; None if either cannot be had now. Unlike `begin` it changes nothing."""

    def remove(self, batch: Batch) -> bool:
        """Remove a settled batch. False: it was not there any more, because somebody else settled it."""

    def bury(self, batch: Batch, *, partly: bool = False) -> bool:
        """Remove a batch, given with its body, that is a dead letter; a spool keeps the body. False as for `remove`.

        `partly`: some of its records are, and nobody knows which.
        """

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> Replaced:
        """Put others, with their bodies, in the place of a batch. It is removed only when all of them are kept."""

    def look(self) -> float | None:
        """Look for batches of dead processes, if it is time to. Returns the seconds until the next look, if any."""


class MemoryOutbox:
    """Batches in memory, up to a number of bytes."""

    def __init__(self, max_bytes: int, ledger: Ledger) -> None:
        self._max_memory = max_bytes
        self._ledger = ledger
        # Guards the fields below. Never held while anything else is called.
        self._lock = new_lock()
        self._batches: Order[Batch] = Order()
        self._memory_bytes = 0
        # Batches between `begin` and `end`, and those taken out that are not counted as dropped yet: their ordinals by
        # their ids.
        self._in_flight: dict[str, int] = {}

    @property
    def durable(self) -> bool:
        return False

    def put(self, batch: Batch) -> None:
        with self._lock:
            self._batches.add(batch.id, batch)
            self._memory_bytes += batch.memory_bytes
            evicted = self._evict(spared=batch)
        self._drop(evicted, "buffer_full")

    def _evict(self, spared: Batch) -> list[Batch]:
        """Take out the oldest batches until the others fit, but none in flight. Called with the lock held."""
        evicted: list[Batch] = []
        excess = self._memory_bytes - self._max_memory
        for old in self._batches:
            if excess <= 0:
                break
            if old.id not in self._in_flight and old is not spared:
                evicted.append(old)
                excess -= old.memory_bytes
        self._take_out_to_drop(evicted)
        return evicted

    def next(self) -> Batch | None:
        with self._lock:
            return self._batches.first_ready()

    def set_aside(self, batch: Batch) -> None:
        with self._lock:
            self._batches.set_aside(batch.id)

    def __len__(self) -> int:
        return len(self._batches)

    def begin(self, batch: Batch) -> Batch | None:
        with self._lock:
            here = self._batches.get(batch.id)
            if here is not None:
                self._in_flight[batch.id] = here.ordinal
            return here

    def end(self, batch: Batch) -> None:
        with self._lock:
            self._in_flight.pop(batch.id, None)

    def note_lost_answer(self, batch: Batch) -> None:
        pass

    def load(self, batch: Batch) -> Batch | None:
        with self._lock:
            return self._batches.get(batch.id)

    def remove(self, batch: Batch) -> bool:
        with self._lock:
            here = self._batches.get(batch.id)
            if here is None:
                return False
            self._take_out(here)
            return True

    def bury(self, batch: Batch, *, partly: bool = False) -> bool:
        return self.remove(batch)

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> Replaced:
        with self._lock:
            here = self._batches.get(batch.id)
            if here is None:
                return Replaced.GONE
            self._batches.replace(batch.id, {each.id: each for each in successors})
            self._memory_bytes += sum(each.memory_bytes for each in successors) - here.memory_bytes
            return Replaced.DONE

    def holds_before(self, ordinal: int) -> bool:
        with self._lock:
            # The first has the lowest ordinal: batches are put in the order of their ordinals.
            first = self._batches.first()
            ordinals = [*self._in_flight.values()] + ([first.ordinal] if first else [])
            return min(ordinals, default=ordinal) < ordinal

    def drop_memory(self, reason: str) -> None:
        with self._lock:
            dropped = list(self._batches)
            self._take_out_to_drop(dropped)
        self._drop(dropped, reason)

    def look(self) -> float | None:
        return None

    def close(self) -> None:
        pass

    def is_held(self) -> bool:
        return is_held(self._lock)

    def abandon(self) -> None:
        pass

    def _take_out(self, batch: Batch) -> None:
        """Called with the lock held. `batch` must be the object that is in here, for its size."""
        self._batches.pop(batch.id)
        self._memory_bytes -= batch.memory_bytes

    def _take_out_to_drop(self, batches: Sequence[Batch]) -> None:
        """As `_take_out`. Until `_drop` has counted them, nobody who flushes must take them for settled."""
        for batch in batches:
            self._in_flight[batch.id] = batch.ordinal
            self._take_out(batch)

    def _drop(self, batches: Sequence[Batch], reason: str) -> None:
        try:
            for batch in batches:
                self._ledger.drop(reason, batch.count, adopted=batch.adopted, untold=batch.losses)
        finally:
            for batch in batches:
                self.end(batch)
        if batches:
            self._ledger.settled.notify()
