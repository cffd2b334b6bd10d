"""Logs how a request, a task or a job ended, as a record of the function that did the work, and of none of ours."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Mapping
from types import CodeType
from typing import Any


def ended(
    logger: logging.Logger,
    level: int,
    message: str,
    args: tuple[Any, ...],
    *,
    function: object = None,
    fields: Mapping[str, Any] | None = None,
    error: BaseException | None = None,
) -> None:
    """Log a record whose origin is `function`, or nothing where the function is not known."""
    if not logger.isEnabledFor(level):
        return
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    code = _code_of(function)
    # Not None, which handlers and filters of the application may not expect of a path.
    where = ("", 0, None) if code is None else (code.co_filename, code.co_firstlineno, code.co_name)
    path, line, name = where
    logger.handle(logger.makeRecord(logger.name, level, path, line, message, args, exc_info, name, fields))


def _code_of(function: object) -> CodeType | None:
    """The code of a function, also where decorators, `partial` or a bound method are around it; else None."""
    try:
        while isinstance(function, functools.partial):
            function = function.func
        unwrapped = inspect.unwrap(function) if callable(function) else None
        code = getattr(unwrapped, "__code__", None)
    except Exception:  # noqa: BLE001 - an object of the application whose attributes cannot be read
        return None
    return code if isinstance(code, CodeType) else None
