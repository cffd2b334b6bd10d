"""The listener thread: waits until a batch is due, takes it from the queue, encodes it, puts it into the outbox."""

from __future__ import annotations

import queue as queues
import threading
from collections import deque
from collections.abc import Callable, Mapping
from logging.handlers import QueueListener
from typing import Any

from logcollector_handler.entry.model import COMPRESS_FROM, Entry
from logcollector_handler.settings import Settings
from logcollector_handler.stats import LOSSES
from logcollector_handler.wire.collector import Run, encode_line, encode_runs, join_runs, runs_of

from .batch import make_batch
from .clock import Clock, Wakeup
from .ledger import Ledger
from .outbox import Outbox
from .process import own_work
from .queue import RecordQueueHandler
from .report import Reporter
from .sender import Sender

LossEntry = Callable[[Mapping[str, int], Mapping[str, str], float], Entry]


class BatchListener(QueueListener):
    """Cuts the queue into batches. What the stdlib calls a record is here the list of entries of one batch.

    A batch is due at `batch_size`; when its oldest entry is `flush_interval` old or one in it is urgent, unless
    the sender has more to do than it can and nothing is gained by handing it another small batch; and
    when somebody flushes.
    """

    queue: deque[Entry]  # type: ignore[assignment]  # what the stdlib asks of a queue, we override

    def __init__(
        self,
        *,
        settings: Settings,
        queue: deque[Entry],
        ledger: Ledger,
        outbox: Outbox,
        sender: Sender,
        may_end: Callable[[], bool],
        new_id: Callable[[], str],
        loss_entry: LossEntry,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        super().__init__(queue)  # type: ignore[arg-type]  # stdlib wants get() only where we override
        self._settings = settings
        self._ledger = ledger
        self._outbox = outbox
        self._sender = sender
        self._may_end = may_end
        self._new_id = new_id
        self._loss_entry = loss_entry
        self._reporter = reporter
        self._clock = clock
        # A queue that is shorter than a batch is never longer than itself.
        self._batch_size = min(settings.batch_size, settings.max_queue_size)
        self._wakeup = Wakeup()
        #: Set by the pipeline right after construction: the two ends of the queue know each other.
        self.handler: RecordQueueHandler
        #: An entry at `flush_level` or above is in the queue.
        self.urgent = False
        #: Somebody flushes: what leaves the queue's front until this many records have left it is due.
        self.flush_to = 0
        #: Of the records that have left the queue's front, so many are in the outbox or settled.
        self.put_to = 0
        #: The thread is to end once the queue is empty.
        self.stopping = False
        # When the entry that is now the oldest may have come.
        self._since: float | None = None
        # How many records had left the queue before those that were taken last, and the id they have already.
        self._taken_from = 0
        self._taken_id: str | None = None

    def wake(self) -> None:
        """Look again. Safe wherever code can run."""
        self._wakeup.set()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._monitor, name="logcollector-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end once the queue is empty. Does not wait for that."""
        self.stopping = True
        self.wake()

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        thread: threading.Thread | None = self._thread
        return thread is not None and thread.is_alive()

    def _monitor(self) -> None:
        with own_work():
            while True:
                try:
                    super()._monitor()  # type: ignore[misc]  # the stdlib's thread function, not in its stubs
                    return
                except Exception as error:  # noqa: BLE001 - MemoryError, say: without this thread nothing goes any more
                    self._reporter.say("internal_error", f"the listener failed on an error of its own: {error!r}")
                    self._wakeup.wait(1.0)

    def dequeue(self, block: bool) -> Any:
        """The entries of the next batch that is due; the sentinel when the thread is to end."""
        while True:
            entries, delay = self.collect()
            if entries:
                return entries
            if self.stopping and not self.queue and self._may_end():
                return self._sentinel  # type: ignore[attr-defined]  # the stdlib's, not in its stubs
            if not block:
                raise queues.Empty
            # The threshold first, then one more look: an entry that came between is seen by one of the two.
            waiting = self._since is not None
            self.handler.relax(self._batch_size if waiting else 1)
            if bool(self.queue) == waiting and not self._due(self._clock.monotonic()):
                self._wakeup.wait(delay)

    def collect(self) -> tuple[list[Entry], float | None]:
        """Take the entries of a batch that is due; if none is, the seconds until one may be (None: when woken)."""
        now = self._clock.monotonic()
        if not self.queue:
            self._since = None
            self._calm()
            self._mark()
            return [], None
        if self._since is None:
            self._since = now
        if self._due(now):
            return self._take(now), 0.0
        if self._held_back():
            return [], None
        return [], max(0.0, self._since + self._settings.flush_interval - now)

    def _due(self, now: float) -> bool:
        waiting = len(self.queue)
        if waiting >= self._batch_size:
            return True
        if not waiting:
            return False
        if self.stopping or self._ledger.passed < self.flush_to:
            return True
        old = self._since is not None and now - self._since >= self._settings.flush_interval
        return (old or self.urgent) and not self._held_back()

    def _held_back(self) -> bool:
        return self._sender.busy and not self._outbox.durable

    def _calm(self) -> None:
        """Nothing urgent is left in an empty queue."""
        if not self.queue:
            self.urgent = False
            # An urgent record may have come in between.
            self.urgent = bool(self.queue)

    def _take(self, now: float) -> list[Any]:
        # In this order: the ledger's lock is asked for by whoever interrupts a caller that has the queue's.
        with self.handler.taking, self._ledger.lock:
            self._taken_from = self._ledger.passed
            self._taken_id, entries = self.handler.take(self._batch_size)
            self._ledger.take(len(entries))
        self._calm()
        self._since = now
        self.handler.moved()
        return entries

    def handle(self, record: Any) -> None:
        """Encode the entries of a batch and put it into the outbox. Never raises: the thread must live."""
        entries: list[Any] = record
        batch_id = self._taken_id
        left = len(entries)
        try:
            # With an id they are lines already, and one batch as they are.
            runs = runs_of(entries) if batch_id else encode_runs(entries, self._settings.max_record_bytes)
            losses = self._ledger.take_losses()
            if losses:
                notice = self._loss_entry(losses, LOSSES, self._clock.time())
                runs.insert(0, Run(1, encode_line(notice, self._settings.max_record_bytes)))
                self._reporter.lost(self._ledger.lost())
            while runs:
                part = runs if batch_id else runs[: self._fitting(runs)]
                runs = runs[len(part) :]
                count = sum(run.entries for run in part)
                compressed = self._sender.compressing and count >= COMPRESS_FROM
                plain = join_runs(part)
                batch = make_batch(batch_id or self._new_id(), plain, count, compressed, self._taken_from, losses)
                self._outbox.put(batch)
                losses = {}
                left -= batch.count
                if batch_id:
                    self.handler.kept(batch)
                self._sender.wake()
        except Exception as error:  # noqa: BLE001 - whatever it is, the records behind these must go on
            self._ledger.drop("internal_error", left)
            self._reporter.say(
                "internal_error",
                f"{left} records were dropped: they could not be encoded ({type(error).__name__})",
            )
        finally:
            # The stdlib's loop keeps its last record until the next; the entries need not wait with it.
            entries.clear()
            self._mark()

    def give_up(self, reason: str) -> None:
        """Drop what is in the queue."""
        with self._ledger.lock:
            count = len(self.queue)
            self.queue.clear()
            self._ledger.take(count)
            self._ledger.drop(reason, count)

    def _mark(self) -> None:
        """Note how far the outbox has got, for those who flush."""
        # The goal first: what it counts was in the queue by then, so an empty queue after that has let it all go.
        goal = self.flush_to
        self.put_to = self._ledger.passed
        if not self.queue:
            self.put_to = max(self.put_to, goal)
        self._sender.settled.notify()

    def _fitting(self, runs: list[Run]) -> int:
        """How many of the runs make a batch within `max_batch_bytes`; at least one."""
        # One comma fewer than there are runs.
        room = self._settings.max_batch_bytes - len(join_runs([])) + 1
        for number, run in enumerate(runs):
            room -= len(run.encoded) + 1
            if room < 0 and number:
                return number
        return len(runs)
