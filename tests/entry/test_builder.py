"""How a record becomes an entry: the columns, where a user's fields go, and records of every make."""

from __future__ import annotations

import copy
import enum
import logging
import os
import pickle
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
import structlog

from tests.entry.making import builder, exc_info, metadata, metadata_of, raised, record, ship, shipped

ORIGIN = {"logger", "line", "process", "thread"}


class Name(str):
    __slots__ = ()


class Method(enum.Enum):
    GET = "get"


class Broken:
    def __str__(self) -> str:
        raise ZeroDivisionError("broken")

    __repr__ = __str__


# What every record has


def test_a_plain_record() -> None:
    made = record("paid %d", 3)
    entry = shipped(made)[0]
    assert entry == {
        "level": "INFO",
        "message": "paid 3",
        "created_at": made.created,
        "log_type": "BACKEND",
        "service": "shop",
        "environment": "production",
        "service_version": "v1",
        "function_name": "add",
        "file_path": "/srv/cart.py",
        "metadata": {"logger": "shop.cart", "line": 12, "process": os.getpid(), "thread": "MainThread"},
    }


def test_without_a_service_there_is_no_such_key() -> None:
    assert "service" not in shipped(record(), by=builder(service=None))[0]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        *[(-1, "TRACE"), (0, "TRACE"), (9, "TRACE"), (10, "DEBUG"), (19, "DEBUG"), (20, "INFO"), (29, "INFO")],
        *[(30, "WARN"), (39, "WARN"), (40, "ERROR"), (49, "ERROR"), (50, "FATAL"), (10**20, "FATAL"), (True, "TRACE")],
        *[(39.9, "WARN"), ("40", "ERROR"), (None, "INFO"), ("ERROR", "INFO"), (float("nan"), "INFO"), ([], "INFO")],
    ],
)
def test_levels_go_by_number(number: Any, name: str) -> None:
    assert ship(levelno=number)["level"] == name


@pytest.mark.parametrize(
    ("created", "expected"),
    [(1.5, 1.5), (0, 0), (Decimal("2.5"), 2.5), ("3.5", 3.5), (99_999_999_999, 99_999_999_999), (1.7e12, 1.7e9)],
)
def test_a_time_that_can_be_one_is_kept_and_milliseconds_become_seconds(created: Any, expected: float) -> None:
    entry = ship(created=created)
    assert entry["created_at"] == expected
    assert "created" not in entry["metadata"]


@pytest.mark.parametrize("created", [None, -1.0, float("nan"), float("inf"), 1e30, "today", []])
def test_a_time_that_cannot_be_one_becomes_now_and_is_kept_as_a_field(
    created: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1234.5)
    made = record()
    made.created = created
    entry = shipped(made)[0]
    assert entry["created_at"] == 1234.5
    assert "created" in entry["metadata"]


@pytest.mark.parametrize("names", [("lineno",), ("funcName", "pathname"), ("name", "threadName", "process", "lineno")])
def test_attributes_that_are_none_or_missing_are_left_out(names: tuple[str, ...]) -> None:
    for gone in (True, False):
        made = record(extra={"a": 1})
        for name in names:
            if gone:
                del made.__dict__[name]
            else:
                setattr(made, name, None)
        entry = shipped(made)[0]
        assert entry["message"] == "hello"
        assert entry["metadata"]["a"] == 1
        assert ("function_name" in entry) == ("funcName" not in names)
        if "lineno" in names:
            assert entry["metadata"]["line"] is None


def test_fields_are_found_wherever_they_stand_on_a_record() -> None:
    behind = record(extra={"a": 1, "b": "2"})
    behind.__dict__["msg"] = behind.__dict__.pop("msg")
    instead = record()
    del instead.module
    instead.__dict__["a"] = 1
    instead.__dict__["b"] = "2"
    formatted = record(extra={"a": 1, "b": "2"})
    formatted.message = formatted.asctime = "by another handler's formatter"
    for made in (behind, instead, formatted):
        entry = shipped(made)[0]
        assert entry["message"] == "hello"
        assert entry["metadata"].keys() == {*ORIGIN, "a", "b"}


