"""RateLimitFilter: whatever is logged, each record passes or is counted in one report; arguments and `dictConfig`."""

from __future__ import annotations

import logging
import logging.config
import random
import sys
import threading
from typing import Any

import pytest

from logcollector_handler import RateLimitFilter, SettingError
from logcollector_handler import rate_limit as filters
from tests.delivery.harness import FakeClock
from tests.rate_limit.storms import FakeTimer, Kept, log, storm


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
    end, logged, depth = limit._end_until, 0, 0

    def interrupted(now: float) -> None:
        nonlocal logged, depth
        logged += 1
        if depth < 2:
            depth += 1
            storm(1)
            depth -= 1
        end(now)

    with monkeypatch.context() as patch:
        patch.setattr(limit, "_end_until", interrupted)
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
