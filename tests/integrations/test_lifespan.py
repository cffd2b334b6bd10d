"""The start and the end of an ASGI application: what fails there is logged, and goes on to the server."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from logcollector_handler.delivery import exit as ending
from logcollector_handler.integrations.asgi import App, Message, Receive, Scope, Send
from logcollector_handler.testing import CapturingHandler
from tests.integrations.asgi_requests import serve

Sent = list[Any]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The messages that the server gets, and `flush` where pending records are sent."""
    made: Sent = []
    monkeypatch.setattr(ending, "flush", lambda: made.append("flush"))
    return made


def run(app: App, sent: Sent) -> None:
    """Start and end an application as a server does."""
    steps: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return steps.pop(0)  # A third call would raise: a server sends no more messages then.

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(serve(app, {"type": "lifespan"}, receive, send))


def failing(*answers: str, received: int) -> App:
    """An application that receives so many messages, gives these answers to them, and fails then."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope == {"type": "lifespan"}
        for number in range(received):
            await receive()
            if number < len(answers):
                await send({"type": f"lifespan.{answers[number]}"})
        raise ValueError("no database")

    return app


def test_messages_pass_unchanged_and_records_are_sent_before_the_end_is_confirmed(
    captured: CapturingHandler, sent: Sent
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "lifespan.startup"}
        await send({"type": "lifespan.startup.complete"})
        assert await receive() == {"type": "lifespan.shutdown"}
        await send({"type": "lifespan.shutdown.complete"})

    run(app, sent)
    assert sent == ["lifespan.startup.complete", "flush", "lifespan.shutdown.complete"]
    assert captured.entries == []


def test_an_application_without_lifespan_is_started_and_ended_and_what_it_raised_is_logged(
    captured: CapturingHandler, sent: Sent
) -> None:
    run(failing(received=0), sent)
    assert sent == ["lifespan.startup.complete", "flush", "lifespan.shutdown.complete"]
    (said,) = captured.entries
    assert (said["level"], said["error_type"]) == ("INFO", "ValueError")
    assert said["message"] == "the application takes no lifespan messages: ValueError"


def test_an_application_that_returns_at_once_is_started_and_ended_too(captured: CapturingHandler, sent: Sent) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    run(app, sent)
    assert sent == ["lifespan.startup.complete", "flush", "lifespan.shutdown.complete"]
    assert captured.entries == []


@pytest.mark.parametrize(
    ("answers", "received", "told", "when"),
    [
        ([], 1, ["lifespan.startup.failed"], "at its startup"),
        (["startup.failed"], 1, ["lifespan.startup.failed"], "at its startup"),
        (
            ["startup.complete"],
            2,
            ["lifespan.startup.complete", "flush", "lifespan.shutdown.failed"],
            "at its shutdown",
        ),
        (
            ["startup.complete", "shutdown.failed"],
            2,
            # Once more, for the record of the failure.
            ["lifespan.startup.complete", "flush", "lifespan.shutdown.failed", "flush"],
            "at its shutdown",
        ),
        (["startup.complete"], 1, ["lifespan.startup.complete"], "while it ran"),
    ],
)
def test_a_failure_is_told_the_server_logged_with_its_trace_and_raised_further(
    captured: CapturingHandler, sent: Sent, answers: list[str], received: int, told: list[str], when: str
) -> None:
    with pytest.raises(ValueError, match="no database"):
        run(failing(*answers, received=received), sent)
    assert sent == told
    (failed,) = captured.entries
    assert (failed["level"], failed["error_type"], failed["function_name"]) == ("ERROR", "ValueError", "app")
    assert failed["message"] == f"the application failed {when}"
    assert failed["metadata"]["logger"] == "logcollector.lifespan"


@pytest.mark.parametrize("stage", ["startup", "shutdown"])
def test_a_failure_that_is_told_the_server_without_an_exception_is_logged_too(
    captured: CapturingHandler, sent: Sent, stage: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if stage == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        text = "Traceback (most recent call last):\nValueError: no database"
        await send({"type": f"lifespan.{stage}.failed", "message": text})
        # As uvicorn does it.
        logging.getLogger("uvicorn.error").error(text)

    run(app, sent)
    assert sent[-1] == ("flush" if stage == "shutdown" else "lifespan.startup.failed")
    assert [entry["level"] for entry in captured.entries] == ["INFO", "ERROR"]
    assert captured.entries[1]["message"].startswith(f"the application failed at its {stage}: Traceback")


def test_traces_that_the_application_logs_to_the_logger_of_its_server_are_errors(
    captured: CapturingHandler, sent: Sent
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        text = "Traceback (most recent call last):\nValueError: no stock"
        logging.getLogger("uvicorn.error").error(text)
        await send({"type": "lifespan.shutdown.complete"})

    run(app, sent)
    assert [entry["level"] for entry in captured.entries] == ["ERROR"]
