"""`logcollector tail` as a process: it follows, filters, folds stack traces, and reconnects without a gap."""

from __future__ import annotations

import json
import os
import pty
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

import httpx
import pytest

from logcollector_handler.collector import stream
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.cli.conftest import ENTRY

pytestmark = pytest.mark.integration

Start = Callable[..., "Popen[str]"]
TRACE = (
    'Traceback (most recent call last):\n  File "/srv/pay.py", line 7, in charge\n    ask()\nDeclinedError: no money'
)


class Lines:
    """Reads a pipe line by line, with a timeout."""

    def __init__(self, pipe: IO[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(pipe,), daemon=True).start()

    def _read(self, pipe: IO[str]) -> None:
        for line in pipe:
            self._lines.put(line.rstrip("\n"))

    def take(self, count: int = 1) -> list[str]:
        return [self._lines.get(timeout=60) for _ in range(count)]

    def until(self, needle: str) -> str:
        while needle not in (line := self.take()[0]):
            pass
        return line

    def left(self) -> list[str]:
        return list(self._lines.queue)


Follow = Callable[..., tuple[Lines, Lines, "Popen[str]"]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BackgroundServer]:
    store = Store(tmp_path / "logs.sqlite")
    server = BackgroundServer(create_app(store, token="sesame-open-sesame"))
    server.start()
    yield server
    server.stop()
    store.close()


@pytest.fixture
def follow(start: Start) -> Iterator[Follow]:
    """Starts tail; returns the lines of stdout, the lines of stderr, and the process."""
    environment = {"LOGCOLLECTOR_API_KEY": "sesame-open-sesame", "TZ": "UTC"}
    processes: list[Popen[str]] = []

    def follow(url: str, *arguments: str) -> tuple[Lines, Lines, Popen[str]]:
        process = start("tail", "--server-url", url, *arguments, environment=environment)
        processes.append(process)
        assert process.stdout is not None
        assert process.stderr is not None
        return Lines(process.stdout), Lines(process.stderr), process

    yield follow
    for process in processes:
        process.kill()
        process.wait()


def post(url: str, *entries: dict[str, Any]) -> None:
    headers = {"Authorization": "Bearer sesame-open-sesame"}
    answer = httpx.post(url + "/logs", json={"logs": list(entries)}, headers=headers, timeout=60)
    assert answer.status_code == 200


def test_it_says_why_a_stream_cannot_go_on(
    server: BackgroundServer, follow: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.05)
    post(server.url, {"message": "m"})
    out, err, _ = follow(server.url)
    out.until("m")
    (tmp_path / "logs.sqlite").rename(tmp_path / "away.sqlite")
    assert "was deleted or replaced" in err.until("cannot be reached")
    (tmp_path / "away.sqlite").rename(tmp_path / "logs.sqlite")
    err.until("connected again")


def test_it_shows_the_last_entries_and_then_what_arrives(server: BackgroundServer, follow: Follow) -> None:
    post(server.url, *({"message": f"m{n}", "created_at": 3661.25 + n, "level": "WARN"} for n in range(5)))
    out, _, _ = follow(server.url, "-n", "2")
    assert out.take(2) == ["1970-01-01 01:01:04.250+00:00 WARN   m3", "1970-01-01 01:01:05.250+00:00 WARN   m4"]
    entry = {"message": "a\nb", "created_at": 0.5, "service": "shop", "duration_ms": 12.5}
    post(server.url, {**entry, "metadata": {"logger": "shop.pay"}})
    assert out.take(2) == ["1970-01-01 00:00:00.500+00:00 INFO  shop shop.pay a", "    b  (12.5 ms)"]


def test_only_entries_that_match_the_filters_are_shown(server: BackgroundServer, follow: Follow) -> None:
    out, _, _ = follow(server.url, "-n", "1", "--level", "error", "--service", "shop", "--text", "pay")
    post(server.url, {"message": "pay", "level": "ERROR", "service": "shop"})
    out.until("pay")
    post(
        server.url,
        {"message": "pay", "service": "shop"},
        {"message": "pay", "level": "ERROR"},
        {"message": "order", "level": "ERROR", "service": "shop"},
        {"message": "payment", "level": "FATAL", "service": "shop"},
    )
    assert "FATAL shop payment" in out.take()[0]


def test_the_query_language_and_several_services_narrow_what_is_shown(server: BackgroundServer, follow: Follow) -> None:
    entry = {"message": "first", "service": "shop", "level": "WARN", "metadata": {"amount": 7}}
    post(server.url, entry)
    out, _, _ = follow(server.url, "--service", "shop", "--service", "mail", "amount>5", "level:WARNING OR critical")
    out.until("first")
    for other in ({"service": "stock"}, {"level": "INFO"}, {"metadata": {"amount": 5}}, {"service": "mail"}):
        post(server.url, {**entry, "message": str(other), **other})
    assert "mail {'service': 'mail'}" in out.take()[0]


def test_since_shows_all_that_is_stored_from_then_on(server: BackgroundServer, follow: Follow) -> None:
    post(server.url, *({"message": f"old{n}", "created_at": float(n)} for n in range(20)))
    post(server.url, *({"message": f"m{n}"} for n in range(30)))
    out, _, _ = follow(server.url, "--since", "-1h")
    assert [line.rpartition(" ")[2] for line in out.take(30)] == [f"m{n}" for n in range(30)]
    post(server.url, {"message": "new"})
    assert out.take()[0].endswith(" new")
    out, _, _ = follow(server.url, "--since", "1970-01-01T00:00:15Z", "-n", "2")
    assert [line.rpartition(" ")[2] for line in out.take(2)] == ["m29", "new"]


def test_a_wrong_query_ends_it_and_says_where(server: BackgroundServer, start: Start) -> None:
    key = {"LOGCOLLECTOR_API_KEY": "sesame-open-sesame"}
    process = start("tail", "--server-url", server.url, "level:loud", environment=key)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "'loud' is no level" in err
    assert "character 7" in err


def test_stack_traces_are_folded_unless_traces_is_given(server: BackgroundServer, follow: Follow) -> None:
    post(server.url, {"message": "failed", "level": "ERROR", "stack_trace": TRACE})
    folded, _, _ = follow(server.url)
    assert folded.take(2)[1] == "    DeclinedError: no money (+3 lines)"
    whole, _, _ = follow(server.url, "--traces")
    assert whole.take(5)[1:] == ["    " + line for line in TRACE.splitlines()]


def test_json_prints_entries_as_they_are_stored(server: BackgroundServer, follow: Follow) -> None:
    entry = {"message": "ü\n\x1b[31m", "level": "ERROR", "created_at": 5.0, "log_type": "BACKEND", "stack_trace": TRACE}
    post(server.url, {**entry, "metadata": {"a": [1, {"b": None}]}})
    out, _, _ = follow(server.url, "--json")
    assert json.loads(out.take()[0]) == {"id": 1, **entry, "metadata": {"a": [1, {"b": None}]}}


def test_control_characters_in_a_log_are_escaped(server: BackgroundServer, follow: Follow) -> None:
    evil = "a\x1b[2J\x1b]0;title\x07\r\x9b31m\u202eb\x08"
    post(
        server.url,
        {"message": evil, "service": evil, "level": "ERROR", "stack_trace": evil, "metadata": {"logger": evil}},
    )
    out, _, _ = follow(server.url)
    shown = out.take(2)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(shown))
    assert r"a\x1b[2J\x1b]0;title\x07\x0d\x9b31m\u202eb\x08" in shown[0]


