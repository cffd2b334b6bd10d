"""A WSGI application. gunicorn.conf.py says where its logs go."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from logcollector_handler.integrations.wsgi import RequestLogMiddleware

log = logging.getLogger("shop")


def shop(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer every path."""
    log.info("looked at %s", environ["PATH_INFO"], extra={"item": environ["PATH_INFO"].rpartition("/")[2]})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Here it is.\n"]


app = RequestLogMiddleware(shop)
