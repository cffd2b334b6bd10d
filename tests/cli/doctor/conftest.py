"""What the tests of `logcollector doctor` share: a server, and an environment without settings."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.integration.faulty import FaultyServer


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_settings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LOGCOLLECTOR_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
