"""When a batch is cut from the queue, and what becomes of it."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from logcollector_handler.delivery import strides
from logcollector_handler.delivery.due import Due
from logcollector_handler.wire.collector import CollectorFormat
from tests.delivery.harness import no_connection, status
from tests.delivery.pipelines import PipelineBench


def test_a_full_batch_goes_at_once() -> None:
    bench = PipelineBench(batch_size=3)
    bench.log("a", "b", "c", "d")
    assert bench.listen() == 0.0
    assert bench.batches == [["a", "b", "c"]]
    assert bench.listen() == bench.settings.flush_interval


def test_a_record_waits_for_its_batch_no_longer_than_flush_interval() -> None:
    bench = PipelineBench(flush_interval=2.0)
    bench.log("a")
    assert bench.listen() == 2.0
    bench.clock.advance(1.5)
    bench.log("b")
    assert bench.listen() == 0.5
    bench.clock.advance(0.5)
    bench.listen()
    assert bench.batches == [["a", "b"]]


def test_an_urgent_record_takes_those_before_it_along() -> None:
    bench = PipelineBench()
    bench.log("a")
    bench.listen()
    bench.log("b", level=logging.ERROR)
    bench.listen()
    assert bench.batches == [["a", "b"]]


def test_an_empty_queue_waits_until_it_is_woken() -> None:
    assert PipelineBench().listen() is None


def test_while_the_sender_is_busy_age_and_urgency_do_not_make_small_batches() -> None:
    bench = PipelineBench(batch_size=5)
    bench.scripted.rule = no_connection
    bench.log("first", level=logging.ERROR)
    bench.listen()
    for message in "abc":
        bench.log(message, level=logging.ERROR)
        bench.clock.advance(10)
        assert bench.listen() is None
    bench.log("d", "e")
    bench.listen()
    assert bench.batches == [["first"]]
    assert len(bench.pipeline.outbox) == 2


def test_a_batch_that_is_too_large_becomes_several() -> None:
    bench = PipelineBench(max_batch_bytes=2048, max_record_bytes=1024)
    bench.log(*(str(number) + "x" * 500 for number in range(6)))
    bench.listen()
    bench.clock.advance(2)
    bench.listen()
    batches = bench.batches
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert all(len(request.body) <= 2048 for request in bench.scripted.requests)


def test_a_batch_may_be_as_large_as_max_batch_bytes_and_not_one_byte_larger() -> None:
    def sizes(limit: int) -> list[int]:
        bench = PipelineBench(max_batch_bytes=limit, max_record_bytes=1024)
        bench.log(*["x" * 500] * 3)
        bench.listen()
        bench.clock.advance(2)
        bench.listen()
        bench.send()
        return [len(request.body) for request in bench.scripted.requests]

    [whole] = sizes(4096)
    assert sizes(whole) == [whole]
    assert len(sizes(whole - 1)) == 2


def test_a_queue_that_is_shorter_than_a_batch_still_makes_batches() -> None:
    bench = PipelineBench(batch_size=1000, max_queue_size=10)
    for number in range(50):
        bench.log(str(number))
        if len(bench.pipeline.queue) >= 10:
            bench.listen()
    assert bench.stats().dropped == {}


def test_the_listener_rests_while_it_encodes_unless_the_queue_is_half_full(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(strides, "time", SimpleNamespace(thread_time=itertools.count().__next__, sleep=rests.append))
    bench = PipelineBench(batch_size=2, max_queue_size=8)
    bench.log(*"abcdef")
    bench.listen()
    assert rests == []
    bench.listen()
    assert len(rests) == 2, "after each of its two parts"


def test_an_error_while_encoding_is_counted_and_the_next_batch_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = PipelineBench(batch_size=2)
    bench.log("a", "b", "c", "d")
    with monkeypatch.context() as patched:
        patched.setattr(CollectorFormat, "encode", lambda *_: 1 / 0)
        bench.listen()
    bench.listen()
    notice, *rest = bench.batches[0]
    assert "2 log records were lost" in notice
    assert rest == ["c", "d"]
    stats = bench.stats()
    assert (stats.accepted, stats.delivered, stats.dropped["internal_error"]) == (4, 2, 2)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_notice_of_losses_comes_first_in_the_next_batch_and_only_once() -> None:
    bench = PipelineBench(max_queue_size=2, overflow="drop_newest", batch_size=2)
    bench.pipeline.queue.is_stuck = True
    bench.log("a", "b", "c", "d")
    bench.listen()
    bench.log("e", "f")
    bench.listen()
    first, second = bench.batches
    assert first == ["2 log records were lost: 2 because the queue was full", "a", "b"]
    assert second == ["e", "f"]
    assert bench.stats().delivered == 4


def test_a_flush_is_over_when_the_last_record_before_it_is_out_and_not_before() -> None:
    bench = PipelineBench(batch_size=2)
    bench.log("a", "b", "c", "d", "e")
    for _ in range(2):
        assert not bench.pipeline.workers.flush(0.0)
        bench.listen()
        bench.send()
    assert not bench.pipeline.workers.flush(0.0)
    bench.listen()
    assert not bench.pipeline.workers.flush(0.0), "it is in the outbox"
    bench.send()
    bench.log("f")
    assert bench.pipeline.workers._progress.is_settled(5)


def test_a_flush_waits_for_no_batch_that_was_cut_after_it() -> None:
    bench = PipelineBench(batch_size=2)
    bench.scripted.script = [status(400)]
    bench.log("a", "b")
    bench.listen()
    bench.log("c", "d")
    bench.listen()
    assert [bench.pipeline.workers._progress.is_settled(mark) for mark in (1, 2, 3)] == [False, False, False]
    bench.pipeline.sender.step()
    assert len(bench.pipeline.outbox) == 3, "the first was split"
    assert not bench.pipeline.workers._progress.is_settled(2)
    for _ in range(2):
        bench.pipeline.sender.step()
    assert [bench.pipeline.workers._progress.is_settled(mark) for mark in (1, 2, 3)] == [True, True, False]
    bench.scripted.script = [status(400)]
    bench.pipeline.sender.step()
    assert len(bench.pipeline.outbox) == 2, "the second was split"
    assert [bench.pipeline.workers._progress.is_settled(mark) for mark in (2, 3)] == [True, False]


def test_a_flush_does_not_sit_out_a_backoff() -> None:
    bench = PipelineBench()
    bench.scripted.script = [no_connection]
    bench.log("a", level=logging.ERROR)
    bench.listen()
    bench.send()
    assert not bench.pipeline.workers.flush(0.0)
    assert bench.batches == [["a"], ["a"]]
    assert bench.pipeline.workers.flush(0.0)


def test_what_waited_for_a_busy_sender_is_looked_at_when_it_has_nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PipelineBench()
    bench.scripted.script = [no_connection]
    bench.log("a", level=logging.ERROR)
    bench.listen()
    bench.log("b", level=logging.ERROR)
    bench.send()
    assert bench.listen() is None
    woken: list[int] = []
    monkeypatch.setattr(bench.pipeline.listener._wakeup, "set", lambda: woken.append(len(bench.pipeline.outbox)))
    bench.clock.advance(2)
    bench.send()
    assert woken == [0]


def test_an_urgent_record_wakes_the_listener_and_the_next_ones_need_not(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PipelineBench()
    woken: list[str] = []
    monkeypatch.setattr(bench.pipeline.workers, "wake", lambda: woken.append("woken"))
    for _ in range(3):
        bench.pipeline.workers.urge()
    assert woken == ["woken"]
    assert not bench.pipeline.workers._due.urge(), "that was noted"


def test_a_record_that_is_urgent_just_when_earlier_ones_are_done_with_stays_urgent() -> None:
    bench = PipelineBench()
    late = ["late"]

    class Racing(Due):
        @property
        def _is_urgent(self) -> bool:
            return bool(self.__dict__["_is_urgent"])

        @_is_urgent.setter
        def _is_urgent(self, value: bool) -> None:
            # The queue was seen empty. The caller sees that urgency is said already.
            if not value and late:
                bench.log(late.pop(), level=logging.ERROR)
            self.__dict__["_is_urgent"] = value

    bench.log("early", level=logging.ERROR)
    bench.pipeline.workers._due.__class__ = Racing
    bench.listen()
    bench.send()
    bench.listen()
    assert bench.batches == [["early"], ["late"]]


@pytest.mark.parametrize(("before", "waits"), [(0, [1.0]), (2, [])], ids=["the first", "one that makes a batch full"])
def test_a_record_that_comes_while_the_listener_lies_down_is_seen(
    monkeypatch: pytest.MonkeyPatch, before: int, waits: list[float]
) -> None:
    bench = PipelineBench(batch_size=3)
    listener, queue = bench.pipeline.listener, bench.pipeline.queue
    bench.log(*"ab"[:before])
    relax = queue.relax
    late = ["late"]
    waited: list[float | None] = []

    def caller_is_faster(wanted: int) -> None:
        if late:
            # It still sees the earlier threshold, so it wakes nobody.
            queue.threshold = 1000
            bench.log(late.pop())
        relax(wanted)

    def wait(seconds: float | None) -> None:
        waited.append(seconds)
        assert seconds is not None, "nobody would wake it"
        bench.clock.advance(seconds)

    monkeypatch.setattr(queue, "relax", caller_is_faster)
    monkeypatch.setattr(listener._wakeup, "wait", wait)
    taken = listener.dequeue(True)
    assert [entry.message for entry in taken.entries] == [*"ab"[:before], "late"]
    assert waited == waits


def test_a_flush_during_which_something_was_dropped_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = PipelineBench()
    bench.log("a")

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        bench.pipeline.ledger.turn_away("queue_full")
        bench.listen()
        bench.send()
        return holds()

    monkeypatch.setattr(bench.pipeline.ledger.settled, "wait", wait)
    assert not bench.pipeline.workers.flush(1.0)
    assert bench.stats().pending == 0


def test_entries_are_let_go_when_their_batch_is_made() -> None:
    bench = PipelineBench(batch_size=1)
    bench.log("a")
    taken, _ = bench.pipeline.listener.collect()
    assert taken is not None
    bench.pipeline.listener.handle(taken)
    assert taken.entries == []


def test_losses_that_a_batch_could_not_report_are_reported_by_the_next(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.pipeline.ledger.turn_away("queue_full")
    bench.pipeline.listener.stop()
    with monkeypatch.context() as patch:
        patch.setattr(bench.pipeline.outbox, "put", lambda _: (_ for _ in ()).throw(MemoryError))
        bench.log("a")
        bench.listen()
    bench.log("b")
    bench.listen()
    ((notice, _),) = bench.batches
    assert "the queue was full" in notice


@pytest.mark.parametrize(
    ("count", "length", "compressed"),
    [(99, 1, False), (100, 1, True), (1, 60_000, False), (1, 70_000, True)],
    ids=["few", "many", "small", "large"],
)
def test_a_batch_is_compressed_from_100_records_or_64_kib_on(count: int, length: int, compressed: bool) -> None:
    bench = PipelineBench(batch_size=count)
    bench.log(*["x" * length] * count)
    bench.listen()
    bench.send()
    assert [request.compressed for request in bench.scripted.requests] == [compressed]


def test_a_large_batch_is_not_compressed_against_the_settings() -> None:
    bench = PipelineBench(batch_size=1, enable_compression=False)
    bench.log("x" * 70_000)
    bench.listen()
    bench.send()
    assert [request.compressed for request in bench.scripted.requests] == [False]
