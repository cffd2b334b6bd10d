"""What is known of the loggers of web frameworks, servers and task queues.

Two things follow from a logger's name. Its access lines are read into fields, in `access_lines`. And a failure that was
shipped at ERROR already, by another record, is shipped at INFO when one of these loggers, or one of ours, repeats it:

- the record has an exception that another record has shipped at ERROR for the same failure (see `known`);
- it has none, and says how a request was answered in which another record was shipped at ERROR with an exception;
- it is text, and our integration, if its logger is enabled, logs the same failure with its exception (`told_by_us`).

Records of the application's own loggers are never changed.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from msgspec import UnsetType

from .access_lines import READERS
from .bound import Bound
from .known import is_repeat

#: Loggers that say how a request, a task or a job ended. Ours are the first three.
_ENDS: Final = frozenset(
    {
        "logcollector.access",
        "logcollector.task",
        "logcollector.job",
        "django.request",
        "uvicorn.error",
        "gunicorn.error",
        "hypercorn.error",
        "waitress",
        "celery.app.trace",
        "celery.worker.request",
        "rq.worker",
    }
)
#: Those that say how a request was answered, in the request itself. Applications log to some of the others, too.
_ANSWERS: Final = frozenset({"logcollector.access", "django.request"})
#: Loggers whose records need more than others. `EntryBuilder` looks here at a name that it has not met before.
SPECIAL: Final = _ENDS | READERS.keys()

#: By logger: how messages begin that repeat what an integration in use logs, and its logger.
_told: dict[str, tuple[tuple[str, ...], logging.Logger]] = {}


def told_by_us(ours: logging.Logger, logger: str, *beginnings: str) -> None:
    """From now on, messages of a logger that begin so repeat what one of our integrations logs to `ours`."""
    _told[logger] = beginnings, ours


def told_level(
    handler: object,
    level: str,
    record: logging.LogRecord,
    error: BaseException | None,
    error_type: str | UnsetType,
    bound: Bound | None,
) -> str:
    """The level to ship a record at that has an exception, or is of a logger in SPECIAL. Raises no Exception.

    Args:
        handler: identifies the handler that ships it.
        level: the record's own.
        record: the record.
        error: its exception; None also if it has one as text alone, as structlog may make it.
        error_type: the name of the exception's class.
        bound: what is bound where it is logged.
    """
    if level not in ("ERROR", "FATAL"):
        return level
    if error is None and error_type:
        error = _handled(error_type)
    get = record.__dict__.get
    ends, answers, request = get("name") in _ENDS, get("name") in _ANSWERS, None if bound is None else bound.request
    stamp = (get("name"), get("created"), get("thread"))
    if error is not None:
        number = None if request is None else request.number
        repeats = is_repeat(_unwrapped(error), stamp, handler, number, framework=ends)
    else:
        repeats = answers and request is not None and request.failures.get(handler, stamp) != stamp
    if ends and (repeats or _is_told(record)):
        return "INFO"
    if request is not None and (answers or error is not None):
        request.failures[handler] = stamp
    return level


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What an access line says, as fields; none for other records."""
    try:
        reader = READERS.get(record.name)
        if reader is None:
            return {}
        return {name: value for name, value in reader(record).items() if value not in (None, "")}
    except Exception:  # noqa: BLE001 - the application has given the line a form of its own
        return {}


def _handled(error_type: str) -> BaseException | None:
    """The exception of this class that the application is handling now."""
    error = sys.exc_info()[1]
    return error if type(error).__name__ == error_type else None


def _unwrapped(error: BaseException) -> BaseException:
    """The exception in one that Celery's pool has put around it, for its text."""
    inner = error.__dict__.get("exc") if type(error).__name__ == "ExceptionWithTraceback" else None
    return inner if isinstance(inner, BaseException) else error


def _is_told(record: logging.LogRecord) -> bool:
    beginnings, ours = _told.get(record.name, ((), None))
    # `dictConfig` disables the loggers that are there before it, unless it is told not to.
    can_tell = ours is not None and ours.isEnabledFor(logging.ERROR)
    return can_tell and type(record.msg) is str and record.msg.startswith(beginnings)
