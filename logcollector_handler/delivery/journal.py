"""The caller's end with `durability: record`: an entry is in a file when the logging call returns.

A file holds the lines of one batch, one entry a line, and is named `<id>.open` by the id of that batch. When the batch
is full or due, exactly the lines of the file become the batch, so a crash never changes what is posted under an id.
A process that dies leaves every line for which the logging call had returned; only a line that was being written can
be torn.

Callers write for each other: whoever has the lock writes what all of them have handed in. But each write lets another
thread run, and waking that takes longer than to write. So callers who meet take turns; and where they fill a file so
fast that the listener would get its share of the interpreter only between their writes, they wait until it has made a
batch of it. Then they write while it sleeps.

A file owns its lines: a line is put into the file's list first and written from there, at the offset up to which the
file is known to be written. So nothing needs repair when a signal handler raises between any two steps of a call:

| interrupted | the line | what the next call finds |
|---|---|---|
| before it is handed in | missing, not counted | nothing changed |
| after that | handed in; counted with the queue | a line to write, which it writes with its own |
| after it is in the file's list | in the list | a line to write, at the same offset |
| after it is written | in the list and in the file | a line to write, at the same offset: the same bytes once more |
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from logcollector_handler.entry.model import Entry
from logcollector_handler.wire.format import Format

from .clock import Clock
from .intake import Intake, Taken
from .journal_file import JournalFile
from .ledger import Ledger
from .locks import new_lock
from .process import own_threads
from .queue import RecordQueueHandler
from .report import Reporter
from .turns import Turns

#: Seconds that an entry takes at least, on average of a file, where callers do not log at full speed.
_RUSHED: Final = 50e-6


class FileMaker(Protocol):
    """What the journal asks of the outbox, which makes the files in its directory."""

    def open_file(self, batch_id: str) -> tuple[Path, int]:
        """Create the file for the batch of that id. Returns its path and an open descriptor. Raises OSError."""


class Journal(Intake):
    """A queue whose entries are lines in files. The listener takes all lines of one file at a time.

    Lines are written to the last file. When that has `batch_size` lines or `max_batch_bytes`, another is made.

    Args:
        max_size: lines that it holds at most; they wait in memory, too.
        max_bytes: bytes of these lines at most.
        batch_size: lines in a file at most.
        max_batch_bytes: bytes in a file at most.
        fsync: wait until the disk itself has what was written.
        ledger: whose lock the listener takes while it has the journal's.
    """

    def __init__(
        self,
        *,
        max_size: int,
        max_bytes: int,
        new_id: Callable[[], str],
        files: FileMaker,
        batch_size: int,
        max_batch_bytes: int,
        fsync: bool,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        super().__init__(max_size, clock)
        self._max_bytes = max_bytes
        self._new_id = new_id
        self._maker = files
        self._batch_size = batch_size
        #: With fewer files than this the journal has room, and none waits for the listener: the usual call need not
        #: look.
        self.room_below: int = min(2, -(-max_size // batch_size), -(-max_bytes // max_batch_bytes))
        self._max_batch_bytes = max_batch_bytes
        self._fsync = fsync
        self._reporter = reporter
        self._clock = clock
        # Lines that callers have handed in; whoever has the lock next writes them.
        self._handed_in: deque[bytes] = deque()
        # Guards the files. Re-entrant, because only such a lock can say whether the calling thread holds it: a signal
        # handler that logs has to know.
        self._lock = new_lock()
        self._is_owned: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]  # not in the stubs
        self._is_counting: Callable[[], bool] = ledger.lock._is_owned  # type: ignore[attr-defined]  # as above
        self.files: deque[JournalFile] = deque()
        # Files that the listener has taken and whose batches are not in the outbox yet.
        self._taken: dict[str, JournalFile] = {}
        #: Callers who meet at the lock log one after the other.
        self.turns: Turns = Turns(clock)
        # When the last file was made, in monotonic seconds.
        self._made = 0.0
        #: The file before the last was filled at full speed.
        self.is_rushed: bool = False

    @property
    def is_durable(self) -> bool:
        return True

    @property
    def entries(self) -> deque[bytes]:
        return self._handed_in

    def __len__(self) -> int:
        return len(self._handed_in) + sum([len(file.lines) for file in list(self.files)])

    def is_full(self) -> bool:
        return len(self) >= self.max_size or sum([file.size for file in list(self.files)]) >= self._max_bytes

    def has_batch(self, count: int) -> bool:
        files = list(self.files)
        return len(files) > 1 or any(len(file.lines) >= self._batch_size for file in files) or self.is_full()

    def add(self, line: bytes) -> bool:
        """Write a line, and the lines that other callers have handed in. Returns whether to wake the listener."""
        handed_in = self._handed_in
        if handed_in:
            # Another caller waits for the lock.
            self.turns.begin()
        handed_in.append(line)
        waiting = 1
        # A finalizer that logs in a thread of the package must not wait for the lock: the caller that holds it may be
        # waiting for this thread. The listener writes the line later, before it takes the file.
        while handed_in and threading.get_ident() not in own_threads:
            if self._is_owned():
                # This call interrupted another `add` of the same thread, which writes the line before it returns.
                break
            if self._is_counting():
                # This call interrupted `flush` or `stats`. Whoever has the lock may be waiting for the ledger's, which
                # this thread holds. As above, the line is written later.
                break
            with self._lock:
                waiting = self._write()
            # Look again after the lock is released: a call that interrupted this one may have handed in a line.
        # A threshold above `max_size` says that the listener was woken and has not run yet: do not wake it again.
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

    def done_with(self, batch_id: str) -> None:
        # Closed, not removed: the outbox removes the file once the batch has a file of its own or is settled.
        self._taken.pop(batch_id).close()
        self.moved()

    def catch_up(self) -> None:
        """Wait until the listener has put all full files into the outbox, as long as it does something every 20 ms."""
        self._wait_for_listener(lambda: self.exiting or (len(self.files) <= 1 and not self._taken))

    def begin_exit(self) -> None:
        super().begin_exit()
        self.turns.end()

    def is_held(self) -> bool:
        return self._is_owned()

    def abandon(self) -> None:
        for file in [*self.files, *self._taken.values()]:
            file.close()

    # Called with the lock held

    def _write(self) -> int:
        """Write what was handed in. Returns how many lines the last file then has."""
        handed_in = self._handed_in
        waiting = 0
        while handed_in:
            file = self.files[-1] if self.files else self._new_file()
            if not file.has_room(len(handed_in[0]) + 1, self._batch_size, self._max_batch_bytes):
                file = self._new_file()
            # One call that no signal handler can interrupt. Between two calls, the line would be in neither list and
            # lost, or in both and written twice.
            file.lines.extend(map(deque.popleft, (handed_in,)))
            try:
                file.write(fsync=self._fsync)
            except OSError as error:
                self._say(error)
            waiting = len(file.lines)
        return waiting

    def _new_file(self) -> JournalFile:
        batch_id = self._new_id()
        now = self._clock.monotonic()
        # A clock that stands still tells nothing of the speed.
        self.is_rushed = bool(self.files) and 0 < now - self._made < len(self.files[-1].lines) * _RUSHED
        self._made = now
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
        wire: encodes the entry as a line.
        max_record_bytes: bytes of a line at most.
    """

    def __init__(self, *, journal: Journal, wire: Format, max_record_bytes: int, **more: Any) -> None:
        super().__init__(intake=journal, **more)
        self._journal = journal
        self._encode = wire.encode_line
        self._max_record_bytes = max_record_bytes

    def enqueue(self, entry: Entry) -> None:  # type: ignore[override]  # as in the base class
        """Encode the entry and write it to a file; wake the listener if it waits for it."""
        journal = self._journal
        if len(journal.files) >= journal.room_below and not self._find_room():
            return
        if journal.add(self._encode(entry, self._max_record_bytes)):
            journal.wake_once(self._wake)
        if journal.turns.until and journal.turns.is_over() and self._may_wait():
            journal.turns.take()

    def _find_room(self) -> bool:
        """Whether the record may be written. In a full journal, wait for room first as `overflow` says.

        A record that finds none is dropped: never an older one, because those were promised to be kept. Callers at full
        speed wait for the listener earlier, at each full file.
        """
        journal = self._journal
        if len(journal.files) > 1 and journal.is_rushed and self._may_wait():
            journal.catch_up()
        if not journal.is_full():
            return True
        if journal.is_held():
            # This call interrupted one that holds the lock. The listener needs that lock to make room, so waiting here
            # would be in vain.
            return True
        self._wake()
        if self._overflow == "block":
            if self._may_wait():
                journal.block(self._wake)
                # Not asked once more whether it is full: another caller may have taken the room. Then the journal
                # exceeds `max_size` by this record, because one that waited is never dropped.
                return True
        elif not journal.is_stuck and self._may_wait():
            journal.wait_for_room()
        # At exit nobody waits for room. Few records come by then, so they may exceed `max_size`.
        if journal.exiting or not journal.is_full():
            return True
        self._ledger.turn_away("queue_full")
        return False
