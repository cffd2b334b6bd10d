"""`GET /logs/export`: all that a query matches, as lines of JSON and as CSV, without all of it in memory."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from logcollector_handler.collector import export, finding, scan
from logcollector_handler.collector.answers import Unread
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.export import ExportStream
from logcollector_handler.collector.query import parse_export
from logcollector_handler.collector.reading import Page
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.collector.app_client import AppClient
from tests.collector.storing import rows


def fill(store: Store, count: int) -> None:
    entries = [
        {"message": f"m{n}", "created_at": float(n), "metadata": {"n": n, "logger": "shop"}} for n in range(count)
    ]
    store.add(rows(*entries))


def test_lines_of_json_have_every_entry_as_it_is_stored(client: AppClient, store: Store) -> None:
    fill(store, 1300)
    answer = client.get("/logs/export", q="n>=100")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="logs.ndjson"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["metadata"]["n"] for line in lines] == list(range(1299, 99, -1))
    assert lines[-1] == {
        "id": 101,
        "message": "m100",
        "created_at": 100.0,
        "level": "INFO",
        "log_type": "BACKEND",
        "metadata": {"n": 100, "logger": "shop"},
    }


def test_csv_has_the_columns_that_were_asked_for(client: AppClient, store: Store) -> None:
    store.add(
        rows(
            {"message": 'a "b", c\nd', "created_at": 1.5, "metadata": {"order": {"id": 7}, "x": [1]}},
            {"message": "é", "created_at": 2.5, "metadata": {"logger": "shop", "order": {"id": "8"}}},
        )
    )
    answer = client.get("/logs/export", format="csv", columns="id,message,order.id,logger, x,user_id")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["id", "message", "order.id", "logger", "x", "user_id"],
        ["2", "é", "8", "shop", "", ""],
        ["1", 'a "b", c\nd', "7", "", "1", ""],
    ]
    lines = client.get("/logs/export", columns="message,order.id").text.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"message": "é", "order.id": "8"},
        {"message": 'a "b", c\nd', "order.id": 7},
    ]


def test_csv_has_all_columns_unless_asked_otherwise(client: AppClient, store: Store) -> None:
    fill(store, 1)
    header, row = csv.reader(io.StringIO(client.get("/logs/export", format="csv").text))
    found = dict(zip(header, row, strict=True))
    assert found["metadata"] == '{"n":0,"logger":"shop"}'
    assert (found["message"], found["created_at"], found["service"]) == ("m0", "0.0", "")


TEXTS = [
    "=1+2",
    "+1+2",
    "-1+2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1+2",
    "\uff201",
    "-",
    "=",
    "+a",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_in_csv_is_no_formula_for_a_spreadsheet(client: AppClient, text: str) -> None:
    client.post({"message": text, "service": text, "metadata": {"a": text}})
    answer = client.get("/logs/export", format="csv", columns="message,service,a")
    assert list(csv.reader(io.StringIO(answer.text, newline="")))[1] == [f"'{text}"] * 3
    line = json.loads(client.get("/logs/export", columns="message,service,a").text)
    assert line == {"message": text, "service": text, "a": text}


def test_the_name_of_a_column_is_no_formula_either(client: AppClient) -> None:
    answer = client.get("/logs/export", format="csv", columns="=1+2,message")
    assert answer.text == "'=1+2,message\r\n"


def test_numbers_and_all_other_text_stay_as_they_are_in_csv(client: AppClient) -> None:
    metadata = {"number": -7.5, "text": "-12.5", "list": [-1], "sum": "1+2", "quoted": "'=1", "no": -1e-9}
    client.post({"message": "+49", "duration_ms": -1.5, "metadata": metadata})
    columns = "message,duration_ms,number,text,list,sum,quoted,no"
    answer = client.get("/logs/export", format="csv", columns=columns)
    row = ["+49", "-1.5", "-7.5", "-12.5", "-1", "1+2", "'=1", "-1e-9"]
    assert list(csv.reader(io.StringIO(answer.text))) == [columns.split(","), row]


def test_an_export_goes_on_when_a_search_runs_out_of_time(
    client: AppClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 1000)
    monkeypatch.setattr(scan, "SECONDS", 0.0)
    assert len(client.get("/logs/export", q="n<3").text.splitlines()) == 3


def test_a_column_may_be_asked_for_twice(client: AppClient) -> None:
    client.post({"message": "m", "metadata": {"a": 1}})
    answer = client.get("/logs/export", format="csv", columns="message,a,message,metadata.a")
    assert answer.text == "message,a,message,metadata.a\r\nm,1,m,1\r\n"


@pytest.mark.parametrize("asked", [{"format": "xml"}, {"columns": "a,,b"}, {"columns": "a.b.c.d.e.f.g.h.i.j.k.l.m"}])
def test_a_wrong_export_is_refused(client: AppClient, asked: dict[str, str]) -> None:
    answer = client.get("/logs/export", **asked)
    assert answer.status_code == 400
    assert next(iter(asked)) in answer.json()["error"]


def test_further_exports_are_refused(client: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/logs/export").status_code == 200
    monkeypatch.setattr(finding, "EXPORTS", 0)
    assert client.get("/logs/export").status_code == 503


class Reader:
    """A client of an export that reads only when it is told to, and may go away."""

    def __init__(self, store: Store) -> None:
        self.received: list[dict[str, Any]] = []
        self.may_read = asyncio.Semaphore(0)
        self.gone = asyncio.Event()
        self.unread = Unread()
        self.open = 0
        self.pages = 0
        self.answer = ExportStream(store, parse_export([]), self.ask, self.unread, self.count)

    async def ask(self, question: Any) -> Any:
        self.pages += 1
        return question()

    def count(self, change: int) -> None:
        self.open += change

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.may_read.acquire()
        self.received.append(message)

    async def until_it_waits(self) -> None:
        before = -1
        while before != (before := len(self.received) + self.pages):
            for _ in range(20):
                await asyncio.sleep(0)


def test_a_client_that_reads_slowly_has_one_page_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 2000)
    monkeypatch.setattr(export, "_BYTES", 10_000)

    async def slow() -> None:
        reader = Reader(store)
        running = asyncio.ensure_future(reader.answer({"type": "http"}, reader.receive, reader.send))
        await reader.until_it_waits()
        assert reader.pages == 0, "the head of the answer is not read yet"
        for page in range(1, 5):
            reader.may_read.release()
            await reader.until_it_waits()
            assert reader.pages == page
            assert 0 < reader.unread.bytes < 20_000
        assert reader.open == 1
        reader.gone.set()
        # What is left of the page, and the end of the answer.
        for _ in range(2):
            reader.may_read.release()
        await asyncio.wait_for(running, 10)
        assert (reader.pages, reader.open, reader.unread.bytes) == (4, 0, 0)

    asyncio.run(slow())


def test_nothing_is_fetched_while_clients_have_much_to_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 10)

    async def full() -> None:
        reader = Reader(store)
        monkeypatch.setattr(export, "_PACE", 0)
        reader.unread.bytes = 10**12
        running = asyncio.ensure_future(reader.answer({"type": "http"}, reader.receive, reader.send))
        reader.may_read = asyncio.Semaphore(100)
        await reader.until_it_waits()
        assert reader.pages == 0
        reader.unread.bytes = 0
        await asyncio.wait_for(running, 10)
        assert b"".join(message.get("body", b"") for message in reader.received).count(b"\n") == 10
        assert reader.received[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    asyncio.run(full())


@pytest.mark.integration
def test_an_export_that_cannot_go_on_is_seen_to_be_cut(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, 2000)
    monkeypatch.setattr(export, "_BYTES", 10_000)
    page = store.page

    def page_until_the_file_goes(*given: Any, **more: Any) -> Page:
        found = page(*given, **more)
        (tmp_path / "logs.sqlite").rename(tmp_path / "away.sqlite")
        return found

    monkeypatch.setattr(store, "page", page_until_the_file_goes)
    server = BackgroundServer(create_app(store))
    server.start()
    with httpx.stream("GET", server.url + "/logs/export", timeout=60) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    server.stop()
