"""One request to the server, from start to end within its time. The only place that knows httpx.

This module is imported with the first batch, not before: an application that never logs does not pay for httpx. A
request ends in an `Answer`, whatever happens; the sender decides what follows. The time of a request is kept by
`network`, on which the client stands.

httpx reads URLs and headers. The requests are made by httpcore, on which httpx stands: what is the same in all of them
is worked out once for a connection, and no network backend can be given to httpx.
"""

from __future__ import annotations

# httpx makes timedeltas. Python 3.13.0 crashes on that once this module was unloaded, as when a finalizer logs at the
# very end of the process; an import here keeps it loaded.
import _datetime  # type: ignore[import-not-found]  # noqa: F401
import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import httpcore
import httpx
from msgspec.structs import replace

from logcollector_handler import __version__
from logcollector_handler.settings import Settings
from logcollector_handler.settings.secret import Url, masked
from logcollector_handler.wire.format import IDEMPOTENCY_HEADER, Format, Taken

from .answers import Answer
from .clock import Clock
from .failures import in_setting, setting_at_fault
from .network import DeadlineBackend
from .process import is_own_thread, own_work, setting_up
from .resolver import without_scope
from .route import proxy_of, proxy_url, ssl_context

#: Bytes of an answer that are read. The log collection server's own are about forty bytes long.
_ANSWER_LIMIT = 64 * 1024
#: The same of a 2xx, in which an engine may say of each record why it did not take it.
_SUCCESS_LIMIT = 1024 * 1024
#: Characters of an answer that are shown to people.
_DETAIL_LIMIT = 200
#: Seconds for which an idle connection is kept open.
_KEEPALIVE = 60.0
_TITLE = re.compile(rb"<title>([^<]+)", re.IGNORECASE)
#: How an HTML page begins.
_PAGE = (b"<!doctype html", b"<html")
#: What servers in Go, that of Caddy and Traefik say, in plain text, where a request without TLS comes to a port of TLS.
_NEEDS_TLS = b"Client sent an HTTP request to an HTTPS server"
#: The loggers of the HTTP client that write about its requests.
_REQUEST_LOGGERS = ("httpcore.connection", "httpcore.http11", "httpcore.proxy")
_IDEMPOTENCY: Final = IDEMPOTENCY_HEADER.encode()
#: One request at a time uses the one connection; waiting for it would be a fault of this package.
_EXTENSIONS: Final = {"timeout": {"pool": 1.0}}


class _Parsed(NamedTuple):
    """A URL as the two libraries take it."""

    url: httpx.URL
    target: httpcore.URL


