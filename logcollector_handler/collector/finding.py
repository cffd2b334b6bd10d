"""The endpoints that find logs. All of them are GET, and take the same filters, each at most once but for `service`:

    q                                 the query language (see `language`)
    service (several are any of them), environment, level, logger, trace_id, user_id, session_id      this value
    min_level, text                   this level and those above; words as in `q`, without anything else of it
    since, until                      from this time on, before that time: -1h, ISO dates, Unix seconds (see `times`)

A filter with an empty value is none. A wrong one is answered 400 with `{"status": "error", "error": reason}`; for `q`
also with `position`, the index of the wrong character in it. In a list of fields, a name with a comma in it stands in
double quotes.

    /logs             limit (100; up to 1000), cursor
                      {"logs": [entry, ...], "next", "looked_to"}, the newest first
    /logs/ID          around (20; up to 200)
                      {"log": entry, "older": [entry, ...], "newer": [...]}, both with the newest first: as many as
                      match on each side in time. 404 if there is no such entry
    /logs/histogram   buckets (60; up to 500), cursor
                      {"since", "width", "counts": {level: [count, ...]}, "next", "looked_to"}
    /logs/groups      by (one to four fields, with commas between), buckets (30), limit (100; up to 1000), cursor
                      {"since", "width", "groups": [{"values": [of each field: text or null], "count", "first", "last",
                      "last_id", "counts": [count, ...]}, ...], "others", "at_least", "next", "looked_to"}, the largest
                      first; of entries that have the first field. `others` counts the entries in groups that are left
                      out. `at_least` is true if there were more groups than are counted at the same time: a group may
                      then have more entries than its count says, and some of `others` are of it.
                      Errors by their place: by=error_type,file_path,function_name
    /logs/export      format (ndjson or csv), columns (fields with commas between), limit (none), cursor
                      a file with all logs that match, the newest first; it is sent as it is found

`next` is null if there is nothing further; else the same request with `cursor` set to it continues. An answer is found
within about a second, or five where an index finds what has to be compared. If that was too short, `looked_to` is the
Unix time down to which it has looked, the answer has what was found until then (perhaps nothing), and its counts are to
be added to those of the requests that continue it; for that, `since` and `until` of the first have to be given again as
numbers. Else it is null. The search ends at once when the client closes the connection.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from logcollector_handler.wire.posted.body import RefusedError

from . import reading
from .answers import LogsAnswer, Unread, json_answer, rest
from .export import ExportStream
from .query import MAX_ID, parse_around, parse_export, parse_groups, parse_histogram, parse_query
from .scan import Budget
from .store import Store

T = TypeVar("T")
#: Runs a question in a thread.
Ask = Callable[[Callable[[], Any]], Awaitable[Any]]
#: Exports at the same time; further ones are answered 503.
EXPORTS: Final = 4


class Finding:
    """Answers what asks for logs."""

    def __init__(self, store: Store, ask: Ask, unread: Unread) -> None:
        self._store = store
        self._ask = ask
        self._unread = unread
        self._exports = 0

    def routes(self, path: str) -> list[Route]:
        """The routes below `path`, where logs are posted."""
        return [
            Route(path + "/histogram", self.histogram, methods=["GET"]),
            Route(path + "/groups", self.groups, methods=["GET"]),
            Route(path + "/export", self.export, methods=["GET"]),
            Route(path + "/{id:int}", self.one, methods=["GET"]),
        ]

    async def logs(self, request: Request) -> Response:
        """A page of logs."""
        query = parse_query(request.query_params.multi_items())
        page = await self._found(request, lambda budget: self._store.page(query, budget))
        return LogsAnswer({"logs": page.entries, **rest(page)}, self._unread)

    async def one(self, request: Request) -> Response:
        """One entry, with its neighbours."""
        query = parse_around(request.query_params.multi_items())
        row_id = min(int(request.path_params["id"]), MAX_ID)
        found = await self._found(
            request, lambda budget: self._store.read(lambda reader: reading.around(reader, row_id, query, budget))
        )
        if found is None:
            raise HTTPException(404, "There is no such entry, or it was removed.")
        return LogsAnswer({"log": found.entry, "older": found.older, "newer": found.newer}, self._unread)

    async def histogram(self, request: Request) -> Response:
        """Counts of each level over time."""
        query, buckets = parse_histogram(request.query_params.multi_items())
        found = await self._stoppable(request, lambda budget: self._store.histogram(query, buckets, budget))
        return json_answer({"since": found.since, "width": found.width, "counts": found.counts, **rest(found)})

    async def groups(self, request: Request) -> Response:
        """Counts by the values of fields."""
        grouping = parse_groups(request.query_params.multi_items())
        found = await self._stoppable(
            request, lambda budget: self._store.read(lambda reader: reading.groups(reader, grouping, budget))
        )
        groups = [{name: value for name, value in asdict(each).items() if name != "buckets"} for each in found.groups]
        about = {"since": found.since, "width": found.width, "groups": groups, "others": found.others}
        return json_answer({**about, "at_least": found.at_least, **rest(found)})

    async def export(self, request: Request) -> Response:
        """All logs that match, as a file."""
        export = parse_export(request.query_params.multi_items())
        if self._exports >= EXPORTS:
            raise RefusedError(503, f"There are {EXPORTS} exports already. Ask again later.")
        return ExportStream(self._store, export, self._ask, self._unread, self._count_export)

    def _count_export(self, change: int) -> None:
        self._exports += change

    async def _found(self, request: Request, question: Callable[[Budget], T]) -> T:
        """As `_stoppable`, for logs that clients may read slowly."""
        self._refuse_if_much_is_unread()
        found = await self._stoppable(request, question)
        # Again, because many may have asked at the same time.
        self._refuse_if_much_is_unread()
        return found

    def _refuse_if_much_is_unread(self) -> None:
        if self._unread.is_full:
            raise RefusedError(503, "Too many answers are being read at the same time. Ask again later.")

    async def _stoppable(self, request: Request, question: Callable[[Budget], T]) -> T:
        """The answer to a question, which stops once the client has gone away."""
        gone = threading.Event()
        watching = asyncio.ensure_future(_watch(request, gone))
        try:
            # The budget is made in the thread: waiting for a thread is no part of it.
            answer: T = await self._ask(lambda: question(Budget(gone.is_set)))
            return answer
        finally:
            watching.cancel()


async def _watch(request: Request, gone: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()
