"""What an answer means and how long to wait, as functions of numbers."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.delivery.retry import Verdict, backoff, classify, retry_after

TABLE = {
    **dict.fromkeys((200, 201, 202, 204), Verdict.DELIVERED),
    **dict.fromkeys((408, 409, 425, 429, 502, 503, 504), Verdict.RETRY),
    **dict.fromkeys((400, 413, 422), Verdict.REFUSED),
    **dict.fromkeys((500, 501, 505, 507, 599), Verdict.SERVER_ERROR),
    415: Verdict.UNSUPPORTED_ENCODING,
    **dict.fromkeys((300, 301, 302, 303, 304, 307, 308), Verdict.CONFIGURATION),
    **dict.fromkeys((401, 402, 403, 404, 405, 407, 410, 411, 414, 418, 431, 451), Verdict.CONFIGURATION),
}


@pytest.mark.parametrize(("status", "verdict"), TABLE.items())
def test_each_status_means_what_the_table_of_answers_says(status: int, verdict: Verdict) -> None:
    assert classify(status) is verdict


def test_the_backoff_doubles_from_one_second() -> None:
    assert [backoff(failures, 0.5) for failures in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 16]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_backoff_stays_near_its_step_and_under_thirty_seconds(failures: int, chance: float) -> None:
    step = min(30.0, 2.0 ** min(failures - 1, 10))
    assert 0.75 * min(step, 30) <= backoff(failures, chance) <= min(30.0, 1.25 * step)


def test_the_jitter_spreads_processes_that_failed_together() -> None:
    assert len({backoff(3, chance / 10) for chance in range(10)}) == 10


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("0", 0),
        ("7", 7),
        ("-3", None),
        ("86400", 300),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 86400, usegmt=True), 300),
        ("Wed, 99 Nov 2023 00:00:00 GMT", None),
        ("9" * 400, 300),
        ("9" * 5000, 300),
        # The oldest form of a date, which names no zone.
        (time.asctime(time.gmtime(NOW + 60)), 60),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_clamped(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds
