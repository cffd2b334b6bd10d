"""Takes any LogRecord apart: made by hand, from structlog or another process, with attributes missing or of any type.

`EntryBuilder.build` reads the usual record itself, which is faster, and leaves all others to `read`. Code of the
application runs in here: messages, formatters, and `str` of any object.
"""

from __future__ import annotations

import copy
import logging
import sys
from types import TracebackType
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from .caller import application_frame, is_passing, printed_stack
from .encoding import plain_value
from .frames import without_hidden
from .model import CREATED_AT_LIMIT, TEXT_LIMITS, level_name
from .redact import Redactor
from .rendered import Rendered, of_text, take_exception, take_stack
from .restored import WARNINGS, restored
from .structured import Event, decode_texts, renamed_event, take_stack_info
from .text import add_beside, guarded, safe_repr, safe_text, shortened, text_keys
from .traceback import Trace

#: Attributes that every record has. A Formatter adds the last two, so they are not the user's fields either.
STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime"}
#: What structlog puts on a record for its own formatter, always both.
_STRUCTLOG: Final = frozenset({"_logger", "_name"})

#: The field for the name of the asyncio task in which a record was logged, and its longest value in characters.
TASK: Final = "asyncio_task"
_MAX_TASK: Final = 200

#: Where a record comes from: path, line and function of the call; names of logger and thread; process id. Of records
#: that were made by hand each can be None.
Site = tuple[Any, ...]
#: Types that a part of a Site may have. They are hashable, and asking them runs no code of the application.
_PLAIN: Final = frozenset({str, int, type(None)})
#: The time of a record that was logged at zero, in Unix seconds.
_EARLIEST: Final = 1e-6


class Reading(msgspec.Struct, gc=False):
    """What a record says."""

    level: str
    message: str
    #: Unix seconds; None if the record has no time that can be one.
    created: float | None
    site: Site
    error_type: str | UnsetType
    stack_trace: str | Trace | UnsetType
    exception: BaseException | None
    #: The user's fields, under names that are exact text.
    fields: dict[str, Any]


