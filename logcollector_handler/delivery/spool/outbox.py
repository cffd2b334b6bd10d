"""The spool's outbox: batches in files, in memory if the disk takes none, and batches that dead processes left.

It decides with the lock held, and touches files without it: a file is written before its batch is put on the shelf, and
removed after the batch was taken off it. So an interruption at any point leaves files that the next process can make
sense of, and never a batch on the shelf without its file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.clock import Clock
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.locks import new_lock
from logcollector_handler.delivery.outbox import Replaced
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.wire.format import Format

from .adoption import look_around
from .bodies import Bodies
from .files import SpoolFiles, destination, owner_of
from .owners import Owners
from .room import Room
from .shelf import Kept, Shelf

#: Seconds between two looks for what dead processes left behind.
LOOK_EVERY: Final = 10.0
#: The pause after a look is at least this many times as long as the look took.
_LOOK_SHARE: Final = 20


class SpoolOutbox:
    """Batches in files, up to a number of bytes in the whole of the destination's directory. See `Outbox`.

    Args:
        root: the spool directory; made if it is missing, for its owner alone.
        server_url: the destination.
        wire: the format of the bodies.
        max_bytes: of all files of the destination, other processes' and dead letters included.
        max_memory: bytes of the batches in memory, which the disk did not take.
        owner: what the ids of this process's batches begin with.
        fsync: a batch counts as kept only when the disk itself has it.
    """

    durable = True

    def __init__(
        self,
        *,
        root: str,
        server_url: str,
        wire: Format,
        max_bytes: int,
        max_memory: int,
        owner: str,
        fsync: bool,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        self.directory = Path(root) / destination(server_url)
        self._max_memory = max_memory
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._files = SpoolFiles(self.directory, wire.suffix, fsync=fsync)
        self._bodies = Bodies(self._files, wire, reporter)
        self._owners = Owners(self._files, owner)
        self._next_look = clock.monotonic()
        # Guards the two fields below. No file is touched while it is held.
        self._lock = new_lock()
        self._shelf = Shelf()
        self._room = Room(max_bytes, self._shelf, self._files, self._lock)

    # Putting and finding

    def put(self, batch: Batch) -> None:
        """Write a batch to its file; if that fails, keep it in memory."""
        try:
            kept = self._write([batch])
        except OSError as error:
            self._say_full(error, "batches wait in memory instead, where the end of the process loses them")
            with self._lock:
                self._shelf.add(Kept(batch))
                evicted = self._shelf.evict_memory(self._max_memory, spared=batch)
            self._erase_and_drop(evicted, "buffer_full")
        else:
            with self._lock:
                self._room.release(batch.size)
                self._shelf.add(*kept)
            self._bodies.erase_open(batch.id)

    def next(self) -> Batch | None:
        """Adopted batches come before our own."""
        with self._lock:
            return self._shelf.next()

    def set_aside(self, batch: Batch) -> None:
        with self._lock:
            self._shelf.set_aside(batch)

    def __len__(self) -> int:
        return len(self._shelf)

    def holds_before(self, ordinal: int) -> bool:
        with self._lock:
            return self._shelf.first_ordinal(default=ordinal) < ordinal

    # Sending

    def begin(self, batch: Batch) -> Batch | None:
        """Read a batch that is to be posted. A damaged file goes to `dead/`, and its batch counts as dropped."""
        with self._lock:
            here = self._shelf.get(batch)
            if here is None:
                return None
            self._shelf.use(batch)
        loaded = self._read(here)
        if loaded is None:
            self._drop_damaged(here)
            self.end(batch)
        return loaded

    def end(self, batch: Batch) -> None:
        with self._lock:
            self._shelf.end_use(batch)

    def load(self, batch: Batch) -> Batch | None:
        """Read a batch. One that cannot be read stays: `begin` deals with it."""
        with self._lock:
            here = self._shelf.get(batch)
        return None if here is None else self._read(here)

    def remove(self, batch: Batch) -> bool:
        with self._lock:
            here = self._shelf.take_out(batch)
        if here is None:
            return False
        self._bodies.erase(here)
        return True

    def bury(self, batch: Batch) -> bool:
        """Keep the body in `dead/` and remove the batch."""
        with self._lock:
            if self._shelf.get(batch) is None:
                return False
        assert batch.body is not None  # noqa: S101 - `Outbox` asks for it
        try:
            self._files.bury(self._bodies.path(batch).name, batch.body)
        except OSError as error:
            self._reporter.say("dead", f"a refused record could not be kept in {self._files.dead}: {error}")
        else:
            self._room.bury(batch.size)
        return self.remove(batch)

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> Replaced:
        """Put others in the place of a batch. If the batch survives the process they must too, or nothing changes."""
        with self._lock:
            here = self._shelf.get(batch)
            if here is None:
                return Replaced.GONE
            newly_used = self._shelf.use(batch)
        try:
            return self._replace(here, successors)
        finally:
            if newly_used:
                self.end(batch)

    def _replace(self, here: Kept, successors: Sequence[Batch]) -> Replaced:
        if surviving := self._bodies.survives(here):
            try:
                kept = self._write(successors, here.batch.size if here.in_file else 0)
            except OSError as error:
                self._say_full(error, "a batch that the server does not take as it is waits until it can be cut")
                return Replaced.NO_ROOM
        else:
            kept = [Kept(each) for each in successors]
        with self._lock:
            if surviving:
                self._room.release(sum(each.size for each in successors))
            there = self._shelf.get(here.batch) is here
            if there:
                self._shelf.replace(here, kept)
        for each in [here] if there else kept:
            self._bodies.erase(each)
        return Replaced.DONE if there else Replaced.GONE

    # The end of a process, its own and others'

    def drop_memory(self, reason: str) -> None:
        """Drop the batches that are in memory only. Files stay for the next process."""
        with self._lock:
            in_memory = [kept for kept in self._shelf.own if not kept.in_file]
        lost = [kept for kept in in_memory if not self._bodies.survives(kept)]
        with self._lock:
            lost = [kept for kept in lost if self._shelf.take_out(kept.batch) is not None]
        for kept in lost:
            self._drop(kept, reason)

    def look(self) -> float | None:
        """Look around if it is time to. Returns the seconds until the next look."""
        now = self._clock.monotonic()
        if now >= self._next_look:
            # An OSError: nothing was ever kept here, or the directory cannot be read now.
            with contextlib.suppress(OSError):
                self._look_around()
            began, now = now, self._clock.monotonic()
            # A look at many thousand files takes long, and nothing is sent meanwhile: make it rare.
            self._next_look = now + max(LOOK_EVERY, _LOOK_SHARE * (now - began))
        return self._next_look - now

    def _look_around(self) -> None:
        found = look_around(self._files, self._bodies, self._owners, self._reporter, self._clock.time())
        with self._lock:
            for batch in found.adopted:
                self._shelf.add(Kept(batch))
            waiting = {owner_of(kept.batch.id) for kept in self._shelf.adopted}
        self._owners.release_all_but(waiting)
        held = self._owners.held
        self._room.count_others(found.buried + sum(n for owner, n in found.living.items() if owner not in held))

    def close(self) -> None:
        """Leave adopted batches to other processes, and unlock our owner unless something of ours is here."""
        with self._lock:
            for kept in self._shelf.adopted:
                self._shelf.take_out(kept.batch)
        self._owners.release_all_but(())
        # Not if files are left: the process may log until it ends, and if another process took the lock over, these
        # records would have no owner to be filed under.
        self._owners.release_own(self._is_empty)

    def is_held(self) -> bool:
        return bool(self._lock._is_owned())  # type: ignore[attr-defined]  # there, for Condition, but not in the stubs

    def abandon(self) -> None:
        """In a forked child: close the parent's descriptors. The parent keeps its locks."""
        self._owners.abandon()

    def _is_empty(self) -> bool:
        with self._lock:
            return not (len(self._shelf) or self._room.reserved or self._bodies.opened)

    # For the journal

    def open_file(self, batch_id: str) -> tuple[Path, int]:
        """Create a file for the lines of a batch. Returns its path and a descriptor to write at any offset.

        The caller closes the descriptor. The file is removed when the batch has a file of its own, or is settled.

        Raises:
            OSError: the file could not be created.
        """
        return self._bodies.create_open(batch_id, self._owners.ensure_own)

    def _read(self, kept: Kept) -> Batch | None:
        loaded = self._bodies.read(kept)
        if loaded is not None and kept.in_file and kept.checksum is None:
            with self._lock:
                kept.learn(loaded)
        return loaded

    def _write(self, batches: Sequence[Batch], freed: int = 0) -> list[Kept]:
        """Write all of these batches to files, or none. Raises OSError.

        A file of `freed` bytes will be removed for them. Their bytes stay reserved until the caller releases them, when
        the batches are on the shelf.
        """
        size = sum(batch.size for batch in batches)
        self._erase_and_drop(self._room.reserve(size, freed), "spool_full")
        try:
            self._owners.ensure_own()
            return self._bodies.write(batches)
        except BaseException:
            self._room.release(size)
            raise

    def _drop_damaged(self, here: Kept) -> None:
        with self._lock:
            if self._shelf.take_out(here.batch) is None:
                return
        path = self._bodies.path(here.batch)
        self._reporter.say("damaged", f"{path} is damaged or gone and cannot be sent; what is left of it is in dead/")
        with contextlib.suppress(OSError):
            self._room.bury(self._files.bury_damaged(path))
        self._drop(here, "spool_damaged")

    def _erase_and_drop(self, evicted: Iterable[Kept], reason: str) -> None:
        for kept in evicted:
            self._bodies.erase(kept)
            self._drop(kept, reason)

    def _drop(self, kept: Kept, reason: str) -> None:
        self._ledger.drop(reason, kept.batch.count, adopted=kept.batch.adopted, untold=kept.batch.losses)

    def _say_full(self, error: OSError, consequence: str) -> None:
        self._reporter.say("spool", f"{self.directory} takes no batch now ({error.strerror}): {consequence}")
