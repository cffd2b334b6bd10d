"""What the handler itself does with a record, and how long its `flush` and `close` wait."""

from __future__ import annotations

import _thread
import copy
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler import LogCollectorHandler, Stats
from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.workers import Workers


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[LogCollectorHandler]:
    """One whose records stay in the queue."""
    monkeypatch.setattr(Workers, "_start", lambda self, **_: True)
    made = LogCollectorHandler(shutdown_timeout=3.0)
    yield made
    made._pipeline.queue.entries.clear()
    monkeypatch.undo()
    made.close()


def queued(handler: LogCollectorHandler) -> list[str]:
    return [entry.message for entry in handler._pipeline.handler.queue if entry is not None]


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("shop", level, __file__, 1, message, None, None)


@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_nothing_of_the_process_is_touched_before_the_first_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, durability: str
) -> None:
    made: list[Any] = []
    settings: dict[str, Any] = {} if durability == "memory" else {"spool_dir": str(tmp_path), "durability": durability}
    for name in ("Lock", "RLock", "Event", "Condition", "Thread"):
        monkeypatch.setattr(threading, name, lambda *_, name=name, **__: made.append(name))
    monkeypatch.setattr("_thread.start_new_thread", lambda *_: made.append("thread"))
    descriptors = os.listdir("/dev/fd")
    handler = LogCollectorHandler(**settings)
    handler.setFormatter(logging.Formatter())
    assert (handler.stats(), handler.flush(), handler.lock) == (Stats(), True, None)
    handler.close()
    assert (made, os.listdir("/dev/fd"), list(tmp_path.iterdir())) == ([], descriptors, [])


def test_the_lock_that_gevent_gives_to_every_handler_is_never_taken(handler: LogCollectorHandler) -> None:
    lock: Any = threading.Lock()  # Not an RLock, which this thread could take again.
    handler.lock = lock
    lock.acquire()
    for _ in range(2):
        handler.acquire()
    handler.handle(record("x"))
    handler.flush(0.0)
    handler.close()
    handler.release()
    handler.setLevel(5)
    assert lock.locked()
    assert queued(handler) == ["x"]


def test_what_waits_when_gevent_patches_the_process_is_taken_over(handler: LogCollectorHandler) -> None:
    handler.handle(record("before"))
    before = handler._pipeline
    handler.lock = threading.RLock()
    handler.handle(record("after"))
    assert handler._pipeline is not before
    assert queued(handler) == ["before", "after"]
    assert handler.stats().accepted == 2
    assert before.workers not in ending._live
    started: list[Any] = []
    before.workers._threads._start_missing = lambda: started.append("threads")  # type: ignore[method-assign]
    starter = threading.Thread(target=before.workers._threads._start_threads, args=(_thread.start_new_thread,))
    starter.start()
    starter.join()
    assert started == [], "its starter comes too late"


def test_records_of_other_processes_and_those_that_name_none_are_taken(handler: LogCollectorHandler) -> None:
    one, two, three, four = (record(f"{number}") for number in range(4))
    one.process = 1 << 30
    two.process = None  # As with `logging.logProcesses = False`.
    three.process = []  # type: ignore[assignment]
    del four.process
    for each in (one, two, three, four, record("4")):
        handler.handle(each)
    assert queued(handler) == [f"{number}" for number in range(5)]
    assert handler.stats().accepted == 5
    assert len(handler._pipelines) == 1


def test_threads_that_log_first_at_the_same_time_share_one_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LogCollectorHandler()
    monkeypatch.setattr(Workers, "_start", lambda self, **_: True)
    barrier = threading.Barrier(8)

    def log(number: int) -> None:
        barrier.wait(60)
        handler.handle(record(f"{number}"))

    threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(queued(handler)) == [f"{number}" for number in range(8)]
    handler._pipeline.queue.entries.clear()
    handler.close()


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
    monkeypatch.setattr(handler._pipeline.workers, "_start", lambda **_: True)
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
