"""Entry of a page -> LogRecord: so that it goes the way of all records of the handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from logcollector_handler.entry.model import CREATED_AT_LIMIT, LEVEL_NUMBERS
from logcollector_handler.entry.record import STANDARD
from logcollector_handler.entry.text import add_field, keep_in_metadata

#: The logger of entries that name none.
LOGGER: Final = "logcollector.browser"
#: Columns that the handler's settings fill. What a page says of them is kept in `metadata`.
_OF_HANDLER: Final = ("service", "environment")
#: Columns that are attributes of the record, and no fields.
_OF_RECORD: Final = frozenset({"level", "message", "created_at", "metadata"})
_LONGEST_NAME: Final = 200
_LAST_LINE: Final = 10_000_000


class Sender(NamedTuple):
    """What the server knows of the page that posts."""

    #: The address of the client.
    client: str
    user_agent: str | None
    #: The trace that the page names for entries without one of their own.
    trace_id: str | None


def record_of(entry: dict[str, Any], sender: Sender, now: float) -> logging.LogRecord:
    """The record of an entry that `wire.posted` has checked. The entry is not changed.

    Service and environment are those of the handler, because any page could claim to be another service.
    """
    metadata = dict(entry.get("metadata") or {})
    record = logging.LogRecord(
        _taken(metadata, "logger", _is_name) or LOGGER,
        LEVEL_NUMBERS[entry.get("level", "INFO")],
        entry.get("file_path") or "",
        0,
        entry["message"],
        (),
        None,
        entry.get("function_name"),
    )
    record.lineno = _taken(metadata, "line", _is_line)
    created = entry.get("created_at")
    record.created = now if created is None else created / 1000 if created >= CREATED_AT_LIMIT else created
    # The record is made in a thread and a process of the server, which say nothing of the page.
    record.thread = record.threadName = record.process = record.processName = None
    if hasattr(record, "taskName"):
        record.taskName = None
    # The file is a field as well: it may be a URL with secrets in it, and those are masked in fields.
    fields = {name: value for name, value in entry.items() if value is not None and name not in _OF_RECORD}
    known = {"client_address": sender.client}
    if sender.user_agent is not None:
        known["user_agent"] = sender.user_agent
    claimed = {name: fields.pop(name) for name in (*_OF_HANDLER, *known) if name in fields}
    for name, value in metadata.items():
        add_field(claimed, name, value)
    fields.update(known)
    if claimed:
        fields["metadata"] = claimed
    fields.setdefault("log_type", "FRONTEND")
    if sender.trace_id is not None:
        fields.setdefault("trace_id", sender.trace_id)
    # A field with the name of a LogRecord attribute (`name`, `args` …) would overwrite it.
    keep_in_metadata(fields, {name: fields.pop(name) for name in STANDARD & fields.keys()})
    record.__dict__.update(fields)
    return record


def _taken(metadata: dict[str, Any], name: str, fits: Callable[[Any], bool]) -> Any:
    """What the page says of its logger or line, taken out of its `metadata` if it can be that."""
    return metadata.pop(name) if fits(metadata.get(name)) else None


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME


def _is_line(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LAST_LINE
