"""Django in one file, with logging in its settings."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from logcollector_handler.integrations.asgi import RequestLogMiddleware as AsgiMiddleware
from logcollector_handler.integrations.wsgi import RequestLogMiddleware as WsgiMiddleware

log = logging.getLogger("shop")

logging_settings = json.loads(Path(__file__).with_name("logged.json").read_text())
# Django prints it and lets it go no further.
logging_settings["loggers"] = {"django.server": {"handlers": [], "propagate": True}}
settings.configure(
    DEBUG="DEBUG" in os.environ,
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGGING=logging_settings,
)


def item(request: HttpRequest, number: int) -> JsonResponse:
    log.info("item %d", number)
    return JsonResponse({"number": number})


def boom(request: HttpRequest) -> HttpResponse:
    raise ValueError("no stock")


def busy(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=503)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        for number in range(3):
            log.info("piece %d", number)
            yield b"x"

    async def async_body() -> AsyncIterator[bytes]:
        for piece in body():
            yield piece

    return StreamingHttpResponse(async_body() if hasattr(request, "scope") else body())


urlpatterns = [path("items/<int:number>", item), path("boom", boom), path("busy", busy), path("stream", stream)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    asgi = AsgiMiddleware(get_asgi_application())
    wsgi = WsgiMiddleware(get_wsgi_application())
