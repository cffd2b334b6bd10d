"""WSGI: the fields bound in every step of a request, and the one record of how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from logcollector_handler import bind_context
from logcollector_handler.context import current_fields
from logcollector_handler.integrations.wsgi import App, Environ, RequestLogMiddleware, StartResponse
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields

log = logging.getLogger("shop")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def environ(**changes: Any) -> Environ:
    made: Environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/orders/7",
        "QUERY_STRING": "token=secret",
        "REMOTE_ADDR": "203.0.113.5",
        "HTTP_X_REQUEST_ID": "req-1",
        "HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01",
        **changes,
    }
    setup_testing_defaults(made)
    return made


def start_response(*_: Any, **named: Any) -> Any:
    return lambda data: None


def serve(app: App, made: Environ | None = None, take: int = 100) -> list[bytes]:
    """Serve one request like a server that reads at most `take` pieces. Between pieces nothing may be bound."""
    response = RequestLogMiddleware(app)(made or environ(), start_response)
    pieces = []
    try:
        assert current_fields() is None
        for piece in response:
            assert current_fields() is None
            pieces.append(piece)
            if len(pieces) == take:
                break
    finally:
        response.close()  # type: ignore[attr-defined]  # the protocol's, of those that have one
        assert current_fields() is None
    return pieces


def responding(status: str = "200 OK", body: Iterable[bytes] = (b"a", b"b")) -> App:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        log.info("inside")
        start_response(status, [("Content-Type", "text/plain")])
        return body

    return app


class Closing:
    """A response body that logs wherever its code runs."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        log.info("first piece")
        bind_context(user_id=7)
        yield b"a"
        log.info("second piece")
        yield b"b"

    def close(self) -> None:
        self.closed += 1
        log.info("close")
        if self.error is not None:
            raise self.error


def test_it_follows_the_wsgi_protocol(captured: CapturingHandler) -> None:
    serve(validator(responding(body=[b"a"])))
    wrapped = validator(RequestLogMiddleware(responding(body=[b"a"])))
    answer = wrapped(environ(QUERY_STRING=""), start_response)
    assert list(answer) == [b"a"]
    answer.close()  # type: ignore[attr-defined]  # the protocol's, of those that have one


def test_one_record_says_how_the_request_ended_once_the_server_closed_the_response(captured: CapturingHandler) -> None:
    assert serve(responding()) == [b"a", b"b"]
    inside, access = captured.entries
    for entry in (inside, access):
        assert (entry["path"], entry["method"], entry["trace_id"]) == ("/orders/7", "GET", TRACE)
        assert (entry["metadata"]["request_id"], entry["metadata"]["client_address"]) == ("req-1", "203.0.113.5")
    assert (access["level"], fields(access)["status"]) == ("INFO", 200)
    assert access["message"].startswith("GET /orders/7 200 in ")
    assert "secret" not in str(captured.entries)


def test_the_fields_are_bound_at_every_step_and_those_bound_in_a_step_stay_for_the_next(
    captured: CapturingHandler,
) -> None:
    body = Closing()
    serve(responding(body=body))
    assert [entry["message"] for entry in captured.entries][:4] == ["inside", "first piece", "second piece", "close"]
    assert {entry["trace_id"] for entry in captured.entries} == {TRACE}
    assert [entry.get("user_id") for entry in captured.entries] == [None, None, "7", "7", "7"]
    assert body.closed == 1


def test_the_next_request_in_the_same_thread_starts_without_the_fields_of_the_last(captured: CapturingHandler) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/login":
            bind_context(user_id=7)
        return responding()(environ, start_response)

    serve(app, environ(PATH_INFO="/login"))
    serve(app, environ(PATH_INFO="/other", HTTP_TRACEPARENT="nonsense"))
    assert [entry.get("user_id") for entry in captured.entries] == ["7", "7", None, None]
    assert [entry.get("trace_id") for entry in captured.entries] == [TRACE, TRACE, None, None]


@pytest.mark.parametrize(("status", "level"), [("302 Found", "INFO"), ("404 Not Found", "WARN"), ("503 Busy", "ERROR")])
def test_the_level_follows_from_the_status(captured: CapturingHandler, status: str, level: str) -> None:
    serve(responding(status))
    assert captured.entries[1]["level"] == level


def test_an_exception_is_logged_with_its_trace_and_raised_further(captured: CapturingHandler) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        serve(app)
    (access,) = captured.entries
    assert (access["level"], access["error_type"], access["function_name"]) == ("ERROR", "ValueError", "app")
    assert fields(access)["status"] == 500
    assert current_fields() is None


def test_an_exception_during_the_response_gives_one_record(captured: CapturingHandler) -> None:
    def body() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        serve(responding(body=body()))
    _, access = captured.entries
    assert (access["level"], access["error_type"], access["function_name"]) == ("ERROR", "ValueError", "body")
    assert (fields(access)["status"], fields(access)["incomplete"]) == (200, True)


def test_an_exception_in_close_is_logged_and_raised_further(captured: CapturingHandler) -> None:
    with pytest.raises(ValueError, match="bad"):
        serve(responding(body=Closing(ValueError("bad"))))
    assert captured.entries[-1]["error_type"] == "ValueError"
    assert sum(entry["metadata"]["logger"] == "logcollector.access" for entry in captured.entries) == 1


def test_of_two_exceptions_the_first_is_logged(captured: CapturingHandler) -> None:
    class Failing(Closing):
        def __iter__(self) -> Iterator[bytes]:
            raise LookupError("first")

    with pytest.raises(ValueError, match="second"):
        serve(responding(body=Failing(ValueError("second"))))
    assert captured.entries[-1]["error_type"] == "LookupError"


def test_a_response_that_is_not_read_to_its_end_is_logged_as_a_warning(captured: CapturingHandler) -> None:
    serve(responding(), take=1)
    access = captured.entries[1]
    assert (access["level"], fields(access)["incomplete"]) == ("WARN", True)


@pytest.mark.parametrize("by_name", [True, False])
def test_start_response_with_an_exception_replaces_the_status(captured: CapturingHandler, by_name: bool) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        exc_info = (ValueError, ValueError(), None)
        if by_name:
            start_response("500 Oops", [], exc_info=exc_info)
        else:
            start_response("500 Oops", [], exc_info)
        return [b"oops"]

    serve(app)
    assert (captured.entries[0]["level"], fields(captured.entries[0])["status"]) == ("ERROR", 500)


def test_a_path_of_any_bytes_becomes_text(captured: CapturingHandler) -> None:
    path = "/größe".encode().decode("latin-1")
    serve(responding(), environ(SCRIPT_NAME="/shop", PATH_INFO=path))
    serve(responding(), environ(REQUEST_METHOD="PROPFIND", PATH_INFO="/\xff" + "x" * 2000))
    assert captured.entries[1]["path"] == "/shop/größe"
    assert len(captured.entries[3]["path"]) == 500
    assert fields(captured.entries[3])["method"] == "PROPFIND"


def test_a_request_that_is_tried_again_with_the_same_environ_is_logged_again(captured: CapturingHandler) -> None:
    failures = [ValueError("deadlock")]

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if failures:
            raise failures.pop()
        start_response("200 OK", [])
        return []

    given = environ()
    with pytest.raises(ValueError, match="deadlock"):
        RequestLogMiddleware(app)(given, start_response)
    RequestLogMiddleware(app)(given, start_response).close()  # type: ignore[attr-defined]
    assert [entry["level"] for entry in captured.entries] == ["ERROR", "WARN"]
