"""The end of the process: who is drained, in how much time, and what a forked child forgets."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.util
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery import process
from logcollector_handler.delivery.states import Role
from tests.delivery.harness import Request, answer_lost
from tests.delivery.pipelines import PipelineBench, alive


class Watched:
    """Remembers what it was told."""

    shutdown_timeout = 5.0

    def __init__(self) -> None:
        self.told: list[str] = []

    def flush(self, seconds: float) -> bool:
        self.told.append(f"flush {seconds}")
        return True

    def holds_up(self) -> bool:
        return False

    def begin_exit(self) -> None:
        self.told.append("begin")

    def finish_exit(self) -> None:
        self.told.append("finish")

    def abandon(self) -> None:
        self.told.append("abandon")


def test_who_is_watched_is_drained_until_it_is_not_watched_any_more() -> None:
    watched, unwatched = Watched(), Watched()
    ending.watch(watched)
    ending.watch(unwatched)
    ending.unwatch(unwatched)
    ending.drain()
    assert (watched.told, unwatched.told) == (["begin", "finish"], [])


def test_a_forked_child_lets_go_of_its_parents_and_has_its_own_end_before_it() -> None:
    parents = Watched()
    ending.watch(parents)
    ending.drain()
    ending.spend(3.0)
    ending.forget()
    assert not ending.is_exiting()
    assert ending.spent() == 0.0
    childs = Watched()
    ending.watch(childs)
    ending.drain()
    assert parents.told == ["begin", "finish", "abandon"]
    assert childs.told == ["begin", "finish"]


def test_the_end_waits_for_the_threads_of_all_handlers_no_longer_than_for_those_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    for _ in range(3):
        bench = PipelineBench()

        def hangs(holds: Callable[[], bool], seconds: float, bench: PipelineBench = bench) -> bool:
            waits.append(seconds)
            bench.clock.advance(seconds)
            return holds()

        alive(bench, Role.LISTENER)
        monkeypatch.setattr(bench.pipeline.workers._ended, "wait", hangs)
        ending.watch(bench.pipeline.workers)
    ending.drain()
    assert (waits[0], set(waits[1:])) == (5.0, {0.0})


def test_what_exit_handlers_log_is_sent_in_what_is_left_of_the_same_time() -> None:
    benches = [PipelineBench(), PipelineBench(), PipelineBench()]
    for bench in benches:

        def takes_three_seconds(request: Request, bench: PipelineBench = bench) -> Any:
            bench.clock.advance(min(3.0, request.seconds))
            return answer_lost(request)

        bench.scripted.rule = takes_three_seconds
        ending.watch(bench.pipeline.workers)
    ending.drain()
    for bench in benches:
        bench.log("late")
    assert [[each.seconds for each in bench.scripted.requests] for bench in benches] == [[5.0], [2.0], []]
    assert [bench.stats().dropped for bench in benches] == [{"shutdown": 1}] * 3


def test_a_child_of_multiprocessing_registers_one_finalizer_and_so_does_its_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such a child runs no exit handlers, and begins without the finalizers of its parent."""
    registered: list[tuple[object, object]] = []
    # A process of another id is noticed as a forked child. After the test this is the parent again.
    monkeypatch.setattr(process, "_pid", os.getpid())

    def finalize(obj: object, callback: object, *, exitpriority: int) -> None:
        registered.append((callback, exitpriority < 0))

    monkeypatch.setattr(multiprocessing.util, "Finalize", finalize)
    ending.watch(Watched())
    assert registered == [], "this process ends like others"
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: object())
    for _ in range(2):
        ending.watch(Watched())
    assert registered == [(ending.drain, True)]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    ending.watch(Watched())
    assert registered == [(ending.drain, True)] * 2


def test_an_error_in_one_that_is_drained_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("cannot schedule new futures")

    failing: Any = SimpleNamespace(shutdown_timeout=5.0, flush=fail, begin_exit=fail, finish_exit=fail)
    others = [Watched() for _ in range(20)]
    monkeypatch.setattr(ending, "_live", [failing, *others])
    ending.flush()
    ending.drain()
    for each in others:
        assert [told.partition(" ")[0] for told in each.told] == ["flush", "flush", "begin", "finish"]
    assert "cannot schedule new futures" in capsys.readouterr().err


def test_what_logs_while_celerys_signal_is_connected_does_not_come_to_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer, say. Celery's lock is not re-entrant."""
    connected: list[object] = []

    class Signal:
        def connect(self, receiver: object, **_: object) -> None:
            assert not connected, "it would wait for the lock that it holds"
            connected.append(receiver)
            ending.watch(Watched())

    monkeypatch.setitem(sys.modules, "celery.signals", SimpleNamespace(worker_process_shutdown=Signal()))
    monkeypatch.setattr(ending, "_is_connected", False)
    ending.watch(Watched())
    ending.watch(Watched())
    assert connected == [ending._drain_celery_child]
