"""structlog: a processor that ships events as they are, with their fields, and passes them on to the others.

    handler = get_handler()
    structlog.configure(processors=[..., LogCollectorProcessor(handler), structlog.dev.ConsoleRenderer()])

It makes a record of the event and gives it to the handler, as a logger does. What the event says of itself (level,
time, logger, call site) becomes that of the record; how the rest becomes an entry is the handler's business, and
the same for events that structlog sends through the standard library.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from logcollector_handler.call_site import printed_stack
from logcollector_handler.entry.model import CREATED_AT_LIMIT
from logcollector_handler.entry.record import STANDARD
from logcollector_handler.handler import LogCollectorHandler

try:
    import structlog.contextvars
    from structlog.typing import EventDict
except ImportError as error:
    raise ImportError(
        "This integration needs structlog, which is not installed. "
        "Install it with: pip install 'logcollector-handler[structlog]'"
    ) from error

#: Packages that stand between the application and a record. structlog is one too, and says whose record it is.
_BETWEEN: Final = frozenset({"structlog", "logging", "logcollector_handler", "concurrent", "threading"})
_LEVELS: Final = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
#: Names that are not those of plain fields: of a record's own, and of what a dict as message may have.
_SPECIAL: Final = STANDARD | {*("positional_args", "_record", "_from_structlog", "_logger", "_name")}
#: Where the asynchronous methods say, for the thread that does the work, who called them.
_ASYNC_STACK: Final = getattr(structlog.contextvars, "_ASYNC_CALLING_STACK", None)
_ASYNC_THREAD: Final = getattr(structlog.contextvars, "_ASYNC_CALLING_THREAD", None)
#: Seconds that a timestamp which tells only whole seconds may lie behind the clock and still mean now.
_COARSE: Final = 1.0


class _Call(NamedTuple):
    """A logging call of the application: the frame it is in, how far that was, and what it logs to."""

    frame: int
    instruction: int
    logger: str


class _Thread(threading.local):
    """What the processor knows of the thread it is in."""

    #: It is handing an event to the handler.
    shipping = False
    #: The last event that it shipped.
    call: _Call | None = None
    #: The record of the standard library that came of an event which was shipped.
    left_out: weakref.ref[logging.LogRecord] | None = None


class LogCollectorProcessor:
    """Ships each event to the log collection server. Goes anywhere in a chain before the renderer.

    The event that comes in goes on, the same object, unchanged. Level and filters of the handler apply. Nothing that
    happens in here is raised into the application: an event that cannot be shipped is counted as dropped.

    When the handler is also on a logger of the standard library to which the chain passes its events, it leaves out
    those that went through the processor.

    Args:
        handler: a LogCollectorHandler, as `get_handler()` gives it.
        timestamp_key: the `key` of the chain's `TimeStamper`. A time is read from it when it comes first; else an
            event has the time at which it came here. Default `timestamp`.
    """

    def __init__(self, handler: LogCollectorHandler, timestamp_key: str = "timestamp") -> None:
        self._handler = handler
        self._timestamp_key = timestamp_key
        self._thread = _Thread()
        handler.addFilter(self._is_new)

    def __call__(self, logger: Any, method_name: str, event_dict: EventDict) -> EventDict:
        """Ship the event and pass it on."""
        name = "structlog"
        self._thread.shipping = True
        try:
            frame, _ = _application(sys._getframe(1))
            record = self._record(logger, method_name, event_dict, frame)
            name = record.name
            self._thread.call = _call(frame, getattr(logger, "name", None))
            if record.levelno >= self._handler.level:
                self._handler.handle(record)
        except Exception:  # noqa: BLE001 - filters and record factories are the application's, and fields can be anything
            self._handler._queue_handler.handleError(logging.LogRecord(name, 0, "", 0, "", None, None))
        finally:
            self._thread.shipping = False
        return event_dict

    def _is_new(self, record: logging.LogRecord) -> bool:
        """A filter of the handler: false for what a logging call logs that has gone through the processor already."""
        thread = self._thread
        if thread.left_out is not None and thread.left_out() is record:
            # Once more: the handler is on several loggers.
            return False
        if thread.call is None or thread.shipping or thread.call.logger != record.name:
            return True
        frame, by_structlog = _application(sys._getframe(1))
        if not by_structlog or _call(frame, record.name) != thread.call:
            return True
        thread.call = None
        thread.left_out = weakref.ref(record)
        return False

    def _record(self, logger: Any, method_name: str, given: EventDict, frame: FrameType | None) -> logging.LogRecord:
        fields: dict[Any, Any] = dict(given) if isinstance(given, Mapping) else {"event": given}
        level = _level(method_name, fields)
        now = time.time()
        created = _seconds(fields.get(self._timestamp_key), now)
        if created is not None:
            del fields[self._timestamp_key]
        name = fields.get("logger")
        if type(name) is str:
            del fields["logger"]
        else:
            module = None if frame is None else frame.f_globals.get("__name__")
            name = next((each for each in (getattr(logger, "name", None), module) if type(each) is str), "structlog")
        path, line, function = _site(fields, frame)
        stack = _stack(fields, frame)
        event = fields.get("event")
        if type(event) is str and _SPECIAL.isdisjoint(fields):
            # As a logger makes it of a message and an extra, which costs the handler least.
            del fields["event"]
            record = logging.getLogRecordFactory()(name, level, path, line, event, (), None, function)
            record.__dict__.update(fields)
        else:
            record = logging.getLogRecordFactory()(name, level, path, line, fields, (), None, function)
        record.created = now if created is None else created
        record.stack_info = stack
        if _ASYNC_THREAD is not None and (thread := _ASYNC_THREAD.get(None)) is not None:
            record.thread, record.threadName = thread
        # In a ProcessorFormatter, an event of the standard library has a record already.
        foreign = fields.get("_record")
        if issubclass(type(foreign), logging.LogRecord) and not fields.get("_from_structlog"):
            record.__dict__.update({each: value for each, value in foreign.__dict__.items() if each in _OF_RECORD})
        return record


#: What an event of the standard library, in a ProcessorFormatter, has from its record.
_OF_RECORD: Final = frozenset({"name", "levelno", "pathname", "lineno", "funcName", "thread", "threadName", "process"})


def _application(frame: FrameType | None) -> tuple[FrameType | None, bool]:
    """The frame of the application that made a logging call, and whether it went through structlog."""
    by_structlog = False
    while frame is not None:
        module = frame.f_globals.get("__name__") or "?"
        package = module.partition(".")[0]
        if package not in _BETWEEN:
            break
        by_structlog = by_structlog or package == "structlog"
        frame = frame.f_back
    if _ASYNC_STACK is not None and (called := _ASYNC_STACK.get(None)) is not None and by_structlog:
        return called, True
    return frame, by_structlog


def _call(frame: FrameType | None, logger: Any) -> _Call | None:
    if frame is None or type(logger) is not str:
        return None
    # A coroutine's frame lives until the asynchronous method is done, and goes on meanwhile in its own thread.
    asynchronous = _ASYNC_STACK is not None and _ASYNC_STACK.get(None) is frame
    # By its number: a frame that is kept keeps everything in it.
    return _Call(id(frame), -1 if asynchronous else frame.f_lasti, logger)


def _site(fields: dict[Any, Any], frame: FrameType | None) -> tuple[str, int, str | None]:
    """Path, line and function of the call: as the chain's CallsiteParameterAdder says, else of the frame."""
    path, line, function = (fields.get(each) for each in ("pathname", "lineno", "func_name"))
    if frame is not None:
        code = frame.f_code
        path = path if type(path) is str else code.co_filename
        line = line if type(line) is int else frame.f_lineno
        function = function if type(function) is str else code.co_name
    return path or "", line or 0, function


