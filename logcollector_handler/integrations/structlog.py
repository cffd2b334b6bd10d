"""structlog: a processor that ships each event with its fields, and passes it on unchanged.

    handler = get_handler()
    structlog.configure(processors=[..., LogCollectorProcessor(handler), structlog.dev.ConsoleRenderer()])

It makes a LogRecord of the event and passes it to the handler, as a logger does. Level, time, logger and call site of
the event become those of the record. The handler turns the rest into an entry in the same way as for events that
structlog sends through the standard library.
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

#: Packages whose frames are skipped in the search for the application's frame.
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
#: Fields that cannot simply become attributes of the record: those that every LogRecord has, and those that structlog
#: adds for its own use.
_SPECIAL: Final = STANDARD | {*("positional_args", "_record", "_from_structlog", "_logger", "_name")}
#: Where structlog's asynchronous methods keep the frame and thread of their caller: they log in another thread.
_ASYNC_STACK: Final = getattr(structlog.contextvars, "_ASYNC_CALLING_STACK", None)
_ASYNC_THREAD: Final = getattr(structlog.contextvars, "_ASYNC_CALLING_THREAD", None)
#: A timestamp without fractions of a second that is less than this many seconds old counts as the present time.
_COARSE: Final = 1.0


class _Call(NamedTuple):
    """Identifies a logging call of the application: its frame (by id), the instruction there, and the logger's name."""

    frame: int
    instruction: int
    logger: str


class _Thread(threading.local):
    """The processor's state for each thread."""

    #: Whether the processor is passing an event to the handler.
    shipping = False
    #: The call whose event was shipped last; None once the standard library's record of it was left out.
    call: _Call | None = None
    #: The last record of the standard library that was left out, because its event had been shipped.
    left_out: weakref.ref[logging.LogRecord] | None = None


class LogCollectorProcessor:
    """Ships each event to the log collection server. May stand anywhere in a chain before the renderer.

    It returns the event that it was given, unchanged. Level and filters of the handler apply. It never raises into the
    application: an event that cannot be shipped is counted as dropped.

    If the chain ends in a logger of the standard library that has the same handler, the handler leaves out the events
    that this processor has shipped already.

    Args:
        handler: a LogCollectorHandler, as `get_handler()` returns it.
        timestamp_key: the `key` of the chain's `TimeStamper`. If that stands before this processor, the event has its
            time; otherwise the time of this call. Default `timestamp`.
    """

    def __init__(self, handler: LogCollectorHandler, timestamp_key: str = "timestamp") -> None:
        self._handler = handler
        self._timestamp_key = timestamp_key
        self._thread = _Thread()
        _add_filter(handler, self)

    def __call__(self, logger: Any, method_name: str, event_dict: EventDict) -> EventDict:
        """Ship the event and return it."""
        name = "structlog"
        # Already true in a call inside a call: a signal handler or a record factory that logs through structlog.
        was_shipping = self._thread.shipping
        self._thread.shipping = True
        try:
            frame, _ = _application(sys._getframe(1))
            record = self._record(logger, method_name, event_dict, frame)
            name = record.name
            self._thread.call = _call(frame, getattr(logger, "name", None))
            passed: Any = record.levelno >= self._handler.level and self._handler.filter(record)
        except Exception:  # noqa: BLE001 - filters and record factories are the application's, and fields can be anything
            self._handler._pipeline.handler.handleError(logging.LogRecord(name, 0, "", 0, "", None, None))
        else:
            # Not in the `try`: an exception here comes out of a signal handler, when the record may be queued already.
            if passed:
                # From 3.12 on a filter can replace the record.
                self._handler.emit(passed if isinstance(passed, logging.LogRecord) else record)
        finally:
            self._thread.shipping = was_shipping
        return event_dict

    def _is_new(self, record: logging.LogRecord) -> bool:
        """What the handler's filter asks: false for the record of an event that the processor has shipped already."""
        thread = self._thread
        if thread.left_out is not None and thread.left_out() is record:
            # The handler is on several loggers, and gets the same record from each.
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
            # A list: a signal handler that raises in a generator as it is closed raises where nobody hears it.
            names = [each for each in (getattr(logger, "name", None), module) if type(each) is str]
            name = names[0] if names else "structlog"
        path, line, function = _site(fields, frame)
        stack = _stack(fields, frame)
        event = fields.get("event")
        if type(event) is str and _SPECIAL.isdisjoint(fields):
            # Message and attributes, as a logger makes it of a message and an extra: the fastest way for the handler.
            del fields["event"]
            record = logging.getLogRecordFactory()(name, level, path, line, event, (), None, function)
            record.__dict__.update(fields)
        else:
            record = logging.getLogRecordFactory()(name, level, path, line, fields, (), None, function)
        record.created = now if created is None else created
        record.stack_info = stack
        if _ASYNC_THREAD is not None and (thread := _ASYNC_THREAD.get(None)) is not None:
            record.thread, record.threadName = thread
        # In a ProcessorFormatter an event from the standard library carries its LogRecord: take the origin from that.
        foreign = fields.get("_record")
        if issubclass(type(foreign), logging.LogRecord) and not fields.get("_from_structlog"):
            record.__dict__.update({each: value for each, value in foreign.__dict__.items() if each in _OF_RECORD})
        return record


