"""Timers: what they log, with which call site, and that the timed code behaves as without them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import Mock

import pytest

from logcollector_handler import end_timer, measure, start_timer, timer, timing
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields
from tests.delivery.harness import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    made = FakeClock()
    monkeypatch.setattr(timing, "clock", made)
    return made


@pytest.fixture
def handler(clock: FakeClock) -> Iterator[CapturingHandler]:
    with capturing(__name__) as made:
        yield made


def only(handler: CapturingHandler) -> dict[str, Any]:
    (entry,) = handler.entries
    return entry


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
    assert fields(entry) == {"name": "cart", "args": [1], "message": "m", "created": 5, "a": 1}


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


# measure


@measure("Process payment", currency="EUR")
def pay(amount: float, *, fee: float = 0.0) -> float:
    """Pays."""
    if amount < 0:
        charge()
    return amount + fee


def charge() -> None:
    raise ValueError("no")


@measure("Fetch")
async def fetch(number: int) -> int:
    await asyncio.sleep(0)
    if number < 0:
        charge()
    return number


class Shop:
    @measure("method")
    def method(self) -> str:
        return type(self).__name__

    @measure("above class")
    @classmethod
    def above_class(cls) -> str:
        return cls.__name__

    @classmethod
    @measure("below class")
    def below_class(cls) -> str:
        return cls.__name__

    @measure("above static")
    @staticmethod
    def above_static() -> str:
        return "static"

    @staticmethod
    @measure("below static")
    def below_static() -> str:
        return "static"


def test_a_measured_function_is_logged_with_its_own_definition_as_call_site(handler: CapturingHandler) -> None:
    assert pay(1.0, fee=0.5) == 1.5
    entry = only(handler)
    assert (entry["level"], entry["message"], fields(entry)) == ("INFO", "Process payment", {"currency": "EUR"})
    assert (entry["function_name"], entry["file_path"], entry["metadata"]["logger"]) == ("pay", __file__, __name__)
    assert entry["metadata"]["line"] == inspect.unwrap(pay).__code__.co_firstlineno
    assert entry["duration_ms"] == 0


def test_a_measured_function_that_raises_is_an_error_with_the_raising_line_as_call_site(
    handler: CapturingHandler,
) -> None:
    with pytest.raises(ValueError, match="no"):
        pay(-1)
    entry = only(handler)
    assert (entry["level"], entry["error_type"], entry["function_name"]) == ("ERROR", "ValueError", "charge")
    assert "in pay" in entry["stack_trace"]
    assert "duration_ms" in entry


def test_a_decorated_function_keeps_its_name_docstring_and_signature() -> None:
    assert (pay.__name__, pay.__doc__) == ("pay", "Pays.")
    assert str(inspect.signature(pay)) == "(amount: 'float', *, fee: 'float' = 0.0) -> 'float'"
    assert inspect.iscoroutinefunction(fetch)
    assert not inspect.iscoroutinefunction(pay)


def test_methods_of_every_kind_are_measured(handler: CapturingHandler) -> None:
    shop = Shop()
    calls: list[Callable[[], str]] = [
        *(shop.method, shop.above_class, Shop.below_class, shop.above_static, Shop.below_static),
    ]
    assert [call() for call in calls] == ["Shop", "Shop", "Shop", "static", "static"]
    assert [(entry["message"], entry["function_name"]) for entry in handler.entries] == [
        ("method", "method"),
        ("above class", "above_class"),
        ("below class", "below_class"),
        ("above static", "above_static"),
        ("below static", "below_static"),
    ]


def test_callables_that_are_not_python_functions_are_measured_too(handler: CapturingHandler) -> None:
    assert measure("sum", logger=logging.getLogger(__name__))(sum)([1, 2]) == 3
    assert measure("part", logger=logging.getLogger(__name__))(functools.partial(pay, 2.0))() == 2.0
    assert measure("mock", logger=logging.getLogger(__name__))(Mock(return_value=4))() == 4
    assert [entry["message"] for entry in handler.entries] == ["sum", "Process payment", "part", "mock"]


def test_each_recursive_call_is_measured(handler: CapturingHandler, clock: FakeClock) -> None:
    @measure("down")
    def down(left: int) -> None:
        clock.advance(1)
        if left:
            down(left - 1)

    down(2)
    assert [entry["duration_ms"] for entry in handler.entries] == [1000, 2000, 3000]


def test_coroutine_functions_are_measured_until_they_finish(handler: CapturingHandler, clock: FakeClock) -> None:
    @measure("slow")
    async def slow(seconds: float) -> None:
        await asyncio.sleep(0)
        clock.advance(seconds)

    async def main() -> list[int]:
        await slow(2)
        return await asyncio.gather(*map(fetch, range(5)))

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]
    slow_entry, *others = handler.entries
    assert (slow_entry["message"], slow_entry["duration_ms"]) == ("slow", 2000)
    assert [entry["message"] for entry in others] == ["Fetch"] * 5


def test_a_coroutine_that_raises_is_an_error(handler: CapturingHandler) -> None:
    with pytest.raises(ValueError, match="no"):
        asyncio.run(fetch(-1))
    entry = only(handler)
    assert (entry["level"], entry["error_type"], entry["function_name"]) == ("ERROR", "ValueError", "charge")


def test_a_cancelled_task_is_not_logged_as_an_error(handler: CapturingHandler, clock: FakeClock) -> None:
    @measure("wait")
    async def wait() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        clock.advance(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    entry = only(handler)
    assert (entry["level"], entry["error_type"], entry["duration_ms"]) == ("INFO", "CancelledError", 1000)
    assert "stack_trace" not in entry


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt(), GeneratorExit()])
def test_a_base_exception_is_raised_further_and_not_logged_as_an_error(
    error: BaseException, handler: CapturingHandler
) -> None:
    with pytest.raises(type(error)), timer("t"):
        raise error
    assert (only(handler)["level"], only(handler)["error_type"]) == ("INFO", type(error).__name__)
