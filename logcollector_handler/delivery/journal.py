"""The caller's end with `durability: record`: an entry is in a file when the logging call returns.

The file is named by the id of the batch that it will be, `<id>.open`, and holds one entry a line. It is closed
when the batch is full or due and becomes that batch, no more and no less, so its key never changes. A process that
dies with an open file leaves all that it had accepted; only the line that was being written can be torn, and the
logging call for that line had not returned.

Callers write for each other: whoever has the lock writes what all of them have handed in.

A file owns its lines: they are in its list first and are written from there, at the offset up to which the file is
known to be written. An exception out of a signal handler, which can end a call between any two steps, needs no repair:

| interrupted | the line | what the next call finds |
|---|---|---|
| before it is handed in | missing, not counted | nothing changed |
| after that | handed in; counted with the queue | a line to write, which it writes with its own |
| after it is in the file's list | in the list | a line to write, at the same offset |
| after it is written | in the list and in the file | a line to write, at the same offset: the same bytes once more |
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from typing import Any, Protocol

from logcollector_handler.entry.model import Entry
from logcollector_handler.wire.format import Format

from .clock import Clock
from .ledger import Ledger
from .process import own_threads
from .queue import Intake, RecordQueueHandler, Taken
from .report import Reporter


class FileMaker(Protocol):
    """Who makes the files: the outbox, whose directory they are in."""

    def open_file(self, batch_id: str) -> tuple[Path, int]:
        """A new file for the batch of that id, and its descriptor. Raises OSError."""


class JournalFile:
    """One batch while it is written, one line an entry.

    Args:
        batch_id: the id that the batch will have.
        descriptor: of the open file; -1 where the disk takes nothing, so that the lines wait in memory only.
    """

    def __init__(self, batch_id: str, descriptor: int) -> None:
        self.id = batch_id
        self.lines: list[bytes] = []
        self._descriptor = descriptor
        # Up to where `write` has got: lines, and bytes of the file. One value, so that the two never differ.
        self._written = (0, 0)

    def has_room(self, size: int, max_lines: int, max_bytes: int) -> bool:
        """Whether a line of that size, with its end, fits in with the others. A first line always does."""
        count, written = self._written
        if count < len(self.lines):
            # An exception out of a signal handler came between taking these and writing them.
            written += sum([len(line) + 1 for line in self.lines[count:]])
            count = len(self.lines)
        return (count < max_lines and written + size <= max_bytes) or not count

    def write(self, *, fsync: bool) -> None:
        """Write the lines that are not in the file yet. Raises OSError: then the lines wait in memory."""
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
            # What was written of these lines goes: the file holds whole lines only.
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


class Journal(Intake):
    """The queue of lines that are in files. The listener takes the lines of one file at a time, all of them.

    The last file is the one that is written to, unless it has `batch_size` lines.

    Args:
        new_id: draws the id of a batch.
        files: makes the files.
        batch_size: lines in a file at most.
        max_batch_bytes: bytes in a file at most.
        fsync: what is written has reached the disk itself.
    """

    def __init__(
        self,
        *,
        max_size: int,
        new_id: Callable[[], str],
        files: FileMaker,
        batch_size: int,
        max_batch_bytes: int,
        fsync: bool,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        super().__init__(max_size, clock)
        self._new_id = new_id
        self._maker = files
        self._batch_size = batch_size
        #: Fewer files than that hold fewer than `max_size` lines.
        self.full_from = -(-max_size // batch_size)
        self._max_batch_bytes = max_batch_bytes
        self._fsync = fsync
        self._reporter = reporter
        # Lines that callers have handed in; whoever has the lock next writes them.
        self._handed_in: deque[bytes] = deque()
        # Guards the files. Re-entrant, so that a signal handler that logs can ask whether its own thread has it.
        self._lock = threading.RLock()
        self._is_owned: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]  # not in the stubs
        self.files: deque[JournalFile] = deque()
        # Files whose batches the listener is making.
        self._taken: dict[str, JournalFile] = {}

    @property
    def is_durable(self) -> bool:
        return True

    @property
    def entries(self) -> deque[bytes]:
        return self._handed_in

    def __len__(self) -> int:
        return len(self._handed_in) + sum([len(file.lines) for file in list(self.files)])

    def is_full(self) -> bool:
        return len(self) >= self.max_size

    def has_batch(self, count: int) -> bool:
        files = list(self.files)
        return len(files) > 1 or any(len(file.lines) >= self._batch_size for file in files)

    def add(self, line: bytes) -> bool:
        """Write a line, and what others have handed in. True: the listener waits for a line, or a batch is complete."""
        handed_in = self._handed_in
        handed_in.append(line)
        waiting = 1
        # A finalizer that logs in a thread of the package does not wait for the lock: the caller that has it may wait
        # for something that this thread has. The listener writes the line before it takes the file.
        while handed_in and get_ident() not in own_threads:
            if self._is_owned():
                # This call came in the middle of another of the same thread, which writes the line before it returns.
                break
            with self._lock:
                waiting = self._write()
            # Asked again without the lock: a call in the middle of this one may have handed a line in.
        # Once woken, the listener is not woken by each call while it has not come.
        return self.threshold <= self.max_size and (waiting >= self.threshold or len(self.files) > 1)

    def take(self, count: int, ledger: Ledger) -> Taken:
        with self._lock:
            self._write()
            with ledger.lock:
                ordinal = ledger.passed
                if not self.files:
                    return Taken([], ordinal)
                file = self.files.popleft()
                self._taken[file.id] = file
                ledger.take(len(file.lines))
        return Taken(file.lines, ordinal, file.id)

    def kept(self, batch_id: str) -> None:
        # The outbox removes the file, once the batch has a file of its own or is settled.
        self._taken.pop(batch_id).close()

    def is_held(self) -> bool:
        return self._is_owned()

    def abandon(self) -> None:
        for file in [*self.files, *self._taken.values()]:
            file.close()

    # With the lock held

    def _write(self) -> int:
        """Write what was handed in. How many lines the last file has then."""
        handed_in = self._handed_in
        waiting = 0
        while handed_in:
            file = self.files[-1] if self.files else self._new_file()
            if not file.has_room(len(handed_in[0]) + 1, self._batch_size, self._max_batch_bytes):
                file = self._new_file()
            # In one step: a line that is taken out and put nowhere is lost, one that is in both is written twice.
            file.lines.extend(map(deque.popleft, (handed_in,)))
            try:
                file.write(fsync=self._fsync)
            except OSError as error:
                self._say(error)
            waiting = len(file.lines)
        return waiting

    def _new_file(self) -> JournalFile:
        batch_id = self._new_id()
        try:
            _, descriptor = self._maker.open_file(batch_id)
        except OSError as error:
            self._say(error)
            descriptor = -1
        file = JournalFile(batch_id, descriptor)
        self.files.append(file)
        return file

    def _say(self, error: OSError) -> None:
        self._reporter.say(
            "spool",
            f"records cannot be written to the spool now ({error.strerror}): they wait in memory instead, "
            "where the end of the process loses them",
        )


class JournalQueueHandler(RecordQueueHandler):
    """Writes each entry into the journal before the logging call returns.

    Args:
        journal: the queue.
        wire: encodes the entry as a line.
        max_record_bytes: bytes of a line at most.
        more: as for RecordQueueHandler.
    """

    def __init__(self, *, journal: Journal, wire: Format, max_record_bytes: int, **more: Any) -> None:
        super().__init__(intake=journal, **more)
        self._journal = journal
        self._encode = wire.encode_line
        self._max_record_bytes = max_record_bytes

    def enqueue(self, entry: Entry) -> None:  # type: ignore[override]  # as in the base class
        """Encode and write the entry; wake the listener where that is due."""
        journal = self._journal
        if len(journal.files) >= journal.full_from and journal.is_full() and not self._find_room():
            return
        if journal.add(self._encode(entry, self._max_record_bytes)):
            journal.wake_once(self._wake)

    def _find_room(self) -> bool:
        """Wait a moment for the listener. Without success the new record is turned away: the others are in files."""
        journal = self._journal
        if journal.is_held():
            # A call inside a call. The listener, which would make room, waits for the lock of the outer one.
            return True
        self._wake()
        if self._overflow == "block":
            if self._may_wait():
                journal.block(self._wake)
        elif not journal.is_stuck and self._may_wait():
            journal.wait_for_room()
        # At exit nobody waits, and few records come: the disk has room for them.
        if journal.exiting or not journal.is_full():
            return True
        self._ledger.turn_away("queue_full")
        return False
