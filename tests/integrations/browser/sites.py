"""A relay mounted in a site, by either interface, and the posts of its pages."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any, NamedTuple, cast
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from logcollector_handler.integrations.asgi import Message
from logcollector_handler.integrations.browser import BrowserRelay, Limits, WsgiBrowserRelay
from logcollector_handler.testing import CapturingHandler

PAGE = {"sec-fetch-site": "same-origin", "origin": "https://shop.example", "user-agent": "Mozilla/5.0"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


Send = Callable[[str, str, "dict[str, str]", bytes, "str | None"], Answer]


class Site:
    """A relay below `/logs-relay`, and what came of its posts."""

    def __init__(self, send: Send, handler: CapturingHandler) -> None:
        self._send = send
        self.handler = handler

    @property
    def entries(self) -> list[dict[str, Any]]:
        return self.handler.entries

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        client: str | None = "203.0.113.5",
    ) -> Answer:
        own = {"host": "shop.example", "content-length": str(len(body)), **(headers or {})}
        return self._send(method, f"/logs-relay/{path}", own, body, client)

    def post(self, *entries: Any, client: str | None = "203.0.113.5", **headers: str) -> Answer:
        body = json.dumps({"logs": entries}).encode()
        return self.request("POST", "logs", {**PAGE, **_named(headers)}, body, client)

    def post_bytes(self, body: bytes, **headers: str) -> Answer:
        return self.request("POST", "logs", {**PAGE, **_named(headers)}, body)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def asgi_site(handler: CapturingHandler, limits: Limits | None = None) -> Site:
    return Site(asgi_send(BrowserRelay(handler, limits=limits)), handler)


def wsgi_site(handler: CapturingHandler, limits: Limits | None = None) -> Site:
    return Site(wsgi_send(WsgiBrowserRelay(handler, limits=limits)), handler)


def asgi_send(relay: BrowserRelay) -> Send:
    def send(method: str, path: str, headers: dict[str, str], body: bytes, client: str | None) -> Answer:
        half = len(body) // 2
        incoming: list[Message] = [
            {"type": "http.request", "body": body[:half], "more_body": True},
            {"type": "http.request", "body": body[half:]},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return incoming.pop(0)

        async def respond(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "/logs-relay",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": client and (client, 4711),
        }
        asyncio.run(relay(scope, receive, respond))
        start, last = sent
        return Answer(start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, last["body"])

    return send


def wsgi_send(relay: WsgiBrowserRelay) -> Send:
    def send(method: str, path: str, headers: dict[str, str], body: bytes, client: str | None) -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "/logs-relay",
            "PATH_INFO": path.removeprefix("/logs-relay"),
            "QUERY_STRING": "",
            "wsgi.input": io.BytesIO(body),
        }
        for name, value in headers.items():
            plain = name.upper().replace("-", "_")
            environ[plain if plain == "CONTENT_LENGTH" else f"HTTP_{plain}"] = value
        if client is not None:
            environ["REMOTE_ADDR"] = client
        setup_testing_defaults(environ)
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started.append((status, headers))
            return lambda data: None

        response = cast(Any, validator(relay))(environ, start_response)
        try:
            content = b"".join(response)
        finally:
            response.close()
        ((status, answered),) = started
        return Answer(int(status[:3]), {name.lower(): value for name, value in answered}, content)

    return send
