"""The processor: what of an event becomes which column, field, time or stack trace."""

from __future__ import annotations

import datetime
import logging
import sys
import time
from typing import Any

import pytest
import structlog

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import Chain, chain, only


def test_the_processor_returns_the_same_event_unchanged(handler: CapturingHandler) -> None:
    processor = LogCollectorProcessor(handler)
    event = {
        "event": "e %s",
        "positional_args": ("x",),
        "level": "info",
        "level_number": 20,
        "timestamp": 1.5,
        "logger": "l",
        "exc_info": ValueError("x"),
        "stack_info": True,
        "exception": [{"exc_type": "E"}],
        "cart": ["a"],
    }
    before = list(event.items())
    assert processor(structlog.PrintLogger(), "info", event) is event
    assert list(event.items()) == before
    assert all(one is other for (_, one), (_, other) in zip(before, event.items(), strict=True))


def test_an_event_is_shipped_as_it_was_before_later_processors_changed_or_dropped_it(handler: CapturingHandler) -> None:
    def drop(_: Any, __: str, event: Any) -> Any:
        event["cart"].append("b")
        raise structlog.DropEvent

    chain(handler, last=drop).info("hello", cart=["a"])
    assert fields(only(handler)) == {"cart": ["a"]}


@pytest.mark.parametrize(
    ("method", "level"),
    [
        *[("debug", "DEBUG"), ("info", "INFO"), ("msg", "INFO"), ("warn", "WARN"), ("warning", "WARN")],
        *[("error", "ERROR"), ("exception", "ERROR"), ("critical", "FATAL"), ("fatal", "FATAL")],
    ],
)
@pytest.mark.parametrize("before", [[], [structlog.processors.add_log_level]])
def test_the_level_follows_from_the_method(method: str, level: str, before: Chain, handler: CapturingHandler) -> None:
    getattr(chain(handler, *before), method)("hello", exc_info=False)
    entry = only(handler)
    assert (entry["level"], fields(entry)) == (level, {})


def test_a_level_set_by_the_chain_is_used_and_any_other_value_of_that_name_is_a_field(
    handler: CapturingHandler,
) -> None:
    def calm(_: Any, __: str, event: Any) -> Any:
        return {**event, "level": "debug"}

    chain(handler, calm).error("not so bad")
    chain(handler).info("levelled up", level=7)
    chain(handler, structlog.stdlib.add_log_level_number).log(logging.WARNING, "numbered")
    chain(handler).info("traced", level="TRACE")
    calmed, levelled, numbered, traced = handler.entries
    assert (calmed["level"], fields(calmed)) == ("DEBUG", {})
    assert (levelled["level"], fields(levelled)) == ("INFO", {"level": 7})
    assert (numbered["level"], fields(numbered)) == ("WARN", {})
    assert (traced["level"], fields(traced)) == ("TRACE", {})


class Semantic(structlog.BoundLoggerBase):
    """A custom wrapper class, as in structlog's recipes."""

    def user_error(self, event: str, **kw: Any) -> Any:
        return self._proxy_to_logger("user_error", event, status="user_error", **kw)


def test_methods_of_a_custom_wrapper_log_at_info(handler: CapturingHandler) -> None:
    log = structlog.wrap_logger(
        type("Sink", (), {"user_error": lambda self, **kw: None})(),
        processors=[LogCollectorProcessor(handler)],
        wrapper_class=Semantic,
    )
    log.user_error("user.forgot_towel", user_id="fprefect")
    entry = only(handler)
    assert (entry["level"], entry["message"], fields(entry)) == (
        "INFO",
        "user.forgot_towel",
        {"status": "user_error"},
    )


