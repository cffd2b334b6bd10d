"""The sender while the process goes down: one attempt for each batch, within the time that is left."""

from __future__ import annotations

from tests.delivery.harness import Bench, refusing, status


def test_twenty_refusals_at_exit_are_a_configuration_error_as_well() -> None:
    bench = Bench()
    bench.transport.rule = status(400)
    bench.put("a", *(f"m{number}" for number in range(40)))
    bench.sender.exit(bench.clock.now + 5)
    bench.run()
    assert bench.stats().dead_lettered == 0


def test_at_exit_each_batch_has_one_attempt_without_waiting() -> None:
    bench = Bench()
    bench.transport.rule = status(503)
    for each in "abc":
        bench.put(each, each)
    bench.run(5)
    before = len(bench.keys)
    bench.sender.exit(bench.clock.now + 5)
    bench.run()
    assert bench.keys[before:] == ["a", "b", "c"]
    assert bench.step() is None


def test_at_exit_a_request_gets_no_more_time_than_is_left() -> None:
    bench = Bench()
    bench.put("a", "one")
    bench.sender.exit(bench.clock.now + 2)
    bench.run()
    assert bench.transport.requests[0].seconds == 2


def test_after_the_deadline_of_the_exit_nothing_is_tried() -> None:
    bench = Bench()
    bench.put("a", "one")
    bench.sender.exit(bench.clock.now)
    bench.run()
    assert bench.keys == []


def test_at_exit_a_refused_batch_is_still_split() -> None:
    bench = Bench()
    bench.transport.rule = refusing(400, "bad")
    bench.put("a", "one", "bad", "two")
    bench.sender.exit(bench.clock.now + 5)
    bench.run()
    assert bench.transport.stored == ["one", "two"]
    assert bench.stats().dead_lettered == 1
