"""WSGI middleware (Flask, Django): adds the request's fields to its records, and logs each request.

    app.wsgi_app = RequestLogMiddleware(app.wsgi_app)    # Flask
    application = RequestLogMiddleware(application)      # any other

It imports no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

from logcollector_handler.context import current_fields, new_request, with_fields

from .access import REQUEST_ID, Exchange, request_fields

__all__ = ["RequestLogMiddleware"]

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

#: A key of the environ of requests that such a middleware serves already.
_SERVED = "logcollector_handler.served"
_FILE_WRAPPER = "wsgi.file_wrapper"


class RequestLogMiddleware:
    """Binds `path`, `method`, `client_address`, `request_id` and `trace_id` for each request, and logs how it ended.

    The request id is that of the header `X-Request-ID`, or a new one; the response gets it in the same header, unless
    the application has set that. The trace id is that of `traceparent`. When the server closes the response, one record
    is logged to `logcollector.access`, with `status` and `duration_ms`: at ERROR for a 5xx or an exception (with its
    stack trace; it is raised further), at WARNING for a 4xx or a response that was not read to its end, else at INFO.
    Query strings are not logged.

    Args:
        app: the application that answers the requests.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if _SERVED in environ:
            return self.app(environ, start_response)
        environ[_SERVED] = True
        fields = request_fields(
            path=_path(environ),
            method=environ.get("REQUEST_METHOD"),
            client=environ.get("REMOTE_ADDR"),
            request_id=environ.get("HTTP_X_REQUEST_ID"),
            traceparent=environ.get("HTTP_TRACEPARENT"),
        )
        request = new_request(**fields)
        call = _Call(Exchange(environ.get("REQUEST_METHOD", ""), _path(environ), request), self.app, environ)

        def start(status: str, headers: list[tuple[str, str]], *more: Any, **named: Any) -> Callable[[bytes], object]:
            call.started()
            call.exchange.status = int(status[:3]) if status[:3].isdecimal() else None
            if not any(name.lower() == REQUEST_ID.lower() for name, _ in headers):
                headers = [*headers, (REQUEST_ID, fields["request_id"])]
            return start_response(status, headers, *more, **named)

        files = _watch_file_wrapper(environ)
        with with_fields(request.bound()):
            try:
                body = self.app(environ, start)
            except BaseException as error:
                call.close(error)
                raise
            if any(body is each for each in files) or _is_file(body, environ):
                _watch_close(body, call)
                return body
            return _SizedResponse(body, call) if isinstance(body, Sized) else _Response(body, call)


class _Call:
    """One request, and what is needed to log how it ended."""

    def __init__(self, exchange: Exchange, app: App, environ: Environ) -> None:
        self.exchange = exchange
        self._app = app
        self._environ = environ
        self._endpoint: object = None

    def started(self) -> None:
        """Note which function Flask has chosen for the request, while it says so. Other frameworks do not."""
        functions = getattr(getattr(self._app, "__self__", None), "view_functions", None)
        if isinstance(functions, dict):
            self._endpoint = functions.get(getattr(self._environ.get("werkzeug.request"), "endpoint", None))

    def close(self, error: BaseException | None = None) -> None:
        """Log how the request ended. Whoever gives the application the same environ again makes another request."""
        self._environ.pop(_SERVED, None)
        self.exchange.close(error, self._endpoint)


class _Response:
    """Wraps the iterable that the application returned: each piece is produced with the request's fields bound."""

    def __init__(self, body: Iterable[bytes], call: _Call) -> None:
        self._body = body
        self._call = call
        self._pieces: Iterator[bytes] | None = None
        #: The request's bound fields, kept between two pieces so that none stays bound in the server's thread.
        self._bound = current_fields()
        self._error: BaseException | None = None
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with with_fields(self._bound):
            try:
                if self._pieces is None:
                    self._pieces = iter(self._body)
                return next(self._pieces)
            except StopIteration:
                self._call.exchange.end()
                raise
            except BaseException as error:
                self._error = error
                raise
            finally:
                self._bound = current_fields()

    def close(self) -> None:
        """Close the iterable that the application returned, and log how the request ended. Once."""
        if self._closed:
            return
        self._closed = True
        with with_fields(self._bound):
            try:
                close: Callable[[], object] | None = getattr(self._body, "close", None)
                if close is not None:
                    close()
            except BaseException as error:
                self._call.close(self._error or error)
                raise
            self._call.close(self._error)


class _SizedResponse(_Response):
    """Wraps an iterable that knows its length. A server that sees only one piece sends its `Content-Length`."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # made for such alone


# Files that the server sends by itself


def _watch_file_wrapper(environ: Environ) -> list[object]:
    """What the server's file wrapper will have made in this request, where that is no class (uWSGI)."""
    made: list[object] = []
    wrapper = environ.get(_FILE_WRAPPER)
    if wrapper is not None and not isinstance(wrapper, type):

        def watched(*args: Any) -> Any:
            made.append(wrapper(*args))
            return made[-1]

        environ[_FILE_WRAPPER] = watched
    return made


def _is_file(body: object, environ: Environ) -> bool:
    wrapper = environ.get(_FILE_WRAPPER)
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _watch_close(body: Any, call: _Call) -> None:
    """Log how the request ended when the server closes the file. It must be given the same object, to recognise it."""
    bound = current_fields()
    # Taken from it when it is called, because it may refer to the body, which will refer to it.
    to_close: list[Callable[[], object]] = [getattr(body, "close", lambda: None)]

    def close_and_log() -> None:
        if not to_close:
            return
        error: BaseException | None = None
        with with_fields(bound):
            try:
                to_close.pop()()
            except BaseException as raised:
                error = raised
                raise
            finally:
                call.exchange.end()
                call.close(error)

    try:
        body.close = close_and_log
    except (AttributeError, TypeError):  # Nobody will say when it was sent.
        call.exchange.end()
        call.close()


def _path(environ: Environ) -> str:
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # WSGI servers decode the bytes of the path as Latin-1 (PEP 3333); they are UTF-8.
    return path.encode("latin-1", "replace").decode("utf-8", "replace")
