"""What the tests of the integrations share: the entries of everything that is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from logcollector_handler import clear_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing


@pytest.fixture
def captured() -> Iterator[CapturingHandler]:
    """On the root logger; nothing is bound around the test, nor is anything left behind it."""
    clear_context()
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    with capturing() as handler:
        yield handler
    clear_context()
