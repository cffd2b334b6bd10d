"""Answers are bounded in bytes: a page stops early and says where the next begins, and a stream sends small steps."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logcollector_handler.collector import answers, app, reading, stream
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.query import Cursor, Follow, Query
from logcollector_handler.collector.reading import MAX_BYTES, MAX_LISTED
from logcollector_handler.collector.scan import Budget
from logcollector_handler.collector.store import Store
from tests.collector.app_client import AppClient, ClientOf
from tests.collector.storing import messages, rows

KIB = 1024


def add_large(store: Store, count: int, size: int, **fields: Any) -> None:
    """Entries that are `size` bytes each, in their message."""
    store.add(rows(*({"message": f"{n} needle ".ljust(size, "x"), "created_at": n, **fields} for n in range(count))))


@pytest.mark.parametrize("filters", [{}, {"text": "needle"}, {"service": "s"}, {"trace_id": "t"}], ids=str)
def test_an_answer_stops_at_eight_mebibytes_and_paging_continues_without_loss_or_repeat(
    client: AppClient, store: Store, filters: dict[str, str]
) -> None:
    add_large(store, 40, 500 * KIB, service="s", trace_id="t")
    seen: list[str] = []
    answer = client.get("/logs", limit=1000, **filters)
    pages = 1
    while True:
        assert len(answer.content) < MAX_BYTES + KIB
        seen += [entry["message"].split()[0] for entry in answer.json()["logs"]]
        if answer.json()["next"] is None:
            break
        answer = client.get("/logs", limit=1000, cursor=answer.json()["next"], **filters)
        pages += 1
    assert seen == [str(n) for n in range(39, -1, -1)]
    assert pages == 3


def test_an_entry_longer_than_an_answer_comes_alone(client: AppClient, store: Store) -> None:
    add_large(store, 3, MAX_BYTES + 1)
    first = client.get("/logs").json()
    assert messages(first["logs"])[0].startswith("2 ")
    assert len(first["logs"]) == 1
    assert len(client.get("/logs", cursor=first["next"]).json()["logs"]) == 1


@given(
    sizes=st.lists(st.integers(0, 300), max_size=25),
    times=st.data(),
    most=st.integers(1, 2000),
    limit=st.integers(1, 30),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_and_streams_of_any_bound_visit_each_entry_once(
    store: Store, sizes: list[int], times: st.DataObject, most: int, limit: int
) -> None:
    store.clear()
    begin = store.last_id()
    at = times.draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)))
    store.add(rows(*({"message": f"{n} ".ljust(sizes[n], "€"), "created_at": at[n]} for n in range(len(sizes)))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MAX_BYTES", most)
        after: Cursor | None = None
        paged: list[int] = []
        while True:
            page = store.page(Query(limit=limit, after=after))
            assert len(page.entries) <= 1 or len(msgspec.json.encode(page.entries)) <= most + limit + 2
            paged += [int(message.split()[0]) for message in messages(page.entries)]
            after = page.next
            if after is None:
                break
    assert sorted(paged) == list(range(len(sizes)))
    assert paged == sorted(paged, key=lambda n: (at[n], n), reverse=True)
    streamed: list[str] = []
    position, end = begin, store.last_id()
    while position < end:
        news = store.arrivals(Query(limit=limit), position, most=most)
        streamed += messages(news.entries)
        position = news.position
    assert [int(message.split()[0]) for message in streamed] == list(range(len(sizes)))
    newest = store.arrivals(Query(limit=limit), begin, newest=True, most=most)
    assert newest.skipped + len(newest.entries) == len(sizes)
    assert messages(newest.entries) == streamed[newest.skipped :]
    kept = min(limit, len(sizes))
    assert store.before_last(Query(), limit) == end - kept


def test_a_page_needs_little_more_memory_than_its_answer_has_bytes(store: Store) -> None:
    """Decoded, `metadata` would need twenty times as much; and rows beyond the answer are not read."""
    fields: dict[str, Any] = {"list": [{"a": {}} for _ in range(20_000)]}
    assert len(json.dumps(fields)) < 300_000
    store.add(rows(*({"message": "m", "created_at": n, "metadata": fields} for n in range(60))))
    tracemalloc.start()
    try:
        page = store.page(Query(limit=1000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 1 < len(page.entries) < 60
    assert peak < 3 * MAX_BYTES


async def at_once(question: Callable[[], Any]) -> Any:
    """Run a query as the pool of threads would."""
    return question()


class Client:
    """Reads a large piece of an answer only when it may."""

    def __init__(self) -> None:
        self.may_read = asyncio.Event()
        self.read = bytearray()

    async def send(self, message: Any) -> None:
        body = message.get("body", b"")
        if len(body) > KIB:
            await self.may_read.wait()
        self.read += body

    async def receive(self) -> Any:
        await asyncio.Event().wait()


def test_what_clients_do_not_read_is_bounded_for_all_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams and pages: each has a large entry to send, and nobody reads."""
    monkeypatch.setattr(answers, "MOST_UNREAD", 900 * KIB)
    monkeypatch.setattr(stream, "PACE", 0)
    add_large(store, 1, 500 * KIB)
    unread = answers.Unread()

    async def all_of_them() -> None:
        clients = [Client() for _ in range(8)]
        follow = Follow(Query(limit=10), last=None, at_most=None, position=0)
        tasks = []
        for client in clients:
            one = stream.EventStream(store, stream.Bell(), follow, 1, at_once, unread, lambda _: None)
            tasks.append(asyncio.ensure_future(one({}, client.receive, client.send)))
        for _ in range(500):
            await asyncio.sleep(0)
            assert unread.bytes <= (900 + 501) * KIB
        assert unread.bytes > 900 * KIB
        for client in clients:
            client.may_read.set()
        while not all(b"0 needle" in client.read for client in clients):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert unread.bytes == 0

    asyncio.run(asyncio.wait_for(all_of_them(), 60))


