"""What an entry is: its columns, what each of them holds, and the entry itself.

An entry is the same in every format. Its columns and limits are those of the log collection server's table, which is
stricter than other servers: one value that a column refuses makes that server refuse the whole batch, and it ignores
every key that is not a column. So the handler puts into a column only what the column holds, and everything else into
`metadata`. The formats write these columns, the embedded collector checks them, and both read them off `COLUMNS`.

To add a column, add a field to `LogEntry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from .traceback import Trace

#: The server's levels, each with the number that the logging module has for it; it has none for TRACE.
LEVEL_NUMBERS: Final = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
LEVELS: Final = tuple(LEVEL_NUMBERS)
#: Other names by which people call the levels, in upper case; the first two are those of the standard library.
LEVEL_ALIASES: Final = {"WARNING": "WARN", "CRITICAL": "FATAL", "ERR": "ERROR", "CRIT": "FATAL"}
LOG_TYPES: Final = ("BACKEND", "FRONTEND", "MOBILE", "IOT", "WORKER")
ENVIRONMENTS: Final = ("production", "staging", "development", "test", "local")
DEFAULT_ENVIRONMENT: Final = "development"
#: Other names by which people call the environments, in lower case.
ENVIRONMENT_ALIASES: Final = {
    "prod": "production",
    "stage": "staging",
    "dev": "development",
    "testing": "test",
}
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")

#: Fields that `metadata` has of every record: where it comes from. A user's field of such a name gets a number.
ORIGIN: Final = ("logger", "line", "process", "thread")

#: A duration is decimal(10,3) in the table: its absolute value stays under this many milliseconds.
DURATION_LIMIT: Final = 10_000_000

#: A time is in Unix seconds. A number from this one on can only be milliseconds, which the server refuses.
CREATED_AT_LIMIT: Final = 100_000_000_000


def level_name(levelno: int) -> str:
    """The server's name for a level number of the logging module: below 10 TRACE, from 50 on FATAL."""
    if levelno < 10:
        return "TRACE"
    return LEVELS[min(levelno // 10, 5)]


def level_called(name: str) -> str | None:
    """The server's level that people call `name`, in any case; None if there is none."""
    plain = name.strip().upper()
    level = LEVEL_ALIASES.get(plain, plain)
    return level if level in LEVELS else None


# What a column can hold


class Choice(msgspec.Struct, frozen=True):
    """One of these values, spelt exactly so."""

    values: tuple[str, ...]


class Text(msgspec.Struct, frozen=True):
    """Text of at most `limit` characters, or of any length when that is None."""

    limit: int | None = None


class Identifier(msgspec.Struct, frozen=True):
    """Text of at most `limit` characters that is useless when it is cut: it is whole, or left out of the column."""

    limit: int


class Time(msgspec.Struct, frozen=True):
    """Unix seconds as a float, under CREATED_AT_LIMIT."""


class Duration(msgspec.Struct, frozen=True):
    """Milliseconds with up to three decimal places, between -DURATION_LIMIT and DURATION_LIMIT."""


class Fields(msgspec.Struct, frozen=True):
    """A JSON object of any fields."""


Kind = Choice | Text | Identifier | Time | Duration | Fields


class LogEntry(msgspec.Struct, omit_defaults=True, gc=False):
    """One log entry. Each field is a column, annotated with what the column holds; UNSET means that it is left out.

    The fields that every record has come first, because `EntryBuilder.build` passes them by position: keyword
    arguments cost time in the logging call.

    `metadata` is usually JSON already (`msgspec.Raw`), whatever format the entry is written in later: the logging call
    encodes it, because the application may change the objects in it a moment later. A format that is not JSON
    decodes it again. Only when all of `metadata` is text and usual numbers, which nobody can change, is it a dict
    that is encoded with the batch.
    """

    level: Annotated[str, Choice(LEVELS)]
    message: Annotated[str, Text()]
    created_at: Annotated[float, Time()]
    log_type: Annotated[str, Choice(LOG_TYPES)]
    service: Annotated[str | UnsetType, Text(100)] = UNSET
    environment: Annotated[str | UnsetType, Choice(ENVIRONMENTS)] = UNSET
    service_version: Annotated[str | UnsetType, Text(50)] = UNSET
    function_name: Annotated[str | UnsetType, Text(300)] = UNSET
    file_path: Annotated[str | UnsetType, Text(1000)] = UNSET
    metadata: Annotated[msgspec.Raw | dict[str, Any] | UnsetType, Fields()] = UNSET
    trace_id: Annotated[str | UnsetType, Identifier(32)] = UNSET
    user_id: Annotated[str | UnsetType, Identifier(255)] = UNSET
    session_id: Annotated[str | UnsetType, Identifier(100)] = UNSET
    error_type: Annotated[str | UnsetType, Text(200)] = UNSET
    #: A Trace is an exception that was captured in the logging call. Its text is made when the entry is encoded.
    stack_trace: Annotated[str | Trace | UnsetType, Text()] = UNSET
    path: Annotated[str | UnsetType, Text(500)] = UNSET
    method: Annotated[str | UnsetType, Choice(METHODS)] = UNSET
    action_type: Annotated[str | UnsetType, Text(50)] = UNSET
    duration_ms: Annotated[float | UnsetType, Duration()] = UNSET


class SiteEntry(msgspec.Struct, gc=False):
    """An entry of a record without fields of its own: only these three differ from other records of its call site.

    A format derives a struct from this and adds a field for everything else, which it encodes once for each call site.
    See `site_entry` and `common` in `wire.format`.
    """

    level: str
    message: str
    created_at: float


Entry = LogEntry | SiteEntry

_hints: Final = get_type_hints(LogEntry, include_extras=True)
#: Every column, in the order of LogEntry, with what it can hold.
COLUMNS: Final[Mapping[str, Kind]] = MappingProxyType(
    {name: _hints[name].__metadata__[0] for name in LogEntry.__struct_fields__}
)
#: Longest text that a column holds, in characters. A text column that is not named here has no limit.
TEXT_LIMITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        name: kind.limit
        for name, kind in COLUMNS.items()
        if isinstance(kind, Text | Identifier) and kind.limit is not None
    }
)
