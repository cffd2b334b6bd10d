"""Whatever is logged: the server takes it, nothing raises, nothing is lost, and the record is not changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logcollector_handler.entry.model import LogEntry
from logcollector_handler.wire.json_entries import JsonSiteEntry
from tests.entry.making import (
    BIG,
    FORMAT,
    ORIGIN,
    body_of,
    builder,
    encode_lines,
    metadata_of,
    parsed,
    record,
    split,
)
from tests.entry.strategies import (
    TABLE,
    BrokenDict,
    BrokenError,
    BrokenInt,
    Hostile,
    Switch,
    big,
    check_entry,
    checked,
    circular,
    cleaned,
    deep,
    extras,
    keys,
    laughs,
    leaves,
    long_texts,
    sayable,
    unicode,
    values,
)


@big
@given(extras)
@example({"metadata": {"process": 1, "logger": "mine"}})
@example({"metadata": BrokenDict(x=1)})
@example({"action_type": laughs(), "created_at": {"a": 1}, "session_id": None})
@example({"user_id": Hostile(), "duration_ms": Hostile(), "path": Hostile(), "method": Hostile()})
@example({"trace_id": BrokenInt(3), "duration_ms": BrokenInt(3)})
@example({"a\0": 1, "b\ufffd": 2, "c\ud800": 3})
def test_every_extra_is_found_in_its_column_or_in_metadata(extra: dict[str, Any]) -> None:
    made = record()
    standard = set(made.__dict__) | {"message", "asctime"}
    extra = {name: value for name, value in extra.items() if name not in standard | {"unreadable"}}
    made.__dict__.update(extra)
    entry = checked(made)
    assert entry["message"] == "hello"
    assert "unreadable" not in entry["metadata"]
    for name in extra:
        if name == "metadata" and type(extra[name]) is dict:
            continue
        assert cleaned(name) in entry["metadata"] or (name in TABLE - {"message"} and name in entry)


@big
@given(st.dictionaries(keys, values, max_size=6))
def test_every_key_of_a_dict_as_message_is_found_in_its_column_or_in_metadata(event: dict[Any, Any]) -> None:
    entry = checked(record({**event, "event": "hello"}))
    assert entry["message"] == "hello"
    found = len(entry["metadata"].keys() - ORIGIN) + len(entry.keys() & TABLE)
    assert found >= len(event.keys() - {"event", "logger", "line", "process", "thread"})


attributes = st.sampled_from(sorted(record().__dict__))
changed = st.dictionaries(attributes, sayable, max_size=4)


@big
@given(sayable, st.lists(sayable, max_size=3), changed, st.sets(attributes, max_size=3))
def test_a_record_of_any_make_ships(msg: Any, args: list[Any], changes: dict[str, Any], missing: set[str]) -> None:
    made = record()
    made.__dict__.update({"msg": msg, "args": tuple(args)} | changes)
    for name in missing:
        del made.__dict__[name]
    checked(made)


@big
@given(st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_level_number_ships_under_the_servers_name(levelno: float) -> None:
    number = int(levelno)
    bounds = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR"}
    expected = next((name for bound, name in bounds.items() if number < bound), "FATAL")
    assert checked(record(levelno=levelno))["level"] == expected


@big
@given(unicode, st.lists(leaves, max_size=3))
def test_a_message_that_cannot_be_made_ships_with_its_arguments(template: str, args: list[Any]) -> None:
    made = record(template, *args)
    try:
        with Switch():
            expected = made.getMessage()
    except Exception:  # noqa: BLE001 - of any kind
        entry = checked(made)
        assert entry["message"] == cleaned(template)
        assert {"args", "format_error"} <= entry["metadata"].keys()
    else:
        assert checked(made)["message"] == cleaned(expected)


@big
@given(extras, st.integers(1024, 5000), st.integers(0, 6000), unicode.filter(bool))
@example({f"field{n}": "x" * 30 for n in range(60)}, 1024, 5000, "x")
@example({"k" * 300_000: 1}, 2000, 10, "x")
@example({"user_id": "\x01" * 255, "session_id": "\U0001f600" * 100, "path": "\x01" * 500}, 1024, 10, "x")
@example({"items": list(range(4000))}, 1024, 10, "x")
@example({"metadata": Hostile()}, 1024, 0, "0")
def test_a_record_over_the_limit_is_cut_and_says_so(extra: dict[str, Any], limit: int, size: int, text: str) -> None:
    made = record((text * size)[:size])
    made.__dict__.update({name: value for name, value in extra.items() if name not in {*made.__dict__, "message"}})
    whole = encode_lines([builder().build(made)], BIG)[0]
    entry = checked(made, limit)
    if len(whole) > limit + 1000 and size > limit + 1000:
        marks = [value for name, value in entry["metadata"].items() if name.startswith("truncated")]
        told = [mark["bytes"] for mark in marks if isinstance(mark, dict) and isinstance(mark.get("bytes"), int)]
        assert any(each > limit for each in told) or " more characters cut]" in str(entry)
    assert entry["metadata"]["line"] == 12 or "line" in extra or "metadata" in extra


@given(unicode, unicode, unicode, unicode, unicode)
@example('"log_type":', "x" * 400, "p" * 2000, "a\\b", "\n")
def test_an_entry_with_a_common_part_is_encoded_like_one_without(
    message: str, function: str, path: str, name: str, thread: str
) -> None:
    made = record(message, funcName=function, pathname=path, name=name, threadName=thread)
    long_way = builder()
    long_way.use_formatter(logging.Formatter("%(message)s"))
    quick, slow = builder().build(made), long_way.build(made)
    assert (type(quick), type(slow)) == (JsonSiteEntry, LogEntry)
    assert encode_lines([quick], BIG) == encode_lines([slow], BIG)
    assert check_entry(FORMAT.encode_line(quick, BIG), BIG)["message"] == cleaned(message)


@given(st.lists(unicode, max_size=250))
def test_a_body_splits_into_the_lines_that_it_was_joined_from(messages: list[str]) -> None:
    by = builder()
    lines = encode_lines([by.build(record(message)) for message in messages], BIG)
    assert [parsed(line)["message"] for line in lines] == list(map(cleaned, messages))
    assert split(body_of(lines)) == lines


# Exceptions. `test_traceback` tests their text.


class CauselessError(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]  # on purpose
        if Switch.on:
            raise ZeroDivisionError("broken")
        return None


def chained(inner: BaseException, outer: BaseException) -> BaseException:
    outer.__context__ = inner
    return outer


errors: st.SearchStrategy[BaseException] = st.recursive(
    st.sampled_from(
        [ValueError, KeyError, BrokenError, CauselessError, KeyboardInterrupt, UnicodeError, SyntaxError]
    ).flatmap(lambda kind: st.builds(kind, sayable)),
    lambda inner: st.builds(chained, inner, inner),
    max_leaves=4,
)


@big
@given(errors, unicode | st.none(), unicode | st.none())
def test_any_exception_ships_with_its_type(error: BaseException, stack: str | None, text: str | None) -> None:
    made = record(exc_info=(type(error), error, None), stack_info=stack, exc_text=text)
    entry = checked(made)
    assert entry["error_type"] == type(error).__name__
    assert type(error).__name__ in entry["stack_trace"]
    if stack:
        assert entry["stack_trace"].endswith(cleaned(stack))


@pytest.mark.parametrize("make", [deep, laughs, long_texts, circular], ids=lambda make: str(make.__name__))
def test_a_value_of_absurd_size_becomes_metadata_of_bounded_size(make: Callable[[], Any]) -> None:
    entry = builder().build(record(extra={"value": make(), "again": make()}))
    assert len(metadata_of(entry)) < 5 * BIG


def test_plain_json_values_arrive_as_they_are() -> None:
    value = {"a": [1, 2.5, None, True, "x", {"b": []}], "c": -(2**63), "d": 2**64 - 1}
    assert checked(record(extra={"value": value}))["metadata"]["value"] == value
