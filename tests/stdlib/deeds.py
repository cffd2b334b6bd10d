"""Functions that log exceptions of all kinds."""

from __future__ import annotations

import concurrent.futures
import logging
import traceback
from collections.abc import Callable
from typing import Any

from tests.entry.raising import Group


class ShopError(Exception):
    pass


def fail(error: BaseException) -> None:
    raise error


def plain(log: logging.Logger) -> None:
    try:
        fail(ValueError("why"))
    except ValueError:
        log.exception("boom %d", 1, extra={"user_id": 7})


def without_text(log: logging.Logger) -> None:
    try:
        fail(KeyboardInterrupt())
    except KeyboardInterrupt:
        log.exception("boom")


def with_text_that_ends_its_line(log: logging.Logger) -> None:
    try:
        fail(ConnectionError("connection failed\n\tIs the server running?\n"))
    except ConnectionError:
        log.exception("boom")


def with_text_of_many_lines(log: logging.Logger) -> None:
    try:
        fail(ShopError("first\n  second\n\nthird: x"))
    except ShopError:
        log.exception("boom\nover two lines")


def without_message(log: logging.Logger) -> None:
    try:
        fail(ShopError("x"))
    except ShopError:
        log.exception("")


def with_cause(log: logging.Logger) -> None:
    try:
        try:
            fail(KeyError("first"))
        except KeyError as error:
            raise ShopError("second") from error
    except ShopError:
        log.exception("boom")


def with_contexts(log: logging.Logger) -> None:
    try:
        try:
            fail(KeyError("first"))
        except KeyError:
            try:
                fail(ValueError("second"))
            except ValueError:
                fail(ShopError("third"))
    except ShopError:
        log.exception("boom")


def with_cause_of_another_function(log: logging.Logger) -> None:
    """The trace of the function that logs is not the first one that is printed."""

    def both() -> None:
        try:
            fail(KeyError("first"))
        except KeyError as error:
            raise ShopError("second") from error

    try:
        both()
    except ShopError:
        log.exception("boom")


def with_cause_that_was_not_raised(log: logging.Logger) -> None:
    try:
        raise ShopError("second") from KeyError("first")
    except ShopError:
        log.exception("boom")


def of_syntax(log: logging.Logger) -> None:
    try:
        compile("a b", "made.py", "exec")
    except SyntaxError:
        log.exception("boom")


def of_a_method_with_a_dotted_name(log: logging.Logger) -> None:
    try:
        fail(concurrent.futures.InvalidStateError("x"))
    except concurrent.futures.InvalidStateError:
        log.exception("boom")


def that_quotes_a_trace(log: logging.Logger) -> None:
    """As a parent logs what a child has printed."""
    try:
        try:
            fail(KeyError("of the child"))
        except KeyError:
            said = traceback.format_exc().rstrip()
        fail(ShopError(f"the child failed:\n{said}"))
    except ShopError:
        log.exception("boom")


def from_another_process(log: logging.Logger) -> None:
    """As `concurrent.futures` and `multiprocessing` print what a child raised."""
    try:
        fail(KeyError("of the child"))
    except KeyError:
        said = traceback.format_exc()
    cause = type("_RemoteTraceback", (Exception,), {"__module__": "concurrent.futures.process"})(f'\n"""\n{said}"""')
    try:
        raise ShopError("of the child") from cause
    except ShopError:
        log.exception("boom")


def with_stack(log: logging.Logger) -> None:
    try:
        fail(ValueError("why"))
    except ValueError:
        log.exception("boom", stack_info=True)


def caught_elsewhere(log: logging.Logger) -> None:
    """As frameworks log: not where the exception was caught."""
    _report(log, _caught(lambda: fail(ValueError("why"))))


def chain_caught_elsewhere(log: logging.Logger) -> None:
    def both() -> None:
        try:
            fail(KeyError("first"))
        except KeyError as error:
            raise ShopError("second") from error

    _report(log, _caught(both))


def _caught(work: Callable[[], Any]) -> Exception:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError


def _report(log: logging.Logger, error: Exception) -> None:
    log.error("boom", exc_info=error)


def of_a_group(log: logging.Logger) -> None:
    assert Group is not None
    caught: list[Exception] = [_caught(lambda: fail(ValueError("a"))), _caught(lambda: fail(KeyError("b\nc")))]
    try:
        raise Group("many", caught)
    except Group:
        log.exception("boom")


def group_with_cause(log: logging.Logger) -> None:
    assert Group is not None
    try:
        try:
            fail(KeyError("first"))
        except KeyError as error:
            raise Group("many", [_caught(lambda: fail(ValueError("a")))]) from error
    except Group:
        log.exception("boom")


def with_notes(log: logging.Logger) -> None:
    error: Any = ValueError("why")
    error.add_note("a note\nof: two lines")
    try:
        fail(error)
    except ValueError:
        log.exception("boom")


def stack_alone(log: logging.Logger) -> None:
    log.warning("here", stack_info=True)


EXCEPTIONS: list[Callable[[logging.Logger], None]] = [
    *(plain, without_text, with_text_of_many_lines, with_text_that_ends_its_line, without_message),
    *(with_cause, with_contexts),
    *(
        with_cause_of_another_function,
        with_cause_that_was_not_raised,
        of_syntax,
        of_a_method_with_a_dotted_name,
        that_quotes_a_trace,
    ),
    *(from_another_process, with_stack, caught_elsewhere, chain_caught_elsewhere),
    *([] if Group is None else [of_a_group, group_with_cause]),
    *([with_notes] if hasattr(ValueError, "add_note") else []),
]
