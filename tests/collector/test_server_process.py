"""A collector in a process of its own: signals, and the store after it was killed."""

from __future__ import annotations

import signal
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
