"""The relay as a WSGI application, to be mounted under a path."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from logcollector_handler.handler import LogCollectorHandler
from logcollector_handler.integrations.wsgi import Environ, StartResponse

from .limits import Limits
from .relay import UNKNOWN, Relay, Request


class WsgiBrowserRelay:
    """Serves the module for browsers at `…/browser.js`, and takes what pages of this origin post to `…/logs`.

    Args:
        handler: the LogCollectorHandler that gets the entries. Default: that of `dictConfig`, see `get_handler`.
        limits: what browsers may send.
    """

    def __init__(self, handler: LogCollectorHandler | None = None, *, limits: Limits | None = None) -> None:
        self._relay = Relay(handler, limits)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = _request(environ)
        answer = self._relay.begin(request)
        if answer is None:
            answer = self._relay.post(request, self._body(environ))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return [answer.body]

    def _body(self, environ: Environ) -> bytes:
        """The body, or the beginning of one that is too large."""
        stream = environ["wsgi.input"]
        most = self._relay.body_bytes + 1
        length = environ.get("CONTENT_LENGTH") or ""
        if length.isdecimal():
            most = min(most, int(length))
        elif not environ.get("wsgi.input_terminated"):
            # Without a length nobody knows where the body ends, and to read on would wait for ever.
            return b""
        body = bytearray()
        try:
            while len(body) < most and (piece := stream.read(most - len(body))):
                body += piece
        except OSError:
            # The client went away: what came is not whole, and refused as such.
            return b""
        return bytes(body)


def _request(environ: Environ) -> Request:
    def header(name: str) -> str | None:
        plain = name.upper().replace("-", "_")
        value = environ.get(plain if plain in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{plain}")
        return value if isinstance(value, str) else None

    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return Request(environ.get("REQUEST_METHOD", ""), path, environ.get("REMOTE_ADDR") or UNKNOWN, header)
