"""structlog, through the processor and through the standard library. Every test looks at the entries that are sent."""

from __future__ import annotations

import asyncio
import datetime
import gc
import logging
import logging.config
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logcollector_handler import log_context
from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields
from tests.entry.strategies import Hostile, Switch, big, check_entry, names, values

Chain = list[Any]
ISO = structlog.processors.TimeStamper(fmt="iso")


@pytest.fixture(autouse=True)
def _fresh_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    """A handler for the processor, on a logger that no test logs to."""
    with capturing("nobody", service="shop") as made:
        yield made


@pytest.fixture
def root(handler: CapturingHandler) -> CapturingHandler:
    """The same handler on the root logger, which lets every level pass."""
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return handler


def only(handler: CapturingHandler) -> dict[str, Any]:
    (entry,) = handler.entries
    return entry


def chain(handler: CapturingHandler, *before: Any, last: Any = None, **options: Any) -> Any:
    """A native structlog logger with the processor after the processors `before`."""
    options.setdefault("wrapper_class", structlog.make_filtering_bound_logger(logging.NOTSET))
    return structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[*before, LogCollectorProcessor(handler), last or (lambda *event: event[2].copy())],
        **options,
    )


def fail() -> None:
    raise ValueError("why")


# Setups from structlog's documentation, with the processor added before the renderer


def setup_defaults(processor: Any) -> None:
    """Getting started."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            processor,
            structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        context_class=dict,
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def setup_performance(processor: Any) -> None:
    """Performance: as fast as it gets."""
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            processor,
            structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event)),
        ],
        logger_factory=structlog.BytesLoggerFactory(),
    )


def setup_best_practices(processor: Any) -> None:
    """Logging best practices: JSON with structured tracebacks."""
    structlog.configure(
        [
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.dict_tracebacks,
            processor,
            structlog.processors.JSONRenderer(),
        ]
    )


def setup_rendering_within_structlog(processor: Any) -> None:
    """Standard library: structlog passes a whole line of JSON to logging."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            structlog.processors.CallsiteParameterAdder(
                {
                    structlog.processors.CallsiteParameter.FILENAME,
                    structlog.processors.CallsiteParameter.FUNC_NAME,
                    structlog.processors.CallsiteParameter.LINENO,
                }
            ),
            processor,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def setup_recreated_defaults(processor: Any) -> None:
    """Standard library: the quickest way to get started."""
    structlog.stdlib.recreate_defaults(log_level=None)
    processors = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors[:-1], processor, processors[-1]])


NATIVE = [setup_defaults, setup_performance, setup_best_practices]
STDLIB = [setup_rendering_within_structlog, setup_recreated_defaults]


