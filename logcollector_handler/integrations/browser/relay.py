"""What each request to the relay means and how it is answered. `asgi` and `wsgi` pass requests on to here.

A request takes two steps: `begin` answers those that need no body, and `post` takes one. Nothing is raised into the
application. `post` may be called in any thread; for 1000 entries it takes up to 50 ms.
"""

from __future__ import annotations

import contextvars
import hashlib
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.report import Reporter
from logcollector_handler.handler import LogCollectorHandler, get_handler
from logcollector_handler.integrations.access import trace_id_of
from logcollector_handler.wire.collector import PATH
from logcollector_handler.wire.format import IDEMPOTENCY_HEADER
from logcollector_handler.wire.posted import body as bodies
from logcollector_handler.wire.posted.body import RawBatch, RefusedError, read_body, unpack
from logcollector_handler.wire.posted.entries import check

from .bodies import Bodies, Body
from .files import NAMES, file
from .keys import Keys
from .limits import Limits, Shares
from .records import Sender, record_of

#: The address of a client that the server does not name, as behind a Unix socket.
UNKNOWN: Final = "unknown"
_LOGS: Final = PATH.lstrip("/")
_MAX_KEY: Final = 255
_MAX_DIGITS: Final = 18
_MAX_USER_AGENT: Final = 500
_MAX_REASON: Final = 300


class Request(NamedTuple):
    """One request, whatever interface it came through."""

    method: str
    path: str
    #: The address of the client, or UNKNOWN.
    client: str
    #: The value of a header, by its name in lower case; None if it is missing or sent more than once.
    header: Callable[[str], str | None]


