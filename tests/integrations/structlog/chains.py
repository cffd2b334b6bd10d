"""Loggers of structlog with the processor in their chain, and the entry that it shipped."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler

Chain = list[Any]
ISO = structlog.processors.TimeStamper(fmt="iso")


def only(handler: CapturingHandler) -> dict[str, Any]:
    (entry,) = handler.entries
    return entry


def chain(
    handler: CapturingHandler, *before: Any, last: Any = None, timestamp_key: str = "timestamp", **options: Any
) -> Any:
    """A native structlog logger with the processor after the processors `before`."""
    options.setdefault("wrapper_class", structlog.make_filtering_bound_logger(logging.NOTSET))
    return structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[*before, LogCollectorProcessor(handler, timestamp_key), last or (lambda *event: event[2].copy())],
        **options,
    )


def fail() -> None:
    raise ValueError("why")


def through(handler: CapturingHandler, *renderers: Any) -> Any:
    return structlog.wrap_logger(
        logging.getLogger("shop"),
        processors=[LogCollectorProcessor(handler), *renderers],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def plain_logger() -> logging.Logger:
    """A logger of the standard library below the root. structlog makes those of `getLogger` once it has a factory."""
    logger = logging.Logger("shop.plain")  # noqa: LOG001 - see above
    logger.parent = logging.getLogger()
    return logger
