"""A client that asks an ASGI app directly: with its lifespan and without sockets, so any Python runs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import httpx
from starlette.applications import Starlette

T = TypeVar("T")


class AppClient:
    """Asks an app in a loop of its own, which stands still between the questions."""

    def __init__(self, app: Starlette) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._loop.run_until_complete(self._stack.enter_async_context(app.router.lifespan_context(app)))
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://collector")

    def close(self) -> None:
        """May be called twice."""
        if self._loop.is_closed():
            return
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _run(self, question: Awaitable[T]) -> T:
        return self._loop.run_until_complete(asyncio.wait_for(question, 30))

    def get(self, url: str, **parameters: str | float) -> httpx.Response:
        return self._run(self._client.get(url, params=parameters or None))

    def get_with(self, url: str, **headers: str) -> httpx.Response:
        """A GET with these headers."""
        # Bytes, because a header may hold what is no ASCII.
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return self._run(self._client.get(url, headers=encoded))

    def wait(self, seconds: float) -> None:
        """Let everything that was begun go on for so long."""
        self._run(asyncio.sleep(seconds))

    def begin_get(self, url: str) -> asyncio.Task[httpx.Response]:
        """A request that goes on while other questions are asked."""
        return self._loop.create_task(self._client.get(url))

    def end(self, begun: asyncio.Task[httpx.Response]) -> httpx.Response:
        return self._run(begun)

    def until(self, event: threading.Event) -> None:
        """Let everything that was begun go on until the event is set."""
        assert self._run(asyncio.to_thread(event.wait, 10))

    def request(self, method: str, url: str) -> httpx.Response:
        return self._run(self._client.request(method, url))

    def post(self, *entries: Any, key: str | None = None) -> httpx.Response:
        return self.post_together(list(entries), key=key)[0]

    def post_together(self, *batches: list[Any], key: str | None = None) -> list[httpx.Response]:
        """Post all batches at the same time, under the same key."""
        headers = {} if key is None else {"Idempotency-Key": key}

        async def post_all() -> list[httpx.Response]:
            posts = [self._client.post("/logs", json={"logs": batch}, headers=headers) for batch in batches]
            return await asyncio.gather(*posts)

        return self._run(post_all())

    def post_bytes(self, body: bytes, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._run(self._client.post("/logs", content=body, headers=names))
