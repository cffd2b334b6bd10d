"""The page in a real browser: it shows stored and arriving logs, filters and opens them, and misses none."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

import pytest

from logcollector_handler.collector import reading, stream
from logcollector_handler.collector import server as serving
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer, bind
from logcollector_handler.collector.store import Store
from tests.collector.page.browser import Keys, Page, webdriver

pytestmark = pytest.mark.integration
TRACE = 'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 7, in charge\n    ask()\nDeclinedError: no'


def test_without_logs_it_says_how_to_send_the_first_and_then_shows_that(page: Page) -> None:
    page.open()
    page.until(lambda: "No logs yet" in page.texts("#empty")[0])
    assert f'server_url="{page.url}"' in page.texts("#empty")[0]
    page.until(lambda: page.state == "live")
    page.post({"message": "the first"})
    page.until(lambda: page.messages == ["the first"])
    assert not page.all("#empty")[0].is_displayed()
    assert page.complaints() == []


def test_it_shows_what_is_stored_and_follows_what_arrives(page: Page) -> None:
    now = time.time()
    page.post(*({"message": f"old {n}", "created_at": now - 60 + n, "duration_ms": 1500} for n in range(3)))
    page.open()
    page.until(lambda: page.messages == ["old 2", "old 1", "old 0"])
    assert page.texts("#rows .took") == ["1.50 s"] * 3
    page.until(lambda: page.state == "live")
    for n in range(3):
        page.post({"message": f"new {n}", "level": "ERROR"})
        page.shows(*(f"new {m}" for m in range(n, -1, -1)), "old 2", "old 1", "old 0")
    page.post({"message": "late", "created_at": now - 58.5})
    page.until(lambda: page.messages == ["new 2", "new 1", "new 0", "old 2", "late", "old 1", "old 0"], "in its place")
    page.until(lambda: page.texts("#total") == ["7 entries"])
    assert page.complaints() == []


def test_it_pauses_and_continues(page: Page) -> None:
    page.post({"message": "a"})
    page.open()
    page.until(lambda: page.state == "live")
    page.press("p")
    page.until(lambda: page.state == "paused")
    page.post({"message": "b"}, {"message": "c"})
    page.until(lambda: page.texts("#news") == ["2 new"])
    assert page.messages == ["a"]
    page.click("#news")
    page.until(lambda: page.messages == ["c", "b", "a"] and page.state == "live")


def test_an_open_entry_stays_in_place_while_others_arrive(page: Page) -> None:
    page.post({"message": "a"})
    page.open()
    page.until(lambda: page.messages == ["a"])
    page.click("#rows .line")
    page.until(lambda: page.state == "reading")
    page.post({"message": "b"})
    page.until(lambda: page.texts("#news") == ["1 new"])
    assert page.messages == ["a"]
    page.press(Keys.ESCAPE)
    page.until(lambda: page.messages == ["b", "a"])


def test_filters_apply_to_stored_and_to_arriving_entries(page: Page) -> None:
    page.post(
        {"message": "one", "service": "web", "level": "ERROR", "environment": "test", "metadata": {"logger": "app"}}
    )
    page.post(
        {"message": "two", "service": "db", "level": "INFO", "stack_trace": "DeclinedError: no"},
    )
    page.open()
    page.shows("two", "one")
    for name, value, expected in [
        ("min_level", "WARN", "one"),
        ("service", "db", "two"),
        ("q", "environment:test", "one"),
        ("q", "logger:app", "one"),
        ("q", "decl", "two"),
    ]:
        page.fill(name, value)
        page.shows(expected, what=name)
        page.fill(name, "")
        page.shows("two", "one", what=name)
    page.fill("service", "web")
    page.until(lambda: page.messages == ["one"] and page.state == "live")
    assert "service=web" in page.browser.current_url
    page.post({"message": "not this", "service": "db"}, {"message": "this", "service": "web"})
    page.until(lambda: page.messages == ["this", "one"])
    page.browser.refresh()
    page.until(lambda: page.messages == ["this", "one"], "the address holds the filters")


def test_an_opened_entry_shows_all_its_fields(page: Page) -> None:
    entry = {"message": "failed", "level": "ERROR", "stack_trace": TRACE, "error_type": "DeclinedError"}
    page.post({**entry, "metadata": {"order": 4711, "items": ["book", {"a": 1}]}, "user_id": "u-1"})
    page.open()
    page.until(lambda: page.messages == ["failed"])
    page.click("#rows .line")
    page.until(lambda: bool(page.all(".details")))
    assert page.texts(".trace")[0].strip() == TRACE
    assert page.texts(".trace .raised") == ["DeclinedError: no\n"]
    shown = dict(zip(page.texts(".details dt"), page.texts(".details dd"), strict=True))
    assert shown["order"] == "4711"
    assert shown["items"].startswith("[ 2 ]")
    assert (shown["0"], shown["a"]) == ("book", "1")
    assert shown["user_id"] == "u-1"
    assert shown["error_type"] == "DeclinedError"


@pytest.mark.parametrize("name", ["trace_id", "user_id", "session_id"])
def test_a_request_is_shown_in_order_with_bars(page: Page, name: str) -> None:
    now = time.time()
    page.post(
        {"message": "end", "created_at": now - 10, "duration_ms": 4000, name: "x1", "service": "web"},
        {"message": "middle", "created_at": now - 12, "duration_ms": 1000, name: "x1", "level": "ERROR"},
        {"message": "other", "created_at": now - 11, name: "x2"},
    )
    page.open()
    page.until(lambda: len(page.messages) == 3)
    page.click("#rows .line")
    page.until(lambda: bool(page.all(f"[data-id={name}]")))
    page.click(f"[data-id={name}]")
    page.until(lambda: page.texts("#request .message") == ["end", "middle"])
    assert re.sub(r"\d{4}-\d\d-\d\d [\d:]{8}", "TIME", page.texts("#request-summary")[0]) == (
        "2 entries  ·  TIME  ·  4.00 s  ·  web  ·  1 error"
    )
    starts, lengths = (
        page.each("#request .bar", f"Math.round(parseFloat(one.style.getPropertyValue('--{name}')))")
        for name in ("start", "length")
    )
    assert list(zip(starts, lengths, strict=True)) == [(0, 100), (25, 25)]
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.all("#request")[0].is_displayed())


def test_it_reconnects_after_a_restart_of_the_server_and_misses_nothing(
    tmp_path: Path, chromium: webdriver.Chrome, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "own.sqlite")
    first = BackgroundServer(create_app(store))
    first.start()
    with closing(Page(chromium, first.url)) as page:
        page.post({"message": "before"})
        page.open()
        page.until(lambda: page.messages == ["before"] and page.state == "live")
        first.stop()
        page.until(lambda: page.state == "offline")
        assert "does not answer" in page.texts("#trouble")[0]
        port = int(first.url.rpartition(":")[2])
        monkeypatch.setattr(serving, "bind", lambda host, _port: bind(host, port))
        second = BackgroundServer(create_app(store))
        second.start()
        page.post({"message": "meanwhile"})
        page.until(lambda: page.messages == ["meanwhile", "before"])
        page.until(lambda: page.state == "live" and not page.all("#trouble")[0].is_displayed())
    second.stop()
    store.close()


def test_it_says_what_the_collector_says_when_the_file_of_the_logs_is_gone(
    tmp_path: Path, chromium: webdriver.Chrome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.1)
    store = Store(tmp_path / "own.sqlite")
    server = BackgroundServer(create_app(store))
    server.start()
    with closing(Page(chromium, server.url)) as page:
        page.open()
        page.until(lambda: page.state == "live")
        (tmp_path / "own.sqlite").unlink()
        page.until(lambda: "was deleted or replaced" in page.texts("#trouble")[0])
        page.open()
        page.until(lambda: "was deleted or replaced" in page.texts("#trouble")[0])
    server.stop()
    store.close()


def test_a_request_of_large_entries_says_how_many_it_shows(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 5000)
    now = time.time()
    page.post(*({"message": "x" * 2000, "created_at": now - n, "trace_id": "t"} for n in range(4)))
    page.open()
    page.click("#rows .line")
    page.until(lambda: bool(page.all("[data-id=trace_id]")))
    page.click("[data-id=trace_id]")
    page.until(lambda: page.texts("#request-summary")[0].startswith("the newest 2 entries"))


def test_scrolling_down_loads_older_entries(page: Page) -> None:
    now = time.time()
    page.post(*({"message": f"m{n}", "created_at": now - n} for n in range(500)))
    page.open()
    page.until(lambda: len(page.messages) == 200)
    page.until(
        lambda: page.browser.execute_script("scrollTo(0, document.body.scrollHeight)") or len(page.messages) == 500
    )
    assert page.messages == [f"m{n}" for n in range(500)]


def test_a_flood_leaves_no_gap(page: Page) -> None:
    """If many logs arrive at once only the newest are sent; scrolling down loads the others."""
    now = time.time()
    page.post(*({"message": f"m{n}", "created_at": now - 50 + n / 100} for n in range(10)))
    page.open()
    page.until(lambda: len(page.messages) == 10 and page.state == "live")
    page.post(*({"message": f"m{n}", "created_at": now - 50 + n / 100} for n in range(10, 1000)))
    page.until(lambda: page.messages[:1] == ["m999"])
    expected = [f"m{n}" for n in range(999, -1, -1)]
    shown = page.messages
    assert shown == expected[: len(shown)], "nothing is missing in between"
    scroll = "scrollTo(0, document.body.scrollHeight)"
    page.until(lambda: page.browser.execute_script(scroll) or len(page.messages) == 1000)
    assert page.messages == expected
