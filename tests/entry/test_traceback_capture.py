"""What is captured of an exception in the logging call, and how much; and that nothing is kept alive for it."""

from __future__ import annotations

import gc
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler.entry.frames import MAX_FRAMES
from logcollector_handler.entry.traceback import MAX_EXCEPTIONS, Trace
from tests.entry.making import (
    builder,
    exc_info,
    raised,
    record,
)
from tests.entry.raising import Group, caught, needs_groups, needs_notes, note, plain, printed, rendered

# Snapshots


@needs_notes
def test_notes_added_after_the_call_are_not_in_the_text() -> None:
    error = raised(ValueError("x"))
    mutable = ["said"]
    notes = ["first", mutable]
    note(error, notes)
    expected = printed(error)
    trace = Trace(error, error.__traceback__)
    notes.append("later")
    mutable.append("changed")
    assert trace.render({}) == expected


def test_text_and_causes_changed_after_the_call_are_not_in_the_text() -> None:
    error = raised(ValueError("x"))
    expected = printed(error)
    trace = Trace(error, error.__traceback__)
    error.args = ("y",)
    error.__cause__ = KeyError("later")
    assert trace.render({}) == expected


# Exceptions whose own code fails


def a_property_that_raises(name: str) -> BaseException:
    def fail(self: object) -> Any:
        raise ZeroDivisionError

    return raised(type("TrickyError", (Exception,), {name: property(fail)})("the text"))


@pytest.mark.parametrize("name", ["__cause__", "__context__", "__suppress_context__", "__notes__"])
def test_an_exception_with_a_property_that_raises_still_has_its_stack_and_type(name: str) -> None:
    error = a_property_that_raises(name)
    trace = Trace(error, error.__traceback__)
    text = trace.render({})
    assert trace.error_type == "TrickyError"
    assert text.startswith("Traceback (most recent call last):\n")
    assert "raise error" in text
    assert "TrickyError: the text" in text


@needs_groups
def test_a_group_whose_exceptions_cannot_be_read_still_has_its_stack_and_type() -> None:
    class TrickyGroup(Group):  # type: ignore[misc]  # of any
        @property
        def exceptions(self) -> Any:
            raise ZeroDivisionError

    text = rendered(raised(TrickyGroup("g", [ValueError("x")])))
    assert "TrickyGroup: g" in text
    assert "raise error" in text
    assert "could not be read: ZeroDivisionError" in text


@pytest.mark.parametrize(
    "args",
    [("m", ("f.py", 1, 10**9, "x", 1, 10**9 + 5)), (object(),), ("m", ("f.py", 1, 1, ["a"], 1, 1))],
    ids=["place", "message", "text"],
)
def test_a_syntax_error_with_parts_of_wrong_types_is_printed_in_bounded_length(args: tuple[Any, ...]) -> None:
    error = raised(SyntaxError(*args))
    text = rendered(error)
    assert len(text) < 2000
    assert "SyntaxError: " in text
    assert "raise error" in text


# Bounds


def test_an_exception_with_too_many_causes_is_printed_alone() -> None:
    error: BaseException = ValueError("the first")
    for number in range(MAX_EXCEPTIONS + 10):
        next_error = ValueError(number)
        next_error.__cause__ = error
        error = next_error
    text = rendered(raised(error))
    assert text.startswith("Traceback (most recent call last):\n")
    assert f"[more than {MAX_EXCEPTIONS} exceptions that led to it were left out]" in text
    assert "the first" not in text


@needs_groups
def test_the_text_of_a_group_that_holds_its_members_many_times_is_bounded() -> None:
    error: Exception = ValueError("bottom")
    for number in range(60):
        error = Group(str(number), [error, error])
    assert "were left out]" in rendered(error)


def test_of_too_many_frames_the_first_and_the_last_are_printed() -> None:
    error = caught(plain)
    tb = error.__traceback__
    assert tb is not None
    last = tb
    while last.tb_next is not None:
        last = last.tb_next
    long = types.TracebackType(None, last.tb_frame, last.tb_lasti, last.tb_lineno)
    for _ in range(MAX_FRAMES * 3):
        long = types.TracebackType(long, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    trace = Trace(error, long)
    assert trace.frame is not None
    assert trace.frame[0].co_name == "plain"
    text = trace.render({})
    assert f"[{MAX_FRAMES * 2} frames before the last were left out]" in text
    assert f"[Previous line repeated {MAX_FRAMES - 3} more times]" in text
    assert "in plain" in text


# What is kept alive


class Thing:
    """An object that only a local variable refers to."""


class HeldError(Exception):
    """An exception that can be referred to weakly."""


def logged(make: Callable[[BaseException], object], notes: bool = False) -> tuple[object, list[weakref.ref[Any]]]:
    """What `make` makes of an exception with a cause, and references to objects that must be freed then."""
    thing = Thing()
    refs: list[weakref.ref[Any]] = [weakref.ref(thing)]
    try:
        try:
            raise HeldError("inner")
        except HeldError as inner:
            refs.append(weakref.ref(inner))
            raise HeldError("outer") from inner
    except HeldError as error:
        refs.append(weakref.ref(error))
        if notes:
            note(error, [error])
        return make(error), refs


def built(error: BaseException) -> object:
    return builder().build(record(exc_info=exc_info(error)))


def test_frames_and_exceptions_are_freed_at_once_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        entry, refs = logged(built)
        alive = [ref() for ref in refs if ref() is not None]
    finally:
        gc.enable()
    assert entry is not None
    assert alive == []


def test_an_exception_that_is_its_own_note_is_freed() -> None:
    entry, refs = logged(built, notes=True)
    gc.collect()
    assert entry is not None
    assert [ref() for ref in refs if ref() is not None] == []


def test_an_exception_whose_class_is_broken_is_freed() -> None:
    class TrickyError(Exception):
        def __str__(self) -> str:
            raise ValueError(self)

        __cause__ = property(__str__)

    error = raised(TrickyError())
    ref = weakref.ref(error)
    entry = built(error)
    del error
    gc.collect()
    assert entry is not None
    assert ref() is None


def test_an_argument_of_a_syntax_error_is_freed() -> None:
    thing = Thing()
    ref = weakref.ref(thing)
    error = SyntaxError(thing)
    entry = built(error)
    del thing, error
    gc.collect()
    assert entry is not None
    assert ref() is None
