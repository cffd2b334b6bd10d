"""Two threads at the same handler: one acts while the other is at one certain point of a call."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from logcollector_handler.delivery.states import Role
from tests.delivery.pipelines import FakeThreads, PipelineBench, alive

LISTENER, SENDER = Role.LISTENER, Role.SENDER

#: Seconds for which a thread that ought to wait for the test is given the chance to go on without it.
CHANCE = 0.2


def meanwhile(act: Callable[[], object]) -> threading.Thread:
    """Have another thread do something in between: it has ended, or waits for the caller, when this returns."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(CHANCE)
    return thread


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
