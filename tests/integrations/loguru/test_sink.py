"""What of a message becomes which column or field. Each test runs with the sink as it is and behind loguru's queue."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from logcollector_handler import bind_context
from logcollector_handler.integrations.loguru import LogCollectorSink
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.entry.strategies import Switch, big, check_entry, names, values

Add = Callable[..., None]


@pytest.fixture(params=[False, True], ids=["direct", "enqueued"])
def add(request: pytest.FixtureRequest, handler: CapturingHandler) -> Add:
    """Adds the sink to loguru."""

    def adding(**options: Any) -> None:
        logger.add(LogCollectorSink(handler), **{"level": 0, "enqueue": request.param, "catch": False, **options})

    return adding


def only(handler: CapturingHandler) -> dict[str, Any]:
    logger.complete()
    (entry,) = handler.entries
    return entry


def test_what_is_bound_contextualised_patched_and_passed_are_fields(add: Add, handler: CapturingHandler) -> None:
    add()
    logger.configure(extra={"region": "eu"})
    patched = logger.bind(user_id=12345, cart=["a"]).patch(lambda record: record["extra"].update(span=1))
    with logger.contextualize(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", path="/checkout"):
        patched.info("paid {amount} {}", "EUR", amount=99.5)
    entry = only(handler)
    assert (entry["level"], entry["message"], entry["user_id"]) == ("INFO", "paid 99.5 EUR", "12345")
    assert (entry["trace_id"], entry["path"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "/checkout")
    assert fields(entry) == {"region": "eu", "cart": ["a"], "span": 1, "amount": 99.5}


def test_call_site_time_thread_and_process_are_those_of_the_call(add: Add, handler: CapturingHandler) -> None:
    add()
    before = time.time()

    def work() -> None:
        logger.info("hello")

    worker = threading.Thread(target=work, name="worker")
    worker.start()
    worker.join()
    after = time.time()
    entry = only(handler)
    # loguru's times are whole microseconds.
    assert before - 1e-6 <= entry["created_at"] <= after
    assert (entry["function_name"], entry["file_path"]) == ("work", __file__)
    origin = {"logger": __name__, "line": work.__code__.co_firstlineno + 1, "process": os.getpid(), "thread": "worker"}
    assert entry["metadata"] == origin


@pytest.mark.parametrize(
    ("name", "level"),
    [
        *[("TRACE", "TRACE"), ("DEBUG", "DEBUG"), ("INFO", "INFO"), ("SUCCESS", "INFO"), ("WARNING", "WARN")],
        *[("ERROR", "ERROR"), ("CRITICAL", "FATAL")],
    ],
)
def test_levels_follow_from_their_numbers(name: str, level: str, add: Add, handler: CapturingHandler) -> None:
    add()
    getattr(logger, name.lower())("hello")
    entry = only(handler)
    assert (entry["level"], fields(entry)) == (level, {"level_name": "SUCCESS"} if name == "SUCCESS" else {})


@pytest.mark.parametrize(("number", "level"), [(3, "TRACE"), (22, "INFO"), (35, "WARN"), (60, "FATAL")])
def test_a_level_of_ones_own_is_sent_by_number_and_keeps_its_name(
    number: int, level: str, add: Add, handler: CapturingHandler
) -> None:
    add()
    with contextlib.suppress(ValueError):  # It is there already: loguru lets no level go.
        logger.level(f"OWN{number}", no=number)
    logger.log(f"OWN{number}", "hello")
    logger.log(number, "hello")
    logger.complete()
    named, numbered = handler.entries
    assert (named["level"], fields(named)) == (level, {"level_name": f"OWN{number}"})
    assert (numbered["level"], fields(numbered)) == (level, {})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"format": "{message} | {extra}"},
        {"format": lambda record: "{level}\n"},
        {"colorize": True},
        {"backtrace": False, "diagnose": False},
    ],
    ids=str,
)
def test_the_format_of_the_sink_does_not_matter(options: Any, add: Add, handler: CapturingHandler) -> None:
    add(**options)
    logger.bind(a=1).opt(colors=True).info("<red>hello</red> {}", "<b>")
    logger.opt(raw=True).info("raw")
    logger.opt(lazy=True).info("sum {}", lambda: 1 + 1)
    logger.opt(record=True).info("line {record[line]}", n=1)
    logger.complete()
    assert [entry["message"] for entry in handler.entries][:3] == ["hello <b>", "raw", "sum 2"]
    assert handler.entries[3]["message"] == f"line {handler.entries[3]['metadata']['line']}"
    assert [fields(entry) for entry in handler.entries] == [{"a": 1}, {}, {}, {"n": 1}]


def helper() -> None:
    logger.opt(depth=1).info("hello")


def test_the_call_site_is_at_the_depth_that_was_asked_for(add: Add, handler: CapturingHandler) -> None:
    add()
    helper()
    assert only(handler)["function_name"] == "test_the_call_site_is_at_the_depth_that_was_asked_for"


def test_a_message_is_not_formatted_again(add: Add, handler: CapturingHandler) -> None:
    add()
    logger.info("100 %d {not a field} %s")
    assert only(handler)["message"] == "100 %d {not a field} %s"


def test_fields_may_have_any_name(add: Add, handler: CapturingHandler) -> None:
    """Also those of LogRecord's attributes, of structlog's fields and of loguru's own."""
    some = ["name", "args", "msg", "levelno", "exc_info", "exc_text", "stack_info", "process", "event", "_logger"]
    more = ["message", "level", "created", "elapsed", "positional_args", "exception", "stack", "level_name"]
    mine = {name: f"my {name}" for name in (*some, *more)}
    add()
    logger.bind(**mine, metadata={"a": 1}).success("hello")
    entry = only(handler)
    assert (entry["level"], entry["message"]) == ("INFO", "hello")
    found = {
        name.partition(" (")[0]: value for name, value in entry["metadata"].items() if str(value).startswith("my ")
    }
    assert {name: found[name] for name in mine} == mine
    assert entry["metadata"]["a"] == 1


