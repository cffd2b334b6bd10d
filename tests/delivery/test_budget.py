"""The time for the end of the process: what counts, what overlaps, and when it is forgotten."""

from __future__ import annotations

import pytest

from logcollector_handler.delivery.budget import Budget
from tests.delivery.harness import FakeClock
from tests.delivery.interrupting import Interrupt, Points

TIMEOUT = 5.0


@pytest.fixture
def budget(clock: FakeClock) -> Budget:
    return Budget(clock)


def ends(budget: Budget, clock: FakeClock, seconds: float, *, has_more: bool = True) -> None:
    """An end of the process that holds it up for some seconds."""
    budget.refresh(TIMEOUT, has_more=has_more)
    budget.begin()
    budget.hold(lambda: clock.advance(seconds))


def closes(budget: Budget, clock: FakeClock, seconds: float) -> None:
    """A handler is closed, which takes some seconds."""
    budget.refresh(TIMEOUT, has_more=True)
    budget.hold(lambda: clock.advance(seconds))


def test_only_time_for_which_the_process_was_held_up_counts(budget: Budget, clock: FakeClock) -> None:
    ends(budget, clock, 0.5)
    clock.advance(3)
    ends(budget, clock, 1)
    assert budget.left(TIMEOUT) == 3.5


def test_what_holds_the_process_up_counts_while_it_does(budget: Budget, clock: FakeClock) -> None:
    def work() -> float:
        clock.advance(2)
        return budget.left(TIMEOUT)

    assert budget.hold(work) == 3
    assert budget.left(TIMEOUT) == 3


def test_what_overlaps_counts_once(budget: Budget, clock: FakeClock) -> None:
    def outer() -> None:
        clock.advance(1)
        budget.hold(lambda: clock.advance(1))
        clock.advance(1)

    budget.hold(outer)
    assert budget.left(TIMEOUT) == 2


def test_of_two_that_overlap_in_part_the_whole_counts(budget: Budget, clock: FakeClock) -> None:
    """In two threads: the first ends while the second goes on."""
    budget._held["first"] = clock.now
    clock.advance(2)
    budget._held["second"] = clock.now
    clock.advance(1)
    budget._count("first")
    assert budget.left(TIMEOUT) == 2
    clock.advance(1)
    budget._count("second")
    assert budget.left(TIMEOUT) == 1


def test_there_is_never_less_than_nothing_left(budget: Budget, clock: FakeClock) -> None:
    ends(budget, clock, 7)
    assert budget.left(TIMEOUT) == 0


@pytest.mark.parametrize(
    ("pause", "has_more", "left"), [(5.0, True, 1.0), (5.1, True, 5.0), (5.1, False, 1.0), (60.0, False, 1.0)]
)
def test_an_end_is_a_new_one_if_the_last_is_long_over_and_there_is_more_to_send(
    budget: Budget, clock: FakeClock, pause: float, has_more: bool, left: float
) -> None:
    ends(budget, clock, 4)
    clock.advance(pause)
    ends(budget, clock, 0, has_more=has_more)
    assert budget.left(TIMEOUT) == left


@pytest.mark.parametrize(("pause", "left"), [(5.0, 1.0), (5.1, 5.0)])
def test_a_close_counts_if_an_end_follows_soon(budget: Budget, clock: FakeClock, pause: float, left: float) -> None:
    closes(budget, clock, 4)
    assert not budget.has_begun
    clock.advance(pause)
    ends(budget, clock, 0, has_more=False)
    assert budget.left(TIMEOUT) == left


def test_after_a_new_beginning_a_close_is_none(budget: Budget, clock: FakeClock) -> None:
    ends(budget, clock, 4)
    assert budget.has_begun
    clock.advance(6)
    closes(budget, clock, 1)
    assert not budget.has_begun


def test_an_exception_out_of_a_signal_handler_leaves_nothing_that_goes_on_counting(clock: FakeClock) -> None:
    number = 0
    while True:
        budget = Budget(clock)
        points = Points(number, Interrupt)
        points.run(lambda budget=budget: ends(budget, clock, 1))  # type: ignore[misc]  # the loop's own
        if not points.place:
            break
        assert budget._held == {}, points.place
        clock.advance(60)
        assert budget.left(TIMEOUT) in (4, 5), points.place
        number += 1
    assert number > 10
