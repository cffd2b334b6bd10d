"""The ledger: accepted = delivered + dropped + dead-lettered + handed over + pending.

Between any two steps, wherever a call ends.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.queue import EntryQueue
from logcollector_handler.entry.model import LogEntry
from logcollector_handler.stats import Stats
from tests.delivery.pipelines import records_add_up


class Story:
    """A ledger and its queue, moved by hand."""

    def __init__(self) -> None:
        self.ledger = Ledger(SystemClock())
        self.queue = EntryQueue(100, 2**20, 2**20, SystemClock())

    def append(self, count: int = 1) -> None:
        for _ in range(count):
            self.queue.entries.append(LogEntry("INFO", "x", 1.5, "BACKEND"))

    def take(self, count: int) -> None:
        self.queue.take(count, self.ledger)

    def stats(self) -> Stats:
        return self.ledger.snapshot(self.queue.__len__)


#: Steps, with accepted, delivered, dropped, dead-lettered and pending after each. An exception can come after any.
STEPS: list[tuple[str, Callable[[Story], object], tuple[int, int, int, int, int]]] = [
    ("ten are logged", lambda story: story.append(10), (10, 0, 0, 0, 10)),
    ("the newest is taken out for room", lambda story: story.queue.entries.pop(), (9, 0, 0, 0, 9)),
    ("and counted", lambda story: story.ledger.turn_away("queue_full"), (10, 0, 1, 0, 9)),
    ("the oldest is taken out for room", lambda story: story.queue.entries.popleft(), (9, 0, 1, 0, 8)),
    ("and counted", lambda story: story.ledger.push_out("queue_full"), (10, 0, 2, 0, 8)),
    ("one never gets in", lambda story: story.ledger.turn_away("internal_error"), (11, 0, 3, 0, 8)),
    ("a batch is cut", lambda story: story.take(6), (11, 0, 3, 0, 8)),
    ("losses are told", lambda story: story.ledger.take_losses(), (11, 0, 3, 0, 8)),
    ("a request is made", lambda story: story.ledger.request(), (11, 0, 3, 0, 8)),
    ("a part of it arrives", lambda story: story.ledger.deliver(3, 300, 30), (11, 3, 3, 0, 5)),
    ("a part goes for room", lambda story: story.ledger.drop("buffer_full", 2), (11, 3, 5, 0, 3)),
    ("a part is refused", lambda story: story.ledger.bury(1), (11, 3, 5, 1, 2)),
    ("another's is lost", lambda story: story.ledger.drop("spool_damaged", 4, adopted=True), (11, 3, 5, 1, 2)),
    ("another's arrives", lambda story: story.ledger.deliver(5, 50, 5, adopted=True), (11, 3, 5, 1, 2)),
    ("another's is refused", lambda story: story.ledger.bury(6, adopted=True), (11, 3, 5, 1, 2)),
    ("more is cut than there is", lambda story: story.take(100), (11, 3, 5, 1, 2)),
    ("nothing is cut", lambda story: story.take(100), (11, 3, 5, 1, 2)),
    ("the rest arrives", lambda story: story.ledger.deliver(2, 200, 20), (11, 5, 5, 1, 0)),
]


@pytest.mark.parametrize("last", range(len(STEPS)), ids=[f"{number} {name}" for number, (name, *_) in enumerate(STEPS)])
def test_wherever_the_steps_end_each_record_is_in_one_place(last: int) -> None:
    story = Story()
    for _, step, _ in STEPS[: last + 1]:
        step(story)
    stats = story.stats()
    assert records_add_up(stats)
    dropped = sum(stats.dropped.values())
    assert (stats.accepted, stats.delivered, dropped, stats.dead_lettered, stats.pending) == STEPS[last][2]
    # What is logged afterwards is counted as if nothing had happened.
    story.append()
    story.take(100)
    assert records_add_up(story.stats())
    assert story.stats().accepted == stats.accepted + 1


def test_what_is_left_to_others_is_no_longer_pending_and_no_loss() -> None:
    story = Story()
    story.append(5)
    story.take(4)
    story.ledger.leave_to_others(3)
    stats = story.stats()
    assert (stats.accepted, stats.handed_over, stats.pending) == (5, 3, 2)
    assert records_add_up(stats)
    assert not story.ledger.take_losses()


def test_what_other_processes_had_accepted_is_counted_apart_but_told_with_our_losses() -> None:
    story = Story()
    for _, step, _ in STEPS:
        step(story)
    assert story.stats().adopted == {"dropped": 4, "delivered": 5, "dead_lettered": 6}
    assert sum(story.ledger.take_losses().values()) == 2 + 1 + 4 + 6, "the three at first are told already"


def test_losses_are_told_once_and_again_when_the_batch_that_told_them_is_lost() -> None:
    story = Story()
    story.append(5)
    story.take(5)
    story.ledger.drop("buffer_full", 2)
    told = story.ledger.take_losses()
    assert told == {"buffer_full": 2}
    assert story.ledger.take_losses() == {}
    story.ledger.drop("shutdown", 3, untold=told)
    assert story.ledger.take_losses() == {"buffer_full": 2, "shutdown": 3}
    assert records_add_up(story.stats())


def test_a_call_in_the_middle_of_another_counts_without_waiting() -> None:
    """A signal handler or a finalizer logs while its thread counts."""
    story = Story()
    assert not story.ledger.is_counting()
    with story.ledger.lock:
        assert story.ledger.is_counting()
        story.ledger.turn_away("queue_full")
    assert story.stats().accepted == 1
