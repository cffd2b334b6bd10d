"""`LogCollectorHandler`: the logging handler that people configure. It wires the parts and owns their life."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from threading import get_ident

from . import settings as _settings
from .context import current_fields, current_span
from .delivery import exit as lifecycle
from .delivery.clock import SystemClock
from .delivery.pipeline import Pipeline, connect, entry_builder
from .delivery.process import forget_own_threads, holds_logging_lock, own_threads
from .stats import Stats

#: Loggers of the HTTP client; what they log while the package does its own work would never come to an end.
_CLIENT_LOGGERS = frozenset({"httpx", "httpcore"})
#: Every handler of this process, for a fork.
_handlers: weakref.WeakSet[LogCollectorHandler] = weakref.WeakSet()


class LogCollectorHandler(logging.Handler):
    """Ships records to a log collection server: in batches, in the background, in the server's schema.

    Every argument may also come from the environment as `LOGCOLLECTOR_<NAME>`; an argument wins, and None
    means that it was not given.

    Args:
        level: records below it are not handled.
        server_url: where the server is; a path in it is kept as a prefix. Default `http://localhost:8000`.
        service: name of the application, at most 100 characters. Default none.
        environment: `production`, `staging`, `development` (default), `test` or `local`.
        service_version: at most 50 characters. Default `v0.0.0-dev`.
        log_type: `BACKEND` (default), `FRONTEND`, `MOBILE`, `IOT` or `WORKER`.
        batch_size: records in a batch. Default 1000.
        flush_interval: seconds that a record waits at most before its batch is closed. Default 1.0.
        flush_level: a record at or above this level closes its batch at once. Default `ERROR`.
        max_queue_size: records between the logging calls and the background. Default 10,000.
        overflow: what a full queue does: `drop_oldest` (default), `drop_newest` or `block`. With `block` a
            logging call waits for room.
        enable_compression: gzip for batches of 100 records and more. Default true.
        max_retries: how often a batch is tried again on a 500 before others go first. Default 3.
        timeout: seconds for one request from start to end. Default 5.0.
        max_batch_bytes: size of a batch before compression, in bytes. Default 4 MiB.
        max_record_bytes: a longer record is cut, in bytes. Default 256 KiB.
        max_buffer_bytes: encoded batches in memory, in bytes. Default 64 MiB.
        shutdown_timeout: seconds that `close()` and the exit of the process may take at most. Default 5.0.
        api_key: sent as `Authorization: Bearer`. Never shown. Default none.
        headers: sent with every request. Values are never shown. Default none.
        verify: verify TLS certificates (default true), or the path of a CA file or directory.
        proxy: URL of a proxy. Default: that of the environment (`HTTPS_PROXY`, `NO_PROXY` …).
        spool_dir: a directory in which batches wait as files, so that they survive the process. Default none.
        durability: with `spool_dir`: `batch` (default), or `record`: every record is in a file when the
            logging call returns.
        fsync: with `spool_dir`: what is written has reached the disk itself, against loss of power. Default false.
        max_spool_bytes: of the files for one server, in bytes. Default 1 GiB.
        redact: names of fields whose values are masked, at any depth of `metadata`. Default: common names of secrets.

    Raises:
        SettingError: (a ValueError) a setting has a value that it cannot have.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        server_url: str | None = None,
        service: str | None = None,
        environment: str | None = None,
        service_version: str | None = None,
        log_type: str | None = None,
        batch_size: int | None = None,
        flush_interval: float | None = None,
        flush_level: int | str | None = None,
        max_queue_size: int | None = None,
        overflow: str | None = None,
        enable_compression: bool | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
        max_batch_bytes: int | None = None,
        max_record_bytes: int | None = None,
        max_buffer_bytes: int | None = None,
        shutdown_timeout: float | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | None = None,
        proxy: str | None = None,
        spool_dir: str | None = None,
        durability: str | None = None,
        fsync: bool | None = None,
        max_spool_bytes: int | None = None,
        redact: Sequence[str] | None = None,
    ) -> None:
        given = dict(locals())
        self._settings = _settings.load({name: given[name] for name in _settings.NAMES})
        self._builder = entry_builder(self._settings, bound=current_fields, span=current_span)
        self._flush_level = self._settings.flush_level
        self._open()
        # Last: `logging` holds on to what gets this far, and flushes it at exit.
        super().__init__(level)
        _handlers.add(self)

    def _open(self) -> None:
        self._pipeline = Pipeline(self._settings, self._builder, SystemClock(), connect)
        self._queue_handler = self._pipeline.handler

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
            self._pipeline.urge()

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the stdlib's name
        """A formatter renders the `message` of entries. Without one it is the record's own message."""
        super().setFormatter(fmt)
        self._builder.formatter = fmt

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
        return self._pipeline.flush(timeout)

    def close(self) -> None:
        """Send everything and let the threads end, within `shutdown_timeout` seconds.

        What takes longer goes on in the background. When `dictConfig` closes the handler there is no wait at
        all. A record after `close()` opens the handler again.
        """
        super().close()
        self._pipeline.close(0.0 if holds_logging_lock() else self._settings.shutdown_timeout)

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
    forget_own_threads()
    lifecycle.forget()
    for handler in list(_handlers):
        handler._pipeline.abandon()
        handler._open()


lifecycle.at_fork(_after_fork_in_child)
