"""LogRecord -> entry: the snapshot that is taken inside the logging call.

`build` is the hot path. The usual record needs nothing else: a message, a call site that was seen before, perhaps a
few plain fields. It therefore makes entries in place, without helpers that would cost a call each. All other records
go through `_any`, which takes whatever a record can be, at a price.

Where fields go is decided in `fields`, what JSON makes of a value in `values`. Unusual records are taken apart in
`record`, exceptions captured in `traceback`.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from sys import getsizeof
from typing import Any, Final

from msgspec import UNSET, Raw
from msgspec.json import decode

from .bound import Bound
from .caller import is_passing
from .encoding import encode_fields
from .fields import FieldPlacer
from .frameworks import SPECIAL, fields_of, told_level
from .memory import make_room
from .model import CREATED_AT_LIMIT, ORIGIN, TEXT_LIMITS, Entry, LogEntry, level_name
from .record import STANDARD, TASK, Site, as_text, level_of, message_of, read, task_name, template_of, user_fields
from .redact import Redactor
from .restored import PRINTED, WARNINGS
from .text import clean_text, guarded, safe_text
from .traceback import Trace
from .walk import encode

_BLANK: Final = logging.LogRecord("", 0, "", 0, "", None, None)
_WIDTH: Final = len(_BLANK.__dict__)
#: `build` reads a record's attributes in two calls. The first takes those that a Site is made of.
_SITE: Final = ("pathname", "lineno", "funcName", "name", "threadName", "process")
#: The name of the asyncio task. Records have it from Python 3.12 on; before that this one stands in, which is empty in
#: the records that `build` reads itself.
_TASK: Final = "taskName" if "taskName" in _BLANK.__dict__ else "exc_text"
#: The second takes these, which differ from record to record, and with them all others that every record has: so it
#: raises a KeyError when one of those is missing, and the record is left to `_any`.
_READ: Final = ("msg", "args", "exc_info", "exc_text", "stack_info", "created", "levelno", _TASK)
_NEEDED: Final = len(_READ)
_LOGGER: Final = _SITE.index("name")
#: Loggers whose records need more than others.
_SPECIAL: Final = SPECIAL | {WARNINGS}
_site_of: Final = itemgetter(*_SITE)
_rest_of: Final = itemgetter(*_READ, *(_BLANK.__dict__.keys() - {*_SITE, *_READ}))
#: Holds `opentelemetry.trace` if the application uses it. Looked up here, to save a call where it does not.
_modules: Final = sys.modules
#: The usual levels. Looking one up is faster than `level_name`.
_LEVELS: Final = {number: level_name(number) for number in (10, 20, 30, 40, 50)}
#: Fields in which structlog's processors leave an exception or a stack that they made text of.
_RENDERED: Final = frozenset({"exception", "stack"})
_UNUSUAL: Final = STANDARD | _RENDERED

#: Pairs of a call site and a thread that are remembered. Each takes about 1 KB.
_REMEMBERED: Final = 20_480

#: What is remembered of a Site: the format's `site_entry`, which is faster to get from here than from the builder; the
#: common part as the format made it; function and file; and what `metadata` says of every record from there, as JSON
#: and as a dict.
_Common = tuple[Callable[[str, str, float, Any], Entry], Any, Any, Any, Raw, dict[str, Any]]

#: Types of arguments that can be put into a message without running code of the application. Such code could log,
#: and so come back here.
_HARMLESS: Final = frozenset({str, int, float, bool, type(None)})
#: A float, like the times that it is compared with.
_TOO_LATE: Final = float(CREATED_AT_LIMIT)


class EntryBuilder:
    """Makes entries of records, for one handler.

    Args:
        service: the value of that column for records that do not give another; None leaves it out.
        environment: the same for that column.
        service_version: the same for that column.
        log_type: the same for that column.
        redact: names of fields whose values are masked in `metadata`.
        max_record_bytes: a message of more characters is cut here, roughly; encoding cuts the record exactly.
        usual_length: messages of more characters, and fields of more in all, are weighed for `reserve`, see `build`.
        site_entry: makes an entry of level, message, time and a common part, for a record without fields of its own.
        common: makes the common part of all records of a call site, from one of them. Both are the format's.
        bound: returns the fields that are bound where it is called. The fields of the record win over them.
        more_bound: returns what to call instead of `bound` from then on, None to stay with it. Asked at each new call
            site, so that what it looks for costs other records nothing.
        span: returns `trace_id` and `span_id` of the current span. The bound fields win over them.
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
        usual_length: int,
        site_entry: Callable[[str, str, float, Any], Entry],
        common: Callable[[LogEntry], Any],
        bound: Callable[[], Bound | None] = lambda: None,
        more_bound: Callable[[], Callable[[], Bound | None] | None] = lambda: None,
        span: Callable[[], dict[str, str] | None] = lambda: None,
    ) -> None:
        self._formatter: logging.Formatter | None = None
        self._service = UNSET if service is None else service
        self._environment = environment
        self._service_version = service_version
        self._log_type = log_type
        self._secret = Redactor(redact)
        self._max_bytes = max_record_bytes
        # A longer message is cut by `_any`, so it must be noticed.
        self._usual_length = min(usual_length, max_record_bytes)
        self._site_entry = site_entry
        self._common = common
        self._bound = bound
        self._more_bound = more_bound
        self._span = span
        self._sites: dict[Site, _Common] = {}
        self._placer = FieldPlacer(self._secret, max_record_bytes, usual_length)
        self._add_fields, self._fill = self._placer.add, self._placer.fill

    def use_formatter(self, formatter: logging.Formatter | None) -> None:
        """Let a formatter make the messages from now on; None: the records make them."""
        self._formatter = formatter

    def build(self, record: logging.LogRecord, reserve: Callable[[int], None] = lambda size: None) -> Entry:
        """The record as an entry. Never raises an Exception, and does not change the record.

        Args:
            record: the record.
            reserve: called with the size in bytes of each part of the entry that is larger than usual: its message, its
                fields, its exception.
        """
        try:
            fields = record.__dict__
            msg, args, exc_info, exc_text, stack_info, created, levelno, task = _rest_of(fields)[:_NEEDED]
            if exc_info or exc_text or stack_info or self._formatter is not None or type(msg) is not str:
                return self._any(record, reserve)
            for each in args if type(args) is tuple else (args,):
                if type(each) not in _HARMLESS:
                    message = guarded(message_of, record)
                    break
            else:
                message = record.getMessage()
            if type(message) is not str or type(created) is not float or not 0.0 < created < _TOO_LATE:
                return self._any(record, reserve)
            site = _site_of(fields)
            metadata: Raw | dict[str, Any]
            site_entry, rest, function, file, metadata, origin = self._sites.get(site) or self._see_usual(site)
            level = _LEVELS.get(levelno) or level_name(levelno)
            bound = self._bound()
            span = self._span() if "opentelemetry.trace" in _modules else None
            if task and (task := task_name(task)):
                metadata = origin = {**origin, TASK: task}
            if len(message) > self._usual_length:
                if len(message) > self._max_bytes:
                    return self._any(record, reserve)
                reserve(getsizeof(message))
            if not (task or bound or span) and len(fields) == _WIDTH:
                return site_entry(level, message, created, rest)
            # What `_entry` does, without the cost of calling it.
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
            if not (bound or span):
                # Every record's attributes usually come first, and none is missing. So these are the user's, unless
                # one of every record's is among them.
                names = [*fields][_WIDTH:]
                if _UNUSUAL.isdisjoint(names):
                    self._add_fields(entry, origin, fields, names, reserve)
                    return entry
            user = {} if len(fields) == _WIDTH else user_fields(record)
            if not _RENDERED.isdisjoint(user) or (args is None and PRINTED in message):
                return self._any(record, reserve)
            self._fill(entry, origin, user, bound, span, reserve)
            return entry
        except Exception:  # noqa: BLE001 - the application's code ran in the message; `_any` is careful about it
            return self._any(record, reserve)

    def loss_entry(self, losses: Mapping[str, int], words: Mapping[str, str], created_at: float) -> LogEntry:
        """An entry that says how many records were lost, and why.

        Args:
            losses: number of lost records by reason.
            words: how to say a reason; one that is not in there is said as it is.
            created_at: its time, in Unix seconds.
        """
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

    def _see_usual(self, site: Site) -> _Common:
        if site[_LOGGER] in _SPECIAL or is_passing(site[0]):
            raise _SpecialError
        return self._see(site)

    def _see(self, site: Site) -> _Common:
        """What all records of a call site in a thread have in common."""
        # `build` must not find those that it has to leave to `_any`.
        key = (site,) if site[_LOGGER] in _SPECIAL else site
        common = self._sites.get(key)
        if common is None:
            self._bound = self._more_bound() or self._bound
            path, _, function, *_ = site
            function = _cut(function, TEXT_LIMITS["function_name"])
            file = _cut(path, TEXT_LIMITS["file_path"])
            origin = encode_fields(_origin(site), self._secret, self._max_bytes)
            metadata = Raw(origin)
            rest = self._common(self._entry("", "", 0.0, metadata, function, file))
            common = (self._site_entry, rest, function, file, metadata, decode(origin))
            # Each warning, and each call that another package passes on, has a call site of its own.
            if site[_LOGGER] != WARNINGS and not is_passing(path):
                make_room(self._sites, _REMEMBERED)
                self._sites[key] = common
        return common

    # Any record at all

    def _any(self, record: logging.LogRecord, reserve: Callable[[int], None]) -> LogEntry:
        try:
            reading = read(record, self._formatter, self._secret, self._max_bytes)
            _, _, function, file, metadata, origin = self._see(reading.site)
            created = time.time() if reading.created is None else reading.created
            bound = self._bound()
            special = reading.site[_LOGGER] in SPECIAL
            if special or (bound is not None and reading.error_type is not UNSET):
                error, kind = reading.exception, reading.error_type
                reading.level = told_level(id(self), reading.level, record, error, kind, bound)
                if special:
                    reading.fields = {**fields_of(record), **reading.fields}
            entry = self._entry(reading.level, reading.message, created, metadata, function, file)
            entry.error_type = reading.error_type
            entry.stack_trace = reading.stack_trace
            trace = reading.stack_trace
            size = getsizeof(reading.message) + (trace.size if isinstance(trace, Trace) else getsizeof(trace))
            if size > self._usual_length:
                reserve(size)
            self._fill(entry, origin, reading.fields, bound, self._span(), reserve)
            return entry
        except Exception as error:  # noqa: BLE001 - not a record at all; the entry says what can be read of it
            return self._entry(
                level_of(getattr(record, "__dict__", {}).get("levelno")),
                clean_text(safe_text(record, template_of)),
                time.time(),
                Raw(encode({"unreadable": type(error).__name__})),
            )


class _SpecialError(Exception):
    """`_any` makes the entry: the logger's records need more, or name a place that is not the application's."""


def _origin(site: Site) -> dict[str, Any]:
    _, line, _, logger, thread, process = site
    return dict(zip(ORIGIN, (logger, line, process, thread), strict=True))


def _cut(text: Any, limit: int) -> Any:
    return UNSET if text is None else as_text(text)[:limit] or UNSET
