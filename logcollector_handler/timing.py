"""Timers: log how long a block, a function, or the time between two calls takes, as `duration_ms`.

    with timer("Database query", rows=3): ...
    @measure("Process payment") ...                     # or @measure, whose message is the function's name
    started = start_timer("Import"); ...; end_timer(started, rows=3)

All of them log to a logger of the standard library, by default that of the calling module, at INFO. The message is the
name, keywords become fields of the record, and its call site is the line in the application.

An `Exception` is logged at ERROR with its stack trace, and is raised further. Any other exception (a cancelled task, a
closed generator, Ctrl-C, `sys.exit`) is not an error: the record has the usual level, and its type in `error_type`.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, overload

from .call_site import Site, calling_site, log
from .delivery.clock import Clock, SystemClock
from .entry.text import add_field
from .wrapping import F, wrapped

#: Read by every timer; tests replace it.
clock: Clock = SystemClock()


class Timer:
    """Measures the time since its start. Made by `timer` and `start_timer`; as a context manager it logs at the end.

    Make one for each measurement; threads or tasks must not share one.
    """

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Any],
        logger: logging.Logger | None,
        level: int,
        site: Site | None = None,
    ) -> None:
        if callable(name):
            # As by `@timer`. Without this, only a call of the function would fail.
            raise TypeError("timer is for `with` blocks; decorate functions with measure")
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
        """Log the time since the start; returns it in milliseconds."""
        duration = round((clock.monotonic() - self._start) * 1000, 3)
        site = self._site or calling_site()
        logger = self._logger or logging.getLogger(site.module)
        said: dict[str, Any] = {"duration_ms": duration}
        if error is not None and not isinstance(error, Exception):
            said["error_type"] = type(error).__name__
        for name, value in {**self._fields, **(fields or {})}.items():
            add_field(said, name, value)
        if isinstance(error, Exception):
            log(logger, site, max(self._level, logging.ERROR), self._name, said, error)
        else:
            log(logger, site, self._level, self._name, said)
        return duration


def timer(name: str, /, *, logger: logging.Logger | None = None, level: int = logging.INFO, **fields: Any) -> Timer:
    """Log how long a `with` block takes.

    Args:
        name: the message of the record.
        logger: where to log. Default: the logger named like the calling module.
        level: the level of the record. Default INFO. With an `Exception` it is at least ERROR.
        fields: more fields of the record.
    """
    return Timer(name, fields, logger, level)


def start_timer(
    name: str, /, *, logger: logging.Logger | None = None, level: int = logging.INFO, **fields: Any
) -> Timer:
    """Start a timer that `end_timer` ends. The arguments are those of `timer`."""
    return Timer(name, fields, logger, level)


def end_timer(started: Timer, /, **fields: Any) -> float:
    """Log the time since `start_timer`.

    It may be called again with the same timer, and then logs the time since the start again.

    Args:
        started: what `start_timer` or `timer` has returned.
        fields: fields of the record, in addition to those given at the start.

    Returns:
        The time in milliseconds.
    """
    return started.end(fields=fields)


@overload
def measure(function: F, /) -> F: ...
@overload
def measure(
    name: str | None = None, /, *, logger: logging.Logger | None = None, level: int = logging.INFO, **fields: Any
) -> Callable[[F], F]: ...
def measure(
    name: Any = None, /, *, logger: logging.Logger | None = None, level: int = logging.INFO, **fields: Any
) -> Any:
    """Log how long each call of a function, method or coroutine function takes.

    The record's call site is the function's definition; with an exception it is the line that raised. `measure` may
    stand above or below `classmethod` and `staticmethod`. Calling a generator function only makes the generator, and
    only that is timed. The arguments are those of `timer`; the default logger is that of the function's module. Without
    a name, and as `@measure` without parentheses, the message is the function's own name.
    """
    return measuring(name, fields, logger, level)


def measuring(given: Any, fields: Mapping[str, Any], logger: logging.Logger | None, level: int) -> Any:
    """The decorator that `measure` returns; if it was given a function instead of a name, what that makes of it."""

    def decorate(function: Any) -> Any:
        if isinstance(function, classmethod | staticmethod):
            return type(function)(decorate(function.__func__))
        if not callable(function):
            raise TypeError(f"measure takes a name or a function, not {function!r}")
        site = _site_of(function)
        target = logger or logging.getLogger(site.module)
        message = _name_of(function, site) if name is None else name
        return wrapped(function, functools.partial(Timer, message, fields, target, level, site))

    name = given if isinstance(given, str) else None
    return decorate if given is None or name is not None else decorate(given)


def _name_of(function: Callable[..., Any], site: Site) -> str:
    """`Shop.sell`; of a function inside another one only what follows the other's name."""
    name = getattr(function, "__qualname__", site.function)
    return str(name).rpartition("<locals>.")[2]


def _site_of(function: Callable[..., Any]) -> Site:
    try:
        inner = inspect.unwrap(function)
    except ValueError:  # Its `__wrapped__` leads back to itself, as a mock's does.
        inner = function
    code = getattr(inner, "__code__", None)
    module = getattr(function, "__module__", None) or "?"
    if code is None:
        return Site(module, "", 0, getattr(function, "__name__", type(function).__name__))
    return Site(module, code.co_filename, code.co_firstlineno, code.co_name)
