"""Parsing queries from the parameters of a URL."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest

from logcollector_handler.collector.query import Cursor, Query, parse_follow, parse_histogram, parse_query
from logcollector_handler.collector.times import seconds
from logcollector_handler.collector.tree import All, Compare, Either, Word
from logcollector_handler.wire.posted.body import RefusedError


def test_without_parameters_a_query_wants_the_newest_hundred() -> None:
    assert parse_query([]) == Query(exact={}, limit=100)


def test_every_parameter_becomes_part_of_the_query() -> None:
    query = parse_query(
        [
            ("service", "s"),
            ("environment", "test"),
            ("level", "WARN"),
            ("logger", "l"),
            ("trace_id", "t"),
            ("user_id", "u"),
            ("session_id", "x"),
            ("text", "needle"),
            ("since", "1.5"),
            ("until", "2"),
            ("limit", "7"),
            ("cursor", "3.25_9"),
        ]
    )
    assert query == Query(
        exact={
            "service": "s",
            "environment": "test",
            "level": "WARN",
            "logger": "l",
            "trace_id": "t",
            "user_id": "u",
            "session_id": "x",
        },
        text="needle",
        since=1.5,
        until=2.0,
        limit=7,
        after=Cursor(3.25, 9),
    )


def test_a_parameter_with_an_empty_value_is_ignored() -> None:
    """A form in a web page sends every field, also empty ones."""
    empty = [(name, "") for name in ("service", "text", "since", "cursor", "limit")]
    assert parse_query(empty) == Query()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("servcie", "s"),
        ("level", "loud"),
        ("min_level", "30"),
        ("environment", "prod"),
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "1001"),
        ("limit", "ten"),
        ("limit", "1e2"),
        ("limit", "²"),
        ("since", "yesterday"),
        ("since", "nan"),
        ("until", "inf"),
        ("cursor", "x"),
        ("cursor", "1.0"),
        ("cursor", "1.0_"),
        ("cursor", "1.0_-5"),
        ("cursor", "nan_5"),
        ("cursor", "1.0_" + "9" * 19),
        ("text", "x" * 1001),
        ("text", "a\0"),
        ("service", "\0"),
    ],
)
def test_a_wrong_parameter_is_refused_and_named(name: str, value: str) -> None:
    with pytest.raises(RefusedError, match=name) as caught:
        parse_query([(name, value)])
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("given", "level"),
    [
        *[("warning", "WARN"), ("WARNING", "WARN"), ("warn", "WARN"), ("Critical", "FATAL"), ("fatal", "FATAL")],
        *[("error", "ERROR"), ("err", "ERROR"), ("crit", "FATAL"), ("trace", "TRACE"), ("debug", "DEBUG")],
        *[(" info ", "INFO"), ("INFO", "INFO")],
    ],
)
def test_a_level_may_be_called_by_the_names_that_people_use(given: str, level: str) -> None:
    assert parse_query([("level", given)]).exact == {"level": level}
    assert parse_query([("min_level", given)]).min_level == level
    assert parse_histogram([("min_level", given)])[0].min_level == level
    assert parse_follow([("min_level", given)], None).query.min_level == level


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(RefusedError, match="twice"):
        parse_query([("level", "INFO"), ("level", "WARN")])


def test_a_cursor_written_as_text_is_parsed_to_the_same_cursor() -> None:
    cursor = Cursor(1_700_000_000.1234567, 10**17)
    assert Cursor.parse(str(cursor)) == cursor


def test_several_services_are_any_of_them() -> None:
    query = parse_query([("service", "a"), ("q", "x"), ("service", ""), ("service", "b")])
    either = Either((Compare("service", "=", "a"), Compare("service", "=", "b")))
    assert query == Query(where=All((either, Word("x"))))
    assert parse_query([("service", "a"), ("service", "")]).exact == {"service": "a"}
    for wrong in ([("service", "a\0b")], [("service", "a"), ("service", "b\0")]):
        with pytest.raises(RefusedError, match="service"):
            parse_query(wrong)


@pytest.mark.parametrize(
    ("given", "last"), [([], 0), ([("last", "7")], 7), ([("last", "all")], None), ([("last", "")], 0)]
)
def test_a_stream_begins_with_as_many_stored_logs_as_asked_for(given: list[tuple[str, str]], last: int | None) -> None:
    assert parse_follow(given, None).last == last


@pytest.mark.parametrize("wrong", ["0", "-1", "1001", "none"])
def test_a_wrong_number_of_stored_logs_is_refused(wrong: str) -> None:
    with pytest.raises(RefusedError, match="last"):
        parse_follow([("last", wrong)], None)


NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-90s", NOW - 90),
        ("-15m", NOW - 900),
        ("-1.5h", NOW - 5400),
        ("-2d", NOW - 172_800),
        ("-1w", NOW - 604_800),
        ("1700000000.25", 1_700_000_000.25),
        (" -5 ", -5.0),
        ("2026-01-31T12:00Z", NOW),
        ("2026-01-31 13:00+01:00", NOW),
        ("2026-01-31T12:00:00.5z", NOW + 0.5),
        ("2026-01-31T12:00:00.123456789Z", NOW + 0.123456),
        ("1h", None),
        ("-1y", None),
        ("--1h", None),
        ("2026-02-30", None),
        ("tomorrow", None),
        ("1700000000000", None),
        ("inf", None),
        ("\uff11", 1.0),
    ],
)
def test_a_time_as_people_write_it(text: str, expected: float | None) -> None:
    assert seconds(text, NOW) == expected


def test_a_date_without_a_zone_is_in_that_of_the_machine() -> None:
    assert seconds("2026-01-31T12:00", NOW) == datetime(2026, 1, 31, 12).timestamp()
    assert seconds("2026-01-31", NOW) == datetime(2026, 1, 31).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-29T01:59", "2026-03-29T00:59Z"),
        ("2026-03-29T02:30", "2026-03-29T01:30Z"),
        ("2026-03-29T03:00", "2026-03-29T01:00Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30Z"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30Z"),
        ("2026-10-25T03:00", "2026-10-25T02:00Z"),
        ("2026-10-25", "2026-10-24T22:00Z"),
    ],
)
def test_a_date_knows_summer_time(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an hour that comes twice the first is meant; one that is left out is counted on from before."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert seconds(text, NOW) == seconds(expected, NOW)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_trace_id_may_be_written_as_a_uuid() -> None:
    query = parse_query([("trace_id", "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736")])
    assert query.exact == {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
