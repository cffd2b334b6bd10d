"""`GET /logs/stream`: sends logs as they arrive, as server-sent events, for as long as the client listens.

The only state of a stream is its position in the table. Logs not sent yet stay in the store, so a client that reads
slowly falls behind without using memory, and one that reconnects with `Last-Event-ID` continues where it was.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .answers import Unread
from .file import UnusableError
from .protocol import ENDLESS
from .query import Follow
from .reading import Arrivals
from .store import Store

#: Seconds without logs after which a heartbeat is sent, so that both sides notice a dead connection.
HEARTBEAT: Final = 10.0
#: Seconds between two queries, so that logs which arrive one by one are sent together.
PACE: Final = 0.1
#: Bytes of JSON that are fetched at once, unless the first entry is longer.
_BYTES: Final = 1024 * 1024
#: Milliseconds after which a browser reconnects.
_RETRY: Final = 1000

T = TypeVar("T")
#: Runs a query in a thread and returns its result.
Ask = Callable[[Callable[[], T]], Awaitable[T]]


class Bell:
    """Wakes the streams when a batch was stored. Use it in the event loop's thread only."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake all streams that wait."""
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    def next(self) -> asyncio.Future[None]:
        """A future that is done with the next ring. Get it before the query: then no ring is missed."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next


class EventStream(Response):
    """An answer that does not end until the client goes away or the server stops."""

    media_type = "text/event-stream"

    def __init__(
        self,
        store: Store,
        bell: Bell,
        follow: Follow,
        end: int,
        ask: Ask[Any],
        unread: Unread,
        count: Callable[[int], None],
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._store = store
        self._bell = bell
        self._follow = follow
        #: The id of the last row when the stream began.
        self._end = end
        self._ask = ask
        self._unread = unread
        #: Called with +1 when the stream begins and with -1 when it ends.
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client goes away."""
        scope[ENDLESS] = True
        self._count(1)
        try:
            await self._serve(receive, send)
        finally:
            self._count(-1)

    async def _serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # Tasks are never cancelled except this one: before Python 3.12 `wait_for` may swallow a cancellation.
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            async with aclosing(self._pieces(gone)) as pieces:
                async for piece in pieces:
                    await self._unread.send(send, piece, more=True)
        except (UnusableError, sqlite3.OperationalError) as error:
            # The client is told why, and connects again: then it is answered 503 for as long as this lasts.
            event = b"event: error\ndata: %b\n\n" % msgspec.json.encode({"error": str(error)})
            await send({"type": "http.response.body", "body": event, "more_body": False})
        finally:
            gone.cancel()

    async def _pieces(self, gone: asyncio.Future[None]) -> AsyncGenerator[bytes, None]:
        follow, position = self._follow, self._follow.position
        yield b"retry: %d\n\n" % _RETRY
        if position is None:
            position = self._end
            if follow.last != 0:
                position = await self._ask(partial(self._store.before_last, follow.query, follow.last))
                while position < self._end:
                    stored = await self._next(replace(follow, at_most=None), position)
                    position = stored.position
                    yield _events(stored)
        elif position > self._end:
            # The client saw another file, or logs that no longer exist: it gets all of this one.
            position = 0
        # Tells the client its position, so that it can reconnect there even if no log arrives before.
        yield b"id: %d\nevent: open\ndata: {}\n\n" % position
        while not gone.done():
            rung = self._bell.next()
            news = await self._next(follow, position)
            position = news.position
            if news.entries:
                yield _events(news)
            elif news.is_last:
                await asyncio.wait((rung, gone), timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                if not rung.done():
                    yield b"id: %d\nevent: heartbeat\ndata: {}\n\n" % position
                    continue
            await asyncio.sleep(PACE)

    async def _next(self, follow: Follow, position: int) -> Arrivals:
        query = follow.query if follow.at_most is None else replace(follow.query, limit=follow.at_most)
        newest = follow.at_most is not None
        while True:
            news: Arrivals = await self._ask(partial(self._store.arrivals, query, position, newest=newest, most=_BYTES))
            if not self._unread.is_full:
                return news
            # Fetched again later, instead of kept until there is room.
            await asyncio.sleep(PACE)


def _events(news: Arrivals) -> bytes:
    skipped = b'event: skipped\ndata: {"count": %d}\n\n' % news.skipped if news.skipped else b""
    # msgspec writes JSON without line breaks, so it fits into one `data:` line.
    return skipped + b"".join(
        b"id: %d\ndata: %b\n\n" % (entry["id"], msgspec.json.encode(entry)) for entry in news.entries
    )


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
