"""Bytes are divided among fields so that small ones are whole and large ones equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.entry.shares import LEAST, Shares, grants, level

sizes = st.lists(st.integers(1, 5_000), max_size=40)


@given(sizes, st.integers(0, 30_000))
def test_parts_cut_to_the_level_fit_and_no_higher_level_would(sizes: list[int], room: int) -> None:
    share = level(sizes, room)
    assert sum(min(size, share) for size in sizes) <= room or not sizes
    assert sum(sizes) <= room or sum(min(size, share + 1) for size in sizes) > room


@given(sizes, st.integers(0, 30_000), st.integers(0, 3))
def test_no_part_gets_less_than_a_mark_needs_and_small_ones_are_kept_first(
    sizes: list[int], room: int, first: int
) -> None:
    first = min(first, len(sizes))
    granted = grants(sizes, room, first)
    assert sum(granted) <= room
    for size, got in zip(sizes[first:], granted[first:], strict=True):
        assert got in (0, size) or got >= LEAST
    kept = [size for size, got in zip(sizes[first:], granted[first:], strict=True) if got]
    left_out = [size for size, got in zip(sizes[first:], granted[first:], strict=True) if not got]
    assert max(kept, default=0) <= min(left_out, default=5_000) or max(kept) >= LEAST


@pytest.mark.parametrize(("sizes", "room"), [([10, 5_000, 20, 5_000], 4_000), ([1, 1, 1], 1_000), ([900] * 5, 2_000)])
def test_what_a_part_does_not_use_goes_to_those_that_come_later(sizes: list[int], room: int) -> None:
    shares = Shares(sizes, room)
    used = {}
    for index in shares.order:
        used[index] = min(sizes[index], shares.offer(index))
        shares.use(used[index])
    assert [used[index] for index in range(len(sizes))] == grants(sizes, room, 0)
