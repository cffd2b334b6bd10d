"""uvicorn's h11 protocol for one connection, with two additions.

It ends the connection of a client that does not send its request, or does not read its answer, in time. And it ends
streams when the server stops, because they would never end by themselves; the clients then reconnect.
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


class PatientProtocol(H11Protocol):
    """Ends connections whose client does not send or read in time, and streams when the server stops."""

    _waiting_for: object = None
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time for the first request."""
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        """Process what has arrived, and start the next deadline if the headers or the body are complete."""
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        """Start the time for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """The write buffer is full: the client has BODY_SECONDS to read from it."""
        super().pause_writing()
        self._unread = self.loop.call_later(BODY_SECONDS, self.transport.abort)

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
        """The server stops: end an answer that has begun and not ended, which is a stream."""
        super().shutdown()
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()

    def _watch(self) -> None:
        state = self.conn.their_state
        if state is self._waiting_for or self.transport.is_closing():
            # The deadline stays as it is while the same part of a request arrives, however many bytes come.
            return
        self._forget()
        self._waiting_for = state
        if state is h11.IDLE:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._end_idle)
        elif state is h11.SEND_BODY:
            self._deadline = self.loop.call_later(BODY_SECONDS, self.transport.abort)

    def _end_idle(self) -> None:
        if self.transport.get_write_buffer_size():
            # The client has not read the last answer to its end yet: it has more time for that.
            self._deadline = self.loop.call_later(BODY_SECONDS, self.transport.abort)
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
