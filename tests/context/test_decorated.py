"""`log_context` as a decorator: each call of the function has the fields, also when it is a coroutine function."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from logcollector_handler import bind_context, log_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.context.logged import logged


def test_each_call_of_a_decorated_function_has_the_fields(handler: CapturingHandler) -> None:
    @log_context(user_id=7, self="s", region="eu")
    def work(number: int) -> int:
        """Works."""
        entry = logged(handler)
        assert (entry["user_id"], fields(entry)) == ("7", {"self": "s", "region": "eu"})
        return number

    assert [work(1), work(2)] == [1, 2]
    assert fields(logged(handler)) == {}
    assert (work.__name__, work.__doc__, str(inspect.signature(work))) == ("work", "Works.", "(number: 'int') -> 'int'")


def test_a_decorated_coroutine_function_has_the_fields_until_it_finishes(handler: CapturingHandler) -> None:
    @log_context(user_id=7)
    async def work(region: str) -> None:
        bind_context(region=region)
        await asyncio.sleep(0)
        entry = logged(handler)
        assert (entry["user_id"], fields(entry)) == ("7", {"region": region})

    async def main() -> None:
        await work("eu")
        await asyncio.gather(work("us"), work("asia"))
        assert fields(logged(handler)) == {}

    assert inspect.iscoroutinefunction(work)
    asyncio.run(main())


def test_a_context_may_be_entered_again_but_not_inside_itself(handler: CapturingHandler) -> None:
    block = log_context(user_id=7)
    for _ in range(2):
        with block:
            assert logged(handler)["user_id"] == "7"
            with pytest.raises(RuntimeError, match="make another one"), block:
                pass
        assert "user_id" not in logged(handler)
