"""Timers of blocks: what they log, with which call site, and that the timed code behaves as without them."""

from __future__ import annotations

import inspect
import logging
import threading
from contextlib import ExitStack

import pytest

from logcollector_handler import end_timer, start_timer, timer
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields
from tests.delivery.harness import FakeClock
from tests.timing.entries import only


def line_here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_a_block_is_logged_with_its_duration_fields_and_call_site(handler: CapturingHandler, clock: FakeClock) -> None:
    with timer("Database query", rows=3, user_id=7):
        clock.advance(0.0123456)
        assert handler.entries == []
    entry = only(handler)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("INFO", "Database query", "7")
    assert (entry["duration_ms"], fields(entry)) == (12.346, {"rows": 3})
    assert (entry["file_path"], entry["function_name"]) == (
        __file__,
        "test_a_block_is_logged_with_its_duration_fields_and_call_site",
    )
    assert entry["metadata"]["logger"] == __name__
    assert abs(entry["metadata"]["line"] - line_here()) < 15


def test_time_before_and_after_the_block_does_not_count(handler: CapturingHandler, clock: FakeClock) -> None:
    made = timer("t")
    clock.advance(5)
    with made:
        clock.advance(1)
    assert only(handler)["duration_ms"] == 1000


def test_the_message_gets_no_percent_formatting(handler: CapturingHandler) -> None:
    with timer("100 %d"):
        pass
    assert only(handler)["message"] == "100 %d"


def test_fields_may_be_named_like_attributes_of_a_record(handler: CapturingHandler) -> None:
    with timer("t", name="cart", args=[1], message="m", created=5, duration_ms="mine", metadata={"a": 1}):
        pass
    entry = only(handler)
    assert (entry["message"], entry["duration_ms"], entry["metadata"]["logger"]) == ("t", 0, __name__)
    assert entry["created_at"] > 5
    assert fields(entry) == {
        "name": "cart",
        "args": [1],
        "message": "m",
        "created": 5,
        "a": 1,
        "duration_ms (2)": "mine",
    }


def fail(error: Exception, clock: FakeClock) -> None:
    clock.advance(1)
    raise error


def test_a_block_that_raises_is_logged_as_an_error_with_its_trace_and_raises_further(
    handler: CapturingHandler, clock: FakeClock
) -> None:
    error = ValueError("why")
    with pytest.raises(ValueError, match="why") as caught, timer("Query", rows=3):
        fail(error, clock)
    assert caught.value is error
    entry = only(handler)
    assert (entry["level"], entry["message"], entry["duration_ms"]) == ("ERROR", "Query", 1000)
    assert (entry["error_type"], fields(entry)) == ("ValueError", {"rows": 3})
    assert entry["stack_trace"].endswith("ValueError: why")
    assert entry["function_name"] == "fail"


def test_logger_and_level_can_be_chosen(handler: CapturingHandler) -> None:
    other = logging.getLogger("other")
    with capturing("other") as elsewhere:
        with timer("t", logger=other, level=logging.DEBUG):
            pass
        with pytest.raises(ValueError, match="x"), timer("t", logger=other, level=logging.CRITICAL):
            raise ValueError("x")
        other.setLevel(logging.WARNING)
        with timer("t", logger=other):
            pass
    assert [(entry["level"], entry["metadata"]["logger"]) for entry in elsewhere.entries] == [
        ("DEBUG", "other"),
        ("FATAL", "other"),
    ]
    assert handler.entries == []


def test_a_timer_on_an_exit_stack_logs_the_place_of_the_with_block(handler: CapturingHandler) -> None:
    with ExitStack() as stack:
        stack.enter_context(timer("t"))
    assert only(handler)["function_name"] == "test_a_timer_on_an_exit_stack_logs_the_place_of_the_with_block"


def test_nested_timers_each_measure_their_own_block(handler: CapturingHandler, clock: FakeClock) -> None:
    with timer("outer"):
        clock.advance(1)
        with timer("inner"):
            clock.advance(2)
        clock.advance(4)
    assert [(entry["message"], entry["duration_ms"]) for entry in handler.entries] == [("inner", 2000), ("outer", 7000)]


def test_start_and_end_log_one_record_with_the_fields_of_both(handler: CapturingHandler, clock: FakeClock) -> None:
    started = start_timer("Import", source="csv", rows=0)
    clock.advance(1.5)
    assert end_timer(started, rows=3) == 1500
    entry = only(handler)
    assert (entry["message"], entry["duration_ms"], fields(entry)) == ("Import", 1500, {"source": "csv", "rows": 3})
    assert entry["function_name"] == "test_start_and_end_log_one_record_with_the_fields_of_both"
    clock.advance(1)
    assert end_timer(started) == 2500


def test_timers_of_different_threads_do_not_mix(handler: CapturingHandler, clock: FakeClock) -> None:
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        with timer("t", number=number):
            barrier.wait(60)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fields(entry)["number"] for entry in handler.entries) == [0, 1, 2, 3]
