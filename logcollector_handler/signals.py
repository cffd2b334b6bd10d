"""`drain_on_signals`: send the pending records before SIGTERM or SIGINT takes effect."""

from __future__ import annotations

import signal
import threading
from typing import Final

from .delivery.terminated import install

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def drain_on_signals() -> None:
    """Make SIGTERM and SIGINT first send what was logged, for at most `shutdown_timeout` seconds.

    Then the signal has its earlier effect: the handler that was installed runs, SIGINT raises KeyboardInterrupt, and
    without a handler the signal kills the process. (As process 1, in a container without an init, it ends with status
    128 + signal.) The main thread continues during the drain. A second signal takes effect without waiting for the
    drain. A signal that is ignored stays ignored. Call this again after another library has installed its own handlers.

    Raises:
        RuntimeError: it was called in another thread than the main one, or the installed handler was not installed
            by Python code and so could not be called after the drain.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "drain_on_signals() was called in another thread than the main one, and Python lets only that one handle "
            "signals: call it where the program starts"
        )
    for number in _SIGNALS:
        earlier = signal.getsignal(number)
        if earlier is None:
            raise RuntimeError(f"{number.name} is handled by a library that did not use Python's signal module")
        if earlier is not signal.SIG_IGN:
            install(number, earlier)
