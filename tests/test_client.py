"""LogClient: each method makes a record for the handler, with the application's line as its call site."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from logcollector_handler import LogClient, LogCollectorHandler, SettingError, client, log_context, timing
from logcollector_handler.client import TRACE
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.delivery.harness import FakeClock
from tests.entry.making import accepted


class Captured(LogClient):
    """A LogClient whose handler keeps the entries that it would send."""

    handler: CapturingHandler


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Captured]:
    monkeypatch.setattr(client, "LogCollectorHandler", CapturingHandler)
    with Captured(service="shop") as one:
        yield one
        accepted(one.handler._lines)


def only(made: Captured) -> dict[str, Any]:
    (entry,) = made.handler.entries
    return entry


STDLIB_NAMES = {"warning": "WARN", "critical": "FATAL", "exception": "ERROR"}


@pytest.mark.parametrize("level", ["trace", "debug", "info", "warn", "error", "fatal", *STDLIB_NAMES])
def test_each_method_logs_at_its_level_with_keywords_as_fields_from_where_it_was_called(
    level: str, made: Captured
) -> None:
    getattr(made, level)("100 %d", user_id=7, amount=99.5, password="p", name="n", args=(1,))
    entry = only(made)
    assert (entry["level"], entry["message"]) == (STDLIB_NAMES.get(level, level.upper()), "100 %d")
    assert (entry["service"], entry["user_id"]) == ("shop", "7")
    assert fields(entry) == {"amount": 99.5, "password": "***", "name": "n", "args": [1]}
    assert entry["file_path"] == __file__
    assert entry["function_name"].startswith("test_each_method_logs")
    assert entry["metadata"]["logger"] == "LogClient"


@pytest.mark.parametrize(
    ("level", "name"),
    [
        *[("TRACE", "TRACE"), ("debug", "DEBUG"), (" Info ", "INFO"), ("WARN", "WARN"), ("warning", "WARN")],
        *[("error", "ERROR"), ("FATAL", "FATAL"), ("critical", "FATAL"), (5, "TRACE"), (logging.ERROR, "ERROR")],
    ],
)
def test_log_takes_a_level_as_name_or_number(level: int | str, name: str, made: Captured) -> None:
    made.log(level, "hello", a=1)
    assert (only(made)["level"], fields(only(made))) == (name, {"a": 1})
    assert only(made)["function_name"] == "test_log_takes_a_level_as_name_or_number"


@pytest.mark.parametrize("level", ["LOUD", "", True, None])
def test_an_unknown_level_raises_and_names_the_allowed_ones(level: Any, made: Captured) -> None:
    with pytest.raises(ValueError, match="allowed: TRACE, DEBUG, INFO, WARN, ERROR, FATAL, or a number"):
        made.log(level, "hello")


def test_records_below_the_level_are_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LogCollectorHandler", CapturingHandler)
    with Captured(level="WARN") as made:
        made.info("no")
        with made.timer("no"):
            pass
        made.warn("yes")
        assert only(made)["message"] == "yes"


def test_it_is_independent_of_the_loggers_of_the_standard_library(made: Captured) -> None:
    records: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = records.append  # type: ignore[assignment]  # a list is handler enough
    logging.getLogger().addHandler(other)
    logging.disable(logging.CRITICAL)
    made.error("hello")
    assert only(made)["message"] == "hello"
    assert records == []
    assert "LogClient" not in logging.root.manager.loggerDict


def test_its_records_carry_bound_fields(made: Captured) -> None:
    with log_context(trace_id="t-1"):
        made.info("hello")
    assert only(made)["trace_id"] == "t-1"


def fail() -> None:
    raise ValueError("why")


@pytest.mark.parametrize("method", ["error_with_trace", "exception"])
def test_error_with_trace_logs_the_exception_being_handled_or_the_one_it_is_given(made: Captured, method: str) -> None:
    try:
        fail()
    except ValueError as error:
        getattr(made, method)("handled", order=3)
        kept = error
    getattr(made, method)("given", kept)
    for entry in made.handler.entries:
        assert (entry["level"], entry["error_type"], entry["function_name"]) == ("ERROR", "ValueError", "fail")
        assert entry["stack_trace"].endswith("ValueError: why")
    assert [fields(entry) for entry in made.handler.entries] == [{"order": 3}, {}]


def test_error_with_trace_without_an_exception_has_the_stack_of_the_call(made: Captured) -> None:
    made.error_with_trace("here")
    entry = only(made)
    assert entry["stack_trace"].startswith("Stack (most recent call last):\n")
    last = entry["stack_trace"].splitlines()[-2:]
    assert last[0].endswith("in test_error_with_trace_without_an_exception_has_the_stack_of_the_call")
    assert last[1].strip() == 'made.error_with_trace("here")'
    assert "error_type" not in entry


def test_its_timers_log_to_it(made: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(timing, "clock", clock)

    @made.measure("measured", a=1)
    def work() -> None:
        clock.advance(1)

    work()
    with made.timer("block", b=2):
        clock.advance(2)
    started = made.start_timer("begun", c=3, logger="mine")
    clock.advance(3)
    assert made.end_timer(started, d=4) == 3000
    assert [
        (entry["message"], entry["duration_ms"], entry["function_name"], fields(entry))
        for entry in made.handler.entries
    ] == [
        ("measured", 1000, "work", {"a": 1}),
        ("block", 2000, "test_its_timers_log_to_it", {"b": 2}),
        ("begun", 3000, "test_its_timers_log_to_it", {"c": 3, "logger (2)": "mine", "d": 4}),
    ]


def test_a_wrong_setting_fails_as_it_does_for_the_handler_and_secrets_never_show() -> None:
    with pytest.raises(SettingError, match="batch_size is 0"):
        LogClient(batch_size=0)
    with LogClient(api_key="s3cret") as made:
        assert "s3cret" not in repr(made)


def test_it_takes_the_settings_of_the_handler_and_a_level_of_its_own() -> None:
    level, *settings = inspect.signature(LogClient).parameters.values()
    assert (level.name, level.default) == ("level", TRACE)
    assert settings == list(inspect.signature(LogCollectorHandler).parameters.values())[1:]
