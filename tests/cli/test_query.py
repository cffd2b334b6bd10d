"""`logcollector query`: what it prints, in which form, and how it ends."""

from __future__ import annotations

import argparse
import csv
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from logcollector_handler.cli import main
from logcollector_handler.cli.remote import asked
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.collector.storing import rows

pytestmark = pytest.mark.integration


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A collector with some logs."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    store = Store(tmp_path / "logs.sqlite")
    entries: list[dict[str, Any]] = [
        {"message": f"m{n}", "created_at": float(n), "service": "abc"[n % 3], "metadata": {"n": n}} for n in range(300)
    ]
    store.add(rows(*entries, {"message": "new", "created_at": time.time(), "level": "ERROR", "stack_trace": "T\nE: e"}))
    server = BackgroundServer(create_app(store))
    server.start()
    yield server.url
    server.stop()
    store.close()
    monkeypatch.undo()
    time.tzset()


def query(url: str, *arguments: str) -> int:
    return main(["query", "--server-url", url, *arguments])


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_it_prints_the_newest_that_match_for_people(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert query(url, "n>=6 -n:9", "--limit", "2", "--until", "10.5", "--service", "a", "--service", "b") == 0
    assert shown(capsys) == [
        "1970-01-01 00:00:10.000+00:00 INFO  b m10 n=10",
        "1970-01-01 00:00:07.000+00:00 INFO  b m7 n=7",
    ]
    assert query(url, "--level", "error") == 0
    assert shown(capsys)[1:] == ["    E: e (+1 lines)"]
    assert query(url, "--level", "error", "--traces") == 0
    assert shown(capsys)[1:] == ["    T", "    E: e"]


def test_it_prints_a_hundred_unless_told_otherwise(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, count in ([], 100), (["--limit", "7"], 7), (["--limit", "all"], 301), (["--limit", "1000"], 301):
        assert query(url, "--json", *arguments) == 0
        assert len(shown(capsys)) == count


def test_times_may_begin_with_a_minus(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert query(url, "--json", "--since", "-1h") == 0
    assert [json.loads(line)["message"] for line in shown(capsys)] == ["new"]
    assert query(url, "--json", "--until", "-1h", "--limit", "1") == 0
    assert [json.loads(line)["message"] for line in shown(capsys)] == ["m299"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-01-31", "2026-01-30T23:00+00:00"),
        ("2026-07-31 12:00", "2026-07-31T10:00+00:00"),
        ("2026-10-25T02:30", "2026-10-25T00:30+00:00"),
        ("2026-03-29T02:30", "2026-03-29T01:30+00:00"),
        *((same, same) for same in ("2026-01-31T12:00+05:30", "-1h", "1700000000", "20260131", "2026-13-01", "soon")),
    ],
)
def test_dates_are_in_the_zone_of_who_asks(given: str, sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may be in another zone. At the end of summer time an hour comes twice: the first is meant."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    options = argparse.Namespace(since=given, until=given, level=None, query=["x"])
    if given != sent:
        sent = str(datetime.fromisoformat(sent).timestamp())
    try:
        assert asked(options) == [("since", sent), ("until", sent), ("q", "x")]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_csv_and_json_have_the_columns_that_were_named(url: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert query(url, "--csv", "--columns", "message,n", "--limit", "2", "service:a") == 0
    out, _ = capfdbinary.readouterr()
    assert list(csv.reader(io.StringIO(out.decode()))) == [["message", "n"], ["m297", "297"], ["m294", "294"]]
    assert query(url, "--json", "--columns", "n", "--limit", "1", "service:a") == 0
    assert json.loads(capfdbinary.readouterr()[0]) == {"n": 297}


def test_a_wrong_query_is_said_with_its_place(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert query(url, "m1", "(m2") == 1
    assert "this parenthesis is not closed (character 4)" in capsys.readouterr().err
    assert query(url, "--since", "soon") == 1
    assert "since: 'soon' is not a time" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--limit", "x"], ["--json", "--csv"], ["--level", "loud"]])
def test_wrong_arguments_are_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        query("http://127.0.0.1:9", *arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_server_that_is_away_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert query("http://me:hunter2@127.0.0.1:9") == 1
    err = capsys.readouterr().err
    assert "http://127.0.0.1:9 did not answer to the end" in err
    assert "hunter2" not in err
    assert query("http://127.0.0.1:9", "--columns", "message") == 2
    assert "--columns needs --json or --csv" in capsys.readouterr().err
    assert query("127.0.0.1:9") == 2
    assert "is not a URL" in capsys.readouterr().err


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_an_answer_that_breaks_off_is_no_success(form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    line = b'{"id":1,"level":"INFO","message":"m","created_at":1.0}\n'
    for body in (b"%x\r\n%b\r\n" % (len(line), line), b"8\r\n%b\r\n" % line[:8], b"80\r\n%b" % line):
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def answer(listening: socket.socket = listening, body: bytes = body) -> None:
                with listening.accept()[0] as connection:
                    connection.recv(65536)
                    connection.sendall(head + body)

            serving = threading.Thread(target=answer)
            serving.start()
            assert query(f"http://127.0.0.1:{listening.getsockname()[1]}", *form) == 1
            serving.join(60)
        assert "did not answer to the end" in capsys.readouterr().err


def test_it_ends_without_a_word_when_nobody_reads_on(tmp_path: Path, start: Callable[..., Popen[str]]) -> None:
    """As with `| head`."""
    store = Store(tmp_path / "many.sqlite")
    store.add(rows(*({"message": "m" * 1000} for _ in range(1000))))
    server = BackgroundServer(create_app(store))
    server.start()
    asking = [
        start("query", "--server-url", server.url, "--limit", "all", *form) for form in ([], ["--json"], ["--csv"])
    ]
    for each in asking:
        assert each.stdout is not None
        assert each.stdout.readline()
        each.stdout.close()
    for each in asking:
        assert each.stderr is not None
        assert (each.wait(60), each.stderr.read()) == (1, "")
        each.stdout = None
    server.stop()
    store.close()


def test_a_server_that_closes_while_it_is_asked_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(http.client.HTTPConnection, "request", closed)
    assert query("http://127.0.0.1:9") == 1
    assert "did not answer to the end (the connection was closed)" in capsys.readouterr().err
