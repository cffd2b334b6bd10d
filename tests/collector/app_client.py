"""A client that calls an ASGI app directly: with its lifespan, and without sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, TypeVar

import httpx
from starlette.applications import Starlette

T = TypeVar("T")


class AppClient:
    """Sends requests to an app in an event loop of its own, which runs only during requests."""

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
        return self._run(self._client.get(url, headers=_encoded(headers)))

    def options(self, url: str, **headers: str) -> httpx.Response:
        """What a browser asks before it sends a request of a page."""
        return self._run(self._client.options(url, headers=_encoded(headers)))

    def wait(self, seconds: float) -> None:
        """Run the event loop for that many seconds."""
        self._run(asyncio.sleep(seconds))

    def begin_get(self, url: str) -> asyncio.Task[httpx.Response]:
        """Start a request that continues during other requests; `end` waits for its answer."""
        return self._loop.create_task(self._client.get(url))

    def begin_post(self, body: bytes, **headers: str) -> asyncio.Task[httpx.Response]:
        """As `begin_get`, for a POST."""
        return self._loop.create_task(self._client.post("/logs", content=body, headers=_encoded(headers)))

    def end(self, begun: asyncio.Task[httpx.Response]) -> httpx.Response:
        return self._run(begun)

    def until(self, event: threading.Event) -> None:
        """Run the event loop until the event is set."""
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
        return self._run(self._client.post("/logs", content=body, headers=_encoded(headers)))


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    # Encoded here, because httpx takes only ASCII in header values of type str.
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]


ClientOf: TypeAlias = Callable[[Starlette], AppClient]
