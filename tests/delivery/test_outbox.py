"""The outbox in memory: order, room, and what may go when there is none."""

from __future__ import annotations

import tracemalloc
from types import MappingProxyType

from logcollector_handler.delivery.batch import Batch, BatchIds
from logcollector_handler.delivery.ledger import Ledger
from logcollector_handler.delivery.outbox import MemoryOutbox, Replaced
from tests.delivery.harness import FakeClock


def batch(name: str, size: int = 100, ordinal: int = 0, losses: int = 0) -> Batch:
    """A batch of one record, and of a notice where it tells of losses."""
    return Batch(
        id=name,
        body=b"x" * size,
        compressed=False,
        size=size,
        encoded_bytes=size,
        count=1,
        entries=2 if losses else 1,
        losses=MappingProxyType({"queue_full": losses} if losses else {}),
        ordinal=ordinal,
    )


class Filled:
    """An outbox in memory with room for so many batches of 100 bytes, and what its ledger says."""

    def __init__(self, room: int, *batches: Batch) -> None:
        self.ledger = Ledger(FakeClock())
        self.outbox = MemoryOutbox(room * batch("any").memory_bytes, self.ledger)
        for each in batches:
            self.put(each)

    def put(self, batch: Batch) -> None:
        self.ledger.take(batch.count)
        self.outbox.put(batch)

    @property
    def ids(self) -> list[str]:
        """What is in it, in the order in which it would go."""
        return [each.id for each in self.outbox._batches]

    @property
    def dropped(self) -> dict[str, int]:
        return dict(self.ledger.snapshot().dropped)


def test_the_oldest_that_is_not_set_aside_is_next() -> None:
    first, second = batch("a"), batch("b")
    outbox = Filled(10, first, second).outbox
    assert outbox.next() is first
    outbox.set_aside(first)
    assert outbox.next() is second
    outbox.set_aside(second)
    assert outbox.next() is None
    assert len(outbox) == 2


def test_a_batch_that_is_not_here_cannot_be_set_aside() -> None:
    filled = Filled(10)
    filled.outbox.set_aside(batch("a"))
    filled.put(batch("a"))
    assert filled.outbox.next() is not None


def test_without_room_the_oldest_go() -> None:
    filled = Filled(3, *(batch(name) for name in "abcde"))
    assert filled.ids == ["c", "d", "e"]
    assert filled.dropped == {"buffer_full": 2}


def test_what_is_in_flight_never_goes() -> None:
    flying = batch("a")
    filled = Filled(2, flying)
    assert filled.outbox.begin(flying) is flying
    filled.put(batch("b"))
    filled.put(batch("c"))
    assert filled.ids == ["a", "c"]
    filled.outbox.end(flying)
    filled.put(batch("d"))
    assert filled.ids == ["c", "d"]


def test_the_batch_that_comes_is_not_the_one_that_goes() -> None:
    filled = Filled(0, batch("a"))
    assert filled.ids == ["a"]
    filled.put(batch("b"))
    assert filled.ids == ["b"]


def test_losses_that_a_dropped_batch_was_to_tell_of_are_told_by_the_next() -> None:
    filled = Filled(1, batch("a", losses=7), batch("b"))
    assert filled.dropped == {"buffer_full": 1}
    assert filled.ledger.take_losses() == {"buffer_full": 1, "queue_full": 7}


def test_room_is_given_back() -> None:
    first, second = batch("a", 3000), batch("b", 3000)
    filled = Filled(3, first)
    assert filled.outbox.remove(first)
    assert not filled.outbox.remove(first)
    filled.put(second)
    assert filled.outbox.replace(second, [batch("b.0"), batch("b.1")]) is Replaced.DONE
    filled.put(batch("c"))
    assert filled.dropped == {}
    filled.put(batch("d"))
    assert filled.ids == ["b.1", "c", "d"]
    assert filled.outbox.bury(batch("b.1"))
    filled.put(batch("e"))
    assert filled.ids == ["c", "d", "e"]


def test_a_batch_that_went_cannot_be_begun_loaded_buried_or_replaced() -> None:
    gone = batch("a")
    filled = Filled(1, gone, batch("b"))
    assert filled.outbox.begin(gone) is None
    assert filled.outbox.load(gone) is None
    assert not filled.outbox.bury(gone)
    assert filled.outbox.replace(gone, [batch("a.0")]) is Replaced.GONE
    assert filled.ids == ["b"]


def test_a_batch_comes_with_its_body() -> None:
    here = batch("a")
    assert Filled(1, here).outbox.load(here) is here


def test_successors_take_the_place_of_what_they_replace() -> None:
    first = batch("a")
    filled = Filled(10, first, batch("b"))
    filled.outbox.set_aside(first)
    assert filled.outbox.replace(first, [batch("a.0"), batch("a.1")]) is Replaced.DONE
    assert filled.ids == ["a.0", "a.1", "b"]


def test_the_end_of_the_process_drops_everything() -> None:
    filled = Filled(10, batch("a"), batch("b"))
    filled.outbox.drop_memory("shutdown")
    assert len(filled.outbox) == 0
    assert filled.dropped == {"shutdown": 2}
    filled.put(batch("c"))
    assert filled.ids == ["c"]
    assert not filled.outbox.durable
    assert filled.outbox.look() is None


def test_batches_of_one_record_take_no_more_memory_than_the_limit() -> None:
    """Beside a small body, what a batch takes of its own is most of it."""
    ids = BatchIds(1_700_000_000.0)
    limit = 4 << 20
    outbox = MemoryOutbox(limit, Ledger(FakeClock()))
    tracemalloc.start()
    for number in range(limit // 300):
        outbox.put(batch(ids.draw(), 200 + number % 50, ordinal=number))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(outbox) > limit // 2000
    assert taken < limit


def test_it_knows_whether_something_older_is_left() -> None:
    outbox = Filled(10, batch("a", ordinal=10)).outbox
    assert outbox.holds_before(11)
    assert not outbox.holds_before(10)


def test_ids_sort_as_they_were_drawn_and_nobody_else_draws_them() -> None:
    ids, others = BatchIds(1_700_000_000.0), BatchIds(1_700_000_000.0)
    drawn = [ids.draw() for _ in range(1000)]
    assert drawn == sorted(drawn)
    assert not set(drawn) & {others.draw() for _ in range(1000)}


def test_a_copy_of_the_process_draws_other_ids() -> None:
    ids, copied = BatchIds(1_700_000_000.0), BatchIds(1_700_000_000.0)
    # Made anew, because from Python 3.12 on what counts the numbers does not like to be copied.
    copied.owner = ids.owner
    assert not {ids.draw() for _ in range(1000)} & {copied.draw() for _ in range(1000)}


def test_a_flush_waits_for_a_batch_that_is_delivered_but_not_counted_yet() -> None:
    first = batch("a")
    outbox = Filled(10, first).outbox
    outbox.begin(first)
    outbox.remove(first)
    assert outbox.holds_before(first.ordinal + 1)
    outbox.end(first)
    assert not outbox.holds_before(first.ordinal + 1)
