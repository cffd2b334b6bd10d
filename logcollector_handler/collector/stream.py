"""`GET /logs/stream`: what arrives, as server-sent events, for as long as the client listens.

A stream is a place in the table and nothing else: what it still has to send stays in the store, so a client that
reads slowly falls behind and takes no memory, and one that comes back with `Last-Event-ID` goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .query import Follow
from .reading import Arrivals
from .store import Store

#: Seconds without news after which a line is sent, so that a client notices a dead connection, and the other way.
HEARTBEAT: Final = 10.0
#: Seconds between two looks at the store, so that news which come one by one are sent together.
PACE: Final = 0.1
#: Milliseconds after which a browser comes back.
_RETRY: Final = 1000

T = TypeVar("T")
#: Runs a question to the store in a thread.
Ask = Callable[[Callable[[], T]], Awaitable[T]]


class Bell:
    """Wakes the streams when something was stored. For the event loop's thread."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake all who wait."""
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    def next(self) -> asyncio.Future[None]:
        """Is done with the next ring. Taken before looking, no ring is missed."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next


class EventStream(Response):
    """The answer that does not end."""

    media_type = "text/event-stream"

    def __init__(self, store: Store, bell: Bell, follow: Follow, ask: Ask[Any], count: Callable[[int], None]) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._store = store
        self._bell = bell
        self._follow = follow
        self._ask = ask
        #: Is told +1 when it begins, and -1 when it is over.
        self._count = count

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client goes."""
        self._count(1)
        try:
            await self._serve(receive, send)
        finally:
            self._count(-1)

    async def _serve(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # Only this task is ever cancelled: before Python 3.12 `wait_for` may swallow it in another.
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            async with aclosing(self._pieces(gone)) as pieces:
                async for piece in pieces:
                    # Waits while the client does not read what was sent before; the protocol ends that some time.
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            gone.cancel()

    async def _pieces(self, gone: asyncio.Future[None]) -> AsyncGenerator[bytes, None]:
        follow, position = self._follow, self._follow.position
        end = await self._ask(self._store.last_id)
        if position is None:
            position = 0 if follow.last else end
        elif position > end:
            # Of another file, or of logs that are gone.
            position = 0
        yield b"retry: %d\n\n" % _RETRY
        if follow.position is None and follow.last:
            first = await self._next(replace(follow, at_most=follow.last), position)
            position = first.position
            yield _events(replace(first, skipped=0))
        # From here on the client knows where it is, also if nothing ever comes.
        yield b"id: %d\nevent: open\ndata: {}\n\n" % position
        while not gone.done():
            rung = self._bell.next()
            news = await self._next(follow, position)
            position = news.position
            if news.entries:
                yield _events(news)
            else:
                await asyncio.wait((rung, gone), timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                if not rung.done():
                    yield b"id: %d\nevent: heartbeat\ndata: {}\n\n" % position
                    continue
            await asyncio.sleep(PACE)

    async def _next(self, follow: Follow, position: int) -> Arrivals:
        query = follow.query if follow.at_most is None else replace(follow.query, limit=follow.at_most)
        news: Arrivals = await self._ask(
            lambda: self._store.arrivals(query, position, newest=follow.at_most is not None)
        )
        return news


def _events(news: Arrivals) -> bytes:
    skipped = b'event: skipped\ndata: {"count": %d}\n\n' % news.skipped if news.skipped else b""
    # JSON from msgspec has no line break, which would end the data.
    return skipped + b"".join(
        b"id: %d\ndata: %b\n\n" % (entry["id"], msgspec.json.encode(entry)) for entry in news.entries
    )


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
