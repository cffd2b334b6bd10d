"""The endpoints of the collector: what each request means and how it is answered.

`server` serves them over sockets, `store` keeps the logs. Nothing here blocks the event loop: a pool of threads parses
and stores batches, another one runs queries.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from logcollector_handler.wire.collector import CollectorFormat
from logcollector_handler.wire.format import IDEMPOTENCY_HEADER

from .answers import error_answer, json_answer
from .body import Limits, RefusedError, read_body
from .entries import check
from .guard import Guard
from .query import parse_follow, parse_histogram, parse_query
from .retention import INTERVAL, Keep, retain
from .static import NAMES, PAGE_PATH, page_file
from .store import Added, Store
from .stream import Bell, EventStream

#: Where entries are posted and asked for.
_LOGS: Final = CollectorFormat.path
MAX_KEY: Final = 255
#: Queries that run at the same time; further ones wait.
QUERIES: Final = 4
#: Batches that are unpacked, checked and stored at the same time: while one is written another can be parsed.
WRITERS: Final = 2
#: Streams that may be open at the same time; further ones are answered 503.
STREAMS: Final = 64

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReceivedRequest:
    """One POST of logs and its answer."""

    #: The headers, their names in lower case.
    headers: Mapping[str, str]
    #: The Idempotency-Key; None if none was sent.
    key: str | None
    #: Bytes of the body as received (compressed); of a body that is too large, the bytes read until it was refused.
    body_size: int
    #: The Content-Encoding; empty if none was sent.
    content_encoding: str
    #: The status of the answer.
    status: int
    #: The count in the answer; 0 if the batch was refused.
    count: int = 0
    #: Whether a batch with this key had been stored before, so that nothing was stored now.
    repeated: bool = False
    #: Top-level keys of its entries that are not columns, and so were not stored.
    ignored_keys: frozenset[str] = frozenset()


def create_app(
    store: Store,
    *,
    strict: bool = False,
    limits: Limits | None = None,
    observer: Callable[[ReceivedRequest], None] | None = None,
    token: str | None = None,
    local_only: bool = False,
    keep: Keep | None = None,
) -> Starlette:
    """The ASGI application that keeps its logs in `store`, which the caller closes.

    With `strict` it answers as the real server does (see `entries`). It calls `observer` for each POST of logs, in the
    event loop's thread, after the batch was stored and before it is answered. `token` and `local_only` decide who may
    send requests (see `guard`), `keep` how long logs are kept (see `retention`).
    """
    endpoints = _Endpoints(store, strict, limits or Limits(), observer, keep)
    return Starlette(
        routes=[
            Route("/", endpoints.about, methods=["GET"]),
            Route(PAGE_PATH + "{name}", endpoints.page, methods=["GET"]),
            Route(_LOGS, endpoints.logs, methods=["GET", "POST"]),
            Route(_LOGS + "/stream", endpoints.stream, methods=["GET"]),
            Route(_LOGS + "/histogram", endpoints.histogram, methods=["GET"]),
            Route(_LOGS + "/values", endpoints.values, methods=["GET"]),
            Route("/stats", endpoints.get_stats, methods=["GET"]),
        ],
        middleware=[Middleware(Guard, token=token, local_only=local_only)],
        lifespan=endpoints.lifespan,
        exception_handlers={
            RefusedError: _answer_refused,
            HTTPException: _answer_http_error,
            ClientDisconnect: _answer_nobody,
            sqlite3.OperationalError: _answer_store_failed,
            Exception: _answer_unexpected,
        },
    )


class _Endpoints:
    def __init__(
        self,
        store: Store,
        strict: bool,
        limits: Limits,
        observer: Callable[[ReceivedRequest], None] | None,
        keep: Keep | None,
    ) -> None:
        self._store = store
        self._strict = strict
        self._limits = limits
        self._observer = observer
        self._keep = keep
        self._readers: ThreadPoolExecutor
        self._writers: ThreadPoolExecutor
        self._bell = Bell()
        self._streams = 0
        #: Bytes of all bodies that are in memory now.
        self._held = 0

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        # Two pools, so that batches never wait behind slow queries.
        with (
            ThreadPoolExecutor(QUERIES, "collector-reader") as self._readers,
            ThreadPoolExecutor(WRITERS, "collector-writer") as self._writers,
        ):
            if self._keep is None:
                yield
            else:
                stopping = asyncio.Event()
                removing = asyncio.create_task(self._remove_old(self._keep, stopping))
                yield
                stopping.set()
                await removing

    async def _remove_old(self, keep: Keep, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await asyncio.to_thread(retain, self._store, keep, time.time(), stopping.is_set)
            except sqlite3.OperationalError as error:
                # The disk may be full or the file locked. Both may pass, so the next round tries again.
                _log.warning("Old logs cannot be removed just now: %s.", error)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stopping.wait(), INTERVAL)

    async def _ask(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, question)

    async def about(self, request: Request) -> Response:
        # Only a browser asks for HTML: it gets the page, all other clients the status.
        if "text/html" in request.headers.get("accept", ""):
            return page_file("index.html")
        response = json_answer({"status": "ok", "service": "log-server"})
        response.headers["vary"] = "accept"
        return response

    async def page(self, request: Request) -> Response:
        if request.path_params["name"] not in NAMES:
            raise HTTPException(404)
        return page_file(request.path_params["name"])

    async def get_stats(self, _request: Request) -> Response:
        return json_answer(await self._ask(self._store.stats))

    async def values(self, _request: Request) -> Response:
        return json_answer(await self._ask(self._store.values))

    async def histogram(self, request: Request) -> Response:
        query, buckets = parse_histogram(request.query_params.multi_items())
        histogram = await self._ask(partial(self._store.histogram, query, buckets))
        return json_answer({"since": histogram.since, "width": histogram.width, "counts": histogram.counts})

    async def stream(self, request: Request) -> Response:
        follow = parse_follow(request.query_params.multi_items(), request.headers.get("last-event-id"))
        if self._streams >= STREAMS:
            raise RefusedError(503, f"There are {STREAMS} streams already. Close one.")
        return EventStream(self._store, self._bell, follow, self._ask, self._count_stream)

    def _count_stream(self, change: int) -> None:
        self._streams += change

    async def logs(self, request: Request) -> Response:
        # One route for both methods, so that the Allow header of a 405 lists both.
        return await (self._post_logs(request) if request.method == "POST" else self._get_logs(request))

    async def _get_logs(self, request: Request) -> Response:
        query = parse_query(request.query_params.multi_items())
        page = await self._ask(partial(self._store.page, query))
        return json_answer({"logs": page.entries, "next": None if page.next is None else str(page.next)})

    async def _post_logs(self, request: Request) -> Response:
        key = request.headers.get(IDEMPOTENCY_HEADER) or None
        encoding = request.headers.get("content-encoding", "")
        body = bytearray()
        observe = partial(self._observe, request, key, encoding, body)
        try:
            await self._receive(request, body)
            ignored_keys, added = await asyncio.get_running_loop().run_in_executor(
                self._writers, self._store_batch, key, bytes(body), encoding
            )
        except RefusedError as refused:
            observe(status=refused.status)
            raise
        finally:
            self._held -= len(body)
        self._bell.ring()
        observe(status=200, count=added.count, repeated=added.repeated, ignored_keys=ignored_keys)
        return json_answer({"status": "ok", "count": added.count})

    async def _receive(self, request: Request, body: bytearray) -> None:
        """Append the request's body to `body`. Raises RefusedError if it, or all bodies in memory, are too large."""
        async for piece in request.stream():
            self._held += len(piece)
            body += piece
            if len(body) > self._limits.body_bytes:
                # uvicorn reads and discards the rest, so that the client can finish sending and then read the answer.
                raise RefusedError(413, f"The body is larger than {self._limits.body_bytes} bytes.")
            if self._held > self._limits.held_bytes:
                raise RefusedError(503, "Too many bodies come in at the same time. Send this one again later.")

    def _store_batch(self, key: str | None, body: bytes, encoding: str) -> tuple[frozenset[str], Added]:
        if key is not None and len(key) > MAX_KEY:
            raise RefusedError(400, f"{IDEMPOTENCY_HEADER} is longer than {MAX_KEY} characters.")
        raw = read_body(body, encoding, self._limits)
        batch = check(raw, strict=self._strict, now=time.time())
        return batch.ignored_keys, self._store.add(batch.rows, key)

    def _observe(self, request: Request, key: str | None, encoding: str, body: bytearray, **came_of_it: Any) -> None:
        if self._observer is not None:
            received = ReceivedRequest(
                headers=dict(request.headers), key=key, body_size=len(body), content_encoding=encoding, **came_of_it
            )
            self._observer(received)


async def _answer_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - starlette calls it with nothing else
    return error_answer(error.status, error.reason, **({} if error.index is None else {"index": error.index}))


async def _answer_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - starlette calls it with nothing else
    answer = error_answer(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def _answer_nobody(_request: Request, _: Exception) -> Response:
    # The client went away while it sent, so nobody reads this. Without it the server would log an error.
    return error_answer(400, "The body ended too early.")


async def _answer_store_failed(_request: Request, error: Exception) -> Response:
    # The disk may be full or the file locked. Both may pass: 503 makes the client keep its batch and try again.
    return error_answer(503, f"The logs cannot be read or written just now: {error}.")


async def _answer_unexpected(_request: Request, _: Exception) -> Response:
    return error_answer(500, "The collector met an error of its own; its output says more.")
