"""Django in one file: logging in its settings, and what is logged in a request carries what the request is.

    gunicorn django_app:application --bind :8080
    python django_app.py runserver 8080

Without arguments it serves itself for a moment, asks for three things, and ends.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from logcollector_handler import bind_context
from logcollector_handler.integrations.wsgi import RequestLogMiddleware

settings.configure(
    DEBUG=False,
    SECRET_KEY="not for production",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    # What `runserver` serves; without it that would be the site without the middleware.
    WSGI_APPLICATION=f"{__name__}.application",
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"},
        },
        "root": {"level": "INFO", "handlers": ["collector"]},
    },
)
log = logging.getLogger("shop")


def order(request: HttpRequest, number: int) -> JsonResponse:
    """Log as a view does. What is bound here is on all records of this request from now on."""
    bind_context(user_id=f"user-{number}")
    log.info("order %d is looked at", number)
    return JsonResponse({"order": number})


def broken(request: HttpRequest) -> HttpResponse:
    """Fail. Django logs the exception with its trace, and answers 500."""
    raise RuntimeError("the warehouse is closed")


urlpatterns = [path("orders/<int:number>", order), path("broken", broken)]
# With ASGI: logcollector_handler.integrations.asgi around get_asgi_application().
application = RequestLogMiddleware(get_wsgi_application())


class Quiet(WSGIRequestHandler):
    """Prints no line for each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Be one's own client."""
    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-ID": "req-1"}
        url = f"http://127.0.0.1:{server.server_port}"
        with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
            for where in ("/orders/7", "/missing", "/broken"):
                client.get(where)
        server.shutdown()
        thread.join()


if __name__ == "__main__" and len(sys.argv) > 1:
    execute_from_command_line(sys.argv)
elif __name__ == "__main__":
    main()
