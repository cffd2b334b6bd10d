"""The page in a real browser: it never runs anything in a log as a script; keyboard, dark colours and token."""

from __future__ import annotations

import time
from contextlib import closing
from urllib.parse import quote

import pytest

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests.collector.page.browser import Keys, Page, webdriver

pytestmark = pytest.mark.integration


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
    shown = dict(zip(page.texts("section > dl > dt"), page.texts("section > dl > dd"), strict=True))
    assert shown[EVIL] == EVIL
    assert page.texts(".trace")[0].strip() == trace.strip()
    page.browser.execute_script("document.querySelector('[data-id=trace_id]').click()")
    page.until(lambda: page.texts("#request-title") == ['trace <b id="x">&amp;'])
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.is_shown("#request"))
    # The same as values of filters, of columns and of groups; in the address, and in what is wrong with it.
    page.choose("session_id", "filter")
    page.until(lambda: "onerror" in page.asked.get("q", "") and page.messages == [EVIL])
    page.click("#rows .line")
    page.choose(EVIL, "filter")
    page.until(lambda: page.asked.get("q", "").count("onerror") == 3 and page.messages == [EVIL])
    page.click("#rows .line")
    page.choose(EVIL, "column")
    page.until(lambda: EVIL in page.texts("#heads span"))
    page.browser.refresh()
    page.until(lambda: page.texts("#rows .cell")[-1:] == [EVIL])
    page.click("#columns summary")
    page.click("#group summary")
    page.choose(EVIL, "group")
    page.until(lambda: page.texts("#groups .name") == [EVIL])
    page.open(f"?entry=1&q={quote(EVIL)}&service={quote(EVIL)}&columns={quote(EVIL)}")
    page.until(lambda: bool(page.all("#around .details")))
    page.open(f"?q={quote(EVIL)}&since={quote(EVIL)}&group={quote(EVIL)}&min_level={quote(EVIL)}")
    page.until(lambda: page.is_shown("#trouble, #wrong"))
    assert page.browser.execute_script("return window.hacked") is None
    assert page.all("img, body script, header b, main b:not(.count b, .trace b), dialog b[id]") == []
    assert [said for said in page.complaints() if "400 (Bad Request)" not in said] == []


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