def read(record: logging.LogRecord, formatter: logging.Formatter | None, secret: Redactor, max_bytes: int) -> Reading:
    """Take the record apart.

    Raises whatever the application's code raises where no part of the record can be saved, and for objects that are no
    records.

    Args:
        record: the record, which is not changed.
        formatter: makes the message, unless the message is a dict or the formatter fails. None: the record makes it.
        secret: whether the value under a name must be masked.
        max_bytes: longest message, in characters.
    """
    try:
        # Most records with an exception come straight from their logger, which is told here without a call.
        original = record.args is not None and not record.exc_text and not record.stack_info and record.name != WARNINGS
    except Exception:  # noqa: BLE001 - an attribute is missing, or is a property of the application
        original = False
    if not original:
        record = restored(record)
    # Most records have no fields of the user, which is told here without a call.
    fields: dict[str, Any] = {} if record.__dict__.keys() <= STANDARD else user_fields(record)
    exc_info: Any = getattr(record, "exc_info", None)
    msg: Any = getattr(record, "msg", None)
    if issubclass(type(msg), dict):
        if fields.keys() >= _STRUCTLOG:
            fields = {name: value for name, value in fields.items() if name not in _STRUCTLOG}
        # `_logger`: structlog is on its way to a ProcessorFormatter, and its chain is on the stack.
        in_chain = renamed_event(sys._getframe()) if "_logger" in record.__dict__ else None
        renamed = msg.renamed if type(msg) is Event else in_chain
        message, structured = _taken_apart(msg, renamed, secret, max_bytes)
        asked = take_stack_info(structured, sys._getframe())
        given = structured.get("exc_info")
        if given is None or issubclass(type(given), int | tuple | BaseException):
            # The logging functions take these as `exc_info`. Anything else is a field like others.
            structured.pop("exc_info", None)
            exc_info = given if isinstance(given, BaseException) else given or exc_info
        if getattr(record, "args", None):
            add_beside(structured, {"args": record.args})
        add_beside(structured, fields)
        fields = structured
    else:
        asked = None
        message = _message(record, formatter, fields)
    exception, tb = _exception(exc_info)
    stack_info = getattr(record, "stack_info", None)
    attributes = record.__dict__
    # Asked without a call, for the sake of records with an exception.
    if "taskName" in attributes and attributes["taskName"] is not None:
        task = task_name(attributes["taskName"])
        if task is not None:
            add_beside(fields, {TASK: task})
    get = attributes.get
    path, line, function = get("pathname"), get("lineno"), get("funcName")
    # The place of an exception is where it was raised.
    if (exception is None or stack_info) and is_passing(path):
        caller, _ = application_frame(sys._getframe())
        if caller is not None:
            path, line, function = caller.f_code.co_filename, caller.f_lineno, caller.f_code.co_name
            stack_info = printed_stack(caller) if stack_info else stack_info
    stack = without_hidden(stack_info) if isinstance(stack_info, str) else asked or take_stack(fields)
    trace = None if exception is None else Trace(exception, tb, stack)
    if trace is not None and trace.frame is not None:
        code, line = trace.frame
        path, function = code.co_filename, code.co_name
    rendered = _rendered(record, fields, trace)
    if rendered is not None and rendered.site is not None:
        path, line, function = rendered.site
    site: Site = (path, line, function, get("name"), get("threadName"), get("process"))
    if not _PLAIN.issuperset(map(type, site)):
        site = tuple(part if type(part) in _PLAIN else safe_text(part, str) for part in site)
    created = getattr(record, "created", None)
    seconds = _seconds(created)
    if seconds is None:
        add_beside(fields, {"created": created})
    error_type = trace.error_type if trace is not None else rendered and rendered.error_type
    return Reading(
        level_of(getattr(record, "levelno", None)),
        shortened(message, max_bytes),
        seconds,
        site,
        error_type[: TEXT_LIMITS["error_type"]] if error_type else UNSET,
        trace or "\n".join(each for each in (rendered and rendered.text, stack) if each) or UNSET,
        exception,
        fields,
    )


