"""The shelf: which batches wait, in which order, and where the body of each is.

It only remembers and decides; it touches no file and counts no record. Callers hold the lock of the SpoolOutbox.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.order import Order

from .files import owner_of
from .turns import Turns


@dataclass(slots=True, eq=False)
class Kept:
    """A batch on the shelf."""

    #: Without its body if that is in a file. An adopted batch has no counts until its file was read.
    batch: Batch
    #: CRC-32 of the body in the file. None until it is known, and if the body is in memory.
    checksum: int | None = None
    #: What the disk is charged for its files, in bytes.
    charge: int = 0
    #: Its body is in memory, because the disk took no file for it, and its lines are in a dead process's open file.
    has_open_file: bool = False
    #: How often in a row its file could not be read.
    failures: int = 0

    @property
    def in_file(self) -> bool:
        """Whether its body is in a file and not in memory."""
        return self.batch.body is None

    def learn(self, loaded: Batch) -> None:
        """Note what the first reading of the file found. From now on the file must hold this very body."""
        self.batch = replace(loaded, body=None)
        self.checksum = zlib.crc32(loaded.body or b"")


class Shelf:
    """Batches of this process in their order, and those that others left behind, owner by owner in turn."""

    def __init__(self) -> None:
        self._own: Order[Kept] = Order()
        self._adopted: Turns[Kept] = Turns()
        # The batch that was used last was adopted, so it is the turn of our own.
        self._is_turn_of_own = False
        # Batches that must not be evicted, or are dropped and not counted yet: their ordinals by their ids.
        self._in_use: dict[str, int] = {}
        # Batches whose files cannot be read now, and the monotonic seconds at which they are tried again, by their ids.
        self._postponed: dict[str, tuple[Batch, float]] = {}
        #: What the disk is charged for the batches in files, by owner, in bytes.
        self.charges: Counter[str] = Counter()
        #: Bytes that the batches in memory take.
        self.memory_bytes: int = 0

    def __len__(self) -> int:
        return len(self._own) + len(self._adopted)

    @property
    def own(self) -> Order[Kept]:
        """Batches of this process, the oldest first."""
        return self._own

    @property
    def adopted(self) -> Turns[Kept]:
        """Batches of dead processes, the oldest of each first."""
        return self._adopted

    def get(self, batch: Batch) -> Kept | None:
        """The batch of this id as it is kept here, if it is."""
        return self._side(batch).get(batch.id)

    def add(self, kept: Kept) -> None:
        """Put a batch behind the others of its kind."""
        self._side(kept.batch).add(kept.batch.id, kept)
        self._count(kept, 1)

    def take_out(self, batch: Batch) -> Kept | None:
        """Take a batch out; None if it is not here."""
        kept = self._side(batch).pop(batch.id)
        self._postponed.pop(batch.id, None)
        if kept is not None:
            self._count(kept, -1)
        return kept

    def give_up(self, batch: Batch) -> Kept | None:
        """Take out a batch that is to be dropped. It counts as in use until it is counted, and `end_use` says so."""
        kept = self.take_out(batch)
        if kept is not None:
            self._in_use[batch.id] = batch.ordinal
        return kept

    def replace(self, old: Kept, successors: Sequence[Kept]) -> None:
        """Put others in the place of a batch that is here."""
        self._side(old.batch).replace(old.batch.id, {each.batch.id: each for each in successors})
        self._count(old, -1)
        for each in successors:
            self._count(each, 1)

    def note_lost_answer(self, kept: Kept, charge: int) -> None:
        """Remember that the server may have stored a batch, and what the disk is charged for the mark of that."""
        self._count(kept, -1)
        kept.batch = replace(kept.batch, answer_lost=True)
        kept.charge += charge
        self._count(kept, 1)

    def next(self) -> Batch | None:
        """The first batch that is not set aside, of our own and of dead processes in turn."""
        sides = (self._own, self._adopted) if self._is_turn_of_own else (self._adopted, self._own)
        kept = sides[0].first_ready() or sides[1].first_ready()
        return None if kept is None else kept.batch

    def set_aside(self, batch: Batch) -> None:
        """Make `next` pass over a batch, if it is here."""
        self._side(batch).set_aside(batch.id)

    def postpone(self, batch: Batch, until: float) -> None:
        """Make `next` pass over a batch, which is here, until that time."""
        self.set_aside(batch)
        self._postponed[batch.id] = batch, until

    def resume(self, now: float) -> None:
        """Make `next` offer the batches again that were postponed until now, in their order."""
        for batch, until in reversed(list(self._postponed.values())):
            if until <= now:
                del self._postponed[batch.id]
                self._side(batch).bring_back(batch.id)

    @property
    def resumes_at(self) -> float:
        """When the first of the postponed batches is to be offered again, in monotonic seconds; infinity if none is."""
        return min((until for _, until in self._postponed.values()), default=math.inf)

    def use(self, batch: Batch) -> bool:
        """Protect a batch from eviction until `end_use`. False if it was protected already."""
        if batch.id in self._in_use:
            return False
        self._in_use[batch.id] = batch.ordinal
        self._is_turn_of_own = batch.adopted
        if batch.adopted:
            self._adopted.used(batch.id)
        return True

    def end_use(self, batch: Batch) -> None:
        """End what `use` or `give_up` began."""
        self._in_use.pop(batch.id, None)

    def first_ordinal(self, default: int) -> int:
        """The lowest ordinal of the batches that are here or in use. They are put in the order of their ordinals."""
        first = self._own.first()
        return min([*self._in_use.values()] + ([first.batch.ordinal] if first else []), default=default)

    def evict_files(self, excess: int) -> list[Kept]:
        """Take out the oldest batches in files, `excess` bytes of them or more; none if all would not be enough."""
        evicted = []
        for kept in self._evictable(in_file=True):
            if excess <= 0:
                break
            evicted.append(kept)
            excess -= kept.charge
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
                excess -= kept.batch.memory_bytes
        return self._all_out(evicted)

    def _evictable(self, *, in_file: bool) -> Iterator[Kept]:
        return (each for each in self._own if each.in_file is in_file and each.batch.id not in self._in_use)

    def _all_out(self, evicted: list[Kept]) -> list[Kept]:
        for kept in evicted:
            self.give_up(kept.batch)
        return evicted

    def _side(self, batch: Batch) -> Order[Kept] | Turns[Kept]:
        return self._adopted if batch.adopted else self._own

    def _count(self, kept: Kept, sign: int) -> None:
        if kept.in_file:
            self.charges[owner_of(kept.batch.id)] += sign * kept.charge
        else:
            self.memory_bytes += sign * kept.batch.memory_bytes
