"""The end of the process, for all handlers together: what is drained, and how much time that may take.

A handler's `Workers` register here when they start threads, and unregister when these have ended with nothing left. A
`RateLimitFilter` does so while it has held back records that it has not reported. Whichever way the process ends in
Python, `drain` runs for all of them: at the interpreter's exit, and in the children that `children` knows.

`flush` is for an end that the process may survive: that of a web server's application, or a signal.
"""

from __future__ import annotations

import atexit
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

from .budget import Budget
from .process import at_fork, current_pid
from .report import Reporter

T = TypeVar("T")


class Draining(Protocol):
    """What can be registered here to be drained at the end of the process."""

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that draining it may take at most."""

    @property
    def accepted(self) -> int:
        """How many records it has accepted so far."""

    def begin_flush(self) -> None: ...
    def finish_flush(self) -> None: ...
    def begin_exit(self) -> None: ...
    def finish_exit(self) -> None: ...
    def holds_up(self) -> bool: ...
    def abandon(self) -> None: ...


# What is registered. The references are strong, so that a handler that was dropped without close() still drains.
_live: set[Draining] = set()
# How many records each had accepted when the last end was over.
_accepted: weakref.WeakKeyDictionary[Draining, int] = weakref.WeakKeyDictionary()
_exiting = False
_budget = Budget()
# Idents of the threads that hold the process up, and what signals that came meanwhile are to do when they are done.
_holding: dict[int, bool] = {}
_deferred: list[Callable[[], object]] = []


def watch(draining: Draining) -> None:
    """Register: drain this when the process ends, unless `unwatch` comes first. A second call does no harm."""
    current_pid()
    _live.add(draining)


def unwatch(draining: Draining) -> None:
    """Unregister: there is nothing left to drain."""
    _live.discard(draining)


def is_watched(draining: Draining) -> bool:
    """Whether this is registered."""
    return draining in _live


def budget() -> Budget:
    """The time for the end of this process."""
    return _budget


def is_exiting() -> bool:
    """Whether the end of the process has begun: `drain` was called, or the interpreter is being torn down."""
    if _exiting:
        # Perhaps it is the end of the parent, in a child that was forked meanwhile.
        current_pid()
    return _exiting or sys.is_finalizing()


def holds_up() -> bool:
    """Whether the calling thread was interrupted in a logging call while it held a lock that a drain needs."""
    current_pid()
    return any(each.holds_up() for each in list(_live))


def drain() -> None:
    """Drain all that is registered, at the same time, within the longest of their deadlines."""
    global _exiting
    current_pid()
    _exiting = True
    _end(lambda each: each.begin_exit(), lambda each: each.finish_exit())


def flush() -> None:
    """As `drain`, but the process lives on, and what is not sent in time is sent later."""
    _end(lambda each: each.begin_flush(), lambda each: each.finish_flush())


def _end(*parts: Callable[[Draining], None]) -> None:
    current_pid()
    draining = list(_live)
    _refresh(draining)
    _budget.begin()

    def all_parts() -> None:
        for part in parts:
            for each in draining:
                _attempt(part, each)

    hold(all_parts)
    for each in draining:
        _accepted[each] = each.accepted


def hold_close(wait: Callable[[float], object], seconds: float) -> None:
    """Wait for a handler that is closed in a living process. Its time counts if an end of the process follows soon.

    Args:
        wait: waits for as many seconds as it is given.
        seconds: how many these are at most; fewer when the process ends already.
    """
    _refresh(list(_live))
    left = _budget.left(seconds) if _budget.has_begun else seconds
    hold(lambda: wait(left))


def hold(work: Callable[[], T]) -> T:
    """Do work that holds the process up, and count its time; then let a signal act that came meanwhile."""
    me = threading.get_ident()
    if me in _holding:
        return _budget.hold(work)
    try:
        # Setting an item of a dict is no call, and removing it is one: so a signal handler that raises cannot leave
        # this entry behind.
        _holding[me] = True
        return _budget.hold(work)
    finally:
        _holding.pop(me, None)
        _do_deferred()


def _do_deferred() -> None:
    while True:
        try:
            act = _deferred.pop()
        except IndexError:  # Not asked before: another thread that is done may take it.
            return
        act()


def is_busy() -> bool:
    """Whether the process ends and the calling thread has a part in that, which a signal has interrupted."""
    return is_exiting() and threading.get_ident() in _holding


def defer(act: Callable[[], object]) -> None:
    """Do this when a thread that is busy has done its part."""
    _deferred.append(act)


def _refresh(draining: list[Draining]) -> None:
    _budget.refresh(
        # Lists: a signal handler that raises in a generator as it is closed raises where nobody hears it.
        max([each.shutdown_timeout for each in draining], default=0.0),
        has_more=any([each.accepted != _accepted.get(each, 0) for each in draining]),  # noqa: C419 - see above
    )


def _attempt(part: Callable[[Draining], None], each: Draining) -> None:
    """Drain one of those registered. An error in it, which the application's own handlers can raise, stops no other."""
    try:
        part(each)
    except Exception as error:  # noqa: BLE001 - any handler of the application may get the report of a rate limit
        Reporter().say("exit", f"an error came up while the process was about to end: {error!r}")


def forget() -> None:
    """In a forked child: abandon what the parent has registered, and start with all the time for the child's end."""
    global _exiting, _live, _budget
    inherited, _live = _live, set()
    _holding.clear()
    _deferred.clear()
    _exiting = False
    _budget = Budget()
    for each in inherited:  # Including those whose handler was dropped, which the handlers themselves do not reach.
        each.abandon()


at_fork(forget)
# Runs before logging.shutdown(): exit handlers run in reverse order, and `logging` registered its own on import.
atexit.register(drain)
