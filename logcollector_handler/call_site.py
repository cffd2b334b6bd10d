"""Records that the package makes for the application: from where it called, with fields of any name."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from .entry.record import STANDARD

#: Modules that are never the ones that called.
_BETWEEN: Final = frozenset({"logcollector_handler", "contextlib", "functools"})


class Site(NamedTuple):
    """Where a record is from."""

    module: str
    path: str
    line: int
    function: str


def calling_frame() -> FrameType | None:
    """The application's innermost frame."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _module(frame).partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return frame


def printed_stack(frame: FrameType | None) -> str:
    """The stack down to a frame, as `stack_info` of a record has it."""
    return "Stack (most recent call last):\n" + "".join(traceback.format_stack(frame)).rstrip("\n")


def calling_site() -> Site:
    """Where the application called."""
    frame = calling_frame()
    if frame is None:
        return Site("?", "", 0, "")
    return Site(_module(frame), frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def log(
    logger: logging.Logger,
    site: Site,
    level: int,
    message: str,
    fields: Mapping[str, Any],
    exception: BaseException | None = None,
    stack: str | None = None,
) -> None:
    """Give a logger a record, if it lets that level pass. The message is taken as it is, without %-formatting."""
    if not logger.isEnabledFor(level):
        return
    exc_info = None if exception is None else (type(exception), exception, exception.__traceback__)
    record = logger.makeRecord(
        logger.name, level, site.path, site.line, message, (), exc_info, site.function, None, stack
    )
    # What has the name of one of the record's own goes into `metadata`, which is merged.
    taken = {name: value for name, value in fields.items() if name in STANDARD}
    record.__dict__.update({name: value for name, value in fields.items() if name not in STANDARD})
    if taken:
        own = fields.get("metadata")
        record.__dict__["metadata"] = (
            {**own, **taken} if type(own) is dict else {"metadata": own, **taken} if own else taken
        )
    logger.handle(record)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))
