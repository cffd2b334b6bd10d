"""An exception out of a signal handler, at every point of a logging call, of `flush` and of `close` where one can come.

After each: no lock is held, the handler lives, at most the one record is missing, and it is counted at most once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import pytest

from logcollector_handler.delivery.journal import Journal
from tests.delivery.harness import WIRE
from tests.delivery.interrupted import Process, at_every_point, closed, nothing, some, some_that_wait
from tests.delivery.interrupting import ERRORS, Alarm, Interrupt, on_one

Make = Callable[..., Process]
DURABILITIES = ["memory", "batch", "record"]


def flush(process: Process) -> None:
    process.handler.flush()


def close(process: Process) -> None:
    process.handler.close()


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("prepare", [nothing, some, closed], ids=["first call", "later call", "call after close"])
@pytest.mark.parametrize("level", [logging.INFO, on_one(logging.ERROR)], ids=["plain", "urgent"])
@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_logging_call_may_be_interrupted_anywhere(
    make: Make, durability: str, level: int, prepare: Callable[[Process], None], error: type[BaseException]
) -> None:
    count = at_every_point(
        partial(make, durability), error, prepare, lambda process: process.log("this one", level), "this one"
    )
    assert count > 10


@pytest.mark.parametrize("error", ERRORS)
def test_a_call_that_writes_what_others_handed_in_may_be_interrupted_anywhere(
    make: Make, error: type[BaseException]
) -> None:
    def hand_in(process: Process) -> None:
        made = logging.makeLogRecord({"msg": "another's"})
        entry = process.pipeline.handler.prepare(made, process.pipeline.queue.reserve)
        process.logged.append("another's")
        assert isinstance(process.pipeline.queue, Journal)
        process.pipeline.queue.entries.append(WIRE.encode_line(entry, 10_000))

    def call(process: Process) -> None:
        process.log("this one")

    assert at_every_point(partial(make, "record"), error, hand_in, call, "this one") > 10


@pytest.mark.parametrize(
    ("durability", "error"), [on_one("memory", Alarm), ("batch", Interrupt), on_one("record", Alarm)]
)
def test_a_logging_call_with_an_exception_and_fields_may_be_interrupted_anywhere(
    make: Make, durability: str, error: type[BaseException]
) -> None:
    def call(process: Process) -> None:
        try:
            raise ValueError("wrong")
        except ValueError as wrong:
            record = logging.LogRecord(
                "shop", 20, __file__, 1, "this one", None, (ValueError, wrong, wrong.__traceback__)
            )
        record.__dict__.update(order=7, items=[1, 2], user_id=5)
        process.handler.handle(record)

    assert at_every_point(partial(make, durability), error, some, call, "this one") > 50


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("prepare", [on_one(nothing), some], ids=["first call", "later call"])
def test_a_call_of_a_client_may_be_interrupted_anywhere(
    make: Make, prepare: Callable[[Process], None], error: type[BaseException]
) -> None:
    def call(process: Process) -> None:
        process.client.error("this one", order=7)

    assert at_every_point(partial(make, "memory"), error, prepare, call, "this one") > 20


@pytest.mark.parametrize(
    "prepare", [nothing, some, some_that_wait, closed], ids=["nothing logged", "all sent", "some wait", "closed"]
)
@pytest.mark.parametrize("call", [flush, close])
@pytest.mark.parametrize("durability", DURABILITIES)
def test_flush_and_close_may_be_interrupted_anywhere(
    make: Make,
    durability: str,
    call: Callable[[Process], None],
    prepare: Callable[[Process], None],
) -> None:
    # When the threads are faster than the call, it has fewer points than the last time.
    assert at_every_point(partial(make, durability), Interrupt, prepare, call, None) > 1


def log_this(process: Process) -> None:
    process.log("this one", logging.ERROR)


@pytest.mark.parametrize(("call", "prepare"), [(flush, some_that_wait), (close, some_that_wait), (log_this, nothing)])
@pytest.mark.parametrize("durability", ["left batch", on_one("left record")])
def test_what_is_left_to_others_may_be_interrupted_anywhere(
    make: Make, durability: str, call: Callable[[Process], None], prepare: Callable[[Process], None]
) -> None:
    interrupted = "this one" if call is log_this else None
    assert at_every_point(partial(make, durability), Interrupt, prepare, call, interrupted) > 1


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("durability", ["memory", on_one("batch"), on_one("record")])
def test_a_logging_call_with_a_large_record_may_be_interrupted_anywhere(
    make: Make, durability: str, error: type[BaseException]
) -> None:
    """Room is reserved for its parts, and must not stay reserved where the record does not come."""

    def call(process: Process) -> None:
        record = logging.LogRecord("shop", 20, __file__, 1, "this one", None, None)
        record.__dict__.update(order=7, body="x" * 100_000, items=["x" * 100_000])
        process.handler.handle(record)

    roomy = partial(make, durability, max_queue_size=200, max_queue_bytes=200 * 4096)
    assert at_every_point(roomy, error, some, call, "this one") > 30
