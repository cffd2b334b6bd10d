"""`LogCollectorHandler`: the logging handler that people configure. A `Pipeline` does its work, one in each process.

Nothing of the process is touched before the first record: no lock or event is made at configuration, and no thread but
that of the look-out, which shares nothing with the others. So it does not matter what becomes of the process until
then, be it a fork that Python does not see or gevent's patches.
"""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any

from .context import current_fields, current_span, structlog_fields
from .delivery import children
from .delivery.clock import SystemClock
from .delivery.lookout import holds_batches, look_out
from .delivery.pipeline import Pipeline, connect, entry_builder
from .delivery.process import at_fork, current_pid, holds_logging_lock, load_openssl_in_time, own_threads
from .delivery.report import Reporter
from .settings import load
from .settings.environment import misspelt
from .settings.signature import with_settings
from .stats import Stats

#: Loggers of the HTTP client. Shipping what they log while the package sends would make it send again, without end.
_CLIENT_LOGGERS = frozenset({"httpx", "httpcore"})
#: The formats that `basicConfig` gives to handlers without a formatter, one for each style.
_DEFAULT_FORMATS = frozenset({logging.BASIC_FORMAT, "{levelname}:{name}:{message}", "${levelname}:${name}:${message}"})
#: Every handler of this process that is enabled, so that a forked child can drop what they have of the parent.
_handlers: weakref.WeakSet[LogCollectorHandler] = weakref.WeakSet()
#: What was said of the environment.
_told: set[str] = set()


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

        If the spool has batches from before, a thread starts delivery some seconds later, unless a record comes first.

        Args:
            level: records below it are not handled; a name or a number. Default `NOTSET`: all are handled.
        """
        self._settings = load(settings)
        tell_misspelt()
        load_openssl_in_time()
        self._builder = entry_builder(
            self._settings, bound=current_fields, more_bound=structlog_fields, span=current_span
        )
        self._flush_level = self._settings.flush_level
        # By process id: that of this process, once it has logged; in a forked child also its parent's, until the child
        # notices that it is one.
        self._pipelines: dict[int, Pipeline] = {}
        # Only the look-out asks: a closed handler starts nothing but for a record.
        self._is_closed = False
        # Last: it registers the handler with `logging`, which flushes it at exit. A failed one must not get there.
        super().__init__(level)
        if not self._settings.enabled:
            # In the place of the methods, so that the usual logging call has no condition more to check.
            self.handle = self.emit = _discard  # type: ignore[method-assign,assignment]
            return
        _handlers.add(self)
        # When nobody refers to the handler any more, its threads send what they have and end. Not at exit, where
        # `exit.drain` does that for all handlers together.
        weakref.finalize(self, _close_dropped, self._pipelines).atexit = False
        spool = self._settings.spool_dir if self._settings.deliver else None
        if spool is not None and holds_batches(spool, self._settings.server_url, self._settings.wire):
            look_out(partial(_deliver_leftovers, weakref.ref(self)))

    def createLock(self) -> None:  # noqa: N802 - the stdlib's name
        """Make no lock: see `handle` for why none is needed."""

    @property
    def lock(self) -> None:
        """There is none. gevent gives one to each handler when it patches the process, and so tells us."""
        return None

    @lock.setter
    def lock(self, value: object) -> None:
        pipeline = self._pipelines.pop(current_pid(), None)
        if pipeline is not None:
            pipeline.move_to(self._pipeline)

    def acquire(self) -> None:
        """Do nothing: there is no lock."""

    def release(self) -> None:
        """Do nothing: there is no lock."""

    @property
    def _pipeline(self) -> Pipeline:
        """The pipeline of this process. The first record makes it."""
        pid = current_pid()
        pipeline = self._pipelines.get(pid)
        if pipeline is None:
            # Two threads may each make one here. `setdefault` keeps that of the first, and the other has done nothing.
            made = Pipeline(self._settings, self._builder, SystemClock(), connect)
            pipeline = self._pipelines.setdefault(pid, made)
        return pipeline

    def _drop_inherited(self) -> None:
        """In a forked child: close what belongs to the parent."""
        while self._pipelines:
            self._pipelines.popitem()[1].workers.abandon()

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]  # as 3.12 does
        """Filter a record and put it into the queue.

        The stdlib's holds the handler's lock around `emit`, this one does not. The queue needs no lock, and a thread
        that is interrupted, or missing after a fork, while it holds one would block the others.
        """
        # Before the filters, which may count: a RateLimitFilter would report them.
        if threading.get_ident() in own_threads and record.name.partition(".")[0] in _CLIENT_LOGGERS:
            return False
        passed: bool | logging.LogRecord = self.filter(record)  # From 3.12 on a filter can replace the record.
        if not passed:
            return False
        # The usual answers are told first, because they are faster to tell than a record.
        if passed is not True and passed is not record and isinstance(passed, logging.LogRecord):
            record = passed
        self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queue, as an entry. Never raises and never waits for the network."""
        try:
            # The record knows the process: asking the system each time would cost a tenth of the whole call.
            pipeline = self._pipelines[record.process]  # type: ignore[index]  # no process: see below
        except Exception:  # noqa: BLE001 - the first record, one of another process, or made by hand in any way
            pipeline = self._pipeline
        pipeline.handler.emit(record)
        try:
            urgent = record.levelno >= self._flush_level
        except Exception:  # noqa: BLE001 - a record made by hand can have any level, or none
            return
        if urgent:
            pipeline.workers.urge()

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the stdlib's name
        """Have a formatter render the `message` of entries. Without one it is the record's own message.

        The formatter that `logging.basicConfig` makes of its default format is taken for none: nobody asked for it.
        """
        if type(fmt) is logging.Formatter and getattr(fmt, "_fmt", None) in _DEFAULT_FORMATS:
            fmt = None
        super().setFormatter(fmt)
        self._builder.use_formatter(fmt)

    def stats(self) -> Stats:
        """What became of the records that this process gave the handler."""
        pipeline = self._pipelines.get(current_pid())
        return pipeline.stats() if pipeline is not None else Stats()

    def flush(self, timeout: float | None = None) -> bool:  # type: ignore[override]  # the stdlib's returns nothing
        """Send what was accepted so far, and wait until that is done or the time has passed.

        Args:
            timeout: seconds. Default: `shutdown_timeout`, or no wait at all when the caller holds the lock of
                `logging`, as `dictConfig` does.

        Returns:
            True if everything accepted before the call was delivered or dead-lettered, and nothing dropped meanwhile.
            With `deliver: false`, if it is in the spool for the process that sends it.
        """
        pipeline = self._pipelines.get(current_pid())
        if pipeline is None:
            return True
        if timeout is None:
            timeout = 0.0 if holds_logging_lock() else self._settings.shutdown_timeout
        return pipeline.workers.flush(timeout)

    def close(self) -> None:
        """Send everything and let the threads end, within `shutdown_timeout` seconds.

        What takes longer goes on in the background. When `dictConfig` closes the handler there is no wait at
        all. A record after `close()` opens the handler again.
        """
        self._is_closed = True
        super().close()
        pipeline = self._pipelines.get(current_pid())
        if pipeline is not None:
            pipeline.workers.close(0.0 if holds_logging_lock() else self._settings.shutdown_timeout)

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


