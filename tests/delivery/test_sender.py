"""The sender: order, patience with a server that is away, and what people and the listener are told."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.outbox import MemoryOutbox
from logcollector_handler.delivery.process import is_own_thread
from logcollector_handler.delivery.sender import Sender
from logcollector_handler.settings import Settings
from tests.delivery.harness import (
    Bench,
    Request,
    ScriptedTransport,
    answer_lost,
    batch_of,
    no_connection,
    ok,
    refusing,
    status,
)

RETRIED = [408, 409, 425, 429, 502, 503, 504]


def test_its_waits_draw_nothing_from_the_random_numbers_of_the_application() -> None:
    before = random.getstate()
    bench = Bench()
    bench.sender._chance = inspect.signature(Sender).parameters["chance"].default
    bench.transport.script = [status(503)]
    bench.put("a", "one")
    assert bench.step() == 0.0, "it has failed, and how long to wait was drawn"
    assert random.getstate() == before


def test_a_batch_that_is_accepted_is_delivered_and_gone() -> None:
    bench = Bench()
    bench.put("a", "one", "two")
    assert bench.step() == 0.0
    assert bench.step() is None
    stats = bench.stats()
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
    assert bench.stats().dropped == {}


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


def test_a_flush_does_not_sit_out_a_backoff_that_nobody_asked_for() -> None:
    bench = Bench()
    bench.transport.script = [no_connection]
    bench.put("a", "one")
    bench.step()
    assert bench.step() != 0.0
    bench.sender.hurry()
    bench.run()
    assert bench.transport.stored == ["one"]


def test_a_differing_count_is_said_once_and_not_retried(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = status(200, count=7)
    bench.put("a", "one")
    bench.put("b", "two")
    bench.run(100)
    bench.put("c", "three")
    bench.run(100)
    assert bench.keys == ["a", "b", "c"]
    assert bench.stats().delivered == 3
    assert capsys.readouterr().err.count("7 entries") == 1


def test_an_outage_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.transport.rule = no_connection
    bench.put("a", "one")
    bench.run(600)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_notice_of_losses_is_not_counted_and_comes_back_when_its_batch_is_lost() -> None:
    bench = Bench(settings=replace(Settings(), max_buffer_bytes=2048, max_batch_bytes=1024, max_record_bytes=1024))
    bench.ledger.push_out("queue_full")
    losses = bench.ledger.take_losses()
    bench.put("a", "one", "two", losses=losses)
    assert bench.ledger.take_losses() == {}
    for number in range(30):
        bench.put(f"b{number}", "x" * 100)
    again = bench.ledger.take_losses()
    assert again["queue_full"] == 1
    assert again["buffer_full"] >= 2


def test_the_listener_is_told_when_the_sender_has_nothing_left() -> None:
    bench = Bench()
    bench.put("a", "one")
    bench.put("b", "two")
    bench.step()
    assert bench.idle.count == 0
    bench.step()
    assert bench.idle.count == 1
    assert bench.sender.busy is False


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


class SharedOutbox(MemoryOutbox):
    """An outbox whose batches somebody else settles, and that looks for others every 7 seconds."""

    def remove(self, batch: Batch) -> bool:
        super().remove(batch)
        return False

    def look(self) -> float | None:
        return 7.0


def test_a_batch_that_somebody_else_settled_is_not_counted_but_those_who_wait_for_it_look_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(make_outbox=SharedOutbox)
    seen: list[int] = []
    monkeypatch.setattr(bench.ledger.settled, "notify", lambda: seen.append(len(bench.outbox)))
    bench.put("a", "one")
    bench.step()
    assert seen == [0]
    assert bench.stats().delivered == 0


def test_with_nothing_to_send_the_sender_waits_until_the_outbox_looks_again() -> None:
    assert Bench(make_outbox=SharedOutbox).step() == 7.0


class Greenlet(ScriptedTransport):
    """A thread that a fork copied in the middle of a request: it goes on in the child, which was told to abandon."""

    bench: Bench

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        answer = super().post(batch_id, body, compressed, seconds)
        self.bench.sender.abandon()
        return answer


def test_after_a_fork_the_child_neither_settles_nor_sends_what_is_its_parents() -> None:
    transport = Greenlet()
    transport.bench = bench = Bench(transport=transport)
    bench.put("a", "one")
    bench.put("b", "two")
    bench.step()
    assert bench.step() is None
    assert bench.keys == ["a"]
    assert len(bench.outbox) == 2


def test_what_the_http_client_logs_during_a_request_is_known_to_be_the_packages_own() -> None:
    bench = Bench()
    own = []

    def rule(request: Request) -> Answer:
        own.append(is_own_thread())
        return ok(request)

    bench.transport.rule = rule
    bench.put("a", "one")
    bench.run()
    assert own == [True]
    assert not is_own_thread()


class AdoptingOutbox(MemoryOutbox):
    """An outbox that does not know what is in a batch before it reads its file."""

    def next(self) -> Batch | None:
        batch = super().next()
        return batch and structs.replace(batch, body=None, compressed=False, count=0, entries=0, losses={})


@pytest.mark.parametrize("code", [400, 500])
def test_what_is_in_a_batch_is_taken_from_its_file_and_not_from_the_offer(code: int) -> None:
    bench = Bench(make_outbox=AdoptingOutbox)
    bench.transport.rule = refusing(code, "bad")
    for number in range(30):
        bench.put_batch(batch_of(f"a{number:02}", *(["bad"] if number == 3 else []), "x", "y", compressed=True))
        bench.run(5)
    stats = bench.stats()
    assert (stats.delivered, stats.dead_lettered, stats.pending) == (60, 1, 0)
    assert bench.transport.requests[0].compressed
