"""Whoever flushes waits for what was logged before, at whatever moment it asks, and for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery.journal import Journal
from logcollector_handler.delivery.ledger import Ledger
from tests.delivery.pipelines import PATIENCE, PipelineBench, meanwhile


def asking_between(monkeypatch: pytest.MonkeyPatch, method: str, bench: PipelineBench) -> list[int]:
    """What others find accepted just before the ledger counts. Each asks in a thread of its own."""
    marks: list[int] = []
    threads: list[threading.Thread] = []
    real: Callable[..., Any] = getattr(Ledger, method)

    def count(ledger: Ledger, *args: Any) -> Any:
        threads.append(meanwhile(lambda: marks.append(bench.pipeline.workers.accepted)))
        return real(ledger, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, method, count)
        if method == "take":
            bench.listen()
        else:
            bench.log("one too many")
    for thread in threads:
        thread.join(PATIENCE)
    assert marks
    return marks


@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_records_that_the_listener_is_taking_count_as_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    spool: dict[str, Any] = {} if durability == "memory" else {"spool_dir": str(tmp_path), "durability": durability}
    bench = PipelineBench(batch_size=3, **spool)
    assert isinstance(bench.pipeline.queue, Journal) is (durability == "record")
    bench.log("a", "b", "c")
    assert asking_between(monkeypatch, "take", bench) == [3]


@pytest.mark.parametrize(("overflow", "method"), [("drop_oldest", "push_out"), ("drop_newest", "turn_away")])
def test_records_that_a_caller_is_dropping_count_as_accepted_until_they_are_dropped(
    monkeypatch: pytest.MonkeyPatch, overflow: str, method: str
) -> None:
    bench = PipelineBench(max_queue_size=2, overflow=overflow)
    monkeypatch.setattr(bench.pipeline.handler, "_may_wait", lambda: False)
    bench.log("a", "b")
    # The oldest has left the front of the queue; the newest was never in it.
    assert asking_between(monkeypatch, method, bench) == [3 if method == "push_out" else 2]


def test_a_flush_while_the_listener_takes_records_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PipelineBench(batch_size=3)
    bench.log("a", "b", "c")
    flushed: list[bool] = []
    real = Ledger.take

    def take(ledger: Ledger, count: int) -> None:
        waiting.append(meanwhile(lambda: flushed.append(bench.pipeline.workers.flush(0.0))))
        real(ledger, count)

    waiting: list[threading.Thread] = []
    monkeypatch.setattr(Ledger, "take", take)
    bench.listen()
    waiting[0].join(PATIENCE)
    assert flushed == [False], "nothing was sent yet"
    bench.send()
    assert bench.pipeline.workers.flush(0.0)


def test_a_flush_that_saw_a_record_before_it_was_turned_away_leaves_later_ones_to_later_flushes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It neither waits for another in its place, nor does one that is logged later pass for sent."""
    bench = PipelineBench(max_queue_size=2, overflow="drop_newest")
    monkeypatch.setattr(bench.pipeline.handler, "_may_wait", lambda: False)
    marks: list[int] = []
    real = bench.pipeline.handler._make_room

    def make_room() -> None:
        marks.append(bench.pipeline.workers.accepted)
        assert not bench.pipeline.workers.flush(0.0)
        real()

    monkeypatch.setattr(bench.pipeline.handler, "_make_room", make_room)
    bench.log("a", "b", "turned away")
    assert marks == [3]
    bench.listen()
    bench.send()
    bench.listen()
    progress = bench.pipeline.workers._progress
    assert progress.is_settled(3), "nothing is left of what was logged before"
    bench.log("c")
    assert bench.queued == ["c"]
    assert not bench.pipeline.workers.flush(0.0)
    bench.listen()
    assert not bench.pipeline.workers.flush(0.0)
    bench.send()
    assert bench.pipeline.workers.flush(0.0)
