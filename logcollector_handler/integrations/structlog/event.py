"""Event -> LogRecord: level, time, logger, call site and stack of the event become those of the record."""

from __future__ import annotations

import logging
import time
from types import FrameType
from typing import Any, Final

from logcollector_handler.entry.caller import asynchronous_thread, is_passing, module_of
from logcollector_handler.entry.record import STANDARD
from logcollector_handler.entry.structured import Event, decode_texts, take_stack_info

from .times import seconds

_LEVELS: Final = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "err": logging.ERROR,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "failure": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
#: Fields that cannot simply become attributes of the record: those that every LogRecord has, and those that structlog
#: adds for its own use.
_SPECIAL: Final = STANDARD | {*("positional_args", "_record", "_from_structlog", "_logger", "_name")}
#: Attributes copied from the LogRecord of an event that a ProcessorFormatter formats.
_OF_RECORD: Final = frozenset({"name", "created", "thread", "threadName", "process", "processName", "taskName"})
_OF_SITE: Final = frozenset({"pathname", "lineno", "funcName"})


def record_of(
    event: dict[Any, Any],
    logger: Any,
    method_name: str,
    timestamp_key: str,
    renamed: str | None,
    frame: FrameType | None,
    formatted: logging.LogRecord | None,
) -> logging.LogRecord:
    """The record of an event.

    Args:
        event: what the processor was given. It is changed.
        logger: the logger that the chain's result goes to.
        method_name: the method of that logger.
        timestamp_key: the field with the time.
        renamed: the field with the message, if that is not `event`.
        frame: the application's frame that made the call, None if there is none.
        formatted: the record that is being formatted, if the chain is that of a ProcessorFormatter.
    """
    decode_texts(event, renamed)
    if method_name == "err":
        # Twisted's logs the exception that is being handled, without being told to.
        event.setdefault("exc_info", True)
    key = renamed if renamed in event else "event"
    given = key in event
    message = event.pop(key, None)
    own = None if formatted is None else formatted.__dict__.get("levelno")
    level = _level(event, own if type(own) is int else _number(method_name) or logging.INFO)
    now = time.time()
    created = seconds(event.get(timestamp_key), now)
    if created is not None:
        del event[timestamp_key]
    name = _name(event, logger, frame)
    path, line, function = _site(event, frame)
    stack = take_stack_info(event, frame)
    if type(message) is str and _SPECIAL.isdisjoint(event):
        # Message and attributes, as a logger makes it of a message and an extra: the fastest way for the handler.
        record = logging.getLogRecordFactory()(name, level, path, line, message, (), None, function)
        record.__dict__.update(event)
    else:
        if given:
            event[key] = message
        msg = Event(event)
        msg.renamed = renamed
        record = logging.getLogRecordFactory()(name, level, path, line, msg, (), None, function)
    record.created = now
    if (thread := asynchronous_thread()) is not None:
        record.thread, record.threadName = thread
    if formatted is not None:
        # A record that structlog made of an event on its way here names structlog as its origin, unless structlog made
        # the logger, too.
        copied = _OF_RECORD if is_passing(formatted.__dict__.get("pathname")) else _OF_RECORD | _OF_SITE
        record.__dict__.update({each: value for each, value in formatted.__dict__.items() if each in copied})
    if created is not None:
        record.created = created
    record.stack_info = stack
    return record


def _name(event: dict[Any, Any], logger: Any, frame: FrameType | None) -> str:
    """The name of the logger: what the chain says, or else the logger's own, or the module that logs."""
    name = event.get("logger")
    if type(name) is str:
        del event["logger"]
        return name
    name = getattr(logger, "name", None)
    if type(name) is str:
        return name
    return "structlog" if frame is None else module_of(frame)


def _site(event: dict[Any, Any], frame: FrameType | None) -> tuple[str, int, str | None]:
    """Path, line and function of the call: from the chain's CallsiteParameterAdder, or else from the frame."""
    path, line, function = (event.get(each) for each in ("pathname", "lineno", "func_name"))
    if frame is not None:
        code = frame.f_code
        path = path if type(path) is str else code.co_filename
        line = line if type(line) is int else frame.f_lineno
        function = function if type(function) is str else code.co_name
    return path or "", line or 0, function


def _level(event: dict[Any, Any], otherwise: int) -> int:
    """The level of an event: what its field `level` says, if that is one."""
    level = _number(event.get("level"))
    if level is not None:
        del event["level"]
    else:
        level = otherwise
    if type(event.get("level_number")) is int and event["level_number"] == level:
        del event["level_number"]
    return level


def _number(name: Any) -> int | None:
    if type(name) is not str:
        return None
    number = _LEVELS.get(name.lower())
    if number is None:
        number = logging.getLevelName(name.upper())
    return number if isinstance(number, int) and number > 0 else None
