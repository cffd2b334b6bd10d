"""The check of entries: which values the columns take, which they refuse, and with what reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logcollector_handler.entry.model import COLUMNS, ENVIRONMENTS, LEVELS, LOG_TYPES, METHODS, TEXT_LIMITS
from logcollector_handler.wire.posted.body import Limits, RawBatch, RefusedError, read_body
from logcollector_handler.wire.posted.entries import MAX_DEPTH, ROW_COLUMNS, Batch, check

NOW = 1_700_000_000.0


def checked(*entries: Any, strict: bool = True) -> Batch:
    """Encode the entries as JSON, parse and check them, as happens to a posted body."""
    body = json.dumps({"logs": entries}).encode()
    return check(read_body(body, "", Limits()), strict=strict, now=NOW)


def row(entry: dict[str, Any], *, strict: bool = True) -> dict[str, Any]:
    return dict(zip(ROW_COLUMNS, checked(entry, strict=strict).rows[0], strict=True))


def refusal(*entries: Any, strict: bool = True) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        checked(*entries, strict=strict)
    return caught.value


FULL = {
    "level": "ERROR",
    "message": "m",
    "created_at": 1_700_000_001.5,
    "log_type": "WORKER",
    "service": "s" * 100,
    "environment": "production",
    "service_version": "v" * 50,
    "function_name": "f" * 300,
    "file_path": "p" * 1000,
    "trace_id": "t" * 32,
    "user_id": "u" * 255,
    "session_id": "s" * 100,
    "error_type": "e" * 200,
    "stack_trace": "x" * 100_000,
    "path": "/" * 500,
    "method": "GET",
    "action_type": "a" * 50,
    "duration_ms": -9_999_999.999,
    "metadata": {"logger": "app.db", "deep": [{"a": None}, 10**30]},
}


def test_an_entry_with_every_column_at_its_limit_is_stored_unchanged() -> None:
    assert set(FULL) == set(COLUMNS)
    stored = row(FULL)
    assert json.loads(stored.pop("metadata")) == FULL["metadata"]
    assert stored == {
        **{name: value for name, value in FULL.items() if name != "metadata"},
        "logger": "app.db",
    }


def test_limits_count_characters_and_not_bytes() -> None:
    assert row({"message": "m", "trace_id": "é" * 32})["trace_id"] == "é" * 32
    assert row({"message": "m", "trace_id": "😀" * 32})["trace_id"] == "😀" * 32


def test_a_missing_column_gets_its_default_or_stays_empty() -> None:
    stored = row({"message": "m"}, strict=False)
    given = {name: value for name, value in stored.items() if value is not None}
    assert given == {"level": "INFO", "message": "m", "created_at": NOW, "log_type": "BACKEND"}


@pytest.mark.parametrize("name", sorted(set(COLUMNS) - {"message", "level", "created_at", "log_type", "service"}))
def test_null_leaves_a_column_empty(name: str) -> None:
    assert row({"message": "m", name: None}, strict=False)[name] is None


@pytest.mark.parametrize(
    ("name", "values"),
    [("level", LEVELS), ("log_type", LOG_TYPES), ("environment", ENVIRONMENTS), ("method", METHODS)],
)
def test_every_value_of_an_enum_is_accepted(name: str, values: tuple[str, ...]) -> None:
    assert [row({"message": "m", name: value})[name] for value in values] == list(values)


REFUSED = {
    "no object": ["text"],
    "null entry": None,
    "no message": {},
    "null message": {"message": None},
    "number as message": {"message": 1},
    "python's name of a level": {"message": "m", "level": "WARNING"},
    "level in lower case": {"message": "m", "level": "info"},
    "null level": {"message": "m", "level": None},
    "unknown log type": {"message": "m", "log_type": "backend"},
    "unknown environment": {"message": "m", "environment": "prod"},
    "unknown method": {"message": "m", "method": "TRACE"},
    "null service": {"message": "m", "service": None},
    "number as user": {"message": "m", "user_id": 12345},
    "time as text": {"message": "m", "created_at": "2026-01-01T00:00:00Z"},
    "null time": {"message": "m", "created_at": None},
    "time in microseconds": {"message": "m", "created_at": 1.7e15},
    "infinite time": {"message": "m", "created_at": float("inf")},
    "time that is not a number": {"message": "m", "created_at": float("nan")},
    "time before the year 1": {"message": "m", "created_at": -1e11},
    "duration as text": {"message": "m", "duration_ms": "12"},
    "duration as bool": {"message": "m", "duration_ms": True},
    "duration too long": {"message": "m", "duration_ms": 10_000_000},
    "duration that rounds up": {"message": "m", "duration_ms": 9_999_999.9996},
    "duration too negative": {"message": "m", "duration_ms": -10_000_000},
    "infinite duration": {"message": "m", "duration_ms": float("inf")},
    "duration that is not a number": {"message": "m", "duration_ms": float("nan")},
    "metadata as text": {"message": "m", "metadata": "{}"},
    "metadata as a list": {"message": "m", "metadata": [1]},
    "U+0000 in a text": {"message": "a\0b"},
    "U+0000 in metadata": {"message": "m", "metadata": {"a": [{"b": "\0"}]}},
    "U+0000 in a key of metadata": {"message": "m", "metadata": {"a": {"b\0": 1}}},
    "surrogate in a text": {"message": "\ud800"},
    "surrogate in metadata": {"message": "m", "metadata": {"a": ["\udfff"]}},
    "surrogate in a key of metadata": {"message": "m", "metadata": {"\udfff": 1}},
    "NaN in metadata": {"message": "m", "metadata": {"a": [float("nan")]}},
    **{f"long {name}": {"message": "m", name: "x" * (limit + 1)} for name, limit in TEXT_LIMITS.items()},
}
#: What the real server takes all the same, and so a strict collector.
TAKEN = [
    REFUSED[name]
    for name in (
        "no message",
        "null time",
        "duration as text",
        "duration as bool",
        "duration that is not a number",
        "metadata as text",
        "metadata as a list",
    )
]


@pytest.mark.parametrize("entry", REFUSED.values(), ids=REFUSED.keys())
def test_one_value_that_a_column_refuses_makes_the_whole_batch_refused(entry: Any) -> None:
    """The real server answers 500, unless it takes the value; a lenient collector answers 422 with the index."""
    good = {"message": "good"}
    if entry not in TAKEN:
        assert refusal(good, entry, good, strict=True).status == 500
    lenient = refusal(good, entry, good, strict=False)
    assert (lenient.status, lenient.index) == (422, 1)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            {"message": "m", "level": "WARNING"},
            "Entry 0 is refused: level: Invalid enum value 'WARNING' "
            "(allowed: TRACE, DEBUG, INFO, WARN, ERROR, FATAL).",
        ),
        ({"message": "m", "user_id": 7}, "Entry 0 is refused: user_id: Expected str | null, got int."),
        ({}, "Entry 0 is refused: Object missing required field message."),
        ({"message": "a\0"}, "Entry 0 is refused: message: Contains U+0000."),
    ],
)
def test_the_reason_names_the_field_and_what_is_wrong(entry: dict[str, Any], reason: str) -> None:
    assert refusal(entry, strict=False).reason == reason


def test_milliseconds_are_converted_unless_strict() -> None:
    entry = {"message": "m", "created_at": 1_700_000_000_123}
    assert row(entry, strict=False)["created_at"] == 1_700_000_000.123
    refused = refusal(entry, strict=True)
    assert refused.status == 500
    assert "Unix seconds" in refused.reason


def test_a_lenient_collector_keeps_unknown_keys_in_metadata() -> None:
    entry = {"message": "m", "order": {"id": 7}, "n": 1, "metadata": {"n": 0, "n_2": 5}, "logger": "shop"}
    kept = row(entry, strict=False)
    assert json.loads(kept["metadata"]) == {"n": 0, "n_2": 5, "n_3": 1, "order": {"id": 7}, "logger": "shop"}
    assert kept["logger"] == "shop"
    assert json.loads(row({"message": "m", "n": [1]}, strict=False)["metadata"]) == {"n": [1]}
    assert checked(entry, strict=False).ignored_keys == frozenset()


def test_an_unknown_key_that_cannot_be_stored_is_ignored_alone() -> None:
    batch = checked({"message": "m", "a": "x\0", "b\0": 1, "c": 2}, strict=False)
    assert batch.ignored_keys == {"a", "b\0"}
    assert '{"c":2}' in batch.rows[0]
    assert refusal({"message": "m", "a": nested(MAX_DEPTH)}, strict=False).status == 422


def test_unknown_keys_are_dropped_and_named() -> None:
    batch = checked({"message": "m", "order_id": 1, "logger": "x"}, {"message": "\0"[:0], "Level": "bad\0"})
    assert batch.ignored_keys == {"order_id", "logger", "Level"}
    assert "x" not in batch.rows[0]


def test_an_escaped_backslash_before_u0000_is_ordinary_text() -> None:
    assert row({"message": "\\u0000"})["message"] == "\\u0000"


def test_a_logger_name_that_is_not_a_string_is_not_searchable() -> None:
    assert row({"message": "m", "metadata": {"logger": 5}})["logger"] is None
    assert row({"message": "m", "metadata": {}})["logger"] is None


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_metadata_nested_too_deep_is_refused() -> None:
    """So that what is stored can always be read again, also by a parser called deep in a stack."""
    assert row({"message": "m", "metadata": nested(MAX_DEPTH)}, strict=False)["metadata"]
    refused = refusal({"message": "m", "metadata": nested(MAX_DEPTH + 1)}, strict=False)
    assert (refused.status, refused.index) == (422, 0)
    assert "nested" in refused.reason


def test_many_brackets_without_nesting_are_accepted() -> None:
    assert row({"message": "m", "metadata": {"a": [[]] * 1000, "b": "{[" * 1000}})["metadata"]


def test_metadata_nested_deeper_than_the_stack_is_refused() -> None:
    raw: dict[str, Any] = nested(100_000)
    for suspicious in (False, True):
        with pytest.raises(RefusedError) as caught:
            check(RawBatch([{"message": "m", "metadata": raw}], suspicious), strict=False, now=NOW)
        assert caught.value.status == 422


text = st.text(st.characters(codec=None), max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
likely = {
    "level": st.sampled_from(LEVELS),
    "created_at": st.floats(-1e11, 1e15),
    "duration_ms": st.floats(-1e8, 1e8),
    "metadata": st.dictionaries(text, json_values, max_size=3),
}
posted_entries = st.fixed_dictionaries(
    {"message": text | json_values},
    optional={name: likely.get(name, text) | json_values for name in COLUMNS if name != "message"},
)


def outcome(entries: list[Any], strict: bool) -> Batch | RefusedError:
    try:
        return checked(*entries, strict=strict)
    except RefusedError as error:
        return error


@pytest.mark.parametrize("strict", [True, False])
def test_an_ignored_key_may_contain_text_that_no_column_holds(strict: bool) -> None:
    batch = checked({"message": "x", "\ud800": 1}, strict=strict)
    assert len(batch.rows) == 1
    assert batch.ignored_keys == {"\ud800"}


@given(st.lists(posted_entries | json_values, max_size=3), st.booleans())
@example([{"\ud800": None}], False)
def test_any_json_is_either_accepted_or_refused(entries: list[Any], strict: bool) -> None:
    """And what is accepted can be stored: text that can be encoded as UTF-8, finite numbers, metadata that is JSON."""
    found = outcome(entries, strict)
    if isinstance(found, RefusedError):
        assert found.status == (500 if strict else 422)
        return
    assert len(found.rows) == len(entries)
    for values in found.rows:
        json.dumps(values, allow_nan=False).encode()
        assert "\0" not in "".join(value for value in values if isinstance(value, str))
