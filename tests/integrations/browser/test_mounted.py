"""The relay mounted in applications of frameworks, below our own middleware, and what its handler sends."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import httpx
import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from logcollector_handler import LogCollectorHandler
from logcollector_handler.integrations.asgi import RequestLogMiddleware
from logcollector_handler.integrations.browser import BrowserRelay, WsgiBrowserRelay
from logcollector_handler.integrations.wsgi import RequestLogMiddleware as WsgiRequestLogMiddleware
from logcollector_handler.testing import CapturingHandler, CollectorServer
from tests.integrations.browser.sites import PAGE

BODY = json.dumps({"logs": [{"message": "hello"}]})


@pytest.fixture
def handler() -> CapturingHandler:
    return CapturingHandler(service="shop")


def test_in_starlette(handler: CapturingHandler) -> None:
    app = RequestLogMiddleware(Starlette(routes=[Mount("/logs-relay", BrowserRelay(handler))]))

    async def visit() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example", headers=PAGE) as client:
            return [
                await client.get("/logs-relay/browser.js"),
                await client.post("/logs-relay/logs", content=BODY),
                await client.get("/logs-relay/../logs-relay/node.js"),
            ]

    assert [answer.status_code for answer in asyncio.run(visit())] == [200, 200, 404]
    (entry,) = handler.entries
    assert not {"path", "method", "request_id"} & {*entry, *entry["metadata"]}


def test_the_record_of_a_request_and_what_its_page_logs_have_one_trace(handler: CapturingHandler) -> None:
    async def cart(request: Request) -> HTMLResponse:
        logging.getLogger("shop").warning("cart rendered")
        return HTMLResponse(f'<meta name="traceparent" content="{request.headers["traceparent"]}">')

    routes = [Route("/cart", cart), Mount("/logs-relay", BrowserRelay(handler))]
    app = RequestLogMiddleware(Starlette(routes=routes))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async def visit() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
            page = await client.get("/cart", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
            # As `browser.js` reads it.
            of_page = page.text.split('content="')[1].split("-")[1]
            body = json.dumps({"logs": [{"message": "cart opened", "trace_id": of_page}]})
            await client.post("/logs-relay/logs", content=body, headers=PAGE)

    logging.getLogger().addHandler(handler)
    logging.getLogger("logcollector.access").setLevel(logging.INFO)
    asyncio.run(visit())
    traces = {entry["message"]: entry.get("trace_id") for entry in handler.entries}
    assert traces["cart rendered"] == traces["cart opened"] == trace
    (access,) = [entry for entry in handler.entries if entry.get("path") == "/cart" and "duration_ms" in entry]
    assert access["trace_id"] == trace


def test_in_flask(handler: CapturingHandler) -> None:
    app = Flask("shop")
    mounted: Any = DispatcherMiddleware(app.wsgi_app, {"/logs-relay": WsgiBrowserRelay(handler)})
    app.wsgi_app = WsgiRequestLogMiddleware(mounted)  # type: ignore[method-assign]  # as Flask says
    client = app.test_client()
    headers = {**PAGE, "host": "shop.example"}
    assert client.get("/logs-relay/browser.js").status_code == 200
    assert client.post("/logs-relay/logs", data=BODY, headers=headers).status_code == 200
    (entry,) = handler.entries
    assert not {"path", "method", "request_id"} & {*entry, *entry["metadata"]}


def test_the_event_loop_goes_on_while_a_batch_is_handed_on(handler: CapturingHandler) -> None:
    there: set[int] = set()

    def note(record: object) -> bool:
        there.add(threading.get_ident())
        return True

    handler.addFilter(note)

    async def visit() -> int:
        transport = httpx.ASGITransport(BrowserRelay(handler))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example", headers=PAGE) as client:
            return (await client.post("/logs", content=BODY)).status_code

    assert asyncio.run(visit()) == 200
    assert there
    assert threading.get_ident() not in there


def test_under_an_event_loop_of_another_library(handler: CapturingHandler) -> None:
    """As trio runs it: nothing of asyncio is there."""
    incoming = [{"type": "http.request", "body": BODY.encode()}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"sec-fetch-site", b"same-origin")]
    scope = {"type": "http", "method": "POST", "path": "/logs", "headers": headers, "client": None}
    serving = BrowserRelay(handler)(scope, receive, send)
    with pytest.raises(StopIteration):
        serving.send(None)
    assert [message.get("status") for message in sent] == [200, None]
    assert len(handler.entries) == 1


def test_other_kinds_of_connections_do_not_fail() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    relay = BrowserRelay()
    asyncio.run(relay({"type": "websocket", "path": "/", "headers": []}, receive, send))
    asyncio.run(relay({"type": "lifespan"}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_what_is_handed_on_is_batched_and_sent_as_all_records() -> None:
    with CollectorServer(strict=True) as collector:
        handler = LogCollectorHandler(server_url=collector.url, service="shop")
        relay = WsgiBrowserRelay(handler)
        app = Flask("shop")
        app.wsgi_app = relay  # type: ignore[method-assign]  # as Flask says
        logs = [{"message": f"m{number}", "level": "DEBUG", "created_at": 1795723958250} for number in range(500)]
        headers = {**PAGE, "host": "shop.example"}
        assert app.test_client().post("/logs", json={"logs": logs}, headers=headers).status_code == 200
        assert handler.stats().accepted == 500
        handler.close()
        assert [entry["message"] for entry in collector.entries] == [f"m{number}" for number in range(500)]
        assert collector.ignored_keys == set()
