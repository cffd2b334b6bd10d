"""`RateLimitFilter`: lets the first records of each call site through, holds the rest back and reports their number.

The first record of a call site opens a window of some seconds. The records held back in a window are reported by one
record: when the window ends (a timer makes sure of that when nothing else is logged), when the maximum of open windows
is reached, or when the process ends. So every record is either let through or counted in exactly one report.

An exception out of a signal handler may end a logging call at any call in here. Then the record of that call may be
missing, and all others are counted: a window is open or ended and moves from the one to the other in one step, and an
ended window goes back to the others unless its report was on its way to the handlers.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import weakref
from collections import deque
from threading import Timer
from typing import Any, Final

from .delivery import children
from .delivery import exit as ending
from .delivery.clock import Clock, SystemClock
from .delivery.locks import new_lock
from .delivery.process import at_fork, current_pid, is_interruption
from .settings import SettingError

#: Maximum of open windows. A further call site ends the oldest window early.
_MAX_SITES: Final = 4096
#: Characters of the message template that a report shows.
_MAX_SHOWN: Final = 200

#: Logger, level, file, line and function.
_Site = tuple[Any, ...]
#: The decision of a thread that has filtered no record yet: a reference to none.
_NONE_SEEN: Final = (lambda: None, False)

#: All filters of this process, to reset them in a forked child.
_filters: weakref.WeakSet[RateLimitFilter] = weakref.WeakSet()


class RateLimitFilter(logging.Filter):
    """Lets the first `rate` records of a call site through, then none until `per` seconds after the first.

    A call site is one line of code, for one logger and one level. The report is a record of the same logger, level
    and line: `held back 4990 records in 60 s: <template>`, with the number as the field `held_back`. It goes to the
    handlers, or the logger, that have this filter. If several handlers share a filter, each record is counted once.

    In `dictConfig`: `"filters": {"storms": {"()": "logcollector_handler.RateLimitFilter", "rate": 10, "per": 60}}`.

    Args:
        rate: records of one call site that pass in a window; at least 1.
        per: length of a window in seconds. Default 60.
        clock: replaces the time in tests.

    Raises:
        SettingError: (a ValueError) an argument has a value that is not allowed.
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
        # Ordered by their end. Guarded by `_lock`, which is reentrant because a signal handler or finalizer may log
        # while its thread holds it. Nothing that can block is done under it.
        self._windows: dict[_Site, _Window] = {}
        # Windows that have ended with records held back, and are not reported yet.
        self._ended: deque[_Window] = deque()
        self._lock = new_lock()
        self._timer: Timer | None = None
        #: The last record that this thread filtered, and the decision: other handlers may ask about it again.
        self._last = threading.local()
        self._exit = _Exit(self)
        _filters.add(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may pass. Once the process is exiting every record may: no later report could be made."""
        if isinstance(record, _Report) or ending.is_exiting():
            return True
        seen, passed = getattr(self._last, "decision", _NONE_SEEN)
        if seen() is record:
            return bool(passed)
        try:
            site: _Site = (record.name, record.levelno, record.pathname, record.lineno, record.funcName)
            hash(site)
        except Exception:  # noqa: BLE001 - a record made by hand may lack a call site: it is not limited
            return True
        passed = self._admit(site, record)
        self._last.decision = weakref.ref(record), passed
        return passed

    def _admit(self, site: _Site, record: logging.LogRecord) -> bool:
        current_pid()
        now = self._clock.monotonic()
        with self._lock:
            self._end_until(now)
            window = self._windows.get(site)
            if window is None:
                if len(self._windows) >= _MAX_SITES:
                    self._end_first()
                window = self._windows.setdefault(site, _Window(site, record.msg, now, now + self._per))
            window.count += 1
            held_back = window.count - self._rate
        self._report_ended(now)
        # Asked each time: a signal handler may have ended the call that held back the first.
        if held_back > 0 and not ending.is_watched(self._exit):
            children.watch(self._exit)
            # Another thread may have reported it since.
            self._unwatch_if_idle()
        if held_back > 0:
            self._ensure_timer(now)
        return held_back <= 0

    def _end_until(self, now: float) -> None:
        """End the windows whose time is over. Called with the lock held."""
        while (first := next(iter(self._windows.values()), None)) is not None and first.end <= now:
            self._end_first()

    def _end_first(self) -> None:
        """End the oldest window. Called with the lock held."""
        for site, window in self._windows.items():
            # A KeyError: a finalizer or signal handler that logs meanwhile has ended it.
            with contextlib.suppress(KeyError):
                if window.count > self._rate:
                    # One call that no signal handler can interrupt.
                    self._ended.extend(map(self._windows.pop, (site,)))
                else:
                    del self._windows[site]
            return

    # The report

    def _report_ended(self, now: float) -> None:
        """Report the windows that have ended."""
        if not self._ended:
            return
        while self._ended:
            taken: list[_Window] = []
            try:
                # One call that no signal handler can interrupt. It finds none if another thread was faster.
                with contextlib.suppress(IndexError):
                    taken.extend(map(deque.popleft, (self._ended,)))
                for window in taken:
                    self._report(window, now, taken)
            finally:
                self._ended.extend(taken)
        self._unwatch_if_idle()

    def _unwatch_if_idle(self) -> None:
        """End the registration for exit, which keeps the filter alive, unless there is something to report."""
        with self._lock:
            if not self._ended and not self._holding_back():
                ending.unwatch(self._exit)

    def _holding_back(self) -> list[_Window]:
        """The open windows that hold records back. Called with the lock held."""
        # A list: a signal handler that raises in a generator as it is closed raises where nobody hears it.
        return [each for each in self._windows.values() if each.count > self._rate]

    def _report(self, window: _Window, now: float, taken: list[_Window]) -> None:
        """Hand the report of a window to the handlers, and empty `taken` right before."""
        report = window.report(window.count - self._rate, now)
        logger = logging.getLogger(report.name)
        handlers = [each for each in _handlers_of(logger) if self in each.filters]
        # An assignment and no call of `clear`: no signal handler can run between this and the next call.
        taken[:] = ()
        if not handlers:  # The filter is on the logger, or on a handler behind another one (as with a MemoryHandler).
            logger.handle(report)
        for handler in handlers:
            if report.levelno >= handler.level:
                handler.handle(report)

    def _ensure_timer(self, now: float) -> None:
        """Start the timer that reports held back records at the end of their window if nothing else is logged."""
        if self._has_timer():
            return
        # Starting a thread takes locks that the interrupted code may hold. The next record tries again.
        if is_interruption():
            return
        with self._lock:
            holding_back = self._holding_back()
        if not holding_back:
            return
        timer = Timer(max(0.0, holding_back[0].end - now), self._on_timer)
        timer.daemon = True
        # Another thread may do the same now: a second timer does no harm.
        self._timer = timer
        # A RuntimeError: the system has no more threads. The next record tries again.
        with contextlib.suppress(RuntimeError):
            timer.start()

    def _has_timer(self) -> bool:
        return self._timer is not None and self._timer.is_alive()

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        with self._lock:
            self._end_until(now)
        self._report_ended(now)
        self._ensure_timer(now)

    def _report_all(self) -> None:
        with self._lock:
            while self._windows:
                self._end_first()
        self._report_ended(self._clock.monotonic())

    def _forget(self) -> None:
        """Reset in a forked child: the parent reports what it held back, and its timer thread was not copied."""
        self._lock = new_lock()
        self._windows.clear()
        self._ended.clear()
        self._timer = None


class _Window:
    """Counts the records of a call site since the first, and keeps what the report needs of it."""

    __slots__ = ("count", "end", "site", "start", "template")

    def __init__(self, site: _Site, template: object, start: float, end: float) -> None:
        self.count = 0
        self.start = start
        self.end = end
        self.site = site
        # A message that is not a string, a dict say, may contain secrets.
        self.template = template[:_MAX_SHOWN] if type(template) is str else "from the same line of code"

    def report(self, held_back: int, now: float) -> _Report:
        name, level, path, line, function = self.site
        text = "held back %d records in %.3g s: %s"
        report = _Report(name, level, path, line, text, (held_back, now - self.start, self.template), None, function)
        report.held_back = held_back
        return report


class _Report(logging.LogRecord):
    """A record that reports how many others were held back. Every RateLimitFilter lets it pass."""

    held_back: int


class _Exit:
    """Makes a filter report what it held back when the process exits or is drained."""

    #: Seconds that this adds to the time for exit: reporting waits for nothing.
    shutdown_timeout = 0.0
    #: Records that the filter holds back are none that it accepts; reports are accepted by the handlers.
    accepted = 0

    def __init__(self, owner: RateLimitFilter) -> None:
        self._owner = owner

    def begin_flush(self) -> None:
        # The process may be killed right after this.
        self._owner._report_all()

    def finish_flush(self) -> None:
        """Nothing is left to do: the handlers send the reports."""

    def begin_exit(self) -> None:
        self._owner._report_all()

    def finish_exit(self) -> None:
        self._owner._report_all()

    def holds_up(self) -> bool:
        # The package's threads never take the filter's lock, and the interrupted thread, if it holds it, can reenter.
        return False

    def abandon(self) -> None:
        """Nothing to do after a fork: `_after_fork_in_child` resets the filter itself."""


def _handlers_of(logger: logging.Logger) -> list[logging.Handler]:
    """The handlers that receive records of the logger, its own first, then those of its parents."""
    found: list[logging.Handler] = []
    one: logging.Logger | None = logger
    while one is not None:
        found += one.handlers
        one = one.parent if one.propagate else None
    return found


def _after_fork_in_child() -> None:
    for each in list(_filters):
        each._forget()


at_fork(_after_fork_in_child)
