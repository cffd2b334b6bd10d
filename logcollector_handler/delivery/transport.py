"""One request to the server, from start to end within its time. The only place that knows httpx.

This module is imported with the first batch, not before: an application that never logs does not pay for httpx. A
request ends in an `Answer`, whatever happens; the sender decides what follows. The time of a request is kept by
`network`, on which the client stands.
"""

from __future__ import annotations

# httpx makes timedeltas. Python 3.13.0 crashes on that once this module was unloaded, as when a finalizer logs at the
# very end of the process; an import here keeps it loaded.
import _datetime  # type: ignore[import-not-found]  # noqa: F401
import contextlib
import logging
import os
import ssl
import urllib.request
from collections.abc import Iterator

import httpcore
import httpx

from logcollector_handler import __version__
from logcollector_handler.settings import Settings
from logcollector_handler.wire.format import IDEMPOTENCY_HEADER, Format

from .answers import Answer
from .clock import Clock
from .network import DeadlineBackend
from .process import is_own_thread, setting_up

#: Bytes of an answer that are read. The server's own are about forty bytes long.
_ANSWER_LIMIT = 64 * 1024
#: Characters of an answer that are shown to people.
_DETAIL_LIMIT = 200
#: Seconds for which an idle connection is kept open.
_KEEPALIVE = 60.0


class HttpTransport:
    """Posts batches over one connection that stays open between them."""

    def __init__(self, settings: Settings, wire: Format, clock: Clock) -> None:
        """Make a transport. It opens no connection before its first request.

        Args:
            settings: the server, the key, headers, TLS and the proxy.
            wire: the format of the bodies: its path, its headers, and how its answers are read.
            clock: the time.
        """
        self._settings = settings
        self._wire = wire
        self._clock = clock
        self._url: httpx.URL | str = settings.server_url + wire.path
        self._network = DeadlineBackend(clock)
        self._client: httpx.Client | None = None
        _mute_request_lines()

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        headers = {IDEMPOTENCY_HEADER: batch_id}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        try:
            if self._client is None:
                self._client = self._open()
            request = self._client.build_request("POST", self._url, content=body, headers=headers)
        except Exception as error:  # noqa: BLE001 - the URL, the proxy or the CA file is wrong: people must read which
            return Answer(unusable=True, detail=self._explain(error))
        self._network.begin(len(body), seconds)
        try:
            response = self._client.send(request, stream=True)
            try:
                content = self._read(response)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001 - httpx, httpcore, ssl and socket each have their own
            # Nobody knows what was sent and read of this request, so the connection is not used for another.
            self.close()
            detail = self._explain(error)
            if isinstance(error, httpcore.TimeoutException):
                detail = f"no complete answer within {seconds:.3g} s ({detail})"
            return Answer(arrived=self._network.has_sent_all, detail=detail)
        return self._answer(response, content)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()

    def abandon(self) -> None:
        self._network.abandon()
        self._client = None

    def _open(self) -> httpx.Client:
        settings = self._settings
        # Parsed once and not for every batch; and here, where `post` makes an answer of the error.
        self._url = httpx.URL(self._url)
        headers = httpx.Headers({"User-Agent": f"logcollector-handler/{__version__}"})
        headers.update(settings.headers)
        headers.update(self._wire.headers)
        # A compressed answer of a few bytes could unpack to a very large one.
        headers["Accept-Encoding"] = "identity"
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        # Only for https: reading all the certificates takes longer than sending a batch.
        tls = self._url.scheme == "https"
        with setting_up():
            context = ssl_context(settings.verify) if tls else None
        transport = _PooledTransport(
            httpcore.ConnectionPool(
                ssl_context=context,
                proxy=proxy_of(settings),
                max_connections=1,
                keepalive_expiry=_KEEPALIVE,
                network_backend=self._network,
            )
        )
        return httpx.Client(transport=transport, headers=headers)

    @staticmethod
    def _read(response: httpx.Response) -> bytes:
        content = bytearray()
        for part in response.iter_raw():
            content += part
            if len(content) > _ANSWER_LIMIT:
                if response.is_success:
                    # The server's own "ok" is short, and an answer that was not read to its end is no delivery.
                    raise ValueError(f"the answer is longer than {_ANSWER_LIMIT} bytes")
                # Some servers echo the whole batch, or explain the error on a page: the status is enough.
                break
        return bytes(content)

    def _answer(self, response: httpx.Response, content: bytes) -> Answer:
        page = content.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))
        html = page or "text/html" in response.headers.get("content-type", "").lower()
        if response.is_redirect:
            text = f"a redirect to {response.headers.get('location')}"
        else:
            text = "an HTML page" if html else content.decode("utf-8", "replace")
        return Answer(
            status=response.status_code,
            arrived=True,
            detail=self._plain(f"HTTP {response.status_code}: {text}" if text else f"HTTP {response.status_code}"),
            count=self._wire.taken(content),
            retry_after=response.headers.get("retry-after"),
            date=response.headers.get("date"),
            foreign=html and response.is_success,
        )

    def _explain(self, error: Exception) -> str:
        return self._plain(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _plain(self, text: str) -> str:
        """One printable line without what the settings keep secret."""
        text = self._settings.mask(text)
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= _DETAIL_LIMIT else line[: _DETAIL_LIMIT - 1] + "…"


class _PooledTransport(httpx.BaseTransport):
    """Passes httpx's requests to a pool of httpcore, because httpx itself does not accept a network backend."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                # One request at a time uses the one connection; waiting for it would be a fault of this package.
                extensions={"timeout": {"pool": 1.0}},
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer, as it arrives."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def ssl_context(verify: bool | str) -> ssl.SSLContext:
    """What the `verify` setting asks for. Raises OSError when its file cannot be read or holds no certificates."""
    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify)
    directory = os.path.isdir(verify)
    return ssl.create_default_context(cafile=None if directory else verify, capath=verify if directory else None)


def proxy_of(settings: Settings) -> httpcore.Proxy | None:
    """The proxy of the settings, else that of the environment unless its `no_proxy` names the server.

    Raises ValueError when the URL of the proxy is wrong or its kind is not supported.
    """
    url = httpx.URL(settings.server_url)
    found = settings.proxy
    port = url.port or (443 if url.scheme == "https" else 80)
    if found is None and not any(map(urllib.request.proxy_bypass, (url.host, f"{url.host}:{port}"))):
        proxies = urllib.request.getproxies()
        found = proxies.get(url.scheme) or proxies.get("all")
    if not found:
        return None
    try:
        proxy = httpx.URL(found if "://" in found else f"http://{found}")
    except httpx.InvalidURL:
        # The error quotes from the URL, perhaps a part of the password.
        raise ValueError("the URL of the proxy cannot be read") from None
    if proxy.scheme not in ("http", "https"):
        raise ValueError(f"a proxy of the kind {proxy.scheme} is not supported: set proxy to one of HTTP")
    return httpcore.Proxy(
        url=str(proxy.copy_with(username=None, password=None)),
        auth=(proxy.username, proxy.password) if proxy.username else None,
    )


def _mute_request_lines() -> None:
    """Keep httpx's INFO line for each request of this package from the application's handlers.

    Lines for requests that the application makes with httpx still pass.
    """
    logging.getLogger("httpx").addFilter(_of_the_application)


def _of_the_application(record: logging.LogRecord) -> bool:
    return not is_own_thread()