def test_a_page_is_answered_503_while_too_much_is_not_read(
    store: Store, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_large(store, 1, 500 * KIB)
    unread = answers.Unread()
    monkeypatch.setattr(app, "Unread", lambda: unread)
    client = client_of(create_app(store))
    for _ in range(3):
        assert client.get("/logs").status_code == 200
        assert unread.bytes == 0, "it is forgotten again"
    unread.bytes = answers.MOST_UNREAD + 1
    assert client.get("/logs").status_code == 503
    assert client.post({"message": "posts go on"}).status_code == 200


def test_pages_asked_for_at_the_same_time_are_bounded_together(
    store: Store, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them were asked for before anything was fetched, so the first look sees nothing unread."""
    unread = answers.Unread()
    fetch = store.page

    def fetch_while_others_are_sent(query: Query, budget: Budget) -> reading.Page:
        unread.bytes = answers.MOST_UNREAD + 1
        return fetch(query, budget)

    monkeypatch.setattr(app, "Unread", lambda: unread)
    monkeypatch.setattr(store, "page", fetch_while_others_are_sent)
    assert client_of(create_app(store)).get("/logs").status_code == 503


def test_an_answer_is_sent_in_pieces(client: AppClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PIECE", 7)
    add_large(store, 3, 100)
    answer = client.get("/logs")
    assert len(answer.json()["logs"]) == 3
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_lists_of_names_are_bounded(client: AppClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    long = [{"message": "m", "metadata": {"logger": f"{n}".ljust(100_000, "x")}} for n in range(3)]
    store.add(rows(*long, {"message": "m", "metadata": {"logger": "short"}}))
    assert client.get("/logs/values").json() == {"service": [], "logger": ["short"]}, "no filter takes the others"
    store.add(rows(*({"message": "m", "service": f"{n}"} for n in range(MAX_LISTED + 5))))
    assert len(client.get("/logs/values").json()["service"]) == MAX_LISTED
    monkeypatch.setattr(reading, "MAX_SERVICES", 10)
    stats = client.get("/stats").json()
    assert (len(stats["service_distribution"]), stats["total_logs"]) == (10, 4 + MAX_LISTED + 5)
