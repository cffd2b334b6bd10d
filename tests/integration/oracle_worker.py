"""The logging process of the oracle test: logs ids with the real handler and tells which of them are safe.

What belongs here: what one id's record holds, as a function of the seed and the id, and the program that logs
such records until it is killed, ends, or its standard input closes. What does not: any judgement; that is
`oracle.py`. Run as a script, with a plan as JSON, it imports the package alone: so it is one file, though long.

On standard output it tells, a line each, what the driver holds it to:

    t <id> ...      these are obligations from here on: with `durability: record` because the logging call has
                    returned, with `durability: batch` because the id has left memory for the spool
    e <JSON>        the end of a process that ends by itself: its counts
"""

from __future__ import annotations

import atexit
import faulthandler
import itertools
import json
import logging
import logging.config
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

#: Share of the records that the server never takes, for each of the two ways in which it does not.
POISON: Final = 0.001
#: The number of a child that is an heir: it logs no poison, which nothing would come after to prove.
HEIR: Final = 999
_TEXT: Final = 'abc xyz 0123 "quoted" back\\slash tab\t line\n {} %s é ß 漢字 😀 \u2028 '
_SIZES: Final = ((0, 60), (60, 700), (700, 4000), (4000, 12000))
_LEVELS: Final = {5: "TRACE", 10: "DEBUG", 20: "INFO", 30: "WARN", 40: "ERROR", 50: "FATAL"}


@dataclass(frozen=True)
class Record:
    """What is logged for an id."""

    level: int
    message: str
    extra: dict[str, Any]
    raises: bool


