"""The listener: waits until a batch is due, takes its entries from the queue, encodes them, fills the outbox."""

from __future__ import annotations

import contextlib
import queue as queues
from collections.abc import Callable, Mapping
from logging.handlers import QueueListener
from typing import Any

from logcollector_handler.entry.model import Entry
from logcollector_handler.settings import Settings
from logcollector_handler.stats import LOSSES
from logcollector_handler.wire.compression import is_worth_compressing
from logcollector_handler.wire.format import Format, Run

from .batch import make_batch
from .carrier import Carrier, step
from .clock import Clock, Wakeup
from .due import Due
from .intake import Intake, Taken
from .ledger import Ledger
from .locks import new_lock
from .outbox import BatchStore
from .process import current_pid
from .report import Reporter
from .strides import Strides

LossEntry = Callable[[Mapping[str, int], Mapping[str, str], float], Entry]


class BatchListener(QueueListener):
    """Cuts the queue into batches. Where the stdlib's methods handle a record, these handle a `Taken`: one batch.

    `Due` says when. The thread that calls `run` is made by `threads`; nothing here starts or ends one.
    """

    queue: Intake  # type: ignore[assignment]  # it has no `get`, which only `dequeue`, overridden below, would use

    def __init__(
        self,
        *,
        settings: Settings,
        wire: Format,
        queue: Intake,
        ledger: Ledger,
        outbox: BatchStore,
        sender: Carrier,
        due: Due,
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
        self._due = due
        self._new_id = new_id
        self._loss_entry = loss_entry
        self._wakeup = wakeup
        self._reporter = reporter
        self._clock = clock
        # Once the queue is half full, callers will soon have to wait for room.
        self._strides = Strides(lambda: len(queue.entries) < queue.max_size // 2)
        # Set by `flush_to`: whatever is in the queue is due until this many records have left its front.
        self._flush_to = 0
        # Held while a batch goes into an outbox in memory, which takes no time: `give_up` counts its records as dropped
        # before that, or the outbox drops it after that, never both and never neither. Taken before all other locks.
        self._handing_over = new_lock()
        #: Of the records that have left the front of the queue, the first `put_to` are in the outbox or settled.
        self.put_to: int = 0
        # Set by `stop`: everything in the queue is due, and `run` returns once it is empty.
        self._is_stopping = False

    # Called by other threads, and inside logging calls

    def wake(self) -> None:
        """Make the listener look at the queue. Safe also in signal handlers and finalizers."""
        self._wakeup.set()

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

    @property
    def is_stopping(self) -> bool:
        """`stop` was called, and `resume` was not called since; or the process ends, which nothing undoes.

        A logging call may have found that the process lives on, and come to `resume` after the end began.
        """
        return self._is_stopping or self.queue.exiting

    @property
    def is_asked(self) -> bool:
        """Somebody flushes or closes, so everything in the queue is due."""
        return self.is_stopping or self._ledger.passed < self._flush_to

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
            # Seconds until something else is to be done in this thread; None: nothing is left.
            rest = None if self._sender.has_thread else step(self._sender, self._reporter)
            if self.is_stopping and not self.queue and rest is None:
                return self._sentinel  # type: ignore[attr-defined]  # the stdlib's, not in its stubs
            if not block:
                raise queues.Empty
            # Set the threshold first and look once more then: an entry that comes in between is either seen here, or
            # its caller sees the new threshold and wakes this thread.
            waiting = self._due.is_awaited
            self.queue.relax(self._due.batch_size if waiting else 1)
            if bool(self.queue) == waiting and not self._due.is_now(self._clock.monotonic(), asked=self.is_asked):
                self._wakeup.wait(min((each for each in (delay, rest) if each is not None), default=None))
        return self._sentinel  # type: ignore[attr-defined]  # as above

    def collect(self) -> tuple[Taken | None, float | None]:
        """Take a batch if one is due. Otherwise None and the seconds until one will be (None: wait to be woken)."""
        now = self._clock.monotonic()
        if not self.queue:
            self._due.nothing_waits()
            self._mark()
            return None, None
        self._due.something_waits(now)
        if not self._due.is_now(now, asked=self.is_asked):
            return None, self._due.seconds(now)
        taken = self.queue.take(self._due.batch_size, self._ledger)
        self._due.taken(now)
        self.queue.moved()
        return taken, 0.0

    def handle(self, record: Any) -> None:
        """Encode what was taken, in as many batches as it needs, and put them into the outbox. Never raises."""
        taken: Taken = record
        losses: Mapping[str, int] = {}
        try:
            runs = self._encode(taken)
            losses = self._ledger.take_losses()
            if losses:
                notice = self._notice(losses)
                if taken.batch_id:
                    # In a batch of its own: what goes out under the id of a file must be what the file holds.
                    self._put([notice], self._new_id(), taken.ordinal, losses)
                    losses = {}
                else:
                    runs.insert(0, notice)
            while runs:
                # With an id, all of them are that one batch.
                part = runs if taken.batch_id else runs[: self._fitting(runs)]
                runs = runs[len(part) :]
                if not self._put(part, taken.batch_id or self._new_id(), taken.ordinal, losses):
                    break
                losses = {}
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
            runs: list[Run] = []
            for part in self._strides.parts(taken.entries):
                runs += self._wire.encode(part, self._settings.max_record_bytes)
                self.queue.at_work()
            return runs
        finally:
            taken.entries.clear()

    def _notice(self, losses: Mapping[str, int]) -> Run:
        """An encoded entry that reports losses to the server. They are reported on stderr at the same time."""
        self._reporter.lost(self._ledger.lost())
        entry = self._loss_entry(losses, LOSSES, self._clock.time())
        (run,) = self._wire.encode([entry], self._settings.max_record_bytes)
        return run

    def _put(self, runs: list[Run], batch_id: str, ordinal: int, losses: Mapping[str, int]) -> bool:
        """Make a batch and put it into the outbox. False: the process ended, and `give_up` has dropped its records.

        Args:
            runs: its entries, with losses the notice of them first. The list is empty after that, as they can be large.
            batch_id: its id.
            ordinal: how many records had left the queue before its first did.
            losses: what the notice tells, by reason.
        """
        count = sum(run.entries for run in runs)
        plain = self._wire.join(runs)
        runs.clear()
        batch = make_batch(
            batch_id,
            plain,
            count,
            compressed=self._sender.compressing and is_worth_compressing(count, len(plain)),
            ordinal=ordinal,
            losses=losses,
        )
        # Not held for a spool, whose disk may hang: the end of the process must not wait for that.
        with contextlib.nullcontext() if self._outbox.durable else self._handing_over:
            if not self._ledger.hand_over(batch.count):
                return False
            try:
                self._outbox.put(batch)
            except BaseException:
                self._ledger.take_back(batch.count)
                raise
        self._sender.wake()
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
        # Not while `give_up` drops what it took: in nobody's hands, that would pass for sent.
        with self._handing_over:
            self.put_to = self._ledger.passed
        self._ledger.settled.notify()

    def _fitting(self, runs: list[Run]) -> int:
        """How many of the first runs fit into one batch of the size that the sender takes; at least one."""
        gap = self._wire.gap_bytes
        room = self._sender.batch_bytes - self._wire.frame_bytes + gap
        for number, run in enumerate(runs):
            room -= len(run.encoded) + gap
            if room < 0 and number:
                return number
        return len(runs)
