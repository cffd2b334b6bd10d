"""Exceptions of messages: a stack trace as the interpreter prints it, apart from the message."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from loguru import logger

from logcollector_handler.integrations.loguru import LogCollectorSink
from logcollector_handler.integrations.loguru.rendered import trace_in
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields

Add = Callable[..., None]


@pytest.fixture(params=[False, True], ids=["direct", "enqueued"])
def add(request: pytest.FixtureRequest, handler: CapturingHandler) -> Add:
    def adding(**options: Any) -> None:
        logger.add(LogCollectorSink(handler), **{"enqueue": request.param, "catch": False, **options})

    return adding


def only(handler: CapturingHandler) -> dict[str, Any]:
    logger.complete()
    (entry,) = handler.entries
    return entry


def divide(secret: object) -> float:
    return 1 / int(str(secret)[:0] or 0)


def test_an_empty_message_ships_with_its_exception_also_if_that_was_never_raised(
    add: Add, handler: CapturingHandler
) -> None:
    add()
    logger.opt(exception=ValueError("bad")).error("")
    entry = only(handler)
    assert (entry["message"], entry["error_type"], entry["stack_trace"]) == ("", "ValueError", "ValueError: bad")


def test_an_exception_is_a_stack_trace_and_not_part_of_the_message(add: Add, handler: CapturingHandler) -> None:
    add()
    try:
        divide("hunter2")
    except ZeroDivisionError:
        logger.bind(user_id=7).exception("it {} failed", "all")
    entry = only(handler)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("ERROR", "it all failed", "7")
    assert (entry["error_type"], entry["function_name"], entry["file_path"]) == (
        "ZeroDivisionError",
        "divide",
        __file__,
    )
    lines = entry["stack_trace"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    code = [line.strip() for line in lines]
    assert [line for line in code if line.startswith("File")][-1].endswith("in divide")
    assert "return 1 / int(str(secret)[:0] or 0)" in code
    # The values that `diagnose` prints stay here.
    assert "hunter2'" not in entry["stack_trace"].replace('divide("hunter2")', "")
    assert fields(entry) == {}


@pytest.mark.parametrize("form", ["opt(exception=True)", "the exception", "the tuple", "catch"])
def test_each_way_to_log_an_exception_gives_the_same(form: str, add: Add, handler: CapturingHandler) -> None:
    add()
    if form == "catch":
        with logger.catch(message="failed"):
            divide(0)
    else:
        try:
            divide(0)
        except ZeroDivisionError as error:
            given: Any = {"opt(exception=True)": True, "the exception": error, "the tuple": sys.exc_info()}[form]
            logger.opt(exception=given).error("failed")
    entry = only(handler)
    assert (entry["message"], entry["error_type"], entry["function_name"]) == ("failed", "ZeroDivisionError", "divide")


def test_a_decorated_function_has_no_frame_of_loguru_in_its_trace(add: Add, handler: CapturingHandler) -> None:
    add()
    logger.catch(divide)(0)
    entry = only(handler)
    assert entry["function_name"] == "divide"
    assert "catch_wrapper" not in entry["stack_trace"]
    assert entry["message"].startswith("An error has been caught in function ")


def test_a_chain_of_exceptions_is_whole(add: Add, handler: CapturingHandler) -> None:
    add(format="{message} {extra}")
    try:
        try:
            divide(0)
        except ZeroDivisionError as error:
            raise ValueError("Traceback (most recent call last):\nnot one") from error
    except ValueError:
        logger.exception("Traceback (most recent call last):\n  nor this")
    entry = only(handler)
    assert entry["message"] == "Traceback (most recent call last):\n  nor this"
    assert entry["function_name"] == "test_a_chain_of_exceptions_is_whole"
    first, second = entry["stack_trace"].split(
        "\n\nThe above exception was the direct cause of the following exception:\n\n"
    )
    assert first.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert second.endswith("ValueError: Traceback (most recent call last):\nnot one")


def test_an_exception_that_was_never_raised_has_no_trace_but_its_own_line(add: Add, handler: CapturingHandler) -> None:
    add()
    logger.opt(exception=ValueError("why")).error("failed")
    entry = only(handler)
    assert (entry["error_type"], entry["stack_trace"]) == ("ValueError", "ValueError: why")


class UnpicklableError(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


@pytest.mark.parametrize("options", [{}, {"format": lambda record: "{message}\n"}], ids=["text", "no text"])
def test_an_exception_that_cannot_be_pickled_has_its_type(options: Any, add: Add, handler: CapturingHandler) -> None:
    add(**options)
    try:
        raise UnpicklableError("why")
    except UnpicklableError:
        logger.exception("failed")
    entry = only(handler)
    assert entry["error_type"] == "UnpicklableError"
    assert "UnpicklableError" in entry["stack_trace"]


if sys.version_info >= (3, 11):

    def test_a_group_is_whole(add: Add, handler: CapturingHandler) -> None:
        add()
        try:
            raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])  # noqa: F821 - from 3.11 on
        except ExceptionGroup:  # noqa: F821 - from 3.11 on
            logger.exception("failed")
        entry = only(handler)
        assert entry["error_type"] == "ExceptionGroup"
        assert entry["stack_trace"].startswith("  + Exception Group Traceback (most recent call last):\n  |   File ")
        assert "\n    | ValueError: a\n" in entry["stack_trace"]


def test_no_exception_adds_nothing(add: Add, handler: CapturingHandler) -> None:
    add()
    logger.opt(exception=True).info("hello")
    entry = only(handler)
    assert not {"stack_trace", "error_type"} & entry.keys()
    assert fields(entry) == {}


def test_a_text_without_a_trace_has_none() -> None:
    assert trace_in("hello\nTraceback of another kind", "hello") is None
    assert trace_in("", "hello") is None
