"""Flask: what is logged in a request carries its path, its ids and its trace; one record tells how it ended.

    gunicorn flask_app:app

Run as a program it serves itself for a moment, asks for three things, and ends.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import logging
import logging.config
import threading

import httpx
from flask import Flask, abort
from werkzeug.serving import make_server

from logcollector_handler import bind_context
from logcollector_handler.integrations.wsgi import RequestLogMiddleware

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"},
        },
        "root": {"level": "INFO", "handlers": ["collector"]},
        # The server's own line for each request says less than the middleware's record.
        "loggers": {"werkzeug": {"level": "WARNING"}},
    }
)
log = logging.getLogger("shop")

app = Flask(__name__)
app.wsgi_app = RequestLogMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way


@app.get("/orders/<int:number>")
def order(number: int) -> dict[str, int]:
    """Log as a view does. What is bound here is on all records of this request from now on."""
    bind_context(user_id=f"user-{number}")
    log.info("order %d is looked at", number)
    return {"order": number}


@app.get("/missing")
def missing() -> str:
    """Answer 404, which is a warning."""
    abort(404)


@app.get("/broken")
def broken() -> str:
    """Fail. Flask logs the exception with its trace, and answers 500."""
    raise RuntimeError("the warehouse is closed")


def main() -> None:
    """Be one's own client."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-ID": "req-1"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, trust_env=False) as client:
        for path in ("/orders/7", "/missing", "/broken"):
            client.get(path)
    server.shutdown()
    thread.join()
    server.server_close()


if __name__ == "__main__":
    main()
