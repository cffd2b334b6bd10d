"""Bodies: batches written to files, read back, and removed.

A body is sent only if the file still holds what was written: this process remembers the checksum that the body had when
it wrote the file, or first read it. This module counts nothing and decides nothing; `outbox` and `adoption` do.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from logcollector_handler.delivery.batch import Batch, make_batch
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.wire.compression import decompress, is_worth_compressing
from logcollector_handler.wire.format import Format

from .files import SpoolFiles, read, remove
from .shelf import Kept


class Bodies:
    """The bodies of one destination, in one format."""

    def __init__(self, files: SpoolFiles, wire: Format, reporter: Reporter) -> None:
        self._files = files
        self._wire = wire
        self._reporter = reporter
        #: Ids of the open files that this process made and that are still there.
        self.opened: set[str] = set()

    def path(self, batch: Batch) -> Path:
        """The file of a batch."""
        return self._files.body(batch.id, batch.compressed)

    def write(self, batches: Sequence[Batch]) -> list[Kept]:
        """Write all of these batches, which have their bodies, or none. Raises OSError."""
        written = []
        try:
            for batch in batches:
                body = batch.body or b""
                self._files.write(self.path(batch), body)
                written.append(Kept(replace(batch, body=None), zlib.crc32(body)))
        except BaseException:
            # Including the one that failed: it may have been renamed before syncing the directory failed.
            for batch in reversed(batches):
                with contextlib.suppress(OSError):
                    remove(self.path(batch))
            raise
        return written

    def read(self, kept: Kept) -> Batch | None:
        """A batch with its body, and with its counts if these were not known yet.

        Returns:
            None if the file is gone, cannot be read, or does not hold the body that it held before.
        """
        if not kept.in_file:
            return kept.batch
        try:
            body = read(self.path(kept.batch))
            if kept.checksum is not None:
                return replace(kept.batch, body=body) if zlib.crc32(body) == kept.checksum else None
            plain = decompress(body) if kept.batch.compressed else body
            entries = len(self._wire.split(plain))
        except Exception:  # noqa: BLE001 - anybody may have changed the file, so that it can hold anything
            return None
        return replace(kept.batch, body=body, count=entries, entries=entries, encoded_bytes=len(plain))

    def survives(self, kept: Kept) -> bool:
        """Whether a batch is on disk when the process ends: in its own file, or as all lines of its open file."""
        if kept.in_file or kept.batch.id not in self.opened:
            return kept.in_file
        try:
            return len(self._files.lines(kept.batch.id, self._wire.is_line)) >= kept.batch.count
        except OSError:
            return False

    def create_open(self, batch_id: str, lock_owner: Callable[[], None]) -> tuple[Path, int]:
        """Lock the owner and create the open file of a batch. After an error there is no file. Raises OSError."""
        path = self._files.opened(batch_id)
        # Listed before the owner is locked: `SpoolOutbox.close` keeps it locked while anything is listed here.
        self.opened.add(batch_id)
        try:
            lock_owner()
            return path, self._files.create_open(batch_id)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(path)
            self.opened.discard(batch_id)
            raise

    def erase(self, kept: Kept) -> None:
        """Remove all files of a batch."""
        if kept.in_file:
            self.remove(self.path(kept.batch))
        self.erase_open(kept.batch.id)

    def erase_open(self, batch_id: str) -> None:
        """Remove the open file of a batch, if there is one."""
        if batch_id in self.opened:
            self.remove(self._files.opened(batch_id))
            self.opened.discard(batch_id)

    def finish(self, batch_id: str) -> Batch | None:
        """Write the batch of an open file whose owner died, as the owner would have done.

        Returns:
            The batch; None if the file has no whole line.

        Raises:
            OSError: the open file cannot be read, or the batch cannot be written.
        """
        lines = self._files.lines(batch_id, self._wire.is_line)
        if not lines:
            return None
        plain = self._wire.join(self._wire.runs_of_lines(lines))
        compressed = is_worth_compressing(len(lines), len(plain))
        batch = make_batch(batch_id, plain, len(lines), compressed=compressed, ordinal=0)
        self.write([batch])
        return batch

    def remove(self, path: Path) -> None:
        """Remove a file. If that fails, report it."""
        try:
            remove(path)
        except OSError as error:
            self._reporter.say(
                "spool",
                f"{path} was sent but cannot be removed ({error.strerror}); it will be sent again, under its key",
            )
