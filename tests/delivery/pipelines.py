"""The harness of the pipeline: all its parts put together, and a test that plays its threads.

`PipelineBench` is what the tests of the queue, the journal, the listener, the threads and the process's end have in
common. `alive` stands for a thread that lives, `records_add_up` is the law that holds after every step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from logcollector_handler.delivery.journal import Journal, JournalFile
from logcollector_handler.delivery.pipeline import Pipeline, entry_builder
from logcollector_handler.delivery.sender import Transport
from logcollector_handler.delivery.workers import Role
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from tests.delivery.harness import FakeClock, ScriptedTransport


class RunningClock(FakeClock):
    """The real time, for tests in which threads wait for each other; `advance` jumps ahead."""

    def monotonic(self) -> float:
        return self.now + time.monotonic()


class PipelineBench:
    """A pipeline on a bench: records to log, a clock to turn, a network to script.

    Its threads are never started: `listen` and `send` do their work, and `on_start` says how the attempt to start them
    ends.

    Args:
        clock: default is a FakeClock.
        transport: the network; default is `scripted`, a ScriptedTransport.
        changes: settings that differ from their defaults.
    """

    def __init__(self, clock: FakeClock | None = None, transport: Transport | None = None, **changes: Any) -> None:
        self.settings = replace(Settings(), **{"service": "shop", **changes})
        self.clock = clock or FakeClock()
        self.scripted = ScriptedTransport()
        network = transport or self.scripted
        self.pipeline = Pipeline(self.settings, entry_builder(self.settings), self.clock, lambda *_: network)
        #: How often a logging call, or anything else, wanted the threads to be started.
        self.starts = 0
        self.on_start: Callable[[], bool] = lambda: True
        self.pipeline.workers._start = self._start  # type: ignore[method-assign]  # no thread is started

    def _start(self) -> bool:
        self.starts += 1
        return self.on_start()

    # As the application

    def log(self, *messages: str, level: int = logging.INFO) -> None:
        """Log these messages, as LogCollectorHandler does it."""
        for message in messages:
            record = logging.LogRecord("shop", level, __file__, 1, message, None, None)
            # The real time has more digits or fewer, which would move the cuts from one run to the next.
            record.created = self.clock.time()
            self.pipeline.handler.emit(record)
            if level >= self.settings.flush_level:
                self.pipeline.workers.urge()

    # As the threads

    def listen(self) -> float | None:
        """Make the batch that is due, if one is; the seconds until one may be due."""
        taken, delay = self.pipeline.listener.collect()
        if taken is not None:
            self.pipeline.listener.handle(taken)
        return delay

    def send(self) -> None:
        """Send what can be sent now."""
        while self.pipeline.sender.step() == 0.0:
            pass

    # What there is to see

    @property
    def batches(self) -> list[list[str]]:
        """The messages of each request so far; what can be sent now is sent first."""
        self.send()
        return [request.messages for request in self.scripted.requests]

    @property
    def queued(self) -> list[str]:
        """Messages in the queue in memory."""
        return [entry.message for entry in self.pipeline.queue.entries]  # type: ignore[union-attr]  # not the journal's

    @property
    def journal(self) -> Journal:
        assert isinstance(self.pipeline.queue, Journal)
        return self.pipeline.queue

    @property
    def files(self) -> list[JournalFile]:
        """The open files that the listener has not taken, the one that is written to last."""
        return list(self.journal._files)

    def stats(self) -> Stats:
        return self.pipeline.stats()


class Alive:
    """Stands for a thread that lives until the test says that it died."""

    def __init__(self) -> None:
        self.lives = True

    def is_alive(self) -> bool:
        return self.lives


def alive(bench: PipelineBench, *roles: Role) -> None:
    """From now on threads live in these roles, and in no others."""
    threads: dict[Role, Any] = {role: Alive() for role in roles}
    bench.pipeline.workers._threads = threads


def records_add_up(stats: Stats) -> bool:
    """Whether each accepted record is in one place, and no count is negative."""
    places = [stats.delivered, *stats.dropped.values(), stats.dead_lettered, stats.pending]
    return stats.accepted == sum(places) and min(places) >= 0
