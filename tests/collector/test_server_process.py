"""A collector in a process of its own: signals, and the store after it was killed."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.integration


SERVE = """
import sys
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import run
from logcollector_handler.collector.store import Store
run(create_app(Store(sys.argv[1])), "127.0.0.1", 0, started=lambda url: print(url, flush=True))
"""


class Process:
    """A collector in a process of its own."""

    def __init__(self, path: Path, before: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{SERVE}", str(path)], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def connect(self, begin: bytes) -> socket.socket:
        """A connection on which `begin` was sent, and has been read."""
        host, port = self.url.removeprefix("http://").split(":")
        sock = socket.create_connection((host, int(port)), timeout=60)
        sock.sendall(begin)
        assert httpx.get(self.url, timeout=60).status_code == 200
        return sock

    def wait_until_it_stops(self) -> None:
        """Wait until no more connections are taken."""
        while True:
            try:
                httpx.get(self.url, timeout=60)
            except httpx.TransportError:
                return

    def end(self, number: signal.Signals) -> int:
        self.send(number)
        status = self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status


@pytest.fixture
def process_on() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(path: Path, before: str = "") -> Process:
        started.append(Process(path, before))
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


HALF = b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{"
#: Code that sets how long clients are waited for, before and after the signal.
PATIENCE = """
from logcollector_handler.collector import protocol
protocol.HEADER_SECONDS = protocol.BODY_SECONDS = 6000
protocol.STOP_SECONDS = {}
"""


def test_a_signal_ends_the_server_soon_whatever_clients_do_not_send_or_read(
    tmp_path: Path, process_on: Callable[..., Process]
) -> None:
    process = process_on(tmp_path / "logs.sqlite", PATIENCE.format(0.2))
    batch = {"logs": [{"message": "x" * 7_000_000}]}
    assert httpx.post(process.url + "/logs", json=batch, timeout=60).status_code == 200
    unread = b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n"
    begun = [process.connect(begin) for begin in (b"", HALF[:30], HALF, HALF + b'"logs"', unread, unread + HALF)]
    # Much less than the 6000 s after which it would end otherwise.
    assert process.end(signal.SIGTERM) != 0
    for sock in begun:
        sock.close()


def test_a_body_that_is_complete_soon_after_the_signal_is_stored_and_answered(
    tmp_path: Path, process_on: Callable[..., Process]
) -> None:
    process = process_on(tmp_path / "logs.sqlite", PATIENCE.format(6000))
    with process.connect(HALF) as sock:
        process.send(signal.SIGTERM)
        process.wait_until_it_stops()
        sock.sendall(b'"logs": []}')
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
    assert process.end(signal.SIGTERM) != 0


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