def _stack(fields: dict[Any, Any], frame: FrameType | None) -> str | None:
    """The stack, if the event asks for it."""
    asked = fields.get("stack_info")
    if type(asked) not in (bool, int, str, type(None)):
        return None
    fields.pop("stack_info", None)
    if not asked or type(asked) is str:
        return asked or None
    return printed_stack(frame)


def _level(method_name: str, fields: dict[Any, Any]) -> int:
    """The level of an event: as the chain says, else that of the method which was called."""
    level = _number(fields.get("level"))
    if level is not None:
        del fields["level"]
    else:
        level = _number(method_name) or logging.INFO
    if type(fields.get("level_number")) is int and fields["level_number"] == level:
        del fields["level_number"]
    return level


def _number(name: Any) -> int | None:
    if type(name) is not str:
        return None
    number = _LEVELS.get(name.lower())
    if number is None:
        number = logging.getLevelName(name.upper())
    return number if isinstance(number, int) and number > 0 else None


def _seconds(stamp: Any, now: float) -> float | None:
    """What a TimeStamper wrote, in Unix seconds."""
    kind = type(stamp)
    if kind is int or kind is float:
        return float(stamp) if 0 <= stamp < CREATED_AT_LIMIT else None
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if kind is datetime.datetime:
            return _of_moment(stamp, now)
        if kind is str:
            # Python 3.10 does not know the Z.
            text = f"{stamp[:-1]}+00:00" if stamp.endswith("Z") else stamp
            return _of_moment(datetime.datetime.fromisoformat(text), now)
    return None


def _of_moment(moment: datetime.datetime, now: float) -> float:
    seconds = moment.timestamp()
    if moment.tzinfo is None:
        # Of UTC or of here, it does not say: what is nearer to now.
        as_utc = moment.replace(tzinfo=datetime.timezone.utc).timestamp()
        seconds = min(seconds, as_utc, key=lambda each: abs(each - now))
    return now if not moment.microsecond and 0 <= now - seconds < _COARSE else seconds
