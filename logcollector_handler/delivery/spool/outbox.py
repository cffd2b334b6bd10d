"""The spool's outbox: batches in files, in memory if the disk takes none, and batches that dead processes left.

It decides with the lock held, and touches files without it: a file is written before its batch is put on the shelf, and
removed after the batch was taken off it. So an interruption at any point leaves files that the next process can make
sense of, and never a batch on the shelf without its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.clock import Clock
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.locks import is_held, new_lock
from logcollector_handler.delivery.outbox import Replaced
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.wire.format import Format

from .bodies import Bodies, DamagedError
from .files import SpoolFiles, owner_of
from .look import Looks
from .owners import Owners
from .reading import Reader
from .room import Room
from .shelf import Kept, Shelf

#: A file is damaged if it is longer than both of these, or unpacks to more: so many bytes, so many times a full batch.
#: The process that wrote it may have had larger batches.
_MAX_BODY: Final = 64 << 20
_MAX_BATCHES: Final = 8


class SpoolOutbox:
    """Batches in files, up to a number of bytes in the whole of the destination's directory. See `Outbox`.

    Args:
        root: the spool directory; made if it is missing, for its owner alone.
        destination: the name of the directory in it, from `destination`.
        max_bytes: what the disk is charged for all files, other processes' and dead letters included.
        max_batch_bytes: of a batch before compression.
        max_memory: bytes of the batches in memory, which the disk did not take.
        owner: what the ids of this process's batches begin with.
        compression: whether batches that are made of what dead processes left may be compressed.
        fsync: a batch counts as kept only when the disk itself has it.
        look_every: seconds between two looks for what others left. None: LOOK_EVERY.
    """

    durable = True

    def __init__(
        self,
        *,
        root: str,
        destination: str,
        wire: Format,
        max_bytes: int,
        max_batch_bytes: int,
        max_memory: int,
        owner: str,
        compression: bool,
        fsync: bool,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
        look_every: float | None = None,
    ) -> None:
        self.directory: Path = Path(root) / destination
        self._max_memory = max_memory
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._files = SpoolFiles(
            self.directory,
            wire.suffix,
            max_body=max(_MAX_BODY, _MAX_BATCHES * max_batch_bytes),
            fsync=fsync,
            reporter=reporter,
        )
        self._bodies = Bodies(self._files, wire, reporter, compression=compression)
        self._owners = Owners(self._files, owner)
        # Guards the fields below. No file is touched while it is held.
        self._lock = new_lock()
        self._shelf = Shelf()
        self._room = Room(max_bytes, self._shelf, self._bodies, self._files, self._owners, owner, self._lock, ledger)
        self._reader = Reader(self._files, self._bodies, self._shelf, self._room, self._lock, ledger, reporter, clock)
        self._looks = Looks(
            self._files,
            self._bodies,
            self._owners,
            self._shelf,
            self._room,
            self._lock,
            ledger,
            reporter,
            clock,
            look_every,
        )

    def put(self, batch: Batch) -> None:
        """Write a batch to its file; if that fails, keep it in memory."""
        opened = self._bodies.weight_of_open(batch.id)
        try:
            (kept,) = self._room.write([batch], opened)
        except OSError as error:
            self._say_full(error, "batches wait in memory instead, where the end of the process loses them")
            with self._lock:
                self._shelf.add(Kept(batch))
                evicted = self._shelf.evict_memory(self._max_memory, spared=batch)
            self._room.drop(evicted, "buffer_full")
        else:
            with self._lock:
                self._room.release(batch.id)
                self._shelf.add(kept)
            if opened:
                self._bodies.erase_open(batch.id)
                self._room.publish(owner_of(batch.id))

    def next(self) -> Batch | None:
        """Our own batches and adopted ones come in turn."""
        with self._lock:
            self._shelf.resume(self._clock.monotonic())
            return self._shelf.next()

    def set_aside(self, batch: Batch) -> None:
        with self._lock:
            self._shelf.set_aside(batch)

    def __len__(self) -> int:
        with self._lock:
            return len(self._shelf)

    def holds_before(self, ordinal: int) -> bool:
        with self._lock:
            return self._shelf.first_ordinal(default=ordinal) < ordinal

    def begin(self, batch: Batch) -> Batch | None:
        """Read a batch that is to be posted. See `Reader` for what becomes of a file that cannot be read."""
        with self._lock:
            here = self._shelf.get(batch)
            if here is None:
                return None
            self._shelf.use(batch)
        loaded = self._reader.read_or_judge(here)
        if loaded is None:
            self.end(batch)
            # Those who wait for it were notified when it was counted, and found it in use.
            self._ledger.settled.notify()
        return loaded

    def end(self, batch: Batch) -> None:
        with self._lock:
            self._shelf.end_use(batch)

    def note_lost_answer(self, batch: Batch) -> None:
        """Mark the batch on the disk, so that no process splits it on a 5xx."""
        with self._lock:
            here = self._shelf.get(batch)
        if here is not None and not here.batch.answer_lost:
            charge = self._bodies.note_lost_answer(batch)
            with self._lock:
                self._shelf.note_lost_answer(here, charge)

    def load(self, batch: Batch) -> Batch | None:
        """Read a batch. One that cannot be read stays: `begin` deals with it."""
        with self._lock:
            here = self._shelf.get(batch)
        try:
            return None if here is None else self._reader.read(here)
        except (OSError, DamagedError):
            return None

    def remove(self, batch: Batch) -> bool:
        with self._lock:
            here = self._shelf.take_out(batch)
        if here is None:
            return False
        self._bodies.erase(here)
        self._room.publish(owner_of(batch.id))
        return True

    def bury(self, batch: Batch, *, partly: bool = False) -> bool:
        """Keep the body in `dead/` and remove the batch."""
        with self._lock:
            here = self._shelf.get(batch)
        if here is None:
            return False
        assert batch.body is not None  # noqa: S101 - `Outbox` asks for it
        try:
            self._room.bury(here, self._files.body(batch.id, batch.compressed, partly=partly), batch.body)
        except OSError as error:
            what = "a batch with refused records" if partly else "a refused record"
            self._reporter.say("dead", f"{what} could not be kept in {self._files.dead.path}: {error.strerror}")
        return self.remove(batch)

    def replace(self, batch: Batch, successors: Sequence[Batch]) -> Replaced:
        """If the batch survives the process the successors must too, or nothing changes."""
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
        # An open file counts also if it lacks the last lines, because the disk was full: the first survive in it.
        if surviving := here.batch.id in self._bodies.opened or self._bodies.survives(here):
            try:
                kept = self._room.write(successors, here.charge)
            except OSError as error:
                self._say_full(error, "a batch that the server does not take as it is waits until it can be cut")
                return Replaced.NO_ROOM
        else:
            kept = [Kept(each) for each in successors]
        with self._lock:
            if surviving:
                self._room.release(successors[0].id)
            there = self._shelf.get(here.batch) is here
            if there:
                self._shelf.replace(here, kept)
        for each in [here] if there else kept:
            self._bodies.erase(each)
        self._room.publish(owner_of(here.batch.id))
        return Replaced.DONE if there else Replaced.GONE

    def drop_memory(self, reason: str) -> None:
        """Drop the batches that are in memory only. Files stay for the next process."""
        with self._lock:
            in_memory = [kept for kept in self._shelf.own if not kept.in_file]
        lost = [kept for kept in in_memory if not self._bodies.survives(kept)]
        with self._lock:
            lost = [kept for kept in lost if self._shelf.give_up(kept.batch) is not None]
        self._room.drop(lost, reason, erasing=False)

    def look(self) -> float | None:
        """Look around if it is time to. Returns the seconds until the next look, or until a file is read again."""
        return self._looks.look()

    def look_at_once(self) -> None:
        """Make the next call of `look` look around."""
        self._looks.look_at_once()

    def close(self) -> None:
        """Leave adopted batches to other processes, and unlock our owner unless something of ours is here."""
        with self._lock:
            left = [self._shelf.take_out(kept.batch) for kept in list(self._shelf.adopted)]
        self._owners.release_all_but((), left={owner_of(kept.batch.id) for kept in left if kept})
        # Not if files are left: the process may log until it ends, and if another process took the lock over, these
        # records would have no owner to be filed under.
        self._owners.release_own(self._is_empty)

    def is_held(self) -> bool:
        return is_held(self._lock)

    def abandon(self) -> None:
        self._owners.abandon()

    def _is_empty(self) -> bool:
        with self._lock:
            return not (len(self._shelf) or self._room.reserved or self._bodies.opened)

    def open_file(self, batch_id: str) -> tuple[Path, int]:
        """Create a file for the journal's lines of a batch. Returns its path and a descriptor. Raises OSError.

        The caller closes the descriptor. The file is removed when the batch has a file of its own, or is settled.
        """
        return self._bodies.create_open(batch_id, self._owners.ensure_own)

    def _say_full(self, error: OSError, consequence: str) -> None:
        self._reporter.say("spool", f"{self.directory} takes no batch now ({error.strerror}): {consequence}")
