"""The sender and a server that fails: an outage blames nobody, and a record at fault is found among the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.settings import Settings
from tests.delivery.harness import Bench, Request, answer_lost, no_connection, ok, refusing, status


def test_a_minute_of_500_loses_and_buries_nothing() -> None:
    bench = Bench()
    bench.transport.rule = status(500)
    for number in range(30):
        bench.put(f"b{number:02}", f"m{number}")
    bench.run(60)
    assert bench.transport.stored == []
    bench.transport.rule = ok
    bench.run(31)
    stats = bench.stats()
    assert sorted(bench.transport.stored) == sorted(f"m{number}" for number in range(30))
    assert (stats.delivered, stats.dead_lettered, dict(stats.dropped)) == (30, 0, {})
    assert all("." not in key for key in bench.keys), "nothing was split"


@pytest.mark.parametrize("good", [1, 2, 3, 5])
def test_a_server_that_comes_and_goes_buries_nothing(good: int) -> None:
    """Outages of 500, one after the other, with a few requests that succeed in between."""
    bench = Bench()
    for number in range(200):
        bench.put(f"b{number:03}", f"m{number}")
    for _ in range(60):
        bench.transport.script = [ok] * good
        bench.transport.rule = status(500)
        bench.run(45)
    bench.transport.rule = ok
    bench.run(60)
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered) == (200, 0)
    assert sorted(bench.transport.stored) == sorted(f"m{number}" for number in range(200))


def test_a_500_is_tried_again_max_retries_times_before_others_go() -> None:
    bench = Bench(settings=replace(Settings(), max_retries=2))
    bench.transport.script = [status(500)] * 3
    bench.put("a", "one")
    bench.put("b", "two")
    bench.run(10)
    assert bench.keys[:4] == ["a", "a", "a", "b"]
    assert bench.transport.stored == ["two", "one"]


def test_after_the_last_attempt_of_a_batch_the_next_one_goes_at_once() -> None:
    """It tells whether the batch is at fault or the server."""
    bench = Bench(settings=replace(Settings(), max_retries=0))
    bench.transport.script = [status(500), ok]
    bench.put("a", "one")
    bench.put("b", "two")
    assert [bench.step(), bench.step()] == [0.0, 0.0]
    assert bench.keys == ["a", "b"]


def test_a_batch_that_fails_again_among_others_does_not_hold_them_up() -> None:
    bench = Bench(settings=replace(Settings(), max_retries=0))
    bench.transport.rule = refusing(500, "bad")
    bench.put("a", "bad")
    bench.put("b", "before")
    bench.put("c", "after")
    assert [bench.step() for _ in range(4)] == [0.0] * 4
    assert bench.keys == ["a", "b", "a", "c"]


def test_a_poison_record_is_isolated_while_the_server_serves_others() -> None:
    bench = Bench()
    bench.transport.rule = refusing(500, "m37")
    bench.put("a", *(f"m{number}" for number in range(100)))
    for number in range(100, 140):
        bench.put(f"b{number}", f"m{number}")
        bench.run(5)
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (139, 1, 0)
    assert "m37" not in bench.transport.stored


@pytest.mark.parametrize("poisoned", [1, 3])
@pytest.mark.parametrize("gap", [3, 35, 60, 600])
def test_poison_is_isolated_however_little_traffic_there_is(poisoned: int, gap: int) -> None:
    bench = Bench()
    bench.transport.rule = refusing(500, *(f"bad {batch}" for batch in range(poisoned)))
    bench.put("first", "first")
    bench.run(1)
    for batch in range(poisoned):
        bench.put(f"b{batch}", f"bad {batch}", *(f"{batch}/{number}" for number in range(9)))
    for number in range(200):
        bench.put(f"z{number}", f"z{number}")
        bench.run(gap)
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (201 + 9 * poisoned, poisoned, 0)


@pytest.mark.parametrize("retries", [0, 3])
def test_a_batch_that_failed_in_a_short_trouble_does_not_wait_for_others(retries: int) -> None:
    """Nothing else is logged: no success of another batch will ever show that the server works."""
    bench = Bench(replace(Settings(), max_retries=retries))
    bench.put("a", "one")
    bench.run(1)
    bench.transport.script = [status(500)] * 5
    bench.put("b", "two")
    bench.run(90)
    assert bench.transport.stored == ["one", "two"]


def test_a_poison_record_in_the_only_batch_holds_up_nobody_but_itself() -> None:
    """With no other traffic at all, the halves vouch for the server, and one record stays pending."""
    bench = Bench()
    bench.transport.rule = refusing(500, "m3")
    bench.put("a", *(f"m{number}" for number in range(8)))
    bench.put("b", "before")
    bench.put("c", "witness")
    bench.run(600)
    stats = bench.stats()
    assert stats.delivered == 9
    assert stats.pending + stats.dead_lettered == 1


def test_a_lone_poison_record_gets_all_its_attempts_before_it_is_buried() -> None:
    bench = Bench()
    bench.transport.rule = refusing(500, "bad")
    bench.put("a", "bad")
    for number in range(40):
        bench.put(f"b{number}", f"m{number}")
        bench.run(2)
    assert bench.keys.count("a") >= 4
    assert bench.stats().dead_lettered == 1


def test_nothing_is_buried_for_500_without_a_success_around_it() -> None:
    bench = Bench()
    bench.transport.rule = status(500)
    bench.put("a", "bad")
    bench.run(3600)
    stats = bench.stats()
    assert (stats.dead_lettered, stats.pending) == (0, 1)


@pytest.mark.parametrize("lost", [answer_lost, status(502), status(504)], ids=["no answer", "502", "504"])
def test_a_batch_whose_answer_was_lost_is_not_split_on_a_500(lost: Callable[[Request], Answer]) -> None:
    """A gateway's word is not that of the server behind it."""
    bench = Bench()
    bench.put("a", "one", "bad")
    bench.transport.script = [lost]
    bench.transport.rule = refusing(500, "bad")
    for number in range(100):
        bench.put(f"b{number}", f"m{number}")
        bench.run(10)
    assert not [key for key in bench.keys if key.startswith("a.")]
    assert bench.stats().pending == 2
    assert bench.keys.count("a") < 60, "it does not ride on every success of others"


