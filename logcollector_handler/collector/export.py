"""`GET /logs/export`: all logs that a query matches, as lines of JSON or as CSV, sent while they are found.

Only one page is in memory at a time. A client that reads slowly is waited for, as everywhere.

Spreadsheets take a cell of CSV that begins with = + - @, a tab or a line break for a formula and run it, whoever logged
it. Such text gets an apostrophe in front, by which they know text; numbers stay as they are. JSON has no need of that.
"""

from __future__ import annotations

import asyncio
import csv
import io
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from logcollector_handler.wire.posted.entries import ROW_COLUMNS

from .answers import Unread
from .compared import number
from .file import UnusableError
from .matching import first_at
from .query import Export, Query
from .reading import Page
from .scan import Budget, StoppedError
from .store import Store
from .tree import METADATA, field_called, is_column, path_of

#: Bytes of JSON that are fetched at once, unless the first entry is longer.
_BYTES: Final = 1024 * 1024
#: Seconds to wait while clients have read too little of what was fetched for them.
_PACE: Final = 0.1
_ALL: Final = ("id", *ROW_COLUMNS[:-1])
#: What a formula begins with. The last four are the wide forms of the first four, which spreadsheets take as well.
_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


class ExportStream(Response):
    """An answer of unknown length. If it fails in between, the connection is closed, so that clients see it is cut."""

    def __init__(
        self,
        store: Store,
        export: Export,
        ask: Callable[[Callable[[], Any]], Awaitable[Any]],
        unread: Unread,
        count: Callable[[int], None],
    ) -> None:
        kind = "csv" if export.is_csv else "ndjson"
        media_type = "text/csv; charset=utf-8" if export.is_csv else "application/x-ndjson"
        headers = {"content-disposition": f'attachment; filename="logs.{kind}"', "x-content-type-options": "nosniff"}
        super().__init__(headers=headers, media_type=media_type)
        del self.headers["content-length"]
        self._store = store
        self._export = export
        #: The name of each column with its field, or "id" or "metadata"; of JSON only if columns were asked for.
        names = export.columns or (_ALL if export.is_csv else ())
        self._fields = [(name, _field(name)) for name in names]
        self._ask = ask
        self._unread = unread
        #: Called with +1 when it begins and with -1 when it ends.
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it, or as much as the client takes."""
        self._count(1)
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with aclosing(self._pieces(gone)) as pieces:
                async for piece in pieces:
                    await self._unread.send(send, piece, more=True)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (StoppedError, UnusableError, sqlite3.OperationalError):
            # The client has gone, or the file: without an end of the answer, the server closes the connection.
            pass
        finally:
            gone.cancel()
            self._count(-1)

    async def _pieces(self, gone: asyncio.Future[None]) -> AsyncGenerator[bytes, None]:
        query, limit = self._export.query, self._export.limit
        if self._export.is_csv:
            yield _csv([[_text(name) for name, _ in self._fields]])
        while not gone.done():
            if self._unread.is_full:
                await asyncio.sleep(_PACE)
                continue
            page, written = await self._ask(partial(self._page, query, gone))
            if written:
                yield written
            if limit is not None:
                limit -= len(page.entries)
            if page.next is None or limit == 0:
                return
            query = replace(query, after=page.next, limit=min(query.limit, limit or query.limit))

    def _page(self, query: Query, gone: asyncio.Future[None]) -> tuple[Page, bytes]:
        page = self._store.page(query, Budget(gone.done), most=_BYTES)
        return page, self._written(page.entries)

    def _written(self, entries: list[dict[str, Any]]) -> bytes:
        if self._export.is_csv:
            return _csv([_text(_value(entry, field)) for _, field in self._fields] for entry in entries)
        if self._fields:
            entries = [{name: _value(entry, field) for name, field in self._fields} for entry in entries]
        return b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)


def _field(name: str) -> str:
    field = name if name in ("id", "metadata") else field_called(name) or name
    return METADATA + field if field == "logger" else field


def _value(entry: dict[str, Any], field: str) -> Any:
    return entry.get(field) if is_column(field) else first_at(entry.get("metadata"), path_of(field))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return "'" + value if value.startswith(_FORMULA) and number(value) is None else value


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
