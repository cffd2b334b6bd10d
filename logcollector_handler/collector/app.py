"""The endpoints of the collector: what a request means, and what is answered. Everything is JSON.

Serving them over sockets is in `server`, what is kept is in `store`. Nothing here blocks the event loop:
batches are parsed and stored in threads, and other threads ask the store.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from logcollector_handler.wire.schema import IDEMPOTENCY_HEADER, LOGS_PATH

from .body import Limits, RefusedError, read_body
from .entries import Batch, check
from .query import parse_query
from .store import Added, Store

MAX_KEY: Final = 255
#: Queries that run at the same time; more of them wait.
QUERIES: Final = 4


@dataclass(frozen=True)
class ReceivedRequest:
    """One POST of logs, as it came and as it was answered."""

    #: Names in lower case.
    headers: Mapping[str, str]
    #: The Idempotency-Key, if one was sent.
    key: str | None
    #: Bytes of the body that came over the wire; of one that is too large, what was read.
    body_size: int
    #: The Content-Encoding, empty when there was none.
    content_encoding: str
    #: The status that was answered.
    status: int
    #: The count that was answered; 0 when the batch was refused.
    count: int = 0
    #: The key was known: nothing was stored this time.
    repeated: bool = False
    #: Top-level keys of its entries that are no columns.
    ignored_keys: frozenset[str] = frozenset()


def create_app(
    store: Store,
    *,
    strict: bool = False,
    limits: Limits | None = None,
    observer: Callable[[ReceivedRequest], None] | None = None,
) -> Starlette:
    """The ASGI application that keeps its logs in `store`, which the caller closes.

    `strict` answers as the real server does (see `entries`). `observer` is called in the thread of the event
    loop for each POST of logs, after it was stored and before it is answered.
    """
    endpoints = _Endpoints(store, strict, limits or Limits(), observer)
    return Starlette(
        routes=[
            Route("/", endpoints.about, methods=["GET"]),
            Route(LOGS_PATH, endpoints.logs, methods=["GET", "POST"]),
            Route("/stats", endpoints.get_stats, methods=["GET"]),
        ],
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
    ) -> None:
        self._store = store
        self._strict = strict
        self._limits = limits
        self._observer = observer
        self._readers: ThreadPoolExecutor

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        # Threads of their own, so that batches never queue behind slow queries.
        with ThreadPoolExecutor(QUERIES, "collector-reader") as self._readers:
            yield

    async def about(self, _request: Request) -> Response:
        return _json({"status": "ok", "service": "log-server"})

    async def get_stats(self, _request: Request) -> Response:
        return _json(await asyncio.get_running_loop().run_in_executor(self._readers, self._store.stats))

    async def logs(self, request: Request) -> Response:
        # One route for both, so that a 405 names both.
        return await (self._post_logs(request) if request.method == "POST" else self._get_logs(request))

    async def _get_logs(self, request: Request) -> Response:
        query = parse_query(request.query_params.multi_items())
        page = await asyncio.get_running_loop().run_in_executor(self._readers, self._store.page, query)
        return _json({"logs": page.entries, "next": None if page.next is None else str(page.next)})

    async def _post_logs(self, request: Request) -> Response:
        key = request.headers.get(IDEMPOTENCY_HEADER) or None
        encoding = request.headers.get("content-encoding", "")
        body, size = await _receive(request, self._limits.body_bytes)
        received = partial(
            ReceivedRequest,
            headers=dict(request.headers),
            key=key,
            body_size=size,
            content_encoding=encoding,
        )
        try:
            if body is None:
                raise RefusedError(413, f"The body is larger than {self._limits.body_bytes} bytes.")
            batch, added = await asyncio.to_thread(self._store_batch, key, body, encoding)
        except RefusedError as refused:
            self._observe(received(status=refused.status))
            raise
        self._observe(received(status=200, count=added.count, repeated=added.repeated, ignored_keys=batch.ignored_keys))
        return _json({"status": "ok", "count": added.count})

    def _store_batch(self, key: str | None, body: bytes, encoding: str) -> tuple[Batch, Added]:
        if key is not None and len(key) > MAX_KEY:
            raise RefusedError(400, f"{IDEMPOTENCY_HEADER} is longer than {MAX_KEY} characters.")
        raw = read_body(body, encoding, self._limits)
        batch = check(raw, strict=self._strict, now=time.time())
        return batch, self._store.add(batch.rows, key)

    def _observe(self, received: ReceivedRequest) -> None:
        if self._observer is not None:
            self._observer(received)


async def _receive(request: Request, limit: int) -> tuple[bytes | None, int]:
    """The body and its size in bytes; None for the body when it is larger than the limit."""
    body = bytearray()
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            # The server throws away what is still to come, so the client is not cut off before it is answered.
            return None, size
        body += piece
    return bytes(body), size


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _error(status: int, reason: str, **more: Any) -> Response:
    return _json({"status": "error", "error": reason, **more}, status)


async def _answer_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101 - starlette calls it with nothing else
    return _error(error.status, error.reason, **({} if error.index is None else {"index": error.index}))


async def _answer_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - starlette calls it with nothing else
    answer = _error(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def _answer_nobody(_request: Request, _: Exception) -> Response:
    # A client that is killed while it sends is none of our troubles. Nobody reads this.
    return _error(400, "The body ended too early.")


async def _answer_store_failed(_request: Request, error: Exception) -> Response:
    # A full disk, a locked file: it may pass, so the client is asked to keep its batch.
    return _error(503, f"The logs cannot be read or written just now: {error}.")


async def _answer_unexpected(_request: Request, _: Exception) -> Response:
    return _error(500, "The collector met an error of its own; its output says more.")
