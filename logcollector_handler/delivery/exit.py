"""The end of the process, for all pipelines together: who is drained, and how much time that may take.

A pipeline registers here when its first record comes, and unregisters when its threads have ended with nothing
left. However the process ends in Python, `drain` then runs once for all of them: at the interpreter's exit, as a
finalizer of multiprocessing's children, or by Celery's signal in the children of its pool.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Protocol

from .clock import SystemClock


class Draining(Protocol):
    """What takes part in the end of the process."""

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that its end may take."""

    def flush(self, seconds: float) -> bool: ...
    def holds_up(self) -> bool: ...
    def begin_exit(self) -> None: ...
    def finish_exit(self) -> None: ...
    def abandon(self) -> None: ...


# Those with threads or records. The references are strong, so that a handler dropped without close() still drains.
_live: set[Draining] = set()
_exiting = False
_spent = 0.0
_finalizing_in: int | None = None


def watch(draining: Draining) -> None:
    """Drain this when the process ends, however it ends in Python, until `unwatch`."""
    _live.add(draining)
    _watch_child()
    _watch_celery()


def unwatch(draining: Draining) -> None:
    """It has nothing left to drain."""
    _live.discard(draining)


def spend(seconds: float) -> None:
    """The end of the process was held up for that long."""
    global _spent
    _spent += seconds


def spent() -> float:
    """Seconds for which the end of the process was held up, by all pipelines together."""
    return _spent


def is_exiting() -> bool:
    """Whether the interpreter has begun to run its exit handlers, or is further."""
    return _exiting or sys.is_finalizing()


def holds_up() -> bool:
    """Whether a drain would wait for the calling thread, which was interrupted in the middle of a logging call."""
    return any(each.holds_up() for each in list(_live))


def drain() -> None:
    """Drain everything, all at the same time, within the longest of their deadlines."""
    global _exiting
    _exiting = True
    draining = list(_live)
    for each in draining:
        each.begin_exit()
    for each in draining:
        each.finish_exit()


def flush() -> float:
    """Send everything, all at the same time, within the longest of their deadlines. The process lives on after it.

    Returns:
        Seconds that it took.
    """
    draining = list(_live)
    for each in draining:
        each.flush(0.0)
    start = SystemClock.monotonic()
    for each in draining:
        each.flush(max(0.0, start + each.shutdown_timeout - SystemClock.monotonic()))
    return SystemClock.monotonic() - start


def forget() -> None:
    """In a forked child: what is registered is the parent's, and the child is not ending."""
    global _exiting, _spent
    for each in _live:  # Also those whose handler is gone.
        each.abandon()
    _live.clear()
    _exiting = False
    _spent = 0.0


def _watch_child() -> None:
    """A child of multiprocessing ends in `os._exit`, without exit handlers, but runs finalizers of its own."""
    global _finalizing_in
    process = sys.modules.get("multiprocessing.process")
    # While another thread is still importing that module, it has no such function; then this is no child either.
    parent = getattr(process, "parent_process", None)
    if parent is None or _finalizing_in == os.getpid() or parent() is None:
        return
    from multiprocessing.util import Finalize

    # Late among the finalizers, because others may log. Before it is noted: twice does no harm, never would.
    Finalize(None, drain, exitpriority=-100)
    _finalizing_in = os.getpid()


def _watch_celery() -> None:
    """A child of Celery's pool ends in `os._exit` and runs no finalizers either, but sends a signal before."""
    # Looked up, not imported: without Celery there is no such child. Another thread may still be importing it.
    ending = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if ending is not None:
        ending.connect(_drain_celery_child, weak=False, dispatch_uid=__name__)


def _drain_celery_child(**_: object) -> None:
    drain()


# Runs before logging.shutdown(), which was registered when logging was imported.
atexit.register(drain)
