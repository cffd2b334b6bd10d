"""A storm of errors: the first goes at once, those behind it are gathered, in memory and with both kinds of spool."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from logcollector_handler.delivery.answers import Answer
from tests.delivery.harness import Request, no_connection, ok
from tests.delivery.pipelines import PipelineBench

Make = Callable[..., PipelineBench]


@pytest.fixture(params=["memory", "batch", "record"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a bench that keeps records where the parameter says."""

    def made(**changes: object) -> PipelineBench:
        if request.param != "memory":
            changes = {"spool_dir": str(tmp_path), "durability": request.param, **changes}
        return PipelineBench(**changes)  # type: ignore[arg-type]  # settings are of many types

    return made


def error(bench: PipelineBench, *messages: str) -> None:
    bench.log(*messages, level=logging.ERROR)


def slow(bench: PipelineBench, seconds: float) -> Callable[[Request], Answer]:
    """A server that takes that long for a request."""

    def rule(request: Request) -> Answer:
        bench.clock.advance(seconds)
        return ok(request)

    return rule


def test_the_first_urgent_record_goes_at_once_and_the_next_ones_wait_as_long_as_the_last_request_took(
    make: Make,
) -> None:
    bench = make()
    bench.scripted.rule = slow(bench, 0.05)
    error(bench, "first")
    bench.listen()
    assert bench.batches == [["first"]], "nothing was sent before, so there is nothing to wait for"
    assert bench.pipeline.sender.request_seconds == pytest.approx(0.05)
    error(bench, "second")
    bench.listen()
    assert bench.batches == [["first"], ["second"]], "that was cut as long ago as its request took"
    bench.scripted.rule = ok
    bench.clock.advance(1)
    error(bench, "third")
    bench.listen()
    bench.send()
    bench.pipeline.sender.request_seconds = 0.02
    bench.clock.advance(0.005)
    error(bench, "fourth")
    bench.clock.advance(0.005)
    error(bench, "fifth")
    assert bench.listen() == pytest.approx(0.01)
    bench.clock.advance(0.011)
    bench.listen()
    assert bench.batches[2:] == [["third"], ["fourth", "fifth"]]


def test_gathering_takes_no_longer_than_200_ms(make: Make) -> None:
    bench = make()
    error(bench, "first")
    bench.listen()
    bench.send()
    bench.pipeline.sender.request_seconds = 3.0
    bench.clock.advance(0.05)
    error(bench, "second")
    assert bench.listen() == pytest.approx(0.15)
    bench.clock.advance(0.16)
    bench.listen()
    assert bench.batches == [["first"], ["second"]]


def test_what_is_gathered_goes_at_once_to_a_flush_and_at_the_end(make: Make) -> None:
    for end in ("flush", "stop"):
        bench = make()
        bench.pipeline.sender.request_seconds = 0.1
        error(bench, "first")
        bench.listen()
        bench.send()
        bench.pipeline.sender.request_seconds = 0.1
        error(bench, "second")
        assert bench.listen() == pytest.approx(0.1)
        if end == "flush":
            bench.pipeline.workers.flush(0.0)
        else:
            bench.pipeline.listener.stop()
        bench.listen()
        assert bench.batches == [["first"], ["second"]]


def test_a_full_batch_is_not_gathered_any_longer(make: Make) -> None:
    bench = make(batch_size=2)
    bench.pipeline.sender.request_seconds = 0.1
    error(bench, "first")
    bench.listen()
    error(bench, "a", "b")
    assert bench.listen() == 0.0


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_while_batches_wait_in_a_spool_urgent_records_are_gathered_for_200_ms(tmp_path: Path, durability: str) -> None:
    bench = PipelineBench(spool_dir=str(tmp_path), durability=durability)
    bench.scripted.rule = no_connection
    error(bench, "first")
    bench.listen()
    bench.send()
    for number in range(100):
        bench.clock.advance(0.01)
        error(bench, str(number))
        bench.listen()
    assert len(bench.pipeline.outbox) == pytest.approx(1 + 5, abs=1), "one for each 200 ms of a second"
    error(bench, "and so on")
    assert 0 < (bench.listen() or 0) <= 0.2


@pytest.mark.parametrize(("round_trip", "most"), [(0.05, 201), (0.5, 51)])
def test_a_storm_makes_no_more_requests_than_the_server_has_time_for_and_no_more_files(
    make: Make, round_trip: float, most: int
) -> None:
    """300 errors a second for 10 seconds. The requests take their time, and so many records come meanwhile."""
    bench = make()
    end = bench.clock.now + 10
    logged = 0

    def pass_time(seconds: float) -> None:
        nonlocal logged
        for _ in range(round(seconds * 300)):
            bench.clock.advance(1 / 300)
            if bench.clock.now < end:
                error(bench, str(logged))
                logged += 1
            bench.listen()

    def rule(request: Request) -> Answer:
        pass_time(round_trip)
        return ok(request)

    bench.scripted.rule = rule
    while bench.clock.now < end:
        bench.listen()
        if bench.pipeline.sender.step() != 0.0:
            pass_time(1 / 300)
    assert len(bench.pipeline.outbox) <= (1 if round_trip < 0.2 else most)
    assert len(bench.scripted.requests) + len(bench.pipeline.outbox) <= most
    while bench.stats().pending:
        bench.listen()
        if bench.pipeline.sender.step() != 0.0:
            bench.clock.advance(0.1)
    assert bench.scripted.stored == [str(number) for number in range(logged)]
    assert logged > 2900
