"""What the processes of the oracle test do beside logging: forks, alarms, storms of errors, and what applications do.

What belongs here: carrying out a deed of the plan, in the main thread. What does not: when it comes; that is in the
plan. What must hold in spite of it is `oracle.py`'s, but for what only the process itself can see.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from tests.integration.oracle_records import ALARMED_FROM, STORM_FROM
from tests.integration.oracle_worker import Worker, tell

#: The worker of this process is the last. A child that was forked in C, and exits, has put its own there.
present: list[Worker] = []


def act_first(worker: Worker) -> None:
    """What comes before the first record, and before there are other threads."""
    # A child that is forked in C while another thread imports a module never gets it: its lock stays held, and what is
    # there of it is half made.
    importlib.import_module("logcollector_handler.delivery.transport")
    if worker.plan["forks first"]:
        _fork_in_c(worker, len(worker.plan["deeds"]) + 1)


def act(worker: Worker) -> None:
    """Follow the plan up to the process's end."""
    began = time.monotonic()
    for number, (when, deed) in enumerate(worker.plan["deeds"], 1):
        time.sleep(max(0.0, began + when - time.monotonic()))
        tell("f", [deed])
        _DEEDS[deed](worker, number)
    time.sleep(max(0.0, began + worker.plan["seconds"] - time.monotonic()))


def _fork(worker: Worker, child: int) -> None:
    """Fork a child that logs a few ids, tells which are safe, and ends at once."""
    if os.fork():
        return
    status = 1
    try:
        mine = Worker(worker.plan, child)
        mine.adopt_handler(worker)
        for _ in range(mine.rng.randrange(1, 200)):
            mine.log_one()
        mine.tell_safe()
        if mine.rng.random() < 0.3:
            mine.handler.flush(0.5)
        status = 0
    finally:
        os._exit(status)


def _fork_in_c(worker: Worker, child: int) -> None:
    """Fork as a server in C does, with no hook of Python, in the middle of a logging call of this thread.

    The interpreter is not made for that: where another thread waits for its lock meanwhile, the lock can be unusable in
    the child. So the threads of this test pause, and this one sleeps just before, which leaves the others the lock.
    """
    libc = ctypes.PyDLL(None)
    # Which call or return in the logging call it is.
    left = worker.rng.randrange(1, 120)

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            sys.setprofile(None)
            fork()

    def fork() -> None:
        tell("c", [str(child)])
        time.sleep(0.002)
        if not libc.fork():
            _live_after_fork_in_c(Worker(worker.plan, child), worker)

    def profiled(call: Callable[[], None]) -> bool:
        sys.setprofile(count)
        try:
            call()
        finally:
            sys.setprofile(None)
        return True

    worker.gate.clear()
    time.sleep(0.05)
    worker.log_one(around=profiled)
    if left > 0:
        # The call was shorter.
        fork()
    worker.gate.set()


def _live_after_fork_in_c(mine: Worker, parent: Worker) -> None:
    """The life of a child that was forked in C. Does not return."""
    mine.is_forked_in_c = True
    mine.adopt_handler(parent)
    for _ in range(mine.rng.randrange(1, 200)):
        mine.log_one()
    if not mine.by_record:
        mine.check_listener("a fork in C")
        mine.tell_safe()
    ending = mine.rng.choice(("os._exit", "killed", "exit"))
    if ending == "exit":
        present.append(mine)
        sys.exit()
    tell("d", [str(mine.child)])
    if ending == "os._exit":
        os._exit(0)
    signal.raise_signal(signal.SIGKILL)


class Alarm(BaseException):
    """What the handler of SIGALRM raises: nobody takes it for an error of the handler that was interrupted."""


_is_armed = False


def _ring(number: int, frame: FrameType | None) -> None:
    global _is_armed
    if _is_armed:
        _is_armed = False
        raise Alarm


def _log_alarmed(worker: Worker, number: int) -> None:
    """Log for a moment under alarms whose handler raises. Then the process must log on as if nothing had been."""

    def arm(call: Callable[[], None]) -> None:
        global _is_armed
        _is_armed = True
        signal.setitimer(signal.ITIMER_REAL, worker.rng.uniform(0.00001, 0.0005))
        call()
        _is_armed = False

    def around(call: Callable[[], None]) -> bool:
        # Around a function, because from 3.13 on an exception at the jump of a loop misses a `try` right around it.
        try:
            arm(call)
        except Alarm:
            return False
        return True

    earlier = signal.signal(signal.SIGALRM, _ring)
    end = time.monotonic() + worker.rng.uniform(0.1, 0.6)
    while time.monotonic() < end:
        worker.log_one(first=ALARMED_FROM, around=around)
        time.sleep(0.002)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, earlier)
    worker.check_listener("alarms")


def _storm(worker: Worker, number: int) -> None:
    """Log errors, some hundred a second."""
    end = time.monotonic() + worker.rng.uniform(0.2, 1.0)
    while time.monotonic() < end:
        worker.log_one(first=STORM_FROM)
        time.sleep(0.003)


_DEEDS: dict[str, Callable[[Worker, int], object]] = {
    "fork": _fork,
    "fork in C": _fork_in_c,
    "alarms": _log_alarmed,
    "storm of errors": _storm,
    "close": lambda worker, _: worker.handler.close(),
    "configure": lambda worker, _: worker.configure(),
    "flush": lambda worker, _: worker.handler.flush(),
}
