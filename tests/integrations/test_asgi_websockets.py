"""ASGI: the one record of how a WebSocket ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from logcollector_handler.integrations.asgi import App, Message, Receive, RequestLogMiddleware, Scope, Send
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.asgi_requests import TRACE, log, run, scope

CONNECT = {"type": "websocket.connect"}
SOCKET = {"type": "websocket", "path": "/live"}


def socket_scope() -> dict[str, Any]:
    made = scope(**SOCKET)
    del made["method"]
    return made


class WebSocketDisconnect(Exception):  # noqa: N818 - Starlette's name
    """Named like Starlette's exception."""


def talking(*, close: bool = False, error: Exception | None = None) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        log.info("inside")
        if close:
            await send({"type": "websocket.close", "code": 4000})
        else:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        if error is not None:
            raise error

    return app


def test_a_websocket_gets_one_record_when_it_is_closed(captured: CapturingHandler) -> None:
    texts: list[Message] = [{"type": "websocket.receive", "text": "x"}] * 50
    run(talking(), socket_scope(), [CONNECT, *texts, {"type": "websocket.disconnect", "code": 1001}])
    run(talking(close=True), socket_scope(), [CONNECT])
    _, first, inside, second = captured.entries
    assert (first["level"], first["path"], fields(first)["status"]) == ("INFO", "/live", 101)
    assert (fields(first)["close_code"], fields(second)["close_code"]) == (1001, 4000)
    assert first["message"].startswith("WebSocket /live closed with 1001 after ")
    assert "method" not in first
    assert inside["trace_id"] == TRACE


def test_a_websocket_whose_application_raises_is_logged_as_an_error(captured: CapturingHandler) -> None:
    with pytest.raises(ValueError, match="bad"):
        run(talking(close=True, error=ValueError("bad")), socket_scope(), [CONNECT])
    access = captured.entries[1]
    assert (access["level"], access["error_type"]) == ("ERROR", "ValueError")


def test_a_websocket_closed_by_the_client_is_not_logged_as_an_error(captured: CapturingHandler) -> None:
    leaving: list[Message] = [CONNECT, {"type": "websocket.disconnect", "code": 1000}]
    with pytest.raises(WebSocketDisconnect):
        run(talking(error=WebSocketDisconnect()), socket_scope(), leaving)
    assert captured.entries[1]["level"] == "INFO"
    assert "stack_trace" not in captured.entries[1]


def test_a_refused_websocket_is_logged_as_a_warning(captured: CapturingHandler) -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    async def refuse_in_words(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body"})

    run(refuse, socket_scope(), [CONNECT])
    run(refuse_in_words, socket_scope(), [CONNECT])
    assert [(entry["level"], fields(entry)["status"]) for entry in captured.entries] == [("WARN", 403), ("WARN", 401)]


def test_nothing_of_ours_stays_in_the_scope_of_a_connection_of_starlette_that_failed(
    captured: CapturingHandler,
) -> None:
    async def live(socket: WebSocket) -> None:
        raise ValueError("bad")

    async def nothing(*_: Any) -> Any:
        return CONNECT

    app = Starlette(routes=[WebSocketRoute("/live", live)], middleware=[Middleware(RequestLogMiddleware)])
    made = socket_scope()
    with pytest.raises(ValueError, match="bad"):
        asyncio.run(app(made, nothing, nothing))
    assert [name for name in made if "logcollector" in name] == []
