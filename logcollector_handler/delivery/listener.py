"""The listener: waits until a batch is due, takes it from the queue, encodes it, puts it into the outbox."""

from __future__ import annotations

import queue as queues
from collections.abc import Callable, Mapping
from logging.handlers import QueueListener
from typing import Any

from logcollector_handler.entry.model import Entry
from logcollector_handler.settings import Settings
from logcollector_handler.stats import LOSSES
from logcollector_handler.wire.compression import COMPRESS_FROM
from logcollector_handler.wire.format import Format, Run

from .batch import make_batch
from .clock import Clock, Wakeup
from .ledger import Ledger
from .outbox import Outbox
from .queue import Intake, Taken
from .report import Reporter
from .sender import Sender

LossEntry = Callable[[Mapping[str, int], Mapping[str, str], float], Entry]


class BatchListener(QueueListener):
    """Cuts the queue into batches. What the stdlib calls a record is here what was taken for one batch.

    A batch is due at `batch_size`; when its oldest entry is `flush_interval` old or one in it is urgent, unless
    the sender is busy anyway and nothing is gained by handing it another small batch; and when somebody flushes.

    The thread that runs it is made in `workers`; nothing here starts a thread or ends one.
    """

    queue: Intake  # type: ignore[assignment]  # it has no `get`; only `dequeue`, which is overridden below, would use it

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
        super().__init__(queue)  # type: ignore[arg-type]  # the stdlib asks for `get` in what is overridden below
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
        # A queue that holds less than a batch can fill no larger one.
        self._batch_size = min(settings.batch_size, settings.max_queue_size)
        # An entry at `flush_level` or above is in the queue.
        self._is_urgent = False
        # Somebody flushes: the entries in the queue are due until that many records have left its front.
        self._flush_to = 0
        #: So many of the records that have left the queue's front are in the outbox or settled.
        self.put_to = 0
        # Everything in the queue is due, and `run` returns once it is empty.
        self._is_stopping = False
        # Monotonic seconds: the entry that is now the oldest came then, or later.
        self._since: float | None = None

    # For other threads, and inside logging calls

    def wake(self) -> None:
        """Look at the queue again. Safe wherever code can run."""
        self._wakeup.set()

    def urge(self) -> bool:
        """An urgent entry is in the queue. False when the listener knows of one already."""
        if self._is_urgent:
            return False
        self._is_urgent = True
        return True

    def flush_to(self, mark: int) -> None:
        """Put everything into the outbox until `mark` records have left the front of the queue."""
        with self._ledger.lock:
            self._flush_to = max(self._flush_to, mark)

    def stop(self) -> None:
        """Let `run` return once the queue is empty. Does not wait for that."""
        self._is_stopping = True
        self.wake()

    def resume(self) -> None:
        """Take `stop` back: entries wait for others again."""
        self._is_stopping = False

    @property
    def is_stopping(self) -> bool:
        """`stop` was called, and `resume` was not called since."""
        return self._is_stopping

    # The work

    def run(self) -> None:
        """Do the work until the queue is empty after `stop`."""
        while True:
            try:
                super()._monitor()  # type: ignore[misc]  # the stdlib's thread function, not in its stubs
                return
            except Exception as error:  # noqa: BLE001 - a MemoryError, say: without this thread nothing would be sent
                self._reporter.say("internal_error", f"the listener failed on an error of its own: {error!r}")
                self._wakeup.wait(1.0)

    def dequeue(self, block: bool) -> Any:
        """What is taken for the next batch that is due; the sentinel when the work is over."""
        while True:
            taken, delay = self.collect()
            if taken is not None:
                return taken
            if self._is_stopping and not self.queue:
                return self._sentinel  # type: ignore[attr-defined]  # the stdlib's, not in its stubs
            if not block:
                raise queues.Empty
            # The threshold first, then one more look: an entry that comes in between is seen by one of the two.
            waiting = self._since is not None
            self.queue.relax(self._batch_size if waiting else 1)
            if bool(self.queue) == waiting and not self._is_due(self._clock.monotonic()):
                self._wakeup.wait(delay)

    def collect(self) -> tuple[Taken | None, float | None]:
        """Take a batch that is due; if none is, the seconds until one may be (None: when woken)."""
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
        return None, max(0.0, self._since + self._settings.flush_interval - now)

    def _is_due(self, now: float) -> bool:
        if self.queue.has_batch(self._batch_size):
            return True
        if not self.queue:
            return False
        if self._is_stopping or self._ledger.passed < self._flush_to:
            return True
        old = self._since is not None and now - self._since >= self._settings.flush_interval
        return (old or self._is_urgent) and not self._is_held_back()

    def _is_held_back(self) -> bool:
        return self._sender.busy and not self._outbox.durable

    def _calm(self) -> None:
        """Nothing urgent is left in an empty queue."""
        if not self.queue:
            self._is_urgent = False
            # An urgent entry may have come in between.
            self._is_urgent = bool(self.queue)

    def _take(self, now: float) -> Taken:
        taken = self.queue.take(self._batch_size, self._ledger)
        self._calm()
        self._since = now
        self.queue.moved()
        return taken

    def handle(self, record: Any) -> None:
        """Encode what was taken and put it into the outbox. Never raises, because the thread must go on."""
        taken: Taken = record
        left = len(taken.entries)
        try:
            # With an id these are lines already, and one batch as they are.
            runs = (
                self._wire.runs_of_lines(taken.entries)
                if taken.batch_id
                else self._wire.encode(taken.entries, self._settings.max_record_bytes)
            )
            losses = self._ledger.take_losses()
            if losses:
                runs.insert(0, self._notice(losses))
            while runs:
                part = runs if taken.batch_id else runs[: self._fitting(runs)]
                runs = runs[len(part) :]
                count = sum(run.entries for run in part)
                batch = make_batch(
                    taken.batch_id or self._new_id(),
                    self._wire.join(part),
                    count,
                    compressed=self._sender.compressing and count >= COMPRESS_FROM,
                    ordinal=taken.ordinal,
                    losses=losses,
                )
                self._outbox.put(batch)
                losses = {}
                left -= batch.count
                if taken.batch_id:
                    self.queue.kept(taken.batch_id)
                self._sender.wake()
        except Exception as error:  # noqa: BLE001 - whatever it is, the records behind these must go on
            self._ledger.drop("internal_error", left)
            self._reporter.say(
                "internal_error",
                f"{left} records were dropped: they could not be encoded ({type(error).__name__})",
            )
        finally:
            # The stdlib's loop holds what it handled last until the next; the entries need not stay alive with it.
            taken.entries.clear()
            self._mark()

    def _notice(self, losses: Mapping[str, int]) -> Run:
        """The entry that tells the server of losses. People are told at the same time."""
        self._reporter.lost(self._ledger.lost())
        entry = self._loss_entry(losses, LOSSES, self._clock.time())
        (run,) = self._wire.encode([entry], self._settings.max_record_bytes)
        return run

    def give_up(self, reason: str) -> None:
        """Drop what is in the queue."""
        while self.queue:
            taken = self.queue.take(len(self.queue), self._ledger)
            self._ledger.drop(reason, len(taken.entries))

    def _mark(self) -> None:
        """Note how far the outbox has got, for those who flush."""
        # The goal is read first: the records that it counts were in the queue by then, so when the queue is found empty
        # after that, all of them have left it.
        goal = self._flush_to
        self.put_to = self._ledger.passed
        if not self.queue:
            self.put_to = max(self.put_to, goal)
        self._ledger.settled.notify()

    def _fitting(self, runs: list[Run]) -> int:
        """How many of the runs make a batch within `max_batch_bytes`; at least one."""
        # One comma fewer than there are runs.
        room = self._settings.max_batch_bytes - len(self._wire.join([])) + 1
        for number, run in enumerate(runs):
            room -= len(run.encoded) + 1
            if room < 0 and number:
                return number
        return len(runs)
