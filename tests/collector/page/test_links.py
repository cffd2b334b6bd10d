"""The page in a real browser: its address holds all that it shows; Back, reload, permalinks, columns."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.collector.page.browser import Keys, Page

pytestmark = pytest.mark.integration
#: What a line shows where an entry has no such field.
NONE = "\N{EN DASH}"


def test_each_step_is_in_the_address_and_back_undoes_it(page: Page) -> None:
    now = time.time()
    page.post(
        {
            "message": "a",
            "service": "web",
            "level": "ERROR",
            "error_type": "E",
            "metadata": {"n": 1},
            "created_at": now - 3,
        },
        {"message": "b", "service": "web", "created_at": now - 2},
        {"message": "c", "service": "db", "created_at": now - 1},
    )
    page.open()
    page.shows("c", "b", "a")

    def count_open() -> bool:
        return len(page.all("#rows .details")) == 1

    steps: list[tuple[Callable[[], None], Callable[[], bool]]] = [
        (lambda: page.fill("service", "web"), lambda: page.messages == ["b", "a"]),
        (lambda: page.fill("min_level", "WARN"), lambda: page.messages == ["a"]),
        (lambda: page.click("#rows .line"), lambda: page.messages == ["a"] and count_open()),
        (lambda: page.choose("n", "column"), lambda: page.texts("#rows .cell") == ["web", NONE, "1"] and count_open()),
        (
            lambda: page.choose("n", "filter"),
            lambda: page.asked.get("q") == "n:1" and page.texts("#rows .cell")[-1:] == ["1"],
        ),
        (
            lambda: page.pick("group", "[data-by=level]"),
            lambda: page.texts("#groups .name") == ["ERROR"],
        ),
        (
            lambda: page.click("#groups .link"),
            lambda: page.asked.get("q") == "n:1 level:ERROR" and page.messages == ["a"],
        ),
        (
            lambda: page.pick("time", "[data-since='all']"),
            lambda: page.asked.get("since") == "all" and page.messages == ["a"],
        ),
    ]
    addresses = [page.browser.current_url]
    for act, is_done in steps:
        act()
        page.until(is_done)
        addresses.append(page.browser.current_url)
    assert len(set(addresses)) == len(addresses)
    page.browser.refresh()
    page.until(steps[-1][1], "the same after a reload")
    for n in range(len(steps) - 1, 0, -1):
        page.browser.back()
        page.until(steps[n - 1][1], f"back to {n}")
        assert page.browser.current_url == addresses[n]
    page.browser.forward()
    page.until(steps[1][1], "forward")
    # Each of them opens as it was: the entry opened, the columns.
    page.browser.get(addresses[4])
    page.until(steps[3][1])
    # While somebody types, it is one step.
    page.open()
    page.shows("c", "b", "a")
    before = page.run("return history.length")
    page.press("/")
    for text in ("a", " O", "R b"):
        page.press(text)
        typed = page.run("return document.querySelector('[name=q]').value")
        page.until(lambda typed=typed: page.asked.get("q") == typed.strip())  # type: ignore[misc]
    page.press(Keys.ESCAPE)
    page.shows("b", "a")
    assert page.run("return history.length") == before + 1
    page.browser.back()
    page.shows("c", "b", "a")


def test_a_permalink_shows_one_entry_with_the_lines_around_it(page: Page) -> None:
    old = time.time() - 30 * 86_400
    page.post(*({"message": f"m{n}", "created_at": old + n, "service": "web" if n % 2 else "db"} for n in range(100)))
    page.open("?since=all&q=m50&min_level=INFO")
    page.shows("m50")
    page.click("#rows .line")
    assert page.each("#rows [data-around]", "one.href") == [f"{page.url}/?entry=51"]
    page.click("#rows [data-around]")
    page.until(lambda: page.texts("#around .message") == [f"m{n}" for n in range(80, 19, -1)])
    assert page.texts("#around .open .message") == ["m50"]
    assert page.asked["entry"] == "51"
    page.fill("service", "db")
    page.until(lambda: page.texts("#around .message") == [f"m{n}" for n in range(98, -1, -2)])
    # The link that is copied has the entry alone; it is shown in a place that somebody sees.
    page.open("?entry=51")
    page.until(lambda: len(page.texts("#around .message")) == 61)
    top, height = page.run(
        "return [document.querySelector('#around .chosen').getBoundingClientRect().top, innerHeight]"
    )
    assert 0 < top < height / 2
    page.browser.back()
    page.browser.forward()
    page.until(lambda: page.texts("#around .open .message") == ["m50"])
    page.click("#around-leave")
    page.until(
        lambda: page.messages == [f"m{n}" for n in range(50, -1, -1)] and page.texts("#rows .open .message") == ["m50"]
    )
    assert "q" not in page.asked
    page.open("?entry=4711")
    page.until(lambda: page.texts("#trouble") == ["There is no such entry, or it was removed."])
    # An entry that was open, and is not in the list any more.
    page.open("?open=51&q=m4")
    page.until(lambda: page.texts("#around .open .message") == ["m50"])


def test_a_link_to_a_trace_opens_whatever_its_age_and_shows_in_the_list_without_filters(page: Page) -> None:
    page.post({"message": "old", "created_at": time.time() - 400 * 86_400, "trace_id": "t1"}, {"message": "new"})
    page.open("?trace_id=t1&q=new&min_level=INFO")
    page.until(lambda: page.texts("#request .message") == ["old"])
    page.shows("new")
    page.click("#request-filter")
    page.until(lambda: page.messages == ["old"] and not page.is_shown("#request"))
    assert page.asked == {"q": "trace_id:t1", "since": "all"}
    page.browser.back()
    page.until(lambda: page.is_shown("#request"))
    page.press(Keys.ESCAPE)
    page.until(lambda: page.messages == ["new"] and "trace_id" not in page.asked)


def test_links_of_the_page_before_still_mean_the_same(page: Page) -> None:
    page.post({"message": "one card", "environment": "test", "metadata": {"logger": "a b"}}, {"message": "two card"})
    page.open("?text=card&environment=test&logger=a+b&range=900")
    page.shows("one card")
    assert page.texts("#time summary") == ["since -900s"]


def test_any_field_can_be_a_column(page: Page) -> None:
    page.post(
        {
            "message": "a",
            "service": "web",
            "metadata": {"order": {"items": [{"sku": "x"}], "n.m": 12345678901234567890}},
        }
    )
    page.open()
    page.shows("a")
    page.click("#columns summary")
    page.click("#columns input[value=logger]")
    for name in ("order.items.sku", "order.n.m", "nothing"):
        page.run("document.querySelector('#columns .any input').focus()")
        page.press(name + Keys.ENTER)
        page.until(lambda name=name: name in page.texts("#heads span"))  # type: ignore[misc]
    assert page.texts("#rows .cell") == ["web", "x", "12345678901234567890", NONE]
    assert page.asked["columns"] == "service,order.items.sku,order.n.m,nothing"
    page.browser.refresh()
    page.until(lambda: page.texts("#rows .cell") == ["web", "x", "12345678901234567890", NONE])
    assert page.texts("#heads span")[1:] == [
        "level",
        "service",
        "order.items.sku",
        "order.n.m",
        "nothing",
        "message",
        "took",
    ]
    # Heads stand above their columns.
    left = "Math.round(one.getBoundingClientRect().left)"
    assert page.each("#heads > span", left) == page.each("#rows .line > *", left)
