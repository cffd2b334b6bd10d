"""The parts of one handler in one process, put together. Wiring, nothing else.

Each part is given the parts that it calls, so those that a record reaches last are made first: the outbox, the queue,
the sender, the listener, the threads that run these two, and the handler that logging calls enter by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from logcollector_handler.entry.builder import EntryBuilder
from logcollector_handler.entry.patterns import Patterns
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.format import Format

from . import exit as ending
from .batch import BatchIds
from .carrier import Carrier
from .clock import Clock, Wakeup
from .due import Due
from .journal import FileMaker, Journal, JournalQueueHandler
from .ledger import Ledger
from .listener import BatchListener
from .outbox import BatchStore, MemoryOutbox, Outbox
from .process import setting_up
from .queue import EntryQueue, RecordQueueHandler, slot_size, usual_length
from .report import Reporter
from .sender import Sender, Transport
from .states import State
from .workers import Workers

Connect = Callable[[Settings, Clock], Transport]


def connect(settings: Settings, clock: Clock) -> Transport:
    """Make the real network. Imports httpx, which is slow, and therefore only with the first batch."""
    with setting_up():
        from .transport import HttpTransport

    return HttpTransport(settings, format_of(settings), clock)


def format_of(settings: Settings) -> Format:
    """The format that the settings name; with `redact_patterns`, one that masks what they match first."""
    wire = FORMATS[settings.wire]
    if not settings.redact_patterns:
        return wire
    from logcollector_handler.wire.masked import MaskedFormat

    return cast(Format, MaskedFormat(wire, Patterns(settings.redact_patterns)))


def entry_builder(settings: Settings, **sources: Any) -> EntryBuilder:
    """The builder that makes entries as the settings say. `sources`: `bound` and `span` of EntryBuilder, if any."""
    wire = format_of(settings)
    return EntryBuilder(
        service=settings.service,
        environment=settings.environment,
        service_version=settings.service_version,
        log_type=settings.log_type,
        redact=settings.redact,
        max_record_bytes=settings.max_record_bytes,
        usual_length=usual_length(slot_size(settings.max_queue_size, settings.max_queue_bytes)),
        site_entry=wire.site_entry,
        common=wire.common,
        **sources,
    )


class Pipeline:
    """Queue, listener, outbox, sender and their threads.

    Args:
        settings: the handler's.
        builder: makes entries of records.
        clock: the time, for every part.
        connect: makes the network; called when the first batch is posted.
        look_every: seconds between two looks for batches that others left in the spool. Default: 10.
    """

    def __init__(
        self,
        settings: Settings,
        builder: EntryBuilder,
        clock: Clock,
        connect: Connect,
        look_every: float | None = None,
    ) -> None:
        wire = format_of(settings)
        reporter = Reporter(clock.monotonic)
        ids = BatchIds(clock.time())
        self.ledger: Ledger = Ledger(clock)
        common: dict[str, Any] = {"ledger": self.ledger, "reporter": reporter, "clock": clock}
        wakeup = Wakeup()

        def sender(outbox: Outbox) -> Sender:
            return Sender(
                settings=settings,
                wire=wire,
                outbox=outbox,
                connect=lambda: connect(settings, clock),
                idle=wakeup,
                **common,
            )

        files: FileMaker | None = None
        self.outbox: BatchStore
        self.sender: Carrier
        if settings.spool_dir is None:
            self.outbox = memory = MemoryOutbox(settings.max_buffer_bytes, self.ledger)
            self.sender = sender(memory)
        else:
            # Imported here, because Windows has no fcntl.
            from .spool import HandOver, SpoolOutbox, destination

            if settings.deliver:
                self.outbox = files = spool = SpoolOutbox(
                    root=settings.spool_dir,
                    destination=destination(settings.server_url, settings.wire),
                    wire=wire,
                    max_bytes=settings.max_spool_bytes,
                    max_batch_bytes=settings.max_batch_bytes,
                    max_memory=settings.max_buffer_bytes,
                    owner=ids.owner,
                    compression=settings.enable_compression,
                    fsync=settings.fsync,
                    look_every=look_every,
                    **common,
                )
                self.sender = sender(spool)
            else:
                self.outbox = self.sender = files = HandOver(
                    settings=settings,
                    wire=wire,
                    owner=ids.owner,
                    heir=BatchIds(clock.time()).owner,
                    wakeup=wakeup,
                    **common,
                )
        self.queue: EntryQueue | Journal
        if files is None or settings.durability == "batch":
            self.queue = EntryQueue(settings.max_queue_size, settings.max_queue_bytes, settings.max_batch_bytes, clock)
        else:
            self.queue = Journal(
                max_size=settings.max_queue_size,
                max_bytes=settings.max_queue_bytes,
                new_id=ids.draw,
                files=files,
                batch_size=min(settings.batch_size, settings.max_queue_size),
                max_batch_bytes=settings.max_batch_bytes,
                fsync=settings.fsync,
                **common,
            )
        due = Due(
            queue=self.queue,
            outbox=self.outbox,
            sender=self.sender,
            batch_size=settings.batch_size,
            flush_interval=settings.flush_interval,
        )
        self.listener: BatchListener = BatchListener(
            settings=settings,
            wire=wire,
            queue=self.queue,
            outbox=self.outbox,
            sender=self.sender,
            due=due,
            new_id=ids.draw,
            loss_entry=builder.loss_entry,
            wakeup=wakeup,
            **common,
        )
        self.workers: Workers = Workers(
            queue=self.queue,
            due=due,
            listener=self.listener,
            outbox=self.outbox,
            sender=self.sender,
            shutdown_timeout=settings.shutdown_timeout,
            **common,
        )
        callers_end: dict[str, Any] = {
            "build": builder.build,
            "overflow": settings.overflow,
            "ledger": self.ledger,
            "reporter": reporter,
            "wake": self.workers.wake,
        }
        handler: RecordQueueHandler
        if isinstance(self.queue, Journal):
            handler = JournalQueueHandler(
                journal=self.queue, wire=wire, max_record_bytes=settings.max_record_bytes, **callers_end
            )
        else:
            handler = RecordQueueHandler(intake=self.queue, **callers_end)
        self.handler = handler

    def move_to(self, other: Pipeline) -> None:
        """Threads become greenlets from now on: let another pipeline of the same settings, made since, go on.

        What waits in the queue goes over. Files are left to the other as those of a dead process. If threads run
        already, they go on with what there is, and end.
        """
        if self.workers.state is not State.IDLE:
            self.workers.close(0.0)
            return
        ending.unwatch(self.workers)
        if isinstance(self.queue, EntryQueue) and isinstance(other.queue, EntryQueue):
            other.queue.entries.extend(self.queue.entries)
            self.queue.entries.clear()
        self.workers.abandon()
        other.workers.wake()

    def stats(self) -> Stats:
        """What became of the records so far."""
        return self.ledger.snapshot(self.queue.__len__)
