"""The stream: sends what arrives once and in order, also to clients that reconnect. Over real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import httpx
import pytest

from logcollector_handler.collector import app, protocol, stream
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store

pytestmark = pytest.mark.integration


class Event(NamedTuple):
    """One event of a stream."""

    kind: str
    id: int | None
    data: Any


class Listener:
    """Reads a stream event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def next(self) -> Event:
        """The next event with data; raises if none arrives within the client's timeout."""
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                break
            else:
                fields.clear()
        else:
            raise EOFError
        number = int(fields["id"]) if "id" in fields else None
        return Event(fields.get("event", "message"), number, json.loads(fields["data"]))

    def messages(self, count: int) -> list[str]:
        """The messages of the next `count` entries."""
        events = (self.next() for _ in range(1_000_000))
        entries = (event.data["message"] for event in events if event.kind == "message")
        return [next(entries) for _ in range(count)]


Listen = Callable[..., Listener]


@pytest.fixture
def server(store: Store) -> Iterator[BackgroundServer]:
    server = BackgroundServer(create_app(store))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def listen(server: BackgroundServer) -> Iterator[Listen]:
    """Opens a stream and waits until it is open."""
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=60))

        def listen(position: int | None = None, **parameters: str | int) -> Listener:
            headers = {} if position is None else {"Last-Event-ID": str(position)}
            answer = client.stream("GET", server.url + "/logs/stream", params=parameters, headers=headers)
            response = stack.enter_context(answer)
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            return Listener(response)

        yield listen


def post(server: BackgroundServer, *messages: str, **fields: Any) -> None:
    logs = [{"message": message, **fields} for message in messages]
    assert httpx.post(server.url + "/logs", json={"logs": logs}).status_code == 200


def test_a_stream_begins_now_and_sends_what_arrives(server: BackgroundServer, listen: Listen) -> None:
    post(server, "before")
    listener = listen()
    assert listener.next() == Event("open", 1, {})
    post(server, "one", "two\nlines", metadata={"a": 1})
    event = listener.next()
    assert (event.kind, event.id, event.data["message"], event.data["metadata"]) == ("message", 2, "one", {"a": 1})
    assert listener.messages(1) == ["two\nlines"]
    post(server, "three")
    assert listener.messages(1) == ["three"]


def test_an_entry_is_the_same_as_in_a_query(server: BackgroundServer, listen: Listen) -> None:
    listener = listen()
    listener.next()
    post(server, "m", service="s", level="ERROR", stack_trace="t", duration_ms=1.5, metadata={"logger": "l"})
    assert listener.next().data == httpx.get(server.url + "/logs").json()["logs"][0]


def test_a_stream_continues_after_the_clients_position(server: BackgroundServer, listen: Listen) -> None:
    post(server, *"abcdef")
    listener = listen(position=2)
    assert listener.next().kind == "open"
    assert listener.messages(4) == ["c", "d", "e", "f"]
    post(server, "g")
    assert listener.messages(1) == ["g"]