def record_of(seed: int, identity: str) -> Record:
    """The record of an id, the same wherever it is asked for."""
    rng = random.Random(f"{seed}/{identity}")
    low, high = rng.choices(_SIZES, (70, 25, 5, 0.3))[0]
    size = rng.randint(low, high)
    start = rng.randrange(len(_TEXT))
    text = (_TEXT[start:] + _TEXT * (size // len(_TEXT) + 1))[:size]
    extra: dict[str, Any] = {"oracle": identity, "number": rng.getrandbits(60), "share": rng.random()}
    if rng.random() < 0.5:
        extra["payload"] = {"text": text, "list": [None, True, rng.random(), {"deep": [text[:20]]}], "é": -1}
    if rng.random() < 0.3:
        extra["user_id"] = f"user {rng.randrange(1000)}"
    if rng.random() < 2 * POISON and f"-{HEIR}-" not in identity:
        extra["poison"] = rng.choice((400, 500))
    level = rng.choices(tuple(_LEVELS), (5, 25, 50, 16, 3, 1))[0]
    return Record(level, f"{identity} {text}", extra, rng.random() < 0.01)


def differences(seed: int, identity: str, entry: dict[str, Any]) -> list[str]:
    """The fields in which an entry that arrived is not what was logged."""
    record = record_of(seed, identity)
    expected = dict(record.extra)
    metadata = entry.get("metadata", {})
    wrong = []
    if entry.get("level") != _LEVELS[record.level]:
        wrong.append("level")
    if entry.get("message") != record.message:
        wrong.append("message")
    if entry.get("user_id") != expected.pop("user_id", None):
        wrong.append("user_id")
    wrong += [name for name, value in expected.items() if metadata.get(name) != value]
    if record.raises and (entry.get("error_type") != "ValueError" or identity not in entry.get("stack_trace", "")):
        wrong.append("stack_trace")
    return wrong


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


_local = threading.local()


class Worker:
    """One logging process; a forked child makes one of its own."""

    def __init__(self, plan: dict[str, Any], child: int = 0) -> None:
        self.plan = plan
        self.rng = random.Random(f"{plan['seed']}/worker {plan['number']} {child}")
        self.log = logging.getLogger("oracle")
        self.by_record = plan["settings"]["durability"] == "record"
        self.stopping = threading.Event()
        self._prefix = f"{plan['number']}-{child}"
        self._numbers = itertools.count()
        # Guards what follows: the ids whose calls returned, by the handler that took them.
        self._lock = threading.Lock()
        self._handlers: dict[Seen, Any] = {}
        self._returned: dict[Seen, list[str]] = {}

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

    def adopt_handlers(self, parent: Worker) -> None:
        """In a forked child: the handlers of the parent are ours as well. Locks are not looked at."""
        self._handlers = dict(parent._handlers)

    def log_one(self) -> None:
        """Log the next id; it is told now or when it is in the spool, as the durability promises."""
        identity = f"{self._prefix}-{next(self._numbers)}"
        record = record_of(self.plan["seed"], identity)
        _local.seen = None
        dropped = self._dropped()
        if record.raises:
            try:
                raise ValueError(identity)
            except ValueError:
                self.log.log(record.level, "%s", record.message, extra=record.extra, exc_info=True)
        else:
            self.log.log(record.level, "%s", record.message, extra=record.extra)
        if _local.seen is None:
            return
        if self.by_record:
            # A full queue turns records away, and counts them: ours perhaps.
            if self._dropped() == dropped:
                tell("t", [identity])
            return
        with self._lock:
            self._returned.setdefault(_local.seen, []).append(identity)

    def _dropped(self) -> int:
        return sum(handler._pipeline.ledger.dropped for handler in list(self._handlers.values()))

    def run(self) -> None:
        """A thread that logs, at a rate that changes."""
        rng = random.Random(self.rng.random())
        while not self.stopping.is_set():
            pause = rng.choice((0.0, 0.0005, 0.002, 0.01)) * self.plan["pause"]
            for _ in range(rng.randrange(1, 120)):
                self.log_one()
                if self.stopping.is_set() or self.stopping.wait(pause):
                    return

    def tell_spooled(self) -> bool:
        """Tell the ids that have left memory. False when some have not."""
        with self._lock:
            waiting, self._returned = self._returned, {}
            handlers = dict(self._handlers)
        for seen, identities in list(waiting.items()):
            if seen not in handlers:
                continue
            pipeline = handlers[seen]._pipeline
            with pipeline.ledger.lock:
                mark = pipeline.ledger.passed + len(pipeline.queue)
            deadline = time.monotonic() + 5
            while pipeline.listener.put_to < mark and time.monotonic() < deadline:
                time.sleep(0.002)
            if pipeline.listener.put_to >= mark:
                # At exit nobody waits for room in the queue, and which records had to go is not known.
                if set(pipeline.stats().dropped) <= {"spool_damaged"}:
                    tell("t", identities)
                del waiting[seen]
        with self._lock:
            for seen, identities in waiting.items():
                self._returned.setdefault(seen, []).extend(identities)
        return not waiting

    def tell_returned(self) -> None:
        """After an exit that drained: everything is out of memory, unless it was said that time did not suffice."""
        with self._lock:
            for seen, identities in self._returned.items():
                if set(self._handlers[seen].stats().dropped) <= {"spool_damaged"}:
                    tell("t", identities)

    def tell_end(self) -> None:
        """After an exit that drained: what became of it all."""
        for handler in self._handlers.values():
            stats = handler.stats()
            told = {
                "accepted": stats.accepted,
                "settled": stats.delivered + sum(stats.dropped.values()) + stats.dead_lettered,
                "dropped": dict(stats.dropped),
                "pending": stats.pending,
                "requests": stats.requests,
                "outbox": len(handler._pipeline.outbox),
            }
            tell("e", [json.dumps(told, separators=(",", ":"))])


def hurry(patience: dict[str, float]) -> None:
    """Make the waits shorter that would make the run long: it is their order that is tested, not their length."""
    from logcollector_handler.delivery import answers, suspects
    from logcollector_handler.delivery.spool import lookout

    answers.BACKOFF_LIMIT = patience["backoff"]  # type: ignore[misc]  # a constant everywhere else
    suspects.CONFIGURATION_RETRY = patience["configuration"]  # type: ignore[attr-defined]  # imported there
    lookout.LOOK_EVERY = patience["look"]  # type: ignore[misc]  # as above


def fork(worker: Worker, child: int) -> None:
    """Fork a child that logs a few ids, tells which are safe, and ends at once."""
    if os.fork():
        return
    status = 1
    try:
        mine = Worker(worker.plan, child)
        mine.adopt_handlers(worker)
        for _ in range(mine.rng.randrange(1, 200)):
            mine.log_one()
        if not mine.by_record:
            mine.tell_spooled()
        if mine.rng.random() < 0.3:
            next(reversed(mine._handlers.values())).flush(0.5)
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    """Follow the plan."""
    # The driver asks where the threads are, when a process does not end.
    faulthandler.register(signal.SIGUSR1)
    plan = json.loads(sys.argv[1])
    ending = plan["ending"]
    worker = Worker(plan, HEIR if ending == "heir" else 0)
    # Registered before the package is imported, hence run after it has drained.
    atexit.register(worker.tell_end)
    if ending in ("exit", "heir") and not worker.by_record:
        atexit.register(worker.tell_returned)
    hurry(plan["patience"])
    worker.configure()
    threads = [threading.Thread(target=worker.run, daemon=True) for _ in range(plan["threads"])]
    if not worker.by_record:
        threading.Thread(target=_tell_always, args=(worker,), daemon=True).start()
    for thread in threads:
        thread.start()
    if ending == "heir":
        sys.stdin.read()
    else:
        _act(worker, plan)
    if ending == "os._exit":
        os._exit(0)
    if ending == "killed":
        # It ends without the driver, too.
        sys.stdin.read()
        os._exit(1)
    if ending in ("exit", "heir"):
        worker.stopping.set()
        for thread in threads:
            thread.join()
    if ending == "heir":
        handler = next(reversed(worker._handlers.values()))
        tell("h", [str(handler.flush(50)), str(len(handler._pipeline.outbox))])


def _tell_always(worker: Worker) -> None:
    while True:
        worker.tell_spooled()
        time.sleep(0.01)


def _act(worker: Worker, plan: dict[str, Any]) -> None:
    deeds: dict[str, Callable[[int], None]] = {
        "fork": lambda number: fork(worker, number),
        "close": lambda _: logging.getLogger().handlers[0].close(),
        "configure": lambda _: worker.configure(),
        "flush": lambda _: logging.getLogger().handlers[0].flush(),
    }
    began = time.monotonic()
    for number, (when, deed) in enumerate(plan["deeds"], 1):
        time.sleep(max(0.0, began + when - time.monotonic()))
        deeds[deed](number)
    time.sleep(max(0.0, began + plan["seconds"] - time.monotonic()))


if __name__ == "__main__":
    main()
