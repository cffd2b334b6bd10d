"""`@measure` without a name, with and without parentheses: the message is the function's own name."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from logcollector_handler import LogClient, measure
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.delivery.harness import FakeClock
from tests.timing.entries import only


@measure
def pay(amount: float, *, fee: float = 0.0) -> float:
    """Pays."""
    if amount < 0:
        raise ValueError("no")
    return amount + fee


@measure
async def fetch(number: int) -> int:
    await asyncio.sleep(0)
    return number


@measure
def numbers() -> Iterator[int]:
    yield 1
    raise ValueError("not timed")


class Shop:
    @measure
    def method(self) -> str:
        return "method"

    @measure
    @classmethod
    def above_class(cls) -> str:
        return "above_class"

    @classmethod
    @measure
    def below_class(cls) -> str:
        return "below_class"

    @measure
    @staticmethod
    def above_static() -> str:
        return "above_static"

    @staticmethod
    @measure
    def below_static() -> str:
        return "below_static"

    @property
    @measure
    def below_property(self) -> str:
        return "below_property"

    @measure
    def __call__(self) -> str:
        return "__call__"


def test_a_function_is_logged_under_its_own_name(handler: CapturingHandler) -> None:
    assert pay(1.0, fee=0.5) == 1.5
    entry = only(handler)
    assert (entry["level"], entry["message"], entry["function_name"]) == ("INFO", "pay", "pay")
    assert (entry["duration_ms"], fields(entry), entry["metadata"]["logger"]) == (0, {}, __name__)
    assert (pay.__name__, pay.__doc__) == ("pay", "Pays.")
    assert str(inspect.signature(pay)) == "(amount: 'float', *, fee: 'float' = 0.0) -> 'float'"


def test_a_function_that_raises_is_an_error_under_its_own_name(handler: CapturingHandler) -> None:
    with pytest.raises(ValueError, match="no"):
        pay(-1)
    assert (only(handler)["level"], only(handler)["message"]) == ("ERROR", "pay")


def test_a_coroutine_function_is_measured_until_it_finishes(handler: CapturingHandler, clock: FakeClock) -> None:
    @measure
    async def slow(seconds: float) -> None:
        await asyncio.sleep(0)
        clock.advance(seconds)

    assert inspect.iscoroutinefunction(slow)
    asyncio.run(slow(2))
    assert asyncio.run(fetch(3)) == 3
    assert [(entry["message"], entry["duration_ms"]) for entry in handler.entries] == [("slow", 2000), ("fetch", 0)]


def test_of_a_generator_function_only_the_making_of_the_generator_is_measured(handler: CapturingHandler) -> None:
    made = numbers()
    assert only(handler)["message"] == "numbers"
    assert next(made) == 1
    with pytest.raises(ValueError, match="not timed"):
        next(made)
    assert only(handler)["level"] == "INFO"


def test_methods_of_every_kind_are_logged_with_their_class(handler: CapturingHandler) -> None:
    shop = Shop()
    calls: list[Callable[[], str]] = [
        *(shop.method, shop.above_class, Shop.below_class, shop.above_static, Shop.below_static, shop),
    ]
    returned = [*(call() for call in calls), shop.below_property]
    assert returned[0] == "method"
    assert [entry["message"] for entry in handler.entries] == [f"Shop.{name}" for name in returned]


def test_callables_that_are_not_python_functions_have_a_name_too(handler: CapturingHandler) -> None:
    on = logging.getLogger(__name__)
    assert measure(logger=on)(sum)([1, 2]) == 3
    assert measure(logger=on)(functools.partial(len, "ab"))() == 2
    assert measure(logger=on)(Mock(return_value=4))() == 4
    assert [entry["message"] for entry in handler.entries] == ["sum", "partial", "Mock"]


def test_parentheses_without_a_name_take_fields_logger_and_level(handler: CapturingHandler) -> None:
    @measure(level=logging.DEBUG, currency="EUR")
    def refund() -> None: ...

    @measure()
    def cancel() -> None: ...

    refund()
    cancel()
    first, second = handler.entries
    assert (first["message"], first["level"], fields(first)) == ("refund", "DEBUG", {"currency": "EUR"})
    assert (second["message"], second["level"], fields(second)) == ("cancel", "INFO", {})


def test_an_empty_name_is_a_name(handler: CapturingHandler) -> None:
    measure("", logger=logging.getLogger(__name__))(len)("")
    assert only(handler)["message"] == ""


@pytest.mark.parametrize("wrong", [5, b"name", ["pay"]])
def test_what_is_neither_a_name_nor_a_function_is_refused_where_it_stands(wrong: Any) -> None:
    with pytest.raises(TypeError, match="measure takes a name or a function, not"):
        measure(wrong)


def test_the_measure_of_a_client_works_without_parentheses_too() -> None:
    client = LogClient()
    records: list[logging.LogRecord] = []
    client.handler.addFilter(lambda record: records.append(record) or False)  # type: ignore[func-returns-value]

    @client.measure
    def sell(item: str) -> int:
        return len(item)

    @client.measure()
    def buy(item: str) -> int:
        return len(item)

    assert (sell("book"), buy("pen")) == (4, 3)
    assert [record.msg for record in records] == ["sell", "buy"]
    client.close()
