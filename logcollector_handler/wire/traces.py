"""Exceptions: captured in the logging call, cheaply and without keeping them alive; printed on another thread.

`traceback` does the printing, so the text is what the interpreter prints. What it needs of the live
exception (its text, notes, causes, suggestions) it takes at once, without frames; of each frame only code,
instruction and line are noted, and the source is looked up when the text is made.
"""

from __future__ import annotations

import itertools
import linecache
import sys
import traceback
from types import CodeType, TracebackType
from typing import Any

_Frame = tuple[CodeType, int, int]


class Trace:
    """An exception as it was when it was logged. `render` makes the text of it, once."""

    __slots__ = ("_exception", "_stacks", "_tail", "error_type", "frame")

    def __init__(self, exception: BaseException, tb: TracebackType | None, tail: str | None = None) -> None:
        self._tail = tail
        limit = getattr(sys, "tracebacklimit", None)
        limit = None if limit is None else max(0, limit)
        # limit=0: the frames are noted below, at a twentieth of the cost.
        self._exception = traceback.TracebackException(
            type(exception), exception, tb, limit=0, lookup_lines=False, compact=True
        )
        self._stacks: list[tuple[traceback.TracebackException, list[_Frame]]] = []
        todo: list[tuple[Any, Any, Any]] = [(self._exception, exception, tb)]
        while todo:
            captured, error, error_tb = todo.pop()
            self._stacks.append((captured, _frames(error_tb, limit)))
            for name in ("__cause__", "__context__"):
                if (below := getattr(captured, name)) is not None:
                    error_below = getattr(error, name)
                    todo.append((below, error_below, error_below.__traceback__))
            for below, each in zip(
                getattr(captured, "exceptions", None) or (), getattr(error, "exceptions", ()), strict=False
            ):
                todo.append((below, each, each.__traceback__))
        #: Name of its class.
        self.error_type = type(exception).__name__
        #: Where it was raised: code and line; None for an exception that never was.
        self.frame = _raised_at(tb)

    def render(self) -> str:
        """The text that `traceback.format_exception` gives, without the last line's end."""
        for filename in {code.co_filename for _, frames in self._stacks for code, _, _ in frames}:
            linecache.checkcache(filename)
        for captured, frames in self._stacks:
            stack = traceback.StackSummary()
            stack.extend(itertools.starmap(_summary, frames))
            captured.stack = stack
        text = "".join(self._exception.format()).removesuffix("\n")
        return f"{text}\n{self._tail}" if self._tail else text


def _frames(tb: TracebackType | None, limit: int | None) -> list[_Frame]:
    frames: list[_Frame] = []
    cached = linecache.cache
    while tb is not None and (limit is None or len(frames) < limit):
        frame = tb.tb_frame
        code = frame.f_code
        if code.co_filename not in cached:
            # Source that only the module's loader has (in a zip, say) is found through its globals.
            linecache.lazycache(code.co_filename, frame.f_globals)
        frames.append((code, tb.tb_lasti, tb.tb_lineno))
        tb = tb.tb_next
    return frames


def _raised_at(tb: TracebackType | None) -> tuple[CodeType, int] | None:
    if tb is None:
        return None
    while tb.tb_next is not None:
        tb = tb.tb_next
    return tb.tb_frame.f_code, tb.tb_lineno


if sys.version_info >= (3, 11):

    def _summary(code: CodeType, instruction: int, line: int) -> traceback.FrameSummary:
        position: tuple[int | None, int | None, int | None, int | None] = (None, None, None, None)
        if instruction >= 0:
            position = next(itertools.islice(code.co_positions(), instruction // 2, None))
        start, end, column, end_column = position
        return traceback.FrameSummary(
            code.co_filename,
            line if start is None else start,
            code.co_name,
            lookup_line=False,
            end_lineno=end,
            colno=column,
            end_colno=end_column,
        )

else:

    def _summary(code: CodeType, instruction: int, line: int) -> traceback.FrameSummary:  # noqa: ARG001 - as above
        return traceback.FrameSummary(code.co_filename, line, code.co_name, lookup_line=False)
