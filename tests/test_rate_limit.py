"""RateLimitFilter: the first records of a storm pass, the others are counted, and every count is reported."""

from __future__ import annotations

import gc
import logging
import logging.config
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from logcollector_handler import RateLimitFilter, SettingError
from logcollector_handler import rate_limit as filters
from logcollector_handler.delivery import exit as lifecycle
from tests.delivery.harness import FakeClock

log = logging.getLogger("storms")


class Kept(logging.Handler):
    """Keeps the records that it handles."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


class FakeTimer:
    """A timer that runs when the test says so."""

    made: list[FakeTimer]

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds, self.call, self.daemon = seconds, call, False
        self.made.append(self)

    def start(self) -> None:
        assert self.daemon


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


def storm(count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        log.error("disk %d is full", number)


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


def test_every_record_either_passes_or_is_counted_in_exactly_one_report(
    clock: FakeClock, timers: list[FakeTimer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "_MAX_SITES", 7)
    chance = random.Random(3)
    limit = RateLimitFilter(rate=2, per=10, clock=clock)
    kept = Kept()
    kept.addFilter(limit)
    log.addHandler(kept)
    log.setLevel(logging.DEBUG)
    for number in range(3000):
        line = chance.randrange(12)
        kept.handle(logging.LogRecord("storms", 20, __file__, line, f"m{number}", None, None))
        assert len(limit._windows) <= 7
        clock.advance(chance.choice((0, 0, 0, 1, 4)))
        if timers and chance.random() < 0.05:
            timers[-1].call()
    limit._report_all()
    passed = [record for record in kept.records if "held_back" not in record.__dict__]
    held_back = sum(record.__dict__.get("held_back", 0) for record in kept.records)
    assert held_back > 300
    assert len(passed) + held_back == 3000


def test_records_of_many_threads_are_all_counted(clock: FakeClock, timers: list[FakeTimer]) -> None:
    limit = RateLimitFilter(rate=10, per=60, clock=clock)
    kept = Kept()
    log.addHandler(kept)
    log.addFilter(limit)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=storm, args=(500,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    limit._report_all()
    assert len(kept.records) == 11
    assert kept.records[-1].__dict__["held_back"] == 1990


def test_a_filter_shared_by_two_handlers_counts_each_record_once(kept: Kept, limit: RateLimitFilter) -> None:
    other, unfiltered = Kept(), Kept()
    other.addFilter(limit)
    log.addHandler(other)
    log.addHandler(unfiltered)
    storm(5)
    limit._report_all()
    assert kept.messages == other.messages
    assert kept.messages[3:] == ["held back 2 records in 0 s: disk %d is full"]
    assert len(unfiltered.messages) == 5, "the report is for those from whom something was held back"


def test_the_report_respects_the_level_of_a_handler(kept: Kept, limit: RateLimitFilter) -> None:
    other = Kept()
    other.setLevel(logging.CRITICAL)
    other.addFilter(limit)
    log.addHandler(other)
    storm(5)
    limit._report_all()
    assert other.records == []
    assert len(kept.records) == 4


def test_a_message_that_is_not_a_string_is_not_shown_in_the_report(kept: Kept, limit: RateLimitFilter) -> None:
    for _ in range(5):
        log.info({"event": "login", "password": "hunter2"})
    limit._report_all()
    assert kept.messages[-1] == "held back 2 records in 0 s: from the same line of code"


def test_logging_while_the_filter_counts_neither_deadlocks_nor_loses_a_count(
    kept: Kept, limit: RateLimitFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finalizer or signal handler may log while the filter holds its lock in the same thread."""
    take, logged, depth = limit._take, 0, 0

    def interrupted(now: float) -> Any:
        nonlocal logged, depth
        logged += 1
        if depth < 2:
            depth += 1
            storm(1)
            depth -= 1
        return take(now)

    with monkeypatch.context() as patch:
        patch.setattr(limit, "_take", interrupted)
        thread = threading.Thread(target=storm, args=(10,), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    limit._report_all()
    assert logged == 30
    assert sum(record.__dict__.get("held_back", 1) for record in kept.records) == 30
    assert len(kept.records) == 4


@pytest.mark.parametrize("strange", [{"name": []}, {"lineno": {}}, {"pathname": None, "levelno": []}])
def test_a_record_made_by_hand_passes(limit: RateLimitFilter, strange: dict[str, Any]) -> None:
    record = logging.makeLogRecord({"msg": "x", **strange})
    assert [limit.filter(record) for _ in range(5)] == [True] * 5
    del record.__dict__["lineno"]
    assert limit.filter(record)


def test_no_record_is_kept_alive(limit: RateLimitFilter) -> None:
    class Traced(logging.LogRecord):
        gone = False

        def __del__(self) -> None:
            Traced.gone = True

    limit.filter(Traced("storms", 40, __file__, 1, "x", None, None))
    assert Traced.gone


def test_dictconfig_can_make_a_filter_from_plain_values() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"storms": {"()": "logcollector_handler.RateLimitFilter", "rate": 10, "per": 30}},
            "handlers": {"null": {"class": "logging.NullHandler", "filters": ["storms"]}},
            "root": {"handlers": ["null"]},
        }
    )
    (made,) = logging.getLogger().handlers[0].filters
    assert isinstance(made, RateLimitFilter)
    assert (made._rate, made._per) == (10, 30.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0}, "rate is 0; allowed: a whole number from 1"),
        ({"rate": 2.5}, "rate is 2.5"),
        ({"rate": True}, "rate is True"),
        ({"rate": 1, "per": 0}, "per is 0; allowed: seconds, more than 0"),
        ({"rate": 1, "per": "60"}, "per is '60'"),
        ({"rate": 1, "per": float("nan")}, "per is nan"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as raised:
        RateLimitFilter(**arguments)
    assert message in str(raised.value)
