"""Timestamps of events: a whole time is the time of the entry, everything else stays a field as it was written."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from logcollector_handler.integrations.structlog.times import seconds
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import chain, only

WHOLE = [
    "iso",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%d %H:%M:%S,%f",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
]
#: Parts of a time, orders of it that ISO 8601 does not have, and one that it reads as hours and a fraction of a minute.
PARTIAL = [
    "%Y-%m-%d %H:%M.%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%d %H",
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y-W%V-%u",
    "%Y",
    "%H:%M:%S",
    "%H:%M:%S.%f",
    "%d.%m.%Y %H:%M:%S",
    "%m/%d/%y %H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%s",
]


@pytest.fixture(params=["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize("utc", [True, False])
def test_a_time_is_taken_if_it_is_whole_and_is_a_field_as_it_was_written_if_not(
    utc: bool, handler: CapturingHandler
) -> None:
    for fmt in (*WHOLE, *PARTIAL):
        handler.clear()
        before = time.time()
        _, shown = chain(handler, structlog.processors.TimeStamper(fmt=fmt, utc=utc)).info("hello")
        entry = only(handler)
        assert before <= entry["created_at"] <= time.time(), fmt
        assert fields(entry) == ({} if fmt in WHOLE else {"timestamp": shown["timestamp"]}), fmt


def test_the_time_may_stand_under_a_key_that_the_processor_is_told(handler: CapturingHandler) -> None:
    for stamper, left in ((structlog.processors.TimeStamper, set()), (None, {"ts"})):
        handler.clear()
        before = [stamper(fmt="iso", key="ts")] if stamper else []
        chain(handler, *before, timestamp_key="ts").info("hello", **dict.fromkeys(left, "today"))
        assert fields(only(handler)).keys() == left


def test_a_time_without_a_zone_that_is_far_from_now_is_a_field(handler: CapturingHandler) -> None:
    """Which zone a time of another system is in cannot be known."""
    before = time.time()
    chain(handler).info("hello", timestamp="2020-01-01 12:00:00")
    entry = only(handler)
    assert before <= entry["created_at"]
    assert fields(entry) == {"timestamp": "2020-01-01 12:00:00"}


@pytest.mark.parametrize("stamp", [1_795_773_649, "2026-11-27T10:00:49Z"])
def test_a_whole_second_is_the_last_moment_of_it_that_has_come(stamp: int | str) -> None:
    """Also where the next second begins between the TimeStamper and the processor: events stay in their order."""
    began = 1_795_773_649.0
    for now, expected in ((began, began), (began + 0.25, began + 0.25), (began + 0.999, began + 0.999)):
        assert seconds(stamp, now) == expected
    for now in (began + 1.0, began + 1.5):
        read = seconds(stamp, now)
        assert read is not None
        assert began + 0.999999 < read < began + 1.0
    # Of another time: as it was written.
    for now in (began - 0.1, began + 2.0, began + 3600.0):
        assert seconds(stamp, now) == began


MOMENTS = st.datetimes(datetime.datetime(1970, 1, 3), datetime.datetime(2100, 1, 1))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda each: datetime.timezone(datetime.timedelta(minutes=each)))


@given(MOMENTS, ZONES, st.sampled_from(["T", " "]), st.booleans())
def test_any_moment_with_a_zone_is_read_exactly(
    moment: datetime.datetime, zone: datetime.timezone, between: str, colon: bool
) -> None:
    moment = moment.replace(tzinfo=zone)
    text = moment.isoformat(between) if colon else moment.strftime(f"%Y-%m-%d{between}%H:%M:%S.%f%z")
    assert seconds(text, 0.0) == moment.timestamp()


@given(st.text("0123456789-:.,TZ +W", max_size=30) | st.text(max_size=30))
@example("2026-11-26 16:02.44")
@example("2026-11-26T16:02:44+25:00")
@example("2026-13-26T16:02:44Z")
@example("2026-11-26T16:02:60Z")
@example("٢٠٢٦-11-26T16:02:44Z")
@example("2026-11-26T16:02:44Z\n")
def test_no_other_text_is_a_time(text: str) -> None:
    found = seconds(text, 0.0)
    assert found is None or datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() == found
