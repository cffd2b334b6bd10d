"""The caller's end with `durability: record`: an entry is in a file when the logging call returns.

The file is named by the id of the batch that it will be, `<id>.open`, and holds one entry a line. It is closed
when the batch is full or due and becomes that batch, no more and no less, so its key never changes. What
dies with an open file leaves all that was accepted; only a line that was being written can be torn, and that
call had not returned.

Callers write for each other: who holds the lock writes what all have handed in.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logcollector_handler.entry.model import Entry
from logcollector_handler.wire.collector import encode_line

from .batch import Batch
from .process import is_own_thread
from .queue import RecordQueueHandler


@dataclass
class _File:
    """An open file, or one that is closed and waits to become a batch."""

    id: str
    path: Path
    descriptor: int
    count: int = 0
    size: int = 0


class JournalQueueHandler(RecordQueueHandler):
    """Writes each entry into the open file and puts its line into the queue.

    Where the disk takes nothing, the lines go on through memory, and that is said.
    """

    queue: deque[Any]

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        open_file: Callable[[str], tuple[Path, int]],
        batch_size: int,
        max_batch_bytes: int,
        max_record_bytes: int,
        fsync: bool,
        urge: Callable[[], None],
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self._new_id = new_id
        self._open_file = open_file
        self._batch_size = batch_size
        self._max_batch_bytes = max_batch_bytes
        self._max_record_bytes = max_record_bytes
        self._fsync = fsync
        self._urge = urge
        # Entries that were handed in; whoever holds the lock writes them.
        self._handed_in: deque[Entry] = deque()
        # Guards what follows. Re-entrant, because a signal handler may log while its thread writes.
        self._lock = threading.RLock()
        self.taking = self._lock
        self._writing = False
        self._file: _File | None = None
        # Closed, and to be taken. (The name `_closed` is the base class's, for something else.)
        self._finished: deque[_File] = deque()
        # Files of batches that were taken and are not in the outbox yet.
        self._taken: dict[str, _File] = {}
        # A file was closed: its batch is due.
        self._rotated = False

    def enqueue(self, entry: Entry) -> None:  # type: ignore[override]  # what prepare made, as in the stdlib
        """Write the entry, then let the listener know of it as ever."""
        if len(self.queue) >= self._max_size and not self._make_room():
            return
        self._handed_in.append(entry)
        while True:
            # Who had the lock since has written the entry. Only a finalizer in a thread of ours does not wait for it:
            # a caller may have it, and wait for what this thread has. That caller writes the entry with its own.
            if not self._lock.acquire(blocking=not is_own_thread()):
                return
            try:
                if self._writing:
                    # A call inside a call: the outer one writes it before it returns.
                    return
                self._writing = True
                try:
                    while self._handed_in:
                        self._write(self._handed_in.popleft())
                finally:
                    self._writing = False
            finally:
                self._lock.release()
            # Once more after it was let go: who did not get it has handed something in.
            if not self._handed_in:
                break
        if self._rotated:
            self._rotated = False
            self._urge()
        elif len(self.queue) >= self.threshold:
            self._attend()

    def take(self, count: int) -> tuple[str | None, list[Any]]:
        """The lines of the next file, all of them: the batch that they are was decided when they were written."""
        if not self._finished:
            self._close()
        if not self._finished:
            return None, []
        file = self._finished.popleft()
        self._taken[file.id] = file
        return file.id, [self.queue.popleft() for _ in range(file.count)]

    def kept(self, batch: Batch) -> None:
        """The batch is in the outbox. Its open file goes, unless it is all that would survive us."""
        file = self._taken.pop(batch.id)
        _let_go(file.descriptor)
        if batch.body is None:
            with contextlib.suppress(OSError):
                os.unlink(file.path)

    def holds_up(self) -> bool:
        """As in the base class; who writes has the lock that is held around `take`."""
        return super().holds_up() or bool(self._lock._is_owned())  # type: ignore[attr-defined]  # not in the stubs

    def abandon(self) -> None:
        """In a forked child: the files are the parent's."""
        for file in [*self._finished, *self._taken.values(), *([self._file] if self._file else [])]:
            _let_go(file.descriptor)
        self._finished.clear()
        self._file = None

    def _attend(self) -> None:
        """Wake the listener. Nothing is taken out to make room: the lines in the queue are those of the files."""
        if self._full():
            self._wake()
        else:
            super()._attend()

    def _make_room(self) -> bool:
        """Wait a moment for the listener; without success the record is turned away, for the queue is on disk."""
        if self._lock._is_owned():  # type: ignore[attr-defined]  # there, but not in the stubs
            # A call inside a call. The listener, which would make room, waits for the lock of the outer one.
            return True
        self._wake()
        self._wait_for_room()
        if len(self.queue) < self._max_size or self.exiting:
            # At exit nobody waits, and not many come: the disk has room for them.
            return True
        self._ledger.overflow("queue_full", from_front=False)
        return False

    def _full(self) -> bool:
        return len(self.queue) >= self._max_size

    def _write(self, entry: Entry) -> None:
        line = encode_line(entry, self._max_record_bytes)
        size = len(line) + 1
        file = self._file
        if file is not None and file.size + size > self._max_batch_bytes:
            self._close()
            self._rotated = True
            file = None
        if file is None:
            file = self._file = self._new_file()
        if file.descriptor >= 0:
            self._append(file, line + b"\n")
        file.count += 1
        file.size += size
        self.queue.append(line)
        if file.count >= self._batch_size:
            self._close()
            self._rotated = True

    def _new_file(self) -> _File:
        batch_id = self._new_id()
        try:
            path, descriptor = self._open_file(batch_id)
        except OSError as error:
            self._say(error)
            path, descriptor = Path(), -1
        return _File(batch_id, path, descriptor)

    def _append(self, file: _File, line: bytes) -> None:
        try:
            written = os.write(file.descriptor, line)
            if written < len(line):
                # The rest of the disk was shorter than the line.
                os.ftruncate(file.descriptor, file.size)
                raise OSError(28, "the disk is full")
            if self._fsync:
                os.fsync(file.descriptor)
        except OSError as error:
            self._say(error)
            _let_go(file.descriptor)
            file.descriptor = -1

    def _close(self) -> None:
        if self._file is not None:
            self._finished.append(self._file)
            self._file = None

    def _say(self, error: OSError) -> None:
        self._reporter.say(
            "spool",
            f"records cannot be written to the spool now ({error.strerror}): they wait in memory instead, "
            "where the end of the process loses them",
        )


def _let_go(descriptor: int) -> None:
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.close(descriptor)
