"""What the middlewares for ASGI and WSGI share: what a request says of itself, and the record of how it ended."""

from __future__ import annotations

import logging
import re
import uuid
from typing import Any, Final

from logcollector_handler.delivery.clock import SystemClock

log: Final = logging.getLogger("logcollector.access")
monotonic: Final = SystemClock.monotonic

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
#: https://www.w3.org/TR/trace-context/: version, trace id, parent id, flags; more only in later versions.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id of a W3C `traceparent` header; None for one that is missing or breaks the specification."""
    match = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[3] is not None):
        return None
    return match[2]


def request_fields(
    *, path: str, method: str | None, client: str | None, request_id: str | None, traceparent: str | None
) -> dict[str, Any]:
    """What is bound while a request is served. An id that is missing, long or strange is made anew."""
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
    """One request and its response, from now until the record of it is logged."""

    def __init__(self, method: str, path: str) -> None:
        self._method = method
        self._path = path
        self._start = monotonic()
        self._logged = False
        #: How long it took until the response had ended, whole.
        self._milliseconds: float | None = None
        #: The status that the client was sent.
        self.status: int | None = None
        #: The client went away before the response had ended.
        self.gone = False

    def end(self) -> None:
        """The response has ended, whole."""
        self._milliseconds = self._passed()

    def close(self, error: BaseException | None = None) -> None:
        """Log how it ended: well, or with that error. What fails after that is a record of its own."""
        if not self._logged:
            self._log(error)
        elif error is not None:
            log.error("%s %s failed after its response", self._method, self._path, exc_info=error)

    def _passed(self) -> float:
        return (monotonic() - self._start) * 1000

    def _log(self, error: BaseException | None) -> None:
        self._logged = True
        whole = self._milliseconds is not None
        took = self._passed() if self._milliseconds is None else self._milliseconds
        status = 500 if self.status is None and error is not None else self.status
        fields: dict[str, Any] = {"path": self._path, "method": self._method, "duration_ms": took}
        if status is not None:
            fields["status"] = status
        if not whole:
            fields["incomplete"] = True
        log.log(
            _level(status, whole, error is not None and not self.gone),
            "%s %s %s in %.1f ms%s",
            self._method,
            self._path,
            "without a response" if status is None else status,
            took,
            ", the client went away" if self.gone else "" if whole or error is not None else ", not to its end",
            exc_info=error,
            extra=fields,
        )


def _level(status: int | None, whole: bool, failed: bool) -> int:
    if failed:
        return logging.ERROR
    if status is None or not whole:
        return logging.WARNING
    return logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
