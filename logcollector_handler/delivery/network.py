"""The network below the HTTP client: every operation gets what is left of the request's time.

httpx bounds each read, not the request, so a server that trickles could hold one for ever. The bound is kept
here, at the network backend of httpcore, on which httpx stands. The socket in use is remembered, so that a
forked child can let go of it without a word to the peer.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - the look-up of a name imports it, then in the midst of a fork
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterable

import httpcore

from .clock import Clock

#: Bytes that are handed to the network at once.
_SLICE = 16 * 1024


class DeadlineBackend(httpcore.SyncBackend):
    """The network for one connection at a time, on which no operation takes longer than until `deadline`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Monotonic seconds at which the request under way has had its time.
        self.deadline = 0.0
        #: Bytes of the request's body that were not handed to the network yet; headers go before it.
        self.unsent = 0
        self._look_up: _LookUp | None = None
        #: The addresses that a name had when it was last looked up.
        self._addresses: dict[tuple[str, int], list[str]] = {}
        # The socket, and its descriptor by inode: while TLS is agreed on no socket object has the descriptor.
        self._socket: socket.socket | None = None
        self._descriptor: tuple[int, int] | None = None

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
        if _is_address(host):
            return [host]
        look_up = self._look_up
        if look_up is None or look_up.host != host or look_up.done.is_set():
            look_up = self._look_up = _LookUp(host, port)
            try:
                look_up.start()
            except RuntimeError:  # The interpreter goes down, or there are no more threads.
                if known := self._addresses.get((host, port)):
                    return known
                look_up.run()
        # One that was asked before and has no answer yet is not asked again.
        look_up.done.wait(self.left())
        if look_up.trouble is not None:
            raise httpcore.ConnectError(f"the name {host} was not found: {look_up.trouble}") from look_up.trouble
        if not look_up.found:
            raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time")
        self._addresses[host, port] = look_up.found
        return look_up.found

    def watch(self, stream: httpcore.NetworkStream) -> _DeadlineStream:
        """Remember the stream's socket, the only one that is open, and bound what is done with it."""
        self._socket = stream.get_extra_info("socket")
        assert self._socket is not None  # noqa: S101 - the streams of the backend have one
        descriptor = self._socket.fileno()
        self._descriptor = (descriptor, os.fstat(descriptor).st_ino) if descriptor >= 0 else None
        return _DeadlineStream(stream, self)

    def abandon(self) -> None:
        """Close the descriptor without a word to the peer, who is the parent's."""
        with contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.detach()
            if self._descriptor is not None:
                descriptor, inode = self._descriptor
                # By now the number may be that of another file.
                if os.fstat(descriptor).st_ino == inode:
                    os.close(descriptor)
        self._socket = self._descriptor = None


class _LookUp(threading.Thread):
    """A question to the system's resolver, which answers when it likes."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="logcollector-resolver", daemon=True)
        self.host = host
        self._port = port
        self.found: list[str] = []
        self.trouble: Exception | None = None
        self.done = threading.Event()

    def start(self) -> None:
        if sys.is_finalizing():
            # Before 3.12 a thread that is started now never runs, and its start waits for ever.
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
    """A connection on which no operation outlives the request's time."""

    def __init__(self, stream: httpcore.NetworkStream, network: DeadlineBackend) -> None:
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


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return True
    return False
