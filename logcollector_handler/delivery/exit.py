"""The end of the process, for all handlers together: what is drained, and how much time that may take.

A handler's `Workers` register here when they start threads, and unregister when these have ended with nothing left. A
`RateLimitFilter` does so while it has held back records that it has not reported. Whichever way the process ends in
Python, `drain` runs for all of them: at the interpreter's exit, as a finalizer in children of multiprocessing, or by
Celery's signal in children of its pool.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol

from .clock import SystemClock
from .process import at_fork, current_pid
from .report import Reporter


class Draining(Protocol):
    """What can be registered here to be drained at the end of the process."""

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that draining it may take at most."""

    def flush(self, seconds: float) -> bool: ...
    def holds_up(self) -> bool: ...
    def begin_exit(self) -> None: ...
    def finish_exit(self) -> None: ...
    def abandon(self) -> None: ...


# What is registered. The references are strong, so that a handler that was dropped without close() still drains.
_live: set[Draining] = set()
_exiting = False
_spent = 0.0
_finalizing_in: int | None = None
# Celery's signal drains its children.
_is_connected = False


def watch(draining: Draining) -> None:
    """Register: drain this when the process ends, unless `unwatch` comes first. A second call does no harm."""
    current_pid()
    _live.add(draining)
    _watch_child()
    _watch_celery()


def unwatch(draining: Draining) -> None:
    """Unregister: there is nothing left to drain."""
    _live.discard(draining)


def spend(seconds: float) -> None:
    """Count seconds for which draining held up the end of the process: they are taken off what is left for it."""
    global _spent
    _spent += seconds


def spent() -> float:
    """Seconds for which the end of the process was held up, by all pipelines together."""
    return _spent


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
    draining = list(_live)
    for each in draining:
        _attempt(each.begin_exit)
    for each in draining:
        _attempt(each.finish_exit)


def flush() -> float:
    """As `drain`, but the process lives on, and what is not sent in time is sent later.

    Returns:
        Seconds that it took.
    """
    current_pid()
    draining = list(_live)
    for each in draining:
        _attempt(partial(each.flush, 0.0))
    start = SystemClock.monotonic()
    for each in draining:
        _attempt(partial(each.flush, max(0.0, start + each.shutdown_timeout - SystemClock.monotonic())))
    return SystemClock.monotonic() - start


def _attempt(part: Callable[[], object]) -> None:
    """Drain one of those registered. An error in it, which the application's own handlers can raise, stops no other."""
    try:
        part()
    except Exception as error:  # noqa: BLE001 - any handler of the application may get the report of a rate limit
        Reporter().say("exit", f"an error came up while the process was about to end: {error!r}")


def forget() -> None:
    """In a forked child: abandon what the parent has registered, and start with all the time for the child's end."""
    global _exiting, _live, _spent
    inherited, _live = _live, set()
    _exiting = False
    _spent = 0.0
    for each in inherited:  # Including those whose handler was dropped, which the handlers themselves do not reach.
        each.abandon()


def _watch_child() -> None:
    """A child of multiprocessing ends in `os._exit`, without exit handlers, but runs finalizers of its own."""
    global _finalizing_in
    process = sys.modules.get("multiprocessing.process")
    # The function is missing while another thread is still importing the module. A child has imported it long before.
    parent = getattr(process, "parent_process", None)
    if parent is None or _finalizing_in == os.getpid() or parent() is None:
        return
    from multiprocessing.util import Finalize

    # The low priority runs it late: other finalizers may log. It is noted as done only afterwards: if a signal handler
    # raises in between, the drain is registered twice, which does no harm.
    Finalize(None, drain, exitpriority=-100)
    _finalizing_in = os.getpid()


def _watch_celery() -> None:
    """A child of Celery's pool ends in `os._exit` and runs no finalizers either, but sends a Celery signal before."""
    # Looked up, not imported: an application without Celery does not have it. The name is missing while another thread
    # is still importing the module.
    global _is_connected
    ending = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if ending is None or _is_connected:
        return
    try:
        # Before it is connected: a finalizer or a signal handler that logs in the middle of that must not come to
        # Celery's lock, which the interrupted code holds. Forked children have the connection, too.
        _is_connected = True
        ending.connect(_drain_celery_child, weak=False, dispatch_uid=__name__)
    except BaseException:
        _is_connected = False
        raise


def _drain_celery_child(**_: object) -> None:
    drain()


at_fork(forget)
# Runs before logging.shutdown(): exit handlers run in reverse order, and `logging` registered its own on import.
atexit.register(drain)
