"""The page in a real browser: the time that it shows, by ranges, fields, and dragging across the histogram."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

import pytest

from tests.collector.page.browser import ActionBuilder, ActionChains, Keys, Page, PointerInput

pytestmark = pytest.mark.integration


def test_ranges_and_typed_times_bound_the_list(page: Page) -> None:
    now = time.time()
    ages = {"minute": 60, "half an hour": 1800, "hours": 7200, "days": 3 * 86_400, "years": 900 * 86_400}
    page.post(*({"message": name, "created_at": now - age} for name, age in ages.items()))
    page.open()
    page.shows("minute", "half an hour")
    names = list(ages)
    for since, count in [("-15m", 1), ("-24h", 3), ("-7d", 4), ("all", 5), ("-1h", 2)]:
        page.click("#time summary")
        page.click(f"#time [data-since='{since}']")
        page.shows(*names[:count], what=since)
        assert page.asked.get("since", "-1h") == since
    assert page.texts("#time summary") == ["last hour"]
    # In the zone of the browser, and kept with its zone in the address.
    page.run(
        "const { moment } = await import('/page/times.js'); window.day = moment($1).slice(0, 16)", now - 4 * 86_400
    )
    day = page.run("return window.day")
    for since, until, expected in [(day, "-90m", ["hours", "days"]), ("", "-1w", ["years"]), ("-3h", "now", names[:3])]:
        page.click("#time summary")
        page.fill("since", since)
        page.fill("until", until + Keys.ENTER)
        page.shows(*expected, what=f"{since} to {until}")
        assert page.state == ("follow" if until != "now" else "live")
    page.browser.back()
    page.browser.back()
    page.shows("hours", "days")
    assert re.fullmatch(r"[\d-]{10}T[\d:.]{12}Z", page.asked["since"])
    page.click("#time summary")
    page.until(lambda: page.run("return document.querySelector('[name=since]').value") == f"{day}:00")


def test_a_typed_time_that_is_none_is_refused_in_its_place(page: Page) -> None:
    page.open()
    page.click("#time summary")
    for since, until, said in [("yesterday", "", "“yesterday” is not a time"), ("-1h", "-2h", "end is not after")]:
        page.fill("since", since)
        page.fill("until", until)
        page.click("#time-apply")
        page.until(lambda said=said: said in page.texts("#time-wrong")[0], said)  # type: ignore[misc]
    assert page.asked == {}
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.is_shown("#time-wrong"))


def test_rows_have_date_time_and_zone(page: Page) -> None:
    created = time.time() - 30
    page.post({"message": "a", "created_at": created})
    utc = datetime.fromtimestamp(created, timezone.utc)
    try:
        for zone, shown in [("UTC", "Z"), ("Asia/Kolkata", "+05:30"), ("America/St_Johns", "-03:30")]:
            page.browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
            page.open()
            page.shows("a")
            text, title = page.run(
                "const row = document.querySelector('#rows time'); return [row.textContent, row.title]"
            )
            assert title == text.replace(" ", "T")
            assert text.endswith(shown)
            assert abs(datetime.fromisoformat(title.replace("Z", "+00:00")) - utc).total_seconds() < 0.001
            assert not page.run(
                "const row = document.querySelector('#rows time'); return row.scrollWidth > row.clientWidth"
            )
    finally:
        page.browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_the_histogram_zooms_by_mouse_by_finger_and_by_keyboard(page: Page) -> None:
    now = time.time()
    # One every two minutes: one in each third bar of an hour.
    page.post(*({"message": f"m{n}", "created_at": now - 60 - 120 * n, "level": "WARN"} for n in range(29)))

    def fresh() -> None:
        page.open()
        page.until(lambda: len(page.messages) == 29 and page.texts("#total") == ["29 entries"])

    svg = "#histogram svg"

    def zoomed(least: int, most: int, what: str) -> None:
        page.until(lambda: least <= len(page.messages) <= most and page.state == "follow", what)
        since, until = (datetime.fromisoformat(page.asked[name].replace("Z", "+00:00")) for name in ("since", "until"))
        shown = page.each("#rows li", "one.entry.created_at")
        assert all(since.timestamp() <= one < until.timestamp() for one in shown)
        # And the bars are those of this time.
        page.until(lambda: page.texts("#total")[0].startswith(f"{len(shown)} "), what)

    fresh()
    width = page.run(f"return document.querySelector('{svg}').getBoundingClientRect().width")
    # From the middle a quarter to the right.
    ActionChains(page.browser).move_to_element(page.all(svg)[0]).click_and_hold().move_by_offset(
        int(width / 4), 0
    ).release().perform()
    zoomed(6, 9, "mouse")
    page.browser.back()
    page.until(lambda: len(page.messages) == 29 and page.state == "live", "back")

    fresh()
    finger = ActionBuilder(page.browser, mouse=PointerInput("touch", "finger"))  # type: ignore[no-untyped-call]
    finger.pointer_action.move_to(page.all(svg)[0], int(-width / 4), 0).pointer_down().move_to(  # type: ignore[no-untyped-call]
        page.all(svg)[0], 0, 4
    ).pointer_up()
    finger.perform()
    zoomed(6, 9, "finger")

    fresh()
    page.run(f"document.querySelector('{svg}').focus()")
    page.press(Keys.PAGE_DOWN + Keys.PAGE_DOWN + Keys.SHIFT + Keys.ARROW_LEFT * 8 + Keys.NULL)
    page.until(lambda: " \N{EN DASH} " in page.texts("#pointed")[0])
    assert page.all(svg)[0].get_attribute("aria-valuetext") == page.texts("#pointed")[0]
    page.press(Keys.ENTER)
    zoomed(2, 4, "keyboard")
    # A click is one bar.
    fresh()
    bar = page.each(f"{svg} .bar", "Boolean(one.querySelector('.part'))").index(True)
    ActionChains(page.browser).move_to_element_with_offset(
        page.all(svg)[0], int((bar + 0.5) * width / 90 - width / 2), 0
    ).click().perform()
    zoomed(1, 1, "click")
    assert page.complaints() == []
