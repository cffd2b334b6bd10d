"""LogRecord -> LogEntry: the snapshot that is taken inside the logging call.

The usual record takes the short way through `build`: a message, a call site that was seen before, perhaps a
few plain extras. Everything else goes through `_any`, which is slower and takes whatever a record can be.
Where fields go is in `fields`, what JSON makes of a value in `values`, exceptions are in `traces`.
"""

from __future__ import annotations

import copy
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from types import TracebackType
from typing import Any, Final

from msgspec import UNSET, Raw
from msgspec.json import decode


from .bound import Bound
from .fields import FieldPlacer
from .model import CREATED_AT_LIMIT, TEXT_LIMITS, Entry, LogEntry, level_name
from .redact import Redactor
from .rendered import Rendered, of_text, take_exception, take_stack
from .traceback import Trace
from .values import Cleaner, clean_text, encode, encode_fields, guarded, safe_repr, safe_text, shortened, text_keys

_BLANK: Final = logging.LogRecord("", 0, "", 0, "", None, None)
#: What every record has; what a Formatter leaves on one is no field of the user's either.
STANDARD: Final = frozenset(_BLANK.__dict__) | {"message", "asctime"}
_WIDTH: Final = len(_BLANK.__dict__)
#: A record's attributes, read in two calls: what `_Key` is made of; what else an entry is made of, and with
#: these, for a KeyError when one is missing, the others.
_KEY: Final = ("pathname", "lineno", "funcName", "name", "threadName", "process")
_READ: Final = ("msg", "args", "exc_info", "exc_text", "stack_info", "created", "levelno")
_NEEDED: Final = len(_READ)
_key_of: Final = itemgetter(*_KEY)
_rest_of: Final = itemgetter(*_READ, *(_BLANK.__dict__.keys() - {*_KEY, *_READ}))
#: Where OpenTelemetry is if it is in use. Every record asks, so it asks here and does not call for nothing.
_modules: Final = sys.modules
#: The usual levels; asking is quicker than reckoning.
_LEVELS: Final = {number: level_name(number) for number in (10, 20, 30, 40, 50)}
#: Names under which structlog's processors leave an exception or a stack that they made text of.
_RENDERED: Final = frozenset({"exception", "stack"})
_UNUSUAL: Final = STANDARD | _RENDERED
#: What structlog puts into a record for its own formatter.
_STRUCTLOG: Final = frozenset({"_logger", "_name", "_record", "_from_structlog"})

#: Call sites that are remembered. A program has fewer; one that makes them up starts over.
_REMEMBERED: Final = 4096

#: Path, line and function of a call site; logger, thread and process.
_Key = tuple[Any, ...]
#: Of a call site in a thread: what the format made of the common part; else function, file, and what every `metadata` from there
#: begins with, encoded, for when that is all, and as a dict.
_Site = tuple[Any, Any, Any, Raw, dict[str, Any]]

#: Arguments of a message that run no code of the application, which could log and so come back here.
_HARMLESS: Final = frozenset({str, int, float, bool, type(None)})
#: CREATED_AT_LIMIT as what it is compared with.
_TOO_LATE: Final = float(CREATED_AT_LIMIT)


