"""Uncaught exceptions are logged once, with their stack trace, and the earlier hooks still run."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from logcollector_handler import capture_uncaught
from tests.rate_limit.storms import Kept

log = logging.getLogger("logcollector.uncaught")


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of all calls of the hooks that were installed before."""
    calls: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: calls.append(args[1]))
    monkeypatch.setattr(threading, "excepthook", lambda args: calls.append(args.exc_value))
    monkeypatch.setattr(sys, "unraisablehook", lambda args: calls.append(args.exc_value))
    return calls


@pytest.fixture
def kept(earlier: list[Any]) -> Iterator[Kept]:
    """A handler on the logger `logcollector.uncaught`, with the hooks installed."""
    kept = Kept()
    log.addHandler(kept)
    capture_uncaught()
    yield kept
    log.removeHandler(kept)
    kept.close()


def raised(error: BaseException) -> tuple[Any, Any, Any]:
    try:
        raise error
    except BaseException:  # noqa: BLE001 - KeyboardInterrupt too
        return sys.exc_info()


def test_an_exception_that_ends_the_program_is_logged_and_the_earlier_hook_runs(kept: Kept, earlier: list[Any]) -> None:
    info = raised(ValueError("bad"))
    sys.excepthook(*info)
    (record,) = kept.records
    assert (record.levelname, record.getMessage()) == ("CRITICAL", "uncaught exception: ValueError: bad")
    assert record.exc_info == info
    assert earlier == [info[1]]


def test_an_exception_that_ends_a_thread_is_logged_with_the_threads_name(kept: Kept, earlier: list[Any]) -> None:
    def work() -> None:
        raise ValueError("bad")

    thread = threading.Thread(target=work, name="worker-7")
    thread.start()
    thread.join()
    (record,) = kept.records
    assert record.levelname == "ERROR"
    assert record.getMessage() == "uncaught exception in thread worker-7: ValueError: bad"
    assert record.threadName == "worker-7"
    assert [str(error) for error in earlier] == ["bad"]


def test_an_exception_in_a_finalizer_is_logged_with_the_object_it_came_from(kept: Kept, earlier: list[Any]) -> None:
    class Loud:
        def __del__(self) -> None:
            raise ValueError("bad")

    Loud()
    gc.collect()
    (record,) = kept.records
    message = record.getMessage()
    assert record.levelname == "ERROR"
    assert "xception ignored" in message
    assert "Loud.__del__" in message
    assert message.endswith(": ValueError: bad")
    assert [str(error) for error in earlier] == ["bad"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_keyboard_interrupt_and_system_exit_are_passed_to_the_earlier_hook_and_not_logged(
    kept: Kept, earlier: list[Any], kind: type[BaseException]
) -> None:
    info = raised(kind())
    sys.excepthook(*info)
    assert kept.records == []
    assert earlier == [info[1]]


def test_a_second_call_changes_nothing(kept: Kept, earlier: list[Any]) -> None:
    capture_uncaught()
    sys.excepthook(*raised(ValueError("bad")))
    assert len(kept.records) == len(earlier) == 1


def test_after_a_second_call_on_top_of_a_foreign_hook_an_exception_is_logged_once(
    kept: Kept, earlier: list[Any]
) -> None:
    ours = sys.excepthook
    sys.excepthook = lambda *args: ours(*args)
    capture_uncaught()
    sys.excepthook(*raised(ValueError("bad")))
    assert len(kept.records) == len(earlier) == 1


def test_a_hook_never_raises(kept: Kept, earlier: list[Any]) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise RuntimeError("of the filter")

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("of the exception")

    kept.addFilter(lambda record: True)
    sys.excepthook(*raised(UnprintableError()))
    assert "UnprintableError" in kept.records[0].getMessage()
    kept.addFilter(fail)
    sys.excepthook(*raised(ValueError("bad")))
    assert len(earlier) == 2


def test_exceptions_raised_while_logging_exceptions_do_not_recurse_without_end(kept: Kept, earlier: list[Any]) -> None:
    class Loud:
        def __del__(self) -> None:
            raise ValueError("again")

    def loud(record: logging.LogRecord) -> bool:
        Loud()
        return True

    kept.addFilter(loud)
    sys.excepthook(*raised(ValueError("first")))
    gc.collect()
    assert "first" in kept.records[-1].getMessage()
    assert 1 < len(kept.records) < 10
