"""A fixture with the entries of everything that is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from logcollector_handler import clear_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing


@pytest.fixture
def captured() -> Iterator[CapturingHandler]:
    """A handler on the root logger. Bound fields are removed before and after the test."""
    clear_context()
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    with capturing() as handler:
        yield handler
    clear_context()
