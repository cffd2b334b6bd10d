"""The outbox in memory: order, room, and what may go when there is none."""

from __future__ import annotations

from logcollector_handler.delivery.batch import Batch, BatchIds
from logcollector_handler.delivery.outbox import MemoryOutbox
from tests.delivery.fakes import batch_of


def batch(name: str, size: int = 100, ordinal: int = 0) -> Batch:
    made = batch_of(name, "x", ordinal=ordinal)
    made.body = b"x" * size
    made.size = size
    return made


class Shelf(MemoryOutbox):
    """An outbox that remembers what it let go."""

    def __init__(self, max_bytes: int) -> None:
        self.gone: list[Batch] = []
        super().__init__(max_bytes, lambda batch, reason: self.gone.append(batch))

    def filled(self, batch: Batch) -> list[Batch]:
        """Put a batch; returns what had to go for it."""
        self.gone = []
        self.put(batch)
        return self.gone


def test_the_oldest_that_is_not_set_aside_is_next() -> None:
    outbox = Shelf(1000)
    first, second = batch("a"), batch("b")
    outbox.put(first)
    outbox.put(second)
    assert outbox.next() is first
    first.aside = True
    assert outbox.next() is second
    second.aside = True
    assert outbox.next() is None
    assert len(outbox) == 2


def test_without_room_the_oldest_go() -> None:
    outbox = Shelf(300)
    batches = [batch(name) for name in "abcde"]
    evicted = [gone for each in batches for gone in outbox.filled(each)]
    assert [each.id for each in evicted] == ["a", "b"]
    assert outbox.next() is batches[2]


def test_what_is_in_flight_never_goes() -> None:
    outbox = Shelf(200)
    flying, second, third = batch("a"), batch("b"), batch("c")
    outbox.put(flying)
    assert outbox.begin(flying)
    outbox.put(second)
    assert outbox.filled(third) == [second]
    outbox.end(flying)
    assert outbox.filled(batch("d")) == [flying]


def test_the_batch_that_comes_is_not_the_one_that_goes() -> None:
    outbox = Shelf(50)
    assert outbox.filled(batch("a", 100)) == []
    assert [each.id for each in outbox.filled(batch("b", 100))] == ["a"]


def test_room_is_given_back() -> None:
    outbox = Shelf(300)
    first = batch("a", 300)
    outbox.put(first)
    assert outbox.remove(first)
    assert not outbox.remove(first)
    second = batch("b", 300)
    assert outbox.filled(second) == []
    outbox.replace(second, [batch("b.0", 100), batch("b.1", 100)])
    assert outbox.filled(batch("c", 100)) == []
    assert [each.id for each in outbox.clear()] == ["b.0", "b.1", "c"]
    assert outbox.filled(batch("d", 300)) == []


def test_a_batch_that_went_cannot_be_begun_or_replaced() -> None:
    outbox = Shelf(100)
    first = batch("a")
    outbox.put(first)
    outbox.put(batch("b"))
    assert not outbox.begin(first)
    assert not outbox.replace(first, [batch("a.0")])
    assert len(outbox) == 1


def test_successors_take_the_place_of_what_they_replace() -> None:
    outbox = Shelf(1000)
    first = batch("a")
    outbox.put(first)
    outbox.put(batch("b"))
    outbox.replace(first, [batch("a.0"), batch("a.1")])
    assert [each.id for each in outbox.clear()] == ["a.0", "a.1", "b"]


def test_it_knows_whether_something_older_is_left() -> None:
    outbox = Shelf(1000)
    outbox.put(batch("a", ordinal=10))
    assert outbox.holds_before(11)
    assert not outbox.holds_before(10)


def test_ids_sort_as_they_were_drawn_and_nobody_else_draws_them() -> None:
    ids, others = BatchIds(1_700_000_000.0), BatchIds(1_700_000_000.0)
    drawn = [ids.draw() for _ in range(1000)]
    assert drawn == sorted(drawn)
    assert not set(drawn) & {others.draw() for _ in range(1000)}
