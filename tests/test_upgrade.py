"""What version 0.1.0 left on disk is read and delivered: a spool of killed processes, and a collector's file.

The files, and how they were made, are in `fixtures/v0_1_0`. Everything here goes through what users have in their
hands: the handler, the command line, HTTP. The spool is the one of `http://localhost:8000`; a server in this process
takes its batches as the proxy of the handler, so that nothing is sent to that port.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from logcollector_handler import LogCollectorHandler
from logcollector_handler.cli import main

FIXTURES = Path(__file__).with_name("fixtures") / "v0_1_0"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
SERVER = "http://localhost:8000"
#: The directories that 0.1.0 made for two servers.
DIRECTORIES = {SERVER: "localhost_8000-0121783a", "https://logs.example.com/team": "logs.example.com-54697508"}
#: What the script does that an installation puts on the path.
COMMAND = "import sys; from logcollector_handler.cli import main; sys.exit(main())"

Contents = dict[str, bytes]


@dataclass
class Proxy:
    """What arrived at the proxy of the handler, in order; it takes everything."""

    url: str = ""
    #: The URL that each was for, its Idempotency-Key, and its body as it was posted.
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    #: Notified at each request.
    arrival: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        with self.arrival:
            assert self.arrival.wait_for(lambda: len(self.requests) >= count, timeout=30), self.messages()

    def messages(self) -> list[tuple[str, list[str]]]:
        """The key and the messages of each request, by key."""
        found = []
        for _, key, body in self.requests:
            plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
            found.append((key, [entry["message"] for entry in json.loads(plain)["logs"]]))
        return sorted(found)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that answers in the place of every server."""
    proxy = Proxy()

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with proxy.arrival:
                proxy.requests.append((self.path, self.headers["Idempotency-Key"], body))
                proxy.arrival.notify_all()
            answer = b'{"status": "ok"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield proxy
        server.shutdown()
        thread.join()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A copy of the spool that 0.1.0 left, with the modes that it had: nobody but its owner may look into it."""
    copy = tmp_path / "spool"
    shutil.copytree(FIXTURES / "spool", copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


def contents(spool: Path) -> Contents:
    """All files, by name, but for the numbers of bytes used, which version 0.1.0 did not write."""
    files = [path for path in spool.rglob("*") if path.is_file() and path.parent.name != "usage"]
    return {str(path.relative_to(spool)): path.read_bytes() for path in files}


def stays(before: Contents) -> Contents:
    """What nobody may touch: the dead letter, and what another server is to get."""
    own = DIRECTORIES[SERVER]
    return {name: body for name, body in before.items() if not name.startswith(own) or name.startswith(f"{own}/dead/")}


def check_delivered(proxy: Proxy, before: Contents, *more: tuple[str, list[str]]) -> None:
    """Every batch came once, under the id that it had, and those that were finished came byte for byte."""
    assert proxy.messages() == sorted([*EXPECTED["batches"].items(), *more])
    assert {url for url, _, _ in proxy.requests} == {f"{SERVER}/logs"}
    for _, key, body in proxy.requests:
        finished = [name for name in before if name.endswith((f"/{key}.json", f"/{key}.json.gz"))]
        assert [before[name] for name in finished] == [body] * len(finished)


def test_the_fixtures_are_as_they_were_made() -> None:
    made = {
        str(path.relative_to(FIXTURES)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [FIXTURES / "logs.sqlite", *(FIXTURES / "spool").rglob("*")]
        if path.is_file()
    }
    assert made == EXPECTED["sha256"]


@pytest.mark.parametrize(("url", "directory"), DIRECTORIES.items())
def test_the_batches_for_a_server_lie_in_the_directory_in_which_they_lay(
    url: str, directory: str, tmp_path: Path, proxy: Proxy
) -> None:
    handler = LogCollectorHandler(
        server_url=url, proxy=proxy.url, spool_dir=str(tmp_path), durability="record", shutdown_timeout=0.1
    )
    with closing(handler):
        handler.handle(logging.makeLogRecord({"msg": "written before the call returns"}))
        assert [path.name for path in tmp_path.iterdir()] == [directory]


def test_a_handler_delivers_what_the_old_version_left_once_and_under_its_ids(spool: Path, proxy: Proxy) -> None:
    before = contents(spool)
    handler = LogCollectorHandler(server_url=SERVER, proxy=proxy.url, spool_dir=str(spool))
    with closing(handler):
        handler.handle(logging.makeLogRecord({"msg": "logged by the new version"}))
        assert handler.flush(30)
        proxy.wait_for(len(EXPECTED["batches"]) + 1)
    (new,) = [each for each in proxy.messages() if each[0] not in EXPECTED["batches"]]
    assert new[1] == ["logged by the new version"]
    check_delivered(proxy, before, new)
    assert contents(spool) == stays(before)
    stats = handler.stats()
    assert (stats.accepted, stats.delivered) == (1, 1)
    assert stats.adopted == {"delivered": sum(map(len, EXPECTED["batches"].values()))}


def test_batches_whose_locks_a_downgrade_removed_are_delivered_once(spool: Path, proxy: Proxy) -> None:
    # 0.1.0 does not know the ids of later versions. It leaves their batches, and removes locks that nobody holds.
    for file in [*spool.rglob("*.lock"), *spool.rglob("*.tmp")]:
        file.unlink()
    before = contents(spool)
    with closing(LogCollectorHandler(server_url=SERVER, proxy=proxy.url, spool_dir=str(spool))) as handler:
        handler.handle(logging.makeLogRecord({"msg": "logged by the new version"}))
        proxy.wait_for(len(EXPECTED["batches"]) + 1)
        (new,) = [each for each in proxy.messages() if each[0] not in EXPECTED["batches"]]
        check_delivered(proxy, before, new)


def test_replay_delivers_what_the_old_version_left_once_and_under_its_ids(
    spool: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(spool)
    monkeypatch.setenv("LOGCOLLECTOR_PROXY", proxy.url)
    assert main(["spool", "replay", str(spool), "--server-url", SERVER]) == 0
    check_delivered(proxy, before)
    assert contents(spool) == stays(before)


@contextmanager
def collector(directory: Path) -> Iterator[httpx.Client]:
    """A client of `logcollector serve`, which serves a copy of the file that 0.1.0 made."""
    database = directory / "logs.sqlite"
    shutil.copyfile(FIXTURES / "logs.sqlite", database)
    with closing(sqlite3.connect(database)) as connection, connection:
        # A collector remembers a key for seven days. Without this the files would outlive what they are to show.
        connection.execute("UPDATE batches SET stored_at = ?", (time.time(),))
    command = [sys.executable, "-c", COMMAND, "serve", "--port", "0", "--database", str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            url = next(word for word in said.split() if word.startswith("http://"))
            with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture(scope="module")
def old_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A collector with the old file, for tests that only ask."""
    with collector(tmp_path_factory.mktemp("collector")) as client:
        yield client


