"""Ways to log that the standard library offers, and its cookbook shows: what arrives of each."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from collections.abc import Callable, Iterator, MutableMapping
from logging.handlers import MemoryHandler
from typing import Any

import pytest

from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields
from tests.stdlib import deeds
from tests.stdlib.sending import after, direct, logging_to, sent

log = logging.getLogger(__name__)


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    with capturing(__name__) as made:
        yield made


def only(handler: CapturingHandler) -> dict[str, Any]:
    (entry,) = handler.entries
    return entry


# Handlers in front


def test_a_memory_handler_hands_on_what_it_kept() -> None:
    handler = CapturingHandler()
    with logging_to(MemoryHandler(10, flushLevel=logging.ERROR, target=handler)) as shop:
        shop.info("paid %d", 3, extra={"user_id": 7})
        assert handler.entries == []
        deeds.with_stack(shop)
        paid, failed = handler.entries
    assert (paid["level"], paid["message"], paid["user_id"]) == ("INFO", "paid 3", "7")
    assert (failed["message"], failed["error_type"], failed["function_name"]) == ("boom", "ValueError", "fail")
    assert "Stack (most recent call last):" in failed["stack_trace"]
    assert paid["created_at"] <= failed["created_at"]
    handler.close()


def test_details_are_logged_only_if_a_call_fails() -> None:
    # "Buffering logging messages and outputting them conditionally"
    def with_details(target: logging.Handler, work: Callable[[logging.Logger], None]) -> None:
        kept = MemoryHandler(100, flushLevel=logging.CRITICAL, target=target, flushOnClose=False)
        with logging_to(kept) as shop:
            try:
                work(shop)
            except ValueError:
                kept.flush()

    def failing(shop: logging.Logger) -> None:
        shop.debug("first")
        deeds.fail(ValueError("why"))

    handler = CapturingHandler()
    with_details(handler, lambda shop: shop.debug("went well"))
    with_details(handler, failing)
    assert [entry["message"] for entry in handler.entries] == ["first"]
    handler.close()


# Adapters


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ({}, {"region": "eu", "order": 1}),
        pytest.param(
            {"merge_extra": True},
            {"region": "eu", "order": 2, "mine": True},
            marks=pytest.mark.skipif(sys.version_info < (3, 13), reason="merge_extra came with 3.13"),
        ),
    ],
)
def test_the_fields_of_an_adapter_are_fields(merge: Any, expected: dict[str, Any], handler: CapturingHandler) -> None:
    adapter = logging.LoggerAdapter(log, {"user_id": 7, "region": "eu", "order": 1}, **merge)
    adapter.warning("m %d", 1, extra={"order": 2, "mine": True})
    entry = only(handler)
    assert (entry["user_id"], fields(entry), entry["message"]) == ("7", expected, "m 1")
    assert entry["function_name"] == "test_the_fields_of_an_adapter_are_fields"


def test_adapters_around_adapters_keep_exceptions_and_call_site(handler: CapturingHandler) -> None:
    class Connection(logging.LoggerAdapter):  # type: ignore[type-arg]  # no subscript on 3.10
        def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
            return f"[{(self.extra or {})['connection']}] {msg}", kwargs

    adapter: Any = Connection(logging.LoggerAdapter(log, {"user_id": 7}), {"connection": 5})
    adapter.info("plain")
    try:
        deeds.fail(ValueError("why"))
    except ValueError:
        adapter.exception("boom", stack_info=True)
    plain, boom = handler.entries
    assert (plain["message"], plain["function_name"]) == (
        "[5] plain",
        "test_adapters_around_adapters_keep_exceptions_and_call_site",
    )
    assert (boom["message"], boom["user_id"], boom["error_type"]) == ("[5] boom", "7", "ValueError")
    assert "Stack (most recent call last):" in boom["stack_trace"]


# Call sites


def test_stacklevel_chooses_the_call_site(handler: CapturingHandler) -> None:
    def helper(level: int) -> None:
        log.info("m", stacklevel=level)

    for level in (1, 2):
        helper(level)
    assert [entry["function_name"] for entry in handler.entries] == [
        "helper",
        "test_stacklevel_chooses_the_call_site",
    ]


# Filters


def test_a_filter_adds_what_a_context_variable_holds(handler: CapturingHandler) -> None:
    # "Use of contextvars"
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    request.set("r-1")

    def add(record: logging.LogRecord) -> bool:
        record.__dict__["request_id"] = request.get()
        return True

    handler.addFilter(add)
    log.info("m")
    assert fields(only(handler)) == {"request_id": "r-1"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a filter only says yes or no there")
@pytest.mark.parametrize("where", [lambda handler: handler, lambda _: log], ids=["of the handler", "of the logger"])
def test_a_filter_may_replace_the_record(where: Any, handler: CapturingHandler) -> None:
    def replace(record: logging.LogRecord) -> Any:
        return logging.makeLogRecord({**record.__dict__, "msg": "instead", "user_id": 8})

    where(handler).addFilter(replace)
    log.info("m", extra={"user_id": 7})
    where(handler).removeFilter(replace)
    assert (only(handler)["message"], only(handler)["user_id"]) == ("instead", "8")


# Records from elsewhere


def test_records_of_a_socket_handler_arrive_as_they_were_logged() -> None:
    def deed(shop: logging.Logger) -> None:
        shop.info("paid %s", {"a"}, extra={"user_id": 7, "cart": ["x"]})

    assert {**after(deed, sent), "created_at": 0} == {**direct(deed), "created_at": 0}


@pytest.mark.parametrize("missing", sorted(logging.makeLogRecord({}).__dict__))
def test_a_record_without_one_of_its_attributes_arrives(missing: str, handler: CapturingHandler) -> None:
    made = logging.makeLogRecord({"msg": "m", "levelno": 30, "user_id": 7, "name": __name__})
    del made.__dict__[missing]
    handler.handle(made)
    entry = only(handler)
    assert (entry["message"] == "m") == (missing != "msg")
    assert entry["user_id"] == "7"


def test_a_record_of_json_arrives(handler: CapturingHandler) -> None:
    # "Subclassing QueueHandler": records go through ZeroMQ as JSON.
    before = logging.makeLogRecord({"msg": "m", "levelno": 40, "name": "n", "args": (), "user_id": 7, "created": 5.0})
    handler.handle(logging.makeLogRecord(json.loads(json.dumps(before.__dict__))))
    entry = only(handler)
    assert (entry["message"], entry["level"], entry["user_id"], entry["created_at"]) == ("m", "ERROR", "7", 5.0)
