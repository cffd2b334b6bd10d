"""uvicorn's h11 protocol for one connection, with three additions.

It ends the connection of a client that does not send its request, or does not read its answer, in time. When there
are too many connections it ends the one that has kept the server waiting for longest, so that a new one is served.
And when the server stops, it ends streams, because they would never end by themselves (the clients then reconnect), and
gives all others a few seconds.
"""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds from the start of a connection, or the end of an answer, within which the headers of a request must arrive.
HEADER_SECONDS: Final = 10.0
#: Seconds from then within which the body must arrive; also those that a client has to read what was written to it.
BODY_SECONDS: Final = 60.0
#: The same when the server stops.
STOP_SECONDS: Final = 3.0
#: Maximum of connections.
CONNECTIONS: Final = 500
#: A key in the scope of a request whose answer has no end.
ENDLESS: Final = "endless"


class PatientProtocol(H11Protocol):
    """Ends connections whose client does not send or read in time, and streams when the server stops."""

    _waiting_for: object = None
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _stopping = False
    #: The loop's time from which on the server waits for something of the client.
    _waiting_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time for the first request, and make room for this connection."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > CONNECTIONS:
            others = (each for each in self.connections if isinstance(each, PatientProtocol) and each is not self)
            waiting = [(waits, each) for each in others if (waits := each._waits_for_client()) is not None]
            if waiting:
                _, slowest = min(waiting, key=lambda each: each[0])
                slowest.transport.abort()
                # uvicorn does so, too, but later. Until then it would answer 503 to this one.
                self.connections.discard(slowest)

    def _waits_for_client(self) -> tuple[int, float] | None:
        """What the server waits for, and since when; None if it is at work itself. The smallest is the least worth."""
        state = self.conn.their_state
        if self._unread is not None or self.transport.is_closing() or self.transport.get_write_buffer_size():
            return 2, self._waiting_since
        if state is h11.SEND_BODY:
            return 1, self._waiting_since
        return (0, self._waiting_since) if state is h11.IDLE else None

    def handle_events(self) -> None:
        """Process what has arrived, and start the next deadline if the headers or the body are complete."""
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        """Start the time for the next request; or, if there is none, for reading what was written."""
        super().on_response_complete()
        self._watch()
        if self.transport.is_closing():
            # Closed only when that is read.
            self._forget()
            self._deadline = self._abort_later()

    def pause_writing(self) -> None:
        """The write buffer is full: the client has BODY_SECONDS to read from it."""
        super().pause_writing()
        self._unread = self._abort_later()

    def resume_writing(self) -> None:
        """The client has read: cancel that deadline."""
        super().resume_writing()
        self._forget_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel both deadlines."""
        super().connection_lost(exc)
        self._forget()
        self._forget_unread()

    def shutdown(self) -> None:
        """The server stops: end a stream, and wait for no client any longer than STOP_SECONDS."""
        super().shutdown()
        self._stopping = True
        if self.cycle is not None and ENDLESS in self.cycle.scope:
            self.transport.abort()
        else:
            self.loop.call_later(STOP_SECONDS, self._end_waiting)

    def _watch(self) -> None:
        state = self.conn.their_state
        if state is self._waiting_for or self.transport.is_closing():
            # The deadline stays as it is while the same part of a request arrives, however many bytes come.
            return
        self._forget()
        self._waiting_for = state
        self._waiting_since = self.loop.time()
        if state is h11.IDLE:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._end_idle)
        elif state is h11.SEND_BODY:
            self._deadline = self._abort_later()

    def _abort_later(self) -> asyncio.TimerHandle:
        return self.loop.call_later(STOP_SECONDS if self._stopping else BODY_SECONDS, self.transport.abort)

    def _end_waiting(self) -> None:
        if self._waits_for_client() is not None:
            self.transport.abort()

    def _end_idle(self) -> None:
        if self.transport.get_write_buffer_size():
            # The client has not read the last answer to its end yet: it has more time for that.
            self._deadline = self._abort_later()
        else:
            self.transport.abort()

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
