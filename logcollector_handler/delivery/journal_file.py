"""The file of one batch of the journal: its lines, and how many of them are written."""

from __future__ import annotations

import contextlib
import errno
import os


class JournalFile:
    """The file of one batch that is being written, one line an entry.

    Args:
        batch_id: the id that the batch will have.
        descriptor: of the open file; -1 when no file could be made: then the lines wait in memory only.
    """

    def __init__(self, batch_id: str, descriptor: int) -> None:
        self.id = batch_id
        self.lines: list[bytes] = []
        self._descriptor = descriptor
        # How many lines `write` has written, and how many bytes they take in the file. One tuple, because one
        # assignment cannot be interrupted half done.
        self._written = (0, 0)

    @property
    def size(self) -> int:
        """Bytes of its lines, with their ends."""
        count, written = self._written
        if count < len(self.lines):
            # A signal handler raised after these lines were added to the list and before they were written.
            written += sum([len(line) + 1 for line in self.lines[count:]])
        return written

    def has_room(self, size: int, max_lines: int, max_bytes: int) -> bool:
        """Whether a line of `size` bytes, line end included, still fits. The first line always does."""
        return not self.lines or (len(self.lines) < max_lines and self.size + size <= max_bytes)

    def write(self, *, fsync: bool) -> None:
        """Write the lines that are not in the file yet.

        Raises:
            OSError: they could not be written. The file is closed; these lines and later ones wait in memory only.
        """
        count, offset = self._written
        lines = self.lines
        total = len(lines)
        data = lines[count] + b"\n" if total == count + 1 else b"".join([line + b"\n" for line in lines[count:]])
        try:
            if self._descriptor >= 0:
                if os.pwrite(self._descriptor, data, offset) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if fsync:
                    os.fsync(self._descriptor)
        except OSError:
            # Cut off what was written of these lines, so that the file holds whole lines only.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, offset)
            self.close()
            raise
        self._written = (total, offset + len(data))

    def close(self) -> None:
        """Close the descriptor. What is in the file stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)
