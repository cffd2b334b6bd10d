"""Message of loguru -> LogRecord: level, time, origin and exception become those of the record, the rest its fields."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Final

from logcollector_handler.entry.record import STANDARD
from logcollector_handler.entry.text import keep_in_metadata

from .rendered import trace_in

#: What every message has. Anything else there was put in by a patcher, and is a field.
_OF_MESSAGE: Final = frozenset(
    {"elapsed", "exception", "extra", "file", "function", "level", "line", "message", "module", "name"}
    | {"process", "thread", "time"}
)
#: Levels whose names the server's say as well, by number.
_LEVELS: Final = {5: "TRACE", 10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


def record_of(given: dict[str, Any], text: str) -> logging.LogRecord:
    """The record of a message.

    Args:
        given: what loguru calls the record of the message. It is not changed.
        text: what loguru made of the message by its format; may be empty if the message was not pickled.
    """
    level, thread, process = given["level"], given["thread"], given["process"]
    record = logging.getLogRecordFactory()(
        given["name"] or "loguru",
        level.no,
        given["file"].path,
        given["line"],
        given["message"],
        (),
        None,
        given["function"],
    )
    record.levelname = level.name
    record.created = given["time"].timestamp()
    record.relativeCreated = given["elapsed"].total_seconds() * 1000
    record.thread, record.threadName = thread.id, thread.name
    record.process, record.processName = process.id, process.name
    if given["exception"] is not None:
        _add_exception(record, given, text)
    _add_fields(record, given)
    return record


def _add_exception(record: logging.LogRecord, given: dict[str, Any], text: str) -> None:
    kind, value, where = given["exception"]
    if where is None and (trace := trace_in(text, given["message"])):
        # `enqueue` pickles messages, which takes the traceback away: what is left of it is what loguru printed before.
        record.exc_text = trace
    elif isinstance(value, BaseException):
        record.exc_info = (kind, value, _without_loguru(where))
    elif kind is not None:
        # One that could not be pickled.
        record.exc_text = kind.__name__
        record.error_type = kind.__name__


def _without_loguru(where: TracebackType | None) -> TracebackType | None:
    """The traceback without the frame of the function that `logger.catch` puts around the application's."""
    while where is not None and where.tb_frame.f_globals.get("__name__") == "loguru._logger":
        where = where.tb_next
    return where


def _add_fields(record: logging.LogRecord, given: dict[str, Any]) -> None:
    fields = {name: value for name, value in given.items() if name not in _OF_MESSAGE}
    level = given["level"]
    if level.name not in (_LEVELS.get(level.no), f"Level {level.no}"):
        fields["level_name"] = level.name
    fields.update(given["extra"])
    # A field with the name of a LogRecord attribute (`name`, `args` …) would overwrite it: such fields go into
    # `metadata`, beside what is there.
    keep_in_metadata(fields, {name: fields.pop(name) for name in STANDARD & fields.keys()})
    record.__dict__.update(fields)
