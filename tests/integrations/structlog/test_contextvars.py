"""Context variables of structlog on records of the standard library, when structlog is in use."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars

from logcollector_handler import clear_context, log_context
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import chain, only

log = logging.getLogger("shop.db")


def logged(root: CapturingHandler, **extra: Any) -> dict[str, Any]:
    root.clear()
    log.info("took %d rows", 3, extra=extra)
    return only(root)


def test_a_plain_record_has_what_structlog_has_bound(root: CapturingHandler) -> None:
    assert fields(logged(root)) == {}
    bind_contextvars(user_id=7, peer="10.0.0.1", cart=["a"])
    entry = logged(root, rows=3)
    assert (entry["user_id"], fields(entry)) == ("7", {"peer": "10.0.0.1", "cart": ["a"], "rows": 3})
    with bound_contextvars(peer="10.0.0.2", password="secret"):
        assert fields(logged(root)) == {"peer": "10.0.0.2", "cart": ["a"], "password": "***"}
    assert fields(logged(root))["peer"] == "10.0.0.1"
    clear_contextvars()
    assert (fields(logged(root)), "user_id" in only(root)) == ({}, False)


def test_the_call_wins_over_bind_context_and_that_over_structlog(root: CapturingHandler) -> None:
    bind_contextvars(a="theirs", b="theirs", c="theirs")
    with log_context(a="ours", b="ours"):
        assert fields(logged(root, a="mine")) == {"a": "mine", "b": "ours", "c": "theirs"}
    clear_context()


def test_an_exception_has_them_too(root: CapturingHandler) -> None:
    bind_contextvars(peer="10.0.0.1")
    try:
        raise KeyError
    except KeyError:
        log.exception("failed")
    assert fields(only(root)) == {"peer": "10.0.0.1"}


def test_each_task_has_its_own(root: CapturingHandler) -> None:
    async def request(number: int) -> None:
        bind_contextvars(number=number)
        await asyncio.sleep(0)
        log.info("%d", number)

    async def main() -> None:
        await asyncio.gather(*map(request, range(5)))

    asyncio.run(main())
    assert [(entry["message"], fields(entry)) for entry in root.entries] == [(f"{n}", {"number": n}) for n in range(5)]


def test_a_value_is_taken_as_it_is_at_the_call(root: CapturingHandler) -> None:
    cart = ["a"]
    bind_contextvars(cart=cart)
    log.info("hello")
    cart.append("b")
    assert fields(only(root)) == {"cart": ["a"]}


def drop_peer(_: Any, __: str, event: Any) -> Any:
    event.pop("peer", None)
    return event


def test_an_event_has_what_its_chain_has_left(root: CapturingHandler) -> None:
    """A chain that takes a field out means it, and one without `merge_contextvars` does not want them."""
    bind_contextvars(peer="10.0.0.1", shop=1)
    for last in (
        structlog.stdlib.render_to_log_kwargs,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ):
        for before, left in (([], {}), ([structlog.contextvars.merge_contextvars, drop_peer], {"shop": 1})):
            root.clear()
            structlog.wrap_logger(log, [*before, last], structlog.stdlib.BoundLogger).info("hello")
            assert fields(only(root)) == left
            root.clear()
            chain(root, *before).info("hello")
            assert fields(only(root)) == left


def test_structlog_may_be_imported_after_the_handler_has_worked() -> None:
    code = """
import logging, sys
from logcollector_handler.testing import CapturingHandler
handler = CapturingHandler()
logging.getLogger().addHandler(handler)
logging.warning("before")
assert "structlog" not in sys.modules
import structlog
structlog.contextvars.bind_contextvars(peer="10.0.0.1")
logging.warning("after")
assert ["peer" in entry["metadata"] for entry in handler.entries] == [False, True]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
