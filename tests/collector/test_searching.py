"""Streams that search, and searches whose client goes away. Over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from logcollector_handler.collector import reading, stream
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.reading import Page
from logcollector_handler.collector.scan import Budget, StoppedError
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.collector.storing import rows

pytestmark = pytest.mark.integration


class Endless(Store):
    """A store in which a search with a text never ends by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.began = threading.Semaphore(0)
        self.stopped = threading.Semaphore(0)

    def page(self, query: Query, budget: Budget | None = None, *, most: int | None = None) -> Page:
        if query.where is None:
            return super().page(query, budget, most=most)
        assert budget is not None
        self.began.release()
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                budget.is_spent()
                time.sleep(0.01)
        except StoppedError:
            self.stopped.release()
            raise
        raise AssertionError("it was not stopped")


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Endless]:
    store = Endless(tmp_path / "endless.sqlite")
    yield store
    store.close()


@pytest.mark.parametrize("path", ["/logs?q=never", "/logs/export?q=never"])
def test_a_search_stops_when_its_client_goes_away(endless: Endless, path: str) -> None:
    """All threads for searches were taken; they are free again."""
    server = BackgroundServer(create_app(endless))
    server.start()
    for _ in range(2):
        clients = [httpx.Client(timeout=httpx.Timeout(60, read=0.5)) for _ in range(4)]
        asking = [threading.Thread(target=go_away, args=(client, server.url + path)) for client in clients]
        for thread in asking:
            thread.start()
        assert all(endless.began.acquire(timeout=60) for _ in clients)
        for thread in asking:
            thread.join(60)
        for client in clients:
            client.close()
        assert all(endless.stopped.acquire(timeout=60) for _ in clients)
        assert httpx.get(server.url + "/logs", timeout=60).json()["logs"] == []
    server.stop()


def go_away(client: httpx.Client, url: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.get(url)


@pytest.fixture
def server(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundServer]:
    monkeypatch.setattr(reading, "ROWS", 10)
    monkeypatch.setattr(stream, "PACE", 0)
    server = BackgroundServer(create_app(store))
    server.start()
    yield server
    server.stop()


def shown(server: BackgroundServer, until: str, position: str = "", **asked: str) -> list[str]:
    """The messages of a stream, up to the one that is `until`."""
    headers = {"Last-Event-ID": position} if position else {}
    found: list[str] = []
    with httpx.stream("GET", server.url + "/logs/stream", params=asked, headers=headers, timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith('data: {"id"'):
                found.append(line.partition('"message":"')[2].partition('"')[0])
                if found[-1] == until:
                    return found
    raise AssertionError(f"it ended with {found}")


def test_a_stream_finds_its_few_logs_among_many_however_far_behind(server: BackgroundServer, store: Store) -> None:
    """It looks at a few rows at once, and does not wait for news before the next ones."""
    store.add(rows(*({"message": f"m{n}", "metadata": {"n": n}} for n in range(200))))
    assert shown(server, "m199", q="n:150 OR n:199", last="all") == ["m150", "m199"]
    assert shown(server, "m199", q="n:5 OR n:199", last="2") == ["m5", "m199"]
    assert shown(server, "m199", q="n:5 OR n:199", position="20") == ["m199"]


def test_all_since_a_time_is_sent_if_asked_for(server: BackgroundServer, store: Store) -> None:
    store.add(rows(*({"message": f"m{n}", "created_at": float(n % 50)} for n in range(100))))
    asked = {"since": "45", "last": "all"}
    assert shown(server, "m99", **asked) == [f"m{n}" for n in (*range(45, 50), *range(95, 100))]


def test_nothing_is_sent_again_when_nothing_is_that_new(server: BackgroundServer, store: Store) -> None:
    store.add(rows(*({"message": f"m{n}", "created_at": 1.0} for n in range(30))))
    found: list[str] = []
    listening = threading.Thread(
        target=lambda: found.extend(shown(server, "new", since="-1h", last="all")), daemon=True
    )
    listening.start()
    deadline = time.monotonic() + 60
    while listening.is_alive() and time.monotonic() < deadline:
        httpx.post(server.url + "/logs", json={"logs": [{"message": "new"}]}, timeout=60).raise_for_status()
        listening.join(0.2)
    assert found == ["new"]
