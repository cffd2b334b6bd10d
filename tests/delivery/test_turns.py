"""Who logs and who waits in line while the queue is crowded."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler import LogCollectorHandler
from logcollector_handler.delivery import turns as turns_module
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.process import own_work
from logcollector_handler.delivery.turns import Turns
from logcollector_handler.testing import CollectorServer
from tests.delivery.harness import FakeClock
from tests.delivery.pipelines import PipelineBench, RunningClock


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in line wait for their turn, however long that takes."""
    monkeypatch.setattr(turns_module, "_PER_ENTRY", 60.0)
    monkeypatch.setattr(turns_module, "_LONGEST", 60.0)


def start(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def has_line(turns: Turns, length: int) -> bool:
    deadline = time.monotonic() + 60
    while len(turns._line) != length and time.monotonic() < deadline:
        time.sleep(0.001)
    return len(turns._line) == length


def ended(*threads: threading.Thread) -> bool:
    for thread in threads:
        thread.join(60)
    return not any(thread.is_alive() for thread in threads)


@pytest.mark.usefixtures("patient")
def test_callers_take_turns_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(SystemClock()), []
    turns.begin()

    def call(name: str) -> None:
        turns.take()
        order.append(name)
        turns.take()

    threads = []
    for number, name in enumerate("abc"):
        threads.append(start(lambda name=name: call(name)))  # type: ignore[misc]  # mypy knows no default here
        assert has_line(turns, number + 1)
    assert order == []
    turns.take()
    assert order == ["a", "b", "c"]
    turns.end()
    assert ended(*threads)


def test_who_is_alone_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turns, "_wait", lambda *_: pytest.fail("it waited"))
    turns = Turns(SystemClock())
    turns.begin()
    turns.take()


def test_who_has_waited_in_vain_does_not_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(SystemClock())
    turns.begin()
    turns._turn = 0
    turns.take()
    monkeypatch.setattr(Turns, "_wait", lambda *_: pytest.fail("it waited"))
    turns.take()


def test_those_in_line_go_on_if_the_thread_whose_turn_it_is_does_not_log_any_more() -> None:
    turns = Turns(SystemClock())
    turns.begin()
    threads = [start(turns.take) for _ in range(3)]
    assert ended(*threads)
    assert turns._turn in {thread.ident for thread in threads}


class ScriptedLock:
    """The lock of a caller in line to whom nobody makes way. Others do `others` times, each after half the time."""

    def __init__(self, turns: Turns, clock: FakeClock, others: int) -> None:
        self._turns = turns
        self._clock = clock
        self._others = others

    def acquire(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return True
        assert timeout > 0
        if self._others:
            self._others -= 1
            self._clock.advance(timeout / 2)
            self._turns._made_way = self._clock.monotonic()
            timeout /= 2
        self._clock.advance(timeout)
        return False

    def release(self) -> None:
        raise RuntimeError


@pytest.mark.parametrize(("others", "least", "most"), [(0, 0.0035, 0.005), (3, 0.02, 0.049), (1000, 0.0499, 0.0501)])
def test_a_caller_waits_longer_while_others_make_way_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, others: int, least: float, most: float
) -> None:
    """Without that, a machine that is slower than expected would have all callers log at once."""
    clock = FakeClock()
    turns = Turns(clock)
    turns.begin()
    # The turn is another thread's.
    turns._turn = 0
    monkeypatch.setattr(threading, "Lock", lambda: ScriptedLock(turns, clock, others))
    before = clock.monotonic()
    turns.take()
    assert least <= clock.monotonic() - before <= most
    assert turns._turn == threading.get_ident()


@pytest.mark.usefixtures("patient")
def test_no_turns_are_taken_when_the_queue_was_not_crowded_for_a_while() -> None:
    clock = FakeClock()
    turns = Turns(clock)
    turns.begin()
    thread = start(turns.take)
    assert has_line(turns, 1)
    clock.advance(1.0)
    turns.take()
    assert not turns.until
    assert ended(thread)


