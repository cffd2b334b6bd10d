"""The harness of the pipeline: all its parts put together, and a test that plays its threads.

`PipelineBench` is what the tests of the queue, the journal, the listener, the threads and the process's end have in
common. `alive` has threads live in some roles, `FakeThreads` notes which are started, and `records_add_up` is the law
that holds after every step.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event, get_ident
from types import SimpleNamespace
from typing import Any, Final

import pytest

from logcollector_handler.delivery import threads as threads_module
from logcollector_handler.delivery.journal import Journal
from logcollector_handler.delivery.journal_file import JournalFile
from logcollector_handler.delivery.pipeline import Pipeline, entry_builder
from logcollector_handler.delivery.sender import Transport
from logcollector_handler.delivery.states import Role, State
from logcollector_handler.delivery.workers import Workers
from logcollector_handler.settings import Settings
from logcollector_handler.stats import Stats
from logcollector_handler.wire.compression import decompress
from tests.bodies import entries_in
from tests.delivery.harness import FakeClock, ScriptedTransport

#: Seconds that a test waits for what must come. It comes in milliseconds, but the machine may be busy.
PATIENCE: Final = 60.0
#: Seconds for which a thread that ought to wait for the test is given the chance to go on without it.
CHANCE: Final = 0.2
#: Which threads live in which state.
LIVING: Final[Mapping[State, tuple[Role, ...]]] = {
    State.IDLE: (),
    State.RUNNING: (Role.LISTENER, Role.SENDER),
    State.SENDING: (Role.SENDER,),
    State.LISTENING: (Role.LISTENER,),
}


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
        self.scripted = ScriptedTransport(wire=self.settings.wire)
        network = transport or self.scripted
        self.pipeline = Pipeline(self.settings, entry_builder(self.settings), self.clock, lambda *_: network)
        if type(self.clock) is FakeClock:
            # At exit the thread that is ending the process waits between two attempts.
            self.pipeline.sender.wait = self._pass  # type: ignore[method-assign]
        #: How often a logging call, or anything else, wanted the threads to be started.
        self.starts = 0
        self.on_start: Callable[[], bool] = lambda: True
        self.pipeline.workers._start = self._start  # type: ignore[method-assign]  # no thread is started

    def _start(self, *, reopen: bool) -> bool:
        self.starts += 1
        return self.on_start()

    def _pass(self, seconds: float | None) -> None:
        assert seconds is not None, "nobody would wake it"
        self.clock.advance(seconds)

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
        return [entry.message for entry in self.pipeline.queue.entries if entry]  # type: ignore[union-attr]  # in memory

    @property
    def journal(self) -> Journal:
        assert isinstance(self.pipeline.queue, Journal)
        return self.pipeline.queue

    @property
    def files(self) -> list[JournalFile]:
        """The open files that the listener has not taken, the one that is written to last."""
        return list(self.journal.files)

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
    bench.pipeline.workers._threads._by_role = threads


def handed_over(root: Path) -> list[str]:
    """The messages that lie in a spool for whoever sends them, in the order of the names of their files."""
    found = []
    for path in sorted(root.glob("*/*")):
        owner = path.name[: len("0" * 12 + "-" + "0" * 16)]
        if path.suffix not in (".open", ".json", ".gz") or (path.parent / f"{owner}.lock").exists():
            continue
        try:
            body = path.read_bytes()
        except FileNotFoundError:  # It was renamed just now: it was its writer's.
            continue
        if path.suffix == ".open":
            found += [json.loads(line)["message"] for line in body.splitlines()]
        else:
            plain = decompress(body) if path.suffix == ".gz" else body
            found += [entry["message"] for entry in entries_in(plain, "collector")]
    return found


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    """Have another thread do something in between: it has ended, or waits for the caller, when this returns."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(CHANCE)
    return thread


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again and again, because nobody tells the test when it comes."""
    pause = Event()
    assert any(holds() or pause.wait(0.002) for _ in range(int(PATIENCE / 0.002))), "it did not come"


def records_add_up(stats: Stats) -> bool:
    """Whether each accepted record is in one place, and no count is negative."""
    places = [stats.delivered, *stats.dropped.values(), stats.dead_lettered, stats.handed_over, stats.pending]
    return stats.accepted == sum(places) and min(places) >= 0


class FakeThreads:
    """Stands for `threading` and `_thread` in `delivery.threads`: notes which threads are started, runs none.

    The thread that starts the others is run at once, in the caller, or by `run_starters` if `hold_starters` is set.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bench: PipelineBench) -> None:
        self.started: list[Role] = []
        #: Attempts to start a thread fail that often, from now on: the starter's, and those of each role.
        self.starter_fails = 0
        self.fails: Counter[Role] = Counter()
        self.hold_starters = False
        self._held: list[Callable[[], object]] = []
        fake: Any = SimpleNamespace(Thread=self._make, start_new_thread=self._start_new_thread, get_ident=get_ident)
        monkeypatch.setattr(threads_module, "threading", fake)
        monkeypatch.setattr(threads_module, "_thread", fake)
        real = Workers._start
        monkeypatch.setattr(bench.pipeline.workers, "_start", lambda **how: real(bench.pipeline.workers, **how))

    def _start_new_thread(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if self.starter_fails:
            self.starter_fails -= 1
            raise RuntimeError("can't start new thread")
        self._held.append(lambda: function(*arguments))
        if not self.hold_starters:
            self.run_starters()

    def run_starters(self) -> None:
        while self._held:
            self._held.pop(0)()

    def _make(self, *, target: Callable[[], None], name: str, daemon: bool) -> Any:
        assert daemon, "the interpreter would wait for it for ever"
        return _FakeThread(self, Role(name))


class _FakeThread:
    def __init__(self, threads: FakeThreads, role: Role) -> None:
        self._threads = threads
        self._role = role
        self._lives = False

    def start(self) -> None:
        if self._threads.fails[self._role]:
            self._threads.fails[self._role] -= 1
            raise RuntimeError("can't start new thread")
        self._threads.started.append(self._role)
        self._lives = True

    def is_alive(self) -> bool:
        return self._lives
