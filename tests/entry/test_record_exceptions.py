"""How the exception and the stack of a record are found. `test_traceback` tests their text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.entry.making import (
    exc_info,
    raised,
    ship,
)


def test_an_exception_whose_truth_value_is_false_ships_like_any_other() -> None:
    class EmptyError(Exception):
        def __len__(self) -> int:
            return 0

    assert ship({"event": "e", "exc_info": EmptyError()})["error_type"] == "EmptyError"
    assert ship(exc_info=exc_info(EmptyError()))["error_type"] == "EmptyError"


def test_a_stack_alone_is_the_stack_trace() -> None:
    entry = ship(stack_info="Stack (most recent call last):\n  here")
    assert entry["stack_trace"] == "Stack (most recent call last):\n  here"
    assert "error_type" not in entry
    assert entry["function_name"] == "add"


def test_a_stack_stands_below_the_exception() -> None:
    entry = ship(exc_info=exc_info(raised(ValueError("x"))), stack_info="Stack: here")
    assert entry["stack_trace"].startswith("Traceback")
    assert entry["stack_trace"].endswith("\nValueError: x\nStack: here")


def test_a_record_with_only_the_text_of_an_exception_has_it_as_stack_trace() -> None:
    assert ship(exc_text="Traceback ...\nValueError: x")["stack_trace"] == "Traceback ...\nValueError: x"
    assert ship(exc_text="T", stack_info="S")["stack_trace"] == "T\nS"


def test_a_live_exception_wins_over_a_text_that_was_cached() -> None:
    entry = ship(exc_text="cached", exc_info=exc_info(raised(ValueError("x"))))
    assert "cached" not in entry["stack_trace"]


@pytest.mark.parametrize("given", [(None, None, None), (), False, None, True, (1, 2), (ValueError, "x", None), "text"])
def test_exc_info_that_holds_no_exception_is_ignored(given: Any) -> None:
    entry = ship(exc_info=given)
    assert "stack_trace" not in entry
    assert "error_type" not in entry
    assert entry["message"] == "hello"


def test_without_a_traceback_in_exc_info_that_of_the_exception_is_used() -> None:
    error = raised(ValueError("x"))
    assert "raise error" in ship(exc_info=(ValueError, error, "no traceback"))["stack_trace"]


def test_a_long_error_type_is_cut() -> None:
    error = type("E" * 300, (Exception,), {})()
    assert ship(exc_info=(type(error), error, None))["error_type"] == "E" * 200


def test_fields_of_the_call_win_over_what_the_exception_says() -> None:
    extra = {"error_type": "Mine", "function_name": "f", "stack_trace": "s"}
    entry = ship(exc_info=exc_info(raised(ValueError("x"))), extra=extra)
    assert {name: entry[name] for name in extra} == extra
