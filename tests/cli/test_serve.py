"""`logcollector serve` as a process: it answers, stores, ends on SIGINT, and says plainly why it cannot start."""

from __future__ import annotations

import logging
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, Popen

import httpx
import pytest

from logcollector_handler import LogCollectorHandler
from logcollector_handler.collector.store import Store

pytestmark = pytest.mark.integration

Start = Callable[..., "Popen[str]"]
Run = Callable[..., "CompletedProcess[str]"]


def url_of(server: Popen[str]) -> str:
    """Where it listens: what it prints first."""
    assert server.stdout is not None
    said = server.stdout.readline()
    found = re.fullmatch(r"Collecting logs at (http://127\.0\.0\.1:\d+) into (\S+)\. Ctrl-C ends it\.\n", said)
    assert found, said
    return found[1]


def interrupt(server: Popen[str]) -> tuple[int, str]:
    """Its exit status, and what it said in the end on stderr."""
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=20)
    return server.returncode, err


def test_it_stores_what_it_is_sent_until_it_is_interrupted(start: Start, directory: Path) -> None:
    server = start("serve", "--port", "0")
    url = url_of(server)
    assert httpx.get(url).json() == {"status": "ok", "service": "log-server"}
    assert httpx.post(url + "/logs", json={"logs": [{"message": "m", "level": "WARN"}]}).json()["count"] == 1
    assert [entry["message"] for entry in httpx.get(url + "/logs?level=WARN").json()["logs"]] == ["m"]
    assert interrupt(server) == (0, "")
    store = Store(directory / "logs.sqlite")
    assert [entry["message"] for entry in store.in_order_of_arrival()] == ["m"]
    store.close()


def test_the_logs_are_there_after_a_restart(start: Start) -> None:
    for expected in (1, 2):
        server = start("serve", "--port", "0", "--database", "kept.sqlite")
        url = url_of(server)
        httpx.post(url + "/logs", json={"logs": [{"message": "m"}]})
        assert httpx.get(url + "/stats").json()["total_logs"] == expected
        assert interrupt(server) == (0, "")


def test_a_taken_port_is_said_plainly(start: Start, run: Run) -> None:
    port = url_of(start("serve", "--port", "0")).rpartition(":")[2]
    ended = run("serve", "--port", port, "--database", "other.sqlite")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"logcollector serve: port {port} cannot be had (Address already in use). "
        "Name another with --port, or 0 for a free one.\n"
    )


def test_a_database_that_cannot_be_made_is_said_plainly(run: Run) -> None:
    ended = run("serve", "--port", "0", "--database", "missing/logs.sqlite")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("logcollector serve: missing/logs.sqlite cannot be opened")
    assert len(ended.stderr.splitlines()) == 1


def test_a_database_of_something_else_is_left_alone(run: Run, directory: Path) -> None:
    other = sqlite3.connect(directory / "other.sqlite")
    other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    before = (directory / "other.sqlite").read_bytes()
    ended = run("serve", "--port", "0", "--database", "other.sqlite")
    assert ended.returncode == 1
    assert "was not made by this version of the collector" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (directory / "other.sqlite").read_bytes() == before


def test_a_handler_ships_into_it_with_the_default_settings(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    url = url_of(start("serve", "--port", "0"))
    monkeypatch.setenv("LOGCOLLECTOR_SERVER_URL", url)
    handler = LogCollectorHandler(service="shop")
    handler.handle(logging.LogRecord("shop", logging.INFO, __file__, 1, "hello", None, None))
    handler.close()
    assert [entry["service"] for entry in httpx.get(url + "/logs").json()["logs"]] == ["shop"]
