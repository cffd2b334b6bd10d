"""The call site of events that end in a logger which structlog has not made: the application's, not structlog's."""

from __future__ import annotations

import asyncio
import logging
import queue
from logging.handlers import QueueHandler, QueueListener
from typing import Any

import pytest
import structlog

from logcollector_handler.testing import CapturingHandler
from tests.integrations.structlog.chains import fail, only, plain_logger

RENDERERS: list[Any] = [
    structlog.processors.KeyValueRenderer(),
    structlog.stdlib.render_to_log_kwargs,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]
WRAPPERS: list[Any] = [
    structlog.stdlib.BoundLogger,
    structlog.make_filtering_bound_logger(logging.INFO),
    structlog.BoundLogger,
]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_each_call_has_its_own_site(renderer: Any, wrapper: Any, root: CapturingHandler) -> None:
    log = structlog.wrap_logger(plain_logger(), processors=[renderer], wrapper_class=wrapper)

    def one() -> None:
        log.info("hello")

    def other() -> None:
        log.info("hello")

    for each in (one, other, one):
        each()
    assert [entry["function_name"] for entry in root.entries] == ["one", "other", "one"]
    assert {entry["file_path"] for entry in root.entries} == {__file__}
    lines = [each.__code__.co_firstlineno + 1 for each in (one, other, one)]
    assert [entry["metadata"]["line"] for entry in root.entries] == lines


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("wrapper", WRAPPERS[:2])
def test_an_asynchronous_call_has_the_site_of_who_awaits_it(
    renderer: Any, wrapper: Any, root: CapturingHandler
) -> None:
    log = structlog.wrap_logger(plain_logger(), processors=[renderer], wrapper_class=wrapper)

    async def request() -> None:
        await log.ainfo("hello")

    asyncio.run(request())
    assert (only(root)["function_name"], only(root)["file_path"]) == ("request", __file__)


def test_a_stack_ends_where_the_application_called(root: CapturingHandler) -> None:
    structlog.wrap_logger(plain_logger(), [structlog.stdlib.render_to_log_kwargs]).info("a", stack_info=True)
    assert "structlog" not in only(root)["stack_trace"].splitlines()[-2].rpartition("/")[2]
    assert only(root)["stack_trace"].splitlines()[-2].endswith("in test_a_stack_ends_where_the_application_called")


def test_an_exception_keeps_the_place_where_it_was_raised(root: CapturingHandler) -> None:
    try:
        fail()
    except ValueError:
        structlog.wrap_logger(plain_logger(), [structlog.stdlib.render_to_log_kwargs]).exception("failed")
    assert only(root)["function_name"] == "fail"


def test_where_no_caller_is_on_the_stack_the_record_keeps_its_site(handler: CapturingHandler) -> None:
    """Behind a queue the call is over, and an event's wish for its stack stays a field."""
    waiting: queue.Queue[Any] = queue.Queue()
    shop = plain_logger()
    queued = QueueHandler(waiting)
    # The stdlib's makes text of the event.
    queued.prepare = lambda record: record  # type: ignore[method-assign]
    shop.addHandler(queued)
    shop.setLevel(logging.INFO)
    listener = QueueListener(waiting, handler)
    listener.start()
    log = structlog.wrap_logger(shop, [structlog.stdlib.ProcessorFormatter.wrap_for_formatter])
    log.info("hello", stack_info=True)
    log.info("hello")
    listener.stop()
    shop.removeHandler(queued)
    assert [entry["message"] for entry in handler.entries] == ["hello", "hello"]
    assert handler.entries[0]["metadata"]["stack_info"] is True
    assert {entry["file_path"].rpartition("/")[2] for entry in handler.entries} <= {"_base.py", "_native.py"}
