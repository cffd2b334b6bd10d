"""`LogCollectorSink`, which loguru gives each message to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from logcollector_handler.delivery.exit import hold_close
from logcollector_handler.handler import LogCollectorHandler

from .once import once_filter

if TYPE_CHECKING:
    from loguru import Message


class LogCollectorSink:
    """A sink that ships each message to the log collection server: `logger.add(LogCollectorSink(get_handler()))`.

    Level and filters of the handler apply, besides those of `add`. What is bound, contextualised, patched in or passed
    by keyword are the fields. The message is shipped as it was before loguru formatted it; so `format`, `colorize`,
    `serialize`, `backtrace` and `diagnose` change nothing.

    Writing never waits for the network, with or without `enqueue`. With it another thread writes, in which nothing is
    bound by `bind_context`. `logger.remove()` waits until everything is sent, for at most `shutdown_timeout`, and the
    handler stays open. `logger.complete()` waits as it does for any sink, until the handler has the messages; `flush()`
    of the handler waits for the server.

    Args:
        handler: a LogCollectorHandler, as `get_handler()` returns it.
    """

    def __init__(self, handler: LogCollectorHandler) -> None:
        self._handler = handler
        self._once = once_filter(handler)

    def write(self, message: Message) -> None:
        """Ship a message of loguru's. What fails, in patchers or filters, loguru tells or raises, as its `catch` says.

        Args:
            message: what loguru gives to each of its sinks.
        """
        self._once.ship(cast("dict[str, Any]", message.record), str(message))

    def stop(self) -> None:
        """What `logger.remove()` calls, also at the end of the process."""
        hold_close(self._handler.flush, self._handler._settings.shutdown_timeout)
