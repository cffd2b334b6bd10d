"""FastAPI: what is logged in a request carries its path, its ids and its trace; one record tells how it ended.

    uvicorn fastapi_app:app

Run as a program it serves itself for a moment, asks for four things, and ends.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

import contextlib
import logging
import logging.config
import threading
import time
from collections.abc import Iterator

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException

from logcollector_handler import bind_context
from logcollector_handler.integrations.asgi import RequestLogMiddleware

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "collector": {"class": "logcollector_handler.LogCollectorHandler", "service": "shop"},
    },
    "root": {"level": "INFO", "handlers": ["collector"]},
    # uvicorn's own lines come too, but not those of each request: the middleware has them, with more in them.
    "loggers": {"uvicorn.access": {"level": "WARNING"}},
}
logging.config.dictConfig(LOGGING)
log = logging.getLogger("shop")

app = FastAPI()
app.add_middleware(RequestLogMiddleware)


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, int]:
    """Log as an endpoint does. What is bound here is on all records of this request from now on."""
    bind_context(user_id=f"user-{number}")
    log.info("order %d is looked at", number)
    return {"order": number}


@app.get("/threaded/{number}")
def threaded(number: int) -> dict[str, int]:
    """Run in a thread of the pool; the context is there too."""
    log.info("order %d is looked at in a thread", number)
    return {"order": number}


@app.get("/missing")
async def missing() -> None:
    """Answer 404, which is a warning."""
    raise HTTPException(404)


@app.get("/broken")
async def broken() -> None:
    """Fail, which is an error with its trace."""
    raise RuntimeError("the warehouse is closed")


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A server in a thread, on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Be one's own client."""
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-ID": "req-1"}
    with serving() as url, httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        for path in ("/orders/7", "/threaded/8", "/missing", "/broken"):
            client.get(path)


if __name__ == "__main__":
    main()
