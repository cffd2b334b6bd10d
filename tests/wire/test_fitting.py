"""An entry longer than a record may be is cut where it is longest, and says so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.entry.making import (
    BIG,
    accepted,
    builder,
    encode_lines,
    exc_info,
    parsed,
    raised,
    record,
    shipped,
)


def cut(max_bytes: int, msg: object = "hello", **extra: Any) -> dict[str, Any]:
    """What is left of a record that has passed the builder whole and is cut when it is encoded."""
    [line] = encode_lines([builder().build(record(msg, extra=extra))], max_bytes)
    assert len(line) <= max_bytes
    accepted([line])
    return parsed(line)


def test_a_line_as_long_as_allowed_is_whole_and_one_byte_more_is_cut() -> None:
    entry = builder().build(record("x" * 2000))
    [line] = encode_lines([entry], BIG)
    assert encode_lines([entry], len(line)) == [line]
    [shorter] = encode_lines([entry], len(line) - 1)
    assert len(shorter) < len(line)
    assert parsed(shorter)["metadata"]["truncated"] == {"bytes": len(line), "fields": ["message"]}


def test_the_longest_field_is_cut_and_the_others_stay_whole() -> None:
    entry = cut(2000, "x" * 100, note="n" * 5000, short="s" * 50)
    assert entry["message"] == "x" * 100
    assert entry["metadata"]["short"] == "s" * 50
    assert entry["metadata"]["note"].startswith("nnnn")
    assert entry["metadata"]["note"].endswith(" more characters cut]")
    assert entry["metadata"]["truncated"]["fields"] == ["metadata"]
    assert entry["metadata"]["line"] == 12


def test_a_cut_entry_uses_nearly_all_of_the_room() -> None:
    entry = cut(10_000, "x" * 50_000)
    assert 9_000 < len(msgspec.json.encode(entry)) <= 10_000
    assert entry["metadata"]["truncated"]["bytes"] > 50_000


def test_of_a_long_list_the_first_items_are_kept_and_the_others_are_counted() -> None:
    *items, mark = cut(1500, items=list(range(2000)))["metadata"]["items"]
    assert items == list(range(len(items)))
    assert len(items) > 100
    assert mark == f"… {2000 - len(items)} more left out"


@pytest.mark.parametrize("max_bytes", [1024, 1100, 1500, 3000])
def test_columns_that_are_not_text_are_never_cut(max_bytes: int) -> None:
    fields = {f"field{number}": "x" * 30 for number in range(60)}
    entry = cut(max_bytes, "m" * 3000, method="OPTIONS", duration_ms=1234567.891, environment="development", **fields)
    assert entry["level"] == "INFO"
    assert entry["method"] == "OPTIONS"
    assert entry["environment"] == "development"
    assert entry["log_type"] == "BACKEND"
    assert entry["duration_ms"] == 1234567.891
    assert entry["message"].startswith("mmmm")
    assert entry["metadata"]["logger"] == "shop.cart"


def test_columns_that_are_not_text_are_whole_when_there_is_room_for_a_few_letters_of_each_text() -> None:
    names = ("service", "service_version", "error_type", "function_name", "file_path", "path", "action_type")
    shortest = 50
    for max_bytes in range(900, 1024, 4):
        long = dict.fromkeys((*names, "user_id", "session_id", *"abcdefgh"), "x" * 50)
        entry = cut(max_bytes, "m" * 3000, method="OPTIONS", environment="development", stack_trace="s" * 99, **long)
        assert (entry["level"], entry["method"], entry["environment"]) == ("INFO", "OPTIONS", "development")
        shortest = min(shortest, len(entry["service"]))
    assert shortest < len("development"), "there was more room than the test needs"


def test_an_identifier_that_is_too_long_moves_to_metadata() -> None:
    entry = cut(1024, user_id="é" * 255, session_id="é" * 100, trace_id="t" * 32, path="/" * 500)
    assert "user_id" not in entry
    assert entry["metadata"]["user_id"].startswith("é")
    assert entry["trace_id"] == "t" * 32
    assert {"user_id", "path"} <= set(entry["metadata"]["truncated"]["fields"])


def test_a_name_that_is_too_long_is_cut_and_the_others_are_whole() -> None:
    entry = cut(2000, "the message", **{"k" * 5000: 1, "other": 2})
    assert (entry["message"], entry["metadata"]["other"]) == ("the message", 2)
    [name] = (each for each in entry["metadata"] if each.startswith("kkk"))
    assert name.endswith(" more characters cut]")
    assert entry["metadata"][name] == 1
    assert entry["metadata"]["truncated"]["fields"] == ["metadata"]


def test_of_too_many_small_fields_as_many_as_fit_are_kept_and_the_others_counted() -> None:
    fields = {f"a long enough name {number}": number for number in range(18_000)}
    entry = cut(BIG, "the message", **fields, amount=12)
    kept = entry["metadata"].keys() & fields.keys()
    assert (entry["message"], entry["metadata"]["amount"]) == ("the message", 12)
    assert entry["metadata"]["…"] == f"{18_000 - len(kept)} more left out"
    assert len(msgspec.json.encode(entry)) > BIG - 400


def test_a_small_field_beside_a_large_one_is_whole_at_any_depth() -> None:
    order = {"id": 7, "lines": list(range(6000)), "by": {"name": "a", "about": "x" * 5000}}
    entry = cut(6000, order=order, ids=list(range(6000)), amount=1.5)
    found = entry["metadata"]["order"]
    assert (entry["metadata"]["amount"], found["id"], found["by"]["name"]) == (1.5, 7, "a")
    assert found["lines"][-1].endswith(" more left out")
    assert found["by"]["about"].endswith(" more characters cut]")


@pytest.mark.parametrize("letter", ["x", "é", "\\", "\x01", "😀", '"'])
def test_the_mark_counts_the_bytes_of_a_message_that_was_cut_before(letter: str) -> None:
    (entry,) = shipped(record(letter * 100_000), by=builder(max_record_bytes=5000), max_bytes=5000)
    size = len(msgspec.json.encode({"message": letter * 100_000}))
    assert size < entry["metadata"]["truncated"]["bytes"] < size + 1000
    kept = entry["message"].count(letter)
    assert entry["message"] == f"{letter * kept}… [{100_000 - kept} more characters cut]"


def test_a_long_stack_trace_is_cut() -> None:
    error = raised(ValueError("x" * 5000))
    [line] = encode_lines([builder().build(record(exc_info=exc_info(error)))], 2000)
    entry = parsed(line)
    assert entry["stack_trace"].startswith("Traceback")
    assert entry["error_type"] == "ValueError"
    assert entry["metadata"]["truncated"]["fields"] == ["stack_trace"]


def test_a_users_field_named_truncated_is_kept_beside_the_mark() -> None:
    (entry,) = shipped(record("x" * 5000, extra={"truncated": "mine"}), max_bytes=2000)
    assert entry["metadata"]["truncated"] == "mine"
    assert any(isinstance(value, dict) and value["fields"] == ["message"] for value in entry["metadata"].values())
