"""From `logging.config.dictConfig` to the rows of a collector that answers as strictly as the real server."""

from __future__ import annotations

import logging
import logging.config
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from logcollector_handler import LogCollectorHandler, __version__
from logcollector_handler.testing import CollectorServer

pytestmark = pytest.mark.integration

log = logging.getLogger("shop.orders")


@pytest.fixture
def collector() -> Iterator[CollectorServer]:
    with CollectorServer(strict=True) as server:
        yield server


@pytest.fixture
def handler(collector: CollectorServer) -> Iterator[LogCollectorHandler]:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "collector": {
                    "class": "logcollector_handler.LogCollectorHandler",
                    "server_url": collector.url,
                    "service": "payment-api",
                    "environment": "production",
                    "service_version": "v1.2.3",
                },
            },
            "root": {"level": "INFO", "handlers": ["collector"]},
        }
    )
    (made,) = logging.getLogger().handlers
    assert isinstance(made, LogCollectorHandler)
    yield made
    made.close()


def test_a_record_arrives_with_its_fields_in_their_columns(
    collector: CollectorServer, handler: LogCollectorHandler
) -> None:
    trace_id = uuid4()
    log.warning(
        "order %d is late",
        7,
        extra={"user_id": 12345, "trace_id": str(trace_id), "duration_ms": 12.34567, "method": "post", "cart": ["a"]},
    )
    assert handler.flush()
    (entry,) = collector.entries
    metadata = entry.pop("metadata")
    assert entry.pop("created_at") == pytest.approx(datetime.now(timezone.utc).timestamp(), abs=60)
    assert entry == {
        "level": "WARN",
        "message": "order 7 is late",
        "log_type": "BACKEND",
        "service": "payment-api",
        "environment": "production",
        "service_version": "v1.2.3",
        "function_name": "test_a_record_arrives_with_its_fields_in_their_columns",
        "file_path": __file__,
        "user_id": "12345",
        "trace_id": trace_id.hex,
        "duration_ms": 12.346,
        "method": "POST",
    }
    assert metadata["cart"] == ["a"]
    assert metadata["logger"] == "shop.orders"
    assert metadata["thread"] == "MainThread"
    assert collector.ignored_keys == set()


def test_an_exception_arrives_with_its_trace(collector: CollectorServer, handler: LogCollectorHandler) -> None:
    try:
        raise LookupError("no such order")
    except LookupError:
        log.exception("failed", extra={"password": "hunter2"})
    assert handler.flush()
    (entry,) = collector.entries
    assert entry["level"] == "ERROR"
    assert entry["error_type"] == "LookupError"
    assert entry["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert entry["stack_trace"].endswith("LookupError: no such order")
    assert entry["metadata"]["password"] == "***"


STRANGE: list[Any] = [
    float("nan"),
    float("inf"),
    10**400,
    "\0 and \ud800",
    b"\xff\x00",
    {"\0": {"\udfff": [1, (2, {3})]}},
    datetime.now(timezone.utc),
    Decimal("1.10"),
    Path("/tmp"),
    object(),
    ValueError("x"),
    "x" * 300_000,
    None,
    True,
]


def test_no_value_makes_a_strict_server_refuse_a_batch(
    collector: CollectorServer, handler: LogCollectorHandler
) -> None:
    columns = ["service", "environment", "trace_id", "user_id", "session_id", "method", "path", "duration_ms"]
    number = 0
    for value in STRANGE:
        for column in [*columns, "error_type", "stack_trace", "log_type", "action_type", "anything", "level"]:
            number += 1
            log.info("%d", number, extra={column: value})
    assert handler.flush(30)
    assert [entry["message"] for entry in collector.entries] == [str(each) for each in range(1, number + 1)]
    assert {request.status for request in collector.requests} <= {200, 201}
    assert collector.ignored_keys == set()


def test_threads_log_thousands_of_records_and_each_arrives_once(
    collector: CollectorServer, handler: LogCollectorHandler
) -> None:
    def work(name: str) -> None:
        for number in range(2500):
            log.info("%s-%d", name, number, extra={"amount": number})

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.flush(30)
    messages = [entry["message"] for entry in collector.entries]
    assert len(messages) == len(set(messages)) == 10_000
    for name in "abcd":
        assert [each for each in messages if each[0] == name] == [f"{name}-{number}" for number in range(2500)]
    stats = handler.stats()
    assert (stats.accepted, stats.delivered, stats.pending) == (10_000, 10_000, 0)


def test_batches_of_a_hundred_and_more_are_compressed(collector: CollectorServer, handler: LogCollectorHandler) -> None:
    for count in (99, 100):
        for number in range(count):
            log.info("%d", number)
        assert handler.flush()
    few, many = collector.requests
    assert (few.count, few.content_encoding, few.key != many.key) == (99, "", True)
    assert (many.count, many.content_encoding) == (100, "gzip")
    assert many.headers["user-agent"] == f"logcollector-handler/{__version__}"


def test_lost_records_are_reported_to_the_server_once(collector: CollectorServer) -> None:
    handler = LogCollectorHandler(server_url=collector.url, service="shop")
    handler._pipeline.ledger.push_out("queue_full")
    handler._pipeline.ledger.push_out("queue_full")
    for message in ("first", "second"):
        handler.handle(logging.LogRecord("shop", 20, __file__, 1, message, None, None))
        assert handler.flush()
    handler.close()
    notice, first, second = collector.entries
    assert notice["level"] == "WARN"
    assert notice["message"] == "2 log records were lost: 2 because the queue was full"
    assert notice["metadata"]["lost"] == {"queue_full": 2}
    assert [first["message"], second["message"]] == ["first", "second"]
    assert handler.stats().delivered == 2
