"""LogRecord -> LogEntry: the snapshot that is taken inside the logging call.

The usual record takes the short way through `build`: a message, a call site that was seen before, perhaps a
few plain extras. Everything else goes through `_any`, which is slower and takes whatever a record can be.
What a column takes is in `columns`, what JSON makes of a value in `values`, exceptions are in `traces`.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

from msgspec import UNSET, Raw

from .columns import RULES
from .redact import MASK, Redactor
from .schema import CREATED_AT_LIMIT, TEXT_LIMITS, LogEntry, level_name
from .traces import Trace
from .values import Cleaner, clean_text, encode, encode_fields, safe_repr, safe_text, shortened

_BLANK: Final = logging.LogRecord("", 0, "", 0, "", None, None)
#: What every record has; what a Formatter leaves on one is no field of the user's either.
_STANDARD: Final = frozenset(_BLANK.__dict__) | {"message", "asctime", "taskName"}
_WIDTH: Final = len(_BLANK.__dict__)
#: The attribute that a record gets last. Fields of the user's come behind it.
_LAST: Final = next(reversed(_BLANK.__dict__))
#: What structlog puts into a record for its own formatter.
_STRUCTLOG: Final = frozenset({"_logger", "_name", "_record", "_from_structlog"})

#: Call sites and field names that are remembered. A program has fewer; one that makes them up starts over.
_REMEMBERED: Final = 4096

#: Function, file, and the start of `metadata`, of a call site in a thread.
_Site = tuple[str, str, Raw]


class EntryBuilder:
    """Makes entries of records, for one handler.

    Args:
        service: and the next three, what entries say that do not say otherwise. None: no service.
        redact: names of fields whose values are masked in `metadata`.
        max_record_bytes: longer messages are cut here already; the exact cut comes with the encoding.
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
    ) -> None:
        #: Renders `message`, if set.
        self.formatter: logging.Formatter | None = None
        self._service = UNSET if service is None else service
        self._environment = environment
        self._service_version = service_version
        self._log_type = log_type
        self._secret = Redactor(redact)
        self._max_bytes = max_record_bytes
        self._sites: dict[tuple[Any, ...], _Site] = {}
        #: What a field's name means: a column's rule, or whether it is that of a secret.
        self._names: dict[str, Callable[[Any], Any] | bool] = {}

    def build(self, record: logging.LogRecord) -> LogEntry:
        """The record as an entry. Never raises an Exception and leaves the record as it is."""
        try:
            fields = record.__dict__
            if (
                record.exc_info
                or record.exc_text
                or record.stack_info
                or self.formatter is not None
                or type(record.msg) is not str
            ):
                return self._any(record)
            message = record.getMessage()
            created = record.created
            if len(message) > self._max_bytes or not 0 <= created < CREATED_AT_LIMIT:
                return self._any(record)
            key = (
                record.pathname,
                record.lineno,
                record.funcName,
                record.name,
                record.threadName,
                record.process,
            )
            site = self._sites.get(key)
            function, file, metadata = self._see(key) if site is None else site
            entry = LogEntry(
                level_name(record.levelno),
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
            if len(fields) != _WIDTH or next(reversed(fields)) != _LAST:
                self._add_fields(entry, _user_fields(fields), site=key)
            return entry
        except Exception:  # noqa: BLE001 - user code runs in messages; the long way is careful about it
            return self._any(record)

    def loss_entry(self, losses: Mapping[str, int], words: Mapping[str, str], created_at: float) -> LogEntry:
        """The entry that tells the server of lost records, by reason."""
        total = sum(losses.values())
        why = ", ".join(f"{count} because {words.get(reason, reason)}" for reason, count in losses.items())
        return LogEntry(
            "WARN",
            f"{total} log records were lost: {why}",
            created_at,
            self._log_type,
            self._service,
            self._environment,
            self._service_version,
            metadata=Raw(encode({"logger": "logcollector_handler", "lost": dict(losses)})),
        )

    # Fields

    def _add_fields(self, entry: LogEntry, fields: dict[str, Any], site: tuple[Any, ...]) -> None:
        """Put a user's fields into their columns, and the others into `metadata`."""
        rest: dict[str, Any] = {}
        for name, value in fields.items():
            meaning = self._names.get(name)
            if meaning is None:
                meaning = self._learn(name)
            if meaning is False:
                rest[name] = value
            elif meaning is True:
                rest[name] = MASK
            else:
                placed, kept = meaning(value)
                if placed is not UNSET:
                    setattr(entry, name, placed)
                if kept:
                    rest[name] = value
        if "metadata" in rest and isinstance(rest["metadata"], dict):
            inner = Cleaner(self._secret, self._max_bytes).value(rest.pop("metadata"))
            rest = {**inner, **rest}
        if rest:
            entry.metadata = self._metadata(site, rest)

    def _metadata(self, site: tuple[Any, ...], fields: dict[str, Any]) -> Raw:
        start = bytes(self._see(site)[2])
        if "logger" in fields or "line" in fields:
            # The user's have the names now.
            fields = {
                **{name: value for name, value in _origin(site).items() if name not in fields},
                **fields,
            }
            return Raw(encode_fields(fields, self._secret, self._max_bytes))
        return Raw(start[:-1] + b"," + encode_fields(fields, self._secret, self._max_bytes)[1:])

    def _learn(self, name: Any) -> Callable[[Any], Any] | bool:
        if type(name) is not str:
            return False
        meaning: Callable[[Any], Any] | bool = RULES.get(name) or self._secret(name)
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        self._names[name] = meaning
        return meaning

    def _see(self, key: tuple[Any, ...]) -> _Site:
        """What is the same for each record of a call site in a thread."""
        site = self._sites.get(key)
        if site is None:
            path, _, function, *_ = key
            site = (
                _cut(function, TEXT_LIMITS["function_name"]),
                _cut(path, TEXT_LIMITS["file_path"]),
                Raw(encode_fields(_origin(key), self._secret, self._max_bytes)),
            )
            if len(self._sites) >= _REMEMBERED:
                self._sites.clear()
            self._sites[key] = site
        return site

    # Any record at all

    def _any(self, record: logging.LogRecord) -> LogEntry:
        try:
            return self._carefully(record)
        except Exception as error:  # noqa: BLE001 - a record that is none: tell what is left of it
            return LogEntry(
                level_name(record.levelno) if isinstance(getattr(record, "levelno", None), int) else "INFO",
                clean_text(shortened(safe_text(getattr(record, "msg", None), str), self._max_bytes)),
                0.0,
                self._log_type,
                self._service,
                self._environment,
                self._service_version,
                metadata=Raw(encode({"unreadable": type(error).__name__})),
            )

    def _carefully(self, record: logging.LogRecord) -> LogEntry:
        user = _user_fields(record.__dict__)
        exc_info: Any = record.exc_info
        if isinstance(record.msg, dict):
            for name in _STRUCTLOG & user.keys():
                del user[name]
            message, structured = _taken_apart(record.msg)
            exc_info = structured.pop("exc_info", None) or exc_info
            user.update(structured)
        else:
            message = self._message(record, user)
        trace, stack_trace = _trace(exc_info, record)
        path, line, function = record.pathname, record.lineno, record.funcName
        if trace is not None and trace.frame is not None:
            code, line = trace.frame
            path, function = code.co_filename, code.co_name
        key = (path, line, function, record.name, record.threadName, record.process)
        try:
            site = self._see(key)
        except TypeError:  # A hand-made record can hold what cannot be a key.
            key = tuple(each if isinstance(each, str | int | None) else safe_repr(each) for each in key)
            site = self._see(key)
        level, created = record.levelno, record.created
        usable = isinstance(created, int | float) and 0 <= created < CREATED_AT_LIMIT
        entry = LogEntry(
            level_name(level) if isinstance(level, int) else "INFO",
            shortened(message, self._max_bytes),
            float(created) if usable else 0.0,
            self._log_type,
            self._service,
            self._environment,
            self._service_version,
            *site,
        )
        if not usable:
            user.setdefault("created", created)
        if trace is not None:
            entry.error_type = _cut(trace.error_type, TEXT_LIMITS["error_type"])
        if stack_trace:
            entry.stack_trace = stack_trace
        if user:
            self._add_fields(entry, user, site=key)
        return entry

    def _message(self, record: logging.LogRecord, user: dict[str, Any]) -> str:
        """The message; of one that cannot be made, the template, and its arguments as a field."""
        try:
            if self.formatter is not None:
                bare = copy.copy(record)
                bare.exc_info = bare.exc_text = bare.stack_info = None
                return self.formatter.format(bare)
            if type(record.msg) is not str:
                return safe_text(record.msg, str) if not record.args else record.getMessage()
            return record.getMessage()
        except Exception as error:  # noqa: BLE001 - a broken format string, or code of the application
            user.setdefault("args", record.args)
            user.setdefault("format_error", f"{type(error).__name__}: {safe_text(error, str)}")
            return safe_text(record.msg, str) if type(record.msg) is not str else record.msg


def _user_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """What was put on the record beyond what every record has."""
    behind = islice(fields.items(), _WIDTH - 1, None)
    last, _ = next(behind, ("", None))
    # Where an attribute is missing or in another place, what stands behind it says nothing.
    candidates = behind if last == _LAST else fields.items()
    return {name: value for name, value in candidates if name not in _STANDARD}


def _taken_apart(event: dict[Any, Any]) -> tuple[str, dict[str, Any]]:
    """A dict as `msg` (structlog's way): its event is the message, its other items are fields."""
    fields = {
        key if type(key) is str else safe_text(key, str): value for key, value in event.items() if key not in _STRUCTLOG
    }
    for name in ("event", "message", "msg"):
        if name in fields:
            text = fields.pop(name)
            return text if isinstance(text, str) else safe_text(text, str), fields
    return safe_repr(event), fields


def _trace(exc_info: Any, record: logging.LogRecord) -> tuple[Trace | None, Trace | str | None]:
    """The exception of a record, captured; and what goes into `stack_trace`."""
    tail = record.stack_info if isinstance(record.stack_info, str) else None
    if exc_info:
        if isinstance(exc_info, BaseException):
            exception, tb = exc_info, exc_info.__traceback__
        elif isinstance(exc_info, tuple) and len(exc_info) == 3:
            _, exception, tb = exc_info
        else:
            _, exception, tb = sys.exc_info()
        if isinstance(exception, BaseException):
            try:
                trace = Trace(exception, tb, tail)
            except Exception:  # noqa: BLE001 - code of the exception's class ran in there
                text = f"{type(exception).__name__}: {safe_text(exception, str)}"
                return None, text if tail is None else f"{text}\n{tail}"
            return trace, trace
    text = record.exc_text if isinstance(record.exc_text, str) else None
    return None, "\n".join(filter(None, (text, tail))) or None


def _origin(key: tuple[Any, ...]) -> dict[str, Any]:
    _, line, _, logger, thread, process = key
    return {"logger": logger, "line": line, "process": process, "thread": thread}


def _cut(text: Any, limit: int) -> Any:
    if text is None:
        return UNSET
    return (text if isinstance(text, str) else safe_text(text, str))[:limit]
