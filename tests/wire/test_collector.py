"""The body for the log collection server, entries that need care, and how one is described."""

from __future__ import annotations

import msgspec
import pytest

from logcollector_handler.entry.model import LogEntry
from logcollector_handler.wire.format import Taken
from tests.entry.making import (
    BIG,
    FORMAT,
    accepted,
    body_of,
    builder,
    encode_lines,
    parsed,
    record,
    split,
)


@pytest.mark.parametrize("count", [0, 1, 100, 250])
def test_lines_that_are_encoded_already_become_a_body_in_their_order(count: int) -> None:
    lines = [b'{"n":%d}' % number for number in range(count)]
    runs = FORMAT.runs_of_lines(lines)
    assert sum(run.entries for run in runs) == count
    assert FORMAT.join(runs) == b'{"logs":[' + b",".join(lines) + b"]}"


def test_a_body_without_entries_splits_into_no_lines() -> None:
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


def test_an_entry_that_cannot_be_encoded_is_replaced_and_the_others_are_whole() -> None:
    good = builder().build(record("good"))
    bad = LogEntry("INFO", "bad", 1.0, "BACKEND", user_id=object())  # type: ignore[arg-type]  # on purpose
    lines = [parsed(line) for line in encode_lines([good, bad, good], BIG)]
    assert [line["message"] for line in lines] == ["good", "bad", "good"]
    assert lines[1]["metadata"] == {"unreadable": "TypeError"}


def test_a_body_is_json_and_its_lines_come_back_unchanged() -> None:
    lines = [b'{"a":1}', b'{"b": "\xc3\xa9",  "c":[1, 2]}', b'{"x":"]}"}']
    assert msgspec.json.decode(body_of(lines)) == {"logs": [{"a": 1}, {"b": "é", "c": [1, 2]}, {"x": "]}"}]}
    assert split(body_of(lines)) == lines


def test_splitting_something_that_is_not_a_body_raises_a_value_error() -> None:
    for body in (b"", b"[]", b'{"logs":1}', b'{"logs":[', b"{}", b'{"logs":[' + b"[" * 100_000):
        with pytest.raises(ValueError, match=r"[Oo]bject|array|truncated|nested"):
            split(body)


def test_an_entry_is_described_by_its_level_time_and_the_beginning_of_its_message() -> None:
    [line] = encode_lines([builder().build(record("it\nfailed " + "x" * 200, created=5.0))], BIG)
    described = FORMAT.describe(line)
    assert described.startswith("INFO at 5.000: 'it failed xxx")
    assert described.endswith("x…'")
    assert len(described) < 130


@pytest.mark.parametrize(
    "entry", [b"", b"{}", b"torn {", b'{"level":"INFO","message":1,"created_at":"now"}', b"\xff" * 500]
)
def test_an_entry_that_cannot_be_read_is_described_by_its_bytes(entry: bytes) -> None:
    assert FORMAT.describe(entry) == repr(entry[:100])


@pytest.mark.parametrize(
    ("content", "count"),
    [
        *[(b'{"status": "ok", "count": 3}', 3), (b'{"count": 0}', 0)],
        *[(b"", None), (b"<html>", None), (b"[]", None), (b"{}", None), (b'{"count": "3"}', None), (b"\xff", None)],
    ],
)
def test_the_count_in_an_answer_is_read_and_anything_else_is_none(content: bytes, count: int | None) -> None:
    assert FORMAT.taken(content) == Taken(count)
