"""Keeps a message from being shipped twice: by the sink, and by the handler on a logger of the standard library.

loguru's documentation has two handlers that connect it with `logging`: InterceptHandler logs with loguru what comes
through `logging`, PropagateHandler passes to `logging` what comes through loguru. Where our handler is on the loggers
there, too, each message comes by both ways, one after the other in one thread. With `enqueue` the sink is called in
another thread, where the other way cannot be seen.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import FrameType
from typing import Any, Final

from logcollector_handler.entry.caller import module_of
from logcollector_handler.handler import LogCollectorHandler

from .message import record_of

#: The frames between a sink and the logger of the standard library that an InterceptHandler stands at, at most.
_DEPTH: Final = 16


class OnceFilter(threading.local):
    """The filter of a handler that knows what its sinks have shipped. One for all its sinks.

    A message is told from others by an object that loguru makes anew for each. The message itself is not kept, because
    it may hold an exception, and that all its frames.
    """

    #: Whether a record that was made of a message is on its way to the handler.
    shipping: bool = False
    #: The last message that was shipped by a sink, and the last one that came through the standard library.
    by_sink: object = None
    by_logging: object = None

    def __init__(self, handler: LogCollectorHandler) -> None:
        self._handler = handler

    def ship(self, message: dict[str, Any], text: str) -> None:
        """Ship what a sink was given, unless the handler has it, or gets it, from the standard library."""
        mark = message["thread"]
        if (mark is None or mark is not self.by_logging) and not self._is_intercepted(message["message"]):
            self.by_sink = mark
            self._pass_on(record_of(message, text))

    def filter(self, record: logging.LogRecord) -> bool:
        """False for the record that loguru has made of a message: it is shipped as the message that it was."""
        extra = record.__dict__.get("extra")
        if self.shipping or type(extra) is not dict:
            return True
        message = _message_with(extra, sys._getframe(1))
        if message is None:
            return True
        mark = message["thread"]
        if mark is None or mark is not self.by_sink:
            self.by_logging = mark
            self._pass_on(record_of(message, ""))
        return False

    def _pass_on(self, record: logging.LogRecord) -> None:
        # Already true in a call inside a call: a signal handler that logs.
        before = self.shipping
        try:
            self.shipping = True
            if record.levelno >= self._handler.level:
                self._handler.handle(record)
        finally:
            self.shipping = before

    def _is_intercepted(self, text: str) -> bool:
        """Whether the message is that of a record which the standard library gives the handler, too."""
        frame: FrameType | None = sys._getframe(1)
        for _ in range(_DEPTH):
            if frame is None:
                return False
            if frame.f_code.co_name == "callHandlers" and module_of(frame) == "logging":
                record, logger = (frame.f_locals.get(name) for name in ("record", "self"))
                # Another text: not the record, but what a handler has to say of it.
                if not isinstance(record, logging.LogRecord) or record.getMessage() != text:
                    return False
                while isinstance(logger, logging.Logger):
                    if self._handler in logger.handlers:
                        return True
                    logger = logger.parent if logger.propagate else None
                return False
            frame = frame.f_back
        return False


def once_filter(handler: LogCollectorHandler) -> OnceFilter:
    """The filter of that kind on the handler, which is added if there is none."""
    found = next((each for each in list(handler.filters) if isinstance(each, OnceFilter)), None)
    if found is None:
        found = OnceFilter(handler)
        handler.addFilter(found)
    return found


def _message_with(extra: dict[str, Any], frame: FrameType | None) -> dict[str, Any] | None:
    """The message with these fields that loguru is giving a handler of `logging` on this stack, if there is one."""
    while frame is not None:
        if frame.f_code.co_name == "write" and module_of(frame) == "loguru._simple_sinks":
            message = frame.f_locals.get("raw_record")
            if type(message) is dict and message.get("extra") is extra:
                return message
        frame = frame.f_back
    return None
