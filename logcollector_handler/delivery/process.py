"""What the package has to know of the process: which threads are its own, what the calling thread is doing, and forks.

The answers about the calling thread decide whether a logging call may wait, and whether its record is shipped. Most
are slow and needed on rare paths only; `own_threads` is looked at in every logging call.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from threading import get_ident
from types import FrameType
from typing import Final

#: Idents of the threads that do the package's own work: what its HTTP client logs in them is not shipped.
own_threads: set[int] = set()
#: Held while a thread of the package imports a module or makes a TLS context. A fork waits for it: meanwhile that
#: thread holds locks of the import system or of OpenSSL, which nobody in the child would release.
setting_up = threading.Lock()
#: Seconds that a fork waits for `setting_up` at most.
_SETTING_UP_LIMIT: Final = 5.0
#: For each fork that is under way: whether it holds `setting_up`.
_held: list[bool] = []


def is_own_thread() -> bool:
    """Whether the current thread is doing the package's own work."""
    return get_ident() in own_threads


@contextlib.contextmanager
def own_work() -> Iterator[None]:
    """While the block runs, the current thread counts as one that does the package's own work."""
    ident = get_ident()
    if ident in own_threads:
        yield
        return
    own_threads.add(ident)
    try:
        yield
    finally:
        own_threads.discard(ident)


def at_fork(after_in_child: Callable[[], None]) -> None:
    """Have every forked child call `after_in_child` as soon as this module has reset its own state."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
        os.register_at_fork(after_in_child=after_in_child)


def _before_fork() -> None:
    # Not for ever: the thread that forks may itself hold a lock that the import waits for.
    _held.append(setting_up.acquire(timeout=_SETTING_UP_LIMIT))


def _after_fork() -> None:
    if _held.pop():
        setting_up.release()


def _after_fork_in_child() -> None:
    _after_fork()
    # The child has none of the parent's threads, and may reuse their idents.
    own_threads.clear()


def may_wait() -> bool:
    """Whether the caller of a logging method can be held for a moment.

    Not in a thread of the package, nor one that runs an event loop, nor inside a signal handler, a GC callback or a
    finalizer: these may have interrupted the very code that would have to go on for the wait to end.
    """
    return not (is_own_thread() or _runs_an_event_loop() or is_interruption())


def _runs_an_event_loop() -> bool:
    # Looked up, not imported: the import is slow, and an application that never imported it runs no event loop.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def is_interruption() -> bool:
    """Whether the caller runs in the middle of other code: in a signal handler, a GC callback or a finalizer."""
    interrupting = {_code(callback) for callback in gc.callbacks}
    interrupting |= {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code in interrupting or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _code(callback: object) -> object:
    """The code object that runs first when `callback` is called; None if it is not Python code."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    if not hasattr(callback, "__code__") and callable(callback):
        callback = type(callback).__call__
    return getattr(callback, "__code__", None)


def holds_logging_lock() -> bool:
    """Whether the current thread holds the lock of the `logging` module. Then it must not wait for another thread.

    `dictConfig` holds it while it closes the earlier handlers, and the other thread may itself be waiting for it.
    """
    owned = getattr(getattr(logging, "_lock", None), "_is_owned", None)
    return bool(owned is not None and owned())