def tell_misspelt() -> None:
    """Say which variables of the environment were meant to be settings and are none; each once a process."""
    for sentence in misspelt():
        if sentence not in _told:
            _told.add(sentence)
            Reporter().say("settings", sentence)


def _discard(_record: logging.LogRecord) -> bool:
    """What a handler that is not enabled does with a record."""
    return False


def _close_dropped(pipelines: dict[int, Pipeline]) -> None:
    pipeline = pipelines.get(current_pid())
    if pipeline is not None:
        pipeline.workers.close(0.0)


def _deliver_leftovers(reference: weakref.ref[LogCollectorHandler]) -> None:
    """Start delivery as a first record would, unless one did, or the handler was closed or dropped."""
    handler = reference()
    if handler is not None and not handler._is_closed and not handler._pipelines:
        handler._pipeline.workers.wake()


def _before_exit() -> None:
    """Tell the handlers that `logging.shutdown()` will close; it reaches none that `dictConfig` has replaced."""
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]  # weak references to all others
        handler = reference()
        if isinstance(handler, LogCollectorHandler) and handler._settings.enabled:
            handler._pipeline.workers.will_close()


def _after_fork_in_child() -> None:
    if _handlers:
        children.watch_forked_child()
    for handler in list(_handlers):
        handler._drop_inherited()


at_fork(_after_fork_in_child)
# Runs before `exit.drain`: exit handlers run in reverse order.
atexit.register(_before_exit)