class Answer(NamedTuple):
    """How a request is answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Relay:
    """Answers requests of pages, and hands their entries to a handler.

    Args:
        handler: the handler. Default: the one that `dictConfig` has made when the post comes.
        limits: what browsers may send.
        monotonic: the time in seconds.
    """

    def __init__(
        self,
        handler: LogCollectorHandler | None,
        limits: Limits | None,
        monotonic: Callable[[], float] = SystemClock.monotonic,
    ) -> None:
        self._handler = handler
        limits = limits or Limits()
        self._limits = bodies.Limits(limits.body_bytes, limits.decompressed_bytes, limits.batch_length)
        self._shares = Shares(limits, monotonic)
        self._keys = Keys(monotonic)
        self._reporter = Reporter()
        #: Bytes of a body; adapters read no more than one piece more.
        self.body_bytes: int = limits.body_bytes
        #: The bodies that adapters are receiving.
        self.bodies: Bodies = Bodies(limits.held_bytes)

    def begin(self, request: Request) -> Answer | None:
        """The answer to a request; None if its body is needed for it."""
        name = request.path.rpartition("/")[2]
        if name in NAMES:
            return _file_answer(name, request)
        if name != _LOGS:
            return _error(404, "There is nothing here.")
        if request.method != "POST":
            return _error(405, "Logs are posted here.", ("allow", "POST"))
        if not _is_same_origin(request):
            return _error(403, "Only pages of this site may post here.")
        wait = self._shares.wait(request.client)
        if wait is not None:
            return _too_many(wait)
        length = request.header("content-length") or ""
        # Python refuses to read a number of thousands of digits.
        if length.isdecimal() and (len(length) > _MAX_DIGITS or int(length) > self.body_bytes):
            self._shares.use(request.client, 1, 0)
            return _error(413, f"The body is larger than {self.body_bytes} bytes.")
        return None

    def post(self, request: Request, body: Body) -> Answer:
        """Hand the entries of a body to the handler."""
        if body.given_up:
            self._shares.use(request.client, 1, 0)
            return _error(503, "Too many bodies come in at the same time.", ("retry-after", "5"))
        try:
            return self._post(request, bytes(body))
        except RefusedError as refused:
            return _refusal(refused)
        except Exception as error:  # noqa: BLE001 - the application must not notice; the page keeps the batch
            self._reporter.say("relay", f"the relay for browsers failed: {type(error).__name__}: {error}")
            return _error(503, "The relay failed; its server's stderr says more.", ("retry-after", "30"))

    def _post(self, request: Request, body: bytes) -> Answer:
        # Once more: while this body came, others may have used up what was left.
        wait = self._shares.wait(request.client)
        if wait is not None:
            return _too_many(wait)
        try:
            plain, raw = self._read(request, body)
        except RefusedError:
            self._shares.use(request.client, 1, len(body))
            raise
        wait = self._shares.admit(request.client, len(raw.entries), len(plain))
        if wait is not None:
            return _too_many(wait)
        key = request.header(IDEMPOTENCY_HEADER.lower())
        if key is not None and len(key) > _MAX_KEY:
            raise RefusedError(400, f"{IDEMPOTENCY_HEADER} is longer than {_MAX_KEY} characters.")
        now = time.time()
        check(raw, strict=False, now=now)
        handler = self._handler or get_handler()
        # Of the body as it is unpacked: a client may send it again in another encoding.
        claimed = True if key is None else self._keys.claim(key, hashlib.blake2b(plain, digest_size=16).digest())
        if claimed is None:
            raise RefusedError(422, f"A batch with another body came under this {IDEMPOTENCY_HEADER}.")
        if claimed:
            agent = request.header("user-agent")
            trace_id = trace_id_of(request.header("traceparent"))
            sender = Sender(request.client, agent and agent[:_MAX_USER_AGENT], trace_id)
            # In a context of its own: what is bound here, or the current span, is of the request that posts.
            contextvars.Context().run(self._hand_on, handler, raw.entries, partial(record_of, sender=sender, now=now))
        return _answer(200, {"status": "ok", "count": len(raw.entries)})

    def _read(self, request: Request, body: bytes) -> tuple[bytes, RawBatch]:
        """The body as it is unpacked, and its entries."""
        if len(body) > self.body_bytes:
            raise RefusedError(413, f"The body is larger than {self.body_bytes} bytes.")
        plain = unpack(body, request.header("content-encoding") or "", self._limits)
        return plain, read_body(plain, "", self._limits)

    def _hand_on(
        self, handler: LogCollectorHandler, entries: list[Any], record_of: Callable[[Any], logging.LogRecord]
    ) -> None:
        for entry in entries:
            try:
                record = record_of(entry)
                if record.levelno >= handler.level:
                    handler.handle(record)
            except Exception as error:  # noqa: BLE001 - a filter of the application; the other entries are handed on
                self._reporter.say("relay entry", f"an entry of a browser was lost: {type(error).__name__}: {error}")


def _is_same_origin(request: Request) -> bool:
    """Whether the browser says that a page of this origin posts. Browsers do not let pages change these headers."""
    site = request.header("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Sent to https and localhost alone. All browsers send an Origin with a POST.
    try:
        origin = urlsplit(request.header("origin") or "")
        default = {"http": 80, "https": 443}[origin.scheme]
        host = urlsplit(f"//{request.header('host') or ''}")
        return bool(origin.hostname) and (origin.hostname, origin.port or default) == (
            host.hostname,
            host.port or default,
        )
    except (KeyError, ValueError):
        return False


def _file_answer(name: str, request: Request) -> Answer:
    if request.method not in ("GET", "HEAD"):
        return _error(405, "Files are read.", ("allow", "GET, HEAD"))
    found = file(name)
    headers = [
        ("etag", found.etag),
        # Checked each time, because the name stays when the file changes: that costs an answer without a body.
        ("cache-control", "no-cache"),
        ("vary", "accept-encoding"),
        ("x-content-type-options", "nosniff"),
    ]
    known = [each.strip().removeprefix("W/") for each in (request.header("if-none-match") or "").split(",")]
    if found.etag in known or "*" in known:
        return Answer(304, headers, b"")
    headers.append(("content-type", "text/javascript; charset=utf-8"))
    content = found.content
    if "gzip" in (request.header("accept-encoding") or ""):
        content = found.compressed
        headers.append(("content-encoding", "gzip"))
    headers.append(("content-length", str(len(content))))
    return Answer(200, headers, b"" if request.method == "HEAD" else content)


def _refusal(refused: RefusedError) -> Answer:
    index = {} if refused.index is None else {"index": refused.index}
    return _answer(refused.status, {"status": "error", "error": refused.reason[:_MAX_REASON], **index})


def _too_many(wait: int) -> Answer:
    return _error(429, "Too many logs.", ("retry-after", str(wait)))


def _error(status: int, reason: str, *headers: tuple[str, str]) -> Answer:
    return _answer(status, {"status": "error", "error": reason}, *headers)


def _answer(status: int, content: dict[str, Any], *headers: tuple[str, str]) -> Answer:
    body = msgspec.json.encode(content)
    own = [("content-type", "application/json"), ("content-length", str(len(body))), ("cache-control", "no-store")]
    return Answer(status, [*own, ("x-content-type-options", "nosniff"), *headers], body)
