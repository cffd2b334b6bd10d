"""The threads at the end of the process: none is started any more, and the work is done once."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.states import Role, State
from tests.delivery.harness import FakeClock
from tests.delivery.pipelines import LIVING, FakeThreads, PipelineBench, alive

LISTENER, SENDER = Role.LISTENER, Role.SENDER


@pytest.mark.parametrize("state", State)
def test_at_exit_no_thread_is_started_whatever_comes(bench: PipelineBench, threads: FakeThreads, state: State) -> None:
    alive(bench, *LIVING[state])
    bench.pipeline.workers.begin_exit()
    assert bench.pipeline.listener.is_stopping
    bench.log("a")
    bench.log("b", level=logging.ERROR)
    bench.pipeline.workers.flush(0.0)
    bench.pipeline.workers.close(0.0)
    assert threads.started == []


def test_the_end_begins_when_the_starter_that_was_asked_for_has_started_the_threads(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that handlers whose first records come last send them at the same time."""
    workers = bench.pipeline.workers
    threads.hold_starters = True
    bench.log("a")

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        threads.run_starters()
        return holds()

    monkeypatch.setattr(workers._changed, "wait", wait)
    workers.begin_exit()
    assert threads.started == [LISTENER, SENDER]


def test_a_starter_that_comes_after_the_end_began_leaves_the_work_to_it(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = bench.pipeline.workers
    threads.hold_starters = True
    bench.log("a")
    with monkeypatch.context() as patched:
        patched.setattr(workers._changed, "wait", lambda holds, seconds: bench.clock.advance(seconds))
        workers.begin_exit()
    threads.run_starters()
    workers.finish_exit()
    assert threads.started == []
    assert bench.batches == [["a"]]


def test_the_end_waits_for_threads_that_are_just_being_started_and_does_not_do_their_work(
    bench: PipelineBench, threads: FakeThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = bench.pipeline.workers
    threads.hold_starters = True
    bench.log("a")
    workers._threads._starting = True
    # It takes longer than `begin_exit` waits for it.
    workers._threads._is_requested = False

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        if workers._threads._starting:
            assert not holds()
            workers._threads._starting = False
            alive(bench, LISTENER, SENDER)
            assert not holds(), "now they live"
            assert bench.scripted.requests == [], "they do the work"
            assert bench.batches == []
            bench.listen()
            assert bench.batches == [["a"]]
            alive(bench)
        return holds()

    monkeypatch.setattr(workers._changed, "wait", wait)
    workers.begin_exit()
    workers.finish_exit()
    assert bench.batches == [["a"]]


def test_at_exit_a_record_that_only_the_sender_is_left_for_is_handed_to_it(
    bench: PipelineBench, threads: FakeThreads
) -> None:
    alive(bench, SENDER)
    bench.pipeline.workers.begin_exit()
    bench.log("a")
    assert bench.scripted.requests == [], "not by two at once"
    assert len(bench.pipeline.outbox) == 1


def test_what_is_logged_after_the_deadline_of_the_exit_is_counted_though_the_listener_hangs(
    bench: PipelineBench, threads: FakeThreads, clock: FakeClock
) -> None:
    # It waits for a full batch, so callers do not wake it.
    alive(bench, LISTENER)
    bench.pipeline.queue.relax(1000)
    bench.pipeline.workers.begin_exit()
    ending.budget().hold(lambda: clock.advance(bench.settings.shutdown_timeout))
    bench.log("late")
    stats = bench.stats()
    assert (stats.pending, stats.dropped) == (0, {"shutdown": 1})


def test_at_exit_a_record_is_sent_though_the_sender_ends_while_it_is_handed_over(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(bench, Role.SENDER)
    bench.pipeline.workers.begin_exit()
    handle = bench.pipeline.listener.handle

    def handle_and_end(taken: object) -> None:
        handle(taken)
        alive(bench)

    monkeypatch.setattr(bench.pipeline.listener, "handle", handle_and_end)
    bench.log("late")
    assert bench.stats().delivered == 1