class EntryBuilder:
    """Makes entries of records, for one handler.

    Args:
        service: and the next three, what entries say that do not say otherwise. None: no service.
        redact: names of fields whose values are masked in `metadata`.
        site_entry: makes an entry of a record without fields of its own; and
        common: what the format makes of the rest of it, once for each call site. See `wire.format`.
        max_record_bytes: longer messages are cut here already; the exact cut comes with the encoding.
        bound: tells what is bound where the caller is; the fields of the call win over it.
        span: tells `trace_id` and `span_id` of where the caller is; what is bound wins over it.
    """

    def __init__(
        self,
        *,
        service: str | None,
        environment: str,
        service_version: str,
        log_type: str,
        redact: Iterable[str],
        max_record_bytes: int,
        site_entry: Callable[[str, str, float, Any], Entry],
        common: Callable[[LogEntry], Any],
        bound: Callable[[], Bound | None] = lambda: None,
        span: Callable[[], dict[str, str] | None] = lambda: None,
    ) -> None:
        #: Renders `message`, if set.
        self.formatter: logging.Formatter | None = None
        self._service = UNSET if service is None else service
        self._environment = environment
        self._service_version = service_version
        self._log_type = log_type
        self._secret = Redactor(redact)
        self._max_bytes = max_record_bytes
        self._site_entry = site_entry
        self._common = common
        self._bound = bound
        self._span = span
        self._sites: dict[_Key, _Site] = {}
        self._placer = FieldPlacer(self._secret, max_record_bytes)
        self._add_fields, self._fill = self._placer.add, self._placer.fill

    def build(self, record: logging.LogRecord) -> Entry:
        """The record as an entry. Never raises an Exception and leaves the record as it is."""
        try:
            fields = record.__dict__
            msg, args, exc_info, exc_text, stack_info, created, levelno = _rest_of(fields)[:_NEEDED]
            if exc_info or exc_text or stack_info or self.formatter is not None or type(msg) is not str:
                return self._any(record)
            for each in args if type(args) is tuple else (args,):
                if type(each) not in _HARMLESS:
                    message = guarded(_message_of, record)
                    break
            else:
                message = record.getMessage()
            if (
                type(message) is not str
                or len(message) > self._max_bytes
                or type(created) is not float
                or not 0.0 <= created < _TOO_LATE
            ):
                return self._any(record)
            key = _key_of(fields)
            rest, function, file, metadata, origin = self._sites.get(key) or self._see(key)
            level = _LEVELS.get(levelno) or level_name(levelno)
            bound = self._bound()
            span = self._span() if "opentelemetry.trace" in _modules else None
            unbound = bound is None and span is None
            if unbound and len(fields) == _WIDTH:
                return self._site_entry(level, message, created, rest)
            # As `_entry` does, without a call for each record.
            entry = LogEntry(
                level,
                message,
                created,
                self._log_type,
                self._service,
                self._environment,
                self._service_version,
                function,
                file,
                metadata,
            )
            if unbound:
                # None of the record's own is missing, so these are the user's, unless one of its own is among them.
                names = [*fields][_WIDTH:]
                if _UNUSUAL.isdisjoint(names):
                    self._add_fields(entry, origin, fields, names)
                    return entry
            user = {} if len(fields) == _WIDTH else _user_fields(record)
            if not _RENDERED.isdisjoint(user):
                return self._any(record)
            self._fill(entry, origin, user, bound, span)
            return entry
        except Exception:  # noqa: BLE001 - user code runs in messages; the long way is careful about it
            return self._any(record)

    def loss_entry(self, losses: Mapping[str, int], words: Mapping[str, str], created_at: float) -> LogEntry:
        """The entry that tells the server of lost records, by reason."""
        total = sum(losses.values())
        why = ", ".join(f"{count} because {words.get(reason, reason)}" for reason, count in losses.items())
        return self._entry(
            "WARN",
            f"{total} log records were lost: {why}",
            created_at,
            Raw(encode({"logger": "logcollector_handler", "lost": dict(losses)})),
        )

    def _entry(
        self, level: str, message: str, created_at: float, metadata: Raw, function: Any = UNSET, file: Any = UNSET
    ) -> LogEntry:
        return LogEntry(
            level,
            message,
            created_at,
            self._log_type,
            self._service,
            self._environment,
            self._service_version,
            function,
            file,
            metadata,
        )

    # Call sites

    def _see(self, key: _Key) -> _Site:
        """What is the same for each record of a call site in a thread."""
        site = self._sites.get(key)
        if site is None:
            path, _, function, *_ = key
            function = _cut(function, TEXT_LIMITS["function_name"])
            file = _cut(path, TEXT_LIMITS["file_path"])
            origin = encode_fields(_origin(key), self._secret, self._max_bytes)
            metadata = Raw(origin)
            rest = self._common(self._entry("", "", 0.0, metadata, function, file))
            site = (rest, function, file, metadata, decode(origin))
            if len(self._sites) >= _REMEMBERED:
                self._sites.clear()
            self._sites[key] = site
        return site

    # Any record at all

    def _any(self, record: logging.LogRecord) -> LogEntry:
        try:
            return self._carefully(record)
        except Exception as error:  # noqa: BLE001 - a record that is none: tell what is left of it
            return self._entry(
                _level(getattr(record, "__dict__", {}).get("levelno")),
                clean_text(safe_text(record, _template)),
                time.time(),
                Raw(encode({"unreadable": type(error).__name__})),
            )

    def _carefully(self, record: logging.LogRecord) -> LogEntry:
        user = _user_fields(record)
        exc_info: Any = getattr(record, "exc_info", None)
        msg: Any = getattr(record, "msg", None)
        if issubclass(type(msg), dict):
            for name in _STRUCTLOG & user.keys():
                del user[name]
            message, structured = self._taken_apart(msg)
            given = structured.get("exc_info")
            if given is None or issubclass(type(given), int | tuple | BaseException):
                # What the logging functions take under that name; anything else is a field like others.
                structured.pop("exc_info", None)
                exc_info = given if isinstance(given, BaseException) else given or exc_info
            user.update(structured)
            if getattr(record, "args", None):
                user.setdefault("args", record.args)
        else:
            message = self._message(record, user)
        exception, tb = _exception(exc_info)
        stack_info = getattr(record, "stack_info", None)
        tail = stack_info if isinstance(stack_info, str) else take_stack(user)
        trace = None if exception is None else Trace(exception, tb, tail)
        get = record.__dict__.get
        path, line, function = get("pathname"), get("lineno"), get("funcName")
        if trace is not None and trace.frame is not None:
            code, line = trace.frame
            path, function = code.co_filename, code.co_name
        rendered = self._rendered(record, user, trace)
        if rendered is not None and rendered.site is not None:
            path, line, function = rendered.site
        key: _Key = (path, line, function, get("name"), get("threadName"), get("process"))
        if not _PLAIN.issuperset(map(type, key)):
            key = tuple(each if type(each) in _PLAIN else safe_text(each, str) for each in key)
        created = getattr(record, "created", None)
        seconds = _seconds(created)
        if seconds is None:
            user.setdefault("created", created)
        _, function, file, metadata, origin = self._see(key)
        entry = self._entry(
            _level(getattr(record, "levelno", None)),
            shortened(message, self._max_bytes),
            time.time() if seconds is None else seconds,
            metadata,
            function,
            file,
        )
        if trace is not None:
            entry.error_type = trace.error_type[: TEXT_LIMITS["error_type"]]
            entry.stack_trace = trace
        else:
            if rendered is not None and rendered.error_type:
                entry.error_type = rendered.error_type[: TEXT_LIMITS["error_type"]]
            text = "\n".join(each for each in (rendered and rendered.text, tail) if each)
            entry.stack_trace = text or UNSET
        self._fill(entry, origin, user, self._bound(), self._span())
        return entry

    def _rendered(self, record: logging.LogRecord, user: dict[str, Any], trace: Trace | None) -> Rendered | None:
        """The exception of a record that comes with its text only, as from another process or from structlog."""
        text = getattr(record, "exc_text", None)
        if trace is None and isinstance(text, str) and text:
            return of_text(str.__str__(text))
        given = user.get("exception")
        rendered = take_exception(user)
        if trace is None or rendered is None:
            return rendered
        if rendered.error_type != trace.error_type:
            # Of another exception than the record's own, which has the columns.
            user["exception"] = given
        return None

    def _message(self, record: logging.LogRecord, user: dict[str, Any]) -> str:
        """The message; of one that cannot be made, the template, and its arguments as a field."""
        if self.formatter is not None:
            try:
                bare = copy.copy(record)
                bare.exc_info = bare.exc_text = bare.stack_info = None
                return _as_text(guarded(self.formatter.format, bare))
            except Exception as error:  # noqa: BLE001 - code of the application; the message may still be good
                user.setdefault("format_error", _described(error))
        try:
            return _as_text(guarded(_message_of, record))
        except Exception as error:  # noqa: BLE001 - a broken format string, or code of the application
            user.setdefault("args", getattr(record, "args", None))
            user.setdefault("format_error", _described(error))
            return safe_text(record, _template) if type(record.msg) is not str else record.msg

    def _taken_apart(self, event: dict[Any, Any]) -> tuple[str, dict[str, Any]]:
        """A dict as `msg` (structlog's way): its event is the message, its other items are fields."""
        fields = {name: value for name, value in text_keys(event).items() if name not in _STRUCTLOG}
        for name in ("event", "message", "msg"):
            if name in fields:
                return self._interpolated(fields.pop(name), fields), fields
        return safe_repr(Cleaner(self._secret, self._max_bytes).value(event)), fields

    def _interpolated(self, event: Any, fields: dict[str, Any]) -> str:
        """The event as text, with the arguments of the call that structlog left for later put in."""
        args = fields.get("positional_args")
        if type(args) is tuple and args and issubclass(type(event), str):
            try:
                message = guarded(_message_of, logging.LogRecord("", 0, "", 0, event, args, None))
            except Exception:  # noqa: BLE001 - they are in it already, or do not fit; they stay a field
                return _as_text(event)
            del fields["positional_args"]
            return _as_text(message)
        return _as_text(event)


