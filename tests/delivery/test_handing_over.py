"""A pipeline with `deliver: false`: one thread, no network, and accepted = handed over + dropped + pending."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.spool import HandOver
from logcollector_handler.delivery.states import Role, State
from tests.delivery.harness import FakeClock
from tests.delivery.pipelines import (
    PATIENCE,
    FakeThreads,
    PipelineBench,
    RunningClock,
    alive,
    handed_over,
    records_add_up,
    wait_until,
)


def make(root: Path, clock: FakeClock | None = None, **changes: Any) -> PipelineBench:
    return PipelineBench(clock, spool_dir=str(root), deliver=False, redact=(), **changes)


def hand_over_of(bench: PipelineBench) -> HandOver:
    hand_over = bench.pipeline.outbox
    assert isinstance(hand_over, HandOver)
    assert hand_over is bench.pipeline.sender
    return hand_over


class Disk:
    """What the writer sees of its disk, which can be full."""

    def __init__(self, hand_over: HandOver) -> None:
        self.is_full = False
        place = hand_over._files.place
        for name in ("write", "create", "rename"):
            setattr(place, name, self._limited(getattr(place, name)))

    def _limited(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.is_full:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        return call


# The threads


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_only_a_listener_is_started_and_nothing_is_posted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    bench = make(tmp_path, durability=durability)
    threads = FakeThreads(monkeypatch, bench)
    bench.log("a", "b")
    assert threads.started == [Role.LISTENER]
    assert bench.pipeline.workers.wake(), "nothing is missing"
    bench.listen()
    bench.clock.advance(1.0)
    bench.listen()
    assert (bench.stats().handed_over, bench.batches) == (2, [])
    assert handed_over(tmp_path) == ["a", "b"]


def real(root: Path, **changes: Any) -> tuple[PipelineBench, Disk]:
    """A bench whose thread starts."""
    bench = make(root, RunningClock(), **{"flush_interval": 0.01, **changes})
    del bench.pipeline.workers._start
    return bench, Disk(hand_over_of(bench))


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_a_flush_waits_until_all_is_handed_over_and_close_ends_the_thread(tmp_path: Path, durability: str) -> None:
    bench, _ = real(tmp_path, durability=durability, batch_size=20)
    workers = bench.pipeline.workers
    for number in range(90):
        bench.log(str(number))
    assert workers.flush(PATIENCE)
    assert (bench.stats().handed_over, bench.stats().pending) == (90, 0)
    workers.close(PATIENCE)
    wait_until(lambda: workers.state is State.IDLE)
    assert not ending.is_watched(workers)
    assert list(tmp_path.glob("*/*.lock")) == []
    bench.log("again")
    assert workers.flush(PATIENCE)
    workers.close(PATIENCE)
    assert handed_over(tmp_path) == [*map(str, range(90)), "again"]
    assert records_add_up(bench.stats())


def test_the_thread_tries_a_full_disk_again_without_another_record(tmp_path: Path) -> None:
    bench, disk = real(tmp_path)
    disk.is_full = True
    bench.log("a")
    assert not bench.pipeline.workers.flush(0.05)
    assert bench.stats().pending == 1
    disk.is_full = False
    wait_until(lambda: bench.stats().handed_over == 1)
    bench.pipeline.workers.close(PATIENCE)


def test_a_closed_handler_goes_on_trying_until_the_disk_takes_it(tmp_path: Path) -> None:
    bench, disk = real(tmp_path)
    workers = bench.pipeline.workers
    disk.is_full = True
    bench.log("a")
    workers.close(0.05)
    assert workers.state is State.LISTENING
    assert ending.is_watched(workers)
    disk.is_full = False
    wait_until(lambda: workers.state is State.IDLE)
    assert (bench.stats().handed_over, ending.is_watched(workers)) == (1, False)


@pytest.mark.parametrize("durability", ["batch", "record"])
@pytest.mark.parametrize("living", [(), (Role.LISTENER,)])
def test_at_exit_all_is_handed_over_with_a_thread_and_without(
    tmp_path: Path, durability: str, living: tuple[Role, ...]
) -> None:
    if living:
        bench, _ = real(tmp_path, durability=durability, flush_interval=1000.0)
    else:
        bench = make(tmp_path, durability=durability)
    bench.log("a", "b")
    bench.pipeline.workers.begin_exit()
    bench.pipeline.workers.finish_exit()
    assert (bench.stats().handed_over, bench.stats().pending) == (2, 0)
    assert handed_over(tmp_path) == ["a", "b"]


def test_at_exit_a_full_disk_is_tried_until_the_deadline_and_the_rest_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make(tmp_path)
    disk = Disk(hand_over_of(bench))
    disk.is_full = True
    bench.log("a", "b")
    began = bench.clock.monotonic()
    bench.pipeline.workers.begin_exit()
    bench.pipeline.workers.finish_exit()
    assert 4.0 < bench.clock.monotonic() - began <= 5.0
    assert (bench.stats().dropped, bench.stats().pending) == ({"shutdown": 2}, 0)
    err = capsys.readouterr().err
    assert "takes no batch now (No space left on device): batches wait in memory" in err
    assert "2 records were dropped: the process ended before all was sent" in err


def test_at_exit_the_thread_goes_on_and_nobody_drops_what_it_has(tmp_path: Path) -> None:
    bench, disk = real(tmp_path, shutdown_timeout=PATIENCE)
    disk.is_full = True
    bench.log("a")
    wait_until(lambda: len(bench.pipeline.outbox) == 1)
    workers = bench.pipeline.workers
    workers.begin_exit()
    assert not workers.flush(0.0)
    assert bench.stats().dropped == {}
    disk.is_full = False
    workers.finish_exit()
    assert (bench.stats().handed_over, bench.stats().dropped) == (1, {})


def test_at_exit_room_that_comes_in_time_is_used(tmp_path: Path) -> None:
    bench = make(tmp_path)
    disk = Disk(hand_over_of(bench))
    disk.is_full = True
    passes = bench.pipeline.sender.wait

    def wait(seconds: float | None) -> None:
        passes(seconds)
        disk.is_full = False

    bench.pipeline.sender.wait = wait  # type: ignore[method-assign]  # the time passes, and others send
    bench.log("a")
    bench.pipeline.workers.begin_exit()
    bench.pipeline.workers.finish_exit()
    assert (bench.stats().handed_over, bench.stats().dropped) == (1, {})


def test_what_the_journal_has_on_disk_is_not_dropped_at_the_end(tmp_path: Path) -> None:
    """It cannot be renamed, but it is there, and its owner is about to die."""
    bench = make(tmp_path, durability="record")
    disk = Disk(hand_over_of(bench))
    bench.log("a")
    disk.is_full = True
    bench.pipeline.workers.begin_exit()
    bench.pipeline.workers.finish_exit()
    assert (bench.stats().dropped, bench.stats().pending) == ({}, 1)
    assert [path.suffix for path in tmp_path.glob("*/*") if path.suffix != ".lock"] == [".open"]


def test_a_storm_of_errors_becomes_few_files(tmp_path: Path) -> None:
    bench = make(tmp_path)
    alive(bench, Role.LISTENER)
    for _ in range(100):
        bench.log("boom", level=logging.ERROR)
        bench.listen()
        bench.clock.advance(0.01)
    assert 3 < len(list(tmp_path.glob("*/*.json*"))) < 10


def test_many_threads_log_close_and_flush_and_each_record_is_handed_over_once(tmp_path: Path) -> None:
    bench, disk = real(tmp_path, batch_size=20)
    workers = bench.pipeline.workers
    barrier = threading.Barrier(4)

    def log(name: str) -> None:
        barrier.wait()
        for number in range(200):
            bench.log(f"{name}{number}")

    def close() -> None:
        barrier.wait()
        for number in range(60):
            disk.is_full = number % 3 == 1
            workers.close(0.002)
            workers.flush(0.001)

    acts: list[threading.Thread] = [threading.Thread(target=log, args=(name,)) for name in "abc"]
    acts.append(threading.Thread(target=close))
    for act in acts:
        act.start()
    for act in acts:
        act.join()
    disk.is_full = False
    assert workers.flush(PATIENCE)
    workers.close(PATIENCE)
    wait_until(lambda: workers.state is State.IDLE)
    found = handed_over(tmp_path)
    assert sorted(found) == sorted(f"{name}{number}" for name in "abc" for number in range(200))
    assert bench.stats().handed_over == 600
    assert records_add_up(bench.stats())


# The law


class HandOverMachine(RuleBasedStateMachine):
    """A handler logs, another process takes what lies there, and the disk is full now and then."""

    @initialize(
        durability=st.sampled_from(["batch", "record"]),
        queue=st.integers(1, 30),
        batch=st.integers(1, 12),
        room=st.integers(2048, 8000),
        overflow=st.sampled_from(["drop_oldest", "drop_newest"]),
        blocks=st.integers(4, 30),
    )
    def configure(self, durability: str, queue: int, batch: int, room: int, overflow: str, blocks: int) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.settings: dict[str, Any] = {
            "durability": durability,
            "max_queue_size": queue,
            "batch_size": batch,
            "overflow": overflow,
            "max_record_bytes": 1024,
            "max_batch_bytes": 2048,
            "max_buffer_bytes": room,
            "max_spool_bytes": blocks * 4096,
        }
        self.clock = FakeClock()
        self.number = 0
        self.exiting = False
        #: What other processes have taken and sent.
        self.taken: list[str] = []
        self.open()

    def open(self) -> None:
        self.bench = make(self.root, self.clock, **self.settings)
        self.pipeline = self.bench.pipeline
        self.disk = Disk(hand_over_of(self.bench))
        self.pipeline.queue.is_stuck = True
        self.accepted: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.pipeline.workers.abandon()
            shutil.rmtree(self.root)

    @rule(count=st.integers(1, 40), size=st.sampled_from([1, 10, 300]), level=st.sampled_from([20, 40]))
    def log(self, count: int, size: int, level: int) -> None:
        for _ in range(count):
            self.number += 1
            self.pipeline.queue.is_stuck = True
            self.bench.log(f"{self.number}-{'x' * size}", level=level)
            self.accepted.append(str(self.number))

    @rule(steps=st.integers(1, 5))
    def listen(self, steps: int) -> None:
        for _ in range(steps):
            self.bench.listen()

    @rule()
    def step(self) -> None:
        self.pipeline.sender.step()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(is_full=st.booleans())
    def disk_turns(self, is_full: bool) -> None:
        self.disk.is_full = is_full

    @rule()
    def others_take(self) -> None:
        own = hand_over_of(self.bench)._owners._own
        self.taken += self.there()
        for path in self.root.glob("*/*"):
            if path.is_file() and not path.name.startswith(own):
                path.unlink()

    @rule()
    def flush(self) -> None:
        dropped = self.pipeline.stats().dropped
        if self.pipeline.workers.flush(0.0):
            # True is a promise: all that was accepted lies there for others, and nothing was dropped meanwhile.
            stats = self.pipeline.stats()
            assert (stats.pending, stats.dropped) == (0, dropped)

    @precondition(lambda self: not self.exiting)
    @rule()
    def exit(self) -> None:
        self.exiting = True
        self.pipeline.workers.begin_exit()
        self.pipeline.workers.finish_exit()
        # What the journal has on disk may stay where it is when it cannot be renamed.
        assert self.pipeline.stats().pending == 0 or self.disk.is_full

    def there(self) -> list[str]:
        return handed_over(self.root)

    @invariant()
    def counts_add_up(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        stats = self.pipeline.stats()
        assert stats.accepted == len(self.accepted)
        assert records_add_up(stats), stats

    @invariant()
    def what_was_handed_over_is_there_once_and_in_order(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        found = [each.partition("-")[0] for each in [*self.taken, *self.there()] if "-" in each[:12]]
        assert len(found) == self.pipeline.stats().handed_over
        assert max(Counter(found).values(), default=0) <= 1, "twice"
        assert found == sorted(found, key=int), "in the order of writing"
        assert set(found) <= set(self.accepted), "invented"

    @invariant()
    def memory_is_bounded(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        waiting = list(hand_over_of(self.bench)._waiting)
        assert sum(each.memory_bytes for each in waiting[:-1]) <= self.settings["max_buffer_bytes"]


TestHandOver = HandOverMachine.TestCase
TestHandOver.settings = hypothesis_settings(max_examples=30, stateful_step_count=40, deadline=None)