def user_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The attributes of a record that not every record has, under names that are exact text."""
    return text_keys({name: value for name, value in record.__dict__.items() if name not in STANDARD})


def task_name(name: Any) -> str | None:
    """The name of an asyncio task, cut, if a person gave it one.

    asyncio itself numbers tasks, and anyio, on which web frameworks stand, names them after functions inside functions.
    """
    if type(name) is not str or not name or "<locals>" in name:
        return None
    if name.startswith("Task-") and name[len("Task-") :].isdigit():
        return None
    return shortened(name, _MAX_TASK)


def message_of(record: logging.LogRecord) -> str:
    """The template with its arguments put in. Raises what that raises."""
    return record.getMessage()


def template_of(record: logging.LogRecord) -> str:
    """The message before arguments are put in. Raises what `str` of it raises."""
    return str(record.msg)


def level_of(levelno: Any) -> str:
    """The name of a level number; INFO for what is not a number."""
    try:
        return level_name(int(levelno))
    except Exception:  # noqa: BLE001 - a record made by hand can have anything there
        return "INFO"


def as_text(value: Any) -> str:
    """Any object as an exact `str`. Never raises an Exception."""
    # By type: `isinstance` may call a property `__class__`, which is code of the application.
    return str.__str__(value) if issubclass(type(value), str) else safe_text(value, str)


# Messages


def _message(record: logging.LogRecord, formatter: logging.Formatter | None, fields: dict[str, Any]) -> str:
    """The message. If it cannot be made, the template, with the arguments and the error added to the fields."""
    if formatter is not None:
        try:
            # The exception and the stack have a column of their own, so the formatter must not print them.
            bare = copy.copy(record)
            bare.exc_info = bare.exc_text = bare.stack_info = None
            return as_text(guarded(formatter.format, bare))
        except Exception as error:  # noqa: BLE001 - code of the application; the record may still make its message
            add_beside(fields, {"format_error": _described(error)})
    try:
        return as_text(guarded(message_of, record))
    except Exception as error:  # noqa: BLE001 - a broken format string, or code of the application
        add_beside(fields, {"args": getattr(record, "args", None), "format_error": _described(error)})
        return _template(getattr(record, "msg", ""), fields)


def _template(msg: Any, fields: dict[str, Any]) -> str:
    """The message of a record whose arguments do not fit, or whose message has no text: what can be had of it."""
    # By type: `isinstance` may call a property `__class__`, which is code of the application.
    if issubclass(type(msg), str):
        return str.__str__(msg)
    try:
        return as_text(guarded(str, msg))
    except Exception as error:  # noqa: BLE001 - code of the application
        add_beside(fields, {"msg": msg})
        return f"<{type(msg).__name__}, whose str raises {_described(error)}>"


def _taken_apart(
    event: dict[Any, Any], renamed: str | None, secret: Redactor, max_bytes: int
) -> tuple[str, dict[str, Any]]:
    """Message and fields of a record whose `msg` is a dict, as structlog makes them."""
    fields = text_keys(event)
    # structlog's formatter puts these into an event.
    for own, kind in (("_record", logging.LogRecord), ("_from_structlog", bool)):
        if issubclass(type(fields.get(own)), kind):
            del fields[own]
    decode_texts(fields, renamed)
    for name in (renamed, "event", "message", "msg"):
        if name is not None and name in fields:
            return _interpolated(fields.pop(name), fields), fields
    return safe_repr(plain_value(event, secret, max_bytes)), fields


def _interpolated(event: Any, fields: dict[str, Any]) -> str:
    """The event as text, with the arguments put in that structlog left in the field `positional_args`."""
    args = fields.get("positional_args")
    if type(args) is tuple and args and issubclass(type(event), str):
        try:
            message = guarded(message_of, logging.LogRecord("", 0, "", 0, event, args, None))
        except Exception:  # noqa: BLE001 - they do not fit, or structlog put them in already; they stay a field
            return as_text(event)
        del fields["positional_args"]
        return as_text(message)
    return as_text(event)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {safe_text(error, str)}"


# Times and exceptions


def _seconds(created: Any) -> float | None:
    """The time of a record in Unix seconds, converted if it is in milliseconds; None if it cannot be a time.

    Zero, which stopped clocks say, is one microsecond: servers take a zero for no time, and store their present.
    """
    try:
        seconds = float(created)
    except Exception:  # noqa: BLE001 - a record made by hand can have anything there
        return None
    if seconds >= CREATED_AT_LIMIT:
        seconds /= 1000
    return (seconds or _EARLIEST) if 0 <= seconds < CREATED_AT_LIMIT else None


def _exception(exc_info: Any) -> tuple[BaseException | None, TracebackType | None]:
    """The exception that `exc_info` stands for, and its traceback."""
    if isinstance(exc_info, BaseException):
        return exc_info, exc_info.__traceback__
    if exc_info and not (isinstance(exc_info, tuple) and len(exc_info) == 3):
        exc_info = sys.exc_info()
    _, exception, tb = exc_info or (None, None, None)
    if not isinstance(exception, BaseException):
        return None, None
    return exception, tb if isinstance(tb, TracebackType) else exception.__traceback__


def _rendered(record: logging.LogRecord, fields: dict[str, Any], trace: Trace | None) -> Rendered | None:
    """The exception of a record that has it only as text or dicts: from another process, or from structlog."""
    text = getattr(record, "exc_text", None)
    if trace is None and isinstance(text, str) and text:
        return of_text(str.__str__(text))
    given = fields.get("exception")
    rendered = take_exception(fields)
    if trace is None or rendered is None:
        return rendered
    if rendered.error_type != trace.error_type:
        # A different exception from the record's own, which fills the columns: it stays a field.
        fields["exception"] = given
    return None
