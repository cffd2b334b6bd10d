"""One request to the server, from start to end within its time. The only place that knows httpx and httpcore.

This module is imported with the first batch, not before: an application that never logs does not pay for
them. What comes back is an `Answer`; what it means is the sender's affair.

httpx says what a URL, a header and a certificate are; the requests go through httpcore, on which it stands. That is
half the time, and httpcore lets a request be bounded: it bounds each read, so a server that trickles could hold one
for ever, but at its network backend every operation on the socket gets what is left of the request's time.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - the look-up of a name imports it, then in the midst of a fork
import os
import socket
import ssl
import sys
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

import httpcore
import httpx
import msgspec

from logcollector_handler import __version__
from logcollector_handler.settings import Settings
from logcollector_handler.wire.schema import IDEMPOTENCY_HEADER, LOGS_PATH

from . import lifecycle
from .answer import Answer
from .clock import Clock

#: Bytes of an answer that are read; the server's is some forty bytes long.
_ANSWER_LIMIT = 64 * 1024
#: Characters of an answer that are shown to people.
_DETAIL_LIMIT = 200
#: Bytes that are handed to the network at once.
_SLICE = 16 * 1024
#: Seconds for which an idle connection is kept open.
_KEEPALIVE = 60.0


class HttpTransport:
    """Posts batches over one connection that stays open between them."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._network = _DeadlineBackend(clock)
        self._connection: _Connection | None = None

    def post(self, batch_id: str, body: bytes, compressed: bool, seconds: float) -> Answer:
        try:
            if self._connection is None:
                self._connection = self._open()
            request = self._connection.request(batch_id, body, compressed)
        except Exception as error:  # noqa: BLE001 - a wrong URL, proxy or CA file: people must read which
            return Answer(unusable=True, detail=self._explain(error))
        self._network.deadline = self._clock.monotonic() + seconds
        self._network.unsent = len(body)
        try:
            response = self._connection.pool.handle_request(request)
            try:
                content = self._read(response)
            finally:
                response.close()
        except Exception as error:  # noqa: BLE001 - httpcore, h11, ssl and socket each have their own
            # A connection in an unknown state is not used again.
            self.close()
            detail = self._explain(error)
            if isinstance(error, httpcore.TimeoutException):
                detail = f"no complete answer within {seconds:.3g} s ({detail})"
            return Answer(arrived=self._network.unsent <= 0, detail=detail)
        return self._answer(response, content)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.pool.close()

    def abandon(self) -> None:
        self._network.abandon()
        self._connection = None

    def _open(self) -> _Connection:
        settings = self._settings
        url = httpx.URL(settings.server_url + LOGS_PATH)
        # Made only where it is used: to read all the certificates takes longer than a batch.
        with lifecycle.setting_up:
            context = ssl_context(settings.verify) if url.scheme == "https" else None
        pool = httpcore.ConnectionPool(
            ssl_context=context,
            proxy=proxy_of(settings),
            max_connections=1,
            keepalive_expiry=_KEEPALIVE,
            network_backend=self._network,
        )
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        return _Connection(pool, target, _headers(settings, url))

    @staticmethod
    def _read(response: httpcore.Response) -> bytes:
        content = bytearray()
        for part in response.iter_stream():
            content += part
            if len(content) > _ANSWER_LIMIT:
                raise ValueError(f"the answer is longer than {_ANSWER_LIMIT} bytes")
        return bytes(content)

    def _answer(self, response: httpcore.Response, content: bytes) -> Answer:
        status, headers = response.status, httpx.Headers(response.headers)
        page = content.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))
        html = page or "text/html" in headers.get("content-type", "").lower()
        try:
            count = msgspec.json.decode(content, type=_Taken).count
        except (msgspec.DecodeError, UnicodeDecodeError):
            count = None
        if 300 <= status < 400:
            text = f"a redirect to {headers.get('location')}"
        else:
            text = "an HTML page" if html else content.decode("utf-8", "replace")
        return Answer(
            status=status,
            arrived=True,
            detail=self._plain(f"HTTP {status}: {text}" if text else f"HTTP {status}"),
            count=count,
            retry_after=headers.get("retry-after"),
            date=headers.get("date"),
            foreign=html and 200 <= status < 300,
        )

    def _explain(self, error: Exception) -> str:
        return self._plain(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _plain(self, text: str) -> str:
        """One printable line without what the settings keep secret."""
        text = self._settings.mask(text)
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= _DETAIL_LIMIT else line[: _DETAIL_LIMIT - 1] + "…"


class _Taken(msgspec.Struct):
    """What the server's answer says beside its status."""

    count: int | None = None


class _Connection(NamedTuple):
    """What stays the same from request to request."""

    pool: httpcore.ConnectionPool
    url: httpcore.URL
    headers: list[tuple[bytes, bytes]]

    def request(self, batch_id: str, body: bytes, compressed: bool) -> httpcore.Request:
        headers = [
            *self.headers,
            (IDEMPOTENCY_HEADER.encode(), batch_id.encode()),
            (b"Content-Length", b"%d" % len(body)),
        ]
        if compressed:
            headers.append((b"Content-Encoding", b"gzip"))
        # One connection, one request at a time: to wait for it would be an error of ours.
        more = {"timeout": {"pool": 1.0}}
        return httpcore.Request("POST", self.url, headers=headers, content=body, extensions=more)


def _headers(settings: Settings, url: httpx.URL) -> list[tuple[bytes, bytes]]:
    """The headers of every request, without those that each has of its own."""
    headers = httpx.Headers(
        {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": f"logcollector-handler/{__version__}",
            "Accept": "*/*",
            # An answer is some forty bytes long, and read as it comes.
            "Accept-Encoding": "identity",
        }
    )
    headers.update(settings.headers)
    headers["Content-Type"] = "application/json"
    if settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    if url.userinfo:
        headers["Authorization"] = "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode()
    for name in (IDEMPOTENCY_HEADER, "Content-Length", "Content-Encoding", "Transfer-Encoding"):
        headers.pop(name, None)
    return headers.raw


class _DeadlineBackend(httpcore.SyncBackend):
    """The network: each operation gets what is left until `deadline`, and the sockets are remembered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Monotonic seconds at which the request under way has had its time.
        self.deadline = 0.0
        #: Bytes of the request's body that were not handed to the network yet; headers go before it.
        self.unsent = 0
        self._sockets: list[socket.socket] = []

    def left(self) -> float:
        """Seconds left of the request's time, for one operation."""
        left = self.deadline - self._clock.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException("the request took longer than its time")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolve(host, port)
        failure: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for number, address in enumerate(addresses):
            # An address that leads nowhere must leave time for those behind it.
            share = self.left() / (len(addresses) - number)
            try:
                stream = super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return self.watch(stream)
        raise failure

    def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host. The system's resolver has no time-out that we could set, so it runs aside."""
        found: list[str] = []
        trouble: list[OSError] = []

        def look_up() -> None:
            try:
                answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found.extend(dict.fromkeys(str(each[4][0]) for each in answers))
            except OSError as error:
                trouble.append(error)

        thread = threading.Thread(target=look_up, name="logcollector-resolver", daemon=True)
        try:
            if sys.is_finalizing():
                # Before 3.12 a thread that is started now never runs, and its start waits for ever.
                raise RuntimeError
            thread.start()
        except RuntimeError:  # The interpreter goes down, or there are no more threads.
            look_up()
        else:
            thread.join(self.left())
        if trouble:
            raise httpcore.ConnectError(f"the name {host} was not found: {trouble[0]}") from trouble[0]
        if not found:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time")
        return found

    def watch(self, stream: httpcore.NetworkStream) -> _DeadlineStream:
        """Remember the stream's socket, the only one that is open, and bound what is done with it."""
        self._sockets = [stream.get_extra_info("socket")]
        return _DeadlineStream(stream, self)

    def abandon(self) -> None:
        """Close the descriptor without a word to the peer, who is the parent's."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                descriptor = each.detach()
                if descriptor >= 0:
                    os.close(descriptor)
        self._sockets = []


class _DeadlineStream(httpcore.NetworkStream):
    """A connection on which no operation outlives the request's time."""

    def __init__(self, stream: httpcore.NetworkStream, network: _DeadlineBackend) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In slices, because a write bounds each send of its own, not all of them together.
        for start in range(0, len(buffer), _SLICE):
            part = buffer[start : start + _SLICE]
            # Counted before: a write that fails may have reached the server all the same.
            self._network.unsent -= len(part)
            self._stream.write(part, self._network.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self._network.watch(self._stream.start_tls(ssl_context, server_hostname, self._network.left()))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def ssl_context(verify: bool | str) -> ssl.SSLContext:
    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify)
    directory = os.path.isdir(verify)
    return ssl.create_default_context(cafile=None if directory else verify, capath=verify if directory else None)


def proxy_of(settings: Settings) -> httpcore.Proxy | None:
    """The proxy of the settings, else that of the environment (which `no_proxy` may exempt)."""
    url = httpx.URL(settings.server_url)
    found = settings.proxy
    if found is None and not urllib.request.proxy_bypass(url.host):
        proxies = urllib.request.getproxies()
        found = proxies.get(url.scheme) or proxies.get("all")
    if not found:
        return None
    try:
        proxy = httpx.URL(found if "://" in found else f"http://{found}")
    except httpx.InvalidURL:
        # What it says of the URL may be a part of the password.
        raise ValueError("the URL of the proxy cannot be read") from None
    return httpcore.Proxy(
        url=str(proxy.copy_with(username=None, password=None)),
        auth=(proxy.username, proxy.password) if proxy.username else None,
    )
