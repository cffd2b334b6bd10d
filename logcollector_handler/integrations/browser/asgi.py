"""The relay as an ASGI application, to be mounted under a path."""

from __future__ import annotations

import asyncio

from logcollector_handler.handler import LogCollectorHandler
from logcollector_handler.integrations.asgi import Receive, Scope, Send

from .bodies import Body
from .limits import Limits
from .relay import UNKNOWN, Answer, Relay, Request


class BrowserRelay:
    """Serves the module for browsers at `…/browser.js`, and takes what pages of this origin post to `…/logs`.

    Args:
        handler: the LogCollectorHandler that gets the entries. Default: that of `dictConfig`, see `get_handler`.
        limits: what browsers may send.
    """

    def __init__(self, handler: LogCollectorHandler | None = None, *, limits: Limits | None = None) -> None:
        self._relay = Relay(handler, limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        if scope["type"] != "http":
            return
        request = _request(scope)
        answer = self._relay.begin(request)
        if answer is None:
            with self._relay.bodies.one() as body:
                if not await self._receive(receive, body):
                    return
                answer = await self._post(request, body)
        await _send(answer, send)

    async def _post(self, request: Request, body: Body) -> Answer:
        # In another thread, for a batch takes long for an event loop. A request that is cancelled ends there as well.
        try:
            return await asyncio.to_thread(self._relay.post, request, body)
        except RuntimeError:  # An event loop of another library, such as trio's, or one that ends.
            return self._relay.post(request, body)

    async def _receive(self, receive: Receive, body: Body) -> bool:
        """Receive a body, or the beginning of one that is too large. False if the client went away."""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return False
            self._relay.bodies.add(body, message.get("body", b""))
            if not message.get("more_body") or body.given_up or len(body) > self._relay.body_bytes:
                self._relay.bodies.done(body)
                return True


def _request(scope: Scope) -> Request:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)

    def header(name: str) -> str | None:
        values = headers.get(name.encode(), [])
        return values[0].decode("latin-1") if len(values) == 1 else None

    client = scope.get("client")
    return Request(scope["method"], scope["path"], client[0] if client else UNKNOWN, header)


async def _send(answer: Answer, send: Send) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