def test_a_field_with_the_name_of_the_origins_wins_whatever_its_neighbours_are() -> None:
    for neighbour in (1, [1]):
        found = ship(extra={"line": 99, "logger": "mine", "other": neighbour})["metadata"]
        assert (found["line"], found["logger"], found["other"]) == (99, "mine", neighbour)


@pytest.mark.parametrize("name", ["pathname", "lineno", "funcName", "name", "threadName", "process"])
@pytest.mark.parametrize("value", [[], {}, 1.5, Broken(), Name("text"), "\ud800\0", "x" * 5000])
def test_a_call_site_can_be_anything(name: str, value: Any) -> None:
    entry = ship(**{name: value})
    assert entry["message"] == "hello"
    assert entry["metadata"].keys() == ORIGIN


def test_function_and_file_are_cut_to_their_columns() -> None:
    entry = ship(funcName="f" * 301, pathname="p" * 1001)
    assert entry["function_name"] == "f" * 300
    assert entry["file_path"] == "p" * 1000


def test_many_call_sites_and_field_names_are_not_remembered_for_ever() -> None:
    by = builder()
    for number in range(5000):
        by.build(record(lineno=number, extra={f"field{number}": number}))
    assert len(by._sites) <= 4096
    assert len(by._placer._meanings) <= 4096
    assert shipped(record(extra={"field1": 1, "user_id": 2}), by=by)[0]["user_id"] == "2"


# Columns


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        ("user_id", 12345, "12345"),
        ("user_id", "u-1", "u-1"),
        ("user_id", 1.5, "1.5"),
        ("user_id", Decimal("1.50"), "1.50"),
        ("user_id", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("user_id", Name("n"), "n"),
        ("user_id", "é" * 255, "é" * 255),
        ("user_id", Method.GET, "get"),
        ("session_id", "s" * 100, "s" * 100),
        ("trace_id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("trace_id", uuid.UUID("4bf92f35-77b3-4da6-a3ce-929d0e0e4736"), "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("trace_id", "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736", "4BF92F3577B34DA6A3CE929D0E0E4736"),
        ("trace_id", "not-a-uuid", "not-a-uuid"),
        ("trace_id", "x" * 32, "x" * 32),
        ("environment", "prod", "production"),
        ("environment", "DEV", "development"),
        ("environment", " Stage ", "staging"),
        ("environment", "testing", "test"),
        ("environment", "LOCAL", "local"),
        ("log_type", "worker", "WORKER"),
        ("method", "get", "GET"),
        ("method", Method.GET, "GET"),
        ("service", "other", "other"),
        ("service_version", 2, "2"),
        ("path", PurePosixPath("/a/b"), "/a/b"),
        ("action_type", "a" * 50, "a" * 50),
        ("error_type", "MyError", "MyError"),
        ("function_name", "mine", "mine"),
        ("file_path", "mine.py", "mine.py"),
        ("stack_trace", "at line 1", "at line 1"),
        ("stack_trace", "x" * 5000, "x" * 5000),
        ("duration_ms", 1, 1),
        ("duration_ms", 1.23456, 1.235),
        ("duration_ms", "12.5", 12.5),
        ("duration_ms", Decimal("0.1"), 0.1),
        ("duration_ms", timedelta(seconds=2), 2000),
        ("duration_ms", -9_999_999.999, -9_999_999.999),
    ],
)
def test_a_value_that_a_column_can_hold_is_converted_into_it(name: str, value: Any, column: Any) -> None:
    entry = ship(extra={name: value})
    assert entry[name] == column
    assert name not in entry["metadata"]


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("user_id", True, True),
        ("user_id", None, None),
        ("user_id", [1], [1]),
        ("user_id", "u" * 256, "u" * 256),
        ("session_id", "s" * 101, "s" * 101),
        ("trace_id", "x" * 33, "x" * 33),
        ("trace_id", "-" * 36, "-" * 36),
        ("trace_id", "4bf92f3-577b3-4da6-a3ce-929d0e0e47361", "4bf92f3-577b3-4da6-a3ce-929d0e0e47361"),
        ("trace_id", {"a": 1}, {"a": 1}),
        ("environment", "qa", "qa"),
        ("environment", 1, 1),
        ("log_type", "SERVER", "SERVER"),
        ("method", "BREW", "BREW"),
        ("method", None, None),
        ("service", None, None),
        ("path", b"/x", "/x"),
        ("duration_ms", 10_000_000, 10_000_000),
        ("duration_ms", 9_999_999.9996, 9_999_999.9996),
        ("duration_ms", float("nan"), None),
        ("duration_ms", float("inf"), None),
        ("duration_ms", 10**400, str(10**400)),
        ("duration_ms", "soon", "soon"),
        ("duration_ms", True, True),
        ("duration_ms", 1j, "1j"),
        ("user_id", Broken(), "<Broken, whose repr raises ZeroDivisionError>"),
        ("level", "debug", "debug"),
        ("created_at", 5, 5),
        ("metadata", [1], [1]),
        ("metadata", "text", "text"),
    ],
)
def test_a_value_that_no_column_can_hold_is_kept_whole_in_metadata(name: str, value: Any, kept: Any) -> None:
    by_default, entry = ship(), ship(extra={name: value})
    assert entry["metadata"][name] == kept
    assert entry.get(name) == by_default.get(name) or name in {"created_at", "metadata"}


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *[("service", 100), ("service_version", 50), ("error_type", 200), ("function_name", 300)],
        *[("file_path", 1000), ("path", 500), ("action_type", 50)],
    ],
)
def test_text_too_long_is_cut_in_its_column_and_whole_in_metadata(name: str, limit: int) -> None:
    entry = ship(extra={name: "é" * (limit + 1)})
    assert entry[name] == "é" * limit
    assert entry["metadata"][name] == "é" * (limit + 1)


