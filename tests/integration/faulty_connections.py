"""The connections of a faulty server: how they are accepted, read and cut, and a request as it arrived on one.

What belongs here: sockets, and the bytes of HTTP on them. What does not: what becomes of a request; that is
`faulty.py`.
"""

from __future__ import annotations

import gzip
import io
import selectors
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from http.client import HTTPMessage, parse_headers

from tests.bodies import WIRES, Entry, entries_in


class Request:
    """One request as it arrived. A rule that asks for `body` or `entries` waits for the whole body."""

    def __init__(self, head: bytes, connection: Connection) -> None:
        line, _, fields = head.partition(b"\r\n")
        self.method, self.path, _version = line.decode("ascii").split(" ")
        self.headers: HTTPMessage = parse_headers(io.BytesIO(fields))
        self.key: str | None = self.headers["Idempotency-Key"]
        #: Monotonic seconds at which the headers had arrived.
        self.time = time.monotonic()
        self._length = int(self.headers["Content-Length"] or 0)
        self._received = bytearray()
        self._connection: Connection | None = connection

    @property
    def body(self) -> bytes:
        """The raw body; of a request that was cut, as much of it as was read."""
        self.read()
        return bytes(self._received)

    @property
    def entries(self) -> list[Entry]:
        """The entries of the batch, in whatever format; empty if the body is not a batch."""
        return self._decoded or []

    @property
    def is_batch(self) -> bool:
        """Whether the whole body is a batch in the format that its Content-Type says."""
        return self._decoded is not None

    @property
    def wire(self) -> str:
        """The format that the Content-Type says."""
        return WIRES.get(self.headers["Content-Type"], "collector")

    @cached_property
    def _decoded(self) -> list[Entry] | None:
        # Once: between a look whether the sender is there and storing the batch no time may pass.
        body = self.body
        try:
            return entries_in(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body, self.wire)
        except (ValueError, EOFError, OSError, zlib.error):
            return None

    def read(self, share: float = 1.0, delay: float = 0.0, piece: int = 65536) -> None:
        """Reads on until that share of the body is there, `piece` bytes every `delay` seconds."""
        end = int(self._length * share)
        while self._connection is not None and len(self._received) < end:
            self._connection.pause(delay)
            self._received += self._connection.receive(min(piece, end - len(self._received)))

    def sender_has_gone(self) -> bool:
        """Whether the client has closed the connection, as it does when it gives the request up."""
        return self._connection is not None and self._connection.is_closed_by_peer()

    def seal(self) -> None:
        """From here on, `body` is what was read so far."""
        self._connection = None


class Acceptor:
    """The thread that accepts connections of one listening socket, until it is stopped."""

    def __init__(self, listener: socket.socket, connect: Callable[[socket.socket], None]) -> None:
        self._listener = listener
        self._connect = connect
        self._awake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="faulty-server-acceptor")
        self._thread.start()

    def stop(self) -> None:
        self._waker.close()
        self._thread.join()
        self._awake.close()

    def _run(self) -> None:
        # Closing a socket does not wake the thread that waits in accept() on every platform; this does.
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._awake, selectors.EVENT_READ)
            while self._awake not in {key.fileobj for key, _ in selector.select()}:
                sock, _ = self._listener.accept()
                self._connect(sock)


class Connection:
    """The bytes of one connection. Every wait ends with ConnectionAbortedError when it is cut."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._is_cut = threading.Event()
        self._buffer = bytearray()

    def cut(self) -> None:
        """From another thread, under the server's lock: the socket is open for as long as it is listed."""
        self._is_cut.set()
        with suppress(OSError):
            # SSLSocket.shutdown would take the TLS state from under the thread that reads.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def handshake(self) -> None:
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.do_handshake()

    def pause(self, seconds: float | None) -> None:
        if self._is_cut.wait(seconds):
            raise ConnectionAbortedError

    def hang(self, until: threading.Event | None) -> None:
        # Two events cannot be waited for at once; a look every 5 ms is cheap enough here.
        while until is None or not until.is_set():
            self.pause(None if until is None else 0.005)

    def is_closed_by_peer(self) -> bool:
        """Without TLS only. What the peer has sent before is still there to be read."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False

    def receive(self, at_most: int) -> bytes:
        """At least one byte."""
        if not self._buffer:
            self._buffer += self.socket.recv(65536)
            if not self._buffer:
                raise ConnectionAbortedError
        piece = bytes(self._buffer[:at_most])
        del self._buffer[:at_most]
        return piece

    def receive_head(self) -> bytes:
        """The request line and the headers, with the empty line."""
        while b"\r\n\r\n" not in self._buffer:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionAbortedError
            self._buffer += piece
        end = self._buffer.index(b"\r\n\r\n") + 4
        head = bytes(self._buffer[:end])
        del self._buffer[:end]
        return head

    def send(self, data: bytes, delay: float) -> None:
        if not delay:
            self.socket.sendall(data)
            return
        for i in range(len(data)):
            self.pause(delay)
            self.socket.sendall(data[i : i + 1])


def bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock
