"""The end of the process, for one handler: what is sent by whom, until when, and what is counted as dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.states import Role
from tests.delivery.harness import FakeClock, Request, answer_lost, no_connection, ok, status
from tests.delivery.pipelines import PipelineBench, alive, records_add_up

LISTENER, SENDER = Role.LISTENER, Role.SENDER


@pytest.fixture
def ending_bench(bench: PipelineBench) -> PipelineBench:
    """A handler that `logging.shutdown()` is going to close, after the drain. Its threads have ended."""
    ending.watch(bench.pipeline.workers)
    bench.pipeline.workers.will_close()
    ending.drain()
    return bench


def requests(bench: PipelineBench) -> list[list[str]]:
    return [request.messages for request in bench.scripted.requests]


def test_a_server_that_fails_once_has_the_records_at_the_second_attempt(bench: PipelineBench) -> None:
    bench.scripted.script = [status(503), no_connection, status(500)]
    bench.log("a")
    ending.watch(bench.pipeline.workers)
    ending.drain()
    assert bench.scripted.stored == ["a"]
    assert bench.stats().dropped == {}


def test_a_server_that_hangs_takes_the_time_once_whoever_ends_the_process(
    bench: PipelineBench, clock: FakeClock
) -> None:
    def hang(request: Request) -> Answer:
        clock.advance(request.seconds)
        return answer_lost(request)

    bench.scripted.rule = hang
    bench.log("a")
    ending.watch(bench.pipeline.workers)
    start = clock.now
    ending.drain()
    bench.log("b")
    bench.pipeline.workers.flush(5.0)
    bench.pipeline.workers.close(5.0)
    ending.drain()
    assert clock.now - start == 5.0
    assert bench.stats().dropped == {"shutdown": 2}


def test_records_that_come_after_the_drain_wait_for_the_handler_to_be_closed(ending_bench: PipelineBench) -> None:
    ending_bench.log(*"abc")
    assert requests(ending_bench) == []
    ending_bench.pipeline.workers.close(5.0)
    assert requests(ending_bench) == [["a", "b", "c"]]


def test_late_records_that_fill_a_batch_are_sent(clock: FakeClock) -> None:
    bench = PipelineBench(clock, batch_size=3)
    ending.watch(bench.pipeline.workers)
    bench.pipeline.workers.will_close()
    ending.drain()
    bench.log(*"abcd")
    assert requests(bench) == [["a", "b", "c"]]


def test_a_late_record_does_not_wait_long_for_another(ending_bench: PipelineBench) -> None:
    ending_bench.log("a")
    ending_bench.clock.advance(0.049)
    ending_bench.log("b")
    assert requests(ending_bench) == []
    ending_bench.clock.advance(0.002)
    ending_bench.log("c")
    assert requests(ending_bench) == [["a", "b", "c"]]
    ending_bench.log("d")
    assert len(requests(ending_bench)) == 1, "it is the first that waits"


def test_after_the_handler_is_closed_a_record_is_sent_at_once(ending_bench: PipelineBench) -> None:
    ending_bench.pipeline.workers.close(5.0)
    ending_bench.log("a")
    ending_bench.log("b")
    assert requests(ending_bench) == [["a"], ["b"]]


def test_a_handler_that_nobody_will_close_sends_a_late_record_at_once(bench: PipelineBench) -> None:
    ending.watch(bench.pipeline.workers)
    ending.drain()
    bench.log("a")
    assert requests(bench) == [["a"]]


def test_the_connection_is_kept_for_late_records_until_the_handler_is_closed(
    ending_bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    monkeypatch.setattr(ending_bench.scripted, "close", lambda: closed.append(len(ending_bench.scripted.requests)))
    ending_bench.log("a")
    ending_bench.pipeline.workers.flush(5.0)
    ending_bench.log("b")
    assert closed == []
    ending_bench.pipeline.workers.close(5.0)
    assert closed == [2]
    ending_bench.log("c")
    ending_bench.log("d")
    assert closed == [2], "what comes after that may be followed by more"


def test_what_is_lost_at_the_end_is_said_in_few_lines(
    ending_bench: PipelineBench, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    ending.budget().hold(lambda: clock.advance(5.0))
    ending_bench.log(*map(str, range(100)))
    ending_bench.pipeline.workers.close(5.0)
    for number in range(100):
        ending_bench.log(f"late {number}")
    lines = capsys.readouterr().err.splitlines()
    assert "100 records were dropped" in lines[0]
    assert len(lines) == 2
    assert ending_bench.stats().dropped == {"shutdown": 200}


def test_wrong_settings_are_tried_once_also_for_late_records(ending_bench: PipelineBench) -> None:
    ending_bench.scripted.rule = status(401)
    ending_bench.log("a")
    ending_bench.pipeline.workers.close(5.0)
    ending_bench.log("b")
    assert requests(ending_bench) == [["a"]]
    assert ending_bench.stats().dropped == {"shutdown": 2}


class Another:
    """A thread that goes on logging: whenever this one makes a request, it logs once more."""

    def __init__(self, bench: PipelineBench) -> None:
        self._bench = bench
        self.count = 0
        bench.scripted.rule = self

    def __call__(self, request: Request) -> Answer:
        self.count += 1
        assert self.count < 100, "the end waits for one that never ends"
        thread = threading.Thread(target=self._bench.log, args=(f"another's {self.count}",))
        thread.start()
        thread.join()
        return ok(request)


@pytest.mark.parametrize("end", [lambda _: ending.drain(), lambda bench: bench.pipeline.workers.close(5.0)])
def test_a_thread_that_goes_on_logging_does_not_hold_up_the_end(
    bench: PipelineBench, clock: FakeClock, end: Callable[[PipelineBench], object]
) -> None:
    another = Another(bench)
    ending.watch(bench.pipeline.workers)
    bench.pipeline.workers.begin_exit()
    bench.log("a")
    start = clock.now
    end(bench)
    assert clock.now == start
    assert another.count <= 10
    assert bench.scripted.stored[0] == "a"
    assert bench.stats().dropped == {}
    assert records_add_up(bench.stats())


def test_a_sender_that_goes_on_does_not_hold_up_the_end_when_all_is_settled(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener does not end, because others log."""
    bench.log("a")
    alive(bench, LISTENER, SENDER)

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        if not holds():
            bench.log("b")
            bench.listen()
            bench.send()
        assert holds()
        return True

    monkeypatch.setattr(bench.pipeline.workers._changed, "wait", wait)
    bench.pipeline.workers.begin_exit()
    bench.pipeline.workers.finish_exit()
    assert bench.scripted.stored == ["a", "b"]


