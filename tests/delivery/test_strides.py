"""The listener works in strides, and rests between them."""

from __future__ import annotations

import pytest

from logcollector_handler.delivery import strides
from logcollector_handler.delivery.strides import Strides


class Time:
    """Stands in for the module `time`: the thread runs as long as a test says, and its rests are noted."""

    def __init__(self) -> None:
        self.ran = 0.0
        self.rests = 0

    def thread_time(self) -> float:
        return self.ran

    def sleep(self, seconds: float) -> None:
        self.rests += 1


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(strides, "time", made)
    return made


def work(time: Time, parts: Strides, items: list[int], seconds: float) -> list[int]:
    """Work for `seconds` on each of the items. Returns how many each part had."""
    sizes: list[int] = []
    done: list[int] = []
    left = items.copy()
    for part in parts.parts(left):
        sizes.append(len(part))
        done += part
        assert len(left) == len(items) - len(done), "what is done is not kept"
        time.ran += seconds * len(part)
    assert done == items
    return sizes


def test_quick_items_come_in_large_parts_with_a_rest_for_each_millisecond(time: Time) -> None:
    parts = Strides(lambda: True)
    for _ in range(5):
        assert work(time, parts, list(range(1000)), 0.5e-6) == [100] * 10
    assert time.rests == 0, "the lock is released between two batches in any case"
    assert work(time, Strides(lambda: True), list(range(1000)), 5e-6) == [100] * 10
    assert time.rests in range(4, 7)


def test_slow_items_come_in_parts_of_a_millisecond_also_in_the_next_batch(time: Time) -> None:
    parts = Strides(lambda: True)
    sizes = work(time, parts, list(range(1000)), 1e-4)
    assert sizes[0] == 100, "nothing is known of them"
    assert set(sizes[1:-1]) <= {9, 10}
    assert time.rests >= len(sizes) // 2 - 1
    assert work(time, parts, list(range(20)), 1e-4)[0] <= 10
    assert work(time, parts, list(range(1000)), 1e-7)[-2] == 100


def test_an_item_that_takes_longer_is_a_part_of_its_own(time: Time) -> None:
    assert set(work(time, Strides(lambda: True), list(range(110)), 0.01)[1:]) == {1}


def test_time_that_the_thread_only_waits_is_no_work(time: Time) -> None:
    assert work(time, Strides(lambda: True), list(range(1000)), 0.0) == [100] * 10
    assert time.rests == 0


def test_where_there_is_no_time_the_thread_goes_on(time: Time) -> None:
    work(time, Strides(lambda: False), list(range(1000)), 1e-4)
    assert time.rests == 0