class _LeaveOut:
    """The filter of a handler that leaves out the records of events which a processor has shipped already.

    One for all processors of the handler. It stays when these are gone: if it were removed while a record goes through
    the filters, the one behind it would be passed over.
    """

    def __init__(self) -> None:
        #: By id, as long as somebody uses them.
        self.processors: dict[int, weakref.ref[LogCollectorProcessor]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        for reference in list(self.processors.values()):
            processor = reference()
            if processor is not None and not processor._is_new(record):
                return False
        return True


def _add_filter(handler: LogCollectorHandler, processor: LogCollectorProcessor) -> None:
    """Have the handler ask the processor about each record, as long as somebody uses the processor."""
    found = next((each for each in list(handler.filters) if isinstance(each, _LeaveOut)), None)
    if found is None:
        found = _LeaveOut()
        handler.addFilter(found)
    found.processors[id(processor)] = weakref.ref(processor)
    weakref.finalize(processor, found.processors.pop, id(processor), None).atexit = False


#: Attributes copied from the LogRecord of an event that came from the standard library.
_OF_RECORD: Final = frozenset({"name", "levelno", "pathname", "lineno", "funcName", "thread", "threadName", "process"})


def _application(frame: FrameType | None) -> tuple[FrameType | None, bool]:
    """The application's frame that made the logging call, and whether the call went through structlog."""
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
    # The frame of an asynchronous caller may run on in its own thread, so its instruction can change meanwhile: it is
    # not compared. The frame's id stays unique, because the frame lives until the asynchronous method is done.
    asynchronous = _ASYNC_STACK is not None and _ASYNC_STACK.get(None) is frame
    # The id, not the frame: keeping a frame would keep all its variables alive.
    return _Call(id(frame), -1 if asynchronous else frame.f_lasti, logger)


def _site(fields: dict[Any, Any], frame: FrameType | None) -> tuple[str, int, str | None]:
    """Path, line and function of the call: from the chain's CallsiteParameterAdder, or else from the frame."""
    path, line, function = (fields.get(each) for each in ("pathname", "lineno", "func_name"))
    if frame is not None:
        code = frame.f_code
        path = path if type(path) is str else code.co_filename
        line = line if type(line) is int else frame.f_lineno
        function = function if type(function) is str else code.co_name
    return path or "", line or 0, function


def _stack(fields: dict[Any, Any], frame: FrameType | None) -> str | None:
    """The stack, if the event asks for it with `stack_info`; a text there is taken as the stack."""
    asked = fields.get("stack_info")
    if type(asked) not in (bool, int, str, type(None)):
        return None
    fields.pop("stack_info", None)
    if not asked or type(asked) is str:
        return asked or None
    return printed_stack(frame)


def _level(method_name: str, fields: dict[Any, Any]) -> int:
    """The level of an event: from its field `level` if that is one, else from the method that was called."""
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
    """The time that a TimeStamper wrote, in Unix seconds; None if `stamp` is not a time."""
    kind = type(stamp)
    if kind is int or kind is float:
        return float(stamp) if 0 <= stamp < CREATED_AT_LIMIT else None
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if kind is datetime.datetime:
            return _of_moment(stamp, now)
        if kind is str:
            # fromisoformat of Python 3.10 does not accept the Z.
            text = f"{stamp[:-1]}+00:00" if stamp.endswith("Z") else stamp
            return _of_moment(datetime.datetime.fromisoformat(text), now)
    return None


def _of_moment(moment: datetime.datetime, now: float) -> float:
    seconds = moment.timestamp()
    if moment.tzinfo is None:
        # Without a time zone it may be UTC or local time: take the one nearer to now.
        as_utc = moment.replace(tzinfo=datetime.timezone.utc).timestamp()
        seconds = min(seconds, as_utc, key=lambda each: abs(each - now))
    return now if not moment.microsecond and 0 <= now - seconds < _COARSE else seconds
