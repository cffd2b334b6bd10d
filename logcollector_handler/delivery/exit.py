"""The process's life: what every pipeline in it goes through together, at exit and at a fork."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import Final, Protocol

from .clock import SystemClock


class Draining(Protocol):
    """What takes part in the end of the process."""

    #: Seconds that its share of that may take.
    shutdown_timeout: float

    def flush(self, seconds: float) -> bool: ...
    def holds_up(self) -> bool: ...
    def begin_exit(self) -> None: ...
    def finish_exit(self) -> None: ...
    def abandon(self) -> None: ...


# Those with threads or records; held strongly, so that a handler that was dropped without close() still drains.
_live: set[Draining] = set()
#: Held while a thread of ours imports a module or makes a TLS context. A fork waits for it: in the midst of
#: these a thread has locks, the module's or those of OpenSSL's first use, that nobody in the child would release.
setting_up = threading.Lock()
#: Seconds that a fork waits for that at most.
_SETTING_UP_LIMIT: Final = 5.0
_held: list[bool] = []
_exiting = False
_spent = 0.0
_finalizing_in: int | None = None


def watch(pipeline: Draining) -> None:
    """From now on, until `unwatch`, the pipeline is drained when the process ends, however it ends in Python."""
    _live.add(pipeline)
    _watch_child()
    _watch_celery()


def unwatch(pipeline: Draining) -> None:
    """It has nothing left to drain."""
    _live.discard(pipeline)


def spend(seconds: float) -> None:
    """A pipeline has held up the end of the process for so long."""
    global _spent
    _spent += seconds


def spent() -> float:
    """Seconds for which the pipelines held up the end of the process, all together."""
    return _spent


def is_exiting() -> bool:
    """Whether the interpreter has begun to run its exit handlers, or is further."""
    return _exiting or sys.is_finalizing()


def holds_up() -> bool:
    """Whether a drain would wait for the calling thread, which was interrupted in the middle of a logging call."""
    return any(pipeline.holds_up() for pipeline in list(_live))


def drain() -> None:
    """Drain every pipeline, all at the same time, within the longest of their deadlines."""
    global _exiting
    _exiting = True
    pipelines = list(_live)
    for pipeline in pipelines:
        pipeline.begin_exit()
    for pipeline in pipelines:
        pipeline.finish_exit()


def flush() -> float:
    """Send what is there, all at the same time, within the longest of their deadlines. Life goes on after it.

    Returns:
        Seconds that it took.
    """
    pipelines = list(_live)
    for pipeline in pipelines:
        pipeline.flush(0.0)
    start = SystemClock.monotonic()
    for pipeline in pipelines:
        pipeline.flush(max(0.0, start + pipeline.shutdown_timeout - SystemClock.monotonic()))
    return SystemClock.monotonic() - start


def _watch_child() -> None:
    """A child of multiprocessing ends in `os._exit`, without exit handlers, but runs finalizers of its own."""
    global _finalizing_in
    process = sys.modules.get("multiprocessing.process")
    # Half imported by another thread it has no such function yet, and the process is no child of it.
    parent = getattr(process, "parent_process", None)
    if parent is None or _finalizing_in == os.getpid() or parent() is None:
        return
    from multiprocessing.util import Finalize

    _finalizing_in = os.getpid()
    # Late among them: the others may log.
    Finalize(None, drain, exitpriority=-100)


def _watch_celery() -> None:
    """A child of Celery's pool ends in `os._exit` and runs no finalizers either, but sends a signal before."""
    # Not imported: where there is no Celery, there is no such child. It may be half imported by another thread.
    ending = getattr(sys.modules.get("celery.signals"), "worker_process_shutdown", None)
    if ending is not None:
        ending.connect(_drain_celery_child, weak=False, dispatch_uid=__name__)


def _drain_celery_child(**_: object) -> None:
    drain()


def at_fork(after_in_child: Callable[[], None]) -> None:
    """Call that in every child that this process forks, before it runs anything else of ours."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
        os.register_at_fork(after_in_child=after_in_child)


def _before_fork() -> None:
    # Bounded: what forks may hold a lock that an import waits for.
    _held.append(setting_up.acquire(timeout=_SETTING_UP_LIMIT))


def _after_fork() -> None:
    if _held.pop():
        setting_up.release()


def forget() -> None:
    """In a forked child: the pipelines are the parent's, and the child's own end is not in sight."""
    global _exiting, _spent
    for pipeline in _live:  # Also those whose handler is gone.
        pipeline.abandon()
    _live.clear()
    _exiting = False
    _spent = 0.0


# Runs before logging.shutdown(), which was registered when logging was imported.
atexit.register(drain)
