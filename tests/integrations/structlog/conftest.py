"""What the tests of structlog share: structlog as it is when freshly imported, and a handler."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing


@pytest.fixture(autouse=True)
def _fresh_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    loggers = logging.getLoggerClass()
    yield
    # A LoggerFactory changes it.
    logging.setLoggerClass(loggers)
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
