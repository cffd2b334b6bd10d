"""The relay as a WSGI application, to be mounted under a path."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from logcollector_handler.handler import LogCollectorHandler
from logcollector_handler.integrations.wsgi import Environ, StartResponse

from .bodies import Body
from .limits import Limits
from .relay import UNKNOWN, Relay, Request

#: Bytes that are read at once: the server may hold so many more.
_PIECE: Final = 64 * 1024


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
            with self._relay.bodies.one() as body:
                self._receive(environ, body)
                answer = self._relay.post(request, body)
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return [answer.body]

    def _receive(self, environ: Environ, body: Body) -> None:
        """Receive a body, or the beginning of one that is too large."""
        stream = environ["wsgi.input"]
        most = self._relay.body_bytes + 1
        length = environ.get("CONTENT_LENGTH") or ""
        if length.isdecimal():
            most = min(most, int(length))
        elif not environ.get("wsgi.input_terminated"):
            # Without a length nobody knows where the body ends, and to read on would wait for ever.
            return
        try:
            while len(body) < most and not body.given_up and (piece := stream.read(min(_PIECE, most - len(body)))):
                self._relay.bodies.add(body, piece)
        except OSError:
            # The client went away: what came is not whole, and refused as such.
            pass
        self._relay.bodies.done(body)


def _request(environ: Environ) -> Request:
    def header(name: str) -> str | None:
        plain = name.upper().replace("-", "_")
        value = environ.get(plain if plain in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{plain}")
        return value if isinstance(value, str) else None

    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return Request(environ.get("REQUEST_METHOD", ""), path, environ.get("REMOTE_ADDR") or UNKNOWN, header)
