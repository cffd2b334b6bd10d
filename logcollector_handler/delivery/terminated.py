"""A signal handler that sends the pending records before the signal takes effect.

The drain runs in a thread of its own, not in the signal handler: the interrupted code may hold a lock that the drain
needs, and must continue to release it. After the drain the thread sends the signal again, and then it has the effect
that it would have had without this handler.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

from . import exit as ending
from .clock import Wakeup

#: Seconds after which the signal is sent again if it interrupted a logging call.
_SOON: Final = 0.01
#: How often that is repeated at most: in a program that does little but log, every signal may interrupt a logging call.
_AGAIN: Final = 100
#: Seconds after which the signal that is sent after the drain is sent again, if the main thread has not handled it.
_UNHEARD: Final = 1.0
Handler = Callable[[int, "FrameType | None"], object]
# All signal handlers made here, so that none is installed in front of another.
_ours: set[Handler] = set()
# The two ends by which a thread hears of signals, if one does.
_sockets: list[socket.socket] = []


def install(number: signal.Signals, earlier: Handler | int) -> None:
    """Install a handler that drains and then calls the earlier one, unless that was made here. In the main thread."""
    if earlier not in _ours:
        _install(number, DrainingHandler(earlier))


def install_heard(number: signal.Signals) -> None:
    """As `install`, for a signal that has its default action and comes only once. In the main thread.

    The interpreter runs a handler when the main thread comes to it. A main thread that was just about to wait is not
    woken by the signal, and if nobody sends it again, the process would wait for ever with the one who wants its end.
    So another thread hears of the signal, too, by the byte that the interpreter writes for each at once.
    """
    hearing, writing = socket.socketpair()
    writing.setblocking(False)
    earlier = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    if earlier != -1:
        # An event loop's, say, which wakes the main thread.
        signal.set_wakeup_fd(earlier)
        hearing.close()
        writing.close()
        install(number, signal.SIG_DFL)
        return
    draining = DrainingHandler(signal.SIG_DFL, is_heard=True)
    _sockets[:] = hearing, writing
    try:
        _thread.start_new_thread(_hear, (hearing, number, draining))
    except RuntimeError:  # The system has no more threads: the signal keeps its default action.
        forget()
    else:
        _install(number, draining)


def _install(number: signal.Signals, draining: DrainingHandler) -> None:
    _ours.add(draining.handle)
    signal.signal(number, draining.handle)


def _hear(hearing: socket.socket, number: signal.Signals, draining: DrainingHandler) -> None:
    """The thread that hears of signals."""
    with contextlib.suppress(OSError):  # It was closed.
        while heard := hearing.recv(1):
            # The application may have installed a handler of its own since.
            if heard[0] == number and signal.getsignal(number) == draining.handle:
                draining.begin(number)


def forget() -> None:
    """In a forked child: its signals are no business of the thread that hears those of its parent."""
    if _sockets:
        signal.set_wakeup_fd(-1)
        for each in _sockets:
            each.close()
        _sockets.clear()


class DrainingHandler:
    """A signal handler that drains and then calls the earlier one.

    Args:
        earlier: the handler that was there before, or its default action.
        is_heard: `begin` is called for each signal, too, in another thread.
    """

    def __init__(self, earlier: Handler | int, *, is_heard: bool = False) -> None:
        self._earlier = earlier
        self._is_heard = is_heard
        # Ids of the processes that drain. A child forked during a drain inherits this set, but not the draining thread.
        self._under_way: set[int] = set()
        # Ids of the processes that have drained.
        self._done: set[int] = set()
        # How often the signal sent after the drain interrupted a logging call.
        self._again = 0

    def begin(self, number: int) -> None:
        """A thread has heard of the signal: drain, unless that is under way."""
        process = os.getpid()
        if process not in self._under_way:
            self._under_way.add(process)
            self._drain_and_send(number)

    def _drain_and_send(self, number: int) -> None:
        ending.flush()
        process = os.getpid()
        if process in self._under_way:
            self._done.add(process)
            _send(number)
            # A main thread that was just about to sleep does not wake up, and handles the signal when it slept enough.
            for _ in range(_AGAIN):
                Wakeup().wait(_UNHEARD)
                if process not in self._done:
                    break
                _send(number)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        earlier, process = self._earlier, os.getpid()
        if process not in self._under_way:
            self._under_way.add(process)
            if _start_thread(lambda: self._drain_and_send(number)):
                return
            if callable(earlier) and not ending.is_busy():
                # The interrupted code may hold a lock that this needs; then it gives up after shutdown_timeout.
                ending.flush()
            self._done.add(process)
        impatient = process not in self._done
        if impatient and self._is_heard:
            # The other thread has heard of the same signal before, and drains.
            return
        if not impatient and ending.is_busy():
            # This thread drains already, and holds what another drain would wait for.
            ending.defer(lambda: _send(number))
            return
        if not impatient and not callable(earlier) and self._again < _AGAIN and ending.holds_up():
            # Let the interrupted logging call finish before the process dies.
            self._again += 1
            if _start_thread(lambda: _send_soon(number)):
                return
        self._under_way.discard(process)
        self._done.discard(process)
        if callable(earlier):
            earlier(number, frame)
        else:
            # Before the drain, so that a further signal kills the process at once.
            signal.signal(number, _exit_as_init if process == 1 else signal.SIG_DFL)
            if not impatient:
                # Sends what this thread has logged since the first drain, and reports what cannot be sent as lost.
                ending.drain()
            _send(number)


def _exit_as_init(number: int, frame: FrameType | None) -> NoReturn:
    """What the default action is for others: the kernel lets no signal without a handler kill process 1."""
    os._exit(128 + number)


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
