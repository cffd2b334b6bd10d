"""Raises an exception at a chosen point of a call, as an exception out of a signal handler comes.

The interpreter runs signal handlers at three kinds of points: at the entry of a function, when a call returns, and when
a loop jumps back. When `with` calls `__enter__`, the return is no such point, but for an `__enter__` in C on CPython
3.14 (`test_locks.py` tries that with real signals). A trace and a profile function find these points in the frames of
the package, and raise at the one that was chosen. The interpreter then unwinds as if the call itself, or the jump, had
raised.

A function that the interpreter calls when an object dies has such points, too, but what is raised there goes nowhere.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

import logcollector_handler

_ENTERING_IN_C_IS_A_POINT = sys.implementation.name == "cpython" and sys.version_info[:2] == (3, 14)
_PACKAGE = str(Path(logcollector_handler.__file__).parent)
#: The functions of the standard library that the interpreter calls when an object dies to which a set or dict refers
#: weakly, as `threading` does to each thread.
_WEAK: tuple[Any, ...] = (weakref.WeakSet(), weakref.WeakKeyDictionary(), weakref.WeakValueDictionary())
_CALLED_AT_DEATH = {each._remove.__code__ for each in _WEAK}
#: Seconds after which something that hangs is taken to hang for ever.
FOR_EVER = 60.0


class Alarm(Exception):  # noqa: N818 - as the signal that it comes from
    """What a time limit raises, for instance."""


class Interrupt(BaseException):
    """As Ctrl-C raises: no Exception."""


def on_one(*values: Any) -> Any:
    """Parameters that one Python tries: they take long, and the others try the same code with other parameters."""
    return pytest.param(*values, marks=pytest.mark.integration)


#: Every Python tries the one that `except Exception` does not catch.
ERRORS: Final = [Interrupt, on_one(Alarm)]


class Points:
    """Makes a call and raises at its point of that number, from 0. Without such a point the call ends as it would.

    Args:
        chosen: the number of the point.
        error: what is raised there.
    """

    def __init__(self, chosen: int, error: type[BaseException]) -> None:
        self._left = chosen
        self._error = error
        #: Where the exception was raised, for people; empty when it was not.
        self.place = ""
        # Of each frame under way: the offset of the instruction that ran last.
        self._last: dict[int, int] = {}

    def run(self, call: Callable[[], object]) -> None:
        """Make the call. The chosen exception ends here, all others are raised."""
        before = sys.gettrace(), sys.getprofile()
        # What is raised in a callback of the garbage collector goes nowhere.
        gc.disable()
        sys.setprofile(self._profile)
        # Python 3.12.1 crashes when this takes turns with the trace function of coverage: there no jump is a point.
        if before[0] is None or sys.version_info[:2] != (3, 12):
            sys.settrace(self._trace)
        try:
            call()
        except self._error:
            pass
        finally:
            sys.settrace(before[0])
            sys.setprofile(before[1])
            gc.enable()

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not _is_of_the_package(frame):
            return None
        if event == "call":
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            self._last[id(frame)] = -1
        elif event == "opcode":
            last, here = self._last.get(id(frame), -1), frame.f_lasti
            self._last[id(frame)] = here
            if here < last:
                self._point(frame, "jump back")
        return self._trace

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        # A function in C has no frame of its own: the event comes with the caller's.
        if event == "call" and _is_of_the_package(frame):
            self._point(frame, "entry")
            return
        if event == "c_return":
            caller, is_point = frame, _ENTERING_IN_C_IS_A_POINT or arg.__name__ != "__enter__"
        elif event == "return" and frame.f_back is not None and frame.f_code not in _CALLED_AT_DEATH:
            caller, is_point = frame.f_back, frame.f_code.co_name != "__enter__"
        else:
            return
        if is_point and _is_of_the_package(caller):
            self._point(caller, "return of a call")

    def _point(self, frame: FrameType, kind: str) -> None:
        if self._left == 0 and not self.place:
            self.place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} ({kind})"
            raise self._error(self.place)
        self._left -= 1


def _is_of_the_package(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_PACKAGE)


def held(locks: Mapping[str, Any]) -> list[str]:
    """The names of the locks that another thread does not get."""
    names: list[str] = []

    def take() -> None:
        for name, lock in locks.items():
            if lock.acquire(timeout=FOR_EVER):
                lock.release()
            else:
                names.append(name)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return names


def free(lock: Any) -> bool:
    """Whether another thread gets the lock."""
    return held({"it": lock}) == []
