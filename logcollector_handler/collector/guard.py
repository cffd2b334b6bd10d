"""Who may ask: the token, and without one only programs and pages of this machine.

A page of some other site that is open in a browser here reaches loopback ports too. It cannot read what it is not
allowed to, unless its name is made to mean this machine (DNS rebinding): then the Host header still has that name. And
it cannot hide where it comes from when it posts: the Origin header says it.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .answers import error_answer

#: What can be had without the token: that the server is there, and the page that asks for the token.
_OPEN: Final = ("/", "/page/")


class Guard:
    """The application behind its door."""

    def __init__(self, app: ASGIApp, *, token: str | None, local_only: bool) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers who may not go in."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = None
            if self._local_only and not is_local(_name(headers.get("host", ""))):
                refusal = error_answer(
                    421, f"This collector answers to localhost and 127.0.0.1, not to {headers.get('host', '')!r}."
                )
            elif self._local_only and not _is_same_origin(headers):
                refusal = error_answer(403, "Pages of other sites may not use this collector.")
            elif self._token is not None and not self._may_pass(scope["path"], headers):
                refusal = error_answer(
                    401, "The token is missing or wrong: send it as `Authorization: Bearer <token>`."
                )
                refusal.headers["www-authenticate"] = "Bearer"
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _may_pass(self, path: str, headers: Headers) -> bool:
        if path == _OPEN[0] or path.startswith(_OPEN[1]):
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        # In a time that says nothing about how much of it is right.
        assert self._token is not None  # noqa: S101 - the caller looked
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self._token)


def is_local(name: str) -> bool:
    """Whether a name or an address means this machine, whatever a name server says."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _name(host: str) -> str:
    """The name in a Host header, without the port; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
