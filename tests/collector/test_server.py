"""Serving over real sockets: start, stop, slow and hostile clients, and the store after the process was killed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from logcollector_handler.collector import protocol
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.body import Limits
from logcollector_handler.collector.server import BackgroundServer, bind, url_of
from logcollector_handler.collector.store import Store

pytestmark = pytest.mark.integration


@pytest.fixture
def server(store: Store) -> Iterator[BackgroundServer]:
    server = BackgroundServer(create_app(store, limits=Limits(body_bytes=1_000_000)))
    server.start()
    yield server
    server.stop()


def connect(server: BackgroundServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


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


def has_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


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


def test_connections_beyond_the_maximum_are_answered_503(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logcollector_handler.collector.server.CONNECTIONS", 3)
    server = BackgroundServer(create_app(store))
    server.start()
    with connect(server), connect(server):
        assert httpx.get(server.url).status_code == 503
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


def test_an_address_in_use_raises() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


def test_no_answer_is_delayed_by_nagles_algorithm() -> None:
    """An answer is written in two parts; with Nagle's algorithm the second one is 40 ms late."""
    with bind("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_the_url_of_an_ipv6_address_has_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        sock = bind("::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    with sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"


SERVE = """
import sys
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import run
from logcollector_handler.collector.store import Store
run(create_app(Store(sys.argv[1])), "127.0.0.1", 0, started=lambda url: print(url, flush=True))
"""


class Process:
    """A collector in a process of its own."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        status = self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status


@pytest.fixture
def process_on() -> Iterator[Callable[[Path], Process]]:
    started: list[Process] = []

    def start(path: Path) -> Process:
        started.append(Process(path))
        return started[-1]

    yield start
    for process in started:
        process.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_the_foreground(
    tmp_path: Path, process_on: Callable[[Path], Process], number: signal.Signals
) -> None:
    process = process_on(tmp_path / "logs.sqlite")
    assert httpx.get(process.url).json()["service"] == "log-server"
    assert process.end(number) != 0


BATCH = 200


def post(url: str, key: str) -> bool:
    """Post a batch with that key; whether it was answered."""
    batch = [{"message": key, "stack_trace": "x" * 1000, "trace_id": f"{n}"} for n in range(BATCH)]
    try:
        answer = httpx.post(url + "/logs", json={"logs": batch}, headers={"Idempotency-Key": key})
    except httpx.TransportError:
        return False
    assert answer.json() == {"status": "ok", "count": BATCH}
    return True


def test_after_kill_9_during_writes_each_batch_is_stored_whole_or_not_at_all(
    tmp_path: Path, process_on: Callable[[Path], Process]
) -> None:
    """Every batch that was answered is stored; one that was not is stored once after it is sent again."""
    path = tmp_path / "logs.sqlite"
    answered: set[str] = set()
    posted: set[str] = set()
    for life in range(4):
        process = process_on(path)
        enough = threading.Event()

        def post_until_dead(thread: int, life: int = life, process: Process = process) -> None:
            for number in range(10_000):
                key = f"{life}.{thread}.{number}"
                posted.add(key)
                if not post(process.url, key):
                    return
                answered.add(key)
                if number == 5:
                    enough.set()  # noqa: B023 - joined within the same round

        with ThreadPoolExecutor(3) as pool:
            posting = [pool.submit(post_until_dead, thread) for thread in range(3)]
            assert enough.wait(60)
            process.end(signal.SIGKILL)
            for thread in posting:
                thread.result(60)
        database = sqlite3.connect(path)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = dict(database.execute("SELECT message, count(*) FROM logs GROUP BY message"))
        keys = dict(database.execute("SELECT key, count FROM batches"))
        database.close()
        assert set(stored.values()) == {BATCH}
        assert stored == keys
        assert answered <= set(stored)
    process = process_on(path)
    assert all(post(process.url, key) for key in sorted(posted))
    stats = httpx.get(process.url + "/stats").json()
    assert stats["total_logs"] == BATCH * len(posted)