#: What a part of a _Key may be.
_PLAIN: Final = frozenset({str, int, type(None)})


def _user_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was put on the record beyond what every record has, under names that are text."""
    return text_keys({name: value for name, value in record.__dict__.items() if name not in STANDARD})


def _message_of(record: logging.LogRecord) -> str:
    return record.getMessage()


def _template(record: logging.LogRecord) -> str:
    return str(record.msg)


def _as_text(value: Any) -> str:
    # By type: `isinstance` asks an object for its class, and that is code of the application.
    return str.__str__(value) if issubclass(type(value), str) else safe_text(value, str)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {safe_text(error, str)}"


def _level(level: Any) -> str:
    try:
        return level_name(int(level))
    except Exception:  # noqa: BLE001 - a record made by hand can have any
        return "INFO"


def _seconds(created: Any) -> float | None:
    """The time of a record in Unix seconds, if it can be one; milliseconds are taken for what they are."""
    try:
        seconds = float(created)
    except Exception:  # noqa: BLE001 - a record made by hand can have any
        return None
    if seconds >= CREATED_AT_LIMIT:
        seconds /= 1000
    return seconds if 0 <= seconds < CREATED_AT_LIMIT else None


def _exception(exc_info: Any) -> tuple[BaseException | None, TracebackType | None]:
    """The exception that `exc_info` stands for, and where it was raised."""
    if isinstance(exc_info, BaseException):
        return exc_info, exc_info.__traceback__
    if exc_info and not (isinstance(exc_info, tuple) and len(exc_info) == 3):
        exc_info = sys.exc_info()
    _, exception, tb = exc_info or (None, None, None)
    if not isinstance(exception, BaseException):
        return None, None
    return exception, tb if isinstance(tb, TracebackType) else exception.__traceback__


def _origin(key: _Key) -> dict[str, Any]:
    _, line, _, logger, thread, process = key
    return {"logger": logger, "line": line, "process": process, "thread": thread}


def _cut(text: Any, limit: int) -> Any:
    return UNSET if text is None else _as_text(text)[:limit]
