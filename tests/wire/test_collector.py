"""Entries become lines, and lines bodies: nothing an entry holds stops the others, and no line is too long."""

from __future__ import annotations

import builtins
import gzip
import importlib
from typing import Any

import msgspec
import pytest

from logcollector_handler.entry.model import LogEntry
from logcollector_handler.wire import compression
from logcollector_handler.wire.compression import compress, decompress
from tests.entry.making import (
    BIG,
    FORMAT,
    accepted,
    body_of,
    builder,
    encode_lines,
    exc_info,
    parsed,
    raised,
    record,
    shipped,
    split,
)


def cut(max_bytes: int, msg: object = "hello", **extra: Any) -> dict[str, Any]:
    """What is left of a record of which the handler knows no limit, and the encoder does."""
    [line] = encode_lines([builder().build(record(msg, extra=extra))], max_bytes)
    assert len(line) <= max_bytes
    accepted([line])
    return parsed(line)


@pytest.mark.parametrize("count", [0, 1, 100, 250])
def test_lines_that_are_encoded_already_are_a_body_in_their_order(count: int) -> None:
    lines = [b'{"n":%d}' % number for number in range(count)]
    runs = FORMAT.runs_of_lines(lines)
    assert sum(run.entries for run in runs) == count
    assert FORMAT.join(runs) == b'{"logs":[' + b",".join(lines) + b"]}"


def test_no_entries_are_no_lines() -> None:
    assert encode_lines([], BIG) == []
    assert split(body_of([])) == []


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
@pytest.mark.parametrize("bad", ["\ud800", "\0", "\\u0000", "x" * 3000])
def test_an_entry_that_needs_care_leaves_its_neighbours_alone(count: int, bad: str) -> None:
    by = builder()
    messages = [f"m{number}" for number in range(count)]
    plain = [by.build(record(message, created=5.0)) for message in messages]
    expected = encode_lines(plain, 2000)
    mixed = [by.build(record(message, created=5.0)) for message in messages]
    middle = count // 2
    mixed[middle] = by.build(record(bad, created=5.0))
    lines = encode_lines(mixed, 2000)
    assert len(lines) == count
    assert lines[:middle] + lines[middle + 1 :] == expected[:middle] + expected[middle + 1 :]
    shown = parsed(lines[middle])["message"]
    assert shown == bad.replace("\0", "\ufffd").replace("\ud800", "\ufffd") or "more characters cut]" in shown
    accepted(lines)


def test_an_entry_that_holds_the_impossible_is_told_and_the_others_go_on() -> None:
    good = builder().build(record("good"))
    bad = LogEntry("INFO", "bad", 1.0, "BACKEND", user_id=object())  # type: ignore[arg-type]  # on purpose
    lines = [parsed(line) for line in encode_lines([good, bad, good], BIG)]
    assert [line["message"] for line in lines] == ["good", "bad", "good"]
    assert lines[1]["metadata"] == {"unreadable": "TypeError"}


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


def test_what_is_cut_uses_the_room_there_is() -> None:
    entry = cut(10_000, "x" * 50_000)
    assert 9_000 < len(msgspec.json.encode(entry)) <= 10_000
    assert entry["metadata"]["truncated"]["bytes"] > 50_000


def test_a_long_container_is_kept_as_the_beginning_of_its_json() -> None:
    entry = cut(1500, items=list(range(2000)))
    assert entry["metadata"]["items"].startswith("[0,1,2,3,")


@pytest.mark.parametrize("max_bytes", [1024, 1100, 1500, 3000])
def test_columns_of_fixed_values_are_never_cut(max_bytes: int) -> None:
    fields = {f"field{number}": "x" * 30 for number in range(60)}
    entry = cut(max_bytes, "m" * 3000, method="OPTIONS", duration_ms=1234567.891, environment="development", **fields)
    assert entry["level"] == "INFO"
    assert entry["method"] == "OPTIONS"
    assert entry["environment"] == "development"
    assert entry["log_type"] == "BACKEND"
    assert entry["duration_ms"] == 1234567.891
    assert entry["message"].startswith("mmmm")
    assert entry["metadata"]["logger"] == "shop.cart"


