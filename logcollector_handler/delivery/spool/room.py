"""Room: how many bytes the disk is charged for the files of one destination, and what goes when that is too many.

The limit holds for all processes together. Each tells the others its own number, as `usage` describes, and drops no
batches but its own. Since no file is charged less than a block, a limit of bytes also limits the number of files.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Collection, Sequence
from typing import Final

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.locks import new_lock

from .bodies import Bodies
from .directory import BLOCK, charge_for
from .files import SpoolFiles
from .owners import Owners
from .shelf import Kept, Shelf
from .usage import DEAD

#: Bytes that each owner takes beside its batches: its lock, and its number in `usage/`.
HOUSEKEEPING: Final = 2 * BLOCK
#: An owner asks for this share of the limit more than it needs, so that it need not ask again for each batch; but not
#: where that is less than a file. Others are not told of less than twice this share that it gave back.
_UNNOTICED: Final = 256


class Room:
    """The bytes of one destination's directory: files on the shelf, files being written, other processes', `dead/`.

    Args:
        max_bytes: limit for all these together.
        shelf: batches that may have to be dropped to make room.
        bodies: writes and removes files.
        files: the directory.
        owners: who has files there, and how many bytes others have.
        own: this process's owner.
        lock: guards the shelf, and the fields of this object.
    """

    def __init__(
        self,
        max_bytes: int,
        shelf: Shelf,
        bodies: Bodies,
        files: SpoolFiles,
        owners: Owners,
        own: str,
        lock: threading.RLock,
        ledger: Ledger,
    ) -> None:
        self._max_bytes = max_bytes
        self._shelf = shelf
        self._bodies = bodies
        self._files = files
        self._owners = owners
        self._own = own
        self._lock = lock
        self._ledger = ledger
        # Bytes of files that are being written, or are written and not on the shelf yet, by the first batch's id.
        self._reserved: dict[str, int] = {}
        # Held from the moment at which bytes are counted until others are told of them. Otherwise one thread tells what
        # another has changed meanwhile. Unlike the lock above, it is held while files are read and written.
        self._telling = new_lock()
        # What other processes were told, by owner.
        self._told: dict[str, int] = {}
        # What others were told that we take, when there was room for that much. Less is taken without asking again.
        self._granted = 0
        #: Bytes at the last look of the living owners that tell nobody, because they run version 0.1.0.
        self.silent: dict[str, int] = {}
        #: Dead owners whose files are on the shelf. One that a look has just locked still takes what everybody is told.
        self.adopted: Collection[str] = ()

    @property
    def reserved(self) -> int:
        """Bytes that are reserved now."""
        return sum(self._reserved.values())

    def total(self) -> int:
        """Bytes of all files, including what is reserved. Raises OSError if those of others cannot be told."""
        held = self._owners.held
        told = self._owners.usage.read()
        with self._lock:
            ours = held.intersection([self._own, *self.adopted])
            others = sum(size for owner, size in (self.silent | told).items() if owner not in ours)
            return others + (BLOCK if DEAD in told else 0) + sum(map(self._of, ours))

    def write(self, batches: Sequence[Batch], freed: int) -> list[Kept]:
        """Write all of these batches to files, or none.

        To make room, remove the oldest dead letters, then our oldest batches. The bytes of the files stay reserved,
        under the id of the first batch, until the caller releases them, when the batches are on the shelf.

        Args:
            batches: with their bodies.
            freed: bytes of files that the caller removes when that is done.

        Raises:
            OSError: it failed. If there is no room, although everything were removed that may be, nothing was removed.
        """
        key = batches[0].id
        self._owners.ensure_own()
        try:
            self._reserve(key, sum(charge_for(batch.size) for batch in batches), freed, evicting=True)
            return self._bodies.write(batches)
        except BaseException:
            self.release(key)
            self.publish(self._own)
            raise

    def bury(self, kept: Kept, name: str, body: bytes) -> None:
        """Write the body of a batch that will be removed into `dead/`. For that only older dead letters have to go.

        Raises:
            OSError: there is no room, or it cannot be written.
        """
        key = f"dead {name}"
        try:
            self._reserve(key, charge_for(len(body)), kept.charge, evicting=False)
            self.count_dead(self._files.bury(name, body))
        finally:
            self.release(key)

    def _reserve(self, key: str, size: int, freed: int, *, evicting: bool) -> None:
        with self._telling:
            with self._lock:
                self._reserved[key] = size
            if self._of(self._own) <= self._granted:
                return
            self._bodies.weigh_open()
            more = self._max_bytes // _UNNOTICED
            if more > BLOCK and self._excess(freed, more) <= 0:
                self._granted = self._told[self._own]
                return
            excess = self._excess(freed)
            if excess > 0 and self._remove_dead_letters(excess):
                excess = self._excess(freed)
            if excess > 0:
                with self._lock:
                    evicted = self._shelf.evict_files(excess) if evicting else []
                if not evicted:
                    raise OSError(errno.EDQUOT, f"max_spool_bytes ({self._max_bytes}) is used up by others")
                self.drop(evicted, "spool_full")
                self.publish(self._own)

    def _excess(self, freed: int, more: int = 0) -> int:
        """Tell others that we take what we do, and `more`. Returns the bytes that all have above the limit then."""
        # Told before the others' numbers are read: so at least one of two that want the same room sees the other.
        self._granted = 0
        self._told.pop(self._own, None)
        announced = self._of(self._own) + more
        self._owners.publish(self._own, announced)
        self._told[self._own] = announced
        return self.total() + more - freed - self._max_bytes

    def drop(self, given_up: Collection[Kept], reason: str, *, erasing: bool = True) -> None:
        """Count the records of batches that the shelf has given up as dropped; `erasing`: and remove their files."""
        try:
            for kept in given_up:
                if erasing:
                    self._bodies.erase(kept)
                self._ledger.drop(reason, kept.batch.count, untold=kept.batch.losses)
        finally:
            with self._lock:
                for kept in given_up:
                    self._shelf.end_use(kept.batch)
        self._ledger.settled.notify()

    def release(self, key: str) -> None:
        """Take back a reservation: the files are on the shelf now, or were not written."""
        with self._lock:
            self._reserved.pop(key, None)

    def publish(self, owner: str) -> None:
        """Tell other processes how much an owner takes whose files changed, and we, who may have reserved bytes for it.

        They are not told of what is hardly less than before.
        """
        with self._telling:
            for each in {owner, self._own}:
                size = self._of(each)
                if not 0 <= self._told.get(each, -1) - size < 2 * self._max_bytes // _UNNOTICED:
                    if each == self._own:
                        self._granted = 0
                    with contextlib.suppress(OSError):
                        self._owners.publish(each, size)
                        self._told[each] = size

    def publish_anew(self) -> None:
        """Tell other processes how much the owners take that are locked by us, where they were told something else."""
        with self._telling:
            self._bodies.weigh_open()
            self._told = self._owners.usage.read()
            for owner in self._owners.held:
                self.publish(owner)

    def count_dead(self, size: int) -> None:
        """Count a file of `size` bytes that was put into `dead/`."""
        with contextlib.suppress(OSError):
            self._owners.usage.add(DEAD, size)

    def _of(self, owner: str) -> int:
        opened = self._bodies.charged_for_open() if owner == self._own else 0
        with self._lock:
            reserved = self.reserved if owner == self._own else 0
            return self._shelf.charges[owner] + reserved + opened + HOUSEKEEPING

    def _remove_dead_letters(self, excess: int) -> int:
        """Remove the oldest dead letters, `excess` bytes or all of them. Returns how many bytes were removed."""
        removed = self._files.remove_buried(excess)
        if removed:
            self.count_dead(-removed)
        return removed
