"""The client for browsers in a Chromium whose site, storage or caller is not as it should be."""

from __future__ import annotations

import json

import pytest
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.javascript.browser.sites import Site, Visitor, kept, until

pytestmark = pytest.mark.integration


def test_what_is_redirected_while_the_page_is_left_is_not_delivered(
    site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is signed out is led to a page that answers 200."""

    relay = site._relay

    async def signed_out(scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = relay
        if scope["path"].endswith("/signin"):
            answer = JSONResponse({"status": "please sign in"})
        elif scope["method"] == "POST":
            answer = RedirectResponse("/logs-relay/signin", 302)
        await answer(scope, receive, send)

    visitor.open(f"{site.url}/a")
    with monkeypatch.context() as patch:
        patch.setattr(site, "_relay", signed_out)
        visitor.log(0, 5)
        until(lambda: kept(visitor) == 1, "the batch in IndexedDB")
        until(lambda: site.keys, "an attempt")
        page = visitor.browser.current_window_handle
        visitor.new_tab()
        until(lambda: len(site.keys) >= 2, "an attempt while the page is left")
        visitor.browser.switch_to.window(page)
        assert visitor.browser.execute_async_script("log.flush(500).then(arguments[0])") is False
        assert kept(visitor) == 1
    visitor.browser.get("about:blank")
    visitor.open(f"{site.url}/b")
    until(lambda: len(site.messages) == 5, "five records")


def test_what_is_damaged_in_localstorage_holds_nothing_up(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/a")
    leave = """const [url, left] = arguments;
    const key = (n) => `logcollector ${url} 00000000000${n}-0000000000000001-00000001`;
    left.forEach((text, n) => localStorage.setItem(key(n), text));"""
    good = json.dumps({"lines": [json.dumps({"level": "INFO", "message": "left", "time": 1})], "time": 1})
    damaged = ['{"lines":["{', "null", '{"lines":["{"],"time":1}']
    visitor.run(leave, f"{site.url}/logs-relay", [*damaged, good])
    visitor.open(f"{site.url}/b")
    until(lambda: site.messages["left"] == 1, "the one that is whole")
    until(lambda: visitor.run("return Object.keys(localStorage)") == [], "an empty localStorage")
    until(lambda: any("is damaged, and lost" in text for text in visitor.complaints()), "a word about the others")


DELETE = """const done = arguments[0];
indexedDB.databases().then(([{ name }]) => {
  const deleting = indexedDB.deleteDatabase(name);
  deleting.onsuccess = () => done("deleted");
  setTimeout(() => done("it waits"), 5000);
});"""


@pytest.mark.parametrize("who", ["the site", "the visitor"])
def test_databases_may_be_deleted_while_a_page_lives(site: Site, visitor: Visitor, who: str) -> None:
    visitor.open(f"{site.url}/a")
    visitor.log(0, 3)
    until(lambda: len(site.messages) == 3 and kept(visitor) == 0, "three records")
    if who == "the site":
        assert visitor.browser.execute_async_script(DELETE) == "deleted"
    else:
        data = {"origin": site.url, "storageTypes": "indexeddb"}
        visitor.browser.execute_cdp_cmd("Storage.clearDataForOrigin", data)
    site.is_away = True
    visitor.log(3, 3)
    until(lambda: kept(visitor) == 1, "a batch in IndexedDB")
    site.is_away = False
    visitor.open(f"{site.url}/b")
    until(lambda: len(site.messages) == 6, "three more")


def test_a_flush_before_the_worker_fails_is_answered(site: Site, visitor: Visitor) -> None:
    """Where a policy allows no worker, that shows after the first calls."""
    site.headers["content-security-policy"] = "default-src 'self'; worker-src 'none'"
    site.script += 'log.info("first"); window.flushed = log.flush(20000);'
    visitor.open(f"{site.url}/a")
    assert visitor.browser.execute_async_script("flushed.then(arguments[0])") is True
    assert site.messages["first"] == 1


def test_an_option_may_be_undefined_and_the_url_may_not_be_missing(site: Site, visitor: Visitor) -> None:
    site.script = """
    import { createLogClient } from "/logs-relay/browser.js";
    window.refused = [];
    for (const url of [undefined, null, ""]) {
      try { createLogClient(url) } catch (error) { refused.push(String(error)) }
    }
    window.log = createLogClient("/logs-relay", { batchSize: undefined, autoCaller: undefined, service: undefined });
    log.info("made");
    """
    visitor.open(f"{site.url}/a")
    until(lambda: site.messages["made"] == 1, "the record")
    assert visitor.run("return refused") == ["TypeError: the server's URL is missing"] * 3
