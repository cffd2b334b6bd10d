"""Room: how many bytes the files of one destination take, and which are removed when that is too many."""

from __future__ import annotations

import contextlib
import errno
import threading

from .files import SpoolFiles, remove
from .shelf import Kept, Shelf


class Room:
    """The bytes of one destination's directory: files on the shelf, files being written, other processes', `dead/`.

    Args:
        max_bytes: limit for all these together.
        shelf: batches that may have to be dropped to make room.
        files: the directory, for `dead/`.
        lock: guards the shelf, and the fields of this object.
    """

    def __init__(self, max_bytes: int, shelf: Shelf, files: SpoolFiles, lock: threading.RLock) -> None:
        self._max_bytes = max_bytes
        self._shelf = shelf
        self._files = files
        self._lock = lock
        #: Bytes of files that are being written, or are written and not on the shelf yet.
        self.reserved = 0
        #: Bytes of other processes' files at the last look, and of `dead/`.
        self.others = 0

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return self._shelf.file_bytes + self.reserved + self.others

    def reserve(self, size: int, freed: int) -> list[Kept]:
        """Reserve bytes for files to be written. To make room, remove the oldest dead letters, then our oldest batches.

        Args:
            size: bytes that the caller will write.
            freed: bytes that the caller will remove when that is done.

        Returns:
            Batches that were taken off the shelf to make room. The caller has to remove their files.

        Raises:
            OSError: even with all of these removed there would not be enough room. No batch was taken off the shelf.
        """
        limit = self._max_bytes + freed - size
        with self._lock:
            full = self.total > limit
        if full:
            self._remove_dead_letters(limit)
        with self._lock:
            evicted = self._shelf.evict_files(self.total - limit)
            if self.total > limit:
                raise OSError(errno.EDQUOT, f"max_spool_bytes ({self._max_bytes}) is used up by others")
            self.reserved += size
        return evicted

    def release(self, size: int) -> None:
        """Take back a reservation: the files are on the shelf now, or were not written."""
        with self._lock:
            self.reserved -= size

    def count_others(self, size: int) -> None:
        """Note how many bytes of other processes' files and of dead letters a look at the directory has found."""
        with self._lock:
            self.others = size

    def bury(self, size: int) -> None:
        """Count a file of `size` bytes that was put into `dead/`."""
        with self._lock:
            self.others += size

    def _remove_dead_letters(self, limit: int) -> None:
        """Remove the oldest dead letters until all files together are within a limit."""
        with contextlib.suppress(OSError):
            for path in self._files.buried():
                with self._lock:
                    if self.total <= limit:
                        return
                size = path.lstat().st_size
                if remove(path):
                    with self._lock:
                        self.others -= size
