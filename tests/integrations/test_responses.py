"""What the middlewares do to responses: they add the request's id, and leave all else to the server."""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Iterable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper

import pytest

from logcollector_handler.integrations.asgi import App as AsgiApp
from logcollector_handler.integrations.asgi import Message, Receive, Scope, Send
from logcollector_handler.integrations.wsgi import App, Environ, RequestLogMiddleware, StartResponse
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.asgi_requests import responding, run, scope
from tests.integrations.test_wsgi import environ, start_response

Headers = list[tuple[str, str]]


def answering(headers: Headers, status: int = 200) -> AsgiApp:
    raw = [(name.encode(), value.encode()) for name, value in headers]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": status, "headers": raw}
        await send(start)
        await send({"type": "http.response.body"})
        assert start["headers"] is raw
        assert len(raw) == len(headers), "the application's own headers stay as they are"

    return app


def asgi_headers(own: Headers, **changes: Any) -> Headers:
    start = run(answering(own), scope(**changes))[0]
    return [(name.decode(), value.decode()) for name, value in start["headers"]]


def wsgi_headers(headers: Headers, **changes: Any) -> Headers:
    got: Headers = []

    def start_response(status: str, given: Headers, *more: Any) -> Any:
        got.extend(given)
        return lambda data: None

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        before = list(headers)
        start_response("200 OK", headers)
        assert headers == before, "the application's own headers stay as they are"
        return [b""]

    RequestLogMiddleware(app)(environ(**changes), start_response).close()  # type: ignore[attr-defined]
    return got


def test_the_response_has_the_id_of_the_request(captured: CapturingHandler) -> None:
    assert asgi_headers([("vary", "*")]) == [("vary", "*"), ("x-request-id", "req-1")]
    assert wsgi_headers([("Vary", "*")]) == [("Vary", "*"), ("X-Request-ID", "req-1")]


@pytest.mark.parametrize("name", ["X-Request-ID", "x-request-id", "X-REQUEST-Id"])
def test_an_id_that_the_application_has_set_is_left_alone(captured: CapturingHandler, name: str) -> None:
    assert asgi_headers([(name, "own")]) == wsgi_headers([(name, "own")]) == [(name, "own")]


