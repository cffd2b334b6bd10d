"""No event is shipped twice, by the processor and by the standard library; asynchronous methods."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import structlog

from logcollector_handler import log_context
from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.integrations.structlog.chains import Chain, fail, through


@pytest.mark.parametrize("kind", ["native", "stdlib", "AsyncBoundLogger"])
def test_asynchronous_methods_ship_the_callers_context_and_call_site(kind: str, root: CapturingHandler) -> None:
    processors: Chain = [
        structlog.contextvars.merge_contextvars,
        LogCollectorProcessor(root),
        structlog.processors.JSONRenderer(default=repr),
    ]

    async def main() -> None:
        if kind == "native":
            log = structlog.wrap_logger(structlog.ReturnLogger(), processors, structlog.make_filtering_bound_logger(0))
        elif kind == "stdlib":
            log = structlog.wrap_logger(logging.getLogger("shop"), processors, structlog.stdlib.BoundLogger)
        else:
            log = structlog.wrap_logger(logging.getLogger("shop"), processors, structlog.stdlib.AsyncBoundLogger)
        info, exception = (log.info, log.exception) if kind == "AsyncBoundLogger" else (log.ainfo, log.aexception)

        async def request(number: int) -> None:
            structlog.contextvars.bind_contextvars(request=number)
            with log_context(user_id=number):
                await info("in %d", number)
                try:
                    fail()
                except ValueError:
                    await exception("failed")

        await asyncio.gather(*map(request, range(5)))

    asyncio.run(main())
    assert len(root.entries) == 10
    assert {fields(entry)["request"] for entry in root.entries} == set(range(5))
    for entry in root.entries:
        assert entry["user_id"] == str(fields(entry)["request"])
        if entry["level"] == "INFO":
            assert (entry["message"], entry["function_name"]) == (f"in {entry['user_id']}", "request")
        else:
            assert (entry["error_type"], entry["function_name"]) == ("ValueError", "fail")


def emit(log: Any, message: str) -> None:
    """Every logger logs in this line, so frame and instruction are the same for all."""
    log.info(message)


RENDERERS = [
    structlog.processors.JSONRenderer(),
    structlog.processors.KeyValueRenderer(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    structlog.stdlib.render_to_log_kwargs,
    structlog.stdlib.render_to_log_args_and_kwargs,
]


@pytest.mark.parametrize("renderer", RENDERERS)
def test_an_event_that_the_processor_shipped_is_not_shipped_again_by_the_standard_library(
    renderer: Any, root: CapturingHandler
) -> None:
    others: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = others.append  # type: ignore[assignment]  # a list is handler enough
    logging.getLogger().addHandler(other)
    logging.getLogger("shop").addHandler(root)  # So that the record reaches the handler twice.
    log = through(root, renderer)
    for number in range(3):
        log.info("hello", number=number)
    assert [fields(entry)["number"] for entry in root.entries] == [0, 1, 2]
    assert len(others) == 3


def test_a_record_of_the_same_logger_that_is_not_the_shipped_event_is_shipped(root: CapturingHandler) -> None:
    log = through(root, structlog.processors.JSONRenderer())
    plain = logging.getLogger("shop")
    chain_without = structlog.wrap_logger(
        plain, processors=[structlog.processors.KeyValueRenderer()], wrapper_class=structlog.stdlib.BoundLogger
    )
    for each in (log, plain, log, chain_without, plain):
        emit(each, "hello")
    assert [entry["message"] for entry in root.entries] == ["hello"] * 3 + ["event='hello'", "hello"]


def test_after_a_dropped_event_later_records_are_shipped(root: CapturingHandler) -> None:
    def drop(_: Any, __: str, event: Any) -> Any:
        raise structlog.DropEvent

    log = through(root, drop)
    plain = logging.getLogger("shop")
    for each in (log, plain, plain):
        emit(each, "hello")
    assert len(root.entries) == 3


def test_a_record_logged_by_a_later_processor_is_shipped(root: CapturingHandler) -> None:
    def talk(_: Any, __: str, event: Any) -> Any:
        logging.getLogger("shop").warning("seen")
        return event

    through(root, talk, structlog.processors.JSONRenderer()).info("hello")
    assert [entry["message"] for entry in root.entries] == ["hello", "seen"]


def test_an_event_is_shipped_though_another_is_logged_while_its_record_is_made() -> None:
    handler = CapturingHandler()
    factory = logging.getLogRecordFactory()
    nested: list[str] = []

    def logging_factory(*args: Any, **more: Any) -> logging.LogRecord:
        if not nested:
            nested.append("nested")
            structlog.get_logger("inner").info("nested")
        return factory(*args, **more)

    structlog.configure(
        processors=[LogCollectorProcessor(handler), structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.setLogRecordFactory(logging_factory)
    logging.getLogger("outer").setLevel(logging.INFO)
    logging.getLogger("inner").setLevel(logging.INFO)
    structlog.get_logger("outer").info("outer")
    assert sorted(entry["message"] for entry in handler.entries) == ["nested", "outer"]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("inner_dropped", [True, False])
def test_an_event_is_shipped_once_though_another_is_logged_on_its_way(
    renderer: Any, inner_dropped: bool, root: CapturingHandler
) -> None:
    def drop(_: Any, __: str, event: Any) -> Any:
        if inner_dropped:
            raise structlog.DropEvent
        return event

    inner = through(root, drop, renderer)

    def talk(_: Any, __: str, event: Any) -> Any:
        inner.info("inner", number=event["number"])
        return event

    outer = through(root, talk, renderer)
    for number in range(3):
        outer.info("outer", number=number)
    expected = [(name, number) for number in range(3) for name in ("outer", "inner")]
    assert [(entry["message"], fields(entry)["number"]) for entry in root.entries] == expected
