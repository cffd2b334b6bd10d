"""Starlette's answer to an exception that nobody caught. It is made outside of all middleware that an application adds.

So that a handler for it (`@app.exception_handler(Exception)`) logs with the fields of the request, and the response has
its id, the object that makes the answer is changed when the first such exception has come through our middleware.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from logcollector_handler.context import with_fields
from logcollector_handler.entry.bound import Request

from .access import REQUEST_ID

#: Under this key our middleware keeps a Call in the scope of its request.
CALL: Final = "logcollector_handler.call"


class Call(Protocol):
    """What has to be known of a request."""

    request: Request
    request_id: str

    def answered(self, status: int) -> None:
        """Take note that the exception has been answered with this status."""


def follow(app: Any, middleware: object) -> bool:
    """Have Starlette's answers carry the fields of their requests from now on.

    Args:
        app: the application, as it stands in the scope of a request; None, or that of another framework, is left alone.
        middleware: ours, through which the exception came.

    Returns:
        Whether `Call.answered` is to be expected, unless something between the middleware and Starlette's answer
        catches the exception.
    """
    errors = _answering(getattr(app, "middleware_stack", None), middleware)
    if errors is None:
        return False
    if not isinstance(errors.debug_response, _DebugResponse):
        errors.debug_response = _DebugResponse(errors.debug_response)
        errors.handler = _handler(errors, errors.handler)
    return True


def _answering(app: Any, middleware: object) -> Any:
    """The ServerErrorMiddleware around our middleware, if there is one."""
    kind = getattr(sys.modules.get("starlette.middleware.errors"), "ServerErrorMiddleware", None)
    while kind is not None and app is not None and app is not middleware:
        if isinstance(app, kind):
            return app
        app = getattr(app, "app", None)
    return None


class _DebugResponse:
    """The page that Starlette shows with `debug=True`."""

    def __init__(self, earlier: Callable[[Any, Exception], Any]) -> None:
        self._earlier = earlier

    def __call__(self, request: Any, error: Exception) -> Any:
        with _answer(request) as signed:
            return signed(self._earlier(request, error))


def _handler(errors: Any, earlier: Any) -> Callable[[Any, Exception], Any]:
    """The application's handler or, where there is none, Starlette's own answer. Starlette runs it as it ran that."""
    if earlier is not None and not _is_async(earlier):

        def in_thread(request: Any, error: Exception) -> Any:
            with _answer(request) as signed:
                return signed(earlier(request, error))

        return in_thread

    async def handler(request: Any, error: Exception) -> Any:
        with _answer(request) as signed:
            made = errors.error_response(request, error) if earlier is None else await earlier(request, error)
            return signed(made)

    return handler


@contextmanager
def _answer(request: Any) -> Iterator[Callable[[Any], Any]]:
    """Around the making of an answer: binds the fields of its request. What it gives puts the id into the response."""
    call: Call | None = request.scope.get(CALL)
    if call is None:
        yield lambda response: response
        return
    request_id, status = call.request_id, 500

    def signed(response: Any) -> Any:
        nonlocal status
        status = getattr(response, "status_code", status)
        headers = getattr(response, "headers", None)
        if headers is not None:
            headers.setdefault(REQUEST_ID, request_id)
        return response

    with with_fields(call.request.bound()):
        try:
            yield signed
        finally:
            call.answered(status)
            request.scope.pop(CALL, None)


def _is_async(function: Any) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - its code is looked at