def test_headers_that_can_be_read_once_all_arrive(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = iter([(b"vary", b"*"), (b"x-request-id", b"own")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    assert list(run(app, scope())[0]["headers"]) == [(b"vary", b"*"), (b"x-request-id", b"own")]


@pytest.mark.parametrize("strange", ["a b", "x" * 129, "a\r\nset-cookie: b", ""])
def test_a_strange_id_does_not_come_back(captured: CapturingHandler, strange: str) -> None:
    ((_, asgi),) = asgi_headers([], headers=[(b"x-request-id", strange.encode())])
    ((_, wsgi),) = wsgi_headers([], HTTP_X_REQUEST_ID=strange)
    assert [len(asgi), len(wsgi)] == [32, 32]
    assert [fields(entry)["request_id"] for entry in captured.entries] == [asgi, wsgi]


def test_errors_have_it_too(captured: CapturingHandler) -> None:
    (start, _) = run(answering([], 503), scope())
    assert dict(start["headers"]) == {b"x-request-id": b"req-1"}


@pytest.mark.parametrize(
    ("messages", "whole"),
    [
        ([{"type": "http.response.pathsend", "path": "/file"}], True),
        ([{"type": "http.response.zerocopysend", "file": 7, "offset": 3, "count": 9}], True),
        ([{"type": "http.response.zerocopysend", "file": 7, "more_body": True}, {"type": "http.response.body"}], True),
        ([{"type": "http.response.zerocopysend", "file": 7, "more_body": True}], False),
        ([{"type": "http.response.push", "path": "/style"}, {"type": "http.response.body"}], True),
    ],
)
def test_messages_of_extensions_pass_as_they_are(
    captured: CapturingHandler, messages: list[Message], whole: bool
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for message in messages:
            await send(message)

    sent = run(app, scope(extensions={"http.response.pathsend": {}, "http.response.zerocopysend": {}}))
    assert all(got is given for got, given in zip(sent[1:], messages, strict=True))
    (access,) = captured.entries
    assert ("incomplete" not in fields(access)) is whole


def test_a_response_with_trailers_ends_with_these(captured: CapturingHandler) -> None:
    seen: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body"})
        for more in (True, False):
            seen.append(len(captured.entries))
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": more})

    run(app, scope())
    assert (seen, len(captured.entries)) == ([0, 0], 1)
    assert "incomplete" not in fields(captured.entries[0])


# WSGI: what a server asks of the iterable


def served(app: App, **changes: Any) -> tuple[dict[str, str], bytes]:
    """What wsgiref sends for a response: the headers and the body."""
    out = io.BytesIO()
    handler = SimpleHandler(io.BytesIO(), out, io.StringIO(), environ(**changes), multithread=False)
    handler.server_software = ""
    handler.run(RequestLogMiddleware(app))
    head, _, body = out.getvalue().partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    return {name: value for name, _, value in lines}, body


def returning(body: Any) -> App:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return body(environ) if callable(body) else body  # type: ignore[no-any-return]

    return app


@pytest.mark.parametrize("body", [[b"whole"], (b"whole",)])
def test_a_server_still_sees_that_a_body_has_one_piece_and_sends_its_length(
    captured: CapturingHandler, body: Iterable[bytes]
) -> None:
    headers, sent = served(returning(body))
    assert (headers["Content-Length"], sent) == ("5", b"whole")
    assert "incomplete" not in fields(captured.entries[0])


def test_a_body_without_a_length_has_none(captured: CapturingHandler) -> None:
    headers, sent = served(returning(iter([b"whole"])))
    assert ("Content-Length" in headers, sent) == (False, b"whole")


class File(io.BytesIO):
    """A file that counts how often it is closed."""

    closings = 0

    def close(self) -> None:
        self.closings += 1
        super().close()


def test_a_server_recognises_its_file_wrapper_and_closes_the_file_once(captured: CapturingHandler) -> None:
    file = File(b"content")
    given: list[Any] = []

    def body(environ: Environ) -> Any:
        given.append(environ["wsgi.file_wrapper"](file, 3))
        return given[0]

    response = RequestLogMiddleware(returning(body))(environ(**{"wsgi.file_wrapper": FileWrapper}), start_response)
    assert response is given[0]
    assert captured.entries == []
    assert b"".join(response) == b"content"
    for _ in range(2):
        response.close()
    (access,) = captured.entries
    assert (access["level"], fields(access)["status"], file.closings) == ("INFO", 200, 1)


def test_a_file_wrapper_that_is_a_function_gives_what_the_server_expects(captured: CapturingHandler) -> None:
    """As that of uWSGI, which recognises the very file."""
    with Path(__file__).open("rb") as file:
        wrapped = {"wsgi.file_wrapper": lambda file, size=0: file}
        app = returning(lambda environ: environ["wsgi.file_wrapper"](file))
        assert RequestLogMiddleware(app)(environ(**wrapped), start_response) is file
    assert captured.entries[0]["level"] == "INFO"


def test_an_error_in_the_closing_of_a_file_is_logged_and_raised_further(captured: CapturingHandler) -> None:
    class Failing(File):
        def close(self) -> None:
            self.closings += 1
            if self.closings == 1:
                raise OSError("cannot close")

    app = returning(lambda environ: environ["wsgi.file_wrapper"](Failing(b"a")))
    response = RequestLogMiddleware(app)(environ(**{"wsgi.file_wrapper": FileWrapper}), start_response)
    with pytest.raises(OSError, match="cannot close"):
        response.close()  # type: ignore[attr-defined]
    assert (captured.entries[0]["level"], captured.entries[0]["error_type"]) == ("ERROR", "OSError")


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_a_body_is_closed_once_however_often_the_server_closes(captured: CapturingHandler, kind: str) -> None:
    class Body(list[bytes]):
        closings = 0

        def close(self) -> None:
            Body.closings += 1

    class Generated:
        def __iter__(self) -> Iterator[bytes]:
            return itertools.repeat(b"a", 1)

        close = Body.close

    made = Body([b"a"]) if kind == "list" else Generated()
    response = RequestLogMiddleware(returning(made))(environ(), start_response)
    for _ in range(3):
        response.close()  # type: ignore[attr-defined]
    assert (Body.closings, len(captured.entries)) == (1, 1)


# What the record names as its origin


def decorated(function: Any) -> Any:
    @wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def endpoint() -> None: ...


class View:
    def get(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise ValueError(name)


@pytest.mark.parametrize(
    ("named", "function"),
    [
        (endpoint, "endpoint"),
        (decorated(endpoint), "endpoint"),
        (partial(decorated(endpoint), 1), "endpoint"),
        (View.get, "get"),
        pytest.param(View().get, "get", id="of an object"),
        pytest.param(View(), None, id="an object that cannot be read"),
        (View, None),
        ("endpoint", None),
        (None, None),
    ],
)
def test_the_record_is_the_endpoints_or_nobodys(
    captured: CapturingHandler, named: object, function: str | None
) -> None:
    run(responding(), scope(endpoint=named))
    access = captured.entries[-1]
    assert (access.get("function_name"), "file_path" in access) == (function, function is not None)
    if function is not None:
        assert access["file_path"] == __file__


def test_other_handlers_get_a_path_as_of_any_record(captured: CapturingHandler) -> None:
    """That of `rich` raises where it is None."""
    paths: list[object] = []
    other = logging.Handler()
    other.emit = lambda record: paths.append(record.pathname)  # type: ignore[method-assign]
    logging.getLogger("logcollector.access").addHandler(other)
    try:
        run(responding(), scope())
    finally:
        logging.getLogger("logcollector.access").removeHandler(other)
    assert paths == [""]
