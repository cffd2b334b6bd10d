"""What the package has to know of the process: which threads are its own, what the calling thread is doing, and forks.

The answers about the calling thread decide whether a logging call may wait, and whether its record is shipped. Most
are slow and needed on rare paths only; `own_threads` is looked at in every logging call.

A forked child drops what it inherited before it uses any of it. Python tells of a fork that goes through `os.fork`. A
fork in C, such as that of uWSGI, is noticed by the process id: whoever comes to state of the process calls
`current_pid` first.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the stubs have none
import contextlib
import functools
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FrameType
from typing import Final

from .locks import new_lock

#: Idents of the threads that do the package's own work: what its HTTP client logs in them is not shipped.
own_threads: set[int] = set()
#: Seconds that a fork waits at most for a thread that is setting something up.
_SETTING_UP_LIMIT: Final = 5.0
#: Seconds between two looks at a process that gevent is about to patch, and how long that is waited for at most: less
#: long where it is only likely.
_STEP: Final = 0.05
_PATCH_LIMIT: Final = 10.0
_LIKELY_LIMIT: Final = 3.0
#: The same for uWSGI's first process, which is about to fork. A look does harm if it comes at that moment.
_FORK_STEP: Final = 1.0
_FORK_LIMIT: Final = 10.0
#: Seconds in which a thread that was just started has come to such a wait.
_FIRST_LOOK: Final = 0.01
# What others send a process to end it or to tell it something. Windows has few of them.
_SIGNALS: Final = {
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
}
# The process to which the state of the package belongs.
_pid = os.getpid()
# Called in a forked child, to drop what belongs to the parent.
_in_child: list[Callable[[], None]] = []
# Locks by process id, made when first used, so that a child never comes upon one that a thread of its parent holds.
# Held while a child drops what it inherited:
_dropping: dict[int, threading.RLock] = {}
# Held while a thread of the package imports a module or makes a TLS context. A fork waits for it: meanwhile that
# thread holds locks of the import system or of OpenSSL, which nobody in the child would release.
_setting_up: dict[int, threading.RLock] = {}
# The locks of `_setting_up` that forks wait for, by the thread that forks.
_waited_for: dict[int, threading.RLock] = {}


def is_own_thread() -> bool:
    """Whether the current thread is doing the package's own work."""
    return threading.get_ident() in own_threads


@contextlib.contextmanager
def own_work() -> Iterator[None]:
    """While the block runs, the current thread counts as one that does the package's own work."""
    ident = threading.get_ident()
    if ident in own_threads:
        yield
        return
    own_threads.add(ident)
    try:
        yield
    finally:
        own_threads.discard(ident)


def at_fork(in_child: Callable[[], None]) -> None:
    """Have every forked child call `in_child`, which drops what the child has of its parent. It may be called again."""
    _in_child.append(in_child)


def current_pid() -> int:
    """The id of this process. In the child of a fork that Python did not see, the first call drops what is inherited.

    A child in another PID namespace can have the id of its parent. Only a fork that Python sees is noticed there.
    """
    pid = os.getpid()
    if pid != _pid:
        _drop_inherited(pid)
    return pid


def _drop_inherited(pid: int) -> None:
    global _pid
    # Other threads of the child wait until all is done. This thread comes here a second time if a signal handler logs
    # meanwhile. When the first call goes on, the state is that of the child already: hence it asks at each step.
    with _dropping.setdefault(pid, new_lock()):
        if pid != _pid:
            # The child has none of the parent's threads, and may reuse their idents.
            own_threads.clear()
        for each in _in_child:
            if pid != _pid:
                each()
        # Last: if a signal handler raises before, the next call drops the rest.
        _pid = pid


@contextlib.contextmanager
def setting_up() -> Iterator[None]:
    """While the block runs, other threads of this process that fork wait. Re-entrant: the block itself may fork."""
    with _setting_up.setdefault(os.getpid(), new_lock()):
        yield


def _before_fork() -> None:
    lock = _setting_up.get(os.getpid())
    if lock is not None:
        # Noted before it is taken, so that it is released whatever a signal handler raises here.
        _waited_for[threading.get_ident()] = lock
        # Not for ever: the thread that forks may itself hold a lock that the import waits for.
        lock.acquire(timeout=_SETTING_UP_LIMIT)


