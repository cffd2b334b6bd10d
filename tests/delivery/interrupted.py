"""A handler with its threads, to be interrupted at every point of a call, and what must be true after that."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from typing import Any, Final

from logcollector_handler import LogClient
from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.journal import Journal
from logcollector_handler.delivery.pipeline import Pipeline
from logcollector_handler.delivery.process import own_threads
from logcollector_handler.delivery.states import State
from tests.delivery.harness import ScriptedTransport
from tests.delivery.interrupting import FOR_EVER, Points, held
from tests.delivery.pipelines import handed_over


class Process:
    """A handler with its threads, a network that takes everything, and what was logged.

    Args:
        durability: `memory`, `batch` or `record`; or `left batch` or `left record`: for others to send.
        directory: for the spool.
        changes: settings that differ from those of the tests.
    """

    #: The networks by the service of their handler.
    networks: Final[dict[str, ScriptedTransport]] = {}

    def __init__(self, durability: str, directory: Path, **changes: Any) -> None:
        service = f"shop{len(self.networks)}"
        self.networks[service] = network = ScriptedTransport()
        self.transport: ScriptedTransport | Left = network
        settings = {"service": service, "batch_size": 3, "max_queue_size": 6, "shutdown_timeout": FOR_EVER, **changes}
        if durability != "memory":
            settings.update(spool_dir=str(directory / service), durability=durability.removeprefix("left "))
        if durability.startswith("left "):
            settings.update(deliver=False)
            self.transport = Left(directory / service)
        self.client = LogClient(**settings)
        self.handler = self.client.handler
        self.logged: list[str] = []

    @property
    def pipeline(self) -> Pipeline:
        return self.handler._pipeline

    def log(self, message: str, level: int = logging.INFO) -> None:
        self.handler.handle(logging.LogRecord("shop", level, __file__, 1, message, None, None))

    def log_whole(self, message: str, level: int = logging.INFO) -> None:
        self.logged.append(message)
        self.log(message, level)

    def locks(self) -> dict[str, Any]:
        pipeline = self.pipeline
        locks = {
            "ledger": pipeline.ledger.lock,
            "workers": pipeline.workers._threads._lock,
            "budget": ending.budget()._lock,
        }
        locks["listener"] = pipeline.listener._handing_over
        if isinstance(pipeline.queue, Journal):
            locks["journal"] = pipeline.queue._lock
        locks["outbox"] = pipeline.outbox._lock  # type: ignore[attr-defined]  # both outboxes have one
        return locks

    def check(self, interrupted: str | None, place: str) -> None:
        """The handler lives, and nothing but the interrupted record may be missing or uncounted."""
        self.check_state(place)
        for number in range(4):
            self.log_whole(f"after {number}")
        # Without a flush, which would wake whoever sleeps.
        arrived = self.pipeline.ledger.settled.wait(lambda: "after 0" in self.transport.stored, FOR_EVER)
        assert arrived, f"nobody sends any more after an exception at {place}"
        assert self.handler.flush(FOR_EVER), f"the handler is dead after an exception at {place}"
        self.add_up(interrupted, place)
        self.handler.close()
        assert self.pipeline.workers.state is State.IDLE, f"not closed after an exception at {place}"

    def check_state(self, place: str) -> None:
        """Nothing of the interrupted call is left."""
        assert held(self.locks()) == [], f"held after an exception at {place}"
        assert get_ident() not in own_threads, f"taken for a thread of the package after an exception at {place}"

    def add_up(self, interrupted: str | None, place: str) -> None:
        """What was delivered and what was counted is what was logged."""
        stored = self.arrived(interrupted, place)
        stats = self.handler.stats()
        assert (stats.delivered + stats.handed_over, stats.pending) == (stored, 0), place
        assert stats.accepted == stored + sum(stats.dropped.values()), place
        assert stats.accepted <= len(self.logged) + 1, f"counted twice after an exception at {place}"

    def arrived(self, interrupted: str | None, place: str) -> int:
        """What was logged was delivered, once. Returns how many records were."""
        # A notice of losses is no record.
        stored = Counter(message for message in self.transport.stored if "log records were lost" not in message)
        twice = [message for message, count in stored.items() if count > 1]
        assert twice == [], f"after an exception at {place}"
        missing = set(self.logged) - set(stored)
        assert missing == set(), f"missing after an exception at {place}"
        assert set(stored) - set(self.logged) <= {interrupted}, f"invented after an exception at {place}"
        return len(stored)


class Left:
    """In the place of a network: what was left in the spool for others."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def stored(self) -> list[str]:
        return handed_over(self._root)


def at_every_point(
    make: Callable[[], Process],
    error: type[BaseException],
    prepare: Callable[[Process], object],
    call: Callable[[Process], object],
    interrupted: str | None,
    check: Callable[[Process, str | None, str], None] = Process.check,
) -> int:
    """Make the call again and again, each time in a new process, with an exception at the next of its points.

    Returns:
        The number of points.
    """
    for number in itertools.count():
        process = make()
        prepare(process)
        points = Points(number, error)
        points.run(lambda: call(process))  # noqa: B023
        if not points.place:
            process.handler.close()
            return number
        check(process, interrupted, points.place)
    raise AssertionError


def nothing(process: Process) -> None:
    """The call under test is the first."""


def some(process: Process) -> None:
    for number in range(4):
        process.log_whole(f"before {number}")
    assert process.handler.flush(FOR_EVER)


def some_that_wait(process: Process) -> None:
    some(process)
    process.log_whole("waits")


def closed(process: Process) -> None:
    some(process)
    process.handler.close()
