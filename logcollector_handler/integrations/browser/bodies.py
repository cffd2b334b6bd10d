"""The bodies that are in memory: all of them together, of whatever clients, stay below a limit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Body(bytearray):
    """A body that is being received, or that is answered."""

    #: Whether it was thrown away, to make room for others.
    given_up = False


class Bodies:
    """Counts what clients send. May be used in any thread.

    Args:
        most: bytes of all bodies together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held = 0
        #: The bodies that are not here whole, by their `id`; the one that began first comes first.
        self._arriving: dict[int, Body] = {}

    @contextmanager
    def one(self) -> Iterator[Body]:
        """An empty body. What `add` adds to it counts until the block ends."""
        body = Body()
        with self._lock:
            self._arriving[id(body)] = body
        try:
            yield body
        finally:
            self.done(body)
            with self._lock:
                self._held -= len(body)

    def add(self, body: Body, piece: bytes) -> None:
        """Add a piece to a body. While all are too large, the one that began to arrive first is given up.

        That one is the slowest. Refusing the newest would let a few slow clients stop all others.
        """
        with self._lock:
            if body.given_up:
                return
            body += piece
            self._held += len(piece)
            while self._held > self._most and self._arriving:
                slowest = self._arriving.pop(next(iter(self._arriving)))
                self._held -= len(slowest)
                slowest.clear()
                slowest.given_up = True

    def done(self, body: Body) -> None:
        """Nothing more comes. What is here now is not given up any more."""
        with self._lock:
            self._arriving.pop(id(body), None)
