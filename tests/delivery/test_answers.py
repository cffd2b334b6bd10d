"""What an answer means and how long to wait, as tables."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.delivery.answers import Answer, Verdict, advice, backoff, classify, retry_after

#: The table of answers: each status from 100 to 599 that is not a configuration error.
TABLE = {
    **dict.fromkeys(range(200, 300), Verdict.DELIVERED),
    **dict.fromkeys((408, 409, 425, 429, 502, 503, 504), Verdict.RETRY),
    **dict.fromkeys((400, 413, 422), Verdict.REFUSED),
    **dict.fromkeys((500, 501, *range(505, 600)), Verdict.SERVER_ERROR),
}
STATUSES = range(100, 600)


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_means_what_the_table_of_answers_says(status: int) -> None:
    expected = TABLE.get(status, Verdict.CONFIGURATION)
    assert classify(Answer(status=status, arrived=True), compressed=False) is expected
    if status == 415:
        expected = Verdict.UNSUPPORTED_ENCODING
    assert classify(Answer(status=status, arrived=True), compressed=True) is expected


@pytest.mark.parametrize("arrived", [True, False])
def test_no_answer_is_tried_again(arrived: bool) -> None:
    assert classify(Answer(arrived=arrived), compressed=False) is Verdict.RETRY


def test_a_request_that_cannot_be_made_is_a_configuration_error() -> None:
    assert classify(Answer(unusable=True), compressed=True) is Verdict.CONFIGURATION


#: What an HTML page means, which is the word of a gateway; each other status is a configuration error.
PAGES = {
    413: Verdict.REFUSED,
    **dict.fromkeys((408, 425, 429, *range(500, 600)), Verdict.RETRY),
}


@pytest.mark.parametrize("status", STATUSES)
def test_an_html_page_says_nothing_of_the_records(status: int) -> None:
    for compressed in (True, False):
        page = Answer(status=status, arrived=True, foreign=True)
        assert classify(page, compressed=compressed) is PAGES.get(status, Verdict.CONFIGURATION)


def test_a_request_that_was_not_sent_whole_in_its_time_is_too_large_for_the_line() -> None:
    assert classify(Answer(unfinished=True), compressed=True) is Verdict.UNFINISHED


@pytest.mark.parametrize("status", [None, *STATUSES])
def test_the_server_may_have_stored_a_batch_only_where_its_own_answer_did_not_come(status: int | None) -> None:
    assert Answer(status=status, arrived=True).lost is (status in (None, 502, 504))
    assert not Answer(status=status, arrived=False).lost
    assert Answer(status=status, lost_before=True).lost


@pytest.mark.parametrize("status", STATUSES)
def test_behind_a_page_that_says_that_something_failed_the_server_may_have_stored_the_batch(status: int) -> None:
    page = Answer(status=status, arrived=True, foreign=True)
    assert page.lost is (status >= 500 and status != 503)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(status=401), "check api_key"),
        (Answer(status=403), "check api_key"),
        (Answer(status=404), "check server_url"),
        (Answer(status=405), "check server_url"),
        (Answer(status=407), "check proxy"),
        (Answer(status=418), "check the settings"),
        (Answer(status=300), "check server_url"),
        (Answer(status=399), "check server_url"),
        (Answer(status=200, foreign=True), "check server_url"),
        (Answer(status=400, foreign=True), "check server_url"),
        (Answer(status=401, foreign=True), "check api_key"),
        (Answer(status=407, foreign=True), "check proxy"),
        (Answer(status=400, foreign=True, check="client_cert"), "check client_cert"),
        (Answer(unusable=True, check="verify"), "check verify"),
        (Answer(unusable=True), "check the settings"),
    ],
)
def test_people_are_told_which_setting_to_look_at(answer: Answer, expected: str) -> None:
    assert advice(answer) == expected


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
