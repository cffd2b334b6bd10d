"""The client for browsers in a real Chromium: what arrives, and that nothing is lost however a page is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.capturing import fields
from tests.javascript.browser.sites import TRACE, Site, Visitor, kept, until

pytestmark = pytest.mark.integration

RECORDS = Counter(f"record {number}" for number in range(1000))


def test_what_a_page_logs_arrives(site: Site, visitor: Visitor) -> None:
    site.script += """
    export function pay() {
      const cart = new Map([["book", 2n]]);
      log.warn("card expires soon", { user_id: 12345, cart, node: document.body, password: "p" });
      const error = new TypeError("no card", { cause: new Error("declined") });
      log.errorWithTrace("payment failed", error, { url: "/a?token=t" });
      log.setContext({ session_id: "s1" });
      log.child({ part: "cart" }).info("added");
    }
    pay();
    setTimeout(() => { throw new RangeError("nobody caught it"); });
    Promise.reject(new Error("nobody awaited it"));
    """
    visitor.open(f"{site.url}/checkout?secret=1")
    until(lambda: len(site.messages) == 5, "five entries")
    by_message = {entry["message"]: entry for entry in site.handler.entries}
    for entry in by_message.values():
        assert (entry["service"], entry["environment"], entry["service_version"]) == ("shop", "production", "web-3")
        assert (entry["log_type"], entry["path"], entry["trace_id"]) == ("FRONTEND", "/checkout", TRACE)
        assert entry["file_path"] == f"{site.url}/page.js"
    card = by_message["card expires soon"]
    assert (card["level"], card["user_id"], card["function_name"]) == ("WARN", "12345", "pay")
    shown = fields(card)
    assert (shown["cart"], shown["node"], shown["password"]) == ({"book": 2}, "<body>", "***")
    assert "HeadlessChrome" in shown["user_agent"]
    failed = by_message["payment failed"]
    assert (failed["level"], failed["error_type"], failed["function_name"]) == ("ERROR", "TypeError", "pay")
    assert failed["stack_trace"].startswith("TypeError: no card\n    at pay")
    assert "Caused by: Error: declined" in failed["stack_trace"]
    assert fields(failed)["url"] == "/a?token=***"
    added = by_message["added"]
    assert (added["session_id"], fields(added)["part"]) == ("s1", "cart")
    assert by_message["Uncaught RangeError: nobody caught it"]["error_type"] == "RangeError"
    assert by_message["unhandled rejection"]["stack_trace"].startswith("Error: nobody awaited it")
    stats = {"accepted": 5, "delivered": 5, "deadLettered": 0, "dropped": {}, "pending": 0}
    until(lambda: visitor.run("return log.stats()") == stats, "the page to know")
    until(lambda: kept(visitor) == 0, "an empty IndexedDB")


def close(visitor: Visitor) -> None:
    visitor.close_tab()


def navigate(visitor: Visitor) -> None:
    visitor.browser.get("about:blank")


def reload(visitor: Visitor) -> None:
    visitor.browser.refresh()


def hide(visitor: Visitor) -> None:
    visitor.new_tab()


@pytest.mark.parametrize("leave", [close, navigate, reload, hide])
@pytest.mark.parametrize("when", ["at once", "when they are kept"])
def test_nothing_is_lost_when_a_page_is_left(
    site: Site, visitor: Visitor, leave: Callable[[Visitor], None], when: str
) -> None:
    """The server is away; the next visit, when it is back, sends what is pending."""
    visitor.new_tab()
    visitor.open(f"{site.url}/a")
    site.is_away = True
    visitor.log(0)
    if when != "at once":
        until(lambda: kept(visitor) == 1, "the batch in IndexedDB")
    leave(visitor)
    site.is_away = False
    visitor.open(f"{site.url}/b")
    until(lambda: site.messages == RECORDS, "a thousand records")
    until(lambda: kept(visitor) == 0, "an empty IndexedDB")
    until(lambda: visitor.run("return Object.keys(localStorage)") == [], "an empty localStorage")
    assert site.messages == RECORDS


def test_what_is_kept_goes_out_while_the_page_is_left(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/a")
    site.is_away = True
    visitor.log(0)
    until(lambda: len(site.keys) >= 2, "two attempts")
    site.is_away = False
    visitor.browser.get("about:blank")
    until(lambda: site.messages == RECORDS, "a thousand records, without another visit")
    assert len(set(site.keys)) == 1


def test_nothing_that_was_kept_is_lost_when_the_browser_is_killed(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/a")
    site.is_away = True
    visitor.log(0)
    until(lambda: kept(visitor) == 1, "the batch in IndexedDB")
    visitor.restart()
    site.is_away = False
    visitor.open(f"{site.url}/b")
    until(lambda: site.messages == RECORDS, "a thousand records")


def test_nothing_is_lost_while_the_browser_is_offline(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/a")
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    visitor.browser.execute_cdp_cmd("Network.enable", {})
    visitor.browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    visitor.log(0)
    until(lambda: kept(visitor) == 1, "the batch in IndexedDB")
    visitor.browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    assert visitor.browser.execute_async_script("log.flush(20000).then(arguments[0])") is True
    assert site.messages == RECORDS


POLICIES = {
    "default-src 'self'": "worker",
    "default-src 'self'; worker-src 'none'": "page",
    "default-src 'self'; require-trusted-types-for 'script'": "page",
}


@pytest.mark.parametrize("policy", POLICIES)
def test_it_works_under_a_policy_of_the_page(site: Site, visitor: Visitor, policy: str) -> None:
    """Where the policy allows no worker, the page does its part."""
    site.headers["content-security-policy"] = policy
    visitor.open(f"{site.url}/a")
    visitor.log(0)
    assert visitor.browser.execute_async_script("log.flush(20000).then(arguments[0])") is True
    assert site.messages == RECORDS
    targets = visitor.browser.execute_cdp_cmd("Target.getTargets", {})["targetInfos"]
    assert any(each["type"] == "worker" and site.url in each["url"] for each in targets) == (
        POLICIES[policy] == "worker"
    )
    if POLICIES[policy] == "worker":
        assert visitor.complaints() == []


def test_of_several_tabs_one_sends_what_was_left_behind(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/a")
    site.is_away = True
    for first in range(0, 1000, 250):
        visitor.log(first, 250)
        until(lambda first=first: kept(visitor) == first // 250 + 1, "another batch in IndexedDB")  # type: ignore[misc]
    visitor.restart()
    for _ in range(3):
        visitor.new_tab()
        visitor.open(f"{site.url}/b")
    site.keys.clear()
    site.is_away = False
    until(lambda: site.messages == RECORDS, "a thousand records")
    until(lambda: kept(visitor) == 0, "an empty IndexedDB")
    assert len(site.keys) == 4


def test_a_wrong_option_is_told(site: Site, visitor: Visitor) -> None:
    site.script += """
    try {
      createLogClient("/logs-relay", { batchSize: "many" });
    } catch (error) {
      window.told = String(error);
    }
    createLogClient("/logs-relay", { environment: "moon" }).info("lost");
    """
    visitor.open(f"{site.url}/a")
    assert visitor.run("return told") == "TypeError: batchSize is many; allowed: a number"
    told: list[str] = []

    def complained() -> bool:
        told.extend(visitor.complaints())
        return bool(told)

    until(complained, "a complaint")
    assert "environment is" in told[0]


def test_a_full_queue_drops_the_oldest_and_tells_the_server(site: Site, visitor: Visitor) -> None:
    site.script = site.script.replace("flushInterval: 200", "flushInterval: 200, maxQueueSize: 100")
    visitor.open(f"{site.url}/a")
    visitor.log(0)
    assert visitor.browser.execute_async_script("log.flush(20000).then(arguments[0])") is True
    until(lambda: len(site.messages) == 101, "what had room")
    assert site.messages["900 log records were lost: 900 because the queue was full"] == 1
    assert site.messages["record 999"] == 1
    assert visitor.run("return log.stats()")["dropped"] == {"queue_full": 900}


def test_a_page_may_post_to_a_collector_at_another_origin_that_allows_it(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    token = "correct-horse-battery"
    with closing(Store(tmp_path / "logs.sqlite")) as store:
        server = BackgroundServer(create_app(store, token=token, origins={site.url}))
        server.start()
        site.script = site.script.replace('"/logs-relay", {', f'"{server.url}", {{ apiKey: "{token}",')
        visitor.open(f"{site.url}/a")
        visitor.log(0)
        assert visitor.browser.execute_async_script("log.flush(20000).then(arguments[0])") is True
        assert store.count() == 1000
        server.stop()


def test_what_no_more_fits_into_the_browser_goes_and_the_server_is_told(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/a")
    # Three batches of an earlier visit, of which two have room.
    keep = """const done = arguments[arguments.length - 1];
    const open = indexedDB.open(`logcollector ${new URL("/logs-relay/logs", location)}`, 1);
    open.onupgradeneeded = () => open.result.createObjectStore("batches", { keyPath: "id" });
    open.onsuccess = () => {
      const transaction = open.result.transaction("batches", "readwrite");
      const bytes = new TextEncoder().encode('{"logs":[{"message":"old"}]}' + " ".repeat(7 << 20));
      for (let n = 0; n < 3; n++) {
        const id = `000000000000-0000000000000000-0000000${n}`;
        transaction.objectStore("batches").put({ id, bytes, compressed: false, entries: 1 });
      }
      transaction.oncomplete = done;
    };"""
    visitor.browser.execute_async_script(keep)
    site.limits(body_bytes=8 << 20, decompressed_bytes=8 << 20)
    visitor.open(f"{site.url}/b")
    until(lambda: site.messages["old"] == 2, "what had room")
    visitor.run("log.info('new')")
    until(lambda: site.messages["1 log records were lost: 1 because the browser keeps no more"] == 1, "the notice")


def test_large_records_make_small_batches(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/a")
    visitor.run("for (let n = 0; n < 40; n++) log.info(`record ${n}`, { large: `${Math.random()}`.repeat(5000) })")
    assert visitor.browser.execute_async_script("log.flush(20000).then(arguments[0])") is True
    assert len(site.messages) == 40
    assert len(set(site.keys)) in (4, 5), "none was too large, and split"


def test_a_page_that_the_visitor_comes_back_to_goes_on(site: Site, visitor: Visitor) -> None:
    """Whether the browser has kept it as it was, with its worker, or loads it again."""
    visitor.open(f"{site.url}/a")
    site.is_away = True
    visitor.log(0, 500)
    visitor.browser.get("about:blank")
    visitor.browser.back()
    until(lambda: visitor.run("return window.log !== undefined"), "the client")
    visitor.log(500, 500)
    site.is_away = False
    assert visitor.browser.execute_async_script("log.flush(20000).then(arguments[0])") is True
    until(lambda: site.messages == RECORDS, "a thousand records")
