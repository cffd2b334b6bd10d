"""The parts of one handler put together, and their life: start, flush, close, exit, fork.

Two threads do the work, the listener and the sender. They are started by the first record, end when the
handler is closed and everything has gone, and start again with the next record. While the process goes down
no thread is started; what is left is then sent by the thread that asks for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from logcollector_handler.entry.builder import EntryBuilder
from logcollector_handler.entry.model import Entry
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.format import Format

from . import exit as lifecycle
from .answer import Transport
from .batch import Batch, BatchIds
from .clock import Clock, Waiters
from .ledger import Ledger
from .listener import BatchListener
from .outbox import MemoryOutbox, Outbox
from .process import is_own_thread, own_work
from .queue import RecordQueueHandler
from .report import Reporter
from .sender import Sender

Connect = Callable[[Settings, Clock], Transport]


def connect(settings: Settings, clock: Clock) -> Transport:
    """The real network. httpx is imported here, with the first batch."""
    with lifecycle.setting_up:
        from .transport import HttpTransport

    return HttpTransport(settings, clock)


def format_of(settings: Settings) -> Format:
    """The format in which the settings want entries to be written."""
    return FORMATS["collector"]


def entry_builder(settings: Settings, **sources: Any) -> EntryBuilder:
    """What makes entries as the settings say. `sources` are `bound` and `span`, where the application has a context."""
    format_ = format_of(settings)
    return EntryBuilder(
        service=settings.service,
        environment=settings.environment,
        service_version=settings.service_version,
        log_type=settings.log_type,
        redact=settings.redact,
        max_record_bytes=settings.max_record_bytes,
        site_entry=format_.site_entry,
        common=format_.common,
        **sources,
    )


class Pipeline:
    """Queue, listener, outbox and sender of one handler in one process."""

    def __init__(self, settings: Settings, builder: EntryBuilder, clock: Clock, connect: Connect) -> None:
        self._settings = settings
        self.shutdown_timeout = settings.shutdown_timeout
        self._clock = clock
        self._reporter = Reporter(clock.monotonic)
        self._queue: deque[Entry] = deque()
        self._ledger = Ledger(self._queue.__len__)
        ids = BatchIds(clock.time())
        self.outbox = self._make_outbox(ids.owner)
        self.sender = Sender(
            settings=settings,
            outbox=self.outbox,
            connect=lambda: connect(settings, clock),
            ledger=self._ledger,
            reporter=self._reporter,
            clock=clock,
            on_idle=lambda: self.listener.wake(),
        )
        self.listener = BatchListener(
            settings=settings,
            queue=self._queue,
            ledger=self._ledger,
            outbox=self.outbox,
            sender=self.sender,
            new_id=ids.draw,
            may_end=self._listener_may_end,
            loss_entry=builder.loss_entry,
            reporter=self._reporter,
            clock=clock,
        )
        self.handler = self._make_handler(builder, ids.draw)
        self.listener.handler = self.handler
        # Guards whether threads run. Never waited for in a logging call: who does not get it leaves it be.
        self._life = threading.Lock()
        self._listening = False
        self._sending = False
        self._ended = Waiters(clock)
        # Set when the process goes down.
        self._exiting = False
        # Held by the thread that does the threads' work itself, at exit; and which one that is.
        self._pumping = threading.Lock()
        self._pumper = 0

    def _make_outbox(self, owner: str) -> Outbox:
        settings = self._settings

        def give_up(batch: Batch, reason: str) -> None:
            self.sender.give_up(batch, reason)

        if settings.spool_dir is None:
            return MemoryOutbox(settings.max_buffer_bytes, give_up)
        # Here, because Windows has no fcntl.
        from .spool import SpoolOutbox

        return SpoolOutbox(
            root=settings.spool_dir,
            server_url=settings.server_url,
            max_bytes=settings.max_spool_bytes,
            max_memory=settings.max_buffer_bytes,
            owner=owner,
            fsync=settings.fsync,
            give_up=give_up,
            reporter=self._reporter,
            clock=self._clock,
        )

    def _make_handler(self, builder: EntryBuilder, new_id: Callable[[], str]) -> RecordQueueHandler:
        settings = self._settings
        common: dict[str, Any] = {
            "build": builder.build,
            "max_size": settings.max_queue_size,
            "overflow": settings.overflow,
            "ledger": self._ledger,
            "reporter": self._reporter,
            "clock": self._clock,
            "queue": self._queue,
            "wake": self.wake,
        }
        if settings.durability == "batch":
            return RecordQueueHandler(**common)
        from .journal import JournalQueueHandler
        from .spool import SpoolOutbox

        outbox = self.outbox
        assert isinstance(outbox, SpoolOutbox)  # noqa: S101 - the settings ask for spool_dir with it
        return JournalQueueHandler(
            new_id=new_id,
            open_file=outbox.open_file,
            batch_size=min(settings.batch_size, settings.max_queue_size),
            max_batch_bytes=settings.max_batch_bytes,
            max_record_bytes=settings.max_record_bytes,
            fsync=settings.fsync,
            urge=self.urge,
            **common,
        )

    def stats(self) -> Stats:
        """What became of the records so far."""
        return self._ledger.snapshot()

    # In a logging call

    def wake(self) -> bool:
        """Something in the queue wants attention. False: nobody could be woken, ask again with the next."""
        if self._exiting:
            self._pump()
            return False
        if self._listening:
            self.listener.wake()
            return True
        return self._start()

    def urge(self) -> None:
        """An urgent record came."""
        if not self.listener.urgent:
            self.listener.urgent = True
            self.wake()

    def _start(self) -> bool:
        if lifecycle.is_exiting():
            self.begin_exit()
            return self.wake()
        # Before anything that can fail: what is in the queue is drained at the end in any case.
        lifecycle.watch(self)
        if not self._life.acquire(blocking=False):
            return False
        sender: threading.Thread | None = None
        try:
            self.listener.stopping = False
            if not self._listening:
                self._listening = True
                self.listener.start()
            if not self._sending:
                self._sending = True
                sender = threading.Thread(target=self._send, name="logcollector-sender", daemon=True)
                sender.start()
        except BaseException as error:
            self._listening = self.listener.is_alive()
            self._sending = sender is not None and sender.is_alive()
            if not isinstance(error, RuntimeError):
                raise  # A signal handler's, in the middle of it.
            # The interpreter is going down, or the system has no more threads. The records stay in the queue,
            # and the next of them tries again. A sender without a listener ends by itself.
            self.listener.stopping = True
            self._reporter.say("threads", f"no thread could be started to send logs ({error}); they wait")
            return False
        finally:
            self._life.release()
        return True

    # The threads' ends

    def _listener_may_end(self) -> bool:
        with self._life:
            if self._queue:
                return False
            self._listening = False
            self.handler.relax(1)
        self.sender.wake()
        if self._queue and not self._exiting:
            self._start()
        self._ended.notify()
        return True

    def _sender_may_end(self) -> bool:
        with self._life:
            if self._listening or not self.listener.stopping or (len(self.outbox) and not self._exiting):
                return False
            # In here, so that it is not the connection of a sender that is started next.
            self.sender.close()
            self.outbox.close()
            self._sending = False
            if not self._exiting and not self._queue:
                lifecycle.unwatch(self)
        # A record that came while the lock was held could not start anything.
        if self._queue and not self._exiting:
            self._start()
        self._ended.notify()
        return True

    def _send(self) -> None:
        with own_work():
            while True:
                delay = self._step()
                if delay == 0.0:
                    continue
                if self._sender_may_end():
                    return
                self.sender.wait(delay)

    def _step(self) -> float | None:
        try:
            return self.sender.step()
        except Exception as error:  # noqa: BLE001 - the batch is still in the outbox, and the others go on
            self._reporter.say("internal_error", f"sending failed on an error of its own: {error!r}")
            return 1.0

    # Flush and close

    def flush(self, seconds: float) -> bool:
        """Send what was accepted so far; wait for it, that long at most.

        Returns:
            True when all of it was delivered or dead-lettered in that time.
        """
        if is_own_thread():
            return False
        dropped = self._ledger.dropped
        if self._exiting:
            self._pump()
            return not self.stats().pending and self._ledger.dropped == dropped
        # In this order: what leaves the queue in between is counted twice rather than not at all.
        mark = len(self._queue) + self._ledger.passed
        with self._ledger.lock:
            self.listener.flush_to = max(self.listener.flush_to, mark)
        if not self._settled(mark):
            # False of a thread that is just ending, which sees the queue as its last act.
            self.wake()
            self.sender.hurry()
            self.sender.settled.wait(lambda: self._settled(mark), seconds)
        return self._settled(mark) and self._ledger.dropped == dropped

    def _settled(self, mark: int) -> bool:
        return self.listener.put_to >= mark and not self.outbox.holds_before(mark)

    def close(self, seconds: float) -> None:
        """Send everything and end the threads; wait for that, so long at most. They go on behind if it takes longer.

        The next record starts them again.
        """
        if self._exiting:
            self._pump()
            return
        if self._queue and not self._listening:
            self._start()
        self.listener.stop()
        self.sender.hurry()
        if not is_own_thread():
            self._ended.wait(lambda: not self._listening and not self._sending, seconds)

    # Exit and fork

    def holds_up(self) -> bool:
        """Whether the calling thread was interrupted in the middle of a call that the threads would wait for."""
        return self.handler.holds_up()

    def begin_exit(self) -> None:
        """The process goes down: from now on there are `shutdown_timeout` seconds, all handlers at the same time."""
        if self._exiting:
            return
        self._exiting = True
        self.handler.exiting = True
        self.handler.relax(1)
        self.handler.waiters.notify()
        self.sender.exit(self._clock.monotonic() + self._exit_left())
        self.listener.stop()

    def finish_exit(self) -> None:
        """Wait for the threads, do what they left, and count what could not be sent as dropped."""
        start = self._clock.monotonic()
        self._ended.wait(lambda: not self._listening and not self._sending, self._exit_left())
        lifecycle.spend(self._clock.monotonic() - start)
        # Another thread that logs may be at it, and is not to be cut short by the end of the process.
        self._pump(self._exit_left())

    def _pump(self, patience: float = 0.0) -> None:
        """At exit, in the calling thread: send what there is, within what is left of the time, and drop the rest.

        One thread at a time; another waits for it that many seconds.
        """
        if is_own_thread() or self._pumper == threading.get_ident() or not self._pumping.acquire(timeout=patience):
            return
        self._pumper = threading.get_ident()
        try:
            with own_work():
                if self._listening:
                    self.listener.wake()
                elif not self._sending:
                    self._drain()
                if self._exit_left() <= 0 or not self._sending:
                    self._drop_rest()
        finally:
            self._pumper = 0
            self._pumping.release()

    def _drain(self) -> None:
        start = self._clock.monotonic()
        self.sender.exit(start + self._exit_left())
        while True:
            entries, _ = self.listener.collect()
            if entries:
                self.listener.handle(entries)
            elif self._step() != 0.0 and not self._queue:
                break
        self.sender.close()
        self.outbox.close()
        lifecycle.spend(self._clock.monotonic() - start)

    def _exit_left(self) -> float:
        return max(0.0, self.shutdown_timeout - lifecycle.spent())

    def _drop_rest(self) -> None:
        if self.outbox.durable and not self._listening:
            # The disk takes what the network has no time for.
            while entries := self.listener.collect()[0]:
                self.listener.handle(entries)
        for batch in self.outbox.clear():
            self.sender.give_up(batch, "shutdown")
        if self._settings.durability == "batch":
            self.listener.give_up("shutdown")
        self._reporter.lost(self._ledger.lost(), at_last=True)

    def abandon(self) -> None:
        """In a forked child: this pipeline is the parent's. Let go of it without touching what it shares."""
        self._queue.clear()
        self.sender.abandon()
        self.outbox.abandon()
        self.handler.abandon()