def test_an_extra_wins_over_the_handlers_settings() -> None:
    entry = ship(extra={"service": "s", "environment": "test", "service_version": "9", "log_type": "IOT"})
    assert (entry["service"], entry["environment"], entry["service_version"], entry["log_type"]) == (
        *("s", "test", "9", "IOT"),
    )


def test_message_level_and_time_come_from_the_record_only() -> None:
    made = record("the message", created=5.0)
    made.__dict__.update(level="FATAL", created_at=1)
    entry = shipped(made)[0]
    assert (entry["message"], entry["level"], entry["created_at"]) == ("the message", "INFO", 5.0)
    assert (entry["metadata"]["level"], entry["metadata"]["created_at"]) == ("FATAL", 1)


def test_a_dict_named_metadata_is_merged_and_the_calls_own_fields_win() -> None:
    assert metadata(metadata={"a": 1, "b": {"c": 2}}, a=3) == {"a": 3, "b": {"c": 2}}


@pytest.mark.parametrize("name", sorted(ORIGIN))
def test_fields_named_like_the_origin_win_and_stand_there_once(name: str) -> None:
    assert ship(extra={"metadata": {name: "mine"}})["metadata"][name] == "mine"
    assert ship({"event": "e", name: "mine"})["metadata"][name] == "mine"


def test_a_dict_named_metadata_that_cannot_be_read_is_a_field_like_others() -> None:
    class Tricky(dict[str, int]):
        def items(self) -> Any:
            raise ZeroDivisionError

    assert metadata(metadata=Tricky(a=1), other=2) == {
        "metadata": "<Tricky, which could not be read: ZeroDivisionError>",
        "other": 2,
    }


def test_names_that_are_no_plain_text_are_fields_too() -> None:
    made = record()
    made.__dict__.update({Name("user_id"): 5, Name("word"): 1, 7: "int", "7": "text"})  # type: ignore[dict-item]  # on purpose
    entry = shipped(made)[0]
    assert entry["user_id"] == "5"
    assert entry["metadata"]["word"] == 1
    assert sorted(value for name, value in entry["metadata"].items() if name[0] == "7") == ["int", "text"]


