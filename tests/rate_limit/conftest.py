"""A filter on the handler of the logger `storms`, whose clock and timers a test advances itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from logcollector_handler import RateLimitFilter
from logcollector_handler import rate_limit as filters
from logcollector_handler.delivery import exit as lifecycle
from tests.delivery.harness import FakeClock
from tests.rate_limit.storms import FakeTimer, Kept, log


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[FakeTimer]:
    FakeTimer.made = []
    monkeypatch.setattr(filters, "Timer", FakeTimer)
    return FakeTimer.made


@pytest.fixture(autouse=True)
def nothing_to_report_at_exit() -> Iterator[None]:
    before = lifecycle._live.copy()
    yield
    lifecycle._live &= before


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limit(clock: FakeClock, timers: list[FakeTimer]) -> RateLimitFilter:
    return RateLimitFilter(rate=3, per=60, clock=clock)


@pytest.fixture
def kept(limit: RateLimitFilter) -> Iterator[Kept]:
    kept = Kept()
    kept.addFilter(limit)
    log.addHandler(kept)
    log.setLevel(logging.DEBUG)
    yield kept
    log.removeHandler(kept)
    kept.close()
