"""What nobody caught is logged, once, with its trace, and the earlier hooks still act."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from logcollector_handler import capture_uncaught
from tests.test_rate_limit import Kept

log = logging.getLogger("logcollector.uncaught")


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the hooks that were there before are called with."""
    calls: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: calls.append(args[1]))
    monkeypatch.setattr(threading, "excepthook", lambda args: calls.append(args.exc_value))
    monkeypatch.setattr(sys, "unraisablehook", lambda args: calls.append(args.exc_value))
    return calls


@pytest.fixture
def kept(earlier: list[Any]) -> Iterator[Kept]:
    """The handler of the logger; the hooks are in place."""
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


def test_what_ends_the_program_is_logged_and_the_earlier_hook_runs(kept: Kept, earlier: list[Any]) -> None:
    info = raised(ValueError("bad"))
    sys.excepthook(*info)
    (record,) = kept.records
    assert (record.levelname, record.getMessage()) == ("CRITICAL", "uncaught exception: ValueError: bad")
    assert record.exc_info == info
    assert earlier == [info[1]]


def test_what_ends_a_thread_is_logged_with_its_name(kept: Kept, earlier: list[Any]) -> None:
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


def test_what_cannot_be_raised_is_logged_with_where_it_came_from(kept: Kept, earlier: list[Any]) -> None:
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
def test_what_is_no_error_is_left_to_the_earlier_hook(
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


def test_a_second_call_behind_a_hook_of_another_logs_once(kept: Kept, earlier: list[Any]) -> None:
    ours = sys.excepthook
    sys.excepthook = lambda *args: ours(*args)
    capture_uncaught()
    sys.excepthook(*raised(ValueError("bad")))
    assert len(kept.records) == len(earlier) == 1


def test_a_hook_raises_nothing_of_its_own(kept: Kept, earlier: list[Any]) -> None:
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


def test_exceptions_while_exceptions_are_logged_come_to_an_end(kept: Kept, earlier: list[Any]) -> None:
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