def test_a_client_far_behind_is_sent_everything_in_steps_without_a_gap(
    server: BackgroundServer, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PACE", 0)
    for part in range(13):
        post(server, *(str(part * 100 + n) for n in range(100)))
    assert listen(position=0).messages(1300) == [str(n) for n in range(1300)]


def test_a_position_beyond_the_end_means_the_beginning(server: BackgroundServer, listen: Listen) -> None:
    """If the database was replaced by another file, all of that is new to the client."""
    post(server, "a")
    assert listen(position=5000).messages(1) == ["a"]


def test_the_last_stored_entries_come_first_if_asked_for(server: BackgroundServer, listen: Listen) -> None:
    post(server, *"abcdef")
    post(server, "other", service="other")
    assert listen(last=3).messages(3) == ["e", "f", "other"]
    listener = listen(last=2, service="other")
    assert listener.messages(1) == ["other"]
    assert listener.next() == Event("open", 7, {})


@pytest.mark.parametrize(
    "filters", [{"level": "ERROR"}, {"min_level": "ERROR"}, {"service": "shop"}, {"text": "hit"}, {"trace_id": "t"}]
)
def test_a_stream_sends_only_what_matches_its_filters(
    server: BackgroundServer, listen: Listen, filters: dict[str, str]
) -> None:
    listener = listen(**filters)
    listener.next()
    post(server, "miss")
    post(server, "hit 1", level="ERROR", service="shop", trace_id="t")
    post(server, "miss")
    post(server, "hit 2", level="ERROR", service="shop", trace_id="t")
    assert listener.messages(2) == ["hit 1", "hit 2"]


def test_of_a_flood_the_newest_are_sent_and_the_others_counted(server: BackgroundServer, listen: Listen) -> None:
    listener = listen(at_most=3)
    listener.next()
    post(server, *(str(n) for n in range(1000)))
    assert listener.next() == Event("skipped", None, {"count": 997})
    assert listener.messages(3) == ["997", "998", "999"]
    post(server, "next")
    assert listener.messages(1) == ["next"]


def test_a_stream_without_news_sends_heartbeats(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.05)
    listener = listen()
    assert [listener.next().kind for _ in range(3)] == ["open", "heartbeat", "heartbeat"]


def test_a_wrong_parameter_is_answered_400_instead_of_a_stream(server: BackgroundServer) -> None:
    url = server.url + "/logs/stream"
    for query in ("?at_most=0", "?limit=5", "?level=LOUD"):
        assert httpx.get(url + query).status_code == 400
    assert httpx.get(url, headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_client_that_does_not_read_uses_no_memory_and_is_disconnected(
    server: BackgroundServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        post(server, *["x" * 100_000] * 10)
    # Nothing is posted after this, so the connection must be ended although nothing new is sent.
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(stream, "PACE", 0)
    gone = threading.Event()
    counted = app._Endpoints._count_stream

    def count(self: Any, change: int) -> None:
        counted(self, change)
        if change < 0:
            gone.set()

    monkeypatch.setattr(app._Endpoints, "_count_stream", count)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall(b"GET /logs/stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0\r\n\r\n")
        assert sock.recv(10)
        assert gone.wait(60)
        # The client still receives what was in the buffers, and then the end.
        with suppress(ConnectionError):
            while sock.recv(1_000_000):
                pass
    assert store.count() == 200


def test_a_client_that_reads_slowly_gets_everything(
    server: BackgroundServer, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PACE", 0)
    for part in range(10):
        post(server, *(f"{part * 10 + n} " + "x" * 100_000 for n in range(10)))
    listener = listen(position=0)
    time.sleep(0.5)
    assert [message.split()[0] for message in listener.messages(100)] == [str(n) for n in range(100)]


def test_streams_beyond_the_maximum_are_answered_503(
    server: BackgroundServer, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "STREAMS", 2)
    listeners = [listen(), listen()]
    for listener in listeners:
        listener.next()
    assert httpx.get(server.url + "/logs/stream").status_code == 503
    listeners[0].response.close()
    deadline = time.monotonic() + 60
    while httpx.get(server.url + "/logs/stream", params={"limit": 1}).status_code != 400:
        assert time.monotonic() < deadline
    while True:
        with httpx.stream("GET", server.url + "/logs/stream") as again:
            if again.status_code == 200:
                break
        assert time.monotonic() < deadline


def test_stopping_the_server_ends_its_streams(
    server: BackgroundServer, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logcollector_handler.collector.server.GRACE", 600)
    listener = listen()
    assert listener.next().kind == "open"
    stopping = threading.Thread(target=server.stop, daemon=True)
    stopping.start()
    stopping.join(60)
    assert not stopping.is_alive()
    with pytest.raises((httpx.TransportError, EOFError)):
        listener.next()
