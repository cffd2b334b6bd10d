"""Serving over real sockets: clients that are slow, silent, hostile or many."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from logcollector_handler.collector import protocol
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer, bind
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import Limits
from tests.collector.sockets import connect, has_ended

pytestmark = pytest.mark.integration


@pytest.fixture
def server(store: Store) -> Iterator[BackgroundServer]:
    server = BackgroundServer(create_app(store, limits=Limits(body_bytes=1_000_000)))
    server.start()
    yield server
    server.stop()


def test_a_client_that_disconnects_in_the_middle_of_a_body_causes_no_error(
    server: BackgroundServer, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(server) as sock:
        sock.sendall(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert httpx.post(server.url + "/logs", json={"logs": [{"message": "a"}]}).status_code == 200
    server.stop()
    assert store.count() == 1
    assert capfd.readouterr().err == ""


def test_stop_does_not_wait_for_idle_connections(server: BackgroundServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logcollector_handler.collector.server.GRACE", 600)
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 600)
    assert server._server is not None
    server._server.config.timeout_keep_alive = 600
    with httpx.Client() as client:
        client.get(server.url)
        stopping = threading.Thread(target=server.stop, daemon=True)
        stopping.start()
        # Much less than the 600 s after which the server would close the idle connection anyway.
        stopping.join(60)
        assert not stopping.is_alive()


def test_stop_does_not_wait_for_clients_that_send_nothing(server: BackgroundServer) -> None:
    silent, half = connect(server), connect(server)
    half.sendall(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert httpx.get(server.url).status_code == 200
    server.stop()
    with silent, half:
        assert has_ended(silent)
        assert has_ended(half)


@pytest.mark.parametrize("size", [1_000_001, 20_000_000])
def test_a_client_that_sends_a_body_beyond_the_limit_can_read_the_answer(server: BackgroundServer, size: int) -> None:
    """A client that is disconnected before it can read the 413 would send the same body again and again."""
    # HTTPConnection sends the whole body before it reads, and raises if the connection is closed meanwhile.
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    with closing(connection):
        connection.request("POST", "/logs", bytes(size))
        answer = connection.getresponse()
        assert answer.status == 413
        assert "1000000 bytes" in json.load(answer)["error"]


def test_a_body_without_a_length_is_limited_too(server: BackgroundServer) -> None:
    pieces = (bytes(65536) for _ in range(100))
    assert httpx.post(server.url + "/logs", content=pieces).status_code == 413


def drip(sock: socket.socket, piece: bytes) -> None:
    """Send a byte from time to time until the server closes the connection."""
    sock.settimeout(0.02)
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, "the server still waits for the client"
        try:
            sock.sendall(piece)
            if sock.recv(100) == b"":
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return


@pytest.mark.parametrize("piece", [b"", b"X"], ids=["silent", "dripping"])
@pytest.mark.parametrize(
    "begin",
    [b"", b"GET / HTTP/1.1\r\nX-Slow: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /"],
    ids=["none", "half", "2nd"],
)
def test_a_client_that_does_not_send_its_headers_is_disconnected(
    server: BackgroundServer, monkeypatch: pytest.MonkeyPatch, begin: bytes, piece: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    with connect(server) as sock:
        sock.sendall(begin)
        drip(sock, piece)


def test_a_client_that_does_not_send_its_body_is_disconnected(
    server: BackgroundServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.3)
    with connect(server) as sock:
        sock.sendall(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        drip(sock, b" ")
    assert store.count() == 0


def test_a_slow_answer_does_not_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadlines are for clients, not for the application."""
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.1)

    async def slow(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(0.5)
        return PlainTextResponse("done")

    server = BackgroundServer(Starlette(routes=[Route("/", slow, methods=["POST"])]))
    server.start()
    with connect(server) as sock:
        # Sent in one piece, so that no deadline for the body starts.
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody")
        assert sock.makefile("rb").read().endswith(b"done")
    server.stop()


def test_a_client_that_does_not_read_its_last_answer_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the answer to `Connection: close` the server has closed, and waits until what is left is read."""
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.3)
    lost = threading.Event()

    class Watched(protocol.PatientProtocol):
        def connection_made(self, transport: Any) -> None:
            # So large that writing is never paused: the whole answer is in the buffer when it is complete.
            transport.set_write_buffer_limits(high=2**30)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async def answer(_: Request) -> Response:
        return Response(bytes(32 * 1024 * 1024))

    monkeypatch.setattr(protocol, "PatientProtocol", Watched)
    server = BackgroundServer(Starlette(routes=[Route("/", answer)]))
    server.start()
    with connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.recv(10)
        assert lost.wait(60)
    server.stop()


def test_posts_of_one_key_over_many_connections_are_stored_once(server: BackgroundServer, store: Store) -> None:
    batch = {"logs": [{"message": f"{number}"} for number in range(300)]}

    def post(_: int) -> int:
        answer = httpx.post(server.url + "/logs", json=batch, headers={"Idempotency-Key": "one"})
        count: int = answer.json()["count"]
        return count

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(post, range(16))) == [300] * 16
    assert store.count() == 300


def test_no_answer_is_delayed_by_nagles_algorithm() -> None:
    """An answer is written in two parts; with Nagle's algorithm the second one is 40 ms late."""
    with bind("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
