"""The page in a real browser: it shows stored and arriving logs, and never runs anything in them as a script."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from logcollector_handler.collector import server as serving
from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer, bind
from logcollector_handler.collector.store import Store

try:
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.remote.webelement import WebElement
except ImportError:
    # The project's check sets this where these tests must run, so that they are not skipped without notice.
    if "REQUIRE_BROWSER" in os.environ:
        raise
    pytest.skip("needs selenium", allow_module_level=True)

pytestmark = pytest.mark.integration

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --window-size=1300,800"""
TRACE = 'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 7, in charge\n    ask()\nDeclinedError: no'


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for all tests of this file. Each test has a collector on another port, so its storage is empty."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        assert "REQUIRE_BROWSER" not in os.environ, "chromium or chromedriver is not installed"
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


class Page:
    """The page of one collector, used as a person would."""

    def __init__(self, browser: webdriver.Chrome, url: str, token: str | None = None) -> None:
        self.browser = browser
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(timeout=60)

    def close(self) -> None:
        self.browser.get("about:blank")
        self._client.close()

    def post(self, *entries: dict[str, Any]) -> None:
        answer = self._client.post(self.url + "/logs", json={"logs": list(entries)}, headers=self._headers)
        assert answer.status_code == 200, answer.text

    def open(self, query: str = "") -> None:
        self.browser.get(f"{self.url}/{query}")

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
        return list(self.browser.execute_script(script, selector))

    @property
    def messages(self) -> list[str]:
        return self.texts("#rows .message")

    @property
    def state(self) -> str:
        return self.texts("#state")[0]

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until the condition is true."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if condition():
                    return
            except StaleElementReferenceException:
                pass
            assert time.monotonic() < deadline, f"{what} rows: {self.messages[:5]}, state: {self.state}"
            time.sleep(0.02)

    def shows(self, *messages: str, what: str = "") -> None:
        """Wait until these are the entries in the list, from top to bottom."""
        self.until(lambda: self.messages == list(messages), what)

    def click(self, selector: str) -> None:
        """Click the first element that matches; try again if the page replaces it at that moment."""

        def done() -> bool:
            found = self.all(selector)
            for one in found[:1]:
                one.click()
            return bool(found)

        self.until(done, selector)

    def press(self, keys: str) -> None:
        self.browser.switch_to.active_element.send_keys(keys)

    def fill(self, name: str, value: str) -> None:
        field = self.browser.find_element(By.NAME, name)
        if field.tag_name == "select":
            option = f'[name={name}] option[value="{value}"]'
            self.until(lambda: bool(self.all(option)), option)
            self.all(option)[0].click()
        else:
            # Selected and deleted as a person would: WebDriver's `clear` sends no `input` event.
            field.send_keys(Keys.CONTROL + "a" + Keys.NULL, Keys.DELETE, value)

    def complaints(self) -> list[str]:
        """The messages on the browser's console (errors, violations of the policy) since the last call."""
        return [entry["message"] for entry in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]


@pytest.fixture
def page(store: Store, chromium: webdriver.Chrome) -> Iterator[Page]:
    server = BackgroundServer(create_app(store, local_only=True))
    server.start()
    with closing(Page(chromium, server.url)) as page:
        page.complaints()
        yield page
    server.stop()


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
        ("environment", "test", "one"),
        ("logger", "app", "one"),
        ("text", "decl", "two"),
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


def test_a_bar_of_the_histogram_narrows_the_time(page: Page) -> None:
    now = time.time()
    page.post(*({"message": f"m{n}", "created_at": now - 600 * n, "level": "WARN"} for n in range(6)))
    page.open()
    page.until(lambda: len(page.all("#histogram .bar[tabindex]")) == 6)
    page.click("#histogram .bar[tabindex]")
    page.until(lambda: page.messages == ["m5"] and page.state == "past")
    page.click(".chip")
    page.until(lambda: len(page.messages) == 6 and page.state == "live")


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
    assert shown["items"] == '["book",{"a":1}]'
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
    assert page.texts("#request-summary") == ["2 entries  ·  4.00 s  ·  web  ·  1 error"]
    styles = (
        "return [...document.querySelectorAll('#request .bar')].map((one) => one.style.getPropertyValue(arguments[0]))"
    )
    starts, lengths = (
        [round(float(part.rstrip("%"))) for part in page.browser.execute_script(styles, name)]
        for name in ("--start", "--length")
    )
    assert list(zip(starts, lengths, strict=True)) == [(0, 100), (25, 25)]
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.all("#request")[0].is_displayed())


EVIL = """<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"'>{{7*7}}</pre></textarea><b>bold</b>"""