def test_it_waits_for_a_server_that_has_not_started_and_says_so_once(follow: Follow, tmp_path: Path) -> None:
    _, err, process = follow("http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in err.take()[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert err.left() == []


def test_a_refusal_by_the_server_ends_it(server: BackgroundServer, start: Start) -> None:
    process = start("tail", "--server-url", server.url, environment={"LOGCOLLECTOR_API_KEY": "wrong"})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "token is missing or wrong" in err
    assert "Traceback" not in err


def test_what_a_server_says_of_a_failure_may_be_anything(start: Start) -> None:
    """An event without a reason, and reasons that would change the terminal."""
    answers = [
        b"HTTP/1.1 200 OK\r\n\r\nevent: error\n\n",
        b'HTTP/1.1 200 OK\r\n\r\nevent: open\ndata: {}\n\nevent: error\ndata: {"error": "\\u001b[31mred"}\n\n',
        b'HTTP/1.1 422 x\r\n\r\n{"error": "\\u001b[32mgreen"}',
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        process = start("tail", "--server-url", f"http://127.0.0.1:{listening.getsockname()[1]}")
        for answer in answers:
            with listening.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "cannot be reached (it failed)" in err
    assert "cannot be reached (\\x1b[31mred)" in err
    assert "\\x1b[32mgreen" in err


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://x",
        "http://",
        "ftp://me:hunter2@x",
        "http://me:hunter2/x@host",
        "http://me:hunter2@[::1",
    ],
)
def test_a_wrong_url_is_reported_without_a_password(start: Start, url: str) -> None:
    process = start("tail", "--server-url", url)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "is not a URL" in err, "Traceback" in err) == (2, True, False)
    assert "hunter2" not in err


