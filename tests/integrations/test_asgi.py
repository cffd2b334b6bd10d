"""ASGI: the fields bound in a request, and the one record of how it ended, whatever the application does."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from contextlib import suppress

import pytest

from logcollector_handler import bind_context
from logcollector_handler.integrations.asgi import Message, Receive, Scope, Send
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.asgi_requests import TRACE, log, responding, run, scope, serve


def test_records_logged_in_a_request_carry_its_fields(captured: CapturingHandler) -> None:
    run(responding(), scope())
    for entry in captured.entries:
        assert (entry["path"], entry["method"], entry["trace_id"]) == ("/orders/7", "GET", TRACE)
        assert (entry["metadata"]["request_id"], entry["metadata"]["client_address"]) == ("req-1", "203.0.113.5")
    assert len(captured.entries) == 2


def test_one_record_says_how_the_request_ended(captured: CapturingHandler) -> None:
    sent = run(responding(200, b"a", b"b"), scope())
    assert len(sent) == 4
    _, access = captured.entries
    assert access["metadata"]["logger"] == "logcollector.access"
    assert (access["level"], fields(access)["status"]) == ("INFO", 200)
    assert access["message"].startswith("GET /orders/7 200 in ")
    assert access["duration_ms"] >= 0
    assert "incomplete" not in fields(access)


@pytest.mark.parametrize(
    ("status", "level"), [(101, "INFO"), (302, "INFO"), (404, "WARN"), (499, "WARN"), (503, "ERROR")]
)
def test_the_level_follows_from_the_status(captured: CapturingHandler, status: int, level: str) -> None:
    run(responding(status), scope())
    assert (captured.entries[1]["level"], fields(captured.entries[1])["status"]) == (level, status)


def test_an_exception_is_logged_with_its_trace_and_raised_further(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        run(app, scope())
    (access,) = captured.entries
    assert (access["level"], access["error_type"], access["function_name"]) == ("ERROR", "ValueError", "app")
    assert access["stack_trace"].endswith("ValueError: bad")
    assert fields(access)["status"] == 500


def test_an_exception_raised_after_its_500_response_gives_one_record(captured: CapturingHandler) -> None:
    """Starlette does so if the middleware wraps the whole application."""

    async def fail() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        run(responding(500, then=fail), scope())
    _, access = captured.entries
    assert (access["level"], access["error_type"], fields(access)["status"]) == ("ERROR", "ValueError", 500)
    assert "incomplete" not in fields(access)


def test_the_record_does_not_wait_for_background_work_which_still_has_the_fields(captured: CapturingHandler) -> None:
    async def work() -> None:
        log.info("behind the response")

    run(responding(then=work), scope())
    assert [entry["message"][:6] for entry in captured.entries] == ["inside", "GET /o", "behind"]
    assert captured.entries[2]["trace_id"] == TRACE


def test_an_exception_after_the_response_gets_a_record_of_its_own(captured: CapturingHandler) -> None:
    async def fail() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        run(responding(then=fail), scope())
    _, access, failure = captured.entries
    assert (access["level"], fields(access)["status"]) == ("INFO", 200)
    assert (failure["level"], failure["message"]) == ("ERROR", "GET /orders/7 failed after its response")
    assert failure["error_type"] == "ValueError"


def test_an_exception_during_the_response_is_an_error_and_marked_incomplete(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        run(app, scope())
    (access,) = captured.entries
    assert (access["level"], access["error_type"]) == ("ERROR", "ValueError")
    assert (fields(access)["status"], fields(access)["incomplete"]) == (200, True)


def test_a_client_that_goes_away_early_is_logged_as_a_warning(captured: CapturingHandler) -> None:
    async def polite(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert (await receive())["type"] == "http.disconnect"

    run(polite, scope())
    with pytest.raises(OSError, match="gone"):
        run(responding(200, b"a"), scope(), fail_at=1)
    for access in (captured.entries[0], captured.entries[2]):
        assert access["level"] == "WARN"
        assert access["message"].endswith(", the client went away")
        assert fields(access)["incomplete"] is True


def test_a_disconnect_after_the_response_is_not_a_client_that_went_away(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body"})
        await receive()

    run(app, scope())
    assert captured.entries[0]["level"] == "ERROR"
    assert "went away" not in captured.entries[0]["message"]


def test_a_cancelled_request_is_logged_as_a_warning_without_a_status(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(serve(app, scope(), None, None))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (access,) = captured.entries
    assert access["level"] == "WARN"
    assert access["message"].startswith("GET /orders/7 without a response in ")
    assert fields(access)["incomplete"] is True
    assert "status" not in fields(access)


def test_a_pathsend_message_completes_the_response(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/file"})

    run(app, scope())
    assert captured.entries[0]["level"] == "INFO"


def test_fields_bound_by_the_application_are_on_the_record_of_that_request_only(
    captured: CapturingHandler,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/login":
            bind_context(user_id=7)
        await responding()(scope, receive, send)

    async def main() -> None:
        for path in ("/login", "/other"):
            await serve(app, scope(path=path), None, drop)  # type: ignore[arg-type]

    async def drop(message: Message) -> None: ...

    asyncio.run(main())
    assert [entry.get("user_id") for entry in captured.entries] == ["7", "7", None, None]


def test_concurrent_requests_do_not_share_their_fields(captured: CapturingHandler) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(5):
            log.info("%s", scope["path"])
            await asyncio.sleep(0)
        await responding()(scope, receive, send)

    async def drop(message: Message) -> None: ...

    async def main() -> None:
        await asyncio.gather(*(serve(app, scope(path=f"/{n}"), None, drop) for n in range(5)))  # type: ignore[arg-type]

    asyncio.run(main())
    steps = [entry for entry in captured.entries if entry["message"].startswith("/")]
    assert len(steps) == 25
    assert all(entry["message"] == entry["path"] for entry in steps)


def test_a_request_with_strange_values_is_served_and_logged(captured: CapturingHandler) -> None:
    strange = scope(method="PROPFIND", path="/\0" + "é" * 2000, headers=[(b"traceparent", b"\xff")] * 2, client=None)
    run(responding(), strange)
    access = captured.entries[1]
    assert "method" not in access
    assert fields(access)["method"] == "PROPFIND"
    assert len(access["path"]) == 500
    assert "trace_id" not in access


def test_an_exception_object_that_is_raised_in_several_requests_is_an_error_in_each(captured: CapturingHandler) -> None:
    """Such as that of a future which every request waits for."""
    kept = ValueError("could not connect")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/handled":
            log.error("went on without", exc_info=kept)
            return
        raise kept

    for path in ("/", "/", "/handled", "/"):
        with suppress(ValueError):
            run(app, scope(path=path))
    assert [entry["level"] for entry in captured.entries] == ["ERROR", "ERROR", "ERROR", "WARN", "ERROR"]


def test_what_a_server_says_in_the_context_of_an_earlier_request_keeps_its_level(captured: CapturingHandler) -> None:
    """A callback for the next data of a connection runs in the context that it was registered in."""
    contexts = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        contexts.append(contextvars.copy_context())
        log.error("one order failed", exc_info=ValueError("bad"))

    run(app, scope())
    contexts[0].run(logging.getLogger("uvicorn.error").error, "ASGI callable returned without completing response.")
    assert [entry["level"] for entry in captured.entries] == ["ERROR", "WARN", "ERROR"]
