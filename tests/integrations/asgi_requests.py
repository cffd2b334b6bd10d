"""ASGI requests as a server makes them: their scope, how they are run through the middleware, and an application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from logcollector_handler.context import current_fields
from logcollector_handler.integrations.asgi import App, Message, Receive, RequestLogMiddleware, Scope, Send

log = logging.getLogger("shop")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def scope(**changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/orders/7",
        "headers": [
            (b"x-request-id", b"req-1"),
            (b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode()),
        ],
        "client": ("203.0.113.5", 4711),
        **changes,
    }


def run(app: App, scope: dict[str, Any], incoming: list[Message] | None = None, fail_at: int = -1) -> list[Message]:
    """Serve one request; returns the messages sent to the server. Sending message number `fail_at` raises OSError."""
    messages = list(incoming or [])
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": f"{scope['type']}.disconnect"}

    async def send(message: Message) -> None:
        if len(sent) == fail_at:
            raise OSError("the client is gone")
        sent.append(message)

    asyncio.run(serve(app, scope, receive, send))
    return sent


async def serve(app: App, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await RequestLogMiddleware(app)(scope, receive, send)
    assert current_fields() is None, "nothing stays bound behind the request"


def responding(status: int = 200, *pieces: bytes, then: Callable[[], Awaitable[None]] | None = None) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        log.info("inside")
        await send({"type": "http.response.start", "status": status, "headers": []})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
        if then is not None:
            await then()

    return app
