"""Writes into a pipe or a connection whose reader is gone: they must fail with an error, never end the process.

The system sends SIGPIPE to a thread that writes there. Python ignores it, but an application may have given it back its
default, which ends the process (`signal(SIGPIPE, SIG_DFL)`, as command line tools do for `| head`).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_SIGPIPE = getattr(signal, "SIGPIPE", None)  # Windows has no such signal.


@contextlib.contextmanager
def broken_pipes_raise() -> Iterator[None]:
    """While the block runs, a write that nobody will read raises BrokenPipeError, whatever SIGPIPE would do.

    The signal is blocked in the calling thread alone, and one that a write in the block caused is taken away.
    """
    # Where it is ignored there is nothing to do, and a process that another greenlet of this thread starts meanwhile
    # would inherit the block.
    if _SIGPIPE is None or signal.getsignal(_SIGPIPE) is signal.SIG_IGN:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    waited_already = _SIGPIPE in signal.sigpending()
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, (_SIGPIPE,))
        yield
    finally:
        try:
            if not waited_already and _SIGPIPE in signal.sigpending():
                signal.sigwait((_SIGPIPE,))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