@pytest.mark.parametrize("setup", [*NATIVE, *STDLIB])
def test_each_documented_setup_ships_events_with_their_fields_once(
    setup: Callable[[Any], None], root: CapturingHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    setup(LogCollectorProcessor(root))
    log = structlog.get_logger("shop.events")
    structlog.contextvars.bind_contextvars(trace_id=uuid.UUID(int=7))
    before = time.time()
    log.bind(user_id=7).warning("hello, %s!", "world", key="value!", more_than_strings=[1, 2, 3])
    entry = only(root)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("WARN", "hello, world!", "7")
    assert entry["trace_id"] == uuid.UUID(int=7).hex
    assert before <= entry["created_at"] <= time.time()
    assert entry["function_name"] == "test_each_documented_setup_ships_events_with_their_fields_once"
    assert entry["file_path"] == __file__
    found = fields(entry)
    assert (found.pop("key"), found.pop("more_than_strings")) == ("value!", [1, 2, 3])
    if setup is setup_rendering_within_structlog:
        assert found.pop("filename") == os.path.basename(__file__)
        assert found.pop("func_name") == entry["function_name"]
        assert found.pop("lineno") == entry["metadata"]["line"]
    assert found == {}
    # Of the native loggers only BytesLogger has a name, since structlog 24.2.
    assert entry["metadata"]["logger"] in {"shop.events"} | ({__name__} if setup in NATIVE else set())
    # The processors after it got the event, too.
    assert "hello" in capsys.readouterr().out or setup in STDLIB


@pytest.mark.parametrize("setup", [*NATIVE, *STDLIB])
def test_each_documented_setup_ships_exceptions_as_exceptions(
    setup: Callable[[Any], None], root: CapturingHandler
) -> None:
    setup(LogCollectorProcessor(root))
    log = structlog.get_logger("shop.events")
    try:
        try:
            _ = os.environ["NO_SUCH_VARIABLE"]
        except KeyError as error:
            raise ValueError("no such key") from error
    except ValueError:
        log.exception("it failed", user_id=7)
    entry = only(root)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("ERROR", "it failed", "7")
    assert entry["error_type"] == "ValueError"
    assert entry["function_name"] == "test_each_documented_setup_ships_exceptions_as_exceptions"
    assert entry["file_path"] == __file__
    text = entry["stack_trace"]
    assert text.startswith("Traceback (most recent call last):\n  File ")
    assert (
        "KeyError: 'NO_SUCH_VARIABLE'\n\nThe above exception was the direct cause of the following exception:\n\n"
        in text
    )
    assert text.endswith("ValueError: no such key")
    rest = {"exception"} if setup is setup_best_practices else set()
    assert fields(entry).keys() - {"filename", "func_name", "lineno"} == rest


# Setups from the documentation that pass the event to logging, without the processor


def setup_rendering_in_logging(last: Any) -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            last,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def setup_log_kwargs() -> None:
    setup_rendering_in_logging(structlog.stdlib.render_to_log_kwargs)


def setup_log_args_and_kwargs() -> None:
    setup_rendering_in_logging(structlog.stdlib.render_to_log_args_and_kwargs)


def setup_processor_formatter() -> None:
    """A ProcessorFormatter on another handler, which also formats records of the standard library."""
    stamper = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S")
    before = [structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder(), stamper]

    def extract_from_record(_: Any, __: str, event: Any) -> Any:
        event["thread_name"] = event["_record"].threadName
        return event

    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "incremental": False,
            "formatters": {
                "colored": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        extract_from_record,
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.dev.ConsoleRenderer(colors=True),
                    ],
                    "foreign_pre_chain": before,
                }
            },
            "handlers": {"default": {"class": "logging.StreamHandler", "formatter": "colored"}},
            "loggers": {"shop": {"handlers": ["default"], "level": "DEBUG", "propagate": True}},
        }
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            stamper,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def setup_simplest_formatter() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


THROUGH = [setup_log_kwargs, setup_log_args_and_kwargs, setup_processor_formatter, setup_simplest_formatter]


@pytest.mark.parametrize("setup", THROUGH)
def test_events_through_the_standard_library_arrive_with_their_fields(
    setup: Callable[[], None], root: CapturingHandler
) -> None:
    setup()
    log = structlog.get_logger("shop.events")
    structlog.contextvars.bind_contextvars(trace_id=uuid.UUID(int=7))
    log.bind(user_id=7).warning("hello, %s!", "world", more_than_strings=[1, 2, 3])
    entry = only(root)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("WARN", "hello, world!", "7")
    assert entry["trace_id"] == uuid.UUID(int=7).hex
    assert entry["function_name"] == "test_events_through_the_standard_library_arrive_with_their_fields"
    assert entry["metadata"]["logger"] == "shop.events"
    found = fields(entry)
    assert found.pop("more_than_strings") == [1, 2, 3]
    assert found.keys() <= {"level", "timestamp"}


@pytest.mark.parametrize("setup", THROUGH)
def test_exceptions_through_the_standard_library_arrive_as_exceptions(
    setup: Callable[[], None], root: CapturingHandler
) -> None:
    setup()
    log = structlog.get_logger("shop.events")
    try:
        fail()
    except ValueError:
        log.exception("it failed", user_id=7, stack_info=setup is not setup_simplest_formatter)
    entry = only(root)
    assert (entry["level"], entry["message"], entry["error_type"]) == ("ERROR", "it failed", "ValueError")
    assert (entry["function_name"], entry["user_id"]) == ("fail", "7")
    trace, _, stack = entry["stack_trace"].partition("\nStack (most recent call last):\n")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("ValueError: why")
    assert ("test_exceptions_through" in stack) == (setup is not setup_simplest_formatter)
    assert fields(entry).keys() <= {"level", "timestamp", "stack_info"}


@pytest.mark.parametrize("setup", THROUGH)
def test_records_of_the_standard_library_are_shipped_as_usual(
    setup: Callable[[], None], root: CapturingHandler
) -> None:
    setup()
    logging.getLogger("shop.db").info("took %d rows", 3, extra={"user_id": 8, "table": "cart"})
    structlog.get_logger("shop.events").info("hello")
    row, event = root.entries
    assert (row["message"], row["user_id"], fields(row)) == ("took 3 rows", "8", {"table": "cart"})
    assert event["message"] == "hello"


