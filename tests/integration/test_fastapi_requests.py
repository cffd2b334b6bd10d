"""FastAPI in the test's own process: what is bound around endpoints, and the answer to what nobody caught."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from logcollector_handler import bind_context
from logcollector_handler.integrations.asgi import RequestLogMiddleware
from logcollector_handler.testing import CapturingHandler
from tests import needed
from tests.capturing import capturing, fields

with needed.packages():
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.requests import Request
    from fastapi.responses import JSONResponse, Response, StreamingResponse
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.gzip import GZipMiddleware

pytestmark = pytest.mark.integration
log = logging.getLogger("shop")
HEADERS = {"X-Request-ID": "req-1", "Authorization": "s3cret"}


@pytest.fixture
def captured() -> Iterator[CapturingHandler]:
    with capturing() as handler, capturing("asyncio"):
        yield handler


def asked(app: Any, *paths: str) -> list[httpx.Response]:
    """The answers to requests one after the other, in one task, without a lifespan."""

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return [await client.get(path, headers=HEADERS) for path in paths]

    return asyncio.run(main())


def records(captured: CapturingHandler, name: str) -> list[dict[str, Any]]:
    return [each for each in captured.entries if each["metadata"]["logger"] == name]


def errors(captured: CapturingHandler) -> list[str]:
    return [each["metadata"]["logger"] for each in captured.entries if each["level"] in ("ERROR", "FATAL")]


async def pass_on(request: Request, call_next: Any) -> Any:
    bind_context(outer=1)
    return await call_next(request)


async def pass_on_and_bind(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    bind_context(status_class=response.status_code // 100)
    return response


def shop(*, handler: Any = None, debug: bool = False) -> FastAPI:
    app = FastAPI(debug=debug)

    def user() -> None:
        bind_context(user_id=7)

    async def cart() -> AsyncIterator[None]:
        bind_context(cart=1)
        yield
        bind_context(cart_closed=True)

    @app.get("/sync", dependencies=[Depends(user), Depends(cart)])
    def sync() -> None:
        bind_context(order=8)

    @app.get("/async", dependencies=[Depends(user), Depends(cart)])
    async def coroutine() -> None:
        bind_context(order=8)

    @app.get("/stream")
    def stream() -> StreamingResponse:
        def body() -> Iterator[bytes]:
            bind_context(order=8)
            yield b"a"

        return StreamingResponse(body())

    @app.get("/plain")
    def plain() -> None: ...

    @app.get("/boom", dependencies=[Depends(user)])
    def boom() -> None:
        raise ValueError("no stock")

    @app.get("/logged")
    async def logged() -> None:
        try:
            raise ValueError("no stock")
        except ValueError:
            log.exception("no stock")
            raise

    @app.get("/handled")
    async def handled() -> None:
        raise HTTPException(503)

    if handler is not None:
        app.exception_handler(Exception)(handler)
    return app


AROUND = {
    "alone": [],
    "inside a BaseHTTPMiddleware": [(RequestLogMiddleware, {}), (BaseHTTPMiddleware, {"dispatch": pass_on})],
    "outside of two": [
        (BaseHTTPMiddleware, {"dispatch": pass_on_and_bind}),
        (BaseHTTPMiddleware, {"dispatch": pass_on}),
        (GZipMiddleware, {}),
    ],
}


def built(kind: str, app: FastAPI) -> FastAPI:
    more: list[Any] = AROUND[kind]
    for middleware, settings in more:
        app.add_middleware(middleware, **settings)
    if kind != "inside a BaseHTTPMiddleware":
        app.add_middleware(RequestLogMiddleware)
    return app


@pytest.mark.parametrize("around", AROUND)
def test_what_endpoints_and_dependencies_bind_is_on_the_access_record_and_on_no_other(
    captured: CapturingHandler, around: str
) -> None:
    asked(built(around, shop()), "/sync", "/async", "/stream", "/plain", "/sync")
    sync, coroutine, stream, plain, again = records(captured, "logcollector.access")
    for access, name in ((sync, "sync"), (coroutine, "coroutine"), (again, "sync")):
        assert (access["user_id"], access["function_name"]) == ("7", name)
        assert (fields(access)["cart"], fields(access)["order"]) == (1, 8)
    assert (fields(stream)["order"], "user_id" in stream) == (8, False)
    assert "user_id" not in plain
    assert {"cart", "order", "cart_closed"}.isdisjoint(fields(plain))
    assert fields(plain)["request_id"] == "req-1"


def no_handler() -> None:
    """Starlette's own answer."""


def in_thread(request: Request, error: Exception) -> Response:
    log.error("handler", exc_info=error, extra={"request": request})
    return JSONResponse({}, 502)


async def in_the_loop(request: Request, error: Exception) -> Response:
    return in_thread(request, error)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("handler", [in_thread, in_the_loop])
def test_a_handler_of_a_500_logs_with_the_request_and_its_response_has_the_id(
    captured: CapturingHandler, around: str, handler: Any
) -> None:
    # The first request of all, too.
    first, second = asked(built(around, shop(handler=handler)), "/boom", "/boom")
    for answer in (first, second):
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (502, "req-1")
    for entry in records(captured, "shop"):
        assert (entry["path"], entry["user_id"], fields(entry)["request_id"]) == ("/boom", "7", "req-1")
        assert fields(entry)["request"] == {"method": "GET", "path": "/boom"}
    assert "s3cret" not in str(captured.entries)
    if around != "inside a BaseHTTPMiddleware":
        assert errors(captured) == ["shop"] * 2
        assert [fields(each)["status"] for each in records(captured, "logcollector.access")] == [502, 502]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("debug", [False, True])
def test_without_a_handler_the_access_record_is_the_one_error(
    captured: CapturingHandler, around: str, debug: bool
) -> None:
    (answer,) = asked(built(around, shop(debug=debug)), "/boom")
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (500, "req-1")
    assert errors(captured) == ["logcollector.access"]
    (access,) = records(captured, "logcollector.access")
    assert (access["error_type"], access["function_name"], fields(access)["status"]) == ("ValueError", "boom", 500)
    assert access["user_id"] == "7"


@pytest.mark.parametrize("around", AROUND)
def test_an_exception_that_the_endpoint_has_logged_is_the_one_error(captured: CapturingHandler, around: str) -> None:
    asked(built(around, shop()), "/logged")
    assert errors(captured) == ["shop"]


def test_an_answer_of_503_without_an_exception_is_the_one_error(captured: CapturingHandler) -> None:
    (answer,) = asked(built("alone", shop()), "/handled")
    assert answer.headers["X-Request-ID"] == "req-1"
    assert errors(captured) == ["logcollector.access"]


def test_an_exception_that_something_else_answers_is_logged_all_the_same(captured: CapturingHandler) -> None:
    async def answer(request: Request, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except ValueError:
            return JSONResponse({}, 418)

    app = shop(handler=in_thread)
    app.add_middleware(RequestLogMiddleware)
    app.add_middleware(BaseHTTPMiddleware, dispatch=answer)
    (answered,) = asked(app, "/boom")
    assert answered.status_code == 418
    assert errors(captured) == ["logcollector.access"]


def test_an_application_that_is_wrapped_whole_has_it_all(captured: CapturingHandler) -> None:
    (answer,) = asked(RequestLogMiddleware(shop(handler=in_thread)), "/boom")
    assert answer.headers["X-Request-ID"] == "req-1"
    assert errors(captured) == ["shop"]
    assert fields(records(captured, "logcollector.access")[0])["status"] == 502
