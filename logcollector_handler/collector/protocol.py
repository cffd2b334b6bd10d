"""HTTP on one connection, as uvicorn speaks it with h11, with two things that it leaves to others.

A client that takes its time over a request is not waited for without end; and an answer that has no end, which is a
stream, is broken off when the server stops, so that the client comes back to the next one.
"""

from __future__ import annotations

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds from the beginning of a connection, or the end of an answer, until the headers of a request are there.
HEADER_SECONDS: Final = 10.0
#: Seconds from there until its body is there, and for an answer to be read.
BODY_SECONDS: Final = 60.0


class PatientProtocol(H11Protocol):
    """Bounded patience."""

    _waiting_for: object = None
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock starts before the first byte."""
        super().connection_made(transport)
        self._watch()

    def handle_events(self) -> None:
        """What has come may end what was waited for."""
        super().handle_events()
        self._watch()

    def on_response_complete(self) -> None:
        """The next request may be waited for."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """There is more to be read than the client has room for: it has time for that, but not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(BODY_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._forget_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        self._forget()
        self._forget_unread()

    def shutdown(self) -> None:
        """The server stops: an answer that has begun and not ended is a stream."""
        super().shutdown()
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()

    def _watch(self) -> None:
        state = self.conn.their_state
        if state is self._waiting_for or self.transport.is_closing():
            # Every byte that drips in does not start the time anew.
            return
        self._forget()
        self._waiting_for = state
        if state is h11.IDLE:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._end_idle)
        elif state is h11.SEND_BODY:
            self._deadline = self.loop.call_later(BODY_SECONDS, self.transport.abort)

    def _end_idle(self) -> None:
        if self.transport.get_write_buffer_size():
            # An answer that is not read to its end yet.
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
