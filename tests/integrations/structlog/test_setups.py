"""Setups from structlog's documentation, with the processor added before the renderer."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import only


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
