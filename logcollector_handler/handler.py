"""`LogCollectorHandler`: the logging handler that people configure. It wires the parts and owns their life."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping
from threading import get_ident
from typing import Any

from .context import current_fields, current_span
from .delivery import exit as ending
from .delivery.clock import SystemClock
from .delivery.pipeline import Pipeline, connect, entry_builder
from .delivery.process import at_fork, holds_logging_lock, own_threads
from .settings import load
from .settings.signature import with_settings
from .stats import Stats

#: Loggers of the HTTP client; what they log while the package does its own work would never come to an end.
_CLIENT_LOGGERS = frozenset({"httpx", "httpcore"})
#: Every handler of this process, for a fork.
_handlers: weakref.WeakSet[LogCollectorHandler] = weakref.WeakSet()


class LogCollectorHandler(logging.Handler):
    """Ships records to a log collection server: in batches, in the background, in the server's schema.

    The settings are keywords. Each may also come from the environment as `LOGCOLLECTOR_<NAME>`; a keyword wins, and
    None means that it was not given.

    Raises:
        SettingError: (a ValueError) a setting has a value that it cannot have.
    """

    @with_settings
    def __init__(self, level: int | str = logging.NOTSET, **settings: Any) -> None:
        """Check the settings. Threads start with the first record.

        Args:
            level: records below it are not handled.
        """
        self._settings = load(settings)
        self._builder = entry_builder(self._settings, bound=current_fields, span=current_span)
        self._flush_level = self._settings.flush_level
        self._open()
        # Last: `logging` holds on to what gets this far, and flushes it at exit.
        super().__init__(level)
        _handlers.add(self)

    def _open(self) -> None:
        self._pipeline = Pipeline(self._settings, self._builder, SystemClock(), connect)
        self._queue_handler = self._pipeline.handler
        # When nobody refers to the handler any more, its threads send what they have and end. At exit that is done for
        # all handlers together.
        self._finalizer = weakref.finalize(self, self._pipeline.workers.close, 0.0)
        self._finalizer.atexit = False

    def _reopen(self) -> None:
        """In a forked child: close what is the parent's, and start anew."""
        self._finalizer.detach()
        self._pipeline.workers.abandon()
        self._open()

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]  # as 3.12 does
        """Filter a record and put it into the queue.

        Without the handler's lock, which the stdlib holds around `emit`: the queue needs none, and a thread
        that was forked or interrupted while it holds a lock stops others.
        """
        passed: bool | logging.LogRecord = self.filter(record)  # From 3.12 on a filter can replace the record.
        if not passed or (get_ident() in own_threads and record.name.partition(".")[0] in _CLIENT_LOGGERS):
            return False
        if isinstance(passed, logging.LogRecord):
            record = passed
        self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queue, as an entry. Never raises and never waits for the network."""
        self._queue_handler.emit(record)
        try:
            urgent = record.levelno >= self._flush_level
        except Exception:  # noqa: BLE001 - a record made by hand can have any level, or none
            return
        if urgent:
            self._pipeline.workers.urge()

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the stdlib's name
        """A formatter renders the `message` of entries. Without one it is the record's own message."""
        super().setFormatter(fmt)
        self._builder.use_formatter(fmt)

    def stats(self) -> Stats:
        """What became of the records that this process gave the handler."""
        return self._pipeline.stats()

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """Send what was accepted so far, and wait until that is done or the time is over.

        Args:
            timeout: seconds; default is `shutdown_timeout`. Under the lock of `logging`, that is, when
                `dictConfig` calls, there is no wait.

        Returns:
            True when everything accepted before the call was delivered or dead-lettered.
        """
        if timeout is None:
            timeout = 0.0 if holds_logging_lock() else self._settings.shutdown_timeout
        return self._pipeline.workers.flush(timeout)

    def close(self) -> None:
        """Send everything and let the threads end, within `shutdown_timeout` seconds.

        What takes longer goes on in the background. When `dictConfig` closes the handler there is no wait at
        all. A record after `close()` opens the handler again.
        """
        super().close()
        self._pipeline.workers.close(0.0 if holds_logging_lock() else self._settings.shutdown_timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings!r} ({logging.getLevelName(self.level)})>"


def get_handler(name: str | None = None) -> LogCollectorHandler:
    """The handler that `dictConfig` made.

    Args:
        name: its key under `handlers`. Default: there is only one.

    Raises:
        LookupError: there is none of that name, or, without a name, none at all or several.
    """
    # What has no name was made by hand, and whoever made it has it. An earlier configuration's are forgotten there.
    named: Mapping[str, logging.Handler] = logging._handlers  # type: ignore[attr-defined]  # public from 3.12 on
    found = {key: each for key, each in list(named.items()) if isinstance(each, LogCollectorHandler)}
    there_is = f"there is {', '.join(map(repr, found))}" if found else "dictConfig has made none"
    if name is None:
        if len(found) == 1:
            return next(iter(found.values()))
        which = "which one is not clear without a name" if found else "no LogCollectorHandler"
        raise LookupError(f"{which}: {there_is}")
    if name not in found:
        raise LookupError(f"no LogCollectorHandler has the name {name!r}: {there_is}")
    return found[name]


def _after_fork_in_child() -> None:
    ending.forget()
    for handler in list(_handlers):
        handler._reopen()


at_fork(_after_fork_in_child)
