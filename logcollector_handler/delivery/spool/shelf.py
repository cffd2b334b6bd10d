"""The shelf: which batches wait, in which order, and where the body of each is.

It only remembers and decides; it touches no file and counts no record. Callers hold the lock of the SpoolOutbox.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from logcollector_handler.delivery.batch import Batch


@dataclass
class Kept:
    """A batch on the shelf."""

    #: Without its body if that is in a file. An adopted batch has no counts until its file was read.
    batch: Batch
    #: CRC-32 of the body in the file. None until it is known, and if the body is in memory.
    checksum: int | None = None

    @property
    def in_file(self) -> bool:
        """Whether its body is in a file and not in memory."""
        return self.batch.body is None

    def learn(self, loaded: Batch) -> None:
        """Note what the first reading of the file found. From now on the file must hold this very body."""
        self.batch = replace(loaded, body=None)
        self.checksum = zlib.crc32(loaded.body or b"")


class Shelf:
    """Batches of this process, and those that dead processes left behind, each in their order."""

    def __init__(self) -> None:
        self._own: dict[str, Kept] = {}
        self._adopted: dict[str, Kept] = {}
        # Ids of batches that `next` passes over.
        self._aside: set[str] = set()
        # Batches that must not be evicted: their ordinals by their ids.
        self._in_use: dict[str, int] = {}
        #: Bytes of the bodies here that are in files, and of those in memory.
        self.file_bytes = 0
        self.memory_bytes = 0

    def __len__(self) -> int:
        return len(self._own) + len(self._adopted)

    @property
    def own(self) -> list[Kept]:
        """Batches of this process, the oldest first."""
        return list(self._own.values())

    @property
    def adopted(self) -> list[Kept]:
        """Batches of dead processes, the oldest first."""
        return list(self._adopted.values())

    def get(self, batch: Batch) -> Kept | None:
        """The batch of this id as it is kept here, if it is."""
        return self._side(batch).get(batch.id)

    def add(self, kept: Kept) -> None:
        """Put a batch behind the others of its kind."""
        self._side(kept.batch)[kept.batch.id] = kept
        self._count(kept, 1)

    def take_out(self, batch: Batch) -> Kept | None:
        """Take a batch out; None if it is not here."""
        kept = self._side(batch).pop(batch.id, None)
        if kept is not None:
            self._forget(kept)
        return kept

    def replace(self, old: Kept, successors: Sequence[Kept]) -> None:
        """Put others in the place of a batch that is here."""
        side = self._side(old.batch)
        kept = {each.batch.id: each for here in side.values() for each in (successors if here is old else (here,))}
        side.clear()
        side.update(kept)
        self._forget(old)
        for each in successors:
            self._count(each, 1)

    def next(self) -> Batch | None:
        """The first batch that is not set aside, batches of dead processes before our own."""
        for side in (self._adopted, self._own):
            for batch_id, kept in side.items():
                if batch_id not in self._aside:
                    return kept.batch
        return None

    def set_aside(self, batch: Batch) -> None:
        """Make `next` pass over a batch, if it is here."""
        if self.get(batch) is not None:
            self._aside.add(batch.id)

    def use(self, batch: Batch) -> bool:
        """Protect a batch from eviction until `end_use`. False if it was protected already."""
        if batch.id in self._in_use:
            return False
        self._in_use[batch.id] = batch.ordinal
        return True

    def end_use(self, batch: Batch) -> None:
        """End the protection that `use` gave."""
        self._in_use.pop(batch.id, None)

    def first_ordinal(self, default: int) -> int:
        """The lowest ordinal of the batches that are here or in use."""
        return min([*(kept.batch.ordinal for kept in self._own.values()), *self._in_use.values()], default=default)

    def evict_files(self, excess: int) -> list[Kept]:
        """Take out the oldest batches in files, `excess` bytes of them or more; none if all would not be enough."""
        evicted = []
        for kept in self._evictable(in_file=True):
            if excess <= 0:
                break
            evicted.append(kept)
            excess -= kept.batch.size
        return [] if excess > 0 else self._all_out(evicted)

    def evict_memory(self, max_bytes: int, spared: Batch) -> list[Kept]:
        """Take out the oldest batches in memory until the others have `max_bytes` or less, but never `spared`."""
        evicted = []
        excess = self.memory_bytes - max_bytes
        for kept in self._evictable(in_file=False):
            if excess <= 0:
                break
            if kept.batch.id != spared.id:
                evicted.append(kept)
                excess -= kept.batch.size
        return self._all_out(evicted)

    def _evictable(self, *, in_file: bool) -> Iterator[Kept]:
        return (each for each in self._own.values() if each.in_file is in_file and each.batch.id not in self._in_use)

    def _all_out(self, evicted: list[Kept]) -> list[Kept]:
        for kept in evicted:
            self.take_out(kept.batch)
        return evicted

    def _side(self, batch: Batch) -> dict[str, Kept]:
        return self._adopted if batch.adopted else self._own

    def _forget(self, kept: Kept) -> None:
        self._aside.discard(kept.batch.id)
        self._count(kept, -1)

    def _count(self, kept: Kept, sign: int) -> None:
        if kept.in_file:
            self.file_bytes += sign * kept.batch.size
        else:
            self.memory_bytes += sign * kept.batch.size
