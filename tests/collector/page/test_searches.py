"""The page in a real browser: groups, searches that answer in parts, exports, and values of any size."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from logcollector_handler.collector import reading, scan
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.scan import Budget
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.collector.page.browser import Keys, Page, webdriver

pytestmark = pytest.mark.integration


def test_errors_are_grouped_by_their_place(page: Page) -> None:
    now = time.time()
    error = {"level": "ERROR", "error_type": "OSError", "file_path": "/srv/a b.py"}
    page.post(
        *({"message": f"no {n}", **error, "function_name": "read", "created_at": now - 600 * n - 5} for n in range(4)),
        {"message": "other", **error, "created_at": now - 5},
        {"message": "fine", "created_at": now - 5},
    )
    page.open()
    page.until(lambda: len(page.messages) == 6)
    page.click("#group summary")
    page.click("#group [data-by^=error_type]")
    page.until(lambda: page.texts("#groups .count b") == ["4", "1"])
    assert page.texts("#groups tbody tr:first-child .name") == ["OSError", "/srv/a b.py", "read"]
    assert page.texts("#groups tbody tr:last-child .name") == ["OSError", "/srv/a b.py", "none"]
    # One bar of the sparkline for each time that it came.
    heights = page.each("#groups tr:first-child .spark rect", "Number(one.getAttribute('height'))")
    assert len([height for height in heights if height > 0]) == 4
    first, last = page.each("#groups tbody tr:first-child time", "Date.parse(one.title) / 1000")
    assert (round(first - now), round(last - now)) == (-1805, -5)
    page.click("#groups tr:last-child .link")
    page.shows("other")
    assert page.asked["q"] == 'error_type:OSError file_path:"/srv/a b.py" -has:function_name'
    page.browser.back()
    page.until(lambda: page.texts("#groups .count b") == ["4", "1"])
    page.click("#groups .link")
    page.shows("no 0", "no 1", "no 2", "no 3")


def test_counts_by_any_field(page: Page) -> None:
    long = "x" * 300
    page.post(
        *(
            {"message": f"m{n}", "metadata": {"user": {"plan": "pro" if n else "free"}, "long": f"{long}{n}"}}
            for n in range(3)
        )
    )
    page.open()
    page.until(lambda: len(page.messages) == 3)
    page.click("#group summary")
    page.fill_in("#group .any input", "user.plan" + Keys.ENTER)
    page.until(lambda: page.texts("#groups .name") == ["pro", "free"])
    shares = page.each(".share", "one.style.getPropertyValue('--share')")
    assert shares == ["100%", "50%"]
    page.fill("q", "nothing" + Keys.ENTER)
    page.until(lambda: "No entry of this time" in page.texts("#groups")[0])
    # The collector cuts what it groups by: the filter is the whole value all the same.
    page.open("?group=long")
    page.until(lambda: len(page.texts("#groups .link")) == 1)
    page.click("#groups .link")
    page.shows("m2")


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has time for five rows."""
    monkeypatch.setattr(scan, "SECONDS", 0.0)
    monkeypatch.setattr(scan, "STEPS", (5, 5))


@pytest.mark.usefixtures("in_parts")
def test_a_search_in_parts_shows_what_it_has_found_until_it_is_whole(page: Page) -> None:
    now = time.time()
    page.post(*({"message": f"m{n}", "created_at": now - n, "metadata": {"n": n}} for n in range(120)))
    page.open()
    page.run("""window.seen = new Set(); new MutationObserver(() => {
        const progress = document.querySelector("#progress");
        if (!progress.hidden) window.seen.add(document.querySelectorAll("#rows li").length);
    }).observe(document.body, { subtree: true, childList: true, attributes: true })""")
    page.fill("q", "n>=7" + Keys.ENTER)
    page.until(lambda: len(page.messages) == 113 and page.texts("#total") == ["113 entries"])
    page.until(lambda: not page.is_shown("#progress"))
    assert page.messages == [f"m{n}" for n in range(7, 120)]
    seen = page.run("return [...window.seen]")
    assert len([number for number in seen if 0 < number < 113]) > 3, "results came one after the other"
    # Groups, too, are added up.
    page.open("?q=n%3E%3D7&group=level")
    page.until(lambda: page.texts("#groups .count b") == ["113"] and not page.is_shown("#progress"))
    assert page.complaints() == []