def test_a_processor_in_a_formatter_ships_foreign_records_with_their_own_call_site(handler: CapturingHandler) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[LogCollectorProcessor(handler), structlog.dev.ConsoleRenderer()],
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
    )
    made = logging.getLogger("shop.db").makeRecord(
        "shop.db", logging.ERROR, "/srv/db.py", 12, "took %d rows", (3,), None, "query", {"user_id": 8}
    )
    assert "took 3 rows" in formatter.format(made)
    entry = only(handler)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("ERROR", "took 3 rows", "8")
    assert (entry["function_name"], entry["file_path"]) == ("query", "/srv/db.py")
    assert (entry["metadata"]["logger"], entry["metadata"]["line"], fields(entry)) == ("shop.db", 12, {})


# The processor


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


# Asynchronous methods


@pytest.mark.parametrize("kind", ["native", "stdlib", "AsyncBoundLogger"])
def test_asynchronous_methods_ship_the_callers_context_and_call_site(kind: str, root: CapturingHandler) -> None:
    processors: Chain = [
        structlog.contextvars.merge_contextvars,
        LogCollectorProcessor(root),
        structlog.processors.JSONRenderer(default=repr),
    ]

    async def main() -> None:
        if kind == "native":
            log = structlog.wrap_logger(structlog.ReturnLogger(), processors, structlog.make_filtering_bound_logger(0))
        elif kind == "stdlib":
            log = structlog.wrap_logger(logging.getLogger("shop"), processors, structlog.stdlib.BoundLogger)
        else:
            log = structlog.wrap_logger(logging.getLogger("shop"), processors, structlog.stdlib.AsyncBoundLogger)
        info, exception = (log.info, log.exception) if kind == "AsyncBoundLogger" else (log.ainfo, log.aexception)

        async def request(number: int) -> None:
            structlog.contextvars.bind_contextvars(request=number)
            with log_context(user_id=number):
                await info("in %d", number)
                try:
                    fail()
                except ValueError:
                    await exception("failed")

        await asyncio.gather(*map(request, range(5)))

    asyncio.run(main())
    assert len(root.entries) == 10
    assert {fields(entry)["request"] for entry in root.entries} == set(range(5))
    for entry in root.entries:
        assert entry["user_id"] == str(fields(entry)["request"])
        if entry["level"] == "INFO":
            assert (entry["message"], entry["function_name"]) == (f"in {entry['user_id']}", "request")
        else:
            assert (entry["error_type"], entry["function_name"]) == ("ValueError", "fail")


# No event is shipped twice


