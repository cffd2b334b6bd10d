"""Stack traces of exceptions that came through this package: they show the application's frames and no others."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import logcollector_handler
from logcollector_handler import LogClient, capture_uncaught, end_timer, log_context, measure, start_timer, timer
from logcollector_handler.entry.builder import EntryBuilder
from logcollector_handler.entry.traceback import MAX_EXCEPTIONS
from tests.capturing import capturing
from tests.entry.making import builder, exc_info, raised, record, shipped
from tests.entry.raising import Group, needs_groups
from tests.stdlib.sending import after, queued, sent

PACKAGE = os.path.dirname(logcollector_handler.__file__)
Decorator = Callable[[Callable[[], object]], Callable[[], Any]]
log = logging.getLogger(__name__)


def fail() -> None:
    raise ValueError("why")


def frames(trace: str) -> list[str]:
    """The names of the functions in a printed trace. Fails if one of them is not of this file."""
    found = re.findall(r'File "(.*)", line \d+, in (.*)', trace)
    assert {path for path, _ in found} <= {__file__}
    return [name for _, name in found]


def traces(decorate: Decorator) -> list[str]:
    """The stack traces that arrive when `fail` is called below the decorator: of the decorator and of the caller."""

    @decorate
    def below() -> None:
        fail()

    with capturing() as handler:
        try:
            below()
        except ValueError:
            log.exception("failed")
        assert {entry["function_name"] for entry in handler.entries} == {"fail"}
        return [entry["stack_trace"] for entry in handler.entries]


@pytest.mark.parametrize(
    "decorate",
    [
        measure,
        measure("work"),
        log_context(user_id=7),
        lambda function: measure(log_context(user_id=7)(measure("inner")(function))),
    ],
    ids=["measure", "measure with a name", "log_context", "several"],
)
def test_wrappers_of_functions_are_not_shown(decorate: Decorator) -> None:
    *of_decorators, of_caller = traces(decorate)
    assert [frames(each) for each in of_decorators] == [["below", "fail"]] * len(of_decorators)
    assert frames(of_caller) == ["traces", "below", "fail"]


def test_the_wrapper_of_a_client_is_not_shown() -> None:
    client = LogClient()
    kept: list[logging.LogRecord] = []
    client.handler.addFilter(lambda each: kept.append(each) or False)  # type: ignore[func-returns-value]
    (of_caller,) = traces(client.measure("work"))
    client.close()
    assert frames(of_caller) == ["traces", "below", "fail"]
    assert frames(shipped(*kept)[0]["stack_trace"]) == ["below", "fail"]


@pytest.mark.parametrize("decorate", [measure, log_context(user_id=7)], ids=["measure", "log_context"])
def test_wrappers_of_coroutine_functions_are_not_shown(decorate: Any) -> None:
    @decorate  # type: ignore[untyped-decorator]  # one of several
    async def below() -> None:
        await asyncio.sleep(0)
        fail()

    async def main() -> None:
        try:
            await below()
        except ValueError:
            log.exception("failed")

    with capturing() as handler:
        asyncio.run(main())
        assert frames(handler.entries[-1]["stack_trace"]) == ["main", "below", "fail"]


def test_blocks_add_no_frames() -> None:
    with capturing() as handler:
        started = start_timer("started")
        try:
            with timer("query"), log_context(user_id=7):
                fail()
        except ValueError as error:
            end_timer(started)
            log.error("failed", exc_info=error)
        query, _, failed = handler.entries
        assert frames(query["stack_trace"]) == frames(failed["stack_trace"]) == ["test_blocks_add_no_frames", "fail"]


@pytest.mark.parametrize("cause", [True, False], ids=["cause", "context"])
def test_no_wrapper_is_shown_in_what_led_to_an_exception(cause: bool) -> None:
    @measure
    def outer() -> None:
        try:
            measure(fail)()
        except ValueError as error:
            if cause:
                raise KeyError("second") from error
            raise KeyError("second")  # noqa: B904 - on purpose

    with capturing() as handler:
        with contextlib.suppress(KeyError):
            outer()
        assert frames(handler.entries[-1]["stack_trace"]) == ["outer", "fail", "outer"]


@needs_groups
def test_no_wrapper_is_shown_in_a_group() -> None:
    assert Group is not None

    @measure
    def outer() -> None:
        caught: list[Exception] = []
        for _ in range(2):
            try:
                measure(fail)()
            except ValueError as error:
                caught.append(error)
        raise Group("many", caught)

    with capturing() as handler:
        with contextlib.suppress(Group):
            outer()
        assert frames(handler.entries[-1]["stack_trace"]) == ["outer", *["outer", "fail"] * 2]


@pytest.mark.parametrize("way", [queued, sent])
def test_no_wrapper_is_shown_in_a_trace_that_was_printed_before(way: Any) -> None:
    @measure
    def below() -> None:
        fail()

    @measure
    def deed(shop: logging.Logger) -> None:
        try:
            below()
        except ValueError:
            shop.exception("failed", stack_info=True)

    exception, _, stack = after(deed, way)["stack_trace"].partition("Stack (most recent call last):")
    assert frames(exception) == ["deed", "below", "fail"]
    assert PACKAGE not in stack
    assert stack.splitlines()[-2].endswith("in deed")


@needs_groups
@pytest.mark.parametrize("way", [queued, sent])
def test_no_wrapper_is_shown_in_a_group_that_was_printed_before(way: Any) -> None:
    def deed(shop: logging.Logger) -> None:
        caught: list[Exception] = []
        try:
            measure(fail)()
        except ValueError as error:
            caught.append(error)
        assert Group is not None
        try:
            raise Group("many", [Group("few", caught)])
        except Group:
            shop.exception("failed")

    assert frames(after(deed, way)["stack_trace"]) == ["deed", "deed", "fail"]


def test_no_wrapper_is_shown_in_the_stack_of_a_call() -> None:
    kept: list[logging.LogRecord] = []
    client = LogClient()
    client.handler.addFilter(lambda each: kept.append(each) or False)  # type: ignore[func-returns-value]
    log_context(user_id=7)(lambda: client.error_with_trace("here"))()
    client.close()
    (entry,) = shipped(*kept)
    assert PACKAGE not in entry["stack_trace"]
    assert entry["stack_trace"].splitlines()[-2].endswith("in <lambda>")


def test_a_call_with_wrong_arguments_failed_where_the_application_made_it() -> None:
    measured: Any = measure(fail)
    with capturing() as handler:
        try:
            measured("too", "many")
        except TypeError:
            log.exception("failed")
        of_wrapper, of_caller = handler.entries
    name = "test_a_call_with_wrong_arguments_failed_where_the_application_made_it"
    assert (frames(of_caller["stack_trace"]), of_caller["function_name"], of_caller["file_path"]) == (
        [name],
        name,
        __file__,
    )
    assert of_wrapper["stack_trace"].startswith("TypeError: fail() takes 0 positional arguments")
    assert (of_wrapper["function_name"], of_wrapper["file_path"]) == ("fail", __file__)


def test_an_exception_that_is_too_large_to_read_shows_no_wrapper_either() -> None:
    error: BaseException = ValueError("last")
    for number in range(MAX_EXCEPTIONS + 1):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    try:
        measure(raised)(error)
    except ValueError:  # pragma: no cover - `raised` returns it
        raise
    made: EntryBuilder = builder()
    (entry,) = shipped(record(exc_info=exc_info(error)), by=made)
    assert "wrapper" not in entry["stack_trace"]


def test_functions_of_the_application_that_have_the_same_names_are_shown() -> None:
    def wrapper(function: Callable[[], None]) -> None:
        function()

    with capturing() as handler:
        try:
            wrapper(fail)
        except ValueError:
            log.exception("failed")
        assert frames(handler.entries[-1]["stack_trace"])[1:] == ["wrapper", "fail"]


@pytest.mark.parametrize("kind", ["program", "thread"])
def test_an_uncaught_exception_shows_the_frames_up_to_where_it_was_raised(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, lambda *_: None)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    capture_uncaught()
    with capturing() as handler:
        if kind == "program":
            try:
                measure(fail)()
            except ValueError as error:
                sys.excepthook(ValueError, error, error.__traceback__)
        else:
            thread = threading.Thread(target=contextvars.copy_context().run, args=(measure(fail),))
            thread.start()
            thread.join()
        assert PACKAGE not in handler.entries[-1]["stack_trace"]
        assert handler.entries[-1]["stack_trace"].count('", line ') >= 2 - (kind == "thread")
