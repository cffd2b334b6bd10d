"""`measure`: what a measured function logs, and that it behaves as without it, whichever kind of callable it is."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from logcollector_handler import measure, timer
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.delivery.harness import FakeClock
from tests.timing.entries import only


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