def test_the_password_of_a_url_is_never_printed(server: BackgroundServer, start: Start, follow: Follow) -> None:
    _, err, _ = follow("http://me:hunter2@127.0.0.1:9?key=hunter2")
    assert "http://127.0.0.1:9 cannot be reached (" in err.take()[0]
    url = server.url.replace("//", "//me:hunter2@") + "?key=hunter2"
    process = start("tail", "--server-url", url, environment={"LOGCOLLECTOR_API_KEY": "wrong"})
    _, said = process.communicate(timeout=60)
    assert f"{server.url}: " in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_levels_are_coloured_only_on_a_terminal(
    server: BackgroundServer, environment: dict[str, str], coloured: bool
) -> None:
    post(server.url, {"message": "m", "level": "ERROR"})
    main, side = pty.openpty()
    keys = {"LOGCOLLECTOR_API_KEY": "sesame-open-sesame", "TERM": "xterm", **environment}
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-c", ENTRY, "tail", "--server-url", server.url]
    with subprocess.Popen(command, stdout=side, env={**inherited, **keys}) as process:
        os.close(side)
        shown = b""
        while b"\n" not in shown:
            shown += os.read(main, 1000)
        process.kill()
    os.close(main)
    assert (b"\x1b[31mERROR\x1b[0m" in shown) is coloured


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_it_reconnects_after_a_restart_without_losing_or_repeating_entries(
    start: Start, follow: Follow, number: signal.Signals
) -> None:
    key = {"LOGCOLLECTOR_API_KEY": "sesame-open-sesame"}

    def serve(port: str) -> tuple[Popen[str], str]:
        process = start("serve", "--port", port, environment=key)
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        return process, found[0]

    server, url = serve("0")
    post(url, {"message": "begin"})
    out, err, _ = follow(url)
    out.until("begin")
    shown: list[str] = []
    for life in range(3):
        for n in range(20):
            post(url, *({"message": f"{life}.{n}.{m}"} for m in range(10)))
        # Stop the server while it is still sending entries.
        shown += out.take(50)
        server.send_signal(number)
        server.wait(60)
        err.until("cannot be reached")
        server, url = serve(url.rpartition(":")[2])
        post(url, {"message": f"{life}.back"})
        err.until("connected again")
    while not shown[-1].endswith(" 2.back"):
        shown += out.take()
    expected = [
        message
        for life in range(3)
        for message in [*(f"{life}.{n}.{m}" for n in range(20) for m in range(10)), f"{life}.back"]
    ]
    assert [line.rpartition(" ")[2] for line in shown] == expected
