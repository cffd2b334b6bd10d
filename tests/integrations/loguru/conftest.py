"""What the tests of loguru share: loguru as it is when freshly imported but without sinks, and a handler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger

from logcollector_handler import clear_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing


@pytest.fixture(autouse=True)
def _fresh_loguru() -> Iterator[None]:
    logger.remove()
    yield
    logger.remove()
    logger.configure(extra={}, patcher=lambda record: None)
    clear_context()


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    """A handler for a sink, on a logger that no test logs to."""
    with capturing("nobody", service="shop") as made:
        yield made
