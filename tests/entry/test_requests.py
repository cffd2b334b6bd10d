"""Request objects as fields: method and path, whatever their name and depth; no query, header, cookie or body."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from logcollector_handler import log_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields

SECRET = "s3cret"
log = logging.getLogger("shop")


@pytest.fixture
def captured() -> Iterator[CapturingHandler]:
    with capturing("shop") as handler:
        yield handler


def scope(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "method": "POST",
        "path": "/orders",
        "query_string": f"token={SECRET}".encode(),
        "headers": [(b"authorization", SECRET.encode()), (b"cookie", f"id={SECRET}".encode())],
        "state": {"user": SECRET},
    }


async def untouched(*_: Any) -> Any:
    raise AssertionError("the body is the application's")


def like(module: str, name: str, **attributes: Any) -> Any:
    """An object of a framework that is not installed here, as far as logging looks at it."""

    def unread(self: object) -> str:
        raise AssertionError("read")

    base = type(name, (), {"__module__": module, "body": property(unread), "headers": property(unread), **attributes})
    return type("Own", (base,), {"__repr__": lambda self: SECRET})()


STARLETTE = [
    Request(scope("http"), untouched),
    HTTPConnection(scope("http")),
    WebSocket(scope("websocket"), untouched, untouched),
]
CLIENTS = [httpx.Request("POST", f"https://u:{SECRET}@shop.test/orders?token={SECRET}", headers={"cookie": SECRET})]
OTHERS = [
    like(module, name, method="POST", path="/orders")
    for module, name in [
        ("django.http.request", "HttpRequest"),
        ("rest_framework.request", "Request"),
        ("werkzeug.sansio.request", "Request"),
        ("aiohttp.web_request", "BaseRequest"),
        ("tornado.httputil", "HTTPServerRequest"),
    ]
]


@pytest.mark.parametrize(
    "request_object", [*STARLETTE, *CLIENTS, *OTHERS], ids=lambda each: type(each).__mro__[1].__module__
)
def test_only_method_and_path_are_shown_under_any_name_and_at_any_depth(
    captured: CapturingHandler, request_object: Any
) -> None:
    with log_context(bound=request_object):
        log.info("a", extra={"request": request_object, "deep": {"in": [(request_object,)]}})
    shown = {"method": "POST", "path": "/orders"}
    assert fields(captured.entries[0]) == {"bound": shown, "request": shown, "deep": {"in": [[shown]]}}
    assert SECRET not in str(captured.entries)


def test_a_request_that_cannot_be_read_is_named_by_its_class(captured: CapturingHandler) -> None:
    log.info("a", extra={"request": like("django.http.request", "HttpRequest")})
    assert fields(captured.entries[0])["request"] == "<Own, which could not be read: AttributeError>"


def test_a_class_of_that_name_from_elsewhere_is_no_request(captured: CapturingHandler) -> None:
    log.info("a", extra={"request": like("shop", "Request", method="POST", path="/")})
    assert fields(captured.entries[0])["request"] == SECRET
