"""The listener: waits until a batch is due, takes its entries from the queue, encodes them, fills the outbox."""

from __future__ import annotations

import contextlib
import math
import queue as queues
from collections.abc import Callable, Mapping
from logging.handlers import QueueListener
from typing import Any, Final

from logcollector_handler.entry.model import Entry
from logcollector_handler.settings import Settings
from logcollector_handler.stats import LOSSES
from logcollector_handler.wire.compression import is_worth_compressing
from logcollector_handler.wire.format import Format, Run

from .batch import Batch, make_batch
from .clock import Clock, Wakeup
from .intake import Intake, Taken
from .ledger import Ledger
from .locks import new_lock
from .outbox import Outbox
from .process import current_pid
from .report import Reporter
from .sender import Sender

#: Longest time in seconds for which urgent entries are gathered.
_GATHER: Final = 0.2

LossEntry = Callable[[Mapping[str, int], Mapping[str, str], float], Entry]


class BatchListener(QueueListener):
    """Cuts the queue into batches. Where the stdlib's methods handle a record, these handle a `Taken`: one batch.

    A batch is due when it has `batch_size` entries or the bytes of a batch, and when somebody flushes or the handler is
    closed. It is also due when its oldest entry is `flush_interval` old or one in it is urgent, but not while the
    sender is busy with another batch: a small batch would only wait behind it, so it goes on filling. A durable outbox
    gets it all the same.

    A storm of errors must not become a batch for each of them. So the urgent entry that comes first makes its batch due
    at once, and those behind it are gathered for as long as the last request took, at most _GATHER seconds; and for all
    of _GATHER while batches wait in a durable outbox, which a small batch would only wait behind.

    `workers` makes the thread that calls `run`; nothing here starts or ends a thread.
    """

    queue: Intake  # type: ignore[assignment]  # it has no `get`, which only `dequeue`, overridden below, would use

    def __init__(
        self,
        *,
        settings: Settings,
        wire: Format,
        queue: Intake,
        ledger: Ledger,
        outbox: Outbox,
        sender: Sender,
        new_id: Callable[[], str],
        loss_entry: LossEntry,
        wakeup: Wakeup,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        super().__init__(queue)  # type: ignore[arg-type]  # only what is overridden below uses `get`
        self._pid = current_pid()
        self._settings = settings
        self._wire = wire
        self._ledger = ledger
        self._outbox = outbox
        self._sender = sender
        self._new_id = new_id
        self._loss_entry = loss_entry
        self._wakeup = wakeup
        self._reporter = reporter
        self._clock = clock
        # A queue that is smaller than a batch could never fill one.
        self._batch_size = min(settings.batch_size, queue.max_size)
        # An entry at `flush_level` or above is in the queue.
        self._is_urgent = False
        # Monotonic seconds at which a batch with an urgent entry was last taken.
        self._urgent_taken = -math.inf
        # Set by `flush_to`: whatever is in the queue is due until this many records have left its front.
        self._flush_to = 0
        # Held while a batch goes into an outbox in memory, which takes no time: `give_up` counts its records as dropped
        # before that, or the outbox drops it after that, never both and never neither.
        self._handing_over = new_lock()
        #: Of the records that have left the front of the queue, the first `put_to` are in the outbox or settled.
        self.put_to = 0
        # Set by `stop`: everything in the queue is due, and `run` returns once it is empty.
        self._is_stopping = False
        # Monotonic seconds from which the oldest entry in the queue counts as waiting. None: the queue was empty.
        self._since: float | None = None

    # Called by other threads, and inside logging calls

    def wake(self) -> None:
        """Make the listener look at the queue. Safe also in signal handlers and finalizers."""
        self._wakeup.set()

    def urge(self) -> bool:
        """Note that an urgent entry is in the queue. Returns False if that was noted already."""
        if self._is_urgent:
            return False
        self._is_urgent = True
        return True

    def flush_to(self, mark: int) -> None:
        """Treat what is in the queue as due until `mark` records, counted from the first, have left its front."""
        with self._ledger.lock:
            self._flush_to = max(self._flush_to, mark)

    def stop(self) -> None:
        """Make `run` return once the queue is empty. Does not wait for it."""
        self._is_stopping = True
        self.wake()

    def resume(self) -> None:
        """Undo `stop`: entries wait again until their batch is due."""
        self._is_stopping = False

    def has_batch(self) -> bool:
        """Whether the queue has the entries of a full batch."""
        return self.queue.has_batch(self._batch_size)

    @property
    def is_stopping(self) -> bool:
        """`stop` was called, and `resume` was not called since."""
        return self._is_stopping

    @property
    def is_asked(self) -> bool:
        """Somebody flushes or closes, so everything in the queue is due."""
        return self._is_stopping or self._ledger.passed < self._flush_to

    # The work

    def run(self) -> None:
        """Turn the queue into batches; after `stop`, return once it is empty."""
        while True:
            try:
                super()._monitor()  # type: ignore[misc]  # the stdlib's thread function, not in its stubs
                return
            except Exception as error:  # noqa: BLE001 - a MemoryError, say: without this thread nothing would be sent
                self._reporter.say("internal_error", f"the listener failed on an error of its own: {error!r}")
                self._wakeup.wait(1.0)

    def dequeue(self, block: bool) -> Any:
        """Wait for the next batch that is due and take it. After `stop`, the sentinel once the queue is empty.

        The sentinel also in a forked child, where the parent's greenlet lives on.
        """
        while current_pid() == self._pid:
            taken, delay = self.collect()
            if taken is not None:
                return taken
            if self._is_stopping and not self.queue:
                return self._sentinel  # type: ignore[attr-defined]  # the stdlib's, not in its stubs
            if not block:
                raise queues.Empty
            # Set the threshold first and look once more then: an entry that comes in between is either seen here, or
            # its caller sees the new threshold and wakes this thread.
            waiting = self._since is not None
            self.queue.relax(self._batch_size if waiting else 1)
            if bool(self.queue) == waiting and not self._is_due(self._clock.monotonic()):
                self._wakeup.wait(delay)
        return self._sentinel  # type: ignore[attr-defined]  # as above

    def collect(self) -> tuple[Taken | None, float | None]:
        """Take a batch if one is due. Otherwise None and the seconds until one will be (None: wait to be woken)."""
        now = self._clock.monotonic()
        if not self.queue:
            self._since = None
            self._calm()
            self._mark()
            return None, None
        if self._since is None:
            self._since = now
        if self._is_due(now):
            return self._take(now), 0.0
        if self._is_held_back():
            return None, None
        due = self._since + self._settings.flush_interval
        if self._is_urgent:
            due = min(due, self._gathered_at())
        return None, max(0.0, due - now)

    def _is_due(self, now: float) -> bool:
        if self.has_batch():
            return True
        if not self.queue:
            return False
        if self.is_asked:
            return True
        old = self._since is not None and now - self._since >= self._settings.flush_interval
        return (old or (self._is_urgent and now >= self._gathered_at())) and not self._is_held_back()

    def _is_held_back(self) -> bool:
        return self._sender.busy and not self._outbox.durable

    def _gathered_at(self) -> float:
        """Monotonic seconds from which a batch with an urgent entry is due."""
        return self._urgent_taken + (_GATHER if self._sender.busy else min(self._sender.request_seconds, _GATHER))

    def _calm(self) -> None:
        """Forget the urgent entry if the queue is empty."""
        if not self.queue:
            self._is_urgent = False
            # If an entry came in between, it may be the urgent one.
            self._is_urgent = bool(self.queue)

    def _take(self, now: float) -> Taken:
        if self._is_urgent:
            self._urgent_taken = now
        taken = self.queue.take(self._batch_size, self._ledger)
        self._calm()
        self._since = now
        self.queue.moved()
        return taken

    def handle(self, record: Any) -> None:
        """Encode what was taken, in as many batches as it needs, and put them into the outbox. Never raises."""
        taken: Taken = record
        losses: Mapping[str, int] = {}
        try:
            runs = self._encode(taken)
            losses = self._ledger.take_losses()
            if losses:
                runs.insert(0, self._notice(losses))
            while runs:
                # With an id, all of them are that one batch.
                part = runs if taken.batch_id else runs[: self._fitting(runs)]
                runs = runs[len(part) :]
                count = sum(run.entries for run in part)
                plain = self._wire.join(part)
                del part
                batch = make_batch(
                    taken.batch_id or self._new_id(),
                    plain,
                    count,
                    compressed=self._sender.compressing and is_worth_compressing(count, len(plain)),
                    ordinal=taken.ordinal,
                    losses=losses,
                )
                if not self._put(batch):
                    break
                losses = {}
                self._sender.wake()
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread must go on with the records behind
            left = self._ledger.drop_in_hand("internal_error")
            self._ledger.drop("internal_error", 0, untold=losses)
            self._reporter.say(
                "internal_error",
                f"{left} records were dropped: they could not be encoded ({type(error).__name__})",
            )
        finally:
            if taken.batch_id:
                self.queue.done_with(taken.batch_id)
            self._mark()

    def _encode(self, taken: Taken) -> list[Run]:
        """Encode the entries, and forget them: they can be large, and the stdlib's loop refers to `taken` for long."""
        try:
            # With an id, the entries are encoded lines.
            if taken.batch_id:
                return self._wire.runs_of_lines(taken.entries)
            return self._wire.encode(taken.entries, self._settings.max_record_bytes)
        finally:
            taken.entries.clear()

    def _notice(self, losses: Mapping[str, int]) -> Run:
        """An encoded entry that reports losses to the server. They are reported on stderr at the same time."""
        self._reporter.lost(self._ledger.lost())
        entry = self._loss_entry(losses, LOSSES, self._clock.time())
        (run,) = self._wire.encode([entry], self._settings.max_record_bytes)
        return run

    def _put(self, batch: Batch) -> bool:
        """Put a batch into the outbox. False: the process ended, and `give_up` has counted its records as dropped."""
        # Not held for a spool, whose disk may hang: the end of the process must not wait for that.
        with contextlib.nullcontext() if self._outbox.durable else self._handing_over:
            if not self._ledger.hand_over(batch.count):
                return False
            try:
                self._outbox.put(batch)
            except BaseException:
                # At exit a signal handler can raise when the batch is in the outbox already.
                if self._outbox.load(batch) is None:
                    self._ledger.take_back(batch.count)
                raise
        return True

    def give_up(self, reason: str) -> None:
        """Drop everything in the queue and in the hands of the listener's thread, and count it under `reason`."""
        with self._handing_over:
            while self.queue:
                self.queue.take(self.queue.max_size, self._ledger)
            self._ledger.drop_in_hand(reason)
        self._mark()

    def _mark(self) -> None:
        """Update `put_to`, and notify the threads that wait in a flush."""
        # The goal is read before the queue is looked at: the records that it counts were in the queue then. If the
        # queue is empty now, all of them have left it.
        goal = self._flush_to
        self.put_to = self._ledger.passed
        if not self.queue:
            self.put_to = max(self.put_to, goal)
        self._ledger.settled.notify()

    def _fitting(self, runs: list[Run]) -> int:
        """How many of the first runs fit into one batch of the size that the sender takes; at least one."""
        # Below, each run takes a comma. There is one comma fewer than runs: the 1 here.
        room = self._sender.batch_bytes - len(self._wire.join([])) + 1
        for number, run in enumerate(runs):
            room -= len(run.encoded) + 1
            if room < 0 and number:
                return number
        return len(runs)
