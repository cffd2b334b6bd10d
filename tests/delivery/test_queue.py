"""The caller's end of the queue: when it wakes, when it waits, and what a full queue does."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler.delivery.process import own_work
from logcollector_handler.entry.model import LogEntry
from tests.delivery.pipelines import PipelineBench, RunningClock


def make(overflow: str = "drop_oldest", max_size: int = 3) -> PipelineBench:
    return PipelineBench(RunningClock(), overflow=overflow, max_queue_size=max_size)


def drop_all(bench: PipelineBench) -> None:
    """The listener takes everything from the queue."""
    bench.pipeline.queue.take(100, bench.pipeline.ledger)
    bench.pipeline.queue.moved()


def test_the_first_record_wakes_and_the_next_do_not() -> None:
    bench = make()
    bench.log("a", "b", "c")
    assert bench.starts == 1


def test_the_listener_is_woken_again_at_the_length_that_it_waits_for() -> None:
    bench = make(max_size=100)
    bench.log("a")
    bench.pipeline.queue.relax(5)
    bench.log("b", "c", "d")
    assert bench.starts == 1
    bench.log("e", "f", "g")
    assert bench.starts == 2


def test_a_wake_that_failed_is_tried_again_with_the_next_record() -> None:
    bench = make()
    bench.on_start = lambda: False
    bench.log("a", "b", "c")
    assert bench.starts == 3


def test_a_caller_waits_for_room_as_long_as_the_listener_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make(max_size=1000)
    queue, waits = bench.pipeline.queue, 0

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        nonlocal waits
        waits += 1
        if waits == 1:
            bench.log("a")
            bench.pipeline.listener.handle(queue.take(1, bench.pipeline.ledger))
        return False

    monkeypatch.setattr(queue._waiters, "wait", wait)
    queue.wait_for_room()
    assert waits == 2, "in the second wait the listener did nothing"
    assert queue.is_stuck
    bench.log("b")
    bench.pipeline.listener.handle(queue.take(1, bench.pipeline.ledger))
    assert not queue.is_stuck


def test_a_full_queue_gives_up_the_oldest() -> None:
    bench = make("drop_oldest")
    bench.log(*"abcde")
    assert bench.queued == ["c", "d", "e"]
    assert bench.stats().dropped == {"queue_full": 2}
    assert bench.stats().accepted == 5


def test_a_full_queue_gives_up_the_newest() -> None:
    bench = make("drop_newest")
    bench.log(*"abcde")
    assert bench.queued == ["a", "b", "c"]
    assert bench.stats().accepted == 5


def test_a_full_queue_lets_the_listener_run_before_anything_is_dropped() -> None:
    bench = make()
    bench.log("a", "b", "c")

    def listener_runs() -> bool:
        threading.Thread(target=drop_all, args=(bench,)).start()
        return True

    bench.on_start = listener_runs
    bench.log("d")
    assert bench.stats().dropped == {}


def test_a_caller_waits_in_vain_only_once_until_the_listener_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    waits: list[float] = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(bench.pipeline.queue._waiters, "wait", wait)
    bench.log(*"abcdefgh")
    assert waits == [0.02]
    drop_all(bench)
    bench.log(*"abcdefgh")
    assert waits == [0.02, 0.02]


def test_a_caller_to_whom_others_leave_no_room_waits_as_long_as_the_listener_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixteen threads at full speed took the room from each other, and what they dropped was no listener's fault."""
    bench = make(max_size=3)
    queue: Any = bench.pipeline.queue
    bench.log("a", "b", "c")
    waits = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) < 4:
            # The listener takes one, and another caller is faster.
            queue.take(1, bench.pipeline.ledger)
            queue.moved()
            queue.entries.append(queue.entries[0])
        return holds()

    monkeypatch.setattr(bench.pipeline.queue._waiters, "wait", wait)
    bench.log("d")
    assert waits == [0.02] * 4
    assert bench.stats().dropped == {"queue_full": 1}


def test_block_waits_until_there_is_room() -> None:
    bench = make("block")
    bench.log("a", "b", "c")
    blocked = threading.Event()
    bench.on_start = lambda: blocked.set() or True  # type: ignore[func-returns-value]  # set, and go on
    thread = threading.Thread(target=bench.log, args=("d",))
    thread.start()
    assert blocked.wait(60)
    thread.join(0.05)
    assert thread.is_alive()
    bench.pipeline.queue.take(1, bench.pipeline.ledger)
    bench.pipeline.queue.moved()
    thread.join(60)
    assert not thread.is_alive()
    assert bench.queued == ["b", "c", "d"]


def test_block_lets_go_when_the_process_goes_down() -> None:
    bench = make("block")
    bench.log("a", "b", "c")
    bench.pipeline.queue.exiting = True
    bench.log("d")
    assert bench.queued == ["a", "b", "c"]


def never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> PipelineBench:
    bench = make(overflow)
    bench.log("a", "b", "c")
    monkeypatch.setattr(bench.pipeline.queue._waiters, "wait", lambda *_: pytest.fail("it waited"))
    return bench


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_an_event_loop_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    bench = never_waits(monkeypatch, overflow)

    async def application() -> None:
        bench.log("d")

    asyncio.run(application())
    assert bench.queued == ["a", "b", "c"]


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_a_signal_handler_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    bench = never_waits(monkeypatch, overflow)
    before = signal.signal(signal.SIGUSR1, lambda *_: bench.log("d"))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert bench.stats().dropped == {"queue_full": 1}


class Speaker:
    """A callable object: its code is not found on itself."""

    def __init__(self, bench: PipelineBench) -> None:
        self._bench = bench

    def __call__(self, *_: object) -> None:
        self._bench.log("d")


@pytest.mark.parametrize("kind", [Speaker, lambda bench: functools.partial(Speaker.__call__, Speaker(bench))])
def test_a_signal_handler_of_any_kind_never_waits(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[PipelineBench], Any]
) -> None:
    bench = never_waits(monkeypatch, "block")
    before = signal.signal(signal.SIGUSR1, kind(bench))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert bench.stats().dropped == {"queue_full": 1}


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_a_gc_callback_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    bench = never_waits(monkeypatch, overflow)

    def callback(phase: str, info: dict[str, int]) -> None:
        bench.log("d")

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert bench.stats().dropped == {"queue_full": 2}


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_a_finalizer_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    bench = never_waits(monkeypatch, overflow)

    class Loud:
        def __del__(self) -> None:
            bench.log("d")

    loud = Loud()
    del loud
    gc.collect()
    assert bench.stats().dropped == {"queue_full": 1}


def test_our_own_threads_never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = never_waits(monkeypatch, "block")
    with own_work():
        bench.log("d")
    assert bench.stats().dropped == {"queue_full": 1}


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_what_interrupts_the_counting_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    """The listener needs the same lock to make room."""
    bench = never_waits(monkeypatch, overflow)
    with bench.pipeline.ledger.lock:
        bench.log("d")
    assert bench.stats().dropped == {"queue_full": 1}


def test_an_error_in_the_handler_is_counted_and_not_raised(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()

    def broken(record: logging.LogRecord) -> LogEntry:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.pipeline.handler, "prepare", broken)
    bench.log("a")
    assert bench.stats().dropped == {"internal_error": 1}
    assert bench.stats().accepted == 1
    assert "shop" in capsys.readouterr().err