@pytest.mark.usefixtures("patient")
def test_turns_are_taken_as_long_as_callers_log_at_full_speed() -> None:
    clock = FakeClock()
    turns = Turns(clock)
    turns.begin()

    def call() -> None:
        while turns.until:
            turns.take()

    thread = start(call)
    for _ in range(3):
        for _ in range(15_000 // turns_module._TURN):
            assert has_line(turns, 1)
            turns.take()
        clock.advance(1.0)
    assert turns.until
    turns.end()
    assert ended(thread)


# In the queue


def crowded(monkeypatch: pytest.MonkeyPatch) -> PipelineBench:
    """A queue in which another thread has the turn, and the next call of this one would wait in line."""
    bench = PipelineBench(RunningClock(), max_queue_size=1600, batch_size=100)
    queue: Any = bench.pipeline.queue
    bench.log("a")
    queue.relax(100)
    start(lambda: bench.log(*"b" * 199)).join(60)
    assert queue._turns.until
    monkeypatch.setattr(Turns, "_wait", lambda *_: pytest.fail("it waited"))
    return bench


def test_callers_take_turns_when_the_listener_does_not_come_although_it_was_woken() -> None:
    bench = PipelineBench(RunningClock(), max_queue_size=1600, batch_size=100)
    queue: Any = bench.pipeline.queue
    bench.log("a")
    queue.relax(100)
    bench.log(*"b" * 198)
    assert bench.starts == 2
    assert not queue._turns.until
    bench.log("c")
    assert queue._turns.until
    assert bench.starts == 2


def test_a_caller_whose_turn_it_is_not_waits_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = crowded(monkeypatch)
    with pytest.raises(pytest.fail.Exception, match="it waited"):
        bench.log(*"c" * 1000)


def test_an_event_loop_does_not_wait_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = crowded(monkeypatch)

    async def application() -> None:
        bench.log(*"c" * 1000)

    asyncio.run(application())
    assert bench.stats().accepted == 1200


def test_a_signal_handler_does_not_wait_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = crowded(monkeypatch)
    before = signal.signal(signal.SIGUSR1, lambda *_: bench.log(*"c" * 1000))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert bench.stats().accepted == 1200


def test_our_own_threads_do_not_wait_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = crowded(monkeypatch)
    with own_work():
        bench.log(*"c" * 1000)
    assert bench.stats().accepted == 1200


def test_nobody_waits_in_line_for_a_listener_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PipelineBench(RunningClock(), max_queue_size=1600, batch_size=100)
    bench.pipeline.queue.is_stuck = True
    monkeypatch.setattr(Turns, "_wait", lambda *_: pytest.fail("it waited"))
    start(lambda: bench.log(*"a" * 500)).join(60)
    bench.log(*"b" * 500)
    assert bench.stats().accepted == 1000


@pytest.mark.usefixtures("patient")
def test_the_end_of_the_process_calls_those_in_line() -> None:
    bench = PipelineBench(RunningClock(), max_queue_size=1600, batch_size=100)
    queue: Any = bench.pipeline.queue
    queue._turns.begin()
    thread = start(queue._turns.take)
    assert has_line(queue._turns, 1)
    queue.begin_exit()
    assert ended(thread)


def test_a_caller_that_looks_later_does_not_undo_the_length_at_which_the_listener_is_to_be_woken() -> None:
    """The next record would wake nobody, and lie in the queue for ever."""
    bench = PipelineBench(RunningClock(), max_queue_size=1600, batch_size=100)
    queue: Any = bench.pipeline.queue

    class Until(float):
        def __bool__(self) -> bool:
            # The listener has taken everything and waits.
            queue.entries.clear()
            queue._turns.until = 0.0
            queue.relax(1)
            return False

    bench.log("a")
    queue._turns.until = Until()
    queue.attend(lambda: True, lambda: True)
    assert queue.threshold == 1
    bench.log("b")
    assert bench.starts == 2


def test_records_that_many_threads_log_at_once_all_arrive() -> None:
    """With a queue that is crowded most of the time."""
    with CollectorServer() as server:
        handler = LogCollectorHandler(
            server_url=server.url, max_queue_size=1600, batch_size=100, overflow="block", service="shop"
        )
        log = logging.Logger("shop")  # noqa: LOG001 - of this test alone
        log.addHandler(handler)

        def work() -> None:
            for number in range(500):
                log.info("order %d", number)

        try:
            assert ended(*[start(work) for _ in range(16)])
            assert handler.flush(60)
            assert handler.stats().delivered == 8000
            assert len(server.entries) == 8000
        finally:
            handler.close()
