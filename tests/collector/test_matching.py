"""The functions that compare rows: none of them takes long, whatever is in a row."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.collector.file import UnusableError
from logcollector_handler.collector.matching import field_matches, field_shown, has_value, has_word, matches
from logcollector_handler.collector.query import parse_query
from logcollector_handler.collector.store import Store
from tests.collector.storing import rows


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("pay", "a Payment", 1),
        ("pay", "repay", 0),
        ("pay", "repay, pay", 1),
        ("pay", "re_pay", 1),
        ("pay", "7pay", 0),
        ("(a)", "x(A)", 1),
        ("x", "e\u0301x", 0),
        ("ÜBER", "die Überweisung", 1),
        ("7", "7", 1),
    ],
)
def test_a_word_is_found_where_a_word_begins(word: str, text: str, expected: int) -> None:
    assert has_word(word, 0, text, None) == has_word(word, 0, None, text) == expected
    assert has_word(word, 1, text, None) == 1


@given(st.text("ab_ é1", min_size=1, max_size=3), st.text("abAB_ é1-", max_size=12))
def test_a_word_is_found_as_a_pattern_finds_it(word: str, text: str) -> None:
    begins = r"(?<![^\W_])" if word[0].isalnum() else ""
    assert has_word(word, 0, text, None) == (re.search(begins + re.escape(word), text.lower()) is not None)


def test_no_text_makes_a_search_take_as_long_as_the_square_of_its_length() -> None:
    """Two million characters: letter by letter it would be a matter of hours."""
    text = "a" * 2_000_000
    assert has_word("a" * 500 + "b", 0, "b" + text, text) == 0
    assert has_word("a" * 500, 0, "b" + text, None) == 0
    assert matches("contains", "a" * 500 + "b", text) == 0
    assert has_value('["' + text + '"]', "a" * 500) == 0


def test_deep_and_wide_metadata_is_compared() -> None:
    deep = '{"a":' * 250 + "7" + "}" * 250
    path = ".".join("a" * 250)
    assert field_matches(deep, path, "=", "7") == 1
    assert field_shown("[" * 250 + '{"a":true}' + "]" * 250, "a") == "true"
    assert has_value("[" * 250 + '{"b":1.5}' + "]" * 250, "1.5") == 1


def test_a_row_that_cannot_be_compared_is_damage(store: Store, tmp_path: Path) -> None:
    store.add(rows({"message": "m", "metadata": {"a": 1}}))
    other = sqlite3.connect(tmp_path / "logs.sqlite")
    other.execute("UPDATE logs SET metadata = '{\"a\":'")
    other.commit()
    other.close()
    with pytest.raises(UnusableError, match="damaged"):
        store.page(parse_query([("q", "a>5")]))
