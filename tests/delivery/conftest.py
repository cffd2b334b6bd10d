"""Fixtures of the tests of delivery: a process whose end is not in sight, a bench, threads that only seem to start."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from logcollector_handler import handler as handlers
from logcollector_handler.delivery import children
from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.budget import Budget
from tests.delivery.harness import FakeClock
from tests.delivery.interrupted import Process
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


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Process]:
    """Makes handlers that are to be interrupted, of a durability and with changed settings."""
    monkeypatch.setattr(handlers, "connect", lambda settings, _: Process.networks[settings.service])
    return lambda durability, **changes: Process(durability, tmp_path, **changes)