def test_where_there_is_room_for_a_few_letters_each_the_columns_of_fixed_values_are_whole() -> None:
    names = ("service", "service_version", "error_type", "function_name", "file_path", "path", "action_type")
    shortest = 50
    for max_bytes in range(900, 1024, 4):
        long = dict.fromkeys((*names, "user_id", "session_id", *"abcdefgh"), "x" * 50)
        entry = cut(max_bytes, "m" * 3000, method="OPTIONS", environment="development", stack_trace="s" * 99, **long)
        assert (entry["level"], entry["method"], entry["environment"]) == ("INFO", "OPTIONS", "development")
        shortest = min(shortest, len(entry["service"]))
    assert shortest < len("development"), "there was more room than the test needs"


def test_identifiers_are_not_cut_but_moved() -> None:
    entry = cut(1024, user_id="é" * 255, session_id="é" * 100, trace_id="t" * 32, path="/" * 500)
    assert "user_id" not in entry
    assert entry["metadata"]["user_id"].startswith("é")
    assert entry["trace_id"] == "t" * 32
    assert {"user_id", "path"} <= set(entry["metadata"]["truncated"]["fields"])


def test_names_too_long_to_keep_cost_the_fields_and_not_the_message() -> None:
    entry = cut(2000, "the message", **{"k" * 5000: 1, "other": 2})
    assert entry["message"] == "the message"
    assert entry["metadata"].keys() == {"logger", "line", "process", "thread", "truncated"}
    assert entry["metadata"]["truncated"]["fields"] == ["metadata"]


def test_a_long_stack_trace_is_cut() -> None:
    error = raised(ValueError("x" * 5000))
    [line] = encode_lines([builder().build(record(exc_info=exc_info(error)))], 2000)
    entry = parsed(line)
    assert entry["stack_trace"].startswith("Traceback")
    assert entry["error_type"] == "ValueError"
    assert entry["metadata"]["truncated"]["fields"] == ["stack_trace"]


def test_a_body_is_json_and_its_lines_come_back_byte_for_byte() -> None:
    lines = [b'{"a":1}', b'{"b": "\xc3\xa9",  "c":[1, 2]}', b'{"x":"]}"}']
    assert msgspec.json.decode(body_of(lines)) == {"logs": [{"a": 1}, {"b": "é", "c": [1, 2]}, {"x": "]}"}]}
    assert split(body_of(lines)) == lines


def test_what_is_no_body_is_an_error() -> None:
    for body in (b"", b"[]", b'{"logs":1}', b'{"logs":[', b"{}"):
        with pytest.raises(msgspec.DecodeError):
            split(body)


@pytest.mark.parametrize("body", [b"", b"x", b'{"logs":[]}' * 10_000])
def test_compression_is_gzip_and_the_same_each_time(body: bytes) -> None:
    assert gzip.decompress(compress(body)) == body
    assert decompress(compress(body)) == body
    assert compress(body) == compress(body)


def test_without_isal_zlib_compresses(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "isal":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", refuse)
        spec = importlib.util.find_spec(compression.__name__)
        assert spec is not None
        assert spec.loader is not None
        other = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(other)
    body = b"body" * 1000
    assert other.compress is not compression.compress
    assert gzip.decompress(other.compress(body)) == body
    assert other.compress(body) == other.compress(body)
    assert other.compress(body)[4:8] == bytes(4), "the time of compression is in it"


def test_the_mark_of_a_cut_record_takes_no_field_of_the_users() -> None:
    (entry,) = shipped(record("x" * 5000, extra={"truncated": "mine"}), max_bytes=2000)
    assert entry["metadata"]["truncated"] == "mine"
    assert any(isinstance(value, dict) and value["fields"] == ["message"] for value in entry["metadata"].values())
