"""The page in a real browser: the search box, what is wrong in it, its help, and filters made of clicked values."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from logcollector_handler.collector.language import parse
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.store import Store
from tests.collector.meaning import ENTRIES, QUERIES, evaluated
from tests.collector.page.browser import Keys, Page

pytestmark = pytest.mark.integration
# Without shrinking, which in a browser takes minutes.
ONCE = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_the_search_box_takes_the_whole_language(page: Page) -> None:
    page.post(
        {"message": "card declined", "level": "ERROR", "metadata": {"order": {"total": 50}, "status": 402}},
        {"message": "card accepted", "metadata": {"order": {"total": 7}, "status": 200}},
    )
    page.open()
    page.until(lambda: len(page.messages) == 2)
    for query, expected in [
        ("card -acc", "card declined"),
        ("order.total<=7 OR nothing", "card accepted"),
        ("(status:402 has:order) level>=WARNING", "card declined"),
    ]:
        page.fill("q", query + Keys.ENTER)
        page.shows(expected, what=query)
        assert page.asked["q"] == query
    assert page.complaints() == []


def test_what_is_wrong_in_a_query_is_shown_in_its_place(page: Page) -> None:
    page.post({"message": "a"})
    page.open()
    page.until(lambda: page.state == "live" and page.messages == ["a"])
    # The collector counts characters, JavaScript counts two for the first of these.
    page.fill("q", "")
    page.run(
        "const box = document.querySelector('[name=q]'); box.value = $1; box.dispatchEvent(new Event('change'))",
        '😀 (a "open',
    )
    page.until(lambda: page.is_shown("#wrong"))
    assert page.texts("#wrong span") == ["this quote is not closed (character 6)."]
    assert (page.texts("#wrong code"), page.texts("#wrong mark")) == (['😀 (a "open'], ['"'])
    assert page.run("return document.querySelector('[name=q]').getAttribute('aria-invalid')") == "true"
    page.until(lambda: page.state == "stopped")
    assert not page.is_shown("#trouble")
    page.open("?q=card+AND")
    page.until(lambda: page.texts("#wrong mark") == ["A"])
    page.fill("q", "a" + Keys.ENTER)
    page.until(lambda: not page.is_shown("#wrong") and page.messages == ["a"] and page.state == "live")


def test_the_help_has_examples_that_can_be_clicked(page: Page) -> None:
    page.post({"message": "timeout of the bank"}, {"message": "b"})
    page.open()
    page.until(lambda: len(page.messages) == 2)
    page.press("?")
    page.until(lambda: page.is_shown("#help"))
    assert page.run("const box = document.querySelector('#help'); return box.scrollHeight <= box.clientHeight"), (
        "one screen"
    )
    examples = page.texts("#help .example")
    assert len(examples) > 12
    for query in examples:
        parse(query, 0.0)
    page.press(Keys.ESCAPE)
    page.until(lambda: not page.is_shown("#help"))
    page.click("#help-open")
    page.click("#help .example")
    page.shows("timeout of the bank")
    assert not page.is_shown("#help")
    assert page.asked["q"] == examples[0]
    page.browser.back()
    page.until(lambda: len(page.messages) == 2)


@pytest.mark.parametrize("pasted", ["4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "user-81234", "req-77abc-1"])
def test_a_pasted_id_is_found_whatever_its_age(page: Page, pasted: str) -> None:
    ids = {
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "user_id": "user-81234",
        "metadata": {"request_id": "req-77abc-1"},
    }
    page.post({"message": "old", "created_at": time.time() - 400 * 86_400, **ids}, {"message": "new"})
    page.open()
    page.shows("new")
    page.fill("q", pasted)
    page.until(lambda: page.is_shown("#widen"), "typed, it is looked for in this time alone")
    page.press(Keys.CONTROL + "ax" + Keys.NULL)
    page.press(Keys.CONTROL + "v" + Keys.NULL)
    page.shows("old")
    assert page.asked == {"q": pasted, "since": "all"}


def test_without_a_match_in_this_time_it_says_where_there_is_one(page: Page) -> None:
    page.post({"message": "the old one", "created_at": time.time() - 90_000})
    page.open("?q=old")
    page.until(lambda: page.is_shown("#widen"))
    assert "There are entries that match outside of this time" in page.texts("#empty")[0]
    page.click("#widen")
    page.shows("the old one")
    page.fill("q", "nowhere" + Keys.ENTER)
    page.until(lambda: page.is_shown("#clear") and not page.is_shown("#widen"))
    page.click("#clear")
    page.shows("the old one")


def test_a_click_on_a_value_filters_by_it_or_excludes_it(page: Page) -> None:
    page.post(
        {"message": "a", "service": "web", "metadata": {"order": {"items": [{"sku": "x y"}]}, "level": "high"}},
        {"message": "b", "service": "web", "metadata": {"order": {"items": [{"sku": "z"}]}, "level": "low"}},
        {"message": "c", "service": "db"},
    )

    def after(field: str, action: str, *expected: str) -> str:
        page.open("?q=web+OR+service:web")
        page.shows("b", "a")
        page.click("#rows li:last-child .line")
        page.until(lambda: bool(page.all(".details")))
        page.choose(field, action)
        page.shows(*expected, what=f"{field} {action}")
        return page.asked.get("q", "")

    # What stood there is kept, and what is added holds for all of it.
    assert after("sku", "filter", "a") == '(web OR service:web) order.items.sku:"x y"'
    assert after("sku", "exclude", "b") == '(web OR service:web) -order.items.sku:"x y"'
    assert after("level", "filter", "b", "a") == "(web OR service:web) level:INFO"
    page.open()
    page.shows("c", "b", "a")
    page.click("#rows li:last-child .line")
    # A key of metadata that has the name of a column.
    page.each(".details .value", "one.textContent === 'high' && one.click()")
    page.click("#value-menu [data-do=exclude]")
    page.shows("c", "b")
    assert page.asked["q"] == "-metadata.level:high"
    page.click("#rows li:last-child .line")
    page.each(".details .value", "one.textContent === 'low' && one.click()")
    page.press(Keys.ARROW_DOWN)
    page.press(Keys.ENTER)
    page.shows("c")
    page.browser.back()
    page.shows("c", "b")
    # The opposite of a term takes its place.
    page.open("?q=service:web+b")
    page.shows("b")
    page.click("#rows .line")
    page.choose("service", "exclude")
    page.until(lambda: page.asked.get("q") == "b -service:web")


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_ODD = st.sampled_from(
    ['"', "\\", 'a"b\\', "a b", " ", "x:y", "-1h", "(", "OR", "*", "a*", "null", "true", "é", "😀", "1e3", "007", ""]
)
_LEAF = (
    _ODD
    | _TEXT
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
_NAME = (
    st.sampled_from(
        [
            "a",
            "a.b",
            "level",
            "Service",
            "has",
            "metadata",
            "metadata.x",
            "logger",
            "strange key",
            'q"',
            "\\",
            "-x",
            "é",
            "a:b",
            "0",
        ]
    )
    | _TEXT
)
_METADATA = st.dictionaries(
    _NAME,
    st.recursive(
        _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAME, inner, max_size=3), max_leaves=5
    ),
    min_size=1,
    max_size=4,
)
# Clicks on every value of an entry, and returns the queries that the menu would ask.
_CLICKED = """const { get } = await import("/page/api.js");
const { tree } = await import("/page/tree.js");
const quote = await import("/page/quote.js");
const { log } = await get(`logs/${$1}`);
const asked = [];
const box = document.createElement("div");
box.append(tree(log.metadata, "", { value: (_, path, value) => {
  const field = quote.fieldOf(path, log.metadata);
  if (field !== null) asked.push([quote.term(field, value), quote.has(field), value !== null]);
} }));
for (let fold; (fold = box.querySelector("[aria-expanded=false]")); ) fold.click();
for (const value of box.querySelectorAll(".value")) value.click();
return asked;"""


def test_the_filter_of_a_clicked_value_finds_the_entry_and_its_exclusion_does_not(page: Page, store: Store) -> None:
    page.open()
    page.until(lambda: page.state == "live")

    def found(query: str) -> list[int]:
        return [entry["id"] for entry in store.page(Query(where=parse(query, 0.0), limit=1)).entries]

    @ONCE
    @example([{"logger": ["a"]}, {"logger": 0}, {"logger": "a"}])
    @example([{"n": 12345678901234567890, "x": 0.1, "y": -0.0, "z": 1e300, "big": 2**62 + 1}])
    @example([{"\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"): {"": "", "a b": ['"', "\\", None]}}])
    @given(st.lists(_METADATA, min_size=5, max_size=5))
    def check(all_metadata: list[dict[str, Any]]) -> None:
        for metadata in all_metadata:
            page.post({"message": "m", "metadata": metadata})
            entry_id = store.last_id()
            for term, has, is_something in page.run(_CLICKED, entry_id):
                assert found(term) == [entry_id], (term, metadata)
                assert found(f"-{term}") != [entry_id], (term, metadata)
                assert not is_something or found(has) == [entry_id], (has, metadata)

    check()


def test_the_opposite_of_a_term_that_is_added_goes_away(page: Page) -> None:
    page.open()
    cases = [
        ("status:500 AND declined", "-status:500", "declined -status:500"),
        ("declined AND status:500 AND b", "-status:500", "declined b -status:500"),
        ("NOT has:user_id declined", "-has:user_id", "NOT has:user_id declined"),
        ("NOT status:500 declined", "status:500", "declined status:500"),
        ("NOT NOT a -status:500", "status:500", "--a status:500"),
        ("NOT (a OR b) c", "d:1", "-(a OR b) c d:1"),
        ("a OR NOT d:1", "d:1", "(a OR NOT d:1) d:1"),
    ]
    script = "const { added } = await import('/page/quote.js'); return $1.map(([q, more]) => added(q, more))"
    assert page.run(script, [each[:2] for each in cases]) == [expected for *_, expected in cases]
    for *_, expected in cases:
        parse(expected, 0.0)


def test_a_term_that_is_added_holds_for_all_of_a_query(page: Page) -> None:
    page.open()

    @ONCE
    @given(
        st.lists(QUERIES | st.builds("{} OR {}".format, QUERIES, QUERIES), min_size=20, max_size=20),
        st.lists(ENTRIES, min_size=10, max_size=10),
    )
    def check(queries: list[str], entries: list[dict[str, Any]]) -> None:
        script = "const { added } = await import('/page/quote.js'); return $1.map((q) => added(q, 'user_id:u1'))"
        for query, more in zip(queries, page.run(script, queries), strict=True):
            before, after = parse(query, 0.0), parse(more, 0.0)
            for entry in entries:
                for user in ("u1", "u2"):
                    with_user = {**entry, "user_id": user}
                    assert evaluated(after, with_user) == (evaluated(before, with_user) and user == "u1"), (query, more)

    check()
