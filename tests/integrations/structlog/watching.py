"""Compares what a chain's own renderer shows of an event with the entry that arrives."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields

#: structlog's names of levels, and the server's.
LEVELS: Final = {
    "info": "INFO",
    "msg": "INFO",
    "warning": "WARN",
    "error": "ERROR",
}
#: Fields that only one of two formatters adds.
IN_FORMATTERS: Final = {"thread_name", "process_name"}
#: Fields that become columns of the entry, or parts of every entry's `metadata`.
TAKEN: Final = {
    *("event", "level", "level_number", "logger", "timestamp", "exception", "stack", "stack_info", "exc_info"),
    *("positional_args", "_record", "_from_structlog", "msg", "user_id"),
    *IN_FORMATTERS,
}


class Watch:
    """Stands in a chain: ships each event if it is told to, and keeps what the renderer was given.

    Args:
        handler: is on the root logger.
        by_processor: whether a processor for that handler stands in structlog's chain, too.
        in_formatter: the same for the chain of a ProcessorFormatter.
        formatted_first: whether the handler with that formatter comes before ours.
    """

    #: The logger that the chain made.
    log: Any
    #: Whether the chain makes text of the event, and nobody ships the event before that.
    as_text = False

    def __init__(
        self, handler: CapturingHandler, by_processor: bool, in_formatter: bool, formatted_first: bool
    ) -> None:
        self.handler = handler
        self.formatted_first = formatted_first
        #: Belongs before the renderer of structlog's chain.
        self.before = [LogCollectorProcessor(handler)] if by_processor else []
        #: Belongs before the renderer of a ProcessorFormatter.
        self.before_formatter = [LogCollectorProcessor(handler)] if in_formatter else []
        #: The events as the renderer was given them, and the method that was called.
        self.shown: list[tuple[str, dict[str, Any]]] = []
        self.rendered: list[Any] = []

    def renderer(self, renderer: Any) -> Any:
        """The renderer, which is watched."""

        def watched(logger: Any, method: str, event: Any) -> Any:
            self.shown.append((method, dict(event)))
            self.rendered.append(renderer(logger, method, event))
            return self.rendered[-1]

        return watched

    def call(self, log: Callable[[], object]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Log, and compare level, message, time and fields. Returns the only entry, and what the renderer was given."""
        self.handler.clear()
        self.shown.clear()
        before = time.time()
        log()
        after = time.time()
        (entry,), (method, shown) = self.handler.entries, self.shown[-1]
        assert entry["level"] == LEVELS[text_of(shown.get("level", method))]
        assert before <= entry["created_at"] <= after
        if self.as_text:
            assert (entry["message"], fields(entry)) == (self.rendered[-1], {})
            return entry, shown
        assert entry["message"] == message_of(shown)
        if "logger" in shown:
            assert entry["metadata"]["logger"] == shown["logger"]
        for name in shown.keys() - TAKEN:
            # Where every record has a field of that name, its own may be numbered.
            numbered = [value for key, value in entry["metadata"].items() if re.fullmatch(rf"{name}( \(\d+\))?", key)]
            assert text_of(shown[name]) in [entry.get(name), *numbered], name
        names = {re.sub(r" \(\d+\)$", "", name) for name in fields(entry)}
        assert names - IN_FORMATTERS <= shown.keys()
        return entry, shown


def text_of(value: Any) -> Any:
    """The value; text where a UnicodeEncoder has made bytes of it."""
    return value.decode() if isinstance(value, bytes) else value


def message_of(shown: dict[str, Any]) -> str:
    """The message that a person reads: an EventRenamer has renamed it here to `msg`."""
    message = shown["msg"] if "msg" in shown else shown["event"]
    text: str = text_of(message)
    args = shown.get("positional_args")
    return text % args if args and "%" in text else text
