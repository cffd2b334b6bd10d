"""`LogCollectorProcessor`, which stands in a processor chain and passes each event to the handler."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict

from logcollector_handler.entry.caller import application_frame
from logcollector_handler.entry.structured import formatted_record, renamed_event
from logcollector_handler.handler import LogCollectorHandler

from .event import record_of
from .once import Once, call_of, once_filter


class LogCollectorProcessor:
    """Ships each event to the log collection server. May stand anywhere in a chain before the renderer.

    It returns the event that it was given, unchanged. Level and filters of the handler apply. It never raises into the
    application: an event that cannot be shipped is counted as dropped.

    If the chain ends in a logger of the standard library that has the same handler, or is that of a ProcessorFormatter,
    each event is shipped once.

    Args:
        handler: a LogCollectorHandler, as `get_handler()` returns it.
        timestamp_key: the `key` of the chain's `TimeStamper`. If that stands before this processor, the event has its
            time; otherwise the time of this call. Default `timestamp`.
    """

    def __init__(self, handler: LogCollectorHandler, timestamp_key: str = "timestamp") -> None:
        self._handler = handler
        self._timestamp_key = timestamp_key
        self._once: Once = once_filter(handler).state

    def __call__(self, logger: Any, method_name: str, event_dict: EventDict) -> EventDict:
        """Ship the event and return it."""
        name = "structlog"
        # Already true in a call inside a call: a signal handler or a record factory that logs through structlog.
        was_shipping = self._once.shipping
        self._once.shipping = True
        passed: Any = None
        try:
            event: dict[Any, Any] = dict(event_dict) if isinstance(event_dict, Mapping) else {"event": event_dict}
            formatted = formatted_record(sys._getframe(1))
            if formatted is None or self._once.claim(formatted):
                frame, _ = application_frame(sys._getframe(1))
                renamed = renamed_event(sys._getframe(1), self)
                record = record_of(event, logger, method_name, self._timestamp_key, renamed, frame, formatted)
                name = record.name
                if formatted is None:
                    self._once.shipped(call_of(frame, getattr(logger, "name", None)))
                passed = record.levelno >= self._handler.level and self._handler.filter(record)
        except Exception:  # noqa: BLE001 - filters and record factories are the application's, and fields can be anything
            self._handler._pipeline.handler.handleError(logging.LogRecord(name, 0, "", 0, "", None, None))
        else:
            # Not in the `try`: an exception here comes out of a signal handler, when the record may be queued already.
            if passed:
                # From 3.12 on a filter can replace the record.
                self._handler.emit(passed if isinstance(passed, logging.LogRecord) else record)
        finally:
            self._once.shipping = was_shipping
        return event_dict
