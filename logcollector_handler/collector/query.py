"""What may be asked of the stored logs: the filters, the page, and how a URL says them.

How a question becomes SQL is in `store`. Pure: no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from logcollector_handler.wire.schema import ENVIRONMENTS, LEVELS

from .body import RefusedError

#: Filters that ask for the one value of a column.
EXACT: Final = ("service", "environment", "level", "logger", "trace_id", "user_id", "session_id")
MAX_PAGE: Final = 1000
#: Characters of one parameter.
MAX_VALUE: Final = 1000
_PARAMETERS: Final = (*EXACT, "text", "since", "until", "limit", "cursor")
_ENUMS: Final = {"level": LEVELS, "environment": ENVIRONMENTS}


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
    """A page of logs, newest first. No filter: all of them."""

    #: Column to value: the names in EXACT.
    exact: dict[str, str] = field(default_factory=dict)
    #: Found anywhere in the message or the stack trace, ASCII letters in any case.
    text: str | None = None
    #: Unix seconds: from `since` on, and before `until`.
    since: float | None = None
    until: float | None = None
    limit: int = 100
    after: Cursor | None = None


def parse_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """The query that the parameters of a URL ask for. An empty value is no filter.

    Raises RefusedError (400) for a parameter that is unknown, given twice, or has a value that cannot be.
    """
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in _PARAMETERS:
            raise RefusedError(400, f"{name!r} is not a parameter. Known: {', '.join(_PARAMETERS)}.")
        if name in given:
            raise RefusedError(400, f"{name}: given twice.")
        given[name] = value
    given = {name: value for name, value in given.items() if value}
    for name, value in given.items():
        # SQLite's LIKE takes U+0000 for the end of a pattern, and bounds its length.
        if "\0" in value or len(value) > MAX_VALUE:
            raise RefusedError(400, f"{name}: longer than {MAX_VALUE} characters, or with U+0000 in it.")
    for name, allowed in _ENUMS.items():
        if name in given and given[name] not in allowed:
            raise RefusedError(400, f"{name}: {given[name]!r} is none of {', '.join(allowed)}.")
    return Query(
        exact={name: given[name] for name in EXACT if name in given},
        text=given.get("text"),
        since=_seconds("since", given),
        until=_seconds("until", given),
        limit=_limit(given.get("limit", "100")),
        after=Cursor.parse(given["cursor"]) if "cursor" in given else None,
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


def _limit(text: str) -> int:
    if text.isdecimal() and text.isascii() and len(text) < 10 and 1 <= int(text) <= MAX_PAGE:
        return int(text)
    raise RefusedError(400, f"limit: {text!r} is not a whole number from 1 to {MAX_PAGE}.")
