"""Exceptions that come as text or as dicts: what is read from them, and what stays a field."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.entry.rendered import of_text, take_exception
from tests.entry.making import metadata, raised, ship
from tests.entry.raising import Group, needs_groups


class ShopError(Exception):
    pass


def chained(cause: bool) -> BaseException:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            if cause:
                raise ShopError("second\n\nValueError: not this") from error
            raise ShopError("second")  # noqa: B904 - on purpose
    except ShopError as error:
        return error


def group() -> BaseException:
    return raised(Group("many", [raised(ValueError("a")), chained(True)]))


def syntax() -> BaseException:
    try:
        compile("a b", "made.py", "exec")
    except SyntaxError as error:
        return error
    raise AssertionError


def text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).removesuffix("\n")


def dicts_of(error: BaseException) -> Any:
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return transform((type(error), error, error.__traceback__))


CASES = [
    raised(ValueError("why")),
    raised(ValueError()),
    raised(ShopError("many\n\nlines: of\n  text")),
    chained(True),
    chained(False),
    syntax(),
    *([] if Group is None else [group()]),
]


@pytest.mark.parametrize("error", CASES, ids=lambda error: str(type(error).__name__))
def test_a_printed_traceback_gives_type_and_frame(error: BaseException) -> None:
    found = of_text(text_of(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    assert found.text == text_of(error)
    assert found.error_type == type(error).__name__
    assert found.site == (frame.filename, frame.lineno, frame.name)


@pytest.mark.parametrize("error", CASES, ids=lambda error: str(type(error).__name__))
def test_dicts_of_a_traceback_give_text_type_and_frame(error: BaseException) -> None:
    fields = {"exception": dicts_of(error)}
    found = take_exception(fields)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    assert found is not None
    assert found.error_type == type(error).__name__
    assert found.site == (frame.filename, frame.lineno, frame.name)
    assert fields == {"exception": dicts_of(error)}
    # Its lines are the interpreter's, in the same order, but without source lines and without the modules of classes.
    mine = [line for line in found.text.splitlines() if "- " not in line]
    if not hasattr(error, "exceptions") and not isinstance(error, SyntaxError):
        theirs = iter(text_of(error).splitlines())
        assert all(any(their.endswith(line) for their in theirs) for line in mine)


@needs_groups
def test_the_text_of_dicts_of_a_group_has_its_members() -> None:
    found = take_exception({"exception": dicts_of(group())})
    assert found is not None
    assert "    | ValueError: a" in found.text
    assert "    | The above exception was the direct cause of the following exception:" in found.text


@given(st.text() | st.text('Traceback (most recent call last):\n |+File"1,in xE', max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = of_text(f"Traceback (most recent call last):\n{text}")
    assert found.text.endswith(text)


@pytest.mark.parametrize(
    "value",
    [
        *[[], [1], [{}], [{"frames": []}], [{"exc_type": "E", "frames": [1]}], "out of stock", 5, None],
        [{"exc_type": "E", "exc_value": "v", "frames": [{"filename": "f", "lineno": "x", "name": "n"}]}],
    ],
)
def test_a_value_that_does_not_look_like_an_exception_stays_a_field(value: Any) -> None:
    fields = {"exception": value, "stack": value}
    assert take_exception(fields) is None
    assert metadata(**fields) == fields


def test_an_extra_with_a_printed_traceback_is_the_stack_trace() -> None:
    text = text_of(chained(True))
    entry = ship(extra={"exception": text, "user_id": 7})
    assert (entry["stack_trace"], entry["error_type"], entry["user_id"]) == (text, "ShopError", "7")
    assert (entry["file_path"], entry["function_name"]) == (__file__, "chained")
    assert "exception" not in entry["metadata"]


def test_a_record_with_another_exception_keeps_the_printed_one_as_a_field() -> None:
    text = text_of(chained(True))
    error = raised(ValueError("why"))
    entry = ship(exc_info=(type(error), error, error.__traceback__), extra={"exception": text})
    assert (entry["error_type"], entry["metadata"]["exception"]) == ("ValueError", text)


def test_the_text_of_a_pickled_record_gives_type_and_frame() -> None:
    entry = ship(exc_text=text_of(raised(ValueError("why"))))
    assert (entry["error_type"], entry["function_name"]) == ("ValueError", "raised")


def test_a_stack_stands_below_a_printed_exception() -> None:
    stack = "Stack (most recent call last):\n  here"
    entry = ship(extra={"exception": text_of(raised(ValueError("why"))), "stack": stack})
    assert entry["stack_trace"].endswith(f"ValueError: why\n{stack}")
