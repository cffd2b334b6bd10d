"""A page that logs: the relay serves the client for browsers, and takes what the page posts.

    uvicorn browser_app:app

and open http://localhost:8000/. Run as a program it serves itself for a moment, posts as the page would, and ends.

Run it beside a collector: `logcollector serve --port 8001`, which is named with LOGCOLLECTOR_SERVER_URL.
"""

import contextlib
import logging
import logging.config
import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from logcollector_handler import bind_context
from logcollector_handler.integrations.asgi import RequestLogMiddleware
from logcollector_handler.integrations.browser import BrowserRelay

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "collector": {
            "class": "logcollector_handler.LogCollectorHandler",
            "service": "shop",
            "environment": "production",
        },
    },
    "root": {"level": "INFO", "handlers": ["collector"]},
    "loggers": {"uvicorn": {"level": "WARNING"}, "httpx": {"level": "WARNING"}},
}
logging.config.dictConfig(LOGGING)
log = logging.getLogger("shop")

app = FastAPI()
app.add_middleware(RequestLogMiddleware)
app.mount("/logs-relay", BrowserRelay())

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="traceparent" content="00-{trace}-0000000000000001-01">
<title>Shop</title>
<button>Pay</button>
<script type="module">
  import {{ createLogClient }} from "/logs-relay/browser.js";
  const log = createLogClient("/logs-relay", {{ serviceVersion: "web-3" }});
  document.querySelector("button").addEventListener("click", () => {{
    log.info("paid", {{ user_id: 12345, amount: 99.5 }});
    throw new Error("nobody caught this");
  }});
</script>
"""


@app.get("/", response_class=HTMLResponse)
async def shop() -> str:
    """A page with a trace: what the server logs for it and what the page logs has one trace id."""
    trace = uuid.uuid4().hex
    bind_context(trace_id=trace)
    log.info("the shop is looked at")
    return PAGE.format(trace=trace)


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
    """Do what a browser does with the page, but for running its script."""
    with serving() as url, httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False) as client:
        trace = client.get("/").text.partition("00-")[2][:32]
        assert "createLogClient" in client.get("/logs-relay/browser.js").text
        entry = {"level": "WARN", "message": "the card expires soon", "trace_id": trace, "service_version": "web-3"}
        client.post("/logs-relay/logs", json={"logs": [entry]}).raise_for_status()


if __name__ == "__main__":
    main()
