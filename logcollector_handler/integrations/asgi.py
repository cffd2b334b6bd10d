"""ASGI middleware (FastAPI, Starlette, Django): adds the request's fields to its records, and logs each request.

    app.add_middleware(RequestLogMiddleware)             # FastAPI, Starlette
    application = RequestLogMiddleware(application)      # any other

It imports no framework.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from logcollector_handler.context import log_context
from logcollector_handler.delivery import exit as ending

from .access import Exchange, log, monotonic, request_fields

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestLogMiddleware:
    """Binds `path`, `method`, `client_address`, `request_id` and `trace_id` for each request, and logs how it ended.

    The request id is that of the header `X-Request-ID`, or a new one; the trace id is that of `traceparent`. When the
    response is complete, one record is logged to `logcollector.access`, with `status` and `duration_ms`: at ERROR for
    a 5xx or an exception (with its stack trace; it is raised further), at WARNING for a 4xx or an incomplete response,
    else at INFO. A WebSocket gets one record, when it is closed. Query strings are not logged.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _Lifespan(receive, send).run(self.app, scope)
            return
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        call: _Http | _WebSocket = (_Http if scope["type"] == "http" else _WebSocket)(scope, receive, send)
        with log_context(**_fields(scope)):
            try:
                await self.app(scope, call.receive, call.send)
            except Exception as error:
                call.close(error)
                raise
            except BaseException:  # Cancelled, because the server shuts down or the client went away: not an error.
                call.close()
                raise
            call.close()


class _Lifespan:
    """Passes on the messages of the application's start and end, and sends pending records before the end is confirmed.

    After that confirmation uvicorn lets the signal that stopped it kill the process, and no exit handler runs. For an
    application without lifespan support (Django) this class answers the server, because a server that gets an error at
    the start sends no message at the end.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._started = False
        self._answered = False

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            if self._answered:
                raise
            if not self._started:
                await self.receive()
            await self.send({"type": "lifespan.startup.complete"})
            await self.receive()
            await self.send({"type": "lifespan.shutdown.complete"})

    async def receive(self) -> Message:
        message = await self._receive()
        self._started = True
        return message

    async def send(self, message: Message) -> None:
        self._answered = True
        if message["type"].startswith("lifespan.shutdown."):
            ending.flush()
        await self._send(message)


class _Http:
    """Passes on the messages of one HTTP request, and notes in its Exchange how the request goes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._exchange = Exchange(scope["method"], scope["path"])
        self._ended = False
        self.close = self._exchange.close

    async def receive(self) -> Message:
        message = await self._receive()
        # After a complete response every request gets a disconnect, which means nothing.
        if message["type"] == "http.disconnect" and not self._ended:
            self._exchange.gone = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._exchange.status = message["status"]
        last = kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body"))
        # Set before sending: as soon as the client has the last message it may disconnect, and has not gone too early.
        self._ended = self._ended or last
        try:
            await self._send(message)
        except OSError:
            self._exchange.gone = True
            raise
        if last:
            self._exchange.end()
            # After a 5xx the framework may still raise the exception that caused it; then that is logged with it.
            if (self._exchange.status or 0) < 500:
                self.close()


class _WebSocket:
    """Passes on the messages of one WebSocket, and logs how it was closed."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._path = scope["path"]
        self._start = monotonic()
        #: The status of the answer to the handshake. If the application gives none the server answers 403.
        self._status = 403
        self._code: int | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and self._code is None:
            self._code = message.get("code", 1005)
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "websocket.accept":
            self._status = 101
        elif message["type"] == "websocket.http.response.start":
            self._status = message["status"]
        elif message["type"] == "websocket.close" and self._code is None:
            self._code = message.get("code", 1000)

    def close(self, error: BaseException | None = None) -> None:
        """Log how the connection ended."""
        # Starlette raises this when the client closes the connection, and endpoints need not catch it: not an error.
        if type(error).__name__ == "WebSocketDisconnect" and self._code is not None:
            error = None
        took = (monotonic() - self._start) * 1000
        fields = {"path": self._path, "status": self._status, "duration_ms": took}
        level = logging.ERROR if error is not None else logging.INFO
        if self._status != 101:
            level = max(level, logging.WARNING)
            how = f"refused with {self._status}"
        elif self._code is None:
            how = "failed" if error is not None else "left open"
        else:
            fields["close_code"] = self._code
            how = f"closed with {self._code}"
        log.log(level, "WebSocket %s %s after %.1f ms", self._path, how, took, exc_info=error, extra=fields)


def _fields(scope: Scope) -> dict[str, Any]:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, []).append(value)

    def header(name: bytes) -> str | None:
        """The value of a header; None if it is missing or sent more than once."""
        values = headers.get(name, [])
        return values[0].decode("latin-1") if len(values) == 1 else None

    client = scope.get("client")
    return request_fields(
        path=scope["path"],
        method=scope.get("method"),
        client=client[0] if client else None,
        request_id=header(b"x-request-id"),
        traceparent=header(b"traceparent"),
    )
