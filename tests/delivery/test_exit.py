"""The end of the process: who is drained, in how much time, and what a forked child forgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.states import Role
from tests.delivery.harness import FakeClock, Request, answer_lost, ok
from tests.delivery.pipelines import PipelineBench, alive


class Watched:
    """Remembers what it was told."""

    shutdown_timeout = 5.0
    accepted = 0

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin_flush(self) -> None:
        self.told.append("begin flush")

    def finish_flush(self) -> None:
        self.told.append("finish flush")

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


def test_a_forked_child_lets_go_of_its_parents_and_has_its_own_end_before_it(clock: FakeClock) -> None:
    parents = Watched()
    ending.watch(parents)
    ending.drain()
    ending.budget().hold(lambda: clock.advance(3.0))
    assert ending.budget().left(5.0) == 2.0
    ending.forget()
    assert not ending.is_exiting()
    assert ending.budget().left(5.0) == 5.0
    childs = Watched()
    ending.watch(childs)
    ending.drain()
    assert parents.told == ["begin", "finish", "abandon"]
    assert childs.told == ["begin", "finish"]


def test_the_end_waits_for_the_threads_of_all_handlers_no_longer_than_for_those_of_one(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    waits: list[float] = []
    for _ in range(3):
        bench = PipelineBench(clock)

        def hangs(holds: Callable[[], bool], seconds: float) -> bool:
            waits.append(seconds)
            clock.advance(seconds)
            return holds()

        alive(bench, Role.LISTENER)
        monkeypatch.setattr(bench.pipeline.workers._changed, "wait", hangs)
        ending.watch(bench.pipeline.workers)
    ending.drain()
    assert (waits[0], set(waits[1:])) == (5.0, {0.0})


def test_what_exit_handlers_log_is_sent_in_what_is_left_of_the_same_time(clock: FakeClock) -> None:
    benches = [PipelineBench(clock), PipelineBench(clock), PipelineBench(clock)]
    for bench in benches:

        def takes_three_seconds(request: Request) -> Any:
            clock.advance(min(3.0, request.seconds))
            return ok(request) if request.seconds >= 3.0 else answer_lost(request)

        bench.scripted.rule = takes_three_seconds
        ending.watch(bench.pipeline.workers)
    ending.drain()
    for bench in benches:
        bench.log("late")
    assert [[each.seconds for each in bench.scripted.requests] for bench in benches] == [[5.0], [2.0], []]
    dropped: list[dict[str, int]] = [{}, {"shutdown": 1}, {"shutdown": 1}]
    assert [bench.stats().dropped for bench in benches] == dropped


def test_an_error_in_one_that_is_drained_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("cannot schedule new futures")

    parts = dict.fromkeys(("begin_flush", "finish_flush", "begin_exit", "finish_exit"), fail)
    failing: Any = Watched()
    failing.__dict__.update(parts)
    others = [Watched() for _ in range(20)]
    monkeypatch.setattr(ending, "_live", [failing, *others])
    ending.flush()
    ending.drain()
    for each in others:
        assert each.told == ["begin flush", "finish flush", "begin", "finish"]
    assert "cannot schedule new futures" in capsys.readouterr().err
