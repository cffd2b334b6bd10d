"""Text that is cut, keys of any type as text, and names that are taken."""

from __future__ import annotations

import pytest

from logcollector_handler.entry.text import shortened, text_keys, unused
from tests.entry.making import Name


@pytest.mark.parametrize("limit", [0, 1, 39, 40, 41, 100, 999])
def test_text_that_is_shortened_once_or_twice_says_how_much_is_missing_in_all(limit: int) -> None:
    once = shortened("x" * 1000, limit)
    for text in (once, shortened(shortened("x" * 1000, 500), limit) if limit < 500 else once):
        kept = text.count("x")
        assert text == f"{'x' * kept}… [{1000 - kept} more characters cut]"
        assert kept <= limit


def test_text_that_fits_is_not_shortened() -> None:
    assert shortened("x" * 10, 10) == "x" * 10


def test_a_key_that_was_not_text_is_numbered_when_its_text_is_taken() -> None:
    assert text_keys({7: "number", "7": "text", Name("word"): 1}) == {"7 (2)": "number", "7": "text", "word": 1}


def test_a_name_that_is_taken_is_numbered_until_it_is_free() -> None:
    assert unused("a", {"b"}) == "a"
    assert unused("a", {"a"}) == "a (2)"
    assert unused("a", {"a", "a (3)"}) == "a (2)"
    assert unused("a", {"a", "a (2)", "a (3)"}) == "a (4)"
    taken = {"a", *(f"a ({number})" for number in range(2, 500))}
    assert unused("a", taken) not in taken