# Messages


@pytest.mark.parametrize(("msg", "args"), [("%d items", ("x",)), ("%s", (1, 2)), ("%(a)s", ({"b": 1},)), ("%", (1,))])
def test_a_broken_format_string_ships_with_template_and_arguments(msg: str, args: tuple[Any, ...]) -> None:
    entry = ship(msg, *args)
    assert entry["message"] == msg
    assert entry["metadata"]["args"] == (args[0] if isinstance(args[0], dict) else list(args))
    assert entry["metadata"]["format_error"].startswith(("TypeError", "KeyError", "ValueError"))


def test_an_argument_that_cannot_be_said_costs_the_message_its_arguments() -> None:
    entry = ship("value %s", Broken())
    assert entry["message"] == "value %s"
    assert entry["metadata"]["format_error"] == "ZeroDivisionError: broken"


@pytest.mark.parametrize(
    ("msg", "message"),
    [
        *[(5, "5"), (None, "None"), (ValueError("why"), "why"), (["a"], "['a']"), (b"x", "b'x'"), (Name("n"), "n")],
        (Broken(), "<LogRecord, whose template_of raises ZeroDivisionError>"),
    ],
)
def test_a_message_can_be_any_object(msg: object, message: str) -> None:
    assert ship(msg)["message"] == message


@pytest.mark.parametrize("msg", [Name("x" * 10_000), ValueError("x" * 10_000), "x" * 10_000])
def test_a_long_message_is_whole_whatever_it_is_made_of(msg: object) -> None:
    assert ship(msg)["message"] == "x" * 10_000


def test_an_object_as_message_takes_arguments() -> None:
    assert ship(Name("%s!"), "x")["message"] == "x!"


def test_a_long_message_is_cut_and_says_how_much_is_missing() -> None:
    entry = shipped(record("x" * 100_000), by=builder(max_record_bytes=2000), max_bytes=2000)[0]
    kept, _, rest = entry["message"].partition("… [")
    assert rest == f"{100_000 - len(kept)} more characters cut]"
    assert entry["metadata"]["truncated"]["fields"] == ["message"]


@pytest.mark.parametrize("also", [{}, {"exc_info": exc_info(raised(ValueError()))}], ids=["plain", "with an exception"])
def test_a_long_message_is_cut_before_it_waits_in_the_queue(also: dict[str, Any]) -> None:
    entry = builder(max_record_bytes=2000).build(record("x" * 100_000, **also))
    assert entry.message.startswith("xxx")
    assert 1900 < len(entry.message) <= 2000


