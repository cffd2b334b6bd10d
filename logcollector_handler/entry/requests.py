"""Requests of web frameworks and HTTP clients as fields: method and path alone.

Queries, headers, cookies and bodies hold tokens, and reading a body can take it from the application. So nothing else
is read of a request. No framework is imported: a request is recognised by the names of its classes.
"""

from __future__ import annotations

from typing import Any, Final

#: Classes whose instances have `method`, and `path` without the query.
_WITH_PATH: Final = frozenset(
    {
        ("django.http.request", "HttpRequest"),
        ("rest_framework.request", "Request"),
        ("werkzeug.sansio.request", "Request"),
        ("aiohttp.web_request", "BaseRequest"),
        ("tornado.httputil", "HTTPServerRequest"),
        ("sanic.request.types", "Request"),
        ("quart.wrappers.request", "Request"),
        ("falcon.request", "Request"),
        ("bottle", "BaseRequest"),
    }
)
#: Classes whose instances have a `scope` as ASGI defines it.
_WITH_SCOPE: Final = frozenset(
    {("starlette.requests", "HTTPConnection"), ("litestar.connection.base", "ASGIConnection")}
)
#: Classes whose instances have `method` and a `url` with `path`.
_WITH_URL: Final = frozenset({("httpx", "Request"), ("httpx._models", "Request")})
_PROXY: Final = ("werkzeug.local", "LocalProxy")
_NAMES: Final = frozenset(name for _, name in _WITH_PATH | _WITH_SCOPE | _WITH_URL | {_PROXY})


def opened_request(value: Any) -> dict[str, Any] | None:
    """What is shown of a request; None for all other objects. Raises what reading the request raises."""
    for each in type(value).__mro__:
        if each.__name__ not in _NAMES:
            continue
        name = (each.__module__, each.__name__)
        if name in _WITH_PATH:
            return _shown(value.method, value.path)
        if name in _WITH_SCOPE:
            return _shown(value.scope.get("method"), value.scope.get("path"))
        if name in _WITH_URL:
            return _shown(value.method, value.url.path)
        if name == _PROXY:  # Flask's `request`, and other objects of the current request.
            return opened_request(value._get_current_object())
    return None


def _shown(method: Any, path: Any) -> dict[str, Any]:
    return {name: value for name, value in (("method", method), ("path", path)) if isinstance(value, str)}
