"""A WSGI application whose logs reach the collector from every worker of uWSGI."""

import logging.config
from collections.abc import Callable, Iterable
from typing import Any

from logcollector_handler.integrations.wsgi import RequestLogMiddleware

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"},
        },
        "root": {"level": "INFO", "handlers": ["collector"]},
    }
)
log = logging.getLogger("shop")


def shop(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer every path."""
    log.info("looked at %s", environ["PATH_INFO"], extra={"item": environ["PATH_INFO"].rpartition("/")[2]})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Here it is.\n"]


app = RequestLogMiddleware(shop)
