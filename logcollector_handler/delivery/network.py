"""The network below the HTTP client: every operation gets what is left of the request's time.

httpx bounds each read, not the request, so a server that sends a byte now and then could hold one for ever. The bound
is kept here instead, in the network backend of httpcore, on which httpx stands. The backend also sees what httpx does
not tell: how much of the body was sent, and whether a request that failed was made on a connection that had been kept.
It remembers the socket in use, so that a forked child can close its copy without sending anything to the peer.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import sys
import time
from collections.abc import Iterable

import httpcore

from .clock import Clock
from .pipes import broken_pipes_raise
from .resolver import Resolver, without_scope

#: Bytes that are handed to the network in one call.
_SLICE = 16 * 1024
#: Those of them that come last, alone, if the body has more than one slice.
_END = 1024
#: Seconds. A wait for the network may end this much before its time.
_EARLY = 0.01
#: Of a body of this many bytes or more the last ones are sent when the peer has confirmed those before; of a smaller
#: one, for which a round trip more would be felt, when those before were sent.
_LARGE = 64 * 1024
#: Seconds between two looks whether it has.
_LOOK_EVERY = 0.002
#: Linux: ask a TCP socket for the bytes that it has not sent yet, and for those that the peer has not confirmed yet
#: (SIOCOUTQNSD and SIOCOUTQ of linux/sockios.h).
_NOT_SENT, _NOT_CONFIRMED = 0x894B, 0x5411
#: The first byte of TCP_INFO while both sides are open (TCP_ESTABLISHED of linux/tcp.h).
_ESTABLISHED = 1


class DeadlineBackend(httpcore.SyncBackend):
    """The network for one connection at a time. No operation on it goes on after the deadline of the request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._resolver = Resolver()
        # Monotonic seconds at which the time of the present request is over.
        self._deadline = 0.0
        # The bytes of its body, and those of them that were not handed to the network; None until the headers were.
        self._body_size = 0
        self._body_left: int | None = None
        # What the present attempt has done: opened a connection, written to one, got a byte of an answer.
        self._has_connected = self._has_written = self._has_heard = False
        # The socket, and its descriptor with the inode: during the TLS handshake no socket object has the descriptor.
        self._socket: socket.socket | None = None
        self._descriptor: tuple[int, int] | None = None

    def begin(self, seconds: float) -> None:
        """A request begins, and has that many seconds from start to end."""
        self._deadline = self._clock.monotonic() + seconds

    def attempt(self) -> None:
        """The request is made now, for the first time or once more."""
        self._body_left = None
        self._has_connected = self._has_written = self._has_heard = False

    def body_follows(self, size: int) -> None:
        """What is written from now on is the body, which has that many bytes."""
        self._body_size = self._body_left = size

    @property
    def has_begun_body(self) -> bool:
        """Whether the headers went out: there was a connection, and its handshake was over."""
        return self._body_left is not None

    @property
    def has_sent_all(self) -> bool:
        """Whether the server may have got the whole request. In doubt it has."""
        return self._body_left is not None and self._body_left <= 0

    @property
    def is_over(self) -> bool:
        """Whether the time of the request is over."""
        return self._clock.monotonic() >= self._deadline - _EARLY

    @property
    def was_stale(self) -> bool:
        """Whether the attempt, which failed, was made on a kept connection, without a byte of an answer.

        Then the server had closed it since the request before.
        """
        return self._has_written and not (self._has_connected or self._has_heard or self.is_over)

    @property
    def slice_size(self) -> int:
        """How many bytes are handed over next."""
        left = self._body_left
        return _SLICE if left is None or left <= _END or self._body_size <= _SLICE else min(_SLICE, left - _END)

    def hands_over(self, count: int) -> None:
        """That many bytes go to the network. Told before, because a write that fails may have reached the server.

        The end of a body of several slices waits here until the bytes before are out of this machine, of a large one
        until the peer has confirmed them. So when the time is over before that, the server is known not to have the
        whole request and never to get it, although the system's buffers, and those of a line that is slow and long, may
        hold all the rest and go on sending it.
        """
        self._has_written = True
        if self._body_left is None:
            return
        if self._body_left <= count < self._body_size and self._socket is not None:
            which, most = (_NOT_CONFIRMED, _SLICE) if self._body_size >= _LARGE else (_NOT_SENT, 0)
            # A peer that has closed its side confirms no more, and may have answered.
            while _queued(self._socket, which) > most and _is_open(self._socket):
                time.sleep(min(_LOOK_EVERY, self.left()))
        self._body_left -= count

    def heard(self) -> None:
        """A part of an answer came."""
        self._has_heard = True

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
        self._has_connected = True
        addresses = self._resolver.addresses(host, port, self.left)
        failure: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for number, address in enumerate(addresses):
            # An address that does not answer must leave time for those after it.
            share = self.left() / (len(addresses) - number)
            try:
                stream = super().connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                self._resolver.took_connection(host, port, address)
                return self.watch(stream)
        raise failure

    def watch(self, stream: httpcore.NetworkStream) -> _DeadlineStream:
        """Remember the stream's socket, the only one that is open, and bound every operation on it."""
        self._socket = stream.get_extra_info("socket")
        assert self._socket is not None  # noqa: S101 - every stream of this backend has one
        descriptor = self._socket.fileno()
        self._descriptor = (descriptor, os.fstat(descriptor).st_ino) if descriptor >= 0 else None
        return _DeadlineStream(stream, self)

    def closes(self) -> None:
        """The connection is about to be closed: drop what of a request that was given up is still in this machine.

        Closed as usual, the system would go on sending it, over a line that may be slow and has to carry the next.
        """
        if self._socket is not None and self._socket.fileno() >= 0 and _queued(self._socket, _NOT_SENT):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

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


class _DeadlineStream(httpcore.NetworkStream):
    """A connection on which no operation goes on after the deadline of its network."""

    def __init__(self, stream: httpcore.NetworkStream, network: DeadlineBackend) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with broken_pipes_raise():  # TLS answers some of what it reads.
            data = self._stream.read(max_bytes, self._network.left())
        if data:
            self._network.heard()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # In slices, because httpcore applies the time to each send of a write, and not to all of them together.
        with broken_pipes_raise():
            start = 0
            while start < len(buffer):
                part = buffer[start : start + self._network.slice_size]
                self._network.hands_over(len(part))
                self._stream.write(part, self._network.left())
                start += len(part)

    def close(self) -> None:
        self._network.closes()
        with broken_pipes_raise():
            self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # No certificate names the scope of an address.
        name = server_hostname and without_scope(server_hostname)
        with broken_pipes_raise():
            return self._network.watch(self._stream.start_tls(ssl_context, name, self._network.left()))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _queued(connection: socket.socket, which: int) -> int:
    """The bytes that were written to a connection and wait in this machine; 0 where the system does not tell.

    The buffer of a connection holds megabytes, so that a server may be far from having a body that was all written.
    """
    if sys.platform != "linux":
        return 0
    import fcntl

    try:
        (count,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), which, bytes(4)))
    except (OSError, ValueError):  # It is closed, not a connection of TCP, or not the Linux that it seems.
        return 0
    return int(count)


def _is_open(connection: socket.socket) -> bool:
    """Whether neither side has closed a connection. Asked on Linux only."""
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
    except OSError:
        return False
