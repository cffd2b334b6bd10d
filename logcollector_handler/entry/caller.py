"""Finds who called: the application's frame behind packages that only pass a logging call on.

`logging` takes the first frame outside itself for the caller. Where the application logs through structlog, and
structlog wraps a logger that it did not make, that frame is one of structlog's.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import FrameType
from typing import Any, Final

#: Packages that pass a logging call on, in the caller's thread or in another.
_PASSING: Final = frozenset({"structlog", "logging", "logcollector_handler", "concurrent", "threading"})


def application_frame(frame: FrameType | None) -> tuple[FrameType | None, bool]:
    """The application's frame that made a logging call, None if there is none; and whether structlog passed it on.

    Args:
        frame: a frame inside the call, from which the search begins.
    """
    by_structlog = False
    while frame is not None:
        package = (frame.f_globals.get("__name__") or "?").partition(".")[0]
        if package not in _PASSING:
            break
        by_structlog = by_structlog or package == "structlog"
        frame = frame.f_back
    if by_structlog and (called := asynchronous_frame()) is not None:
        return called, True
    return frame, by_structlog


def asynchronous_frame() -> FrameType | None:
    """The frame that called an asynchronous method of structlog, which logs in another thread; None outside of one."""
    frame: FrameType | None = _kept("_ASYNC_CALLING_STACK")
    return frame


def asynchronous_thread() -> tuple[int, str] | None:
    """Identifier and name of the thread that called an asynchronous method of structlog; None outside of one."""
    thread: tuple[int, str] | None = _kept("_ASYNC_CALLING_THREAD")
    return thread


def is_passing(path: Any) -> bool:
    """Whether the path that a record names as its origin is a file of structlog."""
    if type(path) is str:
        for directory in getattr(sys.modules.get("structlog"), "__path__", ()):
            if path.startswith(f"{directory}{os.sep}"):
                return True
    return False


def module_of(frame: FrameType) -> str:
    """The name of the module that the frame's code stands in."""
    return str(frame.f_globals.get("__name__") or "?")


def printed_stack(frame: FrameType | None) -> str:
    """The stack from its outermost call down to `frame`, in the format of a record's `stack_info`."""
    return "Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)).rstrip("\n")


def _kept(name: str) -> Any:
    """What an asynchronous method of structlog keeps of its caller in the context variable of that name."""
    variable = getattr(sys.modules.get("structlog.contextvars"), name, None)
    return None if variable is None else variable.get(None)
