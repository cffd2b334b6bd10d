"""Pages of other origins that may post logs (CORS): which ones, and the headers with which browsers are told so.

Only `POST /logs` is theirs. A browser asks before it posts JSON (a preflight), and that request has no token, so it is
answered without one. Pure: no I/O, no threads.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Send

from logcollector_handler.wire.collector import PATH
from logcollector_handler.wire.format import IDEMPOTENCY_HEADER

_PORTS: Final = {"http": 80, "https": 443}
_ALLOWED: Final = {
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": f"authorization, content-encoding, content-type, {IDEMPOTENCY_HEADER}, traceparent",
    # Two hours; Chromium takes no more.
    "access-control-max-age": "7200",
}


def origin_of(text: str) -> str:
    """An origin as browsers write it: scheme, name and port, of which the usual one is left out.

    Raises ValueError if it is something else, such as `*` or a URL with a path.
    """
    url = urlsplit(text)
    if url.scheme not in _PORTS or not url.hostname or url.path not in ("", "/") or "@" in url.netloc:
        raise ValueError(f"{text!r} is not an origin such as https://shop.example")
    if url.query or url.fragment or "*" in text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is not an origin such as https://shop.example")
    port = "" if url.port in (None, _PORTS[url.scheme]) else f":{url.port}"
    name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{name}{port}"


def is_post(method: str, path: str, headers: Headers) -> bool:
    """Whether it is a post of logs, or a browser's question whether that is allowed."""
    return path == PATH and (method == "POST" or is_question(method, headers))


def is_question(method: str, headers: Headers) -> bool:
    """Whether a browser asks what a page may send."""
    return method == "OPTIONS" and headers.get("access-control-request-method") == "POST"


def preflight(origin: str) -> Response:
    """The answer to that question."""
    return Response(status_code=204, headers={**_ALLOWED, **_named(origin)})


def readable(send: Send, origin: str) -> Send:
    """Sends answers that pages of this origin may read."""

    async def send_with_origin(message: MutableMapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update({"access-control-expose-headers": "Retry-After", **_named(origin)})
        await send(message)

    return send_with_origin


def _named(origin: str) -> dict[str, str]:
    return {"access-control-allow-origin": origin, "vary": "Origin"}
