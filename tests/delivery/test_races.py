"""Two threads at the same handler: one acts while the other is at one certain point of a call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler.delivery import children
from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.budget import Budget
from logcollector_handler.delivery.intake import Taken
from logcollector_handler.delivery.queue import EntryQueue
from logcollector_handler.delivery.states import Role, State
from logcollector_handler.delivery.workers import Workers
from tests.delivery.harness import FakeClock, Request, ok, status
from tests.delivery.pipelines import (
    CHANCE,
    PATIENCE,
    FakeThreads,
    PipelineBench,
    RunningClock,
    alive,
    meanwhile,
    wait_until,
)

LISTENER, SENDER = Role.LISTENER, Role.SENDER


def see_out(bench: PipelineBench, closing: threading.Thread) -> None:
    """The sender sends what there is, both threads end, and so does the close that waits for them."""
    bench.send()
    alive(bench)
    bench.pipeline.workers._changed.notify()
    closing.join(PATIENCE)
    assert not closing.is_alive()


@pytest.mark.usefixtures("threads")
def test_a_record_whose_call_is_about_to_start_the_threads_when_the_process_ends_is_sent(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, listener = bench.pipeline.workers, bench.pipeline.listener
    real = listener.resume

    def resume() -> None:
        meanwhile(workers.begin_exit).join()
        real()

    monkeypatch.setattr(listener, "resume", resume)
    bench.log("a")
    workers.finish_exit()
    assert bench.stats().dropped == {}
    assert bench.scripted.stored == ["a"]


def test_a_handler_that_is_closed_during_a_flush_stays_closed(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = bench.pipeline.workers
    bench.log("a")
    real = workers.wake

    def wake(**how: bool) -> bool:
        # The flush has found that it needs the listener. By the time that it wakes it, the listener has ended.
        meanwhile(lambda: workers.close(0.0)).join()
        bench.listen()
        alive(bench, SENDER)
        return real(**how)

    monkeypatch.setattr(workers, "wake", wake)
    workers.flush(0.0)
    assert threads.started == [LISTENER, SENDER, LISTENER]
    assert bench.pipeline.listener.is_stopping


def test_a_handler_that_is_closed_while_the_listener_ends_with_a_record_in_the_queue_stays_closed(
    bench: PipelineBench, threads: FakeThreads
) -> None:
    workers = bench.pipeline.workers
    threads.hold_starters = True
    alive(bench, LISTENER, SENDER)
    workers.close(0.0)
    # This finds the listener alive, which has looked at the queue for the last time.
    bench.log("a")
    alive(bench, SENDER)
    workers.close(0.0)
    workers._threads._after_the_end()
    assert bench.pipeline.listener.is_stopping
    bench.listen()
    assert bench.batches == [["a"]]


def test_a_close_waits_for_what_the_listener_takes_while_it_looks_which_threads_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = PipelineBench(RunningClock())
    workers, listener = bench.pipeline.workers, bench.pipeline.listener
    bench.log("a")
    real = workers._threads.lives
    taken: list[Taken] = []

    def lives(role: Role) -> bool:
        answer = real(role)
        if role is SENDER and listener.is_stopping and not taken:
            # No thread lived. Now the starter has its turn, and after it the listener.
            alive(bench, LISTENER, SENDER)
            take()
        return answer

    def take() -> None:
        batch, _ = listener.collect()
        assert batch is not None
        taken.append(batch)

    monkeypatch.setattr(workers._threads, "lives", lives)
    closing = meanwhile(lambda: workers.close(PATIENCE))
    assert closing.is_alive(), "nothing was sent yet"
    if not taken:
        alive(bench, LISTENER, SENDER)
        take()
    listener.handle(taken[0])
    see_out(bench, closing)
    assert bench.scripted.stored == ["a"]


def test_a_close_does_not_wait_for_threads_that_live_on_for_a_call_that_was_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = PipelineBench(RunningClock())
    workers, listener = bench.pipeline.workers, bench.pipeline.listener
    FakeThreads(monkeypatch, bench).hold_starters = True
    real = listener.resume
    closing: list[threading.Thread] = []

    def resume() -> None:
        closing.append(meanwhile(lambda: workers.close(PATIENCE)))
        wait_until(lambda: listener.is_stopping)
        real()

    monkeypatch.setattr(listener, "resume", resume)
    bench.log("a")
    assert closing[0].is_alive(), "nothing was sent yet"
    alive(bench, LISTENER, SENDER)
    listener.flush_to(1)
    bench.listen()
    bench.send()
    closing[0].join(PATIENCE / 2)
    assert not closing[0].is_alive()
    assert bench.scripted.stored == ["a"]


def test_a_flush_at_the_end_waits_for_another_thread_that_sends_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PipelineBench(RunningClock(), shutdown_timeout=PATIENCE)
    workers = bench.pipeline.workers
    workers.begin_exit()
    flushed: list[bool] = []
    flushing: list[threading.Thread] = []

    def log_and_flush() -> None:
        bench.log("b")
        flushed.append(workers.flush(PATIENCE))

    def answer(request: Request) -> Answer:
        if not flushing:
            flushing.append(meanwhile(log_and_flush))
        return ok(request)

    bench.scripted.rule = answer
    bench.log("a")
    flushing[0].join(PATIENCE)
    assert flushed == [True]
    assert bench.scripted.stored == ["a", "b"]


def test_a_record_is_not_given_up_because_the_sender_ends_just_when_it_is_left_to_it(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = bench.pipeline.workers
    alive(bench, SENDER)
    workers.begin_exit()
    real = workers._threads.lives

    def lives(role: Role) -> bool:
        answer = real(role)
        if role is SENDER and len(bench.pipeline.outbox):
            # It lived when it was asked for, and had nothing to send when it looked last.
            alive(bench)
        return answer

    monkeypatch.setattr(workers._threads, "lives", lives)
    bench.log("a")
    assert workers.state is State.IDLE
    workers.finish_exit()
    assert bench.stats().dropped == {}
    assert bench.scripted.stored == ["a"]


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_flush_does_not_take_records_for_sent_that_are_just_dropped(
    monkeypatch: pytest.MonkeyPatch, at_the_end: bool
) -> None:
    bench = PipelineBench(batch_size=1)
    workers, ledger = bench.pipeline.workers, bench.pipeline.ledger
    monkeypatch.setattr(bench.pipeline.outbox, "_max_memory", 1)
    bench.log("a")
    bench.listen()
    flushed: list[bool] = []
    flushing: list[threading.Thread] = []
    real_wait, real_drop = workers._progress.wait, ledger.drop

    def wait(*arguments: Any) -> bool:
        # The flush waits. Meanwhile its record is dropped; and just before that is counted, its time is up.
        waiting.set()
        looks.acquire(timeout=PATIENCE)
        return real_wait(*arguments)

    def drop(*arguments: Any, **keywords: Any) -> None:
        looks.release()
        flushing[0].join(CHANCE)
        real_drop(*arguments, **keywords)

    looks, waiting = threading.Semaphore(0), threading.Event()
    monkeypatch.setattr(workers._progress, "wait", wait)
    monkeypatch.setattr(ledger, "drop", drop)
    flushing.append(meanwhile(lambda: flushed.append(workers.flush(0.0))))
    assert waiting.wait(PATIENCE)
    if at_the_end:
        bench.pipeline.outbox.drop_memory("shutdown")
    else:
        bench.log("b")
        bench.listen()
    flushing[0].join(PATIENCE)
    assert flushed == [False]
    assert sum(bench.stats().dropped.values()) == 1


def test_a_flush_does_not_take_records_for_sent_that_are_given_up_while_the_listener_ends(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, ledger, progress = bench.pipeline.listener, bench.pipeline.ledger, bench.pipeline.workers._progress
    bench.log("a")
    before = ledger.dropped
    flushed: list[bool] = []
    looking: list[threading.Thread] = []
    real = ledger.drop_in_hand

    def look() -> None:
        # What the listener does when it finds the queue empty, and what a flush asks then.
        listener.collect()
        flushed.append(progress.is_settled(1) and ledger.dropped == before)

    def drop_in_hand(reason: str) -> int:
        looking.append(meanwhile(look))
        return real(reason)

    monkeypatch.setattr(ledger, "drop_in_hand", drop_in_hand)
    listener.give_up("shutdown")
    looking[0].join(PATIENCE)
    assert flushed == [False]


def test_time_that_is_over_is_counted_at_once(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(clock)
    left: list[float] = []
    real = budget._count

    def count(*arguments: Any) -> None:
        meanwhile(lambda: left.append(budget.left(5.0))).join()
        real(*arguments)

    monkeypatch.setattr(budget, "_count", count)
    budget.hold(lambda: clock.advance(4.0))
    assert left == [1.0]


def test_time_for_which_two_held_the_process_up_counts_once_where_both_are_done_at_the_same_moment(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(clock)
    real = budget._count
    others: list[threading.Thread] = []
    may_end = threading.Event()

    def work() -> None:
        clock.advance(1.0)
        others.append(meanwhile(lambda: budget.hold(lambda: may_end.wait(PATIENCE))))
        clock.advance(2.0)

    def count(*arguments: Any) -> None:
        if others and not may_end.is_set():
            # The first is done; before that is counted, the other one is done as well.
            monkeypatch.setattr(budget, "_count", count_later)
            may_end.set()
            done.acquire(timeout=PATIENCE)
            real(*arguments)
            go_on.set()
        else:
            real(*arguments)

    def count_later(*arguments: Any) -> None:
        done.release()
        go_on.wait(PATIENCE)
        real(*arguments)

    done, go_on = threading.Semaphore(0), threading.Event()
    monkeypatch.setattr(budget, "_count", count)
    budget.hold(work)
    others[0].join(PATIENCE)
    assert budget.left(5.0) == 2.0


def test_a_close_waits_for_the_attempt_that_it_has_made_where_the_settings_were_wrong() -> None:
    bench = PipelineBench(RunningClock(), batch_size=1)
    workers = bench.pipeline.workers
    suspects = bench.pipeline.sender._suspects  # type: ignore[attr-defined]  # it is a Sender
    alive(bench, LISTENER, SENDER)
    bench.scripted.script = [status(401)]
    bench.log("a")
    bench.listen()
    bench.send()
    # The sender comes to make it after the close has looked for the first time.
    closing = meanwhile(lambda: workers.close(PATIENCE))
    wait_until(lambda: suspects.is_hastened)
    assert closing.is_alive()
    see_out(bench, closing)
    assert bench.scripted.stored == ["a"]


def test_an_end_that_begins_just_when_a_request_has_failed_waits_no_longer_than_others(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspects = bench.pipeline.sender._suspects  # type: ignore[attr-defined]  # it is a Sender
    real = suspects.ended

    def ended(*arguments: Any, **keywords: Any) -> Any:
        ruling = real(*arguments, **keywords)
        meanwhile(bench.pipeline.workers.begin_exit).join()
        return ruling

    bench.scripted.script = [status(503)] * 10
    bench.log("a")
    bench.pipeline.workers._listener.flush_to(1)
    bench.listen()
    for _ in range(9):
        bench.clock.advance(60.0)
        bench.send()
    bench.clock.advance(60.0)
    with monkeypatch.context() as patch:
        patch.setattr(suspects, "ended", ended)
        bench.pipeline.sender.step()
    bench.pipeline.workers.finish_exit()
    assert bench.stats().dropped == {}
    assert bench.scripted.stored == ["a"]


class MovingQueue(EntryQueue):
    """A queue whose listener takes something just when a caller has waited in vain."""

    _is_stuck = False

    @property
    def is_stuck(self) -> bool:
        return self._is_stuck

    @is_stuck.setter
    def is_stuck(self, value: bool) -> None:
        if value:
            self.moved()
        self._is_stuck = value


def test_callers_go_on_waiting_for_a_listener_that_moved_when_one_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = MovingQueue(2, 2**20, 2**20, FakeClock())
    monkeypatch.setattr(queue._waiters, "wait", lambda holds, seconds: False)
    queue.wait_for_room()
    assert not queue.is_stuck


def test_a_first_record_that_comes_when_the_end_has_just_looked_whom_to_drain_is_sent(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = children.watch

    def watch(draining: Workers) -> None:
        meanwhile(ending.drain).join()
        real(draining)

    monkeypatch.setattr(children, "watch", watch)
    bench.log("a")
    assert threads.started == [], "nobody would wait for them"
    assert bench.scripted.stored == ["a"]


def test_two_threads_that_are_done_at_the_same_moment_let_a_signal_act_once(monkeypatch: pytest.MonkeyPatch) -> None:
    acted: list[bool] = []

    class Deferred(list[Callable[[], object]]):
        def pop(self, _: Any = -1) -> Callable[[], object]:
            # Another thread that held the process up is done just now.
            if len(self) and not acted:
                meanwhile(super().pop()).join()
            return super().pop()

    monkeypatch.setattr(ending, "_deferred", Deferred())
    ending.hold(lambda: ending.defer(lambda: acted.append(True)))
    assert acted == [True]
