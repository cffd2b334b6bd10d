"""The sender while the process ends: it tries again after short waits, within the time that is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.settings import Settings
from tests.delivery.harness import Bench, Request, no_connection, ok, refusing, status


def exiting(bench: Bench, seconds: float = 5.0) -> None:
    """The process goes down, and has that long for it."""
    bench.sender.exit(bench.clock.now + seconds)
    bench.sender.hasten(bench.clock.now + seconds)


AWAY: list[Callable[[Request], Answer]] = [no_connection, *map(status, (408, 409, 425, 429, 500, 502, 503, 504, 507))]


@pytest.mark.parametrize("answer", AWAY)
def test_at_exit_a_batch_is_sent_again_until_the_server_takes_it(answer: Callable[[Request], Answer]) -> None:
    bench = Bench()
    bench.transport.script = [answer] * 5
    bench.put("a", "one")
    exiting(bench)
    bench.run(5)
    assert bench.transport.stored == ["one"]
    assert bench.keys == ["a"] * 6


@pytest.mark.parametrize("answer", AWAY)
def test_at_exit_it_is_tried_until_no_wait_fits_any_more(answer: Callable[[Request], Answer]) -> None:
    bench = Bench()
    bench.transport.rule = answer
    bench.put("a", "one")
    exiting(bench)
    start, times = bench.clock.now, []
    while (delay := bench.step()) is not None:
        if delay == 0.0:
            times.append(round(bench.clock.now - start, 1))
        bench.clock.advance(delay)
    assert times == [0.0, 0.1, 0.3, 0.7, 1.5, 2.5, 3.5, 4.5]


def test_at_exit_other_batches_have_their_turn() -> None:
    bench = Bench()
    bench.transport.rule = lambda request: no_connection(request) if request.key == "a" else ok(request)
    for each in "abcd":
        bench.put(each, each)
    exiting(bench)
    bench.run(5)
    assert bench.transport.stored == ["b", "c", "d"]
    assert Counter(bench.keys)["a"] > 5


@pytest.mark.parametrize(
    "answer", [status(401), status(404), status(307), status(200, foreign=True), lambda _: Answer(unusable=True)]
)
def test_at_exit_wrong_settings_are_tried_once(answer: Callable[[Request], Answer]) -> None:
    bench = Bench()
    bench.transport.rule = answer
    for each in "ab":
        bench.put(each, each)
    exiting(bench)
    assert bench.step() == 0.0
    assert bench.step() is None
    assert bench.keys == ["a"]


def test_at_exit_a_rest_that_the_server_asked_for_is_kept_if_it_is_over_before_the_end() -> None:
    bench = Bench()
    bench.transport.script = [status(503, retry_after="4")]
    bench.put("a", "one")
    bench.run()
    exiting(bench)
    assert bench.step() == 4.0
    exiting(bench, 3)
    bench.run()
    assert bench.transport.stored == ["one"]


def test_an_end_that_the_process_survives_asks_as_often_as_one_and_then_waits_as_before() -> None:
    bench = Bench()
    bench.transport.rule = status(503)
    bench.put("a", "one")
    bench.sender.hasten(bench.clock.now + 5)
    bench.run(5)
    assert len(bench.keys) == 8
    bench.run(10)
    assert len(bench.keys) < 12


def test_at_exit_a_batch_that_the_server_fails_on_is_singled_out_as_in_life() -> None:
    bench = Bench(settings=replace(Settings(), max_retries=1))

    def answer(request: Request) -> Answer:
        bench.clock.advance(0.1)
        return refusing(500, "bad")(request)

    bench.transport.rule = answer
    bench.put("a", "one", "bad")
    for number in range(30):
        bench.put(f"b{number}", f"m{number}")
    exiting(bench)
    bench.run(5)
    assert sorted(bench.transport.stored) == sorted(["one", *(f"m{number}" for number in range(30))])
    assert bench.stats().dead_lettered == 1


def test_twenty_refusals_at_exit_are_a_configuration_error_as_well() -> None:
    bench = Bench()
    bench.transport.rule = status(400)
    bench.put("a", *(f"m{number}" for number in range(40)))
    exiting(bench)
    bench.run(5)
    assert bench.stats().dead_lettered == 0


def test_at_exit_a_request_gets_no_more_time_than_is_left() -> None:
    bench = Bench()
    bench.put("a", "one")
    exiting(bench, 2)
    bench.run()
    assert bench.transport.requests[0].seconds == 2


def test_after_the_deadline_of_the_exit_nothing_is_tried() -> None:
    bench = Bench()
    bench.put("a", "one")
    exiting(bench, 0)
    bench.run()
    assert bench.keys == []


def test_at_exit_a_refused_batch_is_still_split() -> None:
    bench = Bench()
    bench.transport.rule = refusing(400, "bad")
    bench.put("a", "one", "bad", "two")
    exiting(bench)
    bench.run()
    assert bench.transport.stored == ["one", "two"]
    assert bench.stats().dead_lettered == 1
