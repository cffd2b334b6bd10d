"""The two threads for real: never two listeners or two senders, and each record is sent once, whoever is in a hurry."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.process import own_work
from logcollector_handler.delivery.states import Role, State
from tests.delivery.pipelines import PATIENCE, PipelineBench, RunningClock, records_add_up, wait_until


def make(**changes: Any) -> PipelineBench:
    """A bench whose threads start."""
    bench = PipelineBench(RunningClock(), **changes)
    del bench.pipeline.workers._start
    return bench


class Watch:
    """Notes how many threads are in a method at once, and most of all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: object, method: str) -> None:
        self._inside: set[int] = set()
        self.most = 0
        real = getattr(owner, method)

        def watched() -> Any:
            self._inside.add(threading.get_ident())
            self.most = max(self.most, len(self._inside))
            try:
                return real()
            finally:
                self._inside.discard(threading.get_ident())

        monkeypatch.setattr(owner, method, watched)


@pytest.fixture
def _eager_switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*acts: Callable[[], object]) -> None:
    """Run these at the same time, each in a thread."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        act()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def see_out(bench: PipelineBench) -> None:
    running = list(bench.pipeline.workers._threads._by_role.values())
    bench.pipeline.workers.close(PATIENCE)
    for thread in running:
        thread.join(PATIENCE)
    wait_until(lambda: bench.pipeline.workers.state is State.IDLE)


@pytest.mark.usefixtures("_eager_switching")
def test_there_is_one_listener_and_one_sender_however_many_start_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(20):
        bench = make()
        listening = Watch(monkeypatch, bench.pipeline.listener, "run")
        sending = Watch(monkeypatch, bench.pipeline.sender, "step")
        together(*[partial(bench.pipeline.workers._start, reopen=True)] * 8)
        bench.log("a")
        see_out(bench)
        assert (listening.most, sending.most) == (1, 1)
        assert bench.scripted.stored == ["a"]


@pytest.mark.usefixtures("_eager_switching")
def test_there_is_one_of_each_while_some_log_and_others_close_and_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make(flush_interval=0.001, batch_size=20)
    listening = Watch(monkeypatch, bench.pipeline.listener, "run")
    sending = Watch(monkeypatch, bench.pipeline.sender, "step")
    workers = bench.pipeline.workers

    def log(name: str) -> None:
        for number in range(300):
            bench.log(f"{name}{number}", level=logging.ERROR if number % 50 == 0 else logging.INFO)

    def close() -> None:
        for _ in range(100):
            workers.close(0.005)
            workers.flush(0.001)

    together(*[lambda name=name: log(name) for name in "abcd"], close, close)
    see_out(bench)
    assert (listening.most, sending.most) == (1, 1)
    assert sorted(bench.scripted.stored) == sorted(f"{name}{number}" for name in "abcd" for number in range(300))
    assert len(bench.scripted.stored) == bench.stats().delivered == 1200
    assert records_add_up(bench.stats())


@pytest.mark.parametrize("role", Role)
def test_a_record_that_comes_while_a_thread_ends_is_sent_without_another(
    monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    bench = make(flush_interval=0.001)
    late = ["late"]
    owner, method = (bench.pipeline.queue, "relax") if role is Role.LISTENER else (bench.pipeline.outbox, "close")
    real = getattr(owner, method)

    def log_late(*arguments: Any) -> None:
        # The listener calls that when it has ended, the sender when it ends.
        ended = role is Role.SENDER or not bench.pipeline.workers._threads.lives(Role.LISTENER)
        if late and bench.stats().accepted and ended:
            bench.log(late.pop())
        real(*arguments)

    bench.log("early")
    monkeypatch.setattr(owner, method, log_late)
    bench.pipeline.workers.close(0.0)
    wait_until(lambda: bench.scripted.stored == ["early", "late"])
    see_out(bench)


def test_one_thread_that_could_not_be_started_is_started_by_the_next_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make()
    real = threading.Thread.start
    failed: list[str] = []

    def start(thread: threading.Thread) -> None:
        if thread.name == Role.SENDER.value and not failed:
            failed.append(thread.name)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    bench.log("a")
    wait_until(lambda: bool(failed) and bench.pipeline.workers.state is State.LISTENING)
    bench.log("b")
    wait_until(lambda: bench.pipeline.workers.state is State.RUNNING)
    see_out(bench)
    assert bench.scripted.stored == ["a", "b"]
    assert "can't start new thread" in capsys.readouterr().err


def test_after_close_the_next_record_starts_the_threads_again() -> None:
    bench = make()
    for number, message in enumerate(("one", "two", "three"), 1):
        bench.log(message)
        assert not bench.pipeline.listener.is_stopping, "a record waits for others again"
        see_out(bench)
        assert len(bench.scripted.stored) == number
    assert bench.scripted.stored == ["one", "two", "three"]


def test_a_pipeline_that_was_closed_is_let_go() -> None:
    bench = make()
    bench.log("one")
    see_out(bench)
    gone = weakref.ref(bench.pipeline)
    workers = weakref.ref(bench.pipeline.workers)
    assert ending._live == set()
    del bench

    def collected() -> bool:
        # The threads have said that they end, and may still be at it.
        gc.collect()
        return gone() is None and workers() is None

    wait_until(collected)


def test_an_entry_that_a_finalizer_in_a_thread_of_ours_hands_in_is_counted_at_once_and_sent_without_another(
    tmp_path: Path,
) -> None:
    bench = make(spool_dir=str(tmp_path), durability="record", flush_interval=0.05)

    def finalizer() -> None:
        with own_work():
            bench.log("in our thread")
            counted.append(bench.stats().accepted)

    counted: list[int] = []
    thread = threading.Thread(target=finalizer)
    thread.start()
    thread.join(PATIENCE)
    assert counted == [1]
    wait_until(lambda: bench.stats().delivered == 1)
    see_out(bench)
    assert bench.scripted.stored == ["in our thread"]