def _after_fork() -> None:
    lock = _waited_for.pop(threading.get_ident(), None)
    if lock is not None:
        # A RuntimeError: the wait was in vain, so there is nothing to release.
        with contextlib.suppress(RuntimeError):
            lock.release()


def _after_fork_in_child() -> None:
    # A program that forks in C can call this alone, without `_before_fork` (uWSGI with `--py-call-osafterfork`).
    global _pid
    for each in (_dropping, _setting_up, _waited_for):
        each.clear()
    # Of no process: in another PID namespace the child can have the id of its parent.
    _pid = 0
    _drop_inherited(os.getpid())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def load_openssl_in_time() -> None:
    """Under uWSGI, load OpenSSL before uWSGI arranges for its end, as long as the application is being imported.

    uWSGI has an exit handler in C run those of Python. OpenSSL has one, too, from when it is loaded, and the last of
    them comes first. Loaded later, OpenSSL would be gone when Python's exit handlers send logs, and crash the worker.
    """
    if "uwsgi" in sys.modules:
        import hashlib  # noqa: F401 - see above; elsewhere it would only take time


def let_settle(is_urgent: Callable[[], bool]) -> bool:
    """Where threads that start now would do harm: wait some seconds, until they do not or until `is_urgent()`.

    uWSGI's first process forks its workers, in C, as soon as it has imported the application. A worker that is forked
    while another thread runs Python code hangs for ever, because it waits for that thread to release the interpreter's
    lock. And workers of uWSGI and of gunicorn may log before gevent patches them.

    Returns:
        Whether what was logged before is to be sent at once: it has waited, or this is uWSGI's first process, which may
        have forked before this thread came to wait.
    """
    slept = 0.0
    while not is_urgent():
        if slept < _FORK_LIMIT and _is_about_to_fork():
            step = _FORK_STEP
        elif slept < (_PATCH_LIMIT if _is_about_to_patch() else _LIKELY_LIMIT) and _may_be_patched():
            step = _STEP
        else:
            break
        time.sleep(step)
        slept += step
    return slept > 0 or _worker_of_uwsgi() == 0


def leave_signals_to_others(start: object) -> None:
    """In a thread that `start` has started: signals come to others, also instead of the threads that this one starts.

    A handler in C runs in the thread to which its signal comes. That of uWSGI ends the process, and CPython hangs if
    that is done in another thread than the main one.
    """
    # A function in Python has made a greenlet, and this is a thread of the application.
    if isinstance(start, BuiltinFunctionType) and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def let_others_wait() -> None:
    """Where `let_settle` waits for forks: have a thread that was just started come to that before the process forks.

    It runs as soon as the caller's thread releases the interpreter's lock, and uWSGI does that right before it forks.
    """
    if _is_about_to_fork():
        time.sleep(_FIRST_LOOK)


def _is_about_to_fork() -> bool:
    """Whether this is uWSGI's first process, and it has not forked all of its workers."""
    try:
        return _worker_of_uwsgi() == 0 and not all(each["pid"] for each in sys.modules["uwsgi"].workers())
    except Exception:  # noqa: BLE001 - a module of that name that is not uWSGI's
        return False


def _worker_of_uwsgi() -> int | None:
    """The number of this worker of uWSGI, from 1 on; 0 in its first process, None without uWSGI."""
    # Looked up, not imported: only uWSGI itself has this module. Others make one of the name, for tests.
    uwsgi = sys.modules.get("uwsgi")
    try:
        return None if uwsgi is None else int(uwsgi.worker_id())
    except Exception:  # noqa: BLE001 - see above
        return None


def _is_about_to_patch() -> bool:
    """Whether this is a worker of uWSGI that has gevent patch it, sooner or later."""
    try:
        return bool(_worker_of_uwsgi()) and "gevent-monkey-patch" in sys.modules["uwsgi"].opt
    except Exception:  # noqa: BLE001 - as above
        return False


def _may_be_patched() -> bool:
    """Whether gevent was imported to patch the process, or is about to be, and has not done so."""
    # Looked up, not imported: an application without gevent does not have it.
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return _is_about_to_patch()
    try:
        return not monkey.is_module_patched("threading")
    except Exception:  # noqa: BLE001 - another thread is still importing it
        return True


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
    # Not `signal.getsignal`, which makes an enum of each answer: every caller that may wait would spend 0.3 ms here.
    handlers = map(_signal.getsignal, range(1, signal.NSIG))
    interrupting |= {_code(handler) for handler in handlers if callable(handler)}
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
