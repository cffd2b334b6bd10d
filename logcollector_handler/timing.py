"""Time: how long a block, a function or what lies between two calls takes, logged as `duration_ms`.

    with timer("Database query", rows=3): ...
    @measure("Process payment") ...
    started = start_timer("Import"); ...; end_timer(started, rows=3)

All log through a logger of the standard library: that of the calling module unless another is named, at INFO.
Keywords are fields of the record. The message is the name, and the place is the application's.

An exception is logged as ERROR, with its stack trace, and goes on. What is no `Exception` (a task that is cancelled,
a generator that is closed, Ctrl-C, `sys.exit`) is no error: it is logged at the usual level, with its name in
`error_type`.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar, cast

from .call_site import Site, calling_site, log
from .delivery.clock import Clock, SystemClock

F = TypeVar("F", bound=Callable[..., Any])

#: The seam for tests.
clock: Clock = SystemClock()


class Timer:
    """A time that is being taken. Made by `timer` and `start_timer`; as a context manager it logs at the end.

    One for each time: two threads or tasks do not share one.
    """

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Any],
        logger: logging.Logger | None,
        level: int,
        site: Site | None = None,
    ) -> None:
        self._name = name
        self._fields = fields
        self._logger = logger
        self._level = level
        self._site = site
        self._start = clock.monotonic()

    def __enter__(self) -> Timer:
        self._start = clock.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None, fields: Mapping[str, Any] | None = None) -> float:
        """Log the time since the start; the milliseconds."""
        duration = round((clock.monotonic() - self._start) * 1000, 3)
        site = self._site or calling_site()
        logger = self._logger or logging.getLogger(site.module)
        said = {**self._fields, **(fields or {}), "duration_ms": duration}
        if isinstance(error, Exception):
            log(logger, site, max(self._level, logging.ERROR), self._name, said, error)
        elif error is not None:
            log(logger, site, self._level, self._name, {**said, "error_type": type(error).__name__})
        else:
            log(logger, site, self._level, self._name, said)
        return duration


def timer(name: str, /, *, logger: logging.Logger | None = None, level: int = logging.INFO, **fields: Any) -> Timer:
    """Log how long a `with` block takes.

    Args:
        name: the message.
        logger: where to. Default: the logger of the calling module.
        level: of the record, unless there is an exception. Default INFO.
        fields: more fields of the record.
    """
    return Timer(name, fields, logger, level)


def start_timer(
    name: str, /, *, logger: logging.Logger | None = None, level: int = logging.INFO, **fields: Any
) -> Timer:
    """Start to take the time of what ends with `end_timer`. The arguments are those of `timer`."""
    return Timer(name, fields, logger, level)


def end_timer(started: Timer, /, **fields: Any) -> float:
    """Log the time since `start_timer`, with these fields as well.

    Returns:
        The milliseconds. It may be ended again, and logs the time since the start again.
    """
    return started.end(fields=fields)


def measure(
    name: str, /, *, logger: logging.Logger | None = None, level: int = logging.INFO, **fields: Any
) -> Callable[[F], F]:
    """Log how long each call of a function, method or coroutine function takes.

    The place of the record is the function itself, of one with an exception where that was raised. Goes above or
    below `classmethod` and `staticmethod`. Of a generator function it is the call that is timed, which only makes the
    generator. The arguments are those of `timer`; the default logger is that of the function's module.
    """
    return measuring(name, fields, logger, level)


def measuring(name: str, fields: Mapping[str, Any], logger: logging.Logger | None, level: int) -> Callable[[F], F]:
    """The decorator that `measure` gives."""

    def decorate(function: F) -> F:
        if isinstance(function, classmethod | staticmethod):
            return cast(F, type(function)(decorate(function.__func__)))
        site = _site_of(function)
        target = logger or logging.getLogger(site.module)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with Timer(name, fields, target, level, site):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with Timer(name, fields, target, level, site):
                    return function(*args, **kwargs)

        return cast(F, wrapper)

    return decorate


def _site_of(function: Callable[..., Any]) -> Site:
    try:
        inner = inspect.unwrap(function)
    except ValueError:  # It wraps itself, as a mock does.
        inner = function
    code = getattr(inner, "__code__", None)
    module = getattr(function, "__module__", None) or "?"
    if code is None:
        return Site(module, "", 0, getattr(function, "__name__", type(function).__name__))
    return Site(module, code.co_filename, code.co_firstlineno, code.co_name)