@pytest.mark.parametrize(
    "stamper",
    [
        structlog.processors.TimeStamper(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.TimeStamper(fmt="iso", utc=False),
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=True),
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S%z", utc=False),
        structlog.processors.MaybeTimeStamper(fmt="iso"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_the_time_of_the_event_is_read_in_every_format(
    stamper: Any, zone: str, handler: CapturingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        before = time.time()
        chain(handler, stamper).info("hello")
        after = time.time()
    finally:
        monkeypatch.undo()
        time.tzset()
    entry = only(handler)
    assert before <= entry["created_at"] <= after
    # fromisoformat of Python 3.10 does not read an offset without a colon.
    assert fields(entry) == {} or (sys.version_info < (3, 11) and fields(entry)["timestamp"][-5] in "+-")


@pytest.mark.parametrize(
    ("stamp", "created"),
    [
        (1.5, 1.5),
        (2, 2.0),
        ("1970-01-01T00:00:03.25Z", 3.25),
        ("1970-01-01T02:00:03.25+02:00", 3.25),
        ("1970-01-01 00:00:05+00:00", 5.0),
        (datetime.datetime(1970, 1, 1, 0, 0, 4, 500, datetime.timezone.utc), 4.0005),
    ],
)
def test_a_timestamp_far_from_now_is_kept(stamp: Any, created: float, handler: CapturingHandler) -> None:
    if sys.version_info < (3, 11) and ".25" in str(stamp):
        stamp = stamp.replace(".25", ".250")
    chain(handler, structlog.processors.MaybeTimeStamper()).info("hello", timestamp=stamp)
    assert (only(handler)["created_at"], fields(only(handler))) == (created, {})


@pytest.mark.parametrize("stamp", ["soon", True, None, [1], -1, float("nan"), 1.7e12, "99999-01-01", "10:00:00"])
def test_a_timestamp_that_is_not_a_time_is_a_field(stamp: Any, handler: CapturingHandler) -> None:
    before = time.time()
    chain(handler).info("hello", timestamp=stamp)
    assert before <= only(handler)["created_at"] <= time.time()
    assert "timestamp" in fields(only(handler))


def test_the_timestamp_may_have_another_key(handler: CapturingHandler) -> None:
    log = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[LogCollectorProcessor(handler, timestamp_key="ts")]
    )
    log.info("hello", ts=1.5, timestamp=7)
    assert (only(handler)["created_at"], fields(only(handler))) == (1.5, {"timestamp": 7})


def fail() -> None:
    """Like the one of `chains`, but here: the test below asks for its file."""
    raise ValueError("why")


def of_exception(form: str) -> Any:
    error = sys.exc_info()[1]
    assert error is not None
    return {"true": True, "one": 1, "exception": error, "tuple": sys.exc_info()}[form]


@pytest.mark.parametrize("form", ["true", "one", "exception", "tuple"])
@pytest.mark.parametrize("before", [[], [structlog.processors.format_exc_info], [structlog.processors.dict_tracebacks]])
def test_exc_info_in_every_form_becomes_a_stack_trace(form: str, before: Chain, handler: CapturingHandler) -> None:
    try:
        fail()
    except ValueError:
        chain(handler, *before).warning("it failed", exc_info=of_exception(form))
    entry = only(handler)
    assert (entry["level"], entry["error_type"], entry["function_name"]) == ("WARN", "ValueError", "fail")
    assert entry["file_path"] == __file__
    assert entry["stack_trace"].startswith("Traceback (most recent call last):\n  File ")
    assert entry["stack_trace"].endswith("ValueError: why")
    assert "exc_info" not in entry["metadata"]


@pytest.mark.parametrize("exc_info", [False, None, 0, (None, None, None), True])
def test_exc_info_without_an_exception_adds_nothing(exc_info: Any, handler: CapturingHandler) -> None:
    chain(handler).info("hello", exc_info=exc_info)
    assert "stack_trace" not in only(handler)
    assert fields(only(handler)) == {}


def test_a_users_text_or_list_named_like_the_output_of_a_renderer_is_a_field(handler: CapturingHandler) -> None:
    given = {"exception": "out of stock", "stack": "web"}
    chain(handler).info("hello", **given)
    chain(handler).info("hello", exception=[1], stack=["a"])
    one, other = handler.entries
    assert (fields(one), fields(other)) == (given, {"exception": [1], "stack": ["a"]})
    assert not {"stack_trace", "error_type"} & {*one, *other}


@pytest.mark.parametrize("before", [[], [structlog.processors.StackInfoRenderer()]])
def test_stack_info_is_the_stack_of_the_caller(before: Chain, handler: CapturingHandler) -> None:
    chain(handler, *before).info("hello", stack_info=True)
    entry = only(handler)
    assert entry["stack_trace"].startswith("Stack (most recent call last):\n")
    assert entry["stack_trace"].splitlines()[-2].endswith("in test_stack_info_is_the_stack_of_the_caller")
    assert fields(entry) == {}


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ([], {}),
        ([structlog.stdlib.PositionalArgumentsFormatter()], {}),
        ([structlog.stdlib.PositionalArgumentsFormatter(False)], {"positional_args": ["world"]}),
    ],
)
def test_positional_arguments_are_formatted_into_the_message(
    before: Chain, left: Any, handler: CapturingHandler
) -> None:
    log = chain(handler, *before, wrapper_class=structlog.stdlib.BoundLogger)
    log.info("hello %s", "world")
    assert (only(handler)["message"], fields(only(handler))) == ("hello world", left)


def test_positional_arguments_that_do_not_fit_the_message_are_kept_as_a_field(handler: CapturingHandler) -> None:
    chain(handler, wrapper_class=structlog.stdlib.BoundLogger).info("hello", "world")
    chain(handler, wrapper_class=structlog.stdlib.BoundLogger).info("%(a)s", {"a": 1})
    odd, mapped = handler.entries
    assert (odd["message"], fields(odd)) == ("hello", {"positional_args": ["world"]})
    assert (mapped["message"], fields(mapped)) == ("1", {})


def test_call_site_parameters_of_the_chain_become_the_call_site(handler: CapturingHandler) -> None:
    adder = structlog.processors.CallsiteParameterAdder(
        [
            structlog.processors.CallsiteParameter.PATHNAME,
            structlog.processors.CallsiteParameter.FUNC_NAME,
            structlog.processors.CallsiteParameter.LINENO,
        ],
        additional_ignores=[__name__],
    )
    chain(handler, adder).info("hello")
    entry = only(handler)
    assert entry["file_path"] != __file__
    assert (entry["file_path"], entry["function_name"]) == (fields(entry)["pathname"], fields(entry)["func_name"])
    assert entry["metadata"]["line"] == fields(entry)["lineno"]


def test_capture_logs_takes_the_processor_out_of_the_chain_for_its_time(handler: CapturingHandler) -> None:
    structlog.configure(processors=[LogCollectorProcessor(handler), structlog.processors.KeyValueRenderer()])
    log = structlog.get_logger()
    with structlog.testing.capture_logs() as captured:
        log.info("captured")
    log.info("shipped")
    assert [event["event"] for event in captured] == ["captured"]
    assert only(handler)["message"] == "shipped"


def test_an_object_says_itself_what_of_it_is_logged_as_for_the_json_renderer(handler: CapturingHandler) -> None:
    class Cart:
        def __structlog__(self) -> Any:
            return {"items": ["book"]}

    chain(handler).info("hello", cart=Cart())
    assert fields(only(handler)) == {"cart": {"items": ["book"]}}


def test_the_method_err_of_twisted_logs_the_exception_that_is_handled(handler: CapturingHandler) -> None:
    log = chain(handler, wrapper_class=structlog.BoundLogger)
    log.err(event="no exception")
    try:
        fail()
    except ValueError:
        log.err(event="failed")
    nothing, failed = handler.entries
    assert (nothing["level"], "error_type" in nothing, fields(nothing)) == ("ERROR", False, {})
    assert (failed["level"], failed["error_type"], fields(failed)) == ("ERROR", "ValueError", {})
