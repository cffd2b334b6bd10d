"""Records of every origin: their messages, formatters, and records that no logger has made."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest

from tests.entry.making import (
    ORIGIN,
    Broken,
    Catcher,
    Name,
    builder,
    exc_info,
    raised,
    record,
    ship,
    shipped,
)

# Messages


@pytest.mark.parametrize(("msg", "args"), [("%d items", ("x",)), ("%s", (1, 2)), ("%(a)s", ({"b": 1},)), ("%", (1,))])
def test_a_broken_format_string_ships_with_template_and_arguments(msg: str, args: tuple[Any, ...]) -> None:
    entry = ship(msg, *args)
    assert entry["message"] == msg
    assert entry["metadata"]["args"] == (args[0] if isinstance(args[0], dict) else list(args))
    assert entry["metadata"]["format_error"].startswith(("TypeError", "KeyError", "ValueError"))


def test_an_argument_whose_str_raises_leaves_the_template_as_the_message() -> None:
    entry = ship("value %s", Broken())
    assert entry["message"] == "value %s"
    assert entry["metadata"]["format_error"] == "ZeroDivisionError: broken"


@pytest.mark.parametrize(
    ("msg", "message"),
    [
        *[(5, "5"), (None, "None"), (ValueError("why"), "why"), (["a"], "['a']"), (b"x", "b'x'"), (Name("n"), "n")],
        (Broken(), "<Broken, whose str raises ZeroDivisionError: broken>"),
    ],
)
def test_a_message_can_be_any_object(msg: object, message: str) -> None:
    assert ship(msg)["message"] == message


@pytest.mark.parametrize("msg", [Name("x" * 10_000), ValueError("x" * 10_000), "x" * 10_000])
def test_a_long_message_within_the_limit_is_whole_whatever_object_it_is(msg: object) -> None:
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


def test_a_message_that_is_not_text_is_made_text() -> None:
    class Odd(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - the stdlib's name
            return ["no", "text"]  # type: ignore[return-value]  # on purpose

    assert shipped(Odd("n", 20, "p", 1, "m", None, None))[0]["message"] == "['no', 'text']"


def test_surrogates_and_nul_are_replaced_in_every_text() -> None:
    error = raised(ValueError("e\0\ud800"))
    entry = ship("m\0\ud800", exc_info=exc_info(error), funcName="f\0", extra={"user_id": "u\ud800", "k\0": "v\0"})
    assert entry["message"] == "m\ufffd\ufffd"
    assert entry["user_id"] == "u\ufffd"
    assert "e\ufffd\ufffd" in entry["stack_trace"]
    assert entry["metadata"]["k\ufffd"] == "v\ufffd"


# Formatters


def formatted(formatter: Any, made: logging.LogRecord) -> dict[str, Any]:
    by = builder()
    by.use_formatter(formatter)
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


def test_what_another_handlers_formatter_left_on_the_record_is_not_a_field() -> None:
    made = record("hi", extra={"a": 1})
    logging.Formatter("%(asctime)s %(message)s").format(made)
    assert shipped(made)[0]["metadata"].keys() == {*ORIGIN, "a"}


# Records that no logger has made


def test_a_pickled_or_copied_record_ships_like_the_original() -> None:
    made = record("hi %s", "you", extra={"user_id": 5, "a": 1})
    assert shipped(pickle.loads(pickle.dumps(made))) == shipped(made)
    assert shipped(copy.copy(made)) == shipped(made)


def test_a_record_made_from_a_dict_ships_as_the_dict_says() -> None:
    entry = shipped(logging.makeLogRecord({"msg": "hi", "levelno": 40, "name": "n", "created": 5.0, "a": 1}))[0]
    assert (entry["message"], entry["level"], entry["created_at"]) == ("hi", "ERROR", 5.0)
    assert entry["metadata"].items() >= {"logger": "n", "a": 1}.items()


def test_a_record_without_any_values_ships_with_an_empty_message() -> None:
    assert shipped(logging.makeLogRecord({}))[0]["message"] == ""


def test_a_record_with_its_attributes_in_another_order_ships_the_same() -> None:
    made = record(extra={"a": 1})
    shuffled = logging.LogRecord.__new__(logging.LogRecord)
    shuffled.__dict__.update(dict(sorted(made.__dict__.items(), reverse=True)))
    assert shipped(shuffled) == shipped(made)


def test_attributes_that_a_subclass_sets_before_its_parent_are_fields() -> None:
    class Early(logging.LogRecord):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.request = "r"
            self.user_id = 5
            super().__init__(*args, **kwargs)

    entry = shipped(Early("n", 20, "p", 1, "m", None, None))[0]
    assert entry["user_id"] == "5"
    assert entry["metadata"]["request"] == "r"


def test_attributes_that_a_factory_or_a_filter_adds_are_fields() -> None:
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


def test_an_object_that_is_not_a_record_ships_as_an_entry_that_names_its_type() -> None:
    class Nothing:
        __slots__ = ()

    entry = builder().build(Nothing())  # type: ignore[arg-type]  # on purpose
    assert "Nothing" in entry.message
    assert entry.level == "INFO"
