"""Serving over real sockets when all connections are taken, or as much is in memory as may be: by slow clients."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from logcollector_handler.collector import protocol
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import Limits
from tests.collector.sockets import connect, has_ended

pytestmark = pytest.mark.integration

#: As many connections as the server of a test takes.
ROOM = 20
HALF_SENT = {
    "nothing": b"",
    "headers": b"POST /logs HTTP/1.1\r\nHost: x\r\n",
    "body": b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    "kept open": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends by a deadline of the server during a test."""
    monkeypatch.setattr(protocol, "CONNECTIONS", ROOM)
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 6000)
    monkeypatch.setattr(protocol, "BODY_SECONDS", 6000)


@pytest.fixture
def server(store: Store) -> Iterator[BackgroundServer]:
    server = BackgroundServer(create_app(store, limits=Limits(held_bytes=100_000)))
    server.start()
    yield server
    server.stop()


def post(client: httpx.Client, server: BackgroundServer) -> int:
    return client.post(server.url + "/logs", json={"logs": [{"message": "a"}]}).status_code


@pytest.mark.parametrize("begin", HALF_SENT.values(), ids=HALF_SENT)
def test_half_open_connections_keep_nobody_out(server: BackgroundServer, store: Store, begin: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(3 * ROOM):
            stack.enter_context(connect(server)).sendall(begin)
        for _ in range(10):
            with httpx.Client(timeout=60) as client:
                assert post(client, server) == 200
    assert store.count() == 10


def test_the_connection_that_has_waited_longest_is_ended_and_one_that_sends_a_body_comes_last(
    server: BackgroundServer,
) -> None:
    with ExitStack() as stack:

        def opened(begin: bytes) -> socket.socket:
            sock = stack.enter_context(connect(server))
            sock.sendall(begin)
            # The server reads one connection after the other, so it has seen this one when it answers another.
            with httpx.Client(timeout=60) as client:
                assert client.get(server.url).status_code == 200
            return sock

        body = opened(HALF_SENT["body"])
        silent = [opened(b"") for _ in range(ROOM - 1)]
        # Those of `opened` took the places of some at the end.
        silent += [opened(b"") for _ in range(3)]
        ended = [sock for sock in silent if _is_over(sock)]
        assert ended == silent[: len(ended)]
        assert len(ended) >= 3
        body.sendall(b'"logs": []}' + b" " * 88)
        assert body.recv(15) == b"HTTP/1.1 200 OK"


def _is_over(sock: socket.socket) -> bool:
    sock.settimeout(0.05)
    try:
        return has_ended(sock)
    except TimeoutError:
        return False


def test_when_the_server_is_at_work_on_every_connection_another_one_is_answered_503() -> None:
    working, go_on = threading.Semaphore(0), threading.Event()

    def slow(_request: Request) -> Response:
        working.release()
        go_on.wait(60)
        return PlainTextResponse("done")

    server = BackgroundServer(Starlette(routes=[Route("/", slow)]))
    server.start()
    with ExitStack() as stack:
        at_work = [stack.enter_context(connect(server)) for _ in range(ROOM)]
        for sock in at_work:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert working.acquire(timeout=60)
        assert httpx.get(server.url, timeout=60).status_code == 503
        go_on.set()
        assert all(sock.makefile("rb").read().endswith(b"done") for sock in at_work)
    server.stop()


def test_bodies_that_are_equal_while_they_arrive_are_told_apart(server: BackgroundServer, store: Store) -> None:
    begin = b'POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 28\r\n\r\n{"logs": [{"mess'
    with ExitStack() as stack:
        half = [stack.enter_context(connect(server)) for _ in range(5)]
        for sock in half:
            sock.sendall(begin)
        with httpx.Client(timeout=60) as client:
            assert post(client, server) == 200
        for sock in reversed(half):
            sock.sendall(b'age": "m"}]}')
            assert sock.recv(15) == b"HTTP/1.1 200 OK"
    assert store.count() == 6


def test_bodies_that_come_slowly_and_fill_the_memory_keep_nobody_out(server: BackgroundServer, store: Store) -> None:
    with ExitStack() as stack:
        for _ in range(ROOM // 2):
            slow = stack.enter_context(connect(server))
            slow.sendall(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b" " * 60_000)
        with httpx.Client(timeout=60) as client:
            for _ in range(10):
                assert post(client, server) == 200
            assert client.post(server.url + "/logs", content=b'{"logs": []}' + b" " * 90_000).status_code == 200
    assert store.count() == 10
