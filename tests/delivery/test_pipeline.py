"""The pipeline's own life: what happens in the moments between a thread's end and the next record."""

from __future__ import annotations

import logging

import pytest

from tests.delivery.test_listener import Bench


def test_a_record_that_comes_while_the_listener_ends_starts_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    pipeline = bench.pipeline
    started: list[int] = []

    def start() -> bool:
        started.append(len(pipeline.handler.queue))
        return True

    monkeypatch.setattr(pipeline, "_start", start)
    relax = pipeline.handler.relax

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
