"""What may be asked of the stored logs: the filters, the page, and how a URL says them.

How a question becomes SQL is in `search`. Pure: no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from logcollector_handler.entry.model import ENVIRONMENTS, LEVELS

from .body import RefusedError

#: Columns that say which request an entry belongs to.
IDS: Final = ("trace_id", "user_id", "session_id")
#: Filters that ask for the one value of a column.
EXACT: Final = ("service", "environment", "level", "logger", *IDS)
MAX_PAGE: Final = 1000
#: Entries that a stream fetches at once.
STEP: Final = 500
#: SQLite's integers end at 64 bits.
MAX_ID: Final = 2**63 - 1
#: Characters of one parameter.
MAX_VALUE: Final = 1000
#: Words of a text: the depth to which the text index understands a question is bounded.
MAX_WORDS: Final = 50
#: Bars of a histogram.
MAX_BUCKETS: Final = 500
_FILTERS: Final = (*EXACT, "min_level", "text", "since", "until")
_ENUMS: Final = {"level": LEVELS, "min_level": LEVELS, "environment": ENVIRONMENTS}


@dataclass(frozen=True)
class Cursor:
    """The place behind the last row of a page. In a URL it is text that means nothing to the caller."""

    created_at: float
    id: int

    def __str__(self) -> str:
        return f"{self.created_at!r}_{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises RefusedError (400) for what is no cursor."""
        created_at, _, row = text.partition("_")
        try:
            # SQLite's integers end at 64 bits.
            if row.isdecimal() and row.isascii() and len(row) < 19 and math.isfinite(float(created_at)):
                return cls(float(created_at), int(row))
        except ValueError:
            pass
        raise RefusedError(400, f"cursor: {text!r} is not the `next` of an answer.")


@dataclass(frozen=True)
class Query:
    """Logs that are asked for, and how many at once. No filter: all of them."""

    #: Column to value: the names in EXACT.
    exact: dict[str, str] = field(default_factory=dict)
    #: This level and those above it.
    min_level: str | None = None
    #: Words that a message or stack trace has, or begins of them, in any case; what stands in double quotes is one.
    text: str | None = None
    #: Unix seconds: from `since` on, and before `until`.
    since: float | None = None
    until: float | None = None
    limit: int = 100
    after: Cursor | None = None


@dataclass(frozen=True)
class Follow:
    """A stream that is asked for: what arrives from now on, or from a place on."""

    #: Its limit is how many are fetched at once.
    query: Query
    #: So many that are there already come first.
    last: int | None
    #: Of what arrives at once, only the newest so many are sent, and the others counted.
    at_most: int | None
    #: The row behind which it begins; comes before `last`.
    position: int | None


def parse_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """The query that the parameters of a URL ask for. An empty value is no filter.

    Raises RefusedError (400) for a parameter that is unknown, given twice, or has a value that cannot be. So do
    the other functions here.
    """
    given = _given(parameters, (*_FILTERS, "limit", "cursor"))
    after = Cursor.parse(given["cursor"]) if "cursor" in given else None
    return _query(given, _whole("limit", given.get("limit", "100"), MAX_PAGE), after)


def parse_histogram(parameters: Iterable[tuple[str, str]]) -> tuple[Query, int]:
    """The filters, and how many buckets are asked for."""
    given = _given(parameters, (*_FILTERS, "buckets"))
    return _query(given), _whole("buckets", given.get("buckets", "60"), MAX_BUCKETS)


def parse_follow(parameters: Iterable[tuple[str, str]], last_event_id: str | None) -> Follow:
    """The stream that is asked for. `last_event_id` is the header of that name, which comes before `last`."""
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
        # SQLite's LIKE takes U+0000 for the end of a pattern, and bounds its length.
        if "\0" in value or len(value) > MAX_VALUE:
            raise RefusedError(400, f"{name}: longer than {MAX_VALUE} characters, or with U+0000 in it.")
    if len(given.get("text", "").split()) > MAX_WORDS:
        raise RefusedError(400, f"text: more than {MAX_WORDS} words.")
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
