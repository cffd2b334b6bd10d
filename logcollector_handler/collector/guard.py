"""Decides whose requests are answered: those with the token or, without a token, those from this machine.

A web page of another site that is open in a browser on this machine can send requests to loopback ports. The browser
does not let it read the answers, unless the site's name resolves to this machine (DNS rebinding); then the Host header
contains that name. When such a page posts logs, the Origin header names its site. So both headers are checked. Pages of
the `origins` that are allowed may post nevertheless; they need the token as all others do.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .answers import error_answer
from .origins import is_post, is_question, preflight, readable

#: What needs no token: the status of the server and its health, and the page, which asks for the token.
_OPEN: Final = ("/", "/health")
_PAGE: Final = "/page/"


class Guard:
    """ASGI middleware that refuses requests and passes the others on to the application."""

    def __init__(self, app: ASGIApp, *, token: str | None, local_only: bool, origins: Collection[str]) -> None:
        self._app = app
        self._origins = origins
        self._token = None if token is None else token.encode()
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request with 401, 403, 421 or, if a browser asks, 204; or pass it on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin", "")
            allowed = origin in self._origins and is_post(scope["method"], scope["path"], headers)
            if allowed:
                send = readable(send, origin)
            refusal = self._refusal(scope, headers, allowed=allowed)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers, *, allowed: bool) -> Response | None:
        """The answer to a request that is not passed on; `allowed`: a page of an allowed origin posts, or asks to."""
        if self._local_only and not is_local(_name(headers.get("host", ""))):
            return error_answer(
                421, f"This collector answers to localhost and 127.0.0.1, not to {headers.get('host', '')!r}."
            )
        if self._local_only and not allowed and not _is_same_origin(headers):
            return error_answer(403, "Pages of other sites may not use this collector.")
        if allowed and is_question(scope["method"], headers):
            return preflight(headers["origin"])
        if self._token is not None and not self._may_pass(scope["path"], headers):
            refusal = error_answer(401, "The token is missing or wrong: send it as `Authorization: Bearer <token>`.")
            refusal.headers["www-authenticate"] = "Bearer"
            return refusal
        return None

    def _may_pass(self, path: str, headers: Headers) -> bool:
        if path in _OPEN or path.startswith(_PAGE):
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        # compare_digest, because the time of `==` would reveal how many of the first characters are right.
        assert self._token is not None  # noqa: S101 - the caller looked
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self._token)


def is_local(name: str) -> bool:
    """Whether a name or an address always means this machine; no name server is asked."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _name(host: str) -> str:
    """The name in a Host header, without the port; empty if there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False
