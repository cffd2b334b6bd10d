"""How the oracle test's processes log ids with the real handler, and tell which of them are obligations.

What belongs here: what a process knows of its own records. What does not: what it does beside logging, which is
`oracle_deeds.py`; when it begins and ends, which is `oracle_program.py`; any judgement, which is `oracle.py`.

On standard output a process tells, a line each, what the driver holds it to:

    t <id> ...      these are obligations from here on (see `Worker.tell_safe`)
    e <JSON>        the end of a process that ends by itself: its counts
    h <bool> <n>    an heir has flushed, with that result, and that many batches are left
    f <name>        a fault is about to be carried out in this process
    c, d            a child is about to be forked in C; such a child is about to end
    v <words>       a promise was broken in a way that only the process itself can see
"""

from __future__ import annotations

import itertools
import json
import logging
import logging.config
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from tests.integration.oracle_records import ALARMED_FROM, STORM_FROM, record_of

#: Seconds in which the listener must have taken what is in the queue, on however busy a machine.
LISTENER_LIMIT: Final = 25.0


def tell(kind: str, words: list[str]) -> None:
    """Write lines of less than 4,096 bytes, which a pipe takes whole or, at a kill, not at all."""
    for start in range(0, len(words), 100):
        os.write(1, f"{kind} {' '.join(words[start : start + 100])}\n".encode())


class Seen(logging.Filter):
    """A filter that lets everything pass and notes that the handler got the record.

    While `dictConfig` works there is a moment without any handler; what is logged then was never accepted.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Note it for the thread that logs."""
        _local.seen = self
        return True


