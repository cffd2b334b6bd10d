"""A real handler behind the sink, and a real collector."""

from __future__ import annotations

import asyncio
import logging

import pytest
from loguru import logger

from logcollector_handler import LogCollectorHandler
from logcollector_handler.integrations.loguru import LogCollectorSink
from logcollector_handler.testing import CollectorServer
from tests.integrations.loguru.test_once import InterceptHandler

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("enqueue", [False, True])
def test_removing_the_sink_sends_what_was_logged_and_the_handler_works_on(enqueue: bool) -> None:
    with CollectorServer(strict=True) as collector:
        # Nothing but the end of the sink has these sent in time.
        handler = LogCollectorHandler(server_url=collector.url, flush_interval=300, shutdown_timeout=60)
        for number in range(2):
            logger.add(LogCollectorSink(handler), enqueue=enqueue)
            logger.info("hello {}", number)
            # As a message from another process, which comes through loguru's queue.
            logger.patch(lambda record: setattr(record["process"], "id", 4711)).info("from a child")
            logger.remove()
            assert [entry["message"] for entry in collector.entries[2 * number :]] == [
                f"hello {number}",
                "from a child",
            ]
        assert collector.entries[-1]["metadata"]["process"] == 4711
        handler.close()


@pytest.mark.parametrize("enqueue", [False, True])
def test_complete_works_with_and_without_await(enqueue: bool) -> None:
    with CollectorServer(strict=True) as collector:
        handler = LogCollectorHandler(server_url=collector.url, flush_interval=300, shutdown_timeout=60)
        logger.add(LogCollectorSink(handler), enqueue=enqueue)

        async def main() -> None:
            logger.info("hello")
            await logger.complete()

        asyncio.run(main())
        logger.complete()
        assert handler.flush()
        assert [entry["message"] for entry in collector.entries] == ["hello"]
        logger.remove()
        handler.close()


@pytest.mark.parametrize("enqueue", [False, True])
def test_what_the_http_client_logs_of_our_requests_is_not_shipped(enqueue: bool) -> None:
    """An InterceptHandler on the root logger lets everything through, also from the thread that sends."""
    root = logging.getLogger()
    level, intercept = root.level, InterceptHandler()
    with CollectorServer(strict=True) as collector:
        handler = LogCollectorHandler(server_url=collector.url, shutdown_timeout=60)
        logger.add(LogCollectorSink(handler), level=0, enqueue=enqueue)
        root.addHandler(intercept)
        root.setLevel(logging.NOTSET)
        try:
            logger.info("hello")
            for _ in range(3):
                logger.complete()
                assert handler.flush()
        finally:
            root.removeHandler(intercept)
            root.setLevel(level)
        logger.remove()
        handler.close()
        names = {entry["metadata"]["logger"].partition(".")[0] for entry in collector.entries}
        assert names == {"tests"}
