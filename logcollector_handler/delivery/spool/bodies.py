"""Bodies: batches written to files, read back, and removed.

A body is sent only if the file still holds what was written: this process remembers the checksum that the body had when
it wrote the file, or first read it. This module counts nothing and decides nothing; `outbox`, `reading` and `adoption`
do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from logcollector_handler.delivery.batch import Batch, make_batch
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.wire.compression import decompress, is_worth_compressing
from logcollector_handler.wire.format import Format

from .directory import BLOCK, NotABodyError, charge
from .files import SpoolFiles, lost_name, open_name
from .shelf import Kept

#: The ordinal of adopted batches: higher than any of our own, so that no flush waits for adopted ones.
NOBODY_WAITS: Final = 1 << 62


class DamagedError(Exception):
    """A file is gone, or holds something else than the batch that was written to it."""


class Finished(NamedTuple):
    """What became of an open file whose owner died."""

    #: The batch, in a file if the disk took it. None if there was no whole line.
    batch: Kept | None
    #: Lines that are no entries.
    damaged: int


class Bodies:
    """The bodies of one destination, in one format.

    Args:
        compression: whether bodies that are made of what a dead process left may be compressed.
    """

    def __init__(self, files: SpoolFiles, wire: Format, reporter: Reporter, *, compression: bool) -> None:
        self._files = files
        self._wire = wire
        self._reporter = reporter
        self._compression = compression
        #: Ids of the open files that this process made and that are still there.
        self.opened: set[str] = set()
        # What the disk was charged for each of them when they were last looked at; none for newer ones.
        self._weights: dict[str, int] = {}
        # Names of files that could not be removed.
        self._unremoved: set[str] = set()

    def name(self, batch: Batch) -> str:
        """The name of a batch's file."""
        return self._files.body(batch.id, batch.compressed)

    def write(self, batches: Sequence[Batch]) -> list[Kept]:
        """Write all of these batches, which have their bodies, or none. Raises OSError."""
        written = []
        try:
            for batch in batches:
                body = batch.body or b""
                charged = self._files.write(self.name(batch), body)
                written.append(Kept(replace(batch, body=None), zlib.crc32(body), charged))
        except BaseException:
            # Including the one that failed: it may have been renamed before syncing the directory failed.
            for batch in reversed(batches):
                with contextlib.suppress(OSError):
                    self._files.place.remove(self.name(batch))
            raise
        return written

    def read(self, kept: Kept) -> Batch:
        """A batch with its body, and with its counts if these were not known yet.

        Raises:
            DamagedError: the file is gone, or does not hold the body that it held before.
            OSError: it cannot be read now.
        """
        if not kept.in_file:
            return kept.batch
        try:
            body = self._files.place.read(self.name(kept.batch), self._files.max_body)
        except FileNotFoundError as error:
            raise DamagedError("it is gone") from error
        except NotABodyError as error:
            raise DamagedError(error.strerror) from error
        if kept.checksum is not None:
            if zlib.crc32(body) != kept.checksum:
                raise DamagedError("its content was changed")
            return replace(kept.batch, body=body)
        try:
            plain = decompress(body, self._files.max_body) if kept.batch.compressed else body
            entries = len(self._wire.split(plain))
        except MemoryError as error:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        except Exception as error:
            # Anybody may have changed the file, so that it can hold anything.
            raise DamagedError(f"it holds no batch: {error}") from error
        return replace(kept.batch, body=body, count=entries, entries=entries, encoded_bytes=len(plain))

    def survives(self, kept: Kept) -> bool:
        """Whether a batch is on disk when the process ends: in its own file, or as all lines of its open file."""
        if kept.in_file or kept.has_open_file:
            return True
        if kept.batch.id not in self.opened:
            return False
        try:
            lines = self._files.lines(kept.batch.id)
        except (FileNotFoundError, NotABodyError):
            return False
        except OSError:
            return True  # It cannot be read now, and nothing says that it is damaged.
        return sum(map(self._wire.is_line, lines)) >= kept.batch.count

    def create_open(self, batch_id: str, lock_owner: Callable[[], None]) -> tuple[Path, int]:
        """Lock the owner and create the open file of a batch. After an error there is no file. Raises OSError."""
        # Listed before the owner is locked: `SpoolOutbox.close` keeps it locked while anything is listed here.
        self.opened.add(batch_id)
        try:
            lock_owner()
            return self._files.place.path / open_name(batch_id), self._files.create_open(batch_id)
        except BaseException:
            with contextlib.suppress(OSError):
                self._files.place.remove(open_name(batch_id))
            self.opened.discard(batch_id)
            raise

    def charged_for_open(self) -> int:
        """What the disk was charged for the open files of this process when they were last weighed."""
        return sum(map(self._weights.get, list(self.opened), repeat(BLOCK)))

    def weigh_open(self) -> None:
        """Look at what the disk is charged for the open files, which grow while lines are written to them."""
        with contextlib.suppress(OSError):
            found = self._files.place.status([open_name(each) for each in list(self.opened)])
            self._weights = {name.partition(".")[0]: charge(status) for name, status in found.items()}

    def heaviest_open(self) -> int:
        """What the disk is charged now for the largest open file of this process; 0 if there is none."""
        self.weigh_open()
        return max(self._weights.values(), default=0)

    def weight_of_open(self, batch_id: str) -> int:
        """What the disk is charged for the open file of a batch; 0 if it has none."""
        try:
            return self._files.charged([open_name(batch_id)]) if batch_id in self.opened else 0
        except OSError:
            return 0

    def note_lost_answer(self, batch: Batch) -> int:
        """Mark a batch as one that the server may have stored. Returns what the disk is charged for it."""
        try:
            os.close(self._files.place.create(lost_name(batch.id), 0))
            return self._files.charged([lost_name(batch.id)])
        except OSError:
            return 0  # Then another process may cut it on a 5xx, and its records may be stored twice.

    def erase(self, kept: Kept) -> None:
        """Remove all files of a batch, the mark of a lost answer last."""
        if kept.in_file:
            self.remove(self.name(kept.batch))
        if kept.has_open_file:
            self.remove(open_name(kept.batch.id))
        self.erase_open(kept.batch.id)
        if kept.batch.answer_lost:
            self.remove(lost_name(kept.batch.id))

    def erase_open(self, batch_id: str) -> None:
        """Remove the open file of a batch, if there is one."""
        if batch_id in self.opened:
            self.remove(open_name(batch_id))
            self.opened.discard(batch_id)

    def finish(self, batch_id: str, *, answer_lost: bool) -> Finished:
        """Make the batch of an open file whose owner died, as the owner would have done, and write it.

        If the disk takes no file the batch stays in memory: sending it is what makes room. Lines that are no entries
        are kept in `dead/`, if that is possible.

        Raises:
            OSError: the open file cannot be read.
        """
        lines: dict[bool, list[bytes]] = {True: [], False: []}
        for line in self._files.lines(batch_id):
            lines[self._wire.is_line(line)].append(line)
        whole, damaged = lines[True], lines[False]
        if damaged:
            self._bury_lines(batch_id, damaged)
        if not whole:
            return Finished(None, len(damaged))
        plain = self._wire.join(self._wire.runs_of_lines(whole))
        compressed = self._compression and is_worth_compressing(len(whole), len(plain))
        batch = make_batch(batch_id, plain, len(whole), compressed=compressed, ordinal=NOBODY_WAITS, adopted=True)
        try:
            (kept,) = self.write([batch])
        except OSError:
            kept = Kept(replace(batch, answer_lost=answer_lost), has_open_file=True)
        return Finished(kept, len(damaged))

    def _bury_lines(self, batch_id: str, lines: Sequence[bytes]) -> None:
        name = open_name(batch_id)
        where = f"they are in {self._files.dead.path}"
        try:
            self._files.bury(f"{name}.damaged", b"\n".join([*lines, b""]))
        except OSError as error:
            where = f"they could not be kept in {self._files.dead.path} ({error.strerror})"
        self._reporter.say("damaged", f"{len(lines)} records in {name} are damaged and cannot be sent; {where}")

    def remove(self, name: str) -> None:
        """Remove a file. If that fails, report it, and try again with `remove_the_rest`."""
        try:
            self._files.place.remove(name)
        except OSError as error:
            self._unremoved.add(name)
            self._reporter.say(
                "spool",
                f"{self._files.place.path / name} was sent but cannot be removed now ({error.strerror}); if it "
                "is still there when the process ends, another sends it again, under its key",
            )

    def is_done_with(self, name: str) -> bool:
        """Whether a file is here only because it could not be removed."""
        return name in self._unremoved

    def remove_the_rest(self) -> None:
        """Remove the files that could not be removed before."""
        for name in list(self._unremoved):
            with contextlib.suppress(OSError):
                self._files.place.remove(name)
                self._unremoved.discard(name)