def in_the_listeners_hands(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch, at_encoding: Callable[[], Any]
) -> None:
    """Have the listener handle a batch; while it encodes that, `at_encoding` is called in between."""
    encode = bench.pipeline.listener._wire.encode

    def slowly(*arguments: Any) -> Any:
        monkeypatch.setattr(bench.pipeline.listener._wire, "encode", encode)
        at_encoding()
        return encode(*arguments)

    monkeypatch.setattr(bench.pipeline.listener._wire, "encode", slowly)
    bench.listen()


def test_a_batch_in_the_listeners_hands_at_the_deadline_is_dropped_once(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    bench.log(*"abc")
    alive(bench, LISTENER, SENDER)
    workers = bench.pipeline.workers

    def deadline() -> None:
        bench.log("d")
        with monkeypatch.context() as patched:
            patched.setattr(workers._changed, "wait", lambda holds, seconds: clock.advance(seconds))
            ending.drain()
        stats = bench.stats()
        assert (stats.pending, stats.dropped) == (0, {"shutdown": 4})

    ending.watch(workers)
    workers.begin_exit()
    in_the_listeners_hands(bench, monkeypatch, deadline)
    stats = bench.stats()
    assert (stats.accepted, stats.pending, stats.dropped) == (4, 0, {"shutdown": 4}), "not put after it was counted"
    assert len(bench.pipeline.outbox) == 0


def test_a_batch_in_the_listeners_hands_at_the_deadline_is_written_to_the_spool(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, tmp_path: Path
) -> None:
    bench = PipelineBench(clock, spool_dir=str(tmp_path))
    bench.log(*"abc")
    alive(bench, LISTENER, SENDER)
    workers = bench.pipeline.workers
    waits: list[float] = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        waits.append(seconds)
        if seconds and clock.now - start >= 5.0:
            bench.listen()
            return holds()
        clock.advance(seconds)
        return False

    start = clock.now
    monkeypatch.setattr(workers._changed, "wait", wait)
    ending.watch(workers)
    ending.drain()
    assert bench.stats().dropped == {}
    assert bench.stats().pending == 3
    assert len(list(tmp_path.glob("*/*.json*"))) == 1
    assert waits[-1] <= 1.0, "not for ever"


def test_a_batch_that_the_outbox_fails_on_is_counted_once(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(batch: object) -> None:
        raise MemoryError

    bench.log(*"abc")
    monkeypatch.setattr(bench.pipeline.outbox, "put", fail)
    bench.listen()
    bench.clock.advance(1)
    bench.listen()
    stats = bench.stats()
    assert (stats.pending, stats.dropped) == (0, {"internal_error": 3})


def test_an_end_that_the_process_survives_says_what_would_be_lost(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.log(*"ab")
    alive(bench, LISTENER, SENDER)
    ending.watch(bench.pipeline.workers)
    monkeypatch.setattr(bench.pipeline.workers._changed, "wait", lambda holds, seconds: bench.clock.advance(seconds))
    ending.flush()
    assert "2 records could not be sent in time" in capsys.readouterr().err
    assert bench.stats().pending == 2, "they are sent when the process lives on"


def test_such_an_end_is_over_at_once_if_the_settings_are_wrong(
    bench: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.scripted.rule = status(404)
    bench.log("a")
    alive(bench, LISTENER, SENDER)
    ending.watch(bench.pipeline.workers)

    over: list[bool] = []

    def wait(holds: Callable[[], bool], seconds: float) -> bool:
        bench.listen()
        bench.pipeline.sender.step()
        over.append(holds())
        return over[-1]

    monkeypatch.setattr(bench.pipeline.workers._changed, "wait", wait)
    ending.flush()
    assert over[-1]
    assert len(bench.scripted.requests) == 1
