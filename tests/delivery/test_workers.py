"""The pipeline's own life: what happens in the moments between a thread's end and the next record."""

from __future__ import annotations

import gc
import logging
import threading
import weakref

import pytest

from logcollector_handler.delivery import exit as lifecycle
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.pipeline import Pipeline
from logcollector_handler.settings import Settings
from tests.delivery.harness import ScriptedTransport
from tests.delivery.test_listener import Bench, make_pipeline


def test_a_record_that_comes_while_the_listener_ends_starts_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    pipeline = bench.pipeline
    started: list[int] = []

    def start() -> bool:
        started.append(len(pipeline.handler.queue))
        return True

    monkeypatch.setattr(pipeline, "_start", start)
    relax = pipeline.queue.relax

    def caller_is_faster(wanted: int) -> None:
        # After the listener looked for the last time; this caller still sees the old threshold and wakes nobody.
        pipeline.handler.queue.append(bench.pipeline.handler.prepare(logging.makeLogRecord({"msg": "late"})))
        relax(wanted)

    monkeypatch.setattr(pipeline.handler, "relax", caller_is_faster)
    pipeline.listener.stopping = True
    pipeline._listening = True
    assert pipeline._listener_may_end()
    assert started == [1]


def test_the_listener_does_not_end_while_there_are_records() -> None:
    bench = Bench()
    bench.log("a")
    bench.pipeline.listener.stopping = True
    assert not bench.pipeline._listener_may_end()


def test_a_record_that_comes_while_the_sender_ends_starts_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    pipeline = bench.pipeline
    started: list[int] = []

    def start() -> bool:
        if pipeline._life.locked():
            return False
        started.append(len(pipeline.handler.queue))
        return True

    monkeypatch.setattr(lifecycle, "_live", {pipeline})
    monkeypatch.setattr(pipeline, "_start", start)
    monkeypatch.setattr(pipeline.outbox, "close", lambda: bench.log("late"))
    pipeline.listener.stopping = True
    pipeline._sending = True
    assert pipeline._sender_may_end()
    assert started == [1]
    assert pipeline in lifecycle._live, "what is in the queue is drained at the end in any case"


def test_what_is_logged_after_the_deadline_of_the_exit_is_counted_though_the_listener_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    monkeypatch.setattr(lifecycle, "_spent", 0.0)
    # It waits for a full batch, so callers do not wake it.
    bench.pipeline._listening = True
    bench.pipeline.queue.relax(1000)
    bench.pipeline.workers.begin_exit()
    lifecycle.spend(bench.settings.shutdown_timeout)
    bench.log("late")
    stats = bench.pipeline.stats()
    assert (stats.pending, stats.dropped) == (0, {"shutdown": 1})


# With its threads


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name in ("logcollector-listener", "logcollector-sender")]


def send_and_close(pipeline: Pipeline, message: str) -> None:
    """Log, close, and see the threads out."""
    pipeline.handler.emit(logging.makeLogRecord({"msg": message}))
    running = threads()
    assert len(running) == 2
    assert not pipeline.listener.stopping, "a record waits for others again"
    pipeline.workers.close(30)
    for thread in running:
        thread.join(30)


def test_after_close_the_next_record_starts_the_threads_again() -> None:
    transport = ScriptedTransport()
    pipeline = make_pipeline(Settings(), SystemClock(), transport)
    for message in ("one", "two", "three"):
        send_and_close(pipeline, message)
        assert threads() == []
    assert transport.stored == ["one", "two", "three"]


def test_a_pipeline_that_was_closed_is_let_go() -> None:
    pipeline = make_pipeline(Settings(), SystemClock(), ScriptedTransport())
    send_and_close(pipeline, "one")
    gone = weakref.ref(pipeline)
    del pipeline
    gc.collect()
    assert gone() is None
