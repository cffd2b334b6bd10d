"""A processor in a ProcessorFormatter, beside our handler: each record is shipped once, as the record that it is."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.stdlib import ProcessorFormatter

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import fail, only

Attach = Callable[..., None]


@pytest.fixture(params=["before ours", "after ours", "alone"])
def attach(request: pytest.FixtureRequest, root: CapturingHandler) -> Iterator[Attach]:
    """Puts a formatter with these processors on a handler of the root logger."""
    logger = logging.getLogger()
    restored = list(logger.handlers)
    if request.param == "alone":
        logger.removeHandler(root)

    def add(*processors: Any) -> None:
        handler = logging.StreamHandler(io.StringIO())
        formatter = ProcessorFormatter(
            processors=[*processors, lambda *_: ""],
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
        )
        handler.setFormatter(formatter)
        # Not a list that was read before: from 3.14.7 on `removeHandler`, which pytest calls too, makes a new one.
        logger.handlers.insert(0 if request.param == "before ours" else len(logger.handlers), handler)

    yield add
    logger.handlers[:] = restored


@pytest.mark.parametrize("before", [[], [ProcessorFormatter.remove_processors_meta]])
def test_each_record_is_shipped_once_and_as_itself(before: Any, attach: Attach, root: CapturingHandler) -> None:
    attach(*before, LogCollectorProcessor(root))
    logging.addLevelName(15, "FINE")
    made = logging.makeLogRecord(
        {
            "name": "shop.db",
            "levelno": 15,
            "levelname": "FINE",
            "created": 1.5,
            "threadName": "worker",
            "msg": "took %d rows",
            "args": (3,),
            "user_id": 8,
            "funcName": "query",
            "lineno": 12,
        }
    )
    for _ in range(2):
        logging.getLogger().handle(made)
    logging.getLogger("shop").warning("hello")
    assert [entry["message"] for entry in root.entries] == ["took 3 rows"] * (len(root.entries) - 1) + ["hello"]
    entry = root.entries[0]
    assert (entry["level"], entry["created_at"], entry["user_id"]) == ("DEBUG", 1.5, "8")
    assert (entry["function_name"], entry["metadata"]["line"]) == ("query", 12)
    assert (entry["metadata"]["logger"], entry["metadata"]["thread"]) == ("shop.db", "worker")


def test_an_exception_of_such_a_record_is_one(attach: Attach, root: CapturingHandler) -> None:
    attach(LogCollectorProcessor(root))
    try:
        fail()
    except ValueError:
        logging.getLogger("shop").exception("failed", stack_info=True)
    entry = only(root)
    assert (entry["level"], entry["error_type"], entry["function_name"]) == ("ERROR", "ValueError", "fail")
    assert "\nStack (most recent call last):\n" in entry["stack_trace"]
    # ExtraAdder takes up what an earlier formatter has left on the record.
    assert fields(entry).keys() <= {"message"}


def test_two_formatters_and_the_chain_ship_an_event_once(attach: Attach, root: CapturingHandler) -> None:
    for _ in range(2):
        attach(ProcessorFormatter.remove_processors_meta, LogCollectorProcessor(root))
    log = structlog.wrap_logger(
        logging.getLogger("shop"),
        [LogCollectorProcessor(root), ProcessorFormatter.wrap_for_formatter],
        structlog.stdlib.BoundLogger,
    )
    for number in range(3):
        log.info("hello", number=number)
    assert [fields(entry) for entry in root.entries] == [{"number": number} for number in range(3)]


def test_records_at_one_frozen_time_are_all_shipped(
    attach: Attach, root: CapturingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach(LogCollectorProcessor(root))
    factory, frozen = logging.getLogRecordFactory(), 1.5

    def at_that_time(*args: Any, **more: Any) -> logging.LogRecord:
        record = factory(*args, **more)
        record.created = frozen
        return record

    logging.setLogRecordFactory(at_that_time)
    for number in range(3):
        logging.getLogger("shop").info("hello %d", number)
    logging.getLogger("shop").info("bye")
    assert [entry["message"] for entry in root.entries] == ["hello 0", "hello 1", "hello 2", "bye"]
