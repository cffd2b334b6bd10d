"""The page in a real browser, in each of its states: contrast, narrow screens, and the keyboard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.entry.model import LEVELS
from tests.collector.page.browser import Keys, Page

pytestmark = pytest.mark.integration
TRACE = """Traceback (most recent call last):
  File "/srv/shop/pay.py", line 7, in charge
    ask()
  File "/usr/lib/python3.12/json/decoder.py", line 9, in decode
    raise
DeclinedError: no
"""
#: Functions for the browser.
LOOKS = Path(__file__).with_name("looks.js").read_text(encoding="utf-8")


@pytest.fixture
def full(page: Page) -> Page:
    """The page of a collector with one entry of each kind of thing that is shown in its own way."""
    now = time.time()
    metadata = {
        "logger": "shop.pay",
        "order": {"id": 7, "items": [1, 2], "note": None, "ok": True},
        "empty": {},
        "many": list(range(300)),
        "long": "long " * 900,
        "a" * 60: "b" * 300,
    }
    errors = {
        "error_type": "DeclinedError",
        "file_path": "/srv/shop/payments/with/a/long/path/pay.py",
        "function_name": "charge",
        "stack_trace": TRACE,
    }
    common: dict[str, Any] = {
        "service": "a-service-with-a-long-name",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "user_id": "u" * 200,
        "metadata": metadata,
    }
    page.post(
        *(
            {
                "message": f"payment {n} " + "of an order " * 12,
                "level": level,
                "duration_ms": 1234.5,
                "created_at": now - n,
                **common,
                **(errors if n > 3 else {}),
            }
            for n, level in enumerate(LEVELS)
        )
    )
    return page


def states(page: Page) -> Iterator[str]:
    """Brings the page into each of its states, and says in which it is."""
    listed = lambda: len(page.messages) == len(LEVELS)  # noqa: E731 - read where it is used
    page.open("?columns=service,logger,user_id,order")
    page.until(listed)
    yield "list"
    page.click("#rows li:last-child .line")
    page.until(lambda: bool(page.all(".details")))
    yield "entry"
    page.run("document.querySelectorAll('.details .value')[2].click()")
    yield "menu of a value"
    page.open()
    page.until(listed)
    for name in ("time", "group", "columns", "export"):
        page.click(f"#{name} summary")
        page.until(lambda name=name: page.is_shown(f"#{name} .panel"))  # type: ignore[misc]
        yield f"menu {name}"
        page.press(Keys.ESCAPE)
    page.press("?")
    page.until(lambda: page.is_shown("#help"))
    yield "help"
    page.open("?group=error_type,file_path,function_name")
    page.until(lambda: len(page.texts("#groups .count")) == 1)
    yield "errors"
    page.open(f"?group=level,order&since={time.time() - 86_400:.0f}&until={time.time() + 86_400:.0f}")
    page.until(lambda: len(page.texts("#groups .count")) == len(LEVELS))
    yield "groups"
    page.open("?q=service:shop+(card+OR+%22open")
    page.until(lambda: page.is_shown("#wrong"))
    yield "wrong query"
    page.open("?q=nothing&since=-15m")
    page.until(lambda: page.is_shown("#empty"))
    for name in ("progress", "trouble", "news", "login-wrong"):
        page.run("const box = document.getElementById($1); box.hidden = false; box.append('text')", name)
    yield "nothing found, a search, trouble, news"
    page.run("document.querySelector('#login').showModal()")
    yield "login"
    page.open("?entry=3")
    page.until(lambda: bool(page.all("#around .details")))
    yield "lines around"
    page.open("?trace_id=4bf92f3577b34da6a3ce929d0e0e4736")
    page.until(lambda: len(page.texts("#request .message")) == len(LEVELS))
    yield "trace"


def check_contrast(page: Page, state: str) -> None:
    for theme in ("light", "dark"):
        page.run("document.documentElement.dataset.theme = $1", theme)
        seen, low = page.run(LOOKS + "return contrasts()")
        assert seen > 10
        assert low == [], f"{state}, {theme}"


def check_keyboard(page: Page, state: str) -> None:
    """The Tab key reaches everything, and one sees where it is."""
    wanted = set(page.run(LOOKS + "return reachable()"))
    reached = set()
    for _ in range(len(wanted) + 30):
        page.press(Keys.TAB)
        name, is_seen = page.run(LOOKS + "return focused()")
        if not name.startswith("BODY"):
            assert is_seen, f"{state}: {name}"
        reached.add(name)
        if wanted <= reached:
            return
    assert wanted <= reached, state


def test_every_text_has_contrast_and_everything_is_reached_by_keyboard(full: Page) -> None:
    for state in states(full):
        check_contrast(full, state)
        if state in ("entry", "menu columns", "errors", "trace"):
            check_keyboard(full, state)


def test_on_a_phone_nothing_is_cut_and_all_is_shown(full: Page) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    full.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        for state in states(full):
            assert full.run(LOOKS + "return cut()") == [], state
            if state == "list":
                assert full.is_shown("#histogram .part")
            if state == "trace":
                bars = full.each("#request .track .bar", "one.getBoundingClientRect().width")
                assert len(bars) == len(LEVELS)
                assert min(bars) >= 3
    finally:
        full.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
