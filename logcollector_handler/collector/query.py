"""Queries for stored logs: their filters and pages, parsed from the parameters of a URL.

`search` makes SQL of them. Pure but for the clock, from which `-1h` counts.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from logcollector_handler.entry.model import ENVIRONMENTS, LEVELS, level_called
from logcollector_handler.wire.posted.body import RefusedError

from .compared import without_dashes
from .language import parse
from .times import WRITTEN, seconds
from .tree import All, Compare, Either, Node, Word, field_called

#: Columns with an identifier that several entries share.
IDS: Final = ("trace_id", "user_id", "session_id")
#: Columns that can be filtered for exactly one value.
EXACT: Final = ("service", "environment", "level", "logger", *IDS)
#: The filter that may be given several times, for any of its values.
SEVERAL: Final = "service"
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
#: Maximum of fields by which logs are grouped, and of neighbours of an entry on each side.
MAX_BY: Final = 4
MAX_AROUND: Final = 200
FILTERS: Final = (*EXACT, "min_level", "text", "q", "since", "until")
#: A name in a list, up to the comma behind it; as in the language, a backslash stands before a quote in quotes.
_NAME: Final = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(?=,|$)|([^,]*)', re.DOTALL)
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
    #: Words, or beginnings of words, that must all occur in the message or stack trace, ignoring case, or be an id or a
    #: whole value in `metadata`. Several words in double quotes count as one.
    text: str | None = None
    #: What the query language adds (`q`).
    where: Node | None = None
    #: Unix seconds: `since` is included, `until` is not.
    since: float | None = None
    until: float | None = None
    limit: int = 100
    after: Cursor | None = None

    @property
    def node(self) -> Node:
        """All filters but the time as one tree."""
        nodes: list[Node] = [Compare(column, "=", value) for column, value in self.exact.items()]
        if self.min_level is not None:
            nodes.append(Compare("level", ">=", self.min_level))
        nodes += [Word(piece) for piece in _pieces(self.text)]
        if isinstance(self.where, All):
            nodes += self.where.nodes
        elif self.where is not None:
            nodes.append(self.where)
        return All(tuple(nodes))


@dataclass(frozen=True)
class Follow:
    """A stream: the logs that arrive from now on, or after a given row."""

    #: The filters; its limit is the number of rows fetched at once.
    query: Query
    #: The number of stored logs to send first. None: all of them.
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
    given = _given(parameters, (*FILTERS, "limit", "cursor"))
    return _query(given, _whole("limit", given.get("limit", "100"), MAX_PAGE), _cursor(given))


def parse_histogram(parameters: Iterable[tuple[str, str]]) -> tuple[Query, int]:
    """The filters of a histogram, and its number of buckets."""
    given = _given(parameters, (*FILTERS, "buckets", "cursor"))
    return _query(given, after=_cursor(given)), _whole("buckets", given.get("buckets", "60"), MAX_BUCKETS)


@dataclass(frozen=True)
class Grouping:
    """Counts by the values of fields, and over time."""

    #: The filters; its limit is that of groups.
    query: Query
    #: The fields, as `tree` names them.
    by: tuple[str, ...]
    buckets: int


def parse_groups(parameters: Iterable[tuple[str, str]]) -> Grouping:
    """The filters, the fields `by` which to group, and the number of buckets."""
    given = _given(parameters, (*FILTERS, "by", "buckets", "limit", "cursor"))
    names = _names(given.get("by", ""))
    fields = tuple(filter(None, map(field_called, names)))
    if len(fields) != len(names) or len(set(fields)) != len(fields) or len(fields) > MAX_BY:
        raise RefusedError(
            400, f"by: {given.get('by', '')!r} is not one to {MAX_BY} names of fields with commas between."
        )
    query = _query(given, _whole("limit", given.get("limit", "100"), MAX_PAGE), _cursor(given))
    return Grouping(query, fields, _whole("buckets", given.get("buckets", "30"), MAX_BUCKETS))


def parse_around(parameters: Iterable[tuple[str, str]]) -> Query:
    """The filters of the neighbours of an entry, and how many there are on each side."""
    given = _given(parameters, (*FILTERS, "around"))
    return _query(given, _whole("around", given.get("around", "20"), MAX_AROUND))


@dataclass(frozen=True)
class Export:
    """All logs that a query matches, in one format."""

    query: Query
    #: The names of the fields to write, as they were given, in order; None: all that there are.
    columns: tuple[str, ...] | None
    is_csv: bool
    #: The number of logs after which it ends; None: never.
    limit: int | None


def parse_export(parameters: Iterable[tuple[str, str]]) -> Export:
    """The filters, the `format` (`ndjson` or `csv`), and the `columns`."""
    given = _given(parameters, (*FILTERS, "format", "columns", "limit", "cursor"))
    if given.get("format", "ndjson") not in ("ndjson", "csv"):
        raise RefusedError(400, f"format: {given['format']!r} is none of ndjson, csv.")
    names = tuple(_names(given["columns"])) if "columns" in given else None
    if names is not None and not all(name in ("id", "metadata") or field_called(name) for name in names):
        raise RefusedError(400, f"columns: {given['columns']!r} is not a list of fields with commas between.")
    limit = _whole("limit", given["limit"], MAX_ID) if "limit" in given else None
    query = _query(given, min(limit or STEP, STEP), _cursor(given))
    return Export(query, names, given.get("format") == "csv", limit)


def _names(text: str) -> list[str]:
    """The names in a list with commas between; one in double quotes may have commas in it."""
    names, at = [], 0
    while at <= len(text):
        found = _NAME.match(text, at)
        assert found is not None  # noqa: S101 - it matches any text
        names.append(found[2].strip() if found[1] is None else re.sub(r'\\(["\\])', r"\1", found[1]))
        at = found.end() + 1
    return names


def _cursor(given: dict[str, str]) -> Cursor | None:
    return Cursor.parse(given["cursor"]) if "cursor" in given else None


def parse_follow(parameters: Iterable[tuple[str, str]], last_event_id: str | None) -> Follow:
    """The stream in the parameters of a URL. If the header `last_event_id` is given, `last` is ignored."""
    given = _given(parameters, (*FILTERS, "last", "at_most"))
    last = None if given.get("last") == "all" else _whole("last", given["last"], MAX_PAGE) if "last" in given else 0
    at_most = _whole("at_most", given["at_most"], MAX_PAGE) if "at_most" in given else None
    query = _query(given, at_most or STEP)
    position = _whole("Last-Event-ID", last_event_id, MAX_ID, least=0) if last_event_id else None
    return Follow(query, last, at_most, position)


def _pieces(text: str | None) -> list[str]:
    """The words of a text; several words in double quotes are one piece."""
    return [quoted or word for quoted, word in re.findall(r'"([^"]+)"(?!\S)|(\S+)', text or "")]


def _given(parameters: Iterable[tuple[str, str]], known: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in known:
            raise RefusedError(400, f"{name!r} is not a parameter. Known: {', '.join(known)}.")
        if name in given and name != SEVERAL:
            raise RefusedError(400, f"{name}: given twice.")
        # In SQLite a pattern of LIKE ends at U+0000, and its length is limited.
        if "\0" in value or len(value) > MAX_VALUE:
            raise RefusedError(400, f"{name}: longer than {MAX_VALUE} characters, or with U+0000 in it.")
        if value:
            given[name] = f"{given[name]}\0{value}" if name in given else value
    if len(given.get("text", "").split()) > MAX_WORDS:
        raise RefusedError(400, f"text: more than {MAX_WORDS} words.")
    for name in ("level", "min_level"):
        if name in given:
            # What is no level's name stays as it was given, for the message.
            given[name] = level_called(given[name]) or given[name]
    if "trace_id" in given:
        given["trace_id"] = without_dashes(given["trace_id"]) or given["trace_id"]
    for name, allowed in _ENUMS.items():
        if name in given and given[name] not in allowed:
            raise RefusedError(400, f"{name}: {given[name]!r} is none of {', '.join(allowed)}.")
    return given


def _query(given: dict[str, str], limit: int = 1, after: Cursor | None = None) -> Query:
    now = time.time()
    exact: dict[str, str] = {name: given[name] for name in EXACT if name in given}
    where = parse(given["q"], now) if given.get("q", "").strip() else None
    several = exact.get(SEVERAL, "").split("\0")
    if len(several) > 1:
        del exact[SEVERAL]
        any_of_them = Either(tuple(Compare(SEVERAL, "=", value) for value in several))
        where = any_of_them if where is None else All((any_of_them, where))
    return Query(
        exact=exact,
        min_level=given.get("min_level"),
        text=given.get("text"),
        where=where,
        since=_seconds("since", given, now),
        until=_seconds("until", given, now),
        limit=limit,
        after=after,
    )


def _seconds(name: str, given: dict[str, str], now: float) -> float | None:
    if name not in given:
        return None
    found = seconds(given[name], now)
    if found is None:
        raise RefusedError(400, f"{name}: {given[name]!r} is not a time; {WRITTEN}.")
    return found


def _whole(name: str, text: str, most: int, *, least: int = 1) -> int:
    if text.isdecimal() and text.isascii() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise RefusedError(400, f"{name}: {text!r} is not a whole number from {least} to {most}.")
