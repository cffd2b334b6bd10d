"""Handing over: with `deliver: false` batches are left in the spool, without an owner, for another process to send.

A batch's file belongs to the process whose lock has the name with which the batch's id begins. So a batch is written
under an id of this process, and then renamed to one that begins with a name that no process locks: from that step on,
whichever process looks around takes it for a dead one's, and sends it. The rename is one step, so a kill at any moment
leaves the batch either here, where its owner is dead, or there, and never twice. With `durability: record` it is the
open file that is renamed, and whoever sends it makes the batch of its lines.

What the disk does not take waits in memory, up to `max_buffer_bytes`, and is tried again. The listener's thread does
all of this; nothing here knows the network.
"""

from __future__ import annotations

import contextlib
import errno
import math
from collections import deque
from pathlib import Path
from typing import Final

from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.clock import Clock, Wakeup
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.locks import is_held, new_lock
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.settings import Settings
from logcollector_handler.wire.format import Format

from .allowance import Allowance
from .bodies import Bodies
from .files import SpoolFiles, destination, open_name
from .owners import Owners

#: Seconds until the disk is tried again that took nothing; and the same when the process ends.
_AGAIN: Final = 1.0
_AGAIN_AT_END: Final = 0.1


class HandOver:
    """Both the outbox and its carrier: see `BatchStore` and `Carrier`.

    Args:
        settings: the handler's; there is a `spool_dir`.
        owner: what the ids of this process's batches begin with, and the name of its lock.
        heir: what the ids of batches begin with that were handed over. No process locks it to write.
        wakeup: wakes the listener's thread.
    """

    durable = True
    has_thread = False
    busy = False
    #: Nobody here knows how long a request takes, so urgent records are gathered as behind a slow one.
    request_seconds: float = math.inf
    is_hopeless = False

    def __init__(
        self,
        *,
        settings: Settings,
        wire: Format,
        owner: str,
        heir: str,
        wakeup: Wakeup,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        assert settings.spool_dir is not None  # noqa: S101 - `Settings` asks for it
        self._settings = settings
        self._heir = heir
        self._wakeup = wakeup
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._files = SpoolFiles(
            Path(settings.spool_dir) / destination(settings.server_url, settings.wire),
            wire.suffix,
            # It reads no files but those of its own journal.
            max_body=2 * settings.max_batch_bytes,
            fsync=settings.fsync,
            reporter=reporter,
        )
        self._bodies = Bodies(self._files, wire, reporter, compression=settings.enable_compression)
        self._owners = Owners(self._files, owner)
        self._allowance = Allowance(settings.max_spool_bytes, self._files, self._bodies, self._owners.usage, clock)
        # Guards the fields below. No file is touched while it is held.
        self._lock = new_lock()
        # Batches that are not handed over yet, the oldest first; and the one at which a thread works right now.
        self._waiting: deque[Batch] = deque()
        self._in_hand: Batch | None = None
        # Batches that are dropped, and not counted yet.
        self._given_up: deque[Batch] = deque()
        # Monotonic seconds before which the disk is not tried again.
        self._again_at = -math.inf
        # Monotonic seconds at which the process stops waiting, once it goes down.
        self._exit_at: float | None = None
        # Monotonic seconds at which an end of the process is over that it may survive.
        self._hasty_until = -math.inf

    # As the outbox

    def put(self, batch: Batch) -> None:
        """Hand a batch over, behind those that wait; if the disk takes none, keep it in memory."""
        with self._lock:
            self._waiting.append(batch)
        try:
            if self._clock.monotonic() >= self._again_at:
                self._hand_over()
        except BaseException:
            # A signal handler raised. The listener has the records still, and counts them.
            with self._lock:
                if batch in self._waiting:
                    self._waiting.remove(batch)
            raise
        for old in self._evicted():
            self._drop(old, "buffer_full")

    def __len__(self) -> int:
        return len(self._waiting) + (self._in_hand is not None)

    def holds_before(self, ordinal: int) -> bool:
        with self._lock:
            first = self._in_hand or next(iter(self._waiting), None)
            return any(each.ordinal < ordinal for each in [*([first] if first else []), *self._given_up])

    def drop_memory(self, reason: str) -> None:
        """Try once more to hand over what waits, and drop the rest; but not what an open file holds."""
        self._hand_over()
        for batch in [each for each in list(self._waiting) if not self._has_all_lines(each)]:
            with self._lock:
                if batch not in self._waiting:
                    continue
                self._waiting.remove(batch)
                self._given_up.append(batch)
            self._drop(batch, reason)

    def close(self) -> None:
        """Unlock our owner, unless something of ours is here."""
        self._owners.release_own(lambda: not (len(self) or self._bodies.opened))

    def is_held(self) -> bool:
        return is_held(self._lock)

    def abandon(self) -> None:
        self._owners.abandon()

    def open_file(self, batch_id: str) -> tuple[Path, int]:
        """Create a file for the journal's lines of a batch. Returns its path and a descriptor. Raises OSError."""
        if not self._allowance.admits_open():
            raise self._used_up()
        return self._bodies.create_open(batch_id, self._owners.ensure_own)

    # As its carrier

    @property
    def compressing(self) -> bool:
        return self._settings.enable_compression

    @property
    def batch_bytes(self) -> int:
        return self._settings.max_batch_bytes

    def step(self) -> float | None:
        """Hand over what waits, if it is time to. Returns the seconds until it is; None if nothing waits."""
        now = self._clock.monotonic()
        if now >= self._again_at:
            self._hand_over()
        if not len(self):
            return None
        delay = max(0.0, self._again_at - now)
        return delay if self._exit_at is None or now + delay < self._exit_at else None

    def wake(self) -> None:
        pass

    def wait(self, seconds: float | None) -> None:
        self._wakeup.wait(seconds)

    def hurry(self) -> None:
        self._again_at = -math.inf
        self._wakeup.set()

    def hasten(self, end: float) -> None:
        self._hasty_until = end
        self.hurry()

    def exit(self, end: float) -> None:
        self._exit_at = end

    # The work

    def _hand_over(self) -> None:
        """Hand over what waits, the oldest first, until the disk takes no more. One thread at a time."""
        while True:
            with self._lock:
                if self._in_hand is not None or not self._waiting:
                    return
                batch = self._in_hand = self._waiting.popleft()
            is_done = False
            try:
                self._leave_to_others(batch)
                is_done = True
                self._ledger.leave_to_others(batch.count)
            except OSError as error:
                now = self._clock.monotonic()
                self._again_at = now + (_AGAIN_AT_END if now < self._hasty_until else _AGAIN)
                self._reporter.say(
                    "spool",
                    f"{self._files.place.path} takes no batch now ({error.strerror}): batches wait in memory instead, "
                    "where the end of the process loses them",
                )
                return
            finally:
                with self._lock:
                    if not is_done:
                        self._waiting.appendleft(batch)
                    self._in_hand = None
            self._ledger.settled.notify()

    def _leave_to_others(self, batch: Batch) -> None:
        """Put a batch where others find it. Raises OSError."""
        if self._has_all_lines(batch):
            # The file that stays has the lines, which take more than the batch that is made of them.
            charge = self._bodies.weight_of_open(batch.id)
            self._rename(open_name(batch.id), open_name(self._id_for_others(batch)))
            self._bodies.opened.discard(batch.id)
            with contextlib.suppress(OSError):
                self._allowance.count_open(charge)
            return
        self._owners.ensure_own()
        if not self._allowance.admits(batch.size):
            raise self._used_up()
        self._bodies.write([batch])
        self._bodies.erase_open(batch.id)
        new = self._files.body(self._id_for_others(batch), batch.compressed)
        self._rename(self._bodies.name(batch), new)

    def _rename(self, name: str, new_name: str) -> None:
        try:
            self._files.place.rename(name, new_name)
        except FileNotFoundError:
            # Another process took it over meanwhile, because our lock was lost, and sends it under the id that it had.
            return

    def _has_all_lines(self, batch: Batch) -> bool:
        """Whether the open file of a batch, if it has one, holds all of it: the disk may have taken a part only."""
        if batch.id not in self._bodies.opened:
            return False
        try:
            return len(self._files.lines(batch.id)) >= batch.count
        except OSError:
            return False

    def _id_for_others(self, batch: Batch) -> str:
        return f"{self._heir}-{batch.id.rpartition('-')[2]}"

    def _used_up(self) -> OSError:
        return OSError(errno.EDQUOT, f"max_spool_bytes ({self._settings.max_spool_bytes}) is used up")

    def _evicted(self) -> list[Batch]:
        """Take out the oldest batches in memory until the others fit into `max_buffer_bytes`, but never the last."""
        evicted = []
        with self._lock:
            excess = sum(batch.memory_bytes for batch in self._waiting) - self._settings.max_buffer_bytes
            while excess > 0 and len(self._waiting) > 1:
                evicted.append(self._waiting.popleft())
                excess -= evicted[-1].memory_bytes
            self._given_up.extend(evicted)
        return evicted

    def _drop(self, batch: Batch, reason: str) -> None:
        try:
            self._bodies.erase_open(batch.id)
            self._ledger.drop(reason, batch.count, untold=batch.losses)
        finally:
            with self._lock:
                self._given_up.remove(batch)
        self._ledger.settled.notify()
