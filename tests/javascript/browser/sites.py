"""A small site whose pages log with the client for browsers, and a Chromium that visits it.

Tests import what they need of Selenium from here: this module skips them where Selenium is not installed.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.integrations.browser import BrowserRelay, Limits
from logcollector_handler.testing import CapturingHandler
from tests import needed

with needed.packages():
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException

from tests.collector.page.browser import FLAGS

__all__ = ["FLAGS", "TRACE", "Site", "Visitor", "kept", "until"]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PAGE = f"""<!doctype html><meta charset="utf-8"><title>shop</title>
<meta name="traceparent" content="00-{TRACE}-00f067aa0ba902b7-01"><script type="module" src="/page.js"></script>"""
SCRIPT = """
import { createLogClient } from "/logs-relay/browser.js";
window.log = createLogClient("/logs-relay", { serviceVersion: "web-3", flushInterval: 200 });
"""
#: How many batches IndexedDB holds.
KEPT = """const done = arguments[arguments.length - 1];
indexedDB.databases().then((all) => {
  const ours = all.filter(({ name }) => name.startsWith("logcollector "));
  if (!ours.length) return done(0);
  indexedDB.open(ours[0].name).onsuccess = ({ target: { result } }) => {
    if (!result.objectStoreNames.length) return done(0);
    result.transaction("batches").objectStore("batches").count().onsuccess = (event) => {
      result.close();
      done(event.target.result);
    };
  };
});"""


class Site:
    """A shop at a loopback port. Its relay can be switched off; what came of its posts is in `entries`."""

    def __init__(self, handler: CapturingHandler) -> None:
        self.handler = handler
        #: Headers of its pages, such as a policy.
        self.headers: dict[str, str] = {}
        self.script = SCRIPT
        #: While true, posts are answered 503.
        self.is_away = False
        #: The keys of its posts, in order, also of those that were answered 503.
        self.keys: list[str] = []
        self.limits()
        relay: ASGIApp = self._answer
        routes = [Route("/page.js", self._script), Mount("/logs-relay", relay), Route("/{page}", self._page)]
        self._server = BackgroundServer(Starlette(routes=routes))
        self._server.start()
        self.url = self._server.url

    def limits(self, **bytes_of: int) -> None:
        """Have another relay with these limits, and shares that no test uses up."""
        self._relay = BrowserRelay(self.handler, limits=Limits(client_burst=1e6, burst=1e6, **bytes_of))

    def close(self) -> None:
        self._server.stop()

    @property
    def messages(self) -> Counter[str]:
        return Counter(entry["message"] for entry in self.handler.entries)

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(PAGE, headers=self.headers)

    async def _script(self, _request: Request) -> Response:
        return Response(self.script, media_type="text/javascript")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            self.keys += [value.decode() for name, value in scope["headers"] if name == b"idempotency-key"]
            if self.is_away:
                await Response(status_code=503)(scope, receive, send)
                return
        await self._relay(scope, receive, send)


class Visitor:
    """A person with a Chromium, whose profile outlives it."""

    def __init__(self, binary: str, driver: str, profile: Path) -> None:
        self._binary = binary
        self._driver = driver
        self._profile = profile
        self.browser = self._start()

    def _start(self) -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = self._binary
        for flag in [*FLAGS.split(), f"--user-data-dir={self._profile}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        return webdriver.Chrome(options=options, service=webdriver.ChromeService(self._driver))

    def restart(self) -> None:
        """Let the browser die as it stands, and start another one with the same profile."""
        with contextlib.suppress(WebDriverException):
            self.browser.execute_cdp_cmd("Browser.crash", {})
        self.quit()
        for lock in self._profile.glob("Singleton*"):
            lock.unlink()
        self.browser = self._start()

    def quit(self) -> None:
        with contextlib.suppress(WebDriverException):
            self.browser.quit()

    def leave_all(self) -> None:
        """Close all tabs but one, which is empty then."""
        for tab in self.browser.window_handles[1:]:
            self.browser.switch_to.window(tab)
            self.browser.close()
        self.browser.switch_to.window(self.browser.window_handles[0])
        self.browser.get("about:blank")

    def new_tab(self) -> None:
        """Open another tab, which hides the one before."""
        self.browser.switch_to.new_window("tab")

    def close_tab(self) -> None:
        """Close the tab, as a person would; the first one stays."""
        self.browser.close()
        self.browser.switch_to.window(self.browser.window_handles[0])

    def open(self, url: str) -> None:
        """Visit a page of a site, until it can log."""
        self.browser.get(url)
        until(lambda: self.run("return window.log !== undefined"), "the client")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def log(self, first: int, count: int = 1000) -> None:
        script = "for (let n = arguments[0]; n < arguments[0] + arguments[1]; n++) log.info(`record ${n}`, { n })"
        self.run(script, first, count)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def kept(visitor: Visitor) -> int:
    return int(visitor.browser.execute_async_script(KEPT))
