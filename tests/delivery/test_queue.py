"""The caller's end of the queue: when it wakes, when it waits, and what a full queue does."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.process import own_work
from logcollector_handler.delivery.queue import RecordQueueHandler
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.entry.model import Entry, LogEntry


class Bench:
    def __init__(self, overflow: str = "drop_oldest", max_size: int = 3) -> None:
        self.queue: deque[Entry] = deque()
        self.ledger = Ledger(self.queue.__len__)
        self.woken = 0
        self.on_wake: Callable[[], bool] = lambda: True
        self.handler = RecordQueueHandler(
            build=self.build,
            max_size=max_size,
            overflow=overflow,
            ledger=self.ledger,
            reporter=Reporter(),
            clock=SystemClock(),
            queue=self.queue,
            wake=self.wake,
        )

    def build(self, record: logging.LogRecord) -> LogEntry:
        return LogEntry("INFO", record.getMessage(), record.created, "BACKEND")

    def wake(self) -> bool:
        self.woken += 1
        return self.on_wake()

    def log(self, *messages: str) -> None:
        for message in messages:
            self.handler.emit(logging.LogRecord("shop", 20, __file__, 1, message, None, None))

    @property
    def messages(self) -> list[str]:
        return [entry.message for entry in self.queue]


def test_the_first_record_wakes_and_the_next_do_not() -> None:
    bench = Bench()
    bench.log("a", "b", "c")
    assert bench.woken == 1


def test_the_listener_is_woken_again_at_the_length_that_it_waits_for() -> None:
    bench = Bench(max_size=100)
    bench.log("a")
    bench.handler.relax(5)
    bench.log("b", "c", "d")
    assert bench.woken == 1
    bench.log("e", "f", "g")
    assert bench.woken == 2


def test_a_wake_that_failed_is_tried_again_with_the_next_record() -> None:
    bench = Bench()
    bench.on_wake = lambda: False
    bench.log("a", "b", "c")
    assert bench.woken == 3


def test_a_full_queue_gives_up_the_oldest() -> None:
    bench = Bench("drop_oldest")
    bench.log(*"abcde")
    assert bench.messages == ["c", "d", "e"]
    assert bench.ledger.snapshot().dropped == {"queue_full": 2}
    assert bench.ledger.snapshot().accepted == 5


def test_a_full_queue_gives_up_the_newest() -> None:
    bench = Bench("drop_newest")
    bench.log(*"abcde")
    assert bench.messages == ["a", "b", "c"]
    assert bench.ledger.snapshot().accepted == 5


def test_a_full_queue_lets_the_listener_run_before_anything_is_dropped() -> None:
    bench = Bench()
    bench.log("a", "b", "c")

    def listener_runs() -> bool:
        threading.Thread(target=take).start()
        return True

    def take() -> None:
        bench.queue.clear()
        bench.handler.moved()

    bench.on_wake = listener_runs
    bench.log("d")
    assert bench.ledger.snapshot().dropped == {}


def test_a_caller_waits_in_vain_only_once_until_the_listener_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    waits: list[float] = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(bench.handler.waiters, "wait", wait)
    bench.log(*"abcdefgh")
    assert waits == [0.02]
    bench.queue.clear()
    bench.handler.moved()
    bench.log(*"abcdefgh")
    assert waits == [0.02, 0.02]


def test_a_caller_to_whom_others_leave_no_room_waits_as_long_as_the_listener_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixteen threads at full speed took the room from each other, and what they dropped was no listener's fault."""
    bench = Bench(max_size=3)
    bench.log("a", "b", "c")
    waits = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) < 4:
            # The listener takes one, and another caller is faster.
            bench.handler.take(1)
            bench.handler.moved()
            bench.queue.append(bench.queue[0])
        return holds()

    monkeypatch.setattr(bench.handler.waiters, "wait", wait)
    bench.log("d")
    assert waits == [0.02] * 4
    assert bench.ledger.snapshot().dropped == {"queue_full": 1}


def test_block_waits_until_there_is_room() -> None:
    bench = Bench("block")
    bench.log("a", "b", "c")
    blocked = threading.Event()
    bench.on_wake = lambda: blocked.set() or True  # type: ignore[func-returns-value]  # set, and go on
    thread = threading.Thread(target=bench.log, args=("d",))
    thread.start()
    assert blocked.wait(10)
    thread.join(0.05)
    assert thread.is_alive()
    bench.queue.popleft()
    bench.handler.moved()
    thread.join(10)
    assert not thread.is_alive()
    assert bench.messages == ["b", "c", "d"]


def test_block_lets_go_when_the_process_goes_down() -> None:
    bench = Bench("block")
    bench.log("a", "b", "c")
    bench.handler.exiting = True
    bench.log("d")
    assert bench.messages == ["a", "b", "c"]


def never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> Bench:
    bench = Bench(overflow)
    bench.log("a", "b", "c")
    monkeypatch.setattr(bench.handler.waiters, "wait", lambda *_: pytest.fail("it waited"))
    return bench


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_an_event_loop_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    bench = never_waits(monkeypatch, overflow)

    async def application() -> None:
        bench.log("d")

    asyncio.run(application())
    assert bench.messages == ["a", "b", "c"]


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_a_signal_handler_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    bench = never_waits(monkeypatch, overflow)
    before = signal.signal(signal.SIGUSR1, lambda *_: bench.log("d"))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert bench.ledger.snapshot().dropped == {"queue_full": 1}


class Speaker:
    """A callable object: its code is not found on itself."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __call__(self, *_: object) -> None:
        self._bench.log("d")


@pytest.mark.parametrize("kind", [Speaker, lambda bench: functools.partial(Speaker.__call__, Speaker(bench))])
def test_a_signal_handler_of_any_kind_never_waits(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[Bench], Any]
) -> None:
    bench = never_waits(monkeypatch, "block")
    before = signal.signal(signal.SIGUSR1, kind(bench))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert bench.ledger.snapshot().dropped == {"queue_full": 1}


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
    assert bench.ledger.snapshot().dropped == {"queue_full": 2}


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_a_finalizer_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    bench = never_waits(monkeypatch, overflow)

    class Loud:
        def __del__(self) -> None:
            bench.log("d")

    loud = Loud()
    del loud
    gc.collect()
    assert bench.ledger.snapshot().dropped == {"queue_full": 1}


def test_our_own_threads_never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = never_waits(monkeypatch, "block")
    with own_work():
        bench.log("d")
    assert bench.ledger.snapshot().dropped == {"queue_full": 1}


@pytest.mark.parametrize("overflow", ["drop_newest", "block"])
def test_what_interrupts_the_counting_never_waits(monkeypatch: pytest.MonkeyPatch, overflow: str) -> None:
    """The listener needs the same lock to make room."""
    bench = never_waits(monkeypatch, overflow)
    with bench.ledger.lock:
        bench.log("d")
    assert bench.ledger.snapshot().dropped == {"queue_full": 1}


def test_an_error_in_the_handler_is_counted_and_not_raised(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()

    def broken(record: logging.LogRecord) -> LogEntry:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.handler, "prepare", broken)
    bench.log("a")
    assert bench.ledger.snapshot().dropped == {"internal_error": 1}
    assert bench.ledger.snapshot().accepted == 1
    assert "shop" in capsys.readouterr().err
