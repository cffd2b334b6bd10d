"""JSON answers. All of the collector's answers are made here, except the page and the stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .reading import Page

#: Bytes of an answer with logs that are sent at once. The next follow when the client has read most of these.
PIECE: Final = 64 * 1024
#: Characters of a reason in an answer; a reason may quote what was posted.
MAX_REASON: Final = 1000
_HEADERS: Final = {"x-content-type-options": "nosniff"}


def json_answer(content: dict[str, Any], status: int = 200) -> Response:
    """An answer with `content` as JSON."""
    return Response(msgspec.json.encode(content), status, _HEADERS, media_type="application/json")


def error_answer(status: int, reason: str, **more: Any) -> Response:
    """An answer that says why a request was refused or failed; `more` are additional fields of it."""
    if len(reason) > MAX_REASON:
        reason = f"{reason[:MAX_REASON]}… ({len(reason)} characters)."
    return json_answer({"status": "error", "error": reason, **more}, status)


class LogsAnswer(Response):
    """A page of logs, sent in pieces, so that it is known how much of it the client has not read.

    `count` is called with the number of its bytes, and when it is sent or the client is gone, with minus that.
    """

    media_type = "application/json"

    def __init__(self, page: Page, count: Callable[[int], None]) -> None:
        content = {"logs": page.entries, "next": None if page.next is None else str(page.next)}
        super().__init__(msgspec.json.encode(content), headers=_HEADERS)
        self._count = count

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        size = len(self.body)
        self._count(size)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for start in range(0, size, PIECE):
                piece = bytes(self.body[start : start + PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": start + PIECE < size})
        finally:
            self._count(-size)
