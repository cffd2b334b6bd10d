"""Wraps functions of the application in a context manager. The frames of the wrappers are not in our stack traces."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

from .entry.frames import hide

F = TypeVar("F", bound=Callable[..., Any])


def wrapped(function: F, enter: Callable[[], AbstractContextManager[object]]) -> F:
    """The function, each call of it inside a context manager that `enter` makes; a coroutine until it has finished.

    Calling a generator function only makes the generator, and only that is inside.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with enter():
                return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with enter():
                return function(*args, **kwargs)

    hide(wrapper)
    return cast(F, wrapper)
