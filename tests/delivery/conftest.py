"""Fixtures of the tests of delivery: a process whose end is not in sight, a bench, threads that only seem to start."""

from __future__ import annotations

import pytest

from logcollector_handler.delivery import exit as ending
from tests.delivery.pipelines import FakeThreads, PipelineBench


@pytest.fixture(autouse=True)
def _young_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is watched yet, and the end is not in sight; after the test it is as before."""
    monkeypatch.setattr(ending, "_live", set())
    monkeypatch.setattr(ending, "_exiting", False)
    monkeypatch.setattr(ending, "_spent", 0.0)
    monkeypatch.setattr(ending, "_finalizing_in", None)


@pytest.fixture
def bench() -> PipelineBench:
    return PipelineBench()


@pytest.fixture
def threads(bench: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> FakeThreads:
    """The threads of `bench`."""
    return FakeThreads(monkeypatch, bench)
