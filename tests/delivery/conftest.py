"""Fixtures of the tests of delivery: a process whose end is not in sight, a bench, threads that only seem to start."""

from __future__ import annotations

import weakref

import pytest

from logcollector_handler.delivery import children
from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.budget import Budget
from tests.delivery.harness import FakeClock
from tests.delivery.pipelines import FakeThreads, PipelineBench


@pytest.fixture
def clock() -> FakeClock:
    """The time of the process and of `bench`."""
    return FakeClock()


@pytest.fixture(autouse=True)
def _young_process(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Nothing is watched yet, and the end is not in sight; after the test it is as before."""
    monkeypatch.setattr(ending, "_live", set())
    monkeypatch.setattr(ending, "_accepted", weakref.WeakKeyDictionary())
    monkeypatch.setattr(ending, "_exiting", False)
    monkeypatch.setattr(ending, "_budget", Budget(clock))
    monkeypatch.setattr(children, "_finalizing_in", None)


@pytest.fixture
def bench(clock: FakeClock) -> PipelineBench:
    return PipelineBench(clock)


@pytest.fixture
def threads(bench: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> FakeThreads:
    """The threads of `bench`."""
    return FakeThreads(monkeypatch, bench)
