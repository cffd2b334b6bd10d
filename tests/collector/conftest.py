"""What the tests of the collector share: a store in a fresh directory, and clients of apps on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.store import Store
from tests.collector.app_client import AppClient


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "logs.sqlite")
    yield store
    store.close()


@pytest.fixture
def client_of() -> Iterator[Callable[[Starlette], AppClient]]:
    """Makes clients of apps, and closes them after the test."""
    clients: list[AppClient] = []

    def make(app: Starlette) -> AppClient:
        clients.append(AppClient(app))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(store: Store, client_of: Callable[[Starlette], AppClient]) -> AppClient:
    """A client of a lenient collector."""
    return client_of(create_app(store))


@pytest.fixture
def strict_client(store: Store, client_of: Callable[[Starlette], AppClient]) -> AppClient:
    """A client of a strict collector."""
    return client_of(create_app(store, strict=True))
