"""Raises an exception at a chosen point of a call, as an exception out of a signal handler comes.

The interpreter runs signal handlers at three kinds of points: at the entry of a function, when a call returns, and when
a loop jumps back. A trace function finds these points in the frames of the package and raises at the one that was chosen.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import logcollector_handler

_PACKAGE = str(Path(logcollector_handler.__file__).parent)


class Alarm(Exception):
    """What a time limit raises, for instance."""


class Interrupt(BaseException):
    """What Ctrl-C raises is no Exception either."""


class Points:
    """Runs a call and raises at its point of that number, from 0; counts the points when there is none of it.

    Args:
        chosen: the number of the point.
        error: what is raised there.
    """

    def __init__(self, chosen: int, error: type[BaseException]) -> None:
        self._chosen = chosen
        self._error = error
        #: How many points were passed.
        self.count = 0
        #: Where the exception was raised: file, line, kind.
        self.place = ""
        # Of each frame under way: the offset of the instruction that ran last.
        self._last: dict[int, int] = {}

    def run(self, call: Callable[[], object]) -> None:
        """Make the call, with tracing on; what was raised is swallowed here, other exceptions are not."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            call()
        except self._error:
            pass
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame.f_trace_opcodes = True
        if event == "call":
            self._last[id(frame)] = -1
            self._point(frame, "entry")
        elif event == "opcode":
            last, here = self._last.get(id(frame), -1), frame.f_lasti
            self._last[id(frame)] = here
            if here in _behind_calls(frame.f_code):
                self._point(frame, "return of a call")
            elif here < last:
                self._point(frame, "jump back")
        return self._trace

    def _point(self, frame: FrameType, kind: str) -> None:
        number = self.count
        self.count += 1
        if number == self._chosen:
            self.place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} ({kind})"
            raise self._error(self.place)


@functools.cache
def _behind_calls(code: CodeType) -> frozenset[int]:
    """The offsets of the instructions that follow a call."""
    instructions = [each for each in dis.get_instructions(code) if each.opname != "CACHE"]
    return frozenset(
        after.offset
        for before, after in zip(instructions, instructions[1:], strict=False)
        if before.opname.startswith("CALL") and before.opname != "CALL_INTRINSIC_1"
    )
