"""Makes log records on behalf of the application (timers, `LogClient`): with its call site, and fields of any name."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from .entry.caller import module_of
from .entry.record import STANDARD
from .entry.text import keep_in_metadata

#: Packages whose frames are skipped in the search for the application's frame.
_BETWEEN: Final = frozenset({"logcollector_handler", "contextlib", "functools"})


class Site(NamedTuple):
    """The place in the code that a record names as its origin."""

    module: str
    path: str
    line: int
    function: str


def calling_frame() -> FrameType | None:
    """The innermost frame of the application; None when there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and module_of(frame).partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    return frame


def calling_site() -> Site:
    """The line of the application that called this package."""
    frame = calling_frame()
    if frame is None:
        return Site("?", "", 0, "")
    return Site(module_of(frame), frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def log(
    logger: logging.Logger,
    site: Site,
    level: int,
    message: str,
    fields: Mapping[str, Any],
    exception: BaseException | None = None,
    stack: str | None = None,
) -> None:
    """Log `message` at `site` if the logger is enabled for `level`. The message gets no %-formatting."""
    if not logger.isEnabledFor(level):
        return
    exc_info = None if exception is None else (type(exception), exception, exception.__traceback__)
    record = logger.makeRecord(
        logger.name, level, site.path, site.line, message, (), exc_info, site.function, None, stack
    )
    # A field with the name of a LogRecord attribute (`name`, `args` …) would overwrite it: such fields go into
    # `metadata`, beside what the caller put there.
    given = {name: value for name, value in fields.items() if name not in STANDARD}
    keep_in_metadata(given, {name: value for name, value in fields.items() if name in STANDARD})
    record.__dict__.update(given)
    logger.handle(record)
