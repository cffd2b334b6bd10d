"""`drain_on_signals`: send the pending records before SIGTERM or SIGINT takes effect.

The drain runs in a thread of its own, not in the signal handler: the interrupted code may hold a lock that the drain
needs, and must continue to release it. After the drain the thread sends the signal again, and then it has the effect
that it would have had without this module.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from .delivery import exit as ending
from .delivery.clock import Wakeup

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
#: Seconds of `shutdown_timeout` that always remain after the drain, for records logged while it ran.
_LAST_MOMENT: Final = 0.25
#: Seconds after which the signal is sent again if it interrupted a logging call.
_SOON: Final = 0.01
#: How often that is repeated at most: in a program that does little but log, every signal may interrupt a logging call.
_AGAIN: Final = 100
#: Seconds after which the signal that is sent after the drain is sent again, if the main thread has not handled it.
_UNHEARD: Final = 1.0
_Handler = Callable[[int, "FrameType | None"], object]
# All signal handlers made here, so that none is installed in front of another.
_ours: set[_Handler] = set()


def drain_on_signals() -> None:
    """Make SIGTERM and SIGINT first send what was logged, for at most `shutdown_timeout` seconds.

    Then the signal has its earlier effect: the handler that was installed runs, SIGINT raises KeyboardInterrupt, and
    without a handler the signal kills the process. The main thread continues during the drain. A second signal takes
    effect without waiting for the drain. A signal that is ignored stays ignored. Call this again after another library
    has installed its own handlers.

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
        if earlier is not signal.SIG_IGN and earlier not in _ours:
            handler = _draining(earlier)
            _ours.add(handler)
            signal.signal(number, handler)


def _draining(earlier: _Handler | int) -> _Handler:
    """A signal handler that drains and then calls the earlier one."""
    # Ids of the processes that drain. A child forked during a drain inherits this set, but not the draining thread.
    under_way: set[int] = set()
    # Ids of the processes that have drained.
    done: set[int] = set()
    # How often the signal sent after the drain interrupted a logging call.
    again = 0

    def drain_and_send(number: int) -> None:
        took = ending.flush()
        if not callable(earlier):
            ending.spend(max(0.0, took - _LAST_MOMENT))
        process = os.getpid()
        if process in under_way:
            done.add(process)
            _send(number)
            # A main thread that was just about to sleep does not wake up, and handles the signal when it slept enough.
            for _ in range(_AGAIN):
                Wakeup().wait(_UNHEARD)
                if process not in done:
                    break
                _send(number)

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal again
        process = os.getpid()
        if process not in under_way:
            under_way.add(process)
            if _start_thread(lambda: drain_and_send(number)):
                return
            if callable(earlier):
                # The interrupted code may hold a lock that this needs; then it gives up after shutdown_timeout.
                ending.flush()
            done.add(process)
        impatient = process not in done
        if not impatient and not callable(earlier) and again < _AGAIN and ending.holds_up():
            # Let the interrupted logging call finish before the process dies.
            again += 1
            if _start_thread(lambda: _send_soon(number)):
                return
        under_way.discard(process)
        done.discard(process)
        if callable(earlier):
            earlier(number, frame)
        else:
            # Before the drain, so that a further signal kills the process at once.
            signal.signal(number, signal.SIG_DFL)
            if not impatient:
                # Sends what this thread has logged since the first drain, and reports what cannot be sent as lost.
                ending.drain()
            _send(number)

    return handle


def _start_thread(target: Callable[[], object]) -> bool:
    if ending.is_exiting():
        return False
    try:
        threading.Thread(target=target, name="logcollector-signal", daemon=True).start()
    except RuntimeError:  # The system has no more threads.
        return False
    return True


def _send_soon(number: int) -> None:
    Wakeup().wait(_SOON)
    _send(number)


def _send(number: int) -> None:
    if sys.platform == "win32":
        # On Windows os.kill ends the process without calling the handler.
        signal.raise_signal(number)
    else:
        # To the process, not to this thread: the main thread may sleep, and the signal must wake it.
        os.kill(os.getpid(), number)
