"""The network below the HTTP client: every operation gets what is left of the request's time.

httpx bounds each read, not the request, so a server that sends a byte now and then could hold one for ever. The bound
is kept here instead, in the network backend of httpcore, on which httpx stands. The backend also remembers the socket
in use, so that a forked child can close its copy without sending anything to the peer.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - the first look-up of a name imports it, and a fork may come in the middle of that
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterable

import httpcore

from .clock import Clock

#: Bytes that are handed to the network in one call.
_SLICE = 16 * 1024


class DeadlineBackend(httpcore.SyncBackend):
    """The network for one connection at a time. No operation on it goes on after `deadline`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Monotonic seconds at which the time of the present request is over.
        self._deadline = 0.0
        # The size of its body, less every byte that was handed to the network.
        self._unsent = 0
        self._look_up: _LookUp | None = None
        # The addresses that a name had when it was last looked up.
        self._addresses: dict[tuple[str, int], list[str]] = {}
        # The socket, and its descriptor with the inode: during the TLS handshake no socket object has the descriptor.
        self._socket: socket.socket | None = None
        self._descriptor: tuple[int, int] | None = None

    def begin(self, body_size: int, seconds: float) -> None:
        """A request with a body of that many bytes begins, and has that many seconds from start to end."""
        self._deadline = self._clock.monotonic() + seconds
        self._unsent = body_size

    @property
    def has_sent_all(self) -> bool:
        """Whether the server may have got the whole request.

        The bytes of the headers, and of a CONNECT to a proxy, count too. So this is true a few hundred bytes before the
        body is through: in doubt, a request counts as arrived.
        """
        return self._unsent <= 0

    def handed_over(self, count: int) -> None:
        """That many bytes go to the network. Told before, because a write that fails may have reached the server."""
        self._unsent -= count

    def left(self) -> float:
        """Seconds left of the request's time. Raises TimeoutException when there are none."""
        left = self._deadline - self._clock.monotonic()
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
            # An address that does not answer must leave time for those after it.
            share = self.left() / (len(addresses) - number)
            try:
                stream = super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return self.watch(stream)
        raise failure

    def _resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host. The system's resolver takes no time-out, so it runs in a thread of its own."""
        if _is_address(host):
            return [host]
        look_up = self._look_up
        if look_up is None or look_up.host != host or look_up.done.is_set():
            look_up = self._look_up = _LookUp(host, port)
            try:
                look_up.start()
            except RuntimeError:  # The interpreter is going down, or the system has no more threads.
                if known := self._addresses.get((host, port)):
                    return known
                look_up.run()
        # A look-up that an earlier request began, and that has no answer yet, is waited for and not repeated.
        look_up.done.wait(self.left())
        if look_up.trouble is not None:
            raise httpcore.ConnectError(f"the name {host} was not found: {look_up.trouble}") from look_up.trouble
        if not look_up.found:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time")
        self._addresses[host, port] = look_up.found
        return look_up.found

    def watch(self, stream: httpcore.NetworkStream) -> _DeadlineStream:
        """Remember the stream's socket, the only one that is open, and bound every operation on it."""
        self._socket = stream.get_extra_info("socket")
        assert self._socket is not None  # noqa: S101 - every stream of this backend has one
        descriptor = self._socket.fileno()
        self._descriptor = (descriptor, os.fstat(descriptor).st_ino) if descriptor >= 0 else None
        return _DeadlineStream(stream, self)

    def abandon(self) -> None:
        """In a forked child: close the descriptor without sending anything, because the parent talks to the peer."""
        with contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.detach()
            if self._descriptor is not None:
                descriptor, inode = self._descriptor
                # The number may have been given to another file since.
                if os.fstat(descriptor).st_ino == inode:
                    os.close(descriptor)
        self._socket = self._descriptor = None


class _LookUp(threading.Thread):
    """One question to the system's resolver, which may take any time to answer."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="logcollector-resolver", daemon=True)
        self.host = host
        self._port = port
        self.found: list[str] = []
        self.trouble: Exception | None = None
        self.done = threading.Event()

    def start(self) -> None:
        if sys.is_finalizing():
            # Before Python 3.12 a thread that is started now never runs, and `start` would wait for it for ever.
            raise RuntimeError("the interpreter is going down")
        super().start()

    def run(self) -> None:
        try:
            answers = socket.getaddrinfo(self.host, self._port, type=socket.SOCK_STREAM)
            self.found = list(dict.fromkeys(str(each[4][0]) for each in answers))
        except (OSError, UnicodeError) as error:
            self.trouble = error
        finally:
            self.done.set()


class _DeadlineStream(httpcore.NetworkStream):
    """A connection on which no operation goes on after the deadline of its network."""

    def __init__(self, stream: httpcore.NetworkStream, network: DeadlineBackend) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In slices, because httpcore applies the time to each send of a write, and not to all of them together.
        for start in range(0, len(buffer), _SLICE):
            part = buffer[start : start + _SLICE]
            self._network.handed_over(len(part))
            self._stream.write(part, self._network.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self._network.watch(self._stream.start_tls(ssl_context, server_hostname, self._network.left()))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return True
    return False
