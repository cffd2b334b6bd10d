"""Ways on which records come to the handler: through a QueueHandler, as a SocketHandler pickles them."""

from __future__ import annotations

import contextlib
import logging
import pickle
import queue
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler, SocketHandler
from typing import Any

from tests.entry.making import Catcher, shipped

#: Logs to the logger that it is given.
Deed = Callable[[logging.Logger], object]


class Way(logging.Handler):
    """Does to a record what happens on the way."""

    def __init__(self, way: Callable[[logging.LogRecord], logging.LogRecord]) -> None:
        super().__init__()
        self.way = way
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.way(record))


def queued(record: logging.LogRecord, formatter: logging.Formatter | None = None) -> logging.LogRecord:
    """The record as a listener gets it."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = QueueHandler(waiting)
    handler.setFormatter(formatter)
    handler.handle(record)
    handler.close()
    made = waiting.get_nowait()
    assert isinstance(made, logging.LogRecord)
    return made


def queued_twice(record: logging.LogRecord) -> logging.LogRecord:
    return queued(queued(record))


def queued_to_a_process(record: logging.LogRecord) -> logging.LogRecord:
    made = pickle.loads(pickle.dumps(queued(record)))
    assert isinstance(made, logging.LogRecord)
    return made


def sent(record: logging.LogRecord) -> logging.LogRecord:
    """The record as a server for SocketHandler makes it, as the logging cookbook says."""
    handler = SocketHandler("localhost", 9)
    data = handler.makePickle(record)
    handler.close()
    return logging.makeLogRecord(pickle.loads(data[4:]))


def printed_before(record: logging.LogRecord) -> logging.LogRecord:
    """The record after another handler has printed it, which leaves the text of the exception on it."""
    logging.Formatter().format(record)
    return record


@contextlib.contextmanager
def logging_to(handler: logging.Handler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop.cart")
    logger.setLevel(1)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        handler.close()


def records_of(deed: Deed, way: Callable[[logging.LogRecord], logging.LogRecord]) -> list[logging.LogRecord]:
    """The records that come out of the way when the deed is done."""
    handler = Way(way)
    with logging_to(handler) as logger:
        deed(logger)
    return handler.records


def direct(deed: Deed) -> dict[str, Any]:
    """The entry of what a deed logs, without anything in between."""
    catcher = Catcher()
    with logging_to(catcher) as logger:
        deed(logger)
    (entry,) = shipped(*catcher.records)
    return entry


def after(deed: Deed, way: Callable[[logging.LogRecord], logging.LogRecord]) -> dict[str, Any]:
    """The entry of what a deed logs, after the way."""
    (entry,) = shipped(*records_of(deed, way))
    return entry
