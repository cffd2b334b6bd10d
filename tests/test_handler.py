"""What the handler itself does with a record, and how long its `flush` and `close` wait."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterator

import pytest

from logcollector_handler import LogCollectorHandler


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogCollectorHandler]:
    """One whose records stay in the queue."""
    made = LogCollectorHandler(shutdown_timeout=3.0)
    monkeypatch.setattr(made._pipeline.workers, "_start", lambda: True)
    yield made
    made._pipeline.queue.entries.clear()
    monkeypatch.undo()
    made.close()


def queued(handler: LogCollectorHandler) -> list[str]:
    return [entry.message for entry in handler._pipeline.handler.queue if entry is not None]


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("shop", level, __file__, 1, message, None, None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a filter only says yes or no there")
def test_a_filter_can_replace_the_record(handler: LogCollectorHandler) -> None:
    def renamed(given: logging.LogRecord) -> logging.LogRecord:
        other = copy.copy(given)
        other.msg = "replaced"
        return other

    handler.addFilter(renamed)  # type: ignore[arg-type]  # mypy goes by 3.10
    given = record("given")
    passed = handler.handle(given)
    assert isinstance(passed, logging.LogRecord)
    assert (queued(handler), passed.msg, given.msg) == (["replaced"], "replaced", "given")


def test_a_record_that_a_filter_turns_away_is_not_accepted(handler: LogCollectorHandler) -> None:
    handler.addFilter(lambda given: given.msg != "no")
    assert not handler.handle(record("no"))
    assert handler.handle(record("yes"))
    assert queued(handler) == ["yes"]
    assert handler.stats().accepted == 1


@pytest.mark.parametrize(
    ("level", "urged"), [(logging.WARNING - 1, 0), (logging.WARNING, 1), (logging.CRITICAL, 1), ("no level", 0)]
)
def test_a_record_from_flush_level_on_is_urgent(monkeypatch: pytest.MonkeyPatch, level: int, urged: int) -> None:
    handler = LogCollectorHandler(flush_level="WARNING")
    calls: list[str] = []
    monkeypatch.setattr(handler._pipeline.workers, "_start", lambda: True)
    monkeypatch.setattr(handler._pipeline.workers, "urge", lambda: calls.append("urged"))
    made = record("x")
    made.levelno = level
    handler.handle(made)
    assert len(calls) == urged
    assert queued(handler) == ["x"]
    handler._pipeline.queue.entries.clear()
    handler.close()


def test_under_the_lock_of_logging_neither_flush_nor_close_waits(
    handler: LogCollectorHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender's HTTP library may want the lock that `dictConfig` holds meanwhile."""
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return True

    monkeypatch.setattr(handler._pipeline.workers, "flush", wait)
    monkeypatch.setattr(handler._pipeline.workers, "close", wait)
    with logging._lock:  # type: ignore[attr-defined]  # as dictConfig
        handler.flush()
        handler.close()
    handler.flush()
    handler.close()
    assert waited == [0.0, 0.0, 3.0, 3.0]
