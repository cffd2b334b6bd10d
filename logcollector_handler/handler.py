"""`LogCollectorHandler`: the logging handler that people configure. `Pipeline` does its work; a fork gets a new one."""

from __future__ import annotations

import atexit
import logging
import weakref
from collections.abc import Mapping
from threading import get_ident
from typing import Any

from .context import current_fields, current_span
from .delivery import children
from .delivery import exit as ending
from .delivery.clock import SystemClock
from .delivery.pipeline import Pipeline, connect, entry_builder
from .delivery.process import at_fork, holds_logging_lock, own_threads
from .settings import load
from .settings.signature import with_settings
from .stats import Stats

#: Loggers of the HTTP client. Shipping what they log while the package sends would make it send again, without end.
_CLIENT_LOGGERS = frozenset({"httpx", "httpcore"})
#: Every handler of this process, so that a forked child can reopen them.
_handlers: weakref.WeakSet[LogCollectorHandler] = weakref.WeakSet()


class LogCollectorHandler(logging.Handler):
    """Ships records to a log collection server: in batches, in the background, in the server's schema.

    The settings are keywords. Each may also come from the environment as `LOGCOLLECTOR_<NAME>`; a keyword wins over
    that, and None means that the keyword is not given.

    Raises:
        SettingError: (a ValueError) the value of a setting is not allowed.
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
        # Last: it registers the handler with `logging`, which flushes it at exit. A failed one must not get there.
        super().__init__(level)
        _handlers.add(self)

    def _open(self) -> None:
        self._pipeline = Pipeline(self._settings, self._builder, SystemClock(), connect)
        self._queue_handler = self._pipeline.handler
        # When nobody refers to the handler any more, its threads send what they have and end. Not at exit, where
        # `exit.drain` does that for all handlers together.
        self._finalizer = weakref.finalize(self, self._pipeline.workers.close, 0.0)
        self._finalizer.atexit = False

    def _reopen(self) -> None:
        """In a forked child: close what belongs to the parent, and start with an empty pipeline."""
        self._finalizer.detach()
        self._pipeline.workers.abandon()
        self._open()

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]  # as 3.12 does
        """Filter a record and put it into the queue.

        The stdlib's holds the handler's lock around `emit`, this one does not. The queue needs no lock, and a thread
        that is interrupted, or missing after a fork, while it holds one would block the others.
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
        """Have a formatter render the `message` of entries. Without one it is the record's own message."""
        super().setFormatter(fmt)
        self._builder.use_formatter(fmt)

    def stats(self) -> Stats:
        """What became of the records that this process gave the handler."""
        return self._pipeline.stats()

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """Send what was accepted so far, and wait until that is done or the time has passed.

        Args:
            timeout: seconds. Default: `shutdown_timeout`, or no wait at all when the caller holds the lock of
                `logging`, as `dictConfig` does.

        Returns:
            True if everything accepted before the call was delivered or dead-lettered, and nothing dropped meanwhile.
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
        name: its key under `handlers`. May be left out if there is only one.

    Raises:
        LookupError: no handler has that name; or, without a name, there is none at all or more than one.
    """
    # Only handlers that dictConfig made have a name here, and it forgets those of an earlier configuration.
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


def _before_exit() -> None:
    """Tell the handlers that `logging.shutdown()` will close; it reaches none that `dictConfig` has replaced."""
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]  # weak references to all others
        handler = reference()
        if isinstance(handler, LogCollectorHandler):
            handler._pipeline.workers.will_close()


def _after_fork_in_child() -> None:
    ending.forget()
    if _handlers:
        children.watch_forked_child()
    for handler in list(_handlers):
        handler._reopen()


at_fork(_after_fork_in_child)
# Runs before `exit.drain`: exit handlers run in reverse order.
atexit.register(_before_exit)
