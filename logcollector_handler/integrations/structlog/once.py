"""Keeps an event from being shipped twice: by a processor, and by the handler on a logger of the standard library.

A processor ships the event before or after the standard library makes a record of it and hands that to the handler.
They run one after the other in one thread, so the thread remembers which call or which record was the last.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import FrameType
from typing import Any, Final, NamedTuple

from logcollector_handler.entry.caller import application_frame, asynchronous_frame
from logcollector_handler.handler import LogCollectorHandler

#: How many calls are remembered: those of events that were dropped, or went elsewhere, are never taken back.
_MOST_CALLS: Final = 4


class Call(NamedTuple):
    """Identifies a logging call of the application: its frame (by id), the instruction there, and the logger's name."""

    frame: int
    instruction: int
    logger: str


class Once(threading.local):
    """What a thread shipped last, for all processors of one handler."""

    #: Whether a processor is passing an event to the handler.
    shipping = False
    #: The calls whose events a processor shipped last, until the standard library's record of one is left out. There
    #: is more than one where a later processor or the renderer logs.
    calls: tuple[Call, ...] = ()
    #: The mark of the last record that needs no shipping, because a processor has shipped its event.
    left_out: object = None
    #: The mark of the last record that the handler had from the standard library.
    handled: object = None

    def shipped(self, call: Call | None) -> None:
        """A processor ships the event of this call."""
        if call is not None and call not in self.calls:
            self.calls = (*self.calls[1 - _MOST_CALLS :], call)

    def claim(self, record: logging.LogRecord) -> bool:
        """What a processor asks in a ProcessorFormatter: whether this record's event is still to be shipped."""
        mark = _mark(record)
        if (mark is not None and mark is self.handled) or self._is_shipped(record, mark):
            return False
        self.left_out = mark
        return True

    def is_new(self, record: logging.LogRecord) -> bool:
        """What the handler's filter asks: false for the record of an event that a processor has shipped already."""
        if self.shipping:
            return True
        mark = _mark(record)
        if self._is_shipped(record, mark):
            # Also where the handler is on several loggers, and gets the same record from each.
            return False
        self.handled = mark
        return True

    def _is_shipped(self, record: logging.LogRecord, mark: object) -> bool:
        if mark is not None and mark is self.left_out:
            return True
        if record.name not in [call.logger for call in self.calls]:
            return False
        frame, by_structlog = application_frame(sys._getframe(1))
        call = call_of(frame, record.name)
        if not by_structlog or call not in self.calls:
            return False
        self.calls = self.calls[: self.calls.index(call)]
        self.left_out = mark
        return True


class OnceFilter:
    """The filter of a handler that leaves out the records of events which a processor has shipped already.

    One for all processors of the handler. It stays when these are gone: if it were removed while a record goes through
    the filters, the one behind it would be passed over.
    """

    def __init__(self) -> None:
        self.state: Once = Once()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be shipped."""
        return self.state.is_new(record)


def once_filter(handler: LogCollectorHandler) -> OnceFilter:
    """The filter of that kind on the handler, which is added if there is none."""
    found = next((each for each in list(handler.filters) if isinstance(each, OnceFilter)), None)
    if found is None:
        found = OnceFilter()
        handler.addFilter(found)
    return found


def call_of(frame: FrameType | None, logger: Any) -> Call | None:
    """The logging call that this frame is making; None if it cannot be told from others."""
    if frame is None or type(logger) is not str:
        return None
    # The frame of an asynchronous caller may run on in its own thread, so its instruction can change meanwhile: it is
    # not compared. The frame's id stays unique, because the frame lives until the asynchronous method is done.
    asynchronous = asynchronous_frame() is frame
    # The id, not the frame: keeping a frame would keep all its variables alive.
    return Call(id(frame), -1 if asynchronous else frame.f_lasti, logger)


def _mark(record: logging.LogRecord) -> object:
    """Identifies a record and its copies: the same object in all of them, which is made anew for each record."""
    return record.__dict__.get("relativeCreated")