class HttpTransport:
    """Posts batches over one connection that stays open between them."""

    def __init__(self, settings: Settings, wire: Format, clock: Clock) -> None:
        """Make a transport. It opens no connection before its first request.

        Args:
            settings: the server, the key, headers, TLS and the proxy.
            wire: the format of the bodies: its URL, its headers, and how its answers are read.
            clock: the time.
        """
        self._settings = settings
        self._wire = wire
        self._clock = clock
        # The URL of the last request, as text and parsed.
        self._url: tuple[str, _Parsed] | None = None
        self._network = DeadlineBackend(clock)
        self._pool: httpcore.ConnectionPool | None = None
        # The headers that all requests have.
        self._headers: list[tuple[bytes, bytes]] = []
        # What must be shown nowhere, and what to show instead.
        self._secrets: dict[str, str] = settings.secrets()
        _mute_request_lines()

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        url = self._wire.url(self._settings.server_url, batch_id)
        headers = [(_IDEMPOTENCY, batch_id.encode()), (b"Content-Length", b"%d" % len(body))]
        if compressed:
            headers.append((b"Content-Encoding", b"gzip"))
        self._network.begin(seconds)
        with own_work():
            answer = self._attempt(url, headers, body, seconds)
            if answer.status is None and not answer.unusable and self._network.was_stale:
                # The server closes connections that are idle for long, perhaps just when this request came: no fault.
                answer = replace(self._attempt(url, headers, body, seconds), lost_before=answer.arrived)
        return answer

    def _attempt(self, url: str, headers: list[tuple[bytes, bytes]], body: bytes, seconds: float) -> Answer:
        self._network.attempt()
        try:
            parsed = self._parsed(url)
            if self._pool is None:
                self._headers = self._headers_to(parsed.url)
                self._pool = self._open(parsed.url)
            response = self._pool.handle_request(
                httpcore.Request(
                    "POST",
                    parsed.target,
                    headers=self._headers + headers,
                    content=self._parts(body),
                    extensions=_EXTENSIONS,
                )
            )
            try:
                content = self._read(response)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001 - httpx, httpcore, ssl and socket each have their own
            # Nobody knows what was sent and read of this request, so the connection is not used for another.
            self.close()
            return self._failed(error, seconds)
        return self._answer(response, content)

    def _parts(self, body: bytes) -> Iterator[bytes]:
        # httpcore asks for the body when it has written the headers.
        self._network.body_follows(len(body))
        yield body

    def _failed(self, error: Exception, seconds: float) -> Answer:
        detail = self._plain(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        setting = setting_at_fault(error)
        if setting is not None:
            return Answer(unusable=True, check=setting, detail=detail)
        arrived = self._network.has_sent_all
        if self._network.is_over:
            detail = f"no complete answer within {seconds:.3g} s ({detail})"
        # At exit a request has less time than it needs, which tells nothing of the size of its batch.
        whole_time = self._network.is_over and seconds >= self._settings.timeout
        unfinished = whole_time and self._network.has_begun_body and not arrived
        return Answer(arrived=arrived, unfinished=unfinished, detail=detail)

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            with own_work(), contextlib.suppress(Exception):
                pool.close()

    def abandon(self) -> None:
        self._network.abandon()
        self._pool = None

    def _parsed(self, url: str) -> _Parsed:
        """The URL, parsed anew only if it is another than before: few formats have the id of the batch in it."""
        if self._url is None or self._url[0] != url:
            with in_setting("server_url"):
                read = httpx.URL(url)
                target = httpcore.URL(scheme=read.raw_scheme, host=read.raw_host, port=read.port, target=read.raw_path)
                self._url = url, _Parsed(read, target)
        return self._url[1]

    def _headers_to(self, url: httpx.URL) -> list[tuple[bytes, bytes]]:
        """The headers that all requests have."""
        settings = self._settings
        headers = httpx.Headers({"Accept": "*/*", "Connection": "keep-alive"})
        headers["User-Agent"] = f"logcollector-handler/{__version__}"
        if "%" in url.host:
            port = f":{url.port}" if url.port else ""
            headers["Host"] = f"[{without_scope(url.host)}]{port}"
        headers.update(settings.headers)
        headers.update(self._wire.headers(settings.headers))
        # A compressed answer of a few bytes could unpack to a very large one.
        headers["Accept-Encoding"] = "identity"
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        # This adds the Host, if there is none, and the length of a body that it does not have.
        request = httpx.Request("POST", url, headers=headers)
        if url.userinfo:
            next(httpx.BasicAuth(url.username, url.password).auth_flow(request))
        return [(name, value) for name, value in request.headers.raw if name != b"Content-Length"]

    def _open(self, url: httpx.URL) -> httpcore.ConnectionPool:
        settings = self._settings
        # Only for https: reading all the certificates takes longer than sending a batch.
        tls = url.scheme == "https"
        with setting_up():
            context = ssl_context(settings.verify, settings.client_cert) if tls else None
            proxy = proxy_of(settings)
        # The proxy of the environment has a password that the settings do not know.
        self._secrets = {**settings.secrets(), **Url().secrets(proxy_url(settings))}
        return httpcore.ConnectionPool(
            ssl_context=context,
            proxy=proxy,
            max_connections=1,
            keepalive_expiry=_KEEPALIVE,
            network_backend=self._network,
        )

    @staticmethod
    def _read(response: httpcore.Response) -> bytes:
        content = bytearray()
        is_success = httpx.codes.is_success(response.status)
        for part in response.iter_stream():
            content += part
            if len(content) > (_SUCCESS_LIMIT if is_success else _ANSWER_LIMIT):
                if is_success:
                    # An answer that was not read to its end is no delivery.
                    raise ValueError(f"the answer is longer than {_SUCCESS_LIMIT} bytes")
                # Some servers echo the whole batch, or explain the error on a page: the status is enough.
                break
        return bytes(content)

    def _answer(self, response: httpcore.Response, content: bytes) -> Answer:
        status = response.status
        # Not as `httpx.Headers`, whose look-ups take longer than all the rest of this.
        headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
        page = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:15].lower().startswith(_PAGE)
        html = page or "html" in headers.get("content-type", "").lower()
        title = _TITLE.search(content) if html else None
        if httpx.codes.is_redirect(status):
            text = f"a redirect to {headers.get('location')}"
        elif title is not None:
            text = f"an HTML page, {title[1].decode('utf-8', 'replace')}"
        else:
            text = "an HTML page" if html else content.decode("utf-8", "replace")
        is_about_certificate = title is not None and b"SSL certificate" in title[1]
        taken = self._wire.taken(content) if httpx.codes.is_success(status) and not html else Taken()
        return Answer(
            status=status,
            arrived=True,
            detail=self._plain(f"HTTP {status}: {text}" if text else f"HTTP {status}"),
            count=taken.entries,
            rejected=taken.rejected,
            why=self._plain(taken.why),
            retry_after=headers.get("retry-after"),
            date=headers.get("date"),
            foreign=html or content.startswith(_NEEDS_TLS),
            # nginx: "400 No required SSL certificate was sent", "400 The SSL certificate error".
            check="client_cert" if is_about_certificate and httpx.codes.is_client_error(status) else None,
        )

    def _plain(self, text: str) -> str:
        """One printable line without what the settings keep secret."""
        text = masked(text, self._secrets)
        if not text.isprintable():
            text = "".join(char if char.isprintable() else " " for char in text)
        line = " ".join(text.split())
        return line if len(line) <= _DETAIL_LIMIT else line[: _DETAIL_LIMIT - 1] + "…"


def _mute_request_lines() -> None:
    """Keep what the HTTP client logs about requests of this package from the application's handlers.

    Lines for requests that the application makes with httpx and httpcore still pass.
    """
    # On each logger that writes: the filters of a logger do not apply to what comes from those below it.
    for name in _REQUEST_LOGGERS:
        logging.getLogger(name).addFilter(_of_the_application)


def _of_the_application(record: logging.LogRecord) -> bool:
    return not is_own_thread()
