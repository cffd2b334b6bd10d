"""loguru beside the standard library, connected as its documentation shows: each message is shipped once."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from logcollector_handler.integrations.loguru import LogCollectorSink
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields


class InterceptHandler(logging.Handler):
    """Of loguru's README: logs with loguru what comes through `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = inspect.currentframe(), 0
        while frame:
            filename = frame.f_code.co_filename
            is_logging = filename == logging.__file__
            is_frozen = "importlib" in filename and "_bootstrap" in filename
            if depth > 0 and not (is_logging or is_frozen):
                break
            frame = frame.f_back
            depth += 1
        logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())


class PropagateHandler(logging.Handler):
    """Of loguru's documentation: passes to `logging` what comes through loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


@pytest.fixture
def root() -> Iterator[CapturingHandler]:
    """A handler on the root logger, for a sink as well."""
    with capturing() as made:
        yield made


@pytest.mark.parametrize("ours_first", [True, False])
def test_an_intercepted_record_arrives_once_with_its_fields(root: CapturingHandler, ours_first: bool) -> None:
    intercept = InterceptHandler()
    handlers = logging.getLogger().handlers
    handlers.insert(len(handlers) if ours_first else 0, intercept)
    logger.add(LogCollectorSink(root), level=0)
    log = logging.getLogger("shop")
    log.info("took %d rows", 3, extra={"user_id": 7})
    try:
        {}["book"]  # type: ignore[index]  # raises
    except KeyError:
        log.exception("failed")
    logger.info("of loguru")
    handlers.remove(intercept)
    rows, failed, other = root.entries
    assert (rows["message"], rows["user_id"], rows["metadata"]["logger"]) == ("took 3 rows", "7", "shop")
    assert (failed["message"], failed["error_type"]) == ("failed", "KeyError")
    assert other["message"] == "of loguru"


def test_an_intercepted_record_that_comes_by_no_other_way_arrives(handler: CapturingHandler) -> None:
    """The handler is not on the loggers: then all comes by loguru, as its README recommends it."""
    intercept = InterceptHandler()
    logging.getLogger().addHandler(intercept)
    logging.getLogger("shop").setLevel(logging.INFO)
    logger.add(LogCollectorSink(handler), level=0)
    try:
        {}["book"]  # type: ignore[index]  # raises
    except KeyError:
        logging.getLogger("shop").exception("took %d rows", 3)
    logging.getLogger().removeHandler(intercept)
    (entry,) = handler.entries
    assert (entry["message"], entry["error_type"]) == ("took 3 rows", "KeyError")
    assert (entry["metadata"]["logger"], entry["file_path"]) == (__name__, __file__)


def test_what_a_handler_itself_logs_with_loguru_arrives(root: CapturingHandler) -> None:
    class Talking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.warning("about {}", record.getMessage())

    talking = Talking()
    logging.getLogger().addHandler(talking)
    logger.add(LogCollectorSink(root))
    logging.getLogger("shop").info("hello")
    logging.getLogger().removeHandler(talking)
    assert [entry["message"] for entry in root.entries] == ["hello", "about hello"]


@pytest.mark.parametrize("sink_first", [True, False])
def test_a_propagated_message_arrives_once_with_its_fields(root: CapturingHandler, sink_first: bool) -> None:
    others: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = others.append  # type: ignore[assignment]  # a list is handler enough
    logging.getLogger().addHandler(other)
    sinks: list[Any] = [LogCollectorSink(root), PropagateHandler()]
    for sink in sinks if sink_first else reversed(sinks):
        logger.add(sink, format="{message}", level=0)
    for number in range(3):
        logger.bind(user_id=7, number=number).info("hello {}", number)
    try:
        {}["book"]  # type: ignore[index]  # raises
    except KeyError:
        logger.exception("failed")
    logging.getLogger("shop").info("plain", extra={"extra": {"a": 1}})
    logging.getLogger().removeHandler(other)
    *hellos, failed, plain = root.entries
    assert [(entry["message"], fields(entry)) for entry in hellos] == [(f"hello {n}", {"number": n}) for n in range(3)]
    assert {entry["user_id"] for entry in hellos} == {"7"}
    assert (failed["message"], failed["error_type"], fields(failed)) == ("failed", "KeyError", {})
    assert (plain["message"], fields(plain)) == ("plain", {"extra": {"a": 1}})
    assert len(others) == 5


def test_a_message_that_the_sink_does_not_want_arrives_by_logging(root: CapturingHandler) -> None:
    logger.add(LogCollectorSink(root), level="ERROR")
    logger.add(PropagateHandler(), format="{message}")
    logger.bind(user_id=7).info("hello")
    logger.bind(user_id=7).error("failed")
    assert [(entry["message"], entry["user_id"]) for entry in root.entries] == [("hello", "7"), ("failed", "7")]


def test_all_sinks_of_a_handler_share_one_filter(handler: CapturingHandler) -> None:
    for _ in range(3):
        LogCollectorSink(handler)
    assert len(handler.filters) == 1
