"""Flask, as people write it. gunicorn's logconfig_dict configures logging."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator

from flask import Flask, Response, abort, send_file

from logcollector_handler import bind_context
from logcollector_handler.integrations.wsgi import RequestLogMiddleware

log = logging.getLogger("shop")
app = Flask(__name__)
app.wsgi_app = RequestLogMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way


@app.get("/items/<int:number>")
def item(number: int) -> dict[str, int]:
    if number % 2:
        bind_context(user_id=number)
    log.info("item %d", number)
    return {"number": number}


@app.get("/missing")
def missing() -> str:
    abort(404)


@app.get("/boom")
def boom() -> str:
    raise ValueError("no stock")


@app.get("/file")
def file() -> Response:
    return send_file(io.BytesIO(b"x" * 1000), mimetype="application/octet-stream")


@app.get("/stream/<int:pieces>/<float:seconds>")
def stream(pieces: int, seconds: float) -> Response:
    def body() -> Iterator[bytes]:
        for number in range(pieces):
            log.info("piece %d", number)
            yield b"x" * 100_000
            time.sleep(seconds)

    return Response(body())
