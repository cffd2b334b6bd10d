"""The message of an event whose fields were renamed or encoded on the way."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog
from structlog.processors import EventRenamer, UnicodeEncoder
from structlog.stdlib import ProcessorFormatter

from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import chain, only


@pytest.fixture(params=["processor", "formatter"])
def make(request: pytest.FixtureRequest, root: CapturingHandler) -> Any:
    """Makes a logger with these processors whose events arrive in one of two ways."""
    if request.param == "processor":
        return lambda *processors: chain(root, *processors)
    return lambda *processors: structlog.wrap_logger(
        logging.getLogger("shop"), [*processors, ProcessorFormatter.wrap_for_formatter], structlog.stdlib.BoundLogger
    )


@pytest.mark.parametrize("to", ["msg", "message", "text", "name"])
def test_the_renamed_event_is_the_message_and_what_took_its_name_a_field(
    make: Any, to: str, root: CapturingHandler
) -> None:
    make(EventRenamer(to, "_event")).info("something happened", _event="our event!", amount=1)
    entry = only(root)
    assert entry["message"] == "something happened"
    assert {name.partition(" (")[0]: value for name, value in fields(entry).items()} == {
        "event": "our event!",
        "amount": 1,
    }


def test_without_a_renamer_such_names_are_fields(make: Any, root: CapturingHandler) -> None:
    make().info("hello", msg="a", message="b", text="c")
    assert (only(root)["message"], fields(only(root))) == ("hello", {"msg": "a", "message": "b", "text": "c"})


def test_a_renamer_behind_the_processor_has_renamed_nothing_yet(root: CapturingHandler) -> None:
    chain(root, last=EventRenamer("msg")).info("hello", msg="a")
    assert (only(root)["message"], fields(only(root))) == ("hello", {"msg": "a"})


def test_another_loggers_renamer_does_not_matter(make: Any, root: CapturingHandler) -> None:
    structlog.configure(processors=[EventRenamer("msg")])
    make().info("hello", msg="a")
    assert (only(root)["message"], fields(only(root))) == ("hello", {"msg": "a"})


def test_bytes_of_an_encoder_are_read_as_text(make: Any, root: CapturingHandler) -> None:
    level, stamper = structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso")
    log = make(level, stamper, structlog.processors.format_exc_info, UnicodeEncoder())
    try:
        raise ValueError("naïve")
    except ValueError:
        log.error("it is naïve", user_id="ü", exc_info=True)
    entry = only(root)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("ERROR", "it is naïve", "ü")
    assert (entry["error_type"], entry["stack_trace"].splitlines()[-1]) == ("ValueError", "ValueError: naïve")
