"""RateLimitFilter: the first records of a window pass, and how many others there were is reported after it."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest

from logcollector_handler import RateLimitFilter
from logcollector_handler import rate_limit as filters
from logcollector_handler.delivery import exit as lifecycle
from tests.delivery.harness import FakeClock
from tests.rate_limit.storms import FakeTimer, Kept, log, storm


def test_the_first_records_of_a_window_pass_and_the_others_do_not(kept: Kept) -> None:
    storm(100)
    assert kept.messages == ["disk 0 is full", "disk 1 is full", "disk 2 is full"]


def test_the_report_of_a_window_comes_before_the_next_record(kept: Kept, clock: FakeClock) -> None:
    storm(100)
    clock.advance(60)
    storm(1, 100)
    assert kept.messages[3:] == ["held back 97 records in 60 s: disk %d is full", "disk 100 is full"]
    report = kept.records[3]
    assert (report.name, report.levelname, report.funcName) == ("storms", "ERROR", "storm")
    assert (report.lineno, report.__dict__["held_back"]) == (kept.records[0].lineno, 97)


def test_the_timer_reports_a_storm_after_which_nothing_is_logged(
    kept: Kept, clock: FakeClock, timers: list[FakeTimer]
) -> None:
    clock.advance(5)
    storm(2)
    clock.advance(10)
    storm(3)
    (timer,) = timers
    assert timer.seconds == 50
    clock.advance(50)
    timer.call()
    assert kept.messages[3:] == ["held back 2 records in 60 s: disk %d is full"]
    assert len(timers) == 1, "nothing is held back any more"


def test_the_timer_is_started_again_while_another_call_site_has_held_back_records(
    kept: Kept, clock: FakeClock, timers: list[FakeTimer]
) -> None:
    storm(5)
    clock.advance(20)
    for _ in range(5):
        log.info("another line")
    clock.advance(40)
    timers[0].call()
    assert [timer.seconds for timer in timers] == [60, 20]
    clock.advance(20)
    timers[1].call()
    assert kept.messages[-2:] == [
        "held back 2 records in 60 s: disk %d is full",
        "held back 2 records in 60 s: another line",
    ]


def test_a_record_of_any_call_site_reports_the_ended_windows_of_the_others(kept: Kept, clock: FakeClock) -> None:
    storm(4)
    clock.advance(75)
    log.info("calm")
    assert kept.messages[3:] == ["held back 1 records in 75 s: disk %d is full", "calm"]


def test_a_window_that_held_back_nothing_is_not_reported(kept: Kept, clock: FakeClock, timers: list[FakeTimer]) -> None:
    for _ in range(3):
        storm(3)
        clock.advance(60)
    assert len(kept.records) == 9
    assert timers == []


def test_held_back_records_are_reported_before_the_process_ends(kept: Kept) -> None:
    storm(5)
    lifecycle.flush()
    lifecycle.flush()
    assert kept.messages[3:] == ["held back 2 records in 0 s: disk %d is full"]


@pytest.mark.parametrize("how", ["the timer", "another record", "the end of the process", "a full table"])
def test_a_filter_is_registered_for_exit_only_while_it_holds_something_back(
    clock: FakeClock, timers: list[FakeTimer], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    limit = RateLimitFilter(rate=3, per=60, clock=clock)
    log.setLevel(logging.INFO)
    log.addFilter(limit)
    log.addHandler(Kept())
    storm(3)
    assert limit._exit not in lifecycle._live
    # The second time the timer of the first is pending, where something else reported.
    for _ in range(2):
        storm(5)
        assert limit._exit in lifecycle._live
        if how == "the end of the process":
            lifecycle.flush()
        elif how == "a full table":
            with monkeypatch.context() as patched:
                patched.setattr(filters, "_MAX_SITES", 1)
                log.info("calm")
            log.info("calm")
        else:
            clock.advance(60)
            timers[-1].call() if how == "the timer" else log.info("calm")
        assert limit._exit not in lifecycle._live
        clock.advance(60)
    log.removeFilter(limit)
    timers.clear()
    gone = weakref.ref(limit)
    del limit
    gc.collect()
    assert gone() is None


def test_each_line_logger_and_level_has_a_window_of_its_own(kept: Kept) -> None:
    for _ in range(5):
        log.info("one")
        log.info("two")
    for _ in range(5):
        for level in (logging.INFO, logging.WARNING):
            for each in (log, log.getChild("child")):
                each.log(level, "%s at %d", each.name, level)
    assert kept.messages.count("one") == kept.messages.count("two") == 3
    assert len(kept.records) == 6 + 4 * 3


def test_f_strings_of_one_line_are_one_call_site(kept: Kept) -> None:
    for number in range(10):
        log.info(f"number {number}")
    assert kept.messages == ["number 0", "number 1", "number 2"]


def test_a_timer_whose_start_was_interrupted_is_followed_by_another(
    limit: RateLimitFilter, kept: Kept, timers: list[FakeTimer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: FakeTimer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FakeTimer, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            storm(100)
    storm(1)
    assert len(timers) > 1
