"""`logcollector serve` as a process: it answers, stores, ends on SIGINT, and says why it cannot start."""

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
from logcollector_handler.cli import main
from logcollector_handler.collector.store import Store

pytestmark = pytest.mark.integration

Start = Callable[..., "Popen[str]"]
Run = Callable[..., "CompletedProcess[str]"]


def url_of(server: Popen[str]) -> str:
    """The URL in the first line that the server prints."""
    assert server.stdout is not None
    said = server.stdout.readline()
    found = re.fullmatch(r"Collecting logs at (http://127\.0\.0\.1:\d+) into (\S+)\. Ctrl-C ends it\.\n", said)
    assert found, said
    return found[1]


def interrupt(server: Popen[str]) -> tuple[int, str]:
    """Send SIGINT and wait for the end; returns the exit status and the rest of stderr."""
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=60)
    return server.returncode, err


def test_it_stores_logs_until_it_is_interrupted(start: Start, directory: Path) -> None:
    server = start("serve", "--port", "0")
    url = url_of(server)
    assert httpx.get(url).json() == {"status": "ok", "service": "log-server"}
    assert httpx.post(url + "/logs", json={"logs": [{"message": "m", "level": "WARN"}]}).json()["count"] == 1
    assert [entry["message"] for entry in httpx.get(url + "/logs?level=WARN").json()["logs"]] == ["m"]
    assert interrupt(server) == (0, "")
    store = Store(directory / "logs.sqlite")
    assert [entry["message"] for entry in store.in_order_of_arrival()] == ["m"]
    store.close()


def test_logs_survive_a_restart(start: Start) -> None:
    for expected in (1, 2):
        server = start("serve", "--port", "0", "--database", "kept.sqlite")
        url = url_of(server)
        httpx.post(url + "/logs", json={"logs": [{"message": "m"}]})
        assert httpx.get(url + "/stats").json()["total_logs"] == expected
        assert interrupt(server) == (0, "")


def test_a_port_in_use_is_reported(start: Start, run: Run) -> None:
    port = url_of(start("serve", "--port", "0")).rpartition(":")[2]
    ended = run("serve", "--port", port, "--database", "other.sqlite")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"logcollector serve: port {port} cannot be used (Address already in use). "
        "Name another with --port, or 0 for a free one.\n"
    )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_of_this_machine_is_reported(run: Run, host: str) -> None:
    ended = run("serve", "--host", host, "--token", "t" * 16, "--port", "0", "--database", "other.sqlite")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"logcollector serve: {host} is no address of this machine (")
    assert "--host" in ended.stderr
    assert "port" not in ended.stderr


def test_a_database_that_cannot_be_created_is_reported(run: Run) -> None:
    ended = run("serve", "--port", "0", "--database", "missing/logs.sqlite")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("logcollector serve: missing/logs.sqlite cannot be opened")
    assert len(ended.stderr.splitlines()) == 1


def test_a_database_of_another_program_is_refused_and_not_changed(run: Run, directory: Path) -> None:
    other = sqlite3.connect(directory / "other.sqlite")
    other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    before = (directory / "other.sqlite").read_bytes()
    ended = run("serve", "--port", "0", "--database", "other.sqlite")
    assert ended.returncode == 1
    assert "was not made by this version of the collector" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (directory / "other.sqlite").read_bytes() == before


def test_a_handler_with_default_settings_delivers_to_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    url = url_of(start("serve", "--port", "0"))
    monkeypatch.setenv("LOGCOLLECTOR_SERVER_URL", url)
    handler = LogCollectorHandler(service="shop")
    handler.handle(logging.LogRecord("shop", logging.INFO, __file__, 1, "hello", None, None))
    handler.close()
    assert [entry["service"] for entry in httpx.get(url + "/logs").json()["logs"]] == ["shop"]


TOKEN = "correct-horse-battery"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_without_a_token_it_refuses_to_serve_other_machines(run: Run, directory: Path, host: str) -> None:
    ended = run("serve", "--port", "0", "--host", host)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert f"on {host} others can reach it, so it needs a token" in ended.stderr
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("token", ["short", "x" * 15, "with a space in it", "\u00fcmlaut-\u00fcmlaut-\u00fcmlaut"])
def test_a_token_that_is_short_or_not_plain_ascii_is_refused(run: Run, token: str) -> None:
    ended = run("serve", "--port", "0", "--token", token)
    assert ended.returncode == 2
    assert "16 characters" in ended.stderr
    assert token not in ended.stderr


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_with_a_token_it_serves_everyone_who_sends_it(start: Start, way: str) -> None:
    arguments = ["--token", TOKEN] if way == "argument" else []
    environment = {"LOGCOLLECTOR_API_KEY": TOKEN} if way == "environment" else {}
    server = start("serve", "--port", "0", "--host", "0.0.0.0", *arguments, environment=environment)
    assert server.stdout is not None
    port = server.stdout.readline().split(" into ")[0].rpartition(":")[2]
    url = f"http://127.0.0.1:{port}"
    assert httpx.get(url + "/stats").status_code == 401
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(url + "/stats", headers=allowed).json()["total_logs"] == 0
    handler = LogCollectorHandler(server_url=url, api_key=TOKEN)
    handler.handle(logging.LogRecord("shop", logging.INFO, __file__, 1, "hello", None, None))
    handler.close()
    assert httpx.get(url + "/stats", headers=allowed).json()["total_logs"] == 1
    status, err = interrupt(server)
    assert (status, TOKEN in err) == (0, False)


def test_it_prints_the_address_of_the_page(start: Start) -> None:
    server = start("serve", "--port", "0")
    url = url_of(server)
    assert server.stdout is not None
    assert server.stdout.readline() == f"See them at {url}/.\n"
    page = httpx.get(url, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 421


def test_keep_days_removes_old_logs(start: Start) -> None:
    url = url_of(start("serve", "--port", "0"))
    httpx.post(url + "/logs", json={"logs": [{"message": "old", "created_at": 1}, {"message": "new"}]})
    url = url_of(start("serve", "--port", "0", "--keep-days", "1", "--max-size", "64"))
    for _ in range(500):
        if [entry["message"] for entry in httpx.get(url + "/logs").json()["logs"]] == ["new"]:
            return
    pytest.fail("it is still there")


def test_pages_of_allowed_origins_may_post(start: Start, run: Run) -> None:
    url = url_of(
        start("serve", "--port", "0", "--allow-origin", "http://a.example", "--allow-origin", "http://B.example/")
    )
    for origin, status in (("http://a.example", 200), ("http://b.example", 200), ("http://c.example", 403)):
        answer = httpx.post(url + "/logs", json={"logs": [{"message": "m"}]}, headers={"Origin": origin})
        assert answer.status_code == status
    ended = run("serve", "--port", "0", "--allow-origin", "*")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "logcollector serve: --allow-origin: '*' is not an origin such as https://shop.example\n"


@pytest.mark.parametrize("size", ["1", "2", "63.9"])
def test_a_size_in_which_one_batch_does_not_fit_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--max-size", size]) == 2
    assert f"--max-size {size} is too small" in capsys.readouterr().err
