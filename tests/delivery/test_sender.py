"""The sender, answer by answer: what it does with a batch, when it tries again, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from logcollector_handler.delivery.answer import Answer
from logcollector_handler.settings import Settings
from tests.delivery.fakes import (
    Bench,
    Request,
    answer_lost,
    batch_of,
    no_connection,
    ok,
    refusing,
    status,
)

RETRIED = [408, 409, 425, 429, 502, 503, 504]
CONFIGURATION = [300, 301, 302, 307, 308, 401, 403, 404, 405, 407, 410, 418, 451]


def test_a_batch_that_is_accepted_is_delivered_and_gone() -> None:
    bench = Bench()
    bench.put("a", "one", "two")
    assert bench.step() == 0.0
    assert bench.step() is None
    stats = bench.ledger.snapshot()
    assert (stats.delivered, stats.pending, stats.batches, stats.requests) == (2, 0, 1, 1)
    assert len(bench.outbox) == 0


def test_batches_go_out_in_order_one_request_at_a_time() -> None:
    bench = Bench()
    for each in "abc":
        bench.put(each, each)
    assert [bench.step(), len(bench.transport.requests)] == [0.0, 1]
    bench.run()
    assert bench.keys == ["a", "b", "c"]


@pytest.mark.parametrize("code", RETRIED)
def test_a_server_that_asks_for_patience_gets_the_same_batch_again_after_a_backoff(code: int) -> None:
    bench = Bench()
    bench.transport.script = [status(code)] * 3
    bench.put("a", "one")
    bench.put("b", "two")
    waits = []
    for _ in range(3):
        assert bench.step() == 0.0
        wait = bench.step()
        assert wait is not None
        waits.append(wait)
        bench.clock.advance(wait)
    bench.run()
    assert waits == [1, 2, 4]
    assert bench.keys == ["a", "a", "a", "a", "b"]
    assert len({request.body for request in bench.transport.requests[:4]}) == 1


@pytest.mark.parametrize("failure", [no_connection, answer_lost])
def test_a_broken_connection_is_retried_for_as_long_as_it_takes(failure: object) -> None:
    bench = Bench()
    bench.transport.rule = failure  # type: ignore[assignment]  # parametrized
    bench.put("a", "one")
    bench.run(3600)
    assert set(bench.keys) == {"a"}
    assert 100 < len(bench.keys) < 200
    bench.transport.rule = ok
    bench.run(31)
    assert bench.transport.stored == ["one"]
    assert bench.ledger.snapshot().dropped == {}


def test_retry_after_is_kept_to_the_second() -> None:
    bench = Bench()
    bench.transport.script = [status(429, retry_after="120")]
    bench.put("a", "one")
    bench.step()
    assert bench.step() == 120
    bench.sender.hurry()
    assert bench.step() == 120, "a flush does not break what the server asked for"


def test_retry_after_zero_does_not_become_a_storm() -> None:
    bench = Bench()
    bench.transport.rule = status(503, retry_after="0")
    bench.put("a", "one")
    bench.run(60)
    assert len(bench.keys) < 10


@pytest.mark.parametrize("code", [401, 404, 307])
def test_a_flush_does_not_break_the_rest_of_a_configuration_error(code: int) -> None:
    bench = Bench()
    bench.transport.rule = status(code)
    bench.put("a", "one")
    bench.step()
    bench.sender.hurry()
    assert bench.step() == 30


def test_a_flush_does_not_sit_out_a_backoff_that_nobody_asked_for() -> None:
    bench = Bench()
    bench.transport.script = [no_connection]
    bench.put("a", "one")
    bench.step()
    assert bench.step() != 0.0
    bench.sender.hurry()
    bench.run()
    assert bench.transport.stored == ["one"]


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_batch_is_split_until_the_offender_stands_alone(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    bench.transport.rule = refusing(code, "m5")
    bench.put("a", *(f"m{number}" for number in range(9)))
    bench.put("b", "after")
    bench.run()
    stats = bench.ledger.snapshot()
    assert bench.transport.stored == [f"m{number}" for number in range(9) if number != 5] + ["after"]
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (9, 1, 0)
    said = capsys.readouterr().err
    assert "m5" in said
    assert f"HTTP {code}" in said


def test_a_dead_letter_is_named_by_the_beginning_of_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = status(422)
    bench.put("a", "order 17 " + "x" * 1000)
    bench.run()
    (said,) = capsys.readouterr().err.splitlines()
    assert "INFO at 1.500: 'order 17 xxx" in said
    assert said.endswith("x…'")
    assert said.count("x") < 110


def test_children_are_named_after_their_parent() -> None:
    bench = Bench()
    bench.transport.rule = refusing(400, "two")
    bench.put("a", "one", "two", "three")
    bench.run()
    assert bench.keys == ["a", "a.0", "a.1", "a.1.0", "a.1.1"]


def test_a_lone_record_that_is_refused_is_dead_lettered_also_when_nothing_else_comes() -> None:
    bench = Bench()
    bench.transport.rule = status(422)
    bench.put("a", "one")
    bench.run()
    assert bench.ledger.snapshot().dead_lettered == 1


def test_twenty_lone_refusals_in_a_row_are_a_configuration_error_and_bury_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench = Bench()
    bench.transport.rule = status(400)
    bench.put("a", *(f"m{number}" for number in range(64)))
    bench.run(300)
    stats = bench.ledger.snapshot()
    assert (stats.dead_lettered, stats.pending) == (0, 64)
    assert "the logs are kept" in capsys.readouterr().err
    tried = len(bench.keys)
    bench.run(300)
    assert len(bench.keys) - tried == 10, "one attempt every 30 s"
    bench.transport.rule = ok
    bench.run(31)
    assert sorted(bench.transport.stored) == sorted(f"m{number}" for number in range(64))


def test_twenty_bad_records_in_a_row_do_not_lock_out_the_good_ones_for_ever() -> None:
    bench = Bench()
    bad = [f"bad{number}" for number in range(30)]
    bench.transport.rule = refusing(400, *bad)
    bench.put("a", *bad)
    bench.put("b", "good")
    bench.run(3600)
    stats = bench.ledger.snapshot()
    assert bench.transport.stored == ["good"]
    assert stats.dead_lettered + stats.pending == 30


def test_nineteen_lone_refusals_and_an_acceptance_are_nineteen_dead_letters() -> None:
    bench = Bench()
    bad = [f"bad{number}" for number in range(19)]
    bench.transport.rule = refusing(400, *bad)
    bench.put("a", *bad, "good")
    bench.run()
    stats = bench.ledger.snapshot()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (1, 19, 0)


def test_refusals_that_an_acceptance_came_between_are_not_in_a_row() -> None:
    bench = Bench()
    early = [f"early{number}" for number in range(19)]
    late = [f"late{number}" for number in range(19)]
    bench.transport.rule = refusing(400, *early, *late)
    bench.put("a", *early, "good")
    bench.run()
    bench.put("b", *late, "good too")
    bench.run()
    stats = bench.ledger.snapshot()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (2, 38, 0)


def test_a_minute_of_500_loses_and_buries_nothing() -> None:
    bench = Bench()
    bench.transport.rule = status(500)
    for number in range(30):
        bench.put(f"b{number:02}", f"m{number}")
    bench.run(60)
    assert bench.transport.stored == []
    bench.transport.rule = ok
    bench.run(31)
    stats = bench.ledger.snapshot()
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
    stats = bench.ledger.snapshot()
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
    stats = bench.ledger.snapshot()
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
    stats = bench.ledger.snapshot()
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
    stats = bench.ledger.snapshot()
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
    assert bench.ledger.snapshot().dead_lettered == 1


def test_nothing_is_buried_for_500_without_a_success_around_it() -> None:
    bench = Bench()
    bench.transport.rule = status(500)
    bench.put("a", "bad")
    bench.run(3600)
    stats = bench.ledger.snapshot()
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
    assert bench.ledger.snapshot().pending == 2
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
    stats = bench.ledger.snapshot()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (41, 1, 0)


def test_415_sends_the_batch_again_plain_under_a_new_id_and_stays_plain() -> None:
    bench = Bench()
    messages = [f"m{number}" for number in range(5)]
    batch = bench.put("a", *messages)
    bench.outbox.remove(batch)
    bench.outbox.put(batch_of("z", *messages, compressed=True))
    bench.transport.rule = lambda request: status(415)(request) if request.compressed else ok(request)
    bench.run()
    assert [request.compressed for request in bench.transport.requests] == [True, False]
    assert bench.keys == ["z", "z.0"]
    assert bench.transport.stored == messages
    assert bench.sender.compressing is False
    assert bench.ledger.snapshot().pending == 0


def test_415_to_a_plain_body_is_a_configuration_error() -> None:
    bench = Bench()
    bench.transport.rule = status(415)
    bench.put("a", "one")
    bench.run(61)
    assert len(bench.keys) == 3
    assert bench.ledger.snapshot().pending == 1


@pytest.mark.parametrize("code", CONFIGURATION)
def test_a_configuration_error_is_said_once_kept_and_tried_every_30_seconds(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    bench.transport.rule = status(code)
    bench.put("a", "one")
    bench.put("b", "two")
    bench.run(299)
    assert bench.keys == ["a"] * 10
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"HTTP {code}" in said[0]
    assert "check" in said[0]
    bench.transport.rule = ok
    bench.run(31)
    assert bench.transport.stored == ["one", "two"]


def test_an_html_page_is_no_delivery() -> None:
    bench = Bench()
    bench.transport.rule = lambda request: Answer(status=200, arrived=True, foreign=True, detail="an HTML page")
    bench.put("a", "one")
    bench.run(61)
    assert bench.ledger.snapshot().delivered == 0
    assert len(bench.keys) == 3


def test_a_client_that_cannot_be_set_up_is_a_configuration_error(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = lambda request: Answer(unusable=True, detail="FileNotFoundError: ca.pem")
    bench.put("a", "one")
    bench.run(31)
    assert "ca.pem" in capsys.readouterr().err
    assert bench.ledger.snapshot().pending == 1


def test_a_differing_count_is_said_once_and_not_retried(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = status(200, count=7)
    bench.put("a", "one")
    bench.put("b", "two")
    bench.run(100)
    bench.put("c", "three")
    bench.run(100)
    assert bench.keys == ["a", "b", "c"]
    assert bench.ledger.snapshot().delivered == 3
    assert capsys.readouterr().err.count("7 entries") == 1


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


def test_the_halves_of_a_compressed_batch_are_compressed_only_if_they_are_large_enough() -> None:
    batch = batch_of("a", *map(str, range(300)), compressed=True)
    first, second = batch.children(batch.body or b"")
    assert (first.compressed, second.compressed) == (True, True)
    assert [each.compressed for each in first.children(first.body or b"")] == [False, False]


def test_twenty_refusals_at_exit_are_a_configuration_error_as_well() -> None:
    bench = Bench()
    bench.transport.rule = status(400)
    bench.put("a", *(f"m{number}" for number in range(40)))
    bench.sender.exit(bench.clock.now + 5)
    bench.run()
    assert bench.ledger.snapshot().dead_lettered == 0


def test_an_outage_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = no_connection
    bench.put("a", "one")
    bench.run(600)
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("failure", [no_connection, status(401), status(500)], ids=["away", "401", "500"])
def test_a_second_outage_is_told_of_again(
    failure: Callable[[Request], Answer], capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench()
    for each in "ab":
        bench.transport.rule = failure
        bench.put(each, each)
        bench.run(90)
        bench.transport.rule = ok
        bench.run(31)
    assert bench.transport.stored == ["a", "b"]
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_the_notice_of_losses_is_not_counted_and_comes_back_when_its_batch_is_lost() -> None:
    bench = Bench(settings=replace(Settings(), max_buffer_bytes=2048, max_batch_bytes=1024, max_record_bytes=1024))
    bench.ledger.overflow("queue_full", from_front=True)
    losses = bench.ledger.take_losses()
    bench.put("a", "one", "two", losses=losses)
    assert bench.ledger.take_losses() == {}
    for number in range(30):
        bench.put(f"b{number}", "x" * 100)
    again = bench.ledger.take_losses()
    assert again["queue_full"] == 1
    assert again["buffer_full"] >= 2


def test_a_batch_that_is_evicted_while_it_is_set_aside_is_forgotten() -> None:
    bench = Bench(settings=replace(Settings(), max_buffer_bytes=2048, max_batch_bytes=1024, max_record_bytes=1024))
    bench.transport.rule = status(500)
    bench.put("a", "one")
    bench.run(20)
    for number in range(30):
        bench.put(f"b{number}", "x" * 100)
    bench.transport.rule = ok
    bench.run(60)
    stats = bench.ledger.snapshot()
    assert stats.pending == 0
    assert stats.delivered + stats.dropped["buffer_full"] == 31
    assert "one" not in bench.transport.stored


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
    assert bench.ledger.snapshot().dead_lettered == 1


def test_the_listener_is_told_when_the_sender_has_nothing_left() -> None:
    bench = Bench()
    bench.put("a", "one")
    bench.put("b", "two")
    bench.step()
    assert bench.idle == 0
    bench.step()
    assert bench.idle == 1
    assert bench.sender.busy is False


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
    stats = bench.ledger.snapshot()
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
    stats = bench.ledger.snapshot()
    assert (stats.dead_lettered, stats.pending) == (poison, 0)
    assert len(bench.keys) < 200
