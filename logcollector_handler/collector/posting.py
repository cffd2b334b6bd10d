"""`POST /logs`: receives bodies, within what may be in memory, and stores their batches.

A pool of threads unpacks, checks and stores ordinary bodies. Large ones have a thread of their own, so that others do
not wait until those are parsed.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from logcollector_handler.wire.format import IDEMPOTENCY_HEADER
from logcollector_handler.wire.posted.body import MIB, Limits, RefusedError, read_body, unpack
from logcollector_handler.wire.posted.entries import check

from .answers import json_answer
from .file import UnusableError
from .store import Added, ReusedKeyError, Store

MAX_KEY: Final = 255
#: Batches that are unpacked, checked and stored at the same time: while one is written another can be parsed.
WRITERS: Final = 2
#: A body is large from so many bytes on, unpacked. The batches of a handler are smaller by default.
LARGE: Final = 4 * MIB
#: Large bodies that may wait for their turn; further ones are answered 503.
LARGE_WAITING: Final = 8


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


class _Body(bytearray):
    """A body that is being received."""

    #: Whether it was thrown away, to make room for others.
    dropped = False


class Posting:
    """Answers the posts. Its methods are for the event loop's thread; `rung` is called after a batch was stored."""

    def __init__(
        self,
        store: Store,
        strict: bool,
        limits: Limits,
        observer: Callable[[ReceivedRequest], None] | None,
        rung: Callable[[], None],
    ) -> None:
        self._store = store
        self._strict = strict
        self._limits = limits
        self._observer = observer
        self._rung = rung
        self._writers: ThreadPoolExecutor
        self._large: ThreadPoolExecutor
        #: Bytes of all bodies that are in memory now.
        self._held = 0
        #: The bodies that are not here whole, by their `id`; the one that began first comes first.
        self._arriving: dict[int, _Body] = {}
        self._large_waiting = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Posts can be answered while the block runs."""
        with (
            ThreadPoolExecutor(WRITERS, "collector-writer") as self._writers,
            ThreadPoolExecutor(1, "collector-large") as self._large,
        ):
            yield

    async def answer(self, request: Request) -> Response:
        """Receive and store a batch. Raises RefusedError if it is not stored."""
        key = request.headers.get(IDEMPOTENCY_HEADER) or None
        encoding = request.headers.get("content-encoding", "")
        body = _Body()
        observe = partial(self._observe, request, key, encoding, body)
        try:
            await self._receive(request, body)
            ignored_keys, added = await self._stored(key, bytes(body), encoding)
        except RefusedError as refused:
            observe(status=refused.status)
            raise
        except (UnusableError, sqlite3.OperationalError):
            observe(status=503)
            raise
        except ClientDisconnect:
            # Nobody is answered.
            raise
        except Exception:
            observe(status=500)
            raise
        finally:
            self._held -= len(body)
        self._rung()
        observe(status=200, count=added.count, repeated=added.repeated, ignored_keys=ignored_keys)
        return json_answer({"status": "ok", "count": added.count})

    async def _receive(self, request: Request, body: _Body) -> None:
        """Append the request's body to `body`. Raises RefusedError if it is too large, or was dropped for others."""
        self._arriving[id(body)] = body
        try:
            async for piece in request.stream():
                if not body.dropped:
                    self._held += len(piece)
                    body += piece
                if len(body) > self._limits.body_bytes:
                    # uvicorn reads and discards the rest, so the client can finish sending and then read the answer.
                    raise RefusedError(413, f"The body is larger than {self._limits.body_bytes} bytes.")
                # The one that began first is the slowest. Refusing the newest would let a few slow ones stop all.
                while self._held > self._limits.held_bytes and not body.dropped:
                    self._drop(next(iter(self._arriving.values())))
                if body.dropped:
                    raise RefusedError(503, "Too many bodies come in at the same time. Send this one again later.")
        finally:
            self._arriving.pop(id(body), None)

    def _drop(self, body: _Body) -> None:
        del self._arriving[id(body)]
        self._held -= len(body)
        body.clear()
        body.dropped = True

    async def _stored(self, key: str | None, body: bytes, encoding: str) -> tuple[frozenset[str], Added]:
        loop = asyncio.get_running_loop()
        stored = await loop.run_in_executor(self._writers, self._store_batch, key, body, encoding, LARGE)
        if stored is not None:
            return stored
        if self._large_waiting >= LARGE_WAITING:
            raise RefusedError(503, "Too many large bodies wait already. Send this one again later, or smaller ones.")
        self._large_waiting += 1
        try:
            stored = await loop.run_in_executor(self._large, self._store_batch, key, body, encoding, None)
        finally:
            self._large_waiting -= 1
        assert stored is not None  # noqa: S101 - it had no limit
        return stored

    def _store_batch(
        self, key: str | None, body: bytes, encoding: str, below: int | None
    ) -> tuple[frozenset[str], Added] | None:
        """Store a batch; None if its body, unpacked, has not less than `below` bytes. Called in the pools' threads."""
        if key is not None and len(key) > MAX_KEY:
            raise RefusedError(400, f"{IDEMPOTENCY_HEADER} is longer than {MAX_KEY} characters.")
        plain = unpack(body, encoding, self._limits)
        if below is not None and len(plain) >= below:
            # Unpacked again when its turn has come, because many of these would need much memory while they wait.
            return None
        batch = check(read_body(plain, "", self._limits), strict=self._strict, now=time.time())
        try:
            # Of the body as it is unpacked: a client may send it again in another encoding.
            added = self._store.add(batch.rows, key, hashlib.blake2b(plain, digest_size=16).digest())
        except ReusedKeyError:
            raise RefusedError(
                422, f"A batch with another body was stored under this {IDEMPOTENCY_HEADER}. Each batch needs its own."
            ) from None
        return batch.ignored_keys, added

    def _observe(self, request: Request, key: str | None, encoding: str, body: _Body, **came_of_it: Any) -> None:
        if self._observer is not None:
            received = ReceivedRequest(
                headers=dict(request.headers), key=key, body_size=len(body), content_encoding=encoding, **came_of_it
            )
            self._observer(received)
