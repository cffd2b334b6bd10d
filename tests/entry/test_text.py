"""Text that is cut says how much is missing."""

from __future__ import annotations

import pytest

from logcollector_handler.entry.text import shortened


@pytest.mark.parametrize("limit", [0, 1, 39, 40, 41, 100, 999])
def test_shortened_text_says_how_much_is_missing_also_when_it_is_shortened_again(limit: int) -> None:
    once = shortened("x" * 1000, limit)
    for text in (once, shortened(shortened("x" * 1000, 500), limit) if limit < 500 else once):
        kept = text.count("x")
        assert text == f"{'x' * kept}… [{1000 - kept} more characters cut]"
        assert kept <= limit


def test_text_that_fits_is_not_shortened() -> None:
    assert shortened("x" * 10, 10) == "x" * 10
