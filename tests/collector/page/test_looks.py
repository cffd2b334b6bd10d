"""The page in a real browser, in each of its states: contrast, narrow screens, and the keyboard."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
# Every text that is shown with less contrast to what is behind it than WCAG's 4.5 to 1, and that contrast. Colours are
# resolved by painting them, from the outermost background inwards.
CONTRASTS = """
const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
const light = ([r, g, b]) => [r, g, b].map((x) => x / 255).map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
  .reduce((sum, x, n) => sum + x * [0.2126, 0.7152, 0.0722][n], 0);
function painted(layers) {
  canvas.globalAlpha = 1;
  canvas.fillStyle = "#fff";
  canvas.fillRect(0, 0, 1, 1);
  for (const [colour, alpha] of layers) {
    canvas.globalAlpha = alpha;
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
  }
  return light(canvas.getImageData(0, 0, 1, 1).data);
}
function contrast(element, colour) {
  const behind = [];
  let alpha = 1;
  for (let each = element; each; each = each.parentElement) {
    alpha *= Number(getComputedStyle(each).opacity);
    behind.unshift([getComputedStyle(each).backgroundColor, 1]);
  }
  const [one, other] = [painted(behind), painted([...behind, [colour, alpha]])].sort((a, b) => b - a);
  return (one + 0.05) / (other + 0.05);
}
const low = [];
let seen = 0;
for (const element of document.body.querySelectorAll("*")) {
  if (element.closest("svg, noscript") || !element.checkVisibility({ checkVisibilityCSS: true, contentVisibilityAuto: false })) continue;
  const texts = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const colours = texts || element.value ? [getComputedStyle(element).color] : [];
  if (element.placeholder && !element.value) colours.push(getComputedStyle(element, "::placeholder").color);
  for (const colour of colours) {
    seen += 1;
    const found = contrast(element, colour);
    if (found < 4.5) low.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}: ${found.toFixed(2)}`);
  }
}
return [seen, low];
"""
# What is beside the screen, or cut off, without a way to scroll to it.
CUT = """
const cut = [];
if (document.documentElement.scrollWidth > innerWidth) cut.push(`the page is ${document.documentElement.scrollWidth} wide`);
for (const element of document.body.querySelectorAll("*")) {
  if (element.closest(".hidden, noscript") || !element.checkVisibility({ checkVisibilityCSS: true, contentVisibilityAuto: false })) continue;
  const box = element.getBoundingClientRect();
  const name = `${element.tagName}#${element.id}.${element.getAttribute("class")} ${element.textContent.slice(0, 30)}`;
  if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5)) cut.push(`${name} from ${box.left} to ${box.right}`);
  const hides = getComputedStyle(element).overflowX === "hidden" && element.scrollWidth > element.clientWidth + 1;
  if (hides && element.tagName !== "INPUT") cut.push(`${name} is cut`);
}
return cut;
"""


@pytest.fixture
def full(page: Page) -> Page:
    """The page of a collector with one entry of each kind of thing that is shown in its own way."""
    now = time.time()
    metadata = {"logger": "shop.pay", "order": {"id": 7, "items": [1, 2], "note": None, "ok": True}, "empty": {}, "many": list(range(300)), "long": "long " * 900, "a" * 60: "b" * 300}
    errors = {"error_type": "DeclinedError", "file_path": "/srv/shop/payments/with/a/long/path/pay.py", "function_name": "charge", "stack_trace": TRACE}
    common: dict[str, Any] = {"service": "a-service-with-a-long-name", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "user_id": "u" * 200, "metadata": metadata}
    page.post(*({"message": f"payment {n} " + "of an order " * 12, "level": level, "duration_ms": 1234.5, "created_at": now - n, **common, **(errors if n > 3 else {})} for n, level in enumerate(LEVELS)))
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
    page.open("?group=level,order")
    page.until(lambda: len(page.texts("#groups .count")) == len(LEVELS))
    yield "groups"
    page.open("?q=service:shop+(card+OR+%22open")
    page.until(lambda: page.is_shown("#wrong"))
    yield "wrong query"
    page.open("?q=nothing&since=-15m")
    page.until(lambda: page.is_shown("#empty"))
    page.run("for (const name of ['progress', 'trouble', 'news', 'login-wrong']) { const box = document.getElementById(name); box.hidden = false; box.append('text'); }")
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
        seen, low = page.run(CONTRASTS)
        assert seen > 10
        assert low == [], f"{state}, {theme}"


def test_every_text_has_contrast_in_light_and_dark(full: Page) -> None:
    for state in states(full):
        check_contrast(full, state)


def test_on_a_phone_nothing_is_cut_and_all_is_shown(full: Page) -> None:
    full.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})
    try:
        for state in states(full):
            assert full.run(CUT) == [], state
            check_contrast(full, state)
            if state == "list":
                assert full.is_shown("#histogram .part")
            if state == "trace":
                boxes = full.run("return [...document.querySelectorAll('#request .track .bar')].map((one) => one.getBoundingClientRect().width)")
                assert len(boxes) == len(LEVELS)
                assert min(boxes) >= 3
    finally:
        full.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


REACHABLE = "button, a[href], input, select, summary, [tabindex='0']"
# What has the focus, and whether that can be seen.
FOCUS = """const one = document.activeElement;
const name = (each) => each.id || each.name || each.dataset.do || `${each.tagName}.${each.className} ${each.textContent.slice(0, 20)}`;
if ($1) return [...(document.querySelector("dialog[open]") ?? document).querySelectorAll($1)].filter((each) => each.checkVisibility({ contentVisibilityAuto: false }) && !each.disabled).map(name);
const style = getComputedStyle(one);
return [name(one), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1];"""


@pytest.mark.parametrize("state", ["entry", "errors", "menu columns", "trace"])
def test_everything_is_reached_with_the_tab_key_and_the_focus_is_seen(full: Page, state: str) -> None:
    for each in states(full):
        if each == state:
            break
    wanted = set(full.run(FOCUS, REACHABLE))
    reached = set()
    for _ in range(2 * len(wanted) + 10):
        full.press(Keys.TAB)
        name, is_seen = full.run(FOCUS, "")
        if not name.startswith("BODY"):
            assert is_seen, name
        reached.add(name)
        if wanted <= reached:
            return
    assert wanted <= reached
