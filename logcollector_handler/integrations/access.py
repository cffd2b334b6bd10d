"""What the ASGI and WSGI middlewares share: the fields bound for a request, and the record logged at its end."""

from __future__ import annotations

import logging
import re
import uuid
from typing import Any, Final

from logcollector_handler.context import with_fields
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.entry.bound import Request

from .ended import ended

log: Final = logging.getLogger("logcollector.access")
monotonic: Final = SystemClock.monotonic

#: The header that an id of the request comes in, and goes out in.
REQUEST_ID: Final = "X-Request-ID"

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
#: https://www.w3.org/TR/trace-context/: version, trace id, parent id, flags. Only versions after 00 may add more.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id of a W3C `traceparent` header; None if the header is missing or breaks the specification."""
    match = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[3] is not None):
        return None
    return match[2]


def request_fields(
    *, path: str, method: str | None, client: str | None, request_id: str | None, traceparent: str | None
) -> dict[str, Any]:
    """The fields bound while a request is served. A `request_id` that is missing or not plain and short is replaced."""
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = uuid.uuid4().hex
    fields = {
        "path": path,
        "method": method,
        "client_address": client,
        "request_id": request_id,
        "trace_id": trace_id_of(traceparent),
    }
    return {name: value for name, value in fields.items() if value}


class Exchange:
    """One request and its response: measures the time from its construction on, and logs one record at the end."""

    def __init__(self, method: str, path: str, request: Request) -> None:
        self._method = method
        self._path = path
        self._request = request
        self._start = monotonic()
        self._logged = False
        #: Milliseconds until the response was complete; None if it is not.
        self._milliseconds: float | None = None
        #: The status of the response; None before it has started.
        self.status: int | None = None
        #: Whether the client went away before the response was complete.
        self.gone = False

    def end(self) -> None:
        """The response is complete: stop measuring."""
        self._milliseconds = self._passed()

    def close(self, error: BaseException | None = None, endpoint: object = None) -> None:
        """Log how the request ended: well, or with `error`. An error after that gets a record of its own.

        `endpoint` is what served the request, if it is known: the record names it as its origin.
        """
        with with_fields(self._request.bound()):
            if not self._logged:
                self._log(error, endpoint)
            elif error is not None:
                message = "%s %s failed after its response"
                ended(log, logging.ERROR, message, (self._method, self._path), function=endpoint, error=error)

    def _passed(self) -> float:
        return (monotonic() - self._start) * 1000

    def _log(self, error: BaseException | None, endpoint: object) -> None:
        self._logged = True
        whole = self._milliseconds is not None
        took = self._passed() if self._milliseconds is None else self._milliseconds
        status = 500 if self.status is None and error is not None else self.status
        fields: dict[str, Any] = {"path": self._path, "method": self._method, "duration_ms": took}
        if status is not None:
            fields["status"] = status
        if not whole:
            fields["incomplete"] = True
        ended(
            log,
            _level(status, whole, error is not None and not self.gone),
            "%s %s %s in %.1f ms%s",
            (
                self._method,
                self._path,
                "without a response" if status is None else status,
                took,
                ", the client went away" if self.gone else "" if whole or error is not None else ", not to its end",
            ),
            function=endpoint,
            fields=fields,
            error=error,
        )
        # What goes on in the context of this request, such as a server's callback, may fail for other reasons.
        self._request.failures.clear()


def _level(status: int | None, whole: bool, failed: bool) -> int:
    if failed:
        return logging.ERROR
    if status is None or not whole:
        return logging.WARNING
    return logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
