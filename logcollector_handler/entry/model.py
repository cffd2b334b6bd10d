"""The entry as the server's table takes it: fields, enums, limits. The one truth for both ends of the wire.

The server bulk-copies entries into one table. One value that a column refuses makes it refuse the whole
batch, and a top-level key that is no column is silently ignored. What is written here is therefore what
the handler promises to send and what the embedded collector checks.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from .traceback import Trace

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
LOG_TYPES: Final = ("BACKEND", "FRONTEND", "MOBILE", "IOT", "WORKER")
ENVIRONMENTS: Final = ("production", "staging", "development", "test", "local")
#: Other names by which people call the environments, in lower case.
ENVIRONMENT_ALIASES: Final = {
    "prod": "production",
    "stage": "staging",
    "dev": "development",
    "testing": "test",
}
METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")

#: Longest text that a column holds, in characters. A text column that is not named here has no limit.
TEXT_LIMITS: Final = {
    "service": 100,
    "service_version": 50,
    "trace_id": 32,
    "user_id": 255,
    "session_id": 100,
    "error_type": 200,
    "function_name": 300,
    "file_path": 1000,
    "path": 500,
    "action_type": 50,
}

#: `duration_ms` is decimal(10,3): its absolute value stays under this.
DURATION_LIMIT: Final = 10_000_000

#: `created_at` is in Unix seconds; a value at or above this is in milliseconds, which the server refuses.
CREATED_AT_LIMIT: Final = 100_000_000_000

#: The header with the id of the batch, under which the server stores it once.
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"


def level_name(levelno: int) -> str:
    """The server's name for a level number of the logging module: below 10 TRACE, from 50 on FATAL."""
    if levelno < 10:
        return "TRACE"
    return LEVELS[min(levelno // 10, 5)]


class LogEntry(msgspec.Struct, omit_defaults=True, gc=False):
    """One log entry. A field that is UNSET is left out of the JSON.

    The fields that every record has come first, so that an entry is built positionally. `metadata` is
    encoded when the snapshot is taken, because what it was made from may be changed a moment later; only when
    all of it is text and numbers, which nobody changes, it is a dict that is encoded with the batch.
    """

    level: str
    message: str
    created_at: float
    log_type: str
    service: str | UnsetType = UNSET
    environment: str | UnsetType = UNSET
    service_version: str | UnsetType = UNSET
    function_name: str | UnsetType = UNSET
    file_path: str | UnsetType = UNSET
    metadata: msgspec.Raw | dict[str, Any] | UnsetType = UNSET
    trace_id: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    error_type: str | UnsetType = UNSET
    #: An exception is captured in the logging call and printed when the entry is encoded.
    stack_trace: str | Trace | UnsetType = UNSET
    path: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    action_type: str | UnsetType = UNSET
    duration_ms: float | UnsetType = UNSET


class SiteEntry(msgspec.Struct, gc=False):
    """An entry of a record that adds only these three to what all records of its call site have in common.

    The format adds a field for the common part, which it encodes once for each call site (`Format.site_entry`).
    """

    level: str
    message: str
    created_at: float


Entry = LogEntry | SiteEntry

COLUMNS: Final = tuple(LogEntry.__struct_fields__)
