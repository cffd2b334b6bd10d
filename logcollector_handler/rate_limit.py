"""`RateLimitFilter`: of a storm of records lets the first through, and tells how many it held back.

A window is opened by the first record of a call site and ends some seconds later. What was held back in it is
reported by a record of its own: when the window ends (a timer sees to that when nothing else is logged), when
room is needed for another call site, or when the process ends. So each record was let through or is in one count.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import weakref
from threading import Timer
from typing import Any, Final

from .delivery import exit as lifecycle
from .delivery.clock import Clock, SystemClock
from .delivery.process import is_interruption
from .settings import SettingError

#: Call sites with an open window. One more ends the oldest window early.
_MAX_SITES: Final = 4096
#: Characters of the template that a report shows.
_MAX_SHOWN: Final = 200

#: Logger, level, file, line and function.
_Site = tuple[Any, ...]

#: Every filter of this process, for a fork.
_filters: weakref.WeakSet[RateLimitFilter] = weakref.WeakSet()


class RateLimitFilter(logging.Filter):
    """Lets the first `rate` records of a call site through, then none for the rest of `per` seconds.

    A call site is a line of code, for each logger and level. The report is one record of the same logger, level
    and line: `held back 4990 records in 60 s: <template>`, with `held_back` as a field. It goes to the handlers, or
    the logger, that have this filter. A filter that several handlers share decides once for each record.

    In `dictConfig`: `"filters": {"storms": {"()": "logcollector_handler.RateLimitFilter", "rate": 10, "per": 60}}`.

    Args:
        rate: records of one call site in a window, from 1.
        per: length of a window in seconds. Default 60.
        clock: for tests.

    Raises:
        SettingError: (a ValueError) an argument has a value that it cannot have.
    """

    def __init__(self, rate: int, per: float = 60.0, *, clock: Clock | None = None) -> None:
        super().__init__()
        if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
            raise SettingError(f"rate is {rate!r}; allowed: a whole number from 1")
        if isinstance(per, bool) or not isinstance(per, int | float) or not 0 < per < math.inf:
            raise SettingError(f"per is {per!r}; allowed: seconds, more than 0")
        self._rate = rate
        self._per = float(per)
        self._clock = clock or SystemClock()
        # In the order in which they end. Guarded by `_lock`, which a signal handler or finalizer that logs takes
        # again in the same thread; nothing that can block is done with it.
        self._windows: dict[_Site, _Window] = {}
        self._lock = threading.RLock()
        self._timer: Timer | None = None
        #: The record that this thread saw last, and whether it passed: other handlers may ask again.
        self._last = threading.local()
        self._exit = _Exit(self)
        _filters.add(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may pass. While the process ends all may: nobody would be left to report."""
        if isinstance(record, _Report) or lifecycle.is_exiting():
            return True
        seen: weakref.ref[logging.LogRecord] | None = getattr(self._last, "record", None)
        if seen is not None and seen() is record:
            return bool(self._last.passed)
        try:
            site: _Site = (record.name, record.levelno, record.pathname, record.lineno, record.funcName)
            hash(site)
        except Exception:  # noqa: BLE001 - a record made by hand: what has no call site is not one of many
            return True
        self._last.passed = passed = self._admit(site, record)
        self._last.record = weakref.ref(record)
        return passed

    def _admit(self, site: _Site, record: logging.LogRecord) -> bool:
        now = self._clock.monotonic()
        with self._lock:
            ended = self._take(now)
            window = self._windows.get(site)
            if window is None:
                if len(self._windows) >= _MAX_SITES:
                    ended += self._take_first()
                window = self._windows.setdefault(site, _Window(site, record.msg, now, now + self._per))
            window.count += 1
            passed = window.count <= self._rate
        for each in ended:
            self._report(each, now)
        if not passed:
            self._see_to_the_end(now)
        return passed

    def _take(self, now: float) -> list[_Window]:
        """The windows that have ended; they are open no more."""
        ended: list[_Window] = []
        while (first := next(iter(self._windows.values()), None)) is not None and first.end <= now:
            ended += self._take_first()
        return ended

    def _take_first(self) -> list[_Window]:
        for site in self._windows:
            return [self._windows.pop(site)]
        return []

    # The report

    def _report(self, window: _Window, now: float) -> None:
        held_back = window.count - self._rate
        if held_back <= 0:
            return
        report = window.report(held_back, now)
        logger = logging.getLogger(report.name)
        handlers = [each for each in _handlers_of(logger) if self in each.filters]
        if not handlers:  # It is on the logger, or on a handler behind another, a MemoryHandler say.
            logger.handle(report)
        for handler in handlers:
            if report.levelno >= handler.level:
                handler.handle(report)

    def _see_to_the_end(self, now: float) -> None:
        """Something is held back: it is to be reported also when nothing else is logged any more."""
        if self._timer is not None:
            return
        lifecycle.watch(self._exit)
        # To start a thread takes locks, which what was interrupted may hold. The next record tries again.
        if is_interruption():
            return
        with self._lock:
            end = next((each.end for each in self._windows.values() if each.count > self._rate), None)
            if self._timer is not None or end is None:
                return
            self._timer = timer = Timer(max(0.0, end - now), self._on_timer)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # No more threads.
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        with self._lock:
            ended = self._take(now)
        for each in ended:
            self._report(each, now)
        self._see_to_the_end(now)

    def _report_all(self) -> None:
        with self._lock:
            windows = list(self._windows.values())
            self._windows.clear()
        for each in windows:
            self._report(each, self._clock.monotonic())

    def _forget(self) -> None:
        """In a forked child: what was held back is the parent's to report, and its timer is not here."""
        self._lock = threading.RLock()
        self._windows.clear()
        self._timer = None


class _Window:
    """What came from a call site since its first record. Of that only what a report needs is kept."""

    __slots__ = ("count", "end", "site", "start", "template")

    def __init__(self, site: _Site, template: object, start: float, end: float) -> None:
        self.count = 0
        self.start = start
        self.end = end
        self.site = site
        # What is no text may hold secrets in its fields.
        self.template = template[:_MAX_SHOWN] if type(template) is str else "from the same line of code"

    def report(self, held_back: int, now: float) -> _Report:
        name, level, path, line, function = self.site
        text = "held back %d records in %.3g s: %s"
        report = _Report(name, level, path, line, text, (held_back, now - self.start, self.template), None, function)
        report.held_back = held_back
        return report


class _Report(logging.LogRecord):
    """The record that tells of others. It passes every RateLimitFilter."""

    held_back: int


class _Exit:
    """The end of the process, as a filter sees it."""

    #: It takes no time of its own.
    shutdown_timeout = 0.0

    def __init__(self, owner: RateLimitFilter) -> None:
        self._owner = owner

    def flush(self, seconds: float) -> bool:
        # Who asks for this may end the process without another word.
        self._owner._report_all()
        return True

    def holds_up(self) -> bool:
        # Its lock is let go by whoever has it: no thread of ours waits for it.
        return False

    def begin_exit(self) -> None:
        self._owner._report_all()

    def finish_exit(self) -> None:
        self._owner._report_all()

    def abandon(self) -> None:
        """The filter itself is told of a fork."""


def _handlers_of(logger: logging.Logger) -> list[logging.Handler]:
    """The handlers that get a record of the logger, in their order."""
    found: list[logging.Handler] = []
    one: logging.Logger | None = logger
    while one is not None:
        found += one.handlers
        one = one.parent if one.propagate else None
    return found


def _after_fork_in_child() -> None:
    for each in list(_filters):
        each._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