def test_html_in_a_log_is_shown_as_text(page: Page) -> None:
    texts = ["message", "service", "service_version", "user_id", "session_id", "error_type", "function_name"]
    texts += ["file_path", "path", "action_type", "stack_trace"]
    short = {"service": EVIL[:100], "service_version": EVIL[:50], "session_id": EVIL[:100], "action_type": EVIL[:50]}
    trace = f'  File "{EVIL}", line 7, in {EVIL}\n{EVIL}\n'
    entry = {name: short.get(name, EVIL) for name in texts}
    page.post(
        {
            **entry,
            "trace_id": '<b id="x">&amp;',
            "stack_trace": trace,
            "metadata": {EVIL: EVIL, "logger": EVIL, "line": EVIL, "deep": {EVIL: [EVIL]}, "__proto__": {"a": EVIL}},
        }
    )
    page.open()
    page.until(lambda: page.messages == [EVIL])
    page.click("#rows .line")
    page.until(lambda: bool(page.all(".details")))
    shown = dict(zip(page.texts(".details dt"), page.texts(".details dd"), strict=True))
    assert shown[EVIL] == EVIL
    assert page.texts(".trace")[0].strip() == trace.strip()
    page.browser.execute_script("document.querySelector('[data-id=trace_id]').click()")
    page.until(lambda: page.texts("#request-title") == ['trace <b id="x">&amp;'])
    page.press(Keys.ESCAPE)
    # The same as values of filters: in the lists, the address, and the chips.
    page.browser.execute_script("document.querySelectorAll('.details .link').forEach((one) => one.click())")
    page.until(lambda: page.browser.current_url.count("onerror") >= 2)
    page.browser.refresh()
    page.until(lambda: page.messages == [EVIL])
    assert page.browser.execute_script("return window.hacked") is None
    assert page.all("main img, main script, main b, header b, dialog b[id]") == []
    assert page.complaints() == []


def test_the_browser_runs_no_script_except_the_files_of_the_page(page: Page) -> None:
    """If the page ever made HTML of text by mistake, the browser would still refuse to run it."""
    page.open()
    page.until(lambda: page.state == "live")
    make = "const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s)"
    for attempt in (make, "document.body.innerHTML = '<img src=x onerror=window.hacked=1>'"):
        page.browser.execute_script(f"try {{ {attempt} }} catch {{ }}")
    assert page.browser.execute_script("return window.hacked") is None
    assert len(page.complaints()) >= 2


def test_everything_can_be_done_by_keyboard(page: Page) -> None:
    now = time.time()
    page.post(*({"message": f"m{n}", "created_at": now - n} for n in range(5)))
    page.open()
    page.until(lambda: len(page.messages) == 5)

    def chosen() -> list[str]:
        return page.texts("#rows .chosen .message")

    for key, expected in [("j", "m0"), ("j", "m1"), (Keys.ARROW_DOWN, "m2"), ("k", "m1"), (Keys.ARROW_UP, "m0")]:
        page.press(key)
        assert chosen() == [expected]
    assert page.browser.switch_to.active_element.value_of_css_property("outline-style") == "solid"
    page.press(Keys.ENTER)
    assert len(page.all(".details")) == 1
    page.press(Keys.ESCAPE)
    assert page.all(".details") == []
    page.press("/")
    page.press("m3")
    page.until(lambda: page.messages == ["m3"])
    page.press(Keys.ESCAPE)
    before = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    page.press("t")
    assert page.browser.execute_script("return getComputedStyle(document.body).backgroundColor") != before


def test_it_is_dark_if_the_system_is(page: Page) -> None:
    colours = []
    for theme in ("light", "dark"):
        emulated = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
        page.open()
        colours.append(page.browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert colours == ["rgb(252, 252, 251)", "rgb(20, 23, 26)"]


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


def test_it_asks_for_the_token_and_keeps_it_in_the_tab(store: Store, chromium: webdriver.Chrome) -> None:
    server = BackgroundServer(create_app(store, token="sesame-open-sesame"))
    server.start()
    with closing(Page(chromium, server.url, token="sesame-open-sesame")) as page:
        page.post({"message": "secret"})
        page.open()
        page.until(lambda: page.all("#login")[0].is_displayed())
        assert page.messages == []
        page.all("#token")[0].send_keys("wrong" + Keys.ENTER)
        page.until(lambda: page.all("#login-wrong")[0].is_displayed())
        page.all("#token")[0].send_keys("sesame-open-sesame" + Keys.ENTER)
        page.until(lambda: page.messages == ["secret"])
        page.browser.refresh()
        page.until(lambda: page.messages == ["secret"] and page.state == "live")
        assert "sesame" not in page.browser.current_url
        assert page.browser.get_cookies() == []
    server.stop()


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
