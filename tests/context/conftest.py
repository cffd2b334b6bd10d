"""What the tests of bound fields share: nothing bound at their start, and a handler on the logger that they log to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from logcollector_handler import clear_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    clear_context()
    yield
    clear_context()


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    with capturing("shop.context", service="shop", environment="production") as made:
        yield made