class UnlockedLogger(logging.Logger):
    """A logger for calls that a signal handler ends: the cache of levels has a lock, which that would leave held."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the stdlib's name
        """The root takes every level here."""
        return True


_local = threading.local()


def in_memory_only(pipeline: Any) -> bool:
    """Whether a handler has a record that the disk did not take. The one place that knows how the package keeps it."""
    queue = pipeline.queue
    if queue.is_durable:
        with queue._lock:
            # A file that could not be made, or not be written to, has no descriptor any more.
            if any(file._descriptor < 0 for file in [*queue.files, *queue._taken.values()]):
                return True
    # Asked for last: a file is on the list above until its batch is on the shelf.
    return bool(pipeline.outbox._shelf.memory_bytes)


def _plainly(call: Callable[[], None]) -> bool:
    call()
    return True


class Worker:
    """One logging process; a forked child makes one of its own."""

    def __init__(self, plan: dict[str, Any], child: int = 0) -> None:
        self.plan = plan
        self.child = child
        self.is_forked_in_c = False
        self.rng = random.Random(f"{plan['seed']}/worker {plan['number']} {child}")
        self.log = logging.getLogger("oracle")
        self.by_record = plan["settings"]["durability"] == "record"
        self.stopping = threading.Event()
        #: The threads log only while it is set.
        self.gate = threading.Event()
        self.gate.set()
        self._prefix = f"{plan['number']}-{child}"
        self._numbers = {first: itertools.count(first) for first in (0, STORM_FROM, ALARMED_FROM)}
        # Guards what follows: how many calls returned, and the ids that were not told yet, by the handler that took
        # them.
        self._lock = threading.Lock()
        self._returned = 0
        self._handlers: dict[Seen, Any] = {}
        self._waiting: dict[Seen, list[str]] = {}

    @property
    def handler(self) -> Any:
        """The handler that `dictConfig` made last."""
        return next(reversed(self._handlers.values()))

    def configure(self) -> None:
        """As an application does, with `dictConfig`; again and again if the plan says so."""
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "filters": {"seen": {"()": Seen}},
                "handlers": {
                    "collector": {
                        "class": "logcollector_handler.LogCollectorHandler",
                        "filters": ["seen"],
                        **self.plan["settings"],
                    }
                },
                "root": {"level": 1, "handlers": ["collector"]},
            }
        )
        handler = logging.getLogger().handlers[0]
        seen = handler.filters[0]
        assert isinstance(seen, Seen)
        with self._lock:
            self._handlers[seen] = handler

    def adopt_handler(self, parent: Worker) -> None:
        """In a forked child: the parent's handler is ours as well. No lock is taken, and the handler not asked."""
        self._handlers = dict([list(parent._handlers.items())[-1]])

    def log_one(self, *, first: int = 0, around: Callable[[Callable[[], None]], bool] = _plainly) -> None:
        """Log the next id, and tell it as soon as it is an obligation.

        Args:
            first: the number from which ids of its kind are counted, see `oracle_records.py`.
            around: makes the call. Returns False if the call did not return: its record is no obligation then.
        """
        identity = f"{self._prefix}-{next(self._numbers[first])}"
        record = record_of(self.plan["seed"], identity)
        # The first record of a forked child must find the handler as the fork left it: nothing is asked before.
        dropped = self._dropped() if self._returned or not self.child else 0

        def call() -> None:
            if record.raises:
                try:
                    raise ValueError(identity)
                except ValueError:
                    self.log.log(record.level, "%s", record.message, extra=record.extra, exc_info=True)
            else:
                self.log.log(record.level, "%s", record.message, extra=record.extra)

        _local.seen = None
        if not around(call) or (seen := _local.seen) is None:
            return
        with self._lock:
            self._returned += 1
        if self.by_record and self._dropped() != dropped:
            # A full queue turns records away, and counts them: ours perhaps.
            return
        if self.by_record and not in_memory_only(self._handlers[seen]._pipeline):
            tell("t", [identity])
            return
        with self._lock:
            self._waiting.setdefault(seen, []).append(identity)

    def _dropped(self) -> int:
        return sum(handler._pipeline.ledger.dropped for handler in list(self._handlers.values()))

    def run(self) -> None:
        """A thread that logs, at a rate that changes."""
        rng = random.Random(self.rng.random())
        while not self.stopping.is_set():
            pause = rng.choice((0.0, 0.0005, 0.002, 0.01)) * self.plan["pause"]
            for _ in range(rng.randrange(1, 120)):
                self.gate.wait()
                self.log_one()
                if self.stopping.is_set() or self.stopping.wait(pause):
                    return

    def tell_safe(self) -> None:
        """Tell the ids that have become obligations since their calls returned.

        With `durability: record` an id is one when its call has returned, with `durability: batch` when its record has
        left memory for the spool. With either, a record that the disk did not take is only in memory, until the
        server has it or the disk takes its batch. Which records those are is not asked: as long as a handler has any,
        none of its ids is told. At exit nobody waits for room in the queue, and which records had to go is not known:
        when a handler has dropped records, none of its ids is told any more.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            handlers = dict(self._handlers)
        for seen, identities in list(waiting.items()):
            pipeline = handlers[seen]._pipeline if seen in handlers else None
            if pipeline is not None and self.leaves_memory(pipeline, 5.0) and not in_memory_only(pipeline):
                if set(pipeline.stats().dropped) <= {"spool_damaged"}:
                    tell("t", identities)
                del waiting[seen]
        with self._lock:
            for seen, identities in waiting.items():
                self._waiting.setdefault(seen, []).extend(identities)

    def leaves_memory(self, pipeline: Any, seconds: float) -> bool:
        """Wait until the listener has taken what is in the queue, and the outbox has it."""
        with pipeline.ledger.lock:
            mark = pipeline.ledger.passed + len(pipeline.queue)
        deadline = time.monotonic() + seconds
        while pipeline.listener.put_to < mark and time.monotonic() < deadline:
            time.sleep(0.002)
        return bool(pipeline.listener.put_to >= mark)

    def check_listener(self, after: str) -> None:
        """Tell a violation if what is logged stays in the queue: its listener is dead."""
        if not self.leaves_memory(self.handler._pipeline, LISTENER_LIMIT):
            tell("v", [f"liveness: {self._prefix} keeps its records in the queue, after {after}"])

    def tell_at_exit(self) -> None:
        """After an exit that drained: everything is out of memory, unless it was said that time did not suffice."""
        with self._lock:
            for seen, identities in self._waiting.items():
                handler = self._handlers[seen]
                if set(handler.stats().dropped) <= {"spool_damaged"} and not in_memory_only(handler._pipeline):
                    tell("t", identities)

    def tell_end(self) -> None:
        """After an exit that drained: what became of it all."""
        told: dict[str, Any] = {
            "child": "in C" if self.is_forked_in_c else self.child,
            # Calls that were made, and calls that came back: in between, the record may be there or not.
            "begun": sum(next(numbers) - first for first, numbers in self._numbers.items()),
            "returned": self._returned,
            "handlers": [],
        }
        for handler in self._handlers.values():
            stats = handler.stats()
            told["handlers"].append(
                {
                    "accepted": stats.accepted,
                    "settled": stats.delivered + sum(stats.dropped.values()) + stats.dead_lettered,
                    "dropped": dict(stats.dropped),
                    "pending": stats.pending,
                    "requests": stats.requests,
                    "outbox": len(handler._pipeline.outbox),
                }
            )
        tell("e", [json.dumps(told, separators=(",", ":"))])
