"""The sender on a line that is too slow for its batches: they are made smaller for a while, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.batch import Batch
from logcollector_handler.delivery.outbox import MemoryOutbox, Replaced
from logcollector_handler.delivery.pace import Pace
from logcollector_handler.settings import Settings
from tests.delivery.harness import Bench, Request, batch_of, ok, status
from tests.delivery.pipelines import PipelineBench

KIB = 1024
SETTINGS = replace(Settings(), max_batch_bytes=64 * KIB, max_record_bytes=64 * KIB)


def unfinished(request: Request) -> Answer:
    return Answer(unfinished=True, detail="no complete answer within 5 s (TimeoutException)")


def line_of(limit: int) -> Callable[[Request], Answer]:
    """A line on which no more than so many bytes get through in the time of a request."""
    return lambda request: unfinished(request) if len(request.body) > limit else ok(request)


def messages(*numbers: int) -> list[str]:
    return [f"{number}".ljust(KIB, "x") for number in numbers]


def test_a_batch_that_does_not_fit_the_time_is_sent_in_parts_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(settings=SETTINGS)
    bench.transport.rule = line_of(12 * KIB)
    bench.put("a", *messages(*range(32)))
    bench.run()
    assert bench.keys == ["a", "a.0", "a.0.0", "a.0.1", "a.1.0", "a.1.1"], "a.1 is known to be too large"
    assert bench.transport.stored == messages(*range(32))
    stats = bench.stats()
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (32, 0, 0, {})
    (said,) = capsys.readouterr().err.splitlines()
    assert "5 s were not enough to send a batch of" in said
    assert "raise timeout or lower max_batch_bytes" in said


def test_batches_that_wait_are_split_when_their_turn_comes_and_not_tried_whole() -> None:
    bench = Bench(settings=SETTINGS)
    bench.transport.rule = line_of(12 * KIB)
    for number, batch_id in enumerate("abc"):
        bench.put(batch_id, *messages(*range(32 * number, 32 * number + 32)))
    bench.run()
    too_large = [each.key for each in bench.transport.requests if len(each.body) > 12 * KIB]
    assert too_large == ["a", "a.0", "c.1"], "the last of them is the attempt after ten that went well"
    assert bench.transport.stored == messages(*range(96))


def test_after_ten_requests_that_went_well_batches_are_twice_as_large_until_they_are_as_before() -> None:
    pace = Pace(64 * KIB)
    sizes = []
    pace.slow_down(40 * KIB)
    pace.slow_down(10 * KIB)
    pace.slow_down(30 * KIB)
    for _ in range(31):
        sizes.append(pace.batch_bytes // KIB)
        pace.went_well()
    assert sizes == [10] * 10 + [20] * 10 + [40] * 10 + [64]
    for _ in range(9):
        pace.slow_down(10 * KIB)
        pace.went_well()
    assert pace.batch_bytes == 10 * KIB, "the ten are counted from the last that was too slow"


def test_batches_stay_small_for_ten_requests() -> None:
    bench = Bench(settings=SETTINGS)
    bench.transport.script = [unfinished]
    bench.put("a", *messages(*range(32)))
    bench.run()
    small = bench.sender.batch_bytes
    assert small == pytest.approx(16.5 * KIB, rel=0.1)
    for number in range(8):
        bench.put(f"b{number}", "x")
        assert bench.sender.batch_bytes == small
        bench.run()
    assert bench.sender.batch_bytes == 2 * small


def test_the_listener_makes_batches_no_larger_than_the_sender_takes() -> None:
    bench = PipelineBench(max_batch_bytes=64 * KIB, max_record_bytes=4 * KIB, batch_size=32)
    bench.scripted.rule = line_of(12 * KIB)
    bench.log(*messages(*range(32)))
    bench.listen()
    bench.send()
    bench.log(*messages(*range(32)))
    bench.listen()
    bench.send()
    later = [len(request.body) for request in bench.scripted.requests if "." not in request.key][1:]
    assert len(later) >= 2
    assert max(later) <= bench.pipeline.sender.batch_bytes
    assert bench.stats().delivered == 64


def test_a_lone_record_that_does_not_fit_the_time_is_kept_and_does_not_block_the_others() -> None:
    bench = Bench(settings=SETTINGS)
    bench.transport.rule = line_of(20 * KIB)
    bench.put("a", "y" * 30 * KIB, *messages(1, 2, 3))
    bench.put("b", "x" * 30 * KIB)
    bench.put("c", "after")
    bench.run(120)
    assert sorted(bench.transport.stored) == sorted([*messages(1, 2, 3), "after"])
    stats = bench.stats()
    assert (stats.delivered, stats.pending, stats.dead_lettered, dict(stats.dropped)) == (4, 2, 0, {})
    assert 3 < bench.keys.count("b") < 12, "it is tried again, less and less often"
    bench.transport.rule = ok
    bench.run(31)
    assert bench.stats().delivered == 6


def test_a_batch_that_the_server_may_have_stored_is_not_split_for_the_line_and_does_not_block_the_others() -> None:
    bench = Bench(settings=SETTINGS)
    bench.transport.script = [lambda request: Answer(arrived=True, detail="cut")]
    bench.transport.rule = line_of(20 * KIB)
    bench.put("a", *messages(*range(32)))
    bench.put("b", "after")
    bench.run(60)
    assert bench.transport.stored == ["after"]
    assert set(bench.keys) == {"a", "b"}
    bench.transport.rule = ok
    bench.run(31)
    assert bench.stats().delivered == 33


def test_where_the_parts_find_no_room_a_large_batch_is_sent_whole() -> None:
    class FullOutbox(MemoryOutbox):
        def replace(self, batch: Batch, successors: object) -> Replaced:
            return Replaced.NO_ROOM

    bench = Bench(settings=SETTINGS, make_outbox=FullOutbox)
    bench.transport.script = [unfinished]
    bench.put("a", *messages(*range(32)))
    bench.put("b", *messages(*range(32)))
    bench.run(30)
    assert bench.keys == ["a", "b", "a"]
    assert bench.stats().delivered == 64


def test_a_half_of_a_batch_that_did_not_fit_the_time_is_no_suspect() -> None:
    bench = Bench(settings=SETTINGS)
    bench.transport.script = [unfinished, ok, status(500)]
    bench.put("a", *messages(1, 2, 3, 4))
    bench.run(10)
    assert bench.keys == ["a", "a.0", "a.1", "a.1"]


def test_a_batch_that_a_dead_process_made_larger_is_tried_as_it_is_before_it_is_split() -> None:
    """The dead process may have sent it: as parts its records would be stored again."""
    for adopted, keys in ((True, ["a"]), (False, ["a.0", "a.1"])):
        bench = Bench(Settings(max_batch_bytes=2048, max_record_bytes=2048))
        bench.outbox.put(batch_of("a", "x" * 1500, "y" * 1500, adopted=adopted))
        bench.run()
        assert bench.keys == keys
