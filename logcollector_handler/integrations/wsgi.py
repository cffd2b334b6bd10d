"""WSGI middleware (Flask, Django): adds the request's fields to its records, and logs each request.

    app.wsgi_app = RequestLogMiddleware(app.wsgi_app)    # Flask
    application = RequestLogMiddleware(application)      # any other

It imports no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from logcollector_handler.context import current_fields, log_context, with_fields

from .access import Exchange, request_fields

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class RequestLogMiddleware:
    """Binds `path`, `method`, `client_address`, `request_id` and `trace_id` for each request, and logs how it ended.

    The request id is that of the header `X-Request-ID`, or a new one; the trace id is that of `traceparent`. When the
    server closes the response, one record is logged to `logcollector.access`, with `status` and `duration_ms`: at ERROR
    for a 5xx or an exception (with its stack trace; it is raised further), at WARNING for a 4xx or a response that was
    not read to its end, else at INFO. Query strings are not logged.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ.get("REQUEST_METHOD", "")
        path = _path(environ)
        exchange = Exchange(method, path)

        def start(status: str, *more: Any, **named: Any) -> Callable[[bytes], object]:
            exchange.status = int(status[:3]) if status[:3].isdecimal() else None
            return start_response(status, *more, **named)

        fields = request_fields(
            path=path,
            method=method,
            client=environ.get("REMOTE_ADDR"),
            request_id=environ.get("HTTP_X_REQUEST_ID"),
            traceparent=environ.get("HTTP_TRACEPARENT"),
        )
        with log_context(**fields):
            try:
                return _Response(self.app(environ, start), exchange)
            except BaseException as error:
                exchange.close(error)
                raise


class _Response:
    """Wraps the iterable that the application returned: each piece is produced with the request's fields bound."""

    def __init__(self, body: Iterable[bytes], exchange: Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._pieces: Iterator[bytes] | None = None
        #: The request's bound fields, kept between two pieces so that none stays bound in the server's thread.
        self._bound = current_fields()
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with with_fields(self._bound):
            try:
                if self._pieces is None:
                    self._pieces = iter(self._body)
                return next(self._pieces)
            except StopIteration:
                self._exchange.end()
                raise
            except BaseException as error:
                self._error = error
                raise
            finally:
                self._bound = current_fields()

    def close(self) -> None:
        """Close the iterable that the application returned, and log how the request ended."""
        with with_fields(self._bound):
            try:
                close: Callable[[], object] | None = getattr(self._body, "close", None)
                if close is not None:
                    close()
            except BaseException as error:
                self._exchange.close(self._error or error)
                raise
            self._exchange.close(self._error)


def _path(environ: Environ) -> str:
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # WSGI servers decode the bytes of the path as Latin-1 (PEP 3333); they are UTF-8.
    return path.encode("latin-1", "replace").decode("utf-8", "replace")
