"""A clock that stands still until a test advances it, and a handler on the logger of the test's module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from logcollector_handler import timing
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing
from tests.delivery.harness import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    made = FakeClock()
    monkeypatch.setattr(timing, "clock", made)
    return made


@pytest.fixture
def handler(clock: FakeClock, request: pytest.FixtureRequest) -> Iterator[CapturingHandler]:
    with capturing(request.module.__name__) as made:
        yield made
