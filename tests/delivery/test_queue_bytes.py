"""The queue is bounded in bytes: which entries are large, what a full queue does, and how the listener takes them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from sys import getsizeof
from typing import Any

import msgspec
import pytest

from logcollector_handler.context import current_fields, log_context
from logcollector_handler.delivery.pipeline import entry_builder
from logcollector_handler.settings import Settings
from tests.delivery.harness import no_connection
from tests.delivery.pipelines import PipelineBench, RunningClock, records_add_up

KIB = 1024
#: A slot of the default queue.
SLOT = 64 * KIB * KIB // 10_000


def make(max_queue_bytes: int = 100 * KIB, **changes: Any) -> PipelineBench:
    bench = PipelineBench(max_queue_bytes=max_queue_bytes, **{"max_queue_size": 100, **changes})
    # Nobody waits for the listener, which is this thread.
    bench.pipeline.queue.is_stuck = True
    return bench


def log(bench: PipelineBench, *messages: str, **fields: Any) -> None:
    for message in messages:
        record = logging.LogRecord("shop", 20, __file__, 1, message, None, None)
        record.__dict__.update(fields)
        bench.pipeline.queue.is_stuck = True
        bench.pipeline.handler.emit(record)


def large(name: str, size: int = 20 * KIB) -> str:
    return f"{name} ".ljust(size, "x")


def names(bench: PipelineBench) -> list[str]:
    return [message.split()[0] for message in bench.queued]


def drop_all(bench: PipelineBench) -> list[Any]:
    """The listener takes everything from the queue."""
    taken = []
    while bench.pipeline.queue:
        taken += bench.pipeline.queue.take(10_000, bench.pipeline.ledger).entries
        bench.pipeline.queue.moved()
    return taken


# What is large


def raised(error: BaseException) -> Any:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - any kind
        return type(caught), caught, caught.__traceback__


def noted(error: BaseException, note: str) -> BaseException:
    error.__notes__ = [note]  # type: ignore[attr-defined]  # as `add_note` does from Python 3.11 on
    return error


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def deep(depth: int) -> None:
    if depth:
        deep(depth - 1)
    raise ValueError("deep")


def raised_deep() -> Any:
    try:
        deep(900)
    except ValueError as error:
        return ValueError, error, error.__traceback__


TEXT = "x" * 100 * KIB
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "message": lambda: {"msg": TEXT},
    "message of wide characters": lambda: {"msg": "\N{SNOWMAN}" * 50 * KIB},
    "message that is rendered": lambda: {"msg": "%s", "args": (TEXT,)},
    "extra": lambda: {"body": TEXT},
    "many extras": lambda: {f"field{number}": "x" * 100 for number in range(KIB)},
    "many numbers": lambda: {f"field{number}": number + 1000 for number in range(KIB)},
    "list": lambda: {"items": ["x" * KIB] * 100},
    "own stack trace": lambda: {"stack_trace": TEXT},
    "exception": lambda: {"exc_info": raised(ValueError(TEXT))},
    "exception with a note": lambda: {"exc_info": raised(noted(ValueError("x"), TEXT))},
    "exception with a cause": lambda: {"exc_info": raised(caused(ValueError("x"), KeyError(TEXT)))},
    "exception with many frames": lambda: {"exc_info": raised_deep()},
    "exception of another process": lambda: {"exc_text": f"ValueError: {TEXT}"},
    "stack info": lambda: {"stack_info": TEXT},
    "dict message": lambda: {"msg": {"event": "hello", "body": TEXT}},
    "long dict message": lambda: {"msg": {"event": TEXT}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_takes_as_much_room_as_it_is_large_whatever_makes_it_large(kind: str) -> None:
    bench = make(max_queue_bytes=400 * KIB)
    record = logging.makeLogRecord({"levelno": 20, "msg": "hello", **KINDS[kind]()})
    for _ in range(20):
        bench.pipeline.queue.is_stuck = True
        bench.pipeline.handler.emit(record)
    # What takes 100 KiB as text may take less or more as objects.
    assert 2 <= len(bench.pipeline.queue) <= 8
    assert bench.stats().dropped == {"queue_full": 20 - len(bench.pipeline.queue)}
    assert records_add_up(bench.stats())


def test_fields_that_are_bound_count_for_each_record() -> None:
    weighed: list[int] = []
    with log_context(body=TEXT):
        builder = entry_builder(Settings(), bound=current_fields)
        for _ in range(2):
            builder.build(logging.makeLogRecord({"levelno": 20, "msg": "hello"}), weighed.append)
    assert len(weighed) == 2
    assert min(weighed) >= 100 * KIB


def test_usual_entries_take_one_slot_each_and_are_not_weighed() -> None:
    weighed: list[int] = []
    builder = entry_builder(Settings())
    usual = {"msg": "order 7 placed " * 20, "user_id": "u-1", "amount": 12.5, "path": "/checkout", "coupon": None}
    builder.build(logging.makeLogRecord({"levelno": 20, **usual}), weighed.append)
    builder.build(logging.makeLogRecord({"levelno": 20, "msg": "x", "items": [1, 2, 3], "when": 5}), weighed.append)
    assert weighed == []
    error = ValueError("wrong")
    error.__cause__ = KeyError("missing")
    builder.build(logging.makeLogRecord({"levelno": 20, "msg": "x", "exc_info": raised(error)}), weighed.append)
    assert 0 < max(weighed) < SLOT


@pytest.mark.parametrize("character", ["x", "\xe9", "\N{SNOWMAN}", "\N{PILE OF POO}"])
def test_no_message_that_is_not_weighed_takes_more_than_a_slot(character: str) -> None:
    weighed: list[int] = []
    builder = entry_builder(Settings())
    for length in range(100, 8000, 100):
        weighed.clear()
        builder.build(logging.makeLogRecord({"levelno": 20, "msg": character * length}), weighed.append)
        assert sum(weighed) or getsizeof(character * length) <= SLOT
        assert not weighed or weighed == [getsizeof(character * length)]


# A full queue


def test_a_queue_that_is_full_of_bytes_gives_up_the_oldest() -> None:
    bench = make()
    log(bench, *(large(name) for name in "abcdefg"))
    assert names(bench) == ["c", "d", "e", "f", "g"], "as many as fit, and one of whose room a part was taken"
    assert bench.stats().dropped == {"queue_full": 2}
    assert bench.stats().pending == 5
    log(bench, *(large(name) for name in "abcdefg" * 100))
    assert len(bench.pipeline.queue) == 5
    assert records_add_up(bench.stats())


def test_a_queue_that_is_full_of_bytes_gives_up_the_newest_and_the_room_that_it_had_taken() -> None:
    bench = make(overflow="drop_newest")
    log(bench, "small", *(large(name) for name in "abcdefg"))
    assert names(bench)[:4] == ["small", "a", "b", "c"]
    log(bench, "small")
    assert names(bench)[-1] == "small", "there is room for that"
    assert records_add_up(bench.stats())


def test_small_records_find_the_room_that_large_ones_leave() -> None:
    bench = make(max_queue_size=10, max_queue_bytes=10 * KIB)
    log(bench, large("a", 4 * KIB), large("b", 4 * KIB), *"cdefghijkl")
    assert names(bench)[-10:] == [*"cdefghijkl"]
    assert len(bench.pipeline.queue) <= 11


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "block"])
@pytest.mark.parametrize("limit", [KIB, 8 * KIB, 100 * KIB])
def test_a_record_that_is_larger_than_the_queue_goes_when_the_queue_is_empty(overflow: str, limit: int) -> None:
    # Its clock runs, because a caller whose record does not fit waits for the listener.
    bench = PipelineBench(RunningClock(), max_queue_bytes=limit, overflow=overflow, max_queue_size=100)
    bench.on_start = lambda: bool(bench.listen()) or True
    for number in range(3):
        log(bench, large(f"alone{number}", 200 * KIB), body="x" * 200 * KIB)
        bench.send()
        bench.listen()
        bench.clock.advance(2)
        bench.listen()
        bench.send()
    assert [message.split()[0] for batch in bench.batches for message in batch] == ["alone0", "alone1", "alone2"]
    assert bench.stats().dropped == {}


def test_a_large_record_that_blocks_waits_until_there_is_room_for_all_of_it() -> None:
    bench = PipelineBench(RunningClock(), overflow="block", max_queue_size=100, max_queue_bytes=100 * KIB)
    log(bench, large("a", 60 * KIB))
    blocked = threading.Event()
    bench.on_start = lambda: blocked.set() or True  # type: ignore[func-returns-value]  # set, and go on
    thread = threading.Thread(target=log, args=(bench, large("b", 60 * KIB)))
    thread.start()
    assert blocked.wait(60)
    thread.join(0.05)
    assert thread.is_alive()
    drop_all(bench)
    thread.join(60)
    assert not thread.is_alive()
    assert bench.stats().dropped == {}


def test_stats_and_flush_count_records_and_not_the_room_that_they_take() -> None:
    bench = make()
    log(bench, large("a"), large("b"))
    assert (bench.stats().accepted, bench.stats().pending, len(bench.pipeline.queue)) == (2, 2, 2)
    assert not bench.pipeline.workers.flush(0.0)
    while bench.pipeline.queue:
        bench.listen()
        bench.send()
        log(bench, *"x" * (not bench.batches))
    assert bench.pipeline.workers.flush(0.0)


def test_a_queue_with_room_for_less_bytes_than_records_holds_fewer_records() -> None:
    bench = make(max_queue_bytes=4 * KIB, max_queue_size=10_000, batch_size=10_000)
    log(bench, *map(str, range(100)))
    assert len(bench.pipeline.queue) == 8, "each counts for half a KiB at least"
    assert bench.listen() == 0.0, "that is a full batch"


# The listener


def test_the_listener_takes_no_more_than_a_batch_has_room_for() -> None:
    bench = PipelineBench()
    log(bench, *(large(str(number), 200_000) for number in range(100)))
    taken = bench.pipeline.queue.take(1000, bench.pipeline.ledger).entries
    assert 3 * KIB * KIB < sum(len(entry.message) for entry in taken) <= 4 * KIB * KIB
    rest = drop_all(bench)
    assert [entry.message.split()[0] for entry in taken + rest] == [str(number) for number in range(100)]
    assert bench.stats().pending == 100


def test_room_that_large_records_take_does_not_wake_the_listener_for_every_record_behind_them() -> None:
    bench = PipelineBench(batch_size=500)
    bench.pipeline.queue.is_stuck = True
    log(bench, *(large(str(number), 100_000) for number in range(20)))
    bench.pipeline.queue.relax(500)
    bench.starts = 0
    log(bench, *map(str, range(479)))
    assert bench.starts == 0
    log(bench, "the last of a batch")
    assert bench.starts == 1


def test_usual_entries_are_taken_by_number() -> None:
    bench = PipelineBench()
    log(bench, *map(str, range(2000)))
    assert [len(bench.pipeline.queue.take(1000, bench.pipeline.ledger).entries) for _ in range(2)] == [1000, 1000]


def test_a_batch_of_large_records_goes_without_waiting_for_its_number_of_records() -> None:
    bench = PipelineBench()
    log(bench, *(large(str(number), 200_000) for number in range(40)))
    assert bench.listen() == 0.0
    assert len(bench.batches[0]) >= 15
    assert bench.scripted.requests[0].compressed


@pytest.mark.parametrize("durability", ["memory", "record"])
def test_a_queue_that_is_full_before_it_has_a_batch_is_emptied_at_once(tmp_path: Path, durability: str) -> None:
    bench = make(100 * KIB) if durability == "memory" else make_journal(tmp_path, max_queue_bytes=100 * KIB)
    log(bench, *(large(name, 30 * KIB) for name in "abc"))
    assert bench.listen() == bench.settings.flush_interval
    log(bench, large("d", 30 * KIB))
    assert bench.listen() == 0.0
    bench.pipeline.workers.abandon()


def test_entries_are_encoded_a_few_at_a_time_if_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = msgspec.json.Encoder

    class Encoder:
        def __init__(self, **settings: Any) -> None:
            self._encoder = real(**settings)

        def encode(self, entries: Any) -> bytes:
            encoded: bytes = self._encoder.encode(entries)
            sizes.append(len(encoded))
            return encoded

    monkeypatch.setattr(msgspec.json, "Encoder", Encoder)
    bench = PipelineBench()
    log(bench, *(large(str(number), 200_000) for number in range(40)))
    bench.pipeline.listener.flush_to(40)
    while bench.listen() == 0.0:
        pass
    assert max(sizes) < KIB * KIB
    sizes.clear()
    log(bench, *map(str, range(1000)))
    bench.pipeline.listener.flush_to(10_000)
    while bench.listen() == 0.0:
        pass
    assert len(sizes) < 40, "small ones are encoded many at a time"


# The journal


def make_journal(directory: Path, **changes: Any) -> PipelineBench:
    return make(spool_dir=str(directory), durability="record", **changes)


def test_a_journal_that_is_full_of_bytes_turns_records_away(tmp_path: Path) -> None:
    limits = {"max_batch_bytes": 20 * KIB, "max_record_bytes": 20 * KIB, "batch_size": 10}
    bench = make_journal(tmp_path, max_queue_bytes=50 * KIB, **limits)
    log(bench, *(large(name, 10 * KIB) for name in "abcdefgh"))
    assert bench.stats().dropped == {"queue_full": 3}
    assert sum(file.size for file in bench.files) <= 60 * KIB
    bench.clock.advance(10)
    while bench.listen() is not None:
        bench.clock.advance(10)
    bench.send()
    log(bench, "after")
    assert bench.stats().dropped == {"queue_full": 3}
    assert records_add_up(bench.stats())
    bench.pipeline.workers.abandon()


def test_a_record_that_is_larger_than_the_journal_goes_when_the_journal_is_empty(tmp_path: Path) -> None:
    bench = make_journal(tmp_path, max_queue_bytes=KIB)
    for number in range(2):
        log(bench, large(str(number), 50 * KIB))
        bench.clock.advance(10)
        bench.listen()
        bench.clock.advance(10)
        bench.listen()
    assert [len(batch) for batch in bench.batches] == [1, 1]
    assert bench.stats().dropped == {}


# Memory


def test_an_outage_under_large_records_drops_few_because_bodies_are_compressed() -> None:
    bench = PipelineBench()
    bench.scripted.rule = no_connection
    for number in range(300):
        log(bench, large(str(number), 200_000))
        if number % 30 == 29:
            bench.listen()
    bench.clock.advance(10)
    while bench.listen() is not None:
        pass
    assert bench.stats().dropped == {}
    waiting = bench.pipeline.outbox._batches  # type: ignore[attr-defined]  # of the outbox in memory
    assert sum(batch.size for batch in waiting) < 2 * KIB * KIB
