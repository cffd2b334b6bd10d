"""A tiny application for WSGI and ASGI servers, which logs when it is loaded and in each request."""

from __future__ import annotations

import logging
import logging.config
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tiny_logging import logconfig_dict  # type: ignore[import-not-found]  # beside it when it is run

from logcollector_handler import drain_on_signals
from logcollector_handler.integrations.asgi import RequestLogMiddleware as AsgiMiddleware
from logcollector_handler.integrations.wsgi import RequestLogMiddleware as WsgiMiddleware

Message = MutableMapping[str, Any]
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "2")]

log = logging.getLogger("shop")


if not logging.getLogger().handlers:
    # gunicorn has not configured it before.
    logging.config.dictConfig(logconfig_dict)
if "DRAIN_ON_SIGNALS" in os.environ:
    drain_on_signals()
log.info("loaded by process %d", os.getpid())


@WsgiMiddleware
def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    log.info("request %s in process %d", environ["PATH_INFO"], os.getpid())
    start_response("200 OK", HEADERS)
    return [b"ok"]


@AsgiMiddleware
async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            log.info("%s of process %d", step, os.getpid())
            await send({"type": f"lifespan.{step}.complete"})
        return
    log.info("request %s in process %d", scope["path"], os.getpid())
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