def test_a_message_that_is_no_text_does_not_reach_the_server() -> None:
    class Odd(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - the stdlib's name
            return ["no", "text"]  # type: ignore[return-value]  # on purpose

    assert shipped(Odd("n", 20, "p", 1, "m", None, None))[0]["message"] == "['no', 'text']"


# Formatters


def formatted(formatter: Any, made: logging.LogRecord) -> dict[str, Any]:
    by = builder()
    by.formatter = formatter
    return shipped(made, by=by)[0]


def test_a_formatter_renders_the_message() -> None:
    made = record("hi %s", "you", extra={"n": 3})
    assert formatted(logging.Formatter("%(levelname)s:%(n)s:%(message)s"), made)["message"] == "INFO:3:hi you"
    assert "message" not in made.__dict__


def test_a_formatter_sees_no_exception_and_no_stack() -> None:
    error = raised(ValueError("x"))
    made = record("hi", exc_info=exc_info(error), exc_text="cached", stack_info="Stack:")
    entry = formatted(logging.Formatter("%(message)s"), made)
    assert entry["message"] == "hi"
    assert "ValueError: x" in entry["stack_trace"]
    assert made.exc_text == "cached"


def test_a_formatter_that_fails_leaves_the_message_of_the_record() -> None:
    entry = formatted(logging.Formatter("%(request)s %(message)s"), record("hi %s", "you"))
    assert entry["message"] == "hi you"
    assert "request" in entry["metadata"]["format_error"]
    assert "args" not in entry["metadata"]


def test_a_formatter_may_return_anything() -> None:
    class Odd(logging.Formatter):
        def format(self, record: logging.LogRecord) -> Any:
            return {"a": 1}

    assert formatted(Odd(), record())["message"] == "{'a': 1}"


def test_a_formatter_is_not_called_for_a_dict() -> None:
    class Never(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise AssertionError

    assert formatted(Never(), record({"event": "e"}))["message"] == "e"


def test_what_another_handlers_formatter_left_on_the_record_is_no_field() -> None:
    made = record("hi", extra={"a": 1})
    logging.Formatter("%(asctime)s %(message)s").format(made)
    assert shipped(made)[0]["metadata"].keys() == {*ORIGIN, "a"}


# A dict as message


def test_a_dict_as_message_is_taken_apart() -> None:
    made = record({"event": "paid", "user_id": 5, "amount": 3, "level": "info", 7: "x"}, extra={"e": 1, "amount": 2})
    entry = shipped(made)[0]
    assert entry["message"] == "paid"
    assert entry["user_id"] == "5"
    assert entry["metadata"].items() >= {"amount": 3, "level": "info", "7": "x", "e": 1}.items()
    assert made.msg == {"event": "paid", "user_id": 5, "amount": 3, "level": "info", 7: "x"}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        *[({"message": "m", "a": 1}, "m"), ({"msg": "m", "a": 1}, "m"), ({"event": "e", "message": "m"}, "e")],
        *[({"event": 5}, "5"), ({"event": Broken()}, "<Broken, whose str raises ZeroDivisionError>")],
        *[({"a": 1}, "{'a': 1}"), ({}, "{}"), ({"password": "hunter2"}, "{'password': '***'}")],
    ],
)
def test_the_message_of_a_dict_is_its_event(event: dict[str, Any], message: str) -> None:
    assert ship(event)["message"] == message


def test_arguments_beside_a_dict_are_kept() -> None:
    assert ship({"event": "e"}, 1, 2)["metadata"]["args"] == [1, 2]


@pytest.mark.parametrize("how", [lambda error: error, exc_info, lambda _: True, lambda _: 1])
def test_exc_info_in_a_dict_is_the_exception(how: Callable[[BaseException], Any]) -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        entry = ship({"event": "e", "exc_info": how(error)})
    assert entry["error_type"] == "ValueError"
    assert "ValueError: x" in entry["stack_trace"]
    assert "exc_info" not in entry["metadata"]


def test_exc_info_in_a_dict_that_is_something_else_is_a_field() -> None:
    assert ship({"event": "e", "exc_info": "text"})["metadata"]["exc_info"] == "text"
    entry = ship({"event": "e", "exc_info": None})
    assert "exc_info" not in entry["metadata"]
    assert "stack_trace" not in entry


def test_an_exception_that_is_false_is_an_exception() -> None:
    class EmptyError(Exception):
        def __len__(self) -> int:
            return 0

    assert ship({"event": "e", "exc_info": EmptyError()})["error_type"] == "EmptyError"
    assert ship(exc_info=exc_info(EmptyError()))["error_type"] == "EmptyError"