@pytest.mark.parametrize(
    "turned_away",
    [no_connection, status(503), status(429), lambda request: Answer(status=502, detail="HTTP 502")],
    ids=["no connection", "503", "429", "502 before all was sent"],
)
def test_a_batch_that_was_turned_away_before_is_split_on_a_500(turned_away: Callable[[Request], Answer]) -> None:
    bench = Bench()
    bench.put("a", "one", "bad")
    bench.transport.script = [turned_away]
    bench.transport.rule = refusing(500, "bad")
    for number in range(40):
        bench.put(f"b{number}", f"m{number}")
        bench.run(10)
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (41, 1, 0)


def test_half_of_a_suspect_whose_answer_was_lost_is_not_split() -> None:
    bench = Bench()
    bench.transport.rule = refusing(500, "bad")
    bench.put("a", "g0", "g1", "g2", "bad")
    bench.put("b", "witness")
    lost = {"done": False}

    def rule(request: Request) -> Answer:
        if request.key == "a.1" and not lost["done"]:
            lost["done"] = True
            return answer_lost(request)
        return refusing(500, "bad")(request)

    bench.transport.rule = rule
    for number in range(40):
        bench.put(f"w{number}", f"w{number}")
        bench.run(10)
    assert lost["done"]
    assert not [key for key in bench.keys if key.startswith("a.1.")]


def test_a_batch_that_is_evicted_while_it_is_set_aside_is_forgotten() -> None:
    bench = Bench(settings=replace(Settings(), max_buffer_bytes=2048, max_batch_bytes=1024, max_record_bytes=1024))
    bench.transport.rule = status(500)
    bench.put("a", "one")
    bench.run(20)
    for number in range(30):
        bench.put(f"b{number}", "x" * 100)
    bench.transport.rule = ok
    bench.run(60)
    stats = bench.stats()
    assert stats.pending == 0
    assert stats.delivered + stats.dropped["buffer_full"] == 31
    assert "one" not in bench.transport.stored


def test_a_batch_that_waits_aside_does_not_keep_the_sender_busy() -> None:
    bench = Bench()
    bench.transport.rule = refusing(500, "bad")
    bench.put("a", "bad")
    bench.run(60)
    assert len(bench.outbox) == 1
    assert bench.sender.busy is False


def test_many_poison_records_do_not_spoil_the_evidence_against_each_other() -> None:
    bench = Bench()
    bad = [f"bad{number}" for number in range(12)]
    bench.transport.rule = refusing(500, *bad)
    for number, each in enumerate(bad):
        bench.put(f"p{number}", each, f"good{number}")
    for number in range(500):
        bench.put(f"w{number}", f"w{number}")
        bench.run(3)
    stats = bench.stats()
    assert (stats.dead_lettered, stats.pending) == (12, 0)
    assert len(bench.keys) < 750


@pytest.mark.parametrize("poison", [1, 3])
@pytest.mark.parametrize("seconds", [5, 20, 60, 200])
def test_poison_is_isolated_also_where_little_is_logged(seconds: int, poison: int) -> None:
    """What waits aside is tried more often than others come: that must not spoil the evidence."""
    bench = Bench()
    bad = [f"bad{number}" for number in range(poison)]
    bench.transport.rule = refusing(500, *bad)
    for each in bad:
        bench.put(each, f"before {each}", each, f"after {each}")
    for number in range(60):
        bench.put(f"w{number}", f"w{number}")
        bench.run(seconds)
    stats = bench.stats()
    assert (stats.dead_lettered, stats.pending) == (poison, 0)
    assert len(bench.keys) < 200


def test_the_halves_of_a_batch_that_is_blamed_wait_aside_as_it_did() -> None:
    bench = Bench(settings=replace(Settings(), max_retries=0))
    bench.transport.rule = refusing(500, "bad")
    for batch_id, *messages in (("w", "before"), ("a", "one", "bad"), ("b", "after")):
        bench.put(batch_id, *messages)
        bench.step()
    assert len(bench.outbox) == 2
    assert bench.sender.busy is False


def test_half_of_a_refused_batch_is_no_suspect() -> None:
    bench = Bench()
    bench.transport.script = [status(400), ok, status(500)]
    bench.put("a", "one", "two", "three")
    bench.run(10)
    assert bench.keys == ["a", "a.0", "a.1", "a.1"]


@pytest.mark.parametrize("code", [500, 501, 507])
def test_a_page_that_says_that_something_failed_is_no_evidence_against_a_batch(code: int) -> None:
    bench = Bench(settings=replace(Settings(), max_retries=0))
    bench.transport.script = [ok, status(code, foreign=True), status(code, foreign=True), status(code, foreign=True)]
    for batch_id in "wab":
        bench.put(batch_id, f"{batch_id}1", f"{batch_id}2")
    bench.run(30)
    assert bench.keys == ["w", "a", "a", "a", "a", "b"], "as for 503"
    assert bench.stats().delivered == 6