@settings(big, max_examples=40)
@given(st.dictionaries(names | st.sampled_from(["name", "args", "exception", "metadata", "extra"]), values, max_size=8))
def test_any_field_is_shipped_without_raising(extra: dict[str, Any]) -> None:
    handler = CapturingHandler()
    logger.remove()
    logger.add(LogCollectorSink(handler), catch=False, format="{message}")
    with Switch():
        logger.patch(lambda record: record["extra"].update(extra)).info("hello")
    (line,) = handler._lines
    check_entry(line, handler._settings.max_record_bytes)
    logger.remove()
    handler.close()


def test_what_a_patcher_adds_beside_the_extra_is_a_field(add: Add, handler: CapturingHandler) -> None:
    add()
    logger.patch(lambda record: record.update(function="patched", shop=7)).info("hello")  # type: ignore[call-arg]  # any dict
    entry = only(handler)
    assert (entry["function_name"], fields(entry)) == ("patched", {"shop": 7})


def test_secrets_are_masked(add: Add, handler: CapturingHandler) -> None:
    add()
    logger.bind(password="hunter2").info("hello")
    assert fields(only(handler)) == {"password": "***"}


def test_level_and_filters_of_both_apply(handler: CapturingHandler) -> None:
    handler.setLevel(20)
    handler.addFilter(lambda record: getattr(record, "user_id", None) != 8)
    logger.add(LogCollectorSink(handler), level="DEBUG", filter=lambda record: record["extra"].get("user_id") != 9)
    for user_id in (7, 8, 9):
        logger.bind(user_id=user_id).debug("too low")
        logger.bind(user_id=user_id).info("hello")
    assert [entry["user_id"] for entry in handler.entries] == ["7"]


def test_bound_context_of_this_package_is_on_messages_too(handler: CapturingHandler) -> None:
    logger.add(LogCollectorSink(handler))
    bind_context(user_id=1, shop=2)
    logger.bind(user_id=7).info("hello")
    assert (only(handler)["user_id"], fields(only(handler))) == ("7", {"shop": 2})


def test_a_value_is_taken_as_it_is_at_the_call(handler: CapturingHandler) -> None:
    logger.add(LogCollectorSink(handler))
    cart = ["a"]
    logger.bind(cart=cart).info("hello")
    cart.append("b")
    assert fields(only(handler)) == {"cart": ["a"]}