class Catcher(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.parametrize("style", ["wrap_for_formatter", "render_to_log_kwargs"])
def test_structlog_through_the_standard_library_arrives_as_fields(style: str) -> None:
    last: Any = (
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter
        if style == "wrap_for_formatter"
        else structlog.stdlib.render_to_log_kwargs
    )
    catcher = Catcher()
    target = logging.getLogger("through")
    target.addHandler(catcher)
    log = structlog.wrap_logger(
        target,
        processors=[structlog.stdlib.add_log_level, last],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind(user_id=7)
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("it failed", cart=[1, 2], password="p")
        [entry] = shipped(*catcher.records)
    assert entry["message"] == "it failed"
    assert entry["level"] == "ERROR"
    assert entry["user_id"] == "7"
    assert entry["error_type"] == "ValueError"
    assert entry["metadata"]["cart"] == [1, 2]
    assert entry["metadata"]["password"] == "***"
    assert not {"_logger", "_name", "_record", "_from_structlog", "exc_info"} & entry["metadata"].keys()


# Exceptions and stacks; their text is tested in test_traces


def test_a_stack_alone_is_the_stack_trace() -> None:
    entry = ship(stack_info="Stack (most recent call last):\n  here")
    assert entry["stack_trace"] == "Stack (most recent call last):\n  here"
    assert "error_type" not in entry
    assert entry["function_name"] == "add"


def test_a_stack_stands_below_the_exception() -> None:
    entry = ship(exc_info=exc_info(raised(ValueError("x"))), stack_info="Stack: here")
    assert entry["stack_trace"].startswith("Traceback")
    assert entry["stack_trace"].endswith("\nValueError: x\nStack: here")


def test_the_text_of_an_exception_from_elsewhere_is_the_stack_trace() -> None:
    assert ship(exc_text="Traceback ...\nValueError: x")["stack_trace"] == "Traceback ...\nValueError: x"
    assert ship(exc_text="T", stack_info="S")["stack_trace"] == "T\nS"


def test_a_live_exception_wins_over_a_text_that_was_cached() -> None:
    entry = ship(exc_text="cached", exc_info=exc_info(raised(ValueError("x"))))
    assert "cached" not in entry["stack_trace"]


@pytest.mark.parametrize("given", [(None, None, None), (), False, None, True, (1, 2), (ValueError, "x", None), "text"])
def test_exc_info_without_an_exception_is_none(given: Any) -> None:
    entry = ship(exc_info=given)
    assert "stack_trace" not in entry
    assert "error_type" not in entry
    assert entry["message"] == "hello"


def test_a_traceback_that_is_none_is_looked_for_on_the_exception() -> None:
    error = raised(ValueError("x"))
    assert "raise error" in ship(exc_info=(ValueError, error, "no traceback"))["stack_trace"]


def test_a_long_error_type_is_cut() -> None:
    error = type("E" * 300, (Exception,), {})()
    assert ship(exc_info=(type(error), error, None))["error_type"] == "E" * 200


def test_fields_of_the_call_win_over_what_the_exception_says() -> None:
    extra = {"error_type": "Mine", "function_name": "f", "stack_trace": "s"}
    entry = ship(exc_info=exc_info(raised(ValueError("x"))), extra=extra)
    assert {name: entry[name] for name in extra} == extra


def test_surrogates_and_nul_are_replaced_in_every_text() -> None:
    error = raised(ValueError("e\0\ud800"))
    entry = ship("m\0\ud800", exc_info=exc_info(error), funcName="f\0", extra={"user_id": "u\ud800", "k\0": "v\0"})
    assert entry["message"] == "m\ufffd\ufffd"
    assert entry["user_id"] == "u\ufffd"
    assert "e\ufffd\ufffd" in entry["stack_trace"]
    assert entry["metadata"]["k\ufffd"] == "v\ufffd"


# Records of every make


def test_a_pickled_record() -> None:
    made = record("hi %s", "you", extra={"user_id": 5, "a": 1})
    assert shipped(pickle.loads(pickle.dumps(made))) == shipped(made)
    assert shipped(copy.copy(made)) == shipped(made)


def test_a_record_from_a_socket() -> None:
    entry = shipped(logging.makeLogRecord({"msg": "hi", "levelno": 40, "name": "n", "created": 5.0, "a": 1}))[0]
    assert (entry["message"], entry["level"], entry["created_at"]) == ("hi", "ERROR", 5.0)
    assert entry["metadata"].items() >= {"logger": "n", "a": 1}.items()


def test_an_empty_record_made_by_hand() -> None:
    assert shipped(logging.makeLogRecord({}))[0]["message"] == ""


def test_a_record_whose_attributes_stand_in_another_order() -> None:
    made = record(extra={"a": 1})
    shuffled = logging.LogRecord.__new__(logging.LogRecord)
    shuffled.__dict__.update(dict(sorted(made.__dict__.items(), reverse=True)))
    assert shipped(shuffled) == shipped(made)


def test_a_subclass_that_sets_attributes_before_its_parent_does() -> None:
    class Early(logging.LogRecord):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.request = "r"
            self.user_id = 5
            super().__init__(*args, **kwargs)

    entry = shipped(Early("n", 20, "p", 1, "m", None, None))[0]
    assert entry["user_id"] == "5"
    assert entry["metadata"]["request"] == "r"


def test_a_factory_and_a_filter_add_fields() -> None:
    catcher = Catcher()
    target = logging.getLogger("made")
    target.addHandler(catcher)

    def tag(made: logging.LogRecord) -> bool:
        made.__dict__["trace_id"] = "t"
        return True

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = logging.LogRecord(*args, **kwargs)
        made.__dict__["host"] = "h"
        return made

    logging.setLogRecordFactory(factory)
    target.addFilter(tag)
    target.warning("m", extra={"a": 1})
    entry = shipped(*catcher.records)[0]
    assert entry["trace_id"] == "t"
    assert entry["metadata"].items() >= {"host": "h", "a": 1}.items()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="every record has a task's name from Python 3.12 on")
def test_where_records_know_no_task_a_field_of_that_name_is_the_users() -> None:
    assert metadata(taskName="mine") == {"taskName": "mine"}


def test_what_is_no_record_at_all_ships_as_what_can_be_told_of_it() -> None:
    class Nothing:
        __slots__ = ()

    entry = builder().build(Nothing())  # type: ignore[arg-type]  # on purpose
    assert "Nothing" in entry.message
    assert entry.level == "INFO"


# Snapshots


def test_what_is_changed_after_the_call_ships_as_it_was() -> None:
    by = builder()
    inner = [1]
    fields: dict[str, Any] = {"items": inner, "user": {"name": "a"}, "metadata": {"deep": inner}}
    made = record("hi %s", inner, extra=fields)
    entry = by.build(made)
    inner.append(2)
    fields["user"]["name"] = "b"
    made.__dict__["items"] = None
    made.msg = "other"
    assert entry.message == "hi [1]"
    assert metadata_of(entry).endswith(b'"deep":[1],"items":[1],"user":{"name":"a"}}')


def test_a_dict_as_message_ships_as_it_was() -> None:
    event: dict[str, Any] = {"event": "e", "items": [1]}
    entry = builder().build(record(event))
    event["items"].append(2)
    assert b'"items":[1]' in metadata_of(entry)


# Code of the application that logs


def test_a_message_or_field_that_logs_itself_comes_to_an_end() -> None:
    by = builder()
    built = []

    class Talker:
        def __repr__(self) -> str:
            built.append(by.build(record(self)))
            built.append(by.build(record("x", extra={"me": self})))
            built.append(by.build(record("%s", self)))
            return "talker"

    entry = by.build(record("hello", extra={"me": Talker()}))
    assert b'"me":"talker"' in metadata_of(entry)
    assert 0 < len(built) < 20_000


@pytest.mark.parametrize("args", ["one", "in a tuple", "by name"])
def test_an_argument_that_logs_itself_twice_does_not_multiply(args: str) -> None:
    by = builder()
    built = []

    def log(value: object) -> None:
        shapes: dict[str, Any] = {"one": (value,), "in a tuple": (1, value), "by name": ({"a": value},)}
        template = {"one": "%s", "in a tuple": "%d %s", "by name": "%(a)s"}[args]
        built.append(by.build(record(template, *shapes[args])))

    class Talker:
        def __str__(self) -> str:
            log(self)
            log(self)
            return "talker"

    log(Talker())
    assert built[-1].message.endswith("talker")
    assert len(built) < 100


def test_a_loss_is_told_in_an_entry() -> None:
    entry = builder().loss_entry({"queue_full": 3, "shutdown": 1}, {"queue_full": "the queue was full"}, 5.0)
    assert (entry.level, entry.created_at, entry.service) == ("WARN", 5.0, "shop")
    assert entry.message == "4 log records were lost: 3 because the queue was full, 1 because shutdown"
