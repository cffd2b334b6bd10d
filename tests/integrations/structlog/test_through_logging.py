"""Setups from structlog's documentation that pass the event to `logging`, without the processor."""

from __future__ import annotations

import logging
import logging.config
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import fail, only


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
        log.exception("it failed", user_id=7, stack_info=True)
    entry = only(root)
    assert (entry["level"], entry["message"], entry["error_type"]) == ("ERROR", "it failed", "ValueError")
    assert (entry["function_name"], entry["user_id"]) == ("fail", "7")
    trace, _, stack = entry["stack_trace"].partition("\nStack (most recent call last):\n")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("ValueError: why")
    assert "test_exceptions_through" in stack
    assert fields(entry).keys() <= {"level", "timestamp"}


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
