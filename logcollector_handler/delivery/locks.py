"""The lock for state that logging calls, `flush` and `close` change: an exception out of a signal handler never leaves
it held.

`with lock:` does that on every Python but CPython 3.14. There the interpreter also runs signal handlers after the
`__enter__` of a lock has returned and before `__exit__` is sure to be called (python/cpython#148874; seen in 3.14.10,
mended in 3.15). A handler that raises there leaves a lock of the standard library held for ever, and every later
logging call waits for it.
"""

from __future__ import annotations

import _thread
import sys
import threading

_LEAVES_LOCKS_HELD = sys.implementation.name == "cpython" and sys.version_info[:2] == (3, 14)


def new_lock() -> threading.RLock:
    """A free re-entrant lock, to be taken by `with`. Where gevent has replaced those of `threading`, it is gevent's."""
    lock = threading.RLock()
    return _EnteredAtOnce() if _LEAVES_LOCKS_HELD and type(lock) is _thread.RLock else lock


def is_held(lock: threading.RLock) -> bool:
    """Whether the calling thread holds the lock."""
    return bool(lock._is_owned())  # type: ignore[attr-defined]  # there, for Condition, but not in the stubs


class _EnteredAtOnce(_thread.RLock):  # type: ignore[misc]  # final in the stubs alone
    """A lock that `with` takes without running signal handlers before the block begins.

    The interpreter runs them after the call of a function in C, but not when a function in Python returns. So
    `__enter__` is in Python. It takes the lock with the first step of a loop, which calls `acquire` and runs no signal
    handlers either.
    """

    def __enter__(self) -> bool:  # type: ignore[override]  # an alias of `acquire` in the stubs
        for _ in iter(self.acquire, None):
            break
        return True
