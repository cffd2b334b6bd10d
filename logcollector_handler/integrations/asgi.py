"""ASGI middleware (FastAPI, Starlette, Django): adds the request's fields to its records, and logs each request.

    app.add_middleware(RequestLogMiddleware)             # FastAPI, Starlette
    application = RequestLogMiddleware(application)      # any other

It imports no framework.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from logcollector_handler.context import new_request, with_fields
from logcollector_handler.entry.known import forgive

from .access import REQUEST_ID, Exchange, log, monotonic, request_fields
from .ended import ended
from .error_response import CALL, follow
from .lifespan import Lifespan

__all__ = ["RequestLogMiddleware"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_REQUEST_ID = REQUEST_ID.lower().encode()


class RequestLogMiddleware:
    """Binds `path`, `method`, `client_address`, `request_id` and `trace_id` for each request, and logs how it ended.

    The request id is that of the header `X-Request-ID`, or a new one; the response gets it in the same header, unless
    the application has set that. The trace id is that of `traceparent`. When the response is complete, one record is
    logged to `logcollector.access`, with `status` and `duration_ms`: at ERROR for a 5xx or an exception (with its stack
    trace; it is raised further), at WARNING for a 4xx or an incomplete response, else at INFO. It has what was bound
    anywhere in the request. A WebSocket gets one record, when it is closed. Query strings are not logged.

    Args:
        app: the application that answers the requests.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await Lifespan(receive, send).run(self.app, scope)
            return
        # A request that has a Call came through such a middleware already, as where applications are mounted.
        if scope["type"] not in ("http", "websocket") or CALL in scope:
            await self.app(scope, receive, send)
            return
        # What is mounted in the application puts itself in its place.
        application = scope.get("app")
        call: _Http | _WebSocket = (_Http if scope["type"] == "http" else _WebSocket)(scope, receive, send)
        scope[CALL] = call
        answer_follows = False
        with with_fields(call.request.bound()):
            try:
                await self.app(scope, call.receive, call.send)
            except Exception as error:
                # Starlette answers exceptions of HTTP requests alone.
                answer_follows = scope["type"] == "http" and follow(application, self)
                call.fail(error, answer_follows=answer_follows)
                raise
            except BaseException:  # Cancelled, because the server shuts down or the client went away: not an error.
                call.close()
                raise
            else:
                call.close()
            finally:
                # Scope and call refer to each other: that would keep them until the next garbage collection.
                if not answer_follows:
                    scope.pop(CALL, None)


class _Http:
    """Passes on the messages of one HTTP request, and notes in its Exchange how the request goes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        fields = _fields(scope)
        self.request = new_request(**fields)
        self.request_id: str = fields["request_id"]
        self._exchange = Exchange(scope["method"], scope["path"], self.request)
        self._ended = False
        self._trailers = False
        #: The exception that has not been logged yet.
        self._unanswered: Exception | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        # After a complete response every request gets a disconnect, which means nothing.
        if message["type"] == "http.disconnect" and not self._ended:
            self._exchange.gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._exchange.status = message["status"]
            self._trailers = bool(message.get("trailers"))
            message = _with_request_id(message, self.request_id)
        last = self._is_last(message)
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

    def close(self, error: BaseException | None = None) -> None:
        """Log how the request ended."""
        self._exchange.close(error, self._scope.get("endpoint"))

    def fail(self, error: Exception, *, answer_follows: bool) -> None:
        """Log that the request failed: after the answer, if that is still to be made.

        Then a record that the application's own handler logs with the exception comes first, and the status is known.
        """
        task = _current_task() if answer_follows and not self._ended else None
        if task is None:
            self.close(error)
        else:
            self._unanswered = error
            # Whatever became of the answer.
            task.add_done_callback(lambda _: self._tell_unanswered())

    def answered(self, status: int) -> None:
        """Log that the request failed, if that was left for now."""
        if self._unanswered is not None and self._exchange.status is None:
            self._exchange.status = status
            self._exchange.end()
        self._tell_unanswered()

    def _tell_unanswered(self) -> None:
        error, self._unanswered = self._unanswered, None
        if error is not None:
            self.close(error)

    def _is_last(self, message: Message) -> bool:
        kind = message["type"]
        if kind == "http.response.trailers":
            return not message.get("more_trailers")
        if self._trailers:
            return False
        if kind in ("http.response.body", "http.response.zerocopysend"):
            return not message.get("more_body")
        return bool(kind == "http.response.pathsend")


class _WebSocket:
    """Passes on the messages of one WebSocket, and logs how it was closed."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._path = scope["path"]
        fields = _fields(scope)
        self.request = new_request(**fields)
        self.request_id: str = fields["request_id"]
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
        if message["type"] == "websocket.http.response.start":
            message = _with_request_id(message, self.request_id)
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
        if error is not None and type(error).__name__ == "WebSocketDisconnect" and self._code is not None:
            # The server logs it as one.
            forgive(error)
            error = None
        took = (monotonic() - self._start) * 1000
        fields: dict[str, Any] = {"path": self._path, "status": self._status, "duration_ms": took}
        level = logging.ERROR if error is not None else logging.INFO
        if self._status != 101:
            level = max(level, logging.WARNING)
            how = f"refused with {self._status}"
        elif self._code is None:
            how = "failed" if error is not None else "left open"
        else:
            fields["close_code"] = self._code
            how = f"closed with {self._code}"
        with with_fields(self.request.bound()):
            ended(
                log,
                level,
                "WebSocket %s %s after %.1f ms",
                (self._path, how, took),
                function=self._scope.get("endpoint"),
                fields=fields,
                error=error,
            )

    def fail(self, error: Exception, *, answer_follows: bool) -> None:
        """Log that the connection failed. No answer follows."""
        self.close(error)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # Another event loop, such as trio's.
        return None


def _with_request_id(message: Message, request_id: str) -> Message:
    """The start of a response with the id of its request, unless the application has given it one."""
    # A copy: the application may use its message, or the headers in it, again.
    headers = list(message.get("headers") or ())
    if all(name.lower() != _REQUEST_ID for name, _ in headers):
        headers.append((_REQUEST_ID, request_id.encode()))
    return {**message, "headers": headers}


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
