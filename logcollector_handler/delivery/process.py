"""Who is calling: the facts about the current thread that decide whether it may log, wait or be waited for.

All of it is asked on rare paths, but for `own_threads`, which every record asks.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import signal
import sys
from collections.abc import Iterator
from threading import get_ident
from types import FrameType

#: Idents of the threads that do the package's own work.
own_threads: set[int] = set()


def is_own_thread(ident: int | None = None) -> bool:
    """Whether the current thread is at the package's own work."""
    return (get_ident() if ident is None else ident) in own_threads


@contextlib.contextmanager
def own_work() -> Iterator[None]:
    """The current thread does the package's own work meanwhile: what its HTTP client logs is not shipped."""
    ident = get_ident()
    if ident in own_threads:
        yield
        return
    own_threads.add(ident)
    try:
        yield
    finally:
        own_threads.discard(ident)


def forget_own_threads() -> None:
    """In a forked child: the package's threads are the parent's."""
    own_threads.clear()


def may_wait() -> bool:
    """Whether the caller of a logging method can be held for a moment.

    Not when it runs an event loop, and not inside a signal handler, a GC callback or a finalizer: what they
    interrupted may be what would have to go on.
    """
    return not (is_own_thread() or _runs_an_event_loop() or is_interruption())


def _runs_an_event_loop() -> bool:
    # Not imported for this: an application without asyncio would pay for it.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def is_interruption() -> bool:
    """Whether this is code that runs in the middle of other code: a signal handler, a GC callback, a finalizer."""
    interrupting = {_code(callback) for callback in gc.callbacks}
    interrupting |= {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code in interrupting or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _code(callback: object) -> object:
    """The code that runs first when this is called, if it is of Python."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    if not hasattr(callback, "__code__") and callable(callback):
        callback = type(callback).__call__
    return getattr(callback, "__code__", None)


def holds_logging_lock() -> bool:
    """Whether the current thread holds the lock of the logging module, as `dictConfig` does while it closes
    the earlier handlers. What waits for another thread then may wait for one that wants this lock.
    """
    owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return bool(owned is not None and owned())
