"""The process's life: who is drained at its end, in how much time, and what a forked child forgets."""

from __future__ import annotations

import multiprocessing.process
import multiprocessing.util
import os
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler.delivery import exit as lifecycle
from tests.delivery.harness import Request, answer_lost
from tests.delivery.test_listener import Bench


@pytest.fixture(autouse=True)
def _young_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is watched yet, and the end is not in sight; after the test it is as before."""
    monkeypatch.setattr(lifecycle, "_live", set())
    monkeypatch.setattr(lifecycle, "_exiting", False)
    monkeypatch.setattr(lifecycle, "_spent", 0.0)
    monkeypatch.setattr(lifecycle, "_finalizing_in", None)


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
    lifecycle.watch(watched)
    lifecycle.watch(unwatched)
    lifecycle.unwatch(unwatched)
    lifecycle.drain()
    assert (watched.told, unwatched.told) == (["begin", "finish"], [])


def test_a_forked_child_lets_go_of_its_parents_and_has_its_own_end_before_it() -> None:
    parents = Watched()
    lifecycle.watch(parents)
    lifecycle.drain()
    lifecycle.spend(3.0)
    lifecycle.forget()
    assert not lifecycle.is_exiting()
    assert lifecycle.spent() == 0.0
    childs = Watched()
    lifecycle.watch(childs)
    lifecycle.drain()
    assert parents.told == ["begin", "finish", "abandon"]
    assert childs.told == ["begin", "finish"]


def test_the_end_waits_for_the_threads_of_all_handlers_no_longer_than_for_those_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    for _ in range(3):
        bench = Bench()

        def hangs(holds: Callable[[], bool], seconds: float, bench: Bench = bench) -> bool:
            waits.append(seconds)
            bench.clock.advance(seconds)
            return holds()

        bench.pipeline._listening = True
        monkeypatch.setattr(bench.pipeline._ended, "wait", hangs)
        lifecycle.watch(bench.pipeline)
    lifecycle.drain()
    assert waits == [5.0, 0.0, 0.0]


def test_what_exit_handlers_log_is_sent_in_what_is_left_of_the_same_time() -> None:
    benches = [Bench(), Bench(), Bench()]
    for bench in benches:

        def takes_three_seconds(request: Request, bench: Bench = bench) -> Any:
            bench.clock.advance(min(3.0, request.seconds))
            return answer_lost(request)

        bench.transport.rule = takes_three_seconds
        lifecycle.watch(bench.pipeline)
    lifecycle.drain()
    for bench in benches:
        bench.log("late")
    assert [[each.seconds for each in bench.transport.requests] for bench in benches] == [[5.0], [2.0], []]
    assert [bench.pipeline.stats().dropped for bench in benches] == [{"shutdown": 1}] * 3


def test_a_child_of_multiprocessing_registers_one_finalizer_and_so_does_its_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such a child runs no exit handlers, and begins without the finalizers of its parent."""
    registered: list[tuple[object, object]] = []

    def finalize(obj: object, callback: object, *, exitpriority: int) -> None:
        registered.append((callback, exitpriority < 0))

    monkeypatch.setattr(multiprocessing.util, "Finalize", finalize)
    lifecycle.watch(Watched())
    assert registered == [], "this process ends like others"
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: object())
    for _ in range(2):
        lifecycle.watch(Watched())
    assert registered == [(lifecycle.drain, True)]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    lifecycle.watch(Watched())
    assert registered == [(lifecycle.drain, True)] * 2
