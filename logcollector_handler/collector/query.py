"""Queries for stored logs: their filters and pages, parsed from the parameters of a URL.

`search` makes SQL of them. Pure: no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from logcollector_handler.entry.model import ENVIRONMENTS, LEVELS, level_called
from logcollector_handler.wire.posted.body import RefusedError

#: Columns with an identifier that several entries share.
IDS: Final = ("trace_id", "user_id", "session_id")
#: Columns that can be filtered for exactly one value.
EXACT: Final = ("service", "environment", "level", "logger", *IDS)
MAX_PAGE: Final = 1000
#: Entries that a stream fetches at once.
STEP: Final = 500
#: The largest integer of SQLite.
MAX_ID: Final = 2**63 - 1
#: Maximum of characters in the value of a parameter.
MAX_VALUE: Final = 1000
#: Maximum of words in `text`: SQLite's full-text search limits the depth of an expression.
MAX_WORDS: Final = 50
#: Maximum of buckets in a histogram.
MAX_BUCKETS: Final = 500
_FILTERS: Final = (*EXACT, "min_level", "text", "since", "until")
_ENUMS: Final = {"level": LEVELS, "min_level": LEVELS, "environment": ENVIRONMENTS}


@dataclass(frozen=True)
class Cursor:
    """The position after the last row of a page. In a URL it is text that clients pass on without parsing it."""

    created_at: float
    id: int

    def __str__(self) -> str:
        return f"{self.created_at!r}_{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that `text` stands for. Raises RefusedError (400) if it is not one."""
        created_at, _, row = text.partition("_")
        try:
            # Up to 18 digits always fit into SQLite's 64 bits.
            if row.isdecimal() and row.isascii() and len(row) < 19 and math.isfinite(float(created_at)):
                return cls(float(created_at), int(row))
        except ValueError:
            pass
        raise RefusedError(400, f"cursor: {text!r} is not the `next` of an answer.")


@dataclass(frozen=True)
class Query:
    """Filters for logs, and the page wanted of the logs that match. Without a filter every log matches."""

    #: Column to value; the columns are those in EXACT.
    exact: dict[str, str] = field(default_factory=dict)
    #: The lowest level that matches.
    min_level: str | None = None
    #: Words, or beginnings of words, that must all occur in the message or stack trace, ignoring case. Several words in
    #: double quotes count as one.
    text: str | None = None
    #: Unix seconds: `since` is included, `until` is not.
    since: float | None = None
    until: float | None = None
    limit: int = 100
    after: Cursor | None = None


@dataclass(frozen=True)
class Follow:
    """A stream: the logs that arrive from now on, or after a given row."""

    #: The filters; its limit is the number of rows fetched at once.
    query: Query
    #: The number of stored logs to send first. None: none of them.
    last: int | None
    #: If more logs than this arrive at once, only the newest are sent, with the number of the others. None: all are.
    at_most: int | None
    #: The id of the row after which the stream begins; if given, `last` is ignored.
    position: int | None


def parse_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """The query in the parameters of a URL. Parameters with an empty value are ignored.

    Like the other `parse_` functions it raises RefusedError (400) for a parameter that is unknown, given twice, or has
    a value that is not allowed.
    """
    given = _given(parameters, (*_FILTERS, "limit", "cursor"))
    after = Cursor.parse(given["cursor"]) if "cursor" in given else None
    return _query(given, _whole("limit", given.get("limit", "100"), MAX_PAGE), after)


def parse_histogram(parameters: Iterable[tuple[str, str]]) -> tuple[Query, int]:
    """The filters of a histogram, and its number of buckets."""
    given = _given(parameters, (*_FILTERS, "buckets"))
    return _query(given), _whole("buckets", given.get("buckets", "60"), MAX_BUCKETS)


def parse_follow(parameters: Iterable[tuple[str, str]], last_event_id: str | None) -> Follow:
    """The stream in the parameters of a URL. If the header `last_event_id` is given, `last` is ignored."""
    given = _given(parameters, (*_FILTERS, "last", "at_most"))
    last, at_most = (_whole(name, given[name], MAX_PAGE) if name in given else None for name in ("last", "at_most"))
    position = _whole("Last-Event-ID", last_event_id, MAX_ID, least=0) if last_event_id else None
    return Follow(_query(given, at_most or STEP), last, at_most, position)


def _given(parameters: Iterable[tuple[str, str]], known: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in known:
            raise RefusedError(400, f"{name!r} is not a parameter. Known: {', '.join(known)}.")
        if name in given:
            raise RefusedError(400, f"{name}: given twice.")
        given[name] = value
    given = {name: value for name, value in given.items() if value}
    for name, value in given.items():
        # In SQLite a pattern of LIKE ends at U+0000, and its length is limited.
        if "\0" in value or len(value) > MAX_VALUE:
            raise RefusedError(400, f"{name}: longer than {MAX_VALUE} characters, or with U+0000 in it.")
    if len(given.get("text", "").split()) > MAX_WORDS:
        raise RefusedError(400, f"text: more than {MAX_WORDS} words.")
    for name in ("level", "min_level"):
        if name in given:
            # What is no level's name stays as it was given, for the message.
            given[name] = level_called(given[name]) or given[name]
    for name, allowed in _ENUMS.items():
        if name in given and given[name] not in allowed:
            raise RefusedError(400, f"{name}: {given[name]!r} is none of {', '.join(allowed)}.")
    return given


def _query(given: dict[str, str], limit: int = 1, after: Cursor | None = None) -> Query:
    return Query(
        exact={name: given[name] for name in EXACT if name in given},
        min_level=given.get("min_level"),
        text=given.get("text"),
        since=_seconds("since", given),
        until=_seconds("until", given),
        limit=limit,
        after=after,
    )


def _seconds(name: str, given: dict[str, str]) -> float | None:
    if name not in given:
        return None
    try:
        seconds = float(given[name])
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise RefusedError(400, f"{name}: {given[name]!r} is not a time in Unix seconds.")
    return seconds


def _whole(name: str, text: str, most: int, *, least: int = 1) -> int:
    if text.isdecimal() and text.isascii() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise RefusedError(400, f"{name}: {text!r} is not a whole number from {least} to {most}.")
