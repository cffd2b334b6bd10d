"""What tests of whole processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.rig import Rig, make_rig


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """A server that takes everything until the test says otherwise."""
    with FaultyServer() as server:
        yield server


@pytest.fixture
def rig() -> Iterator[Rig]:
    with make_rig() as rig:
        yield rig
