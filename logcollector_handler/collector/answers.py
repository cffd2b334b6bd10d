"""JSON answers. All of the collector's answers are made here, except the page and the stream."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from logcollector_handler.wire.posted.body import MIB

from .groups import Groups
from .reading import Histogram, Page

#: Bytes of an answer with logs that are sent at once. The next follow when the client has read most of these.
PIECE: Final = 64 * 1024
#: Bytes that clients have not read; with more, pages are answered 503, and streams wait.
MOST_UNREAD: Final = 128 * MIB
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


class Unread:
    """The bytes of logs that are in memory because clients have not read them yet. For the event loop's thread."""

    def __init__(self) -> None:
        self.bytes: int = 0

    @property
    def is_full(self) -> bool:
        """Whether there are so many that no more should be fetched."""
        return self.bytes > MOST_UNREAD

    async def send(self, send: Send, content: bytes, *, more: bool) -> None:
        """Send a part of an answer in pieces, and count it for as long as that takes; `more`: it is not the last."""
        self.bytes += len(content)
        try:
            for start in range(0, len(content), PIECE):
                # Waits until the client has read earlier pieces. PatientProtocol disconnects one that does not.
                goes_on = more or start + PIECE < len(content)
                piece = content[start : start + PIECE]
                await send({"type": "http.response.body", "body": piece, "more_body": goes_on})
        finally:
            self.bytes -= len(content)


def rest(of: Page | Histogram | Groups) -> dict[str, Any]:
    """Where an answer continues, and down to which time it has looked if it ran out of time; else null for both."""
    return {"next": None if of.next is None else str(of.next), "looked_to": of.looked_to}


class LogsAnswer(Response):
    """Logs, which clients may read slowly."""

    media_type = "application/json"

    def __init__(self, content: dict[str, Any], unread: Unread) -> None:
        super().__init__(msgspec.json.encode(content), headers=_HEADERS)
        self._unread = unread

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._unread.send(send, bytes(self.body), more=False)