def through(handler: CapturingHandler, *renderers: Any) -> Any:
    return structlog.wrap_logger(
        logging.getLogger("shop"),
        processors=[LogCollectorProcessor(handler), *renderers],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def emit(log: Any, message: str) -> None:
    """Every logger logs in this line, so frame and instruction are the same for all."""
    log.info(message)


RENDERERS = [
    structlog.processors.JSONRenderer(),
    structlog.processors.KeyValueRenderer(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    structlog.stdlib.render_to_log_kwargs,
    structlog.stdlib.render_to_log_args_and_kwargs,
]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_an_event_that_the_processor_shipped_is_not_shipped_again_by_the_standard_library(
    renderer: Any, root: CapturingHandler
) -> None:
    others: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = others.append  # type: ignore[assignment]  # a list is handler enough
    logging.getLogger().addHandler(other)
    logging.getLogger("shop").addHandler(root)  # So that the record reaches the handler twice.
    log = through(root, renderer)
    for number in range(3):
        log.info("hello", number=number)
    assert [fields(entry)["number"] for entry in root.entries] == [0, 1, 2]
    assert len(others) == 3


def test_a_record_of_the_same_logger_that_is_not_the_shipped_event_is_shipped(root: CapturingHandler) -> None:
    log = through(root, structlog.processors.JSONRenderer())
    plain = logging.getLogger("shop")
    chain_without = structlog.wrap_logger(
        plain, processors=[structlog.processors.KeyValueRenderer()], wrapper_class=structlog.stdlib.BoundLogger
    )
    for each in (log, plain, log, chain_without, plain):
        emit(each, "hello")
    assert [entry["message"] for entry in root.entries] == ["hello"] * 3 + ["event='hello'", "hello"]


def test_after_a_dropped_event_later_records_are_shipped(root: CapturingHandler) -> None:
    def drop(_: Any, __: str, event: Any) -> Any:
        raise structlog.DropEvent

    log = through(root, drop)
    plain = logging.getLogger("shop")
    for each in (log, plain, plain):
        emit(each, "hello")
    assert len(root.entries) == 3


def test_a_record_logged_by_a_later_processor_is_shipped(root: CapturingHandler) -> None:
    def talk(_: Any, __: str, event: Any) -> Any:
        logging.getLogger("shop").warning("seen")
        return event

    through(root, talk, structlog.processors.JSONRenderer()).info("hello")
    assert [entry["message"] for entry in root.entries] == ["hello", "seen"]


# Filters and errors


def test_level_and_filters_of_the_handler_apply(root: CapturingHandler) -> None:
    root.setLevel(logging.WARNING)
    root.addFilter(lambda record: record.name != "noisy")
    log = through(root, structlog.processors.JSONRenderer())
    log.info("too low")
    log.warning("hello")
    log.warning("not this", logger="noisy")
    assert [entry["message"] for entry in root.entries] == ["hello"]


def test_filters_see_the_event_as_a_record_with_an_extra(root: CapturingHandler) -> None:
    root.addFilter(lambda record: record.getMessage() == "hello" and record.user_id == 7)  # type: ignore[attr-defined]  # as any extra
    log = chain(root)
    log.info("hello", user_id=7)
    log.info("hello", user_id=8)
    log.info("bye", user_id=7)
    assert len(root.entries) == 1


def test_a_failing_filter_is_counted_and_reported_and_not_raised(
    root: CapturingHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise ZeroDivisionError

    root.addFilter(broken)
    log = chain(root)
    assert log.info("hello", a=1) == ((), {"event": "hello", "a": 1})
    assert root.stats().dropped == {"internal_error": 1}
    assert capsys.readouterr().err == (
        f"logcollector-handler: a record of logger {__name__!r} was dropped: the handler failed on it\n"
    )


def test_without_structlog_the_import_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "structlog"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "structlog", None)
    monkeypatch.delitem(sys.modules, "logcollector_handler.integrations.structlog")
    with pytest.raises(ImportError, match=r"pip install 'logcollector-handler\[structlog\]'"):
        import logcollector_handler.integrations.structlog  # noqa: F401 - for its error


special = st.sampled_from(
    ["event", "level", "level_number", "timestamp", "logger", "exc_info", "exception", "stack", "stack_info"]
) | st.sampled_from(["positional_args", "_record", "_from_structlog", "pathname", "lineno", "func_name", "metadata"])


@settings(big, max_examples=60)
@example({"event": Hostile(), "positional_args": (1,)}, "info")
@given(st.dictionaries(names | special, values, max_size=8), st.sampled_from(["info", "exception", "trace", "odd"]))
def test_an_event_of_any_shape_is_shipped_without_raising(event: dict[str, Any], method: str) -> None:
    handler = CapturingHandler()
    processor = LogCollectorProcessor(handler)
    with Switch():
        assert processor(None, method, event) is event
    (line,) = handler._lines
    entry = check_entry(line, handler._settings.max_record_bytes)
    assert "unreadable" not in entry["metadata"] or "unreadable" in event
    handler.close()


def test_no_frame_is_kept_alive(handler: CapturingHandler) -> None:
    import gc
    import weakref

    class Local:
        pass

    def work() -> weakref.ref[Local]:
        local = Local()
        chain(handler).info("hello", stack_info=True)
        return weakref.ref(local)

    gc.disable()
    try:
        assert work()() is None
    finally:
        gc.enable()


def test_a_type_checker_accepts_it_as_a_processor(handler: CapturingHandler, tmp_path: Path) -> None:
    processors: list[structlog.typing.Processor] = [LogCollectorProcessor(handler)]
    assert callable(processors[0])


def test_a_processor_that_is_gone_leaves_no_filter_on_the_handler(handler: CapturingHandler) -> None:
    others = [lambda record: True]
    handler.addFilter(others[0])
    for _ in range(3):
        kept = LogCollectorProcessor(handler)
        assert len(handler.filters) == 2
        del kept
        gc.collect()
        assert handler.filters == others