def stored() -> list[dict[str, Any]]:
    """What the old version was sent, in order of arrival, with the type that it gave to an entry without one."""
    return [{"log_type": "BACKEND", **entry} for logs in EXPECTED["posted"].values() for entry in logs]


def found(client: httpx.Client, **query: str) -> list[dict[str, Any]]:
    """What the collector answers to a query, the oldest first, without the numbers of the rows."""
    logs = client.get("/logs", params=query).raise_for_status().json()["logs"]
    return [{name: value for name, value in entry.items() if name != "id"} for entry in reversed(logs)]


@pytest.mark.integration
def test_a_collector_answers_with_the_rows_of_the_old_file(old_file: httpx.Client) -> None:
    assert found(old_file) == stored()
    assert [each["message"] for each in found(old_file, min_level="ERROR")] == [
        "a record of level ERROR",
        "a record of level FATAL",
        "payment declined: Überweisung",
    ]
    stats = old_file.get("/stats").raise_for_status().json()
    assert stats["total_logs"] == len(stored())
    assert {each["level"]: each["count"] for each in stats["level_distribution"]} == {
        **dict.fromkeys(["TRACE", "DEBUG", "WARN", "FATAL"], 1),
        "INFO": 2,
        "ERROR": 2,
    }
    assert {each["service"]: each["count"] for each in stats["service_distribution"] if each["service"]} == {
        "shop": 6,
        "payment": 1,
    }


@pytest.mark.integration
@pytest.mark.parametrize(
    "query",
    [
        {"text": "überweis"},
        {"text": "quokkas"},
        {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"},
        {"user_id": "user-7"},
        {"service": "payment", "level": "ERROR"},
        {"since": "1750000100", "until": "1750000101"},
        # With the query language, which 0.1.0 did not have.
        {"q": "überweis*"},
        {"q": '"insufficient quokkas"'},
        {"q": "*uokka* -no_such_word"},
        {"q": "amount:12.5"},
        {"q": "duration_ms>17 error_type:DeclinedError"},
        {"q": "has:stack_trace"},
        {"q": "4bf92f3577b34da6a3ce929d0e0e4736"},
        {"q": "path:/p* method:POST created_at<2025-06-15T15:10"},
    ],
    ids=str,
)
def test_a_collector_finds_a_row_of_the_old_file(old_file: httpx.Client, query: dict[str, str]) -> None:
    assert [entry["message"] for entry in found(old_file, **query)] == ["payment declined: Überweisung"]


@pytest.mark.integration
def test_a_collector_groups_and_exports_the_rows_of_the_old_file(old_file: httpx.Client) -> None:
    groups = old_file.get("/logs/groups", params={"by": "service,logger"}).raise_for_status().json()["groups"]
    assert [(each["values"], each["count"]) for each in groups] == [
        (["shop", "shop.orders"], 6),
        (["payment", None], 1),
    ]
    exported = old_file.get("/logs/export").raise_for_status().text.splitlines()
    assert {json.loads(line)["message"] for line in exported} == {entry["message"] for entry in stored()}


@pytest.mark.integration
def test_a_collector_knows_the_keys_of_the_old_file_and_goes_on_in_it(tmp_path: Path) -> None:
    new = [{"level": "INFO", "message": "quokkas came back", "created_at": 1760000000.0}]
    with collector(tmp_path) as client:
        for key, logs in EXPECTED["posted"].items():
            answer = client.post("/logs", json={"logs": logs}, headers={"Idempotency-Key": key}).raise_for_status()
            assert answer.json() == {"status": "ok", "count": len(logs)}
            # 0.1.0 did not note which body came under a key.
            other = client.post("/logs", json={"logs": new}, headers={"Idempotency-Key": key}).raise_for_status()
            assert other.json()["count"] == len(logs)
        assert found(client) == stored()
        client.post("/logs", json={"logs": new}, headers={"Idempotency-Key": "new"}).raise_for_status()
        messages = [entry["message"] for entry in found(client, text="quokkas")]
        assert messages == ["payment declined: Überweisung", "quokkas came back"]
    with closing(sqlite3.connect(tmp_path / "logs.sqlite")) as connection, connection:
        for index in ("logs_text", "logs_ids", "logs_fields"):
            # Raises if the index does not have the words of the rows. A few rows are also found without it.
            connection.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")
