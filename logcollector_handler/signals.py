"""`drain_on_signals`: send what is left before SIGTERM or SIGINT takes its effect.

The drain runs in a thread of its own, not in the signal handler: what the signal interrupted may hold a lock that
the drain needs, and has to go on for that. When the drain is over the signal is sent again, and then
what would have handled it does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

from .delivery import exit as lifecycle
from .delivery.clock import Wakeup

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
#: Seconds that remain for what is logged while the drain is under way, however long that took.
_LAST_MOMENT: Final = 0.25
#: Seconds after which the signal is sent again when it came in the middle of a logging call.
_SOON: Final = 0.01
#: How often at most: a program that does little else than log may have no better moment.
_AGAIN: Final = 100
_Handler = Callable[[int, "FrameType | None"], object]
# Our signal handlers that are installed or were; one of them is not put in front of another.
_ours: set[_Handler] = set()


def drain_on_signals() -> None:
    """From now on SIGTERM and SIGINT first send what was logged, for at most `shutdown_timeout` seconds.

    Then the signal has the effect that it had before: the handler that was installed runs, SIGINT raises
    KeyboardInterrupt, and where there was no handler the process dies by the signal. Meanwhile the main thread
    goes on. A second signal does not wait for the drain. A signal that was ignored stays ignored. Call it again when
    another library has installed handlers of its own since.

    Raises:
        RuntimeError: it was called from another thread than the main one, or a handler that is installed was not
            installed from Python and could not be called afterwards.
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
    """A signal handler that drains and then lets the earlier one act."""
    # The processes in which it drains: a fork in the middle of that inherits this, but not the thread.
    under_way: set[int] = set()
    # Those in which that is done.
    done: set[int] = set()
    # How often the signal that was sent after the drain came in the middle of a logging call.
    again = 0

    def drain_and_send(number: int) -> None:
        took = lifecycle.flush()
        if not callable(earlier):
            lifecycle.spend(max(0.0, took - _LAST_MOMENT))
        if os.getpid() in under_way:
            done.add(os.getpid())
            _send(number)

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal again
        process = os.getpid()
        if process not in under_way:
            under_way.add(process)
            if _start_thread(lambda: drain_and_send(number)):
                return
            if callable(earlier):
                # What was interrupted may hold this up, but not for longer than shutdown_timeout.
                lifecycle.flush()
            done.add(process)
        impatient = process not in done
        if not impatient and not callable(earlier) and again < _AGAIN and lifecycle.holds_up():
            # The call that was interrupted goes on first.
            again += 1
            if _start_thread(lambda: _send_soon(number)):
                return
        under_way.discard(process)
        done.discard(process)
        if callable(earlier):
            earlier(number, frame)
        else:
            # First: another signal does not wait for this drain either.
            signal.signal(number, signal.SIG_DFL)
            if not impatient:
                # What this thread has logged since; and what cannot be sent is said to be lost.
                lifecycle.drain()
            _send(number)

    return handle


def _start_thread(target: Callable[[], object]) -> bool:
    if lifecycle.is_exiting():
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
        # There os.kill ends the process without a handler.
        signal.raise_signal(number)
    else:
        # Not to this thread: the main one may sleep, and is to wake up.
        os.kill(os.getpid(), number)