@pytest.mark.usefixtures("in_parts")
def test_a_search_can_be_stopped_and_goes_on_from_there(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    page.post(*({"message": f"m{n}", "created_at": now - n, "metadata": {"n": n}} for n in range(150)))
    find, may_go_on = reading.page, threading.Event()

    def slow(reader: Connection, query: Query, budget: Budget, *, most: int | None = None) -> reading.Page:
        if query.after is not None and query.after.created_at < now - 50:
            may_go_on.wait(60)
        return find(reader, query, budget, most=most)

    monkeypatch.setattr(reading, "page", slow)
    ticks = (
        "window.ticks = []; const set = setInterval; window.setInterval = (...all) => (ticks.push(all[0]), set(...all))"
    )
    script = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": ticks})
    page.open("?since=all&q=n%3E%3D10+n%3C100")
    page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    page.until(lambda: len(page.messages) > 30 and page.is_shown("#progress"), "what was found is shown")
    page.click("#progress button")
    page.until(lambda: page.is_shown("#end button") and not page.is_shown("#progress"))
    found = page.messages
    assert found == [f"m{n}" for n in range(10, 10 + len(found))]
    may_go_on.set()
    asked = "return performance.getEntriesByType('resource').filter((one) => /logs[?]|histogram/.test(one.name)).length"
    before = page.run(asked)
    page.post({"message": "new", "metadata": {"n": 50}})
    page.until(lambda: page.messages[:1] == ["new"], "it is followed all the same")
    page.run("for (const tick of window.ticks) tick()")
    assert page.run(asked) == before, "nothing is searched on"
    page.click("#end button")
    page.until(lambda: len(page.messages) == 91 and not page.is_shown("#progress"))
    assert page.messages[1:] == [f"m{n}" for n in range(10, 100)]


def is_saved(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def test_what_matches_is_exported(page: Page, tmp_path: Path) -> None:
    page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.post(*({"message": f"m{n}", "service": "web", "metadata": {"n": n, "card": "é,\n"}} for n in range(300)))
    page.open("?q=n%3C%3D250&columns=n,card")
    page.until(lambda: len(page.messages) == 200)
    page.click("#export summary")
    page.click("#export [data-format=ndjson]")
    page.until(lambda: is_saved(tmp_path / "logs.ndjson"))
    lines = (tmp_path / "logs.ndjson").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == [f"m{n}" for n in range(250, -1, -1)]
    page.click("#export [data-format=csv]:not(:has(+ a))")
    page.until(lambda: is_saved(tmp_path / "logs.csv"))
    table = list(csv.reader(io.StringIO((tmp_path / "logs.csv").read_bytes().decode(), newline="")))
    assert table[0] == ["created_at", "level", "n", "card", "message"]
    assert table[1][1:] == ["INFO", "250", "é,\n", "m250"]
    assert len(table) == 252


def test_an_export_works_with_the_token(store: Store, chromium: webdriver.Chrome, tmp_path: Path) -> None:
    server = BackgroundServer(create_app(store, token="sesame-open-sesame"))
    server.start()
    with closing(Page(chromium, server.url, token="sesame-open-sesame")) as page:
        page.browser.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
        )
        page.post({"message": "secret"})
        page.open()
        page.until(lambda: page.is_shown("#token"))
        page.all("#token")[0].send_keys("sesame-open-sesame" + Keys.ENTER)
        page.shows("secret")
        page.click("#export summary")
        page.click("#export [data-format=ndjson]")
        page.until(lambda: is_saved(tmp_path / "logs.ndjson"))
        assert json.loads((tmp_path / "logs.ndjson").read_text())["message"] == "secret"
        page.click("#export [data-format=csv]")
        page.until(lambda: is_saved(tmp_path / "logs.csv"))
    server.stop()


def test_values_of_any_size_are_shown_in_pieces(page: Page) -> None:
    """Elements cost time, not characters: so what is counted is elements."""
    many = {f"k{n}": {"n": n, "list": [n, n]} for n in range(10_000)}
    page.post(
        {
            "message": "big",
            "stack_trace": "line\n" * 20_000,
            "metadata": {"text": "x" * 1_000_000, "many": many, "deep": {"er": {"and": {"deeper": 1}}}},
        }
    )
    page.open()
    page.shows("big")
    page.click("#rows .line")
    page.until(lambda: bool(page.all(".details")))
    count = "return document.querySelectorAll('.details *').length"
    assert page.run(count) < 1500
    assert page.run("return document.querySelector('.details').textContent.length") < 50_000

    def fold(name: str) -> None:
        script = """const key = [...document.querySelectorAll(".details dt")].find((one) => one.textContent === $1);
        key.nextElementSibling.querySelector(".fold").click()"""
        page.run(script, name)

    def show_more(of: str) -> None:
        page.each(".details .more", f"one.textContent.includes('{of}') && one.click()")

    fold("many")
    assert page.run(count) < 4000
    assert page.texts(".node .more") == ["Show 100 of 9,900 more"]
    page.click(".node .more")
    page.until(lambda: page.texts(".node .more") == ["Show 100 of 9,800 more"])
    for name in ("k150", "k150", "many"):
        fold(name)
    page.until(lambda: page.texts(".node .more") == [])
    # All of it can be had.
    show_more("1,000,000")
    page.until(lambda: max(page.each(".value", "one.textContent.length")) == 1_000_000)
    show_more("lines")
    page.until(lambda: page.texts(".trace")[0].count("line") == 20_000)
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
