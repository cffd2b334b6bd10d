"""The endpoints of the collector: what each request means and how it is answered.

`server` serves them over sockets, `store` keeps the logs, `posting` stores what is posted. Nothing here blocks the
event loop: a pool of threads runs queries.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from logcollector_handler.wire.collector import PATH
from logcollector_handler.wire.posted.body import Limits, RefusedError

from .answers import LogsAnswer, Unread, error_answer, json_answer
from .file import UnusableError
from .guard import Guard
from .posting import Posting, ReceivedRequest
from .query import parse_follow, parse_histogram, parse_query
from .retention import INTERVAL, Keep, retain
from .static import NAMES, PAGE_PATH, page_file
from .store import Store
from .stream import Bell, EventStream

#: Queries that run at the same time; further ones wait.
QUERIES: Final = 4
#: Streams that may be open at the same time; further ones are answered 503.
STREAMS: Final = 64

T = TypeVar("T")
_log = logging.getLogger(__name__)


def create_app(
    store: Store,
    *,
    strict: bool = False,
    limits: Limits | None = None,
    observer: Callable[[ReceivedRequest], None] | None = None,
    token: str | None = None,
    local_only: bool = False,
    origins: Collection[str] = (),
    keep: Keep | None = None,
) -> Starlette:
    """The ASGI application that keeps its logs in `store`, which the caller closes.

    With `strict` it answers as the real server does (see `entries`). It calls `observer` for each POST of logs, in the
    event loop's thread, after the batch was stored and before it is answered. `token`, `local_only` and `origins`
    decide who may send requests (see `guard`), `keep` how long logs are kept (see `retention`).
    """
    endpoints = _Endpoints(store, strict, limits or Limits(), observer, keep)
    return Starlette(
        routes=[
            Route("/", endpoints.about, methods=["GET"]),
            Route("/health", endpoints.health, methods=["GET"]),
            Route(PAGE_PATH + "{name}", endpoints.page, methods=["GET"]),
            Route(PATH, endpoints.logs, methods=["GET", "POST"]),
            Route(PATH + "/stream", endpoints.stream, methods=["GET"]),
            Route(PATH + "/histogram", endpoints.histogram, methods=["GET"]),
            Route(PATH + "/values", endpoints.values, methods=["GET"]),
            Route("/stats", endpoints.get_stats, methods=["GET"]),
        ],
        middleware=[Middleware(Guard, token=token, local_only=local_only, origins=origins)],
        lifespan=endpoints.lifespan,
        exception_handlers={
            RefusedError: _answer_refused,
            HTTPException: _answer_http_error,
            ClientDisconnect: _answer_nobody,
            UnusableError: _answer_unusable,
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
        self._keep = keep
        self._readers: ThreadPoolExecutor
        self._bell = Bell()
        self._posting = Posting(store, strict, limits, observer, self._bell.ring)
        self._streams = 0
        self._unread = Unread()

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        # Not the threads of the posts, so that batches never wait behind slow queries.
        with ThreadPoolExecutor(QUERIES, "collector-reader") as self._readers, self._posting.running():
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
            except UnusableError:
                # The store has said it. The file may come back.
                pass
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

    async def health(self, _request: Request) -> Response:
        trouble = await self._ask(self._store.trouble)
        return json_answer({"status": "ok"}) if trouble is None else error_answer(503, trouble)

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
        # Here, because an answer that has begun cannot say 503 any more.
        end = await self._ask(self._store.last_id)
        return EventStream(self._store, self._bell, follow, end, self._ask, self._unread, self._count_stream)

    def _count_stream(self, change: int) -> None:
        self._streams += change

    async def logs(self, request: Request) -> Response:
        # One route for both methods, so that the Allow header of a 405 lists both.
        return await (self._posting.answer(request) if request.method == "POST" else self._get_logs(request))

    async def _get_logs(self, request: Request) -> Response:
        query = parse_query(request.query_params.multi_items())
        self._refuse_if_much_is_unread()
        page = await self._ask(partial(self._store.page, query))
        # Again, because many may have asked at the same time.
        self._refuse_if_much_is_unread()
        return LogsAnswer(page, self._unread)

    def _refuse_if_much_is_unread(self) -> None:
        if self._unread.is_full:
            raise RefusedError(503, "Too many answers are being read at the same time. Ask again later.")


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


async def _answer_unusable(_request: Request, error: Exception) -> Response:
    # The file may come back, or the collector be started again: 503 makes the client keep its batch and try again.
    return error_answer(503, str(error))


async def _answer_store_failed(_request: Request, error: Exception) -> Response:
    # The disk may be full or the file locked. Both may pass: 503 makes the client keep its batch and try again.
    return error_answer(503, f"The logs cannot be read or written just now: {error}.")


async def _answer_unexpected(_request: Request, _: Exception) -> Response:
    return error_answer(500, "The collector met an error of its own; its output says more.")
