"""Serving over real sockets: start, stop, addresses, and what is printed and logged meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer, bind, url_of
from logcollector_handler.collector.store import Store
from tests.collector.sockets import connect

pytestmark = pytest.mark.integration


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_it_answers_on_loopback_until_it_is_stopped(store: Store) -> None:
    server = BackgroundServer(create_app(store))
    server.start()
    assert server.url.startswith("http://127.0.0.1:")
    assert httpx.get(server.url).json()["status"] == "ok"
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_many_servers_leave_no_thread_no_socket_and_no_signal_handler(store: Store) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = set(threading.enumerate())
    store.count()
    descriptors = open_descriptors()
    for _ in range(20):
        server = BackgroundServer(create_app(store))
        server.start()
        with httpx.Client() as client:
            client.post(server.url + "/logs", json={"logs": [{"message": "a"}]})
            # The client keeps its connection open, so the server has to close it.
            server.stop()
    assert store.count() == 20
    assert set(threading.enumerate()) == threads
    assert open_descriptors() == descriptors
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_stop_may_be_called_twice_and_without_start(store: Store) -> None:
    server = BackgroundServer(create_app(store))
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_two_servers_can_run_at_the_same_time(tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in ("a.sqlite", "b.sqlite")]
    servers = [BackgroundServer(create_app(store)) for store in stores]
    for server in servers:
        server.start()
    for server, count in zip(servers, (1, 2), strict=True):
        httpx.post(server.url + "/logs", json={"logs": [{"message": "a"}] * count})
    for server in servers:
        server.stop()
    assert [store.count() for store in stores] == [1, 2]
    for store in stores:
        store.close()


def test_nothing_that_the_server_logs_reaches_the_application(
    store: Store, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Otherwise the collector's own logs would reach the handler under test, which ships to that collector."""
    caplog.set_level(0)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        caplog.set_level(0, name)
    before = {name: _logger_state(name) for name in ("uvicorn.error", "uvicorn.access", "asyncio")}
    server = BackgroundServer(create_app(store))
    server.start()
    # A bare socket, because httpx would log the request.
    with connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"log-server" in sock.makefile("rb").read()
    with connect(server) as sock:
        sock.sendall(b"no HTTP\r\n\r\n")
        assert b"400" in sock.makefile("rb").read()
    server.stop()
    assert caplog.record_tuples == []
    assert "Invalid HTTP request" in capfd.readouterr().err
    assert {name: _logger_state(name) for name in before} == before
    logging.getLogger("uvicorn.error").warning("of the application's own server")
    assert "own server" in caplog.text


def _logger_state(name: str) -> tuple[object, ...]:
    logger = logging.getLogger(name)
    return logger.level, logger.propagate, logger.handlers[:], logger.filters[:]


async def fail(_request: Request) -> Response:
    raise RuntimeError("a bug")


def test_an_error_of_the_app_is_answered_500_and_printed_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    server = BackgroundServer(Starlette(routes=[Route("/", fail)]))
    server.start()
    assert httpx.get(server.url).status_code == 500
    server.stop()
    assert "RuntimeError: a bug" in capfd.readouterr().err


def test_start_raises_if_the_app_cannot_start(capfd: pytest.CaptureFixture[str]) -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("cannot start")

    threads = set(threading.enumerate())
    server = BackgroundServer(broken)
    with pytest.raises(RuntimeError, match="could not be started"):
        server.start()
    assert set(threading.enumerate()) == threads
    assert "cannot start" in capfd.readouterr().err
    server.stop()


def listens(server: BackgroundServer) -> bool:
    try:
        connect(server).close()
    except ConnectionError:
        # Refused, or reset if the listener is closed during the attempt.
        return False
    return True


def test_a_request_in_progress_is_answered_before_stop_returns() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_request: Request) -> Response:
        asked.set()
        go_on.wait(60)
        return PlainTextResponse("done")

    server = BackgroundServer(Starlette(routes=[Route("/", slow)]))
    server.start()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.get, server.url)
        assert asked.wait(60)
        stopped = pool.submit(server.stop)
        while listens(server):
            assert not answer.done()
        go_on.set()
        assert answer.result(60).text == "done"
        stopped.result(60)


def test_an_address_in_use_raises() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_the_url_of_an_ipv6_address_has_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        sock = bind("::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    with sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"
