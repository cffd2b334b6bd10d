"""An exception out of a signal handler, at every point of a RateLimitFilter's work where one can come.

After each: the lock is free, every record but that of the interrupted call was let through or is counted in exactly one
report, and the timer and the end of the process report what is held back.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

import pytest

from logcollector_handler import RateLimitFilter
from logcollector_handler import rate_limit as filters
from logcollector_handler.delivery import exit as lifecycle
from tests.delivery.harness import FakeClock
from tests.delivery.interrupting import Alarm, Interrupt, Points, free
from tests.rate_limit.storms import FakeTimer, log


class Receiver(logging.Handler):
    """A handler with the filter. It notes what was let through, and the reports that were on their way to it."""

    def __init__(self, limit: RateLimitFilter) -> None:
        super().__init__()
        self.addFilter(limit)
        self.passed = 0
        self.reported = 0

    def handle(self, record: logging.LogRecord) -> bool:
        self.reported += record.__dict__.get("held_back", 0)
        return bool(super().handle(record))

    def emit(self, record: logging.LogRecord) -> None:
        self.passed += "held_back" not in record.__dict__


class Storm:
    """Three call sites, two of which have held back records."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        FakeTimer.made = []
        monkeypatch.setattr(filters, "Timer", FakeTimer)
        self.clock = FakeClock()
        self.limit = RateLimitFilter(rate=2, per=60, clock=self.clock)
        self.receiver = Receiver(self.limit)
        self.logger = log
        monkeypatch.setattr(log, "handlers", [self.receiver])
        self.logged = 0
        for site, count in ((1, 5), (2, 9), (3, 1)):
            for _ in range(count):
                self.log_whole(site)

    def log(self, site: int) -> None:
        self.logger.handle(logging.LogRecord("storms", 30, "shop.py", site, "disk full", None, None))

    def log_whole(self, site: int) -> None:
        self.logged += 1
        self.log(site)

    def check(self, place: str) -> None:
        assert free(self.limit._lock), f"held after an exception at {place}"
        self.log_whole(4)
        for _ in range(3):
            self.log_whole(4)
        assert self.limit._has_timer(), f"no timer after an exception at {place}"
        assert self.limit._exit in lifecycle._live, f"not reported at the end after an exception at {place}"
        self.limit._exit.begin_exit()
        assert self.limit._exit not in lifecycle._live, f"kept for ever after an exception at {place}"
        told = self.receiver.passed + self.receiver.reported
        # The record of the interrupted call is missing or is there.
        assert self.logged <= told <= self.logged + 1, f"{told} of {self.logged} after an exception at {place}"


def nothing(storm: Storm) -> None:
    """The storm is as it was made."""


def a_minute_later(storm: Storm) -> None:
    storm.clock.advance(61)


def all_reported(storm: Storm) -> None:
    storm.limit._exit.begin_exit()
    storm.log_whole(1)
    storm.log_whole(1)


def logs(site: int) -> Callable[[Storm], None]:
    return lambda storm: storm.log(site)


def timer(storm: Storm) -> None:
    FakeTimer.made[0].call()


def end(storm: Storm) -> None:
    storm.limit._exit.begin_exit()


@pytest.mark.parametrize("error", [Alarm, Interrupt])
@pytest.mark.parametrize(
    ("prepare", "call"),
    [
        pytest.param(nothing, logs(7), id="first of its call site"),
        pytest.param(nothing, logs(3), id="last that passes"),
        pytest.param(nothing, logs(1), id="held back"),
        pytest.param(all_reported, logs(1), id="first that is held back"),
        pytest.param(a_minute_later, logs(1), id="windows have ended"),
        pytest.param(a_minute_later, timer, id="timer"),
        pytest.param(nothing, end, id="end of the process"),
    ],
)
@pytest.mark.parametrize("max_sites", [3, 100])
def test_a_rate_limit_may_be_interrupted_anywhere(
    prepare: Callable[[Storm], None],
    call: Callable[[Storm], None],
    max_sites: int,
    error: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filters, "_MAX_SITES", max_sites)
    for number in itertools.count():
        storm = Storm(monkeypatch)
        prepare(storm)
        points = Points(number, error)
        points.run(lambda: call(storm))  # noqa: B023
        storm.check(points.place)
        if not points.place:
            break
    assert number > 5
