"""The body of the log collection server, and entries that its JSON cannot hold as they are."""

from __future__ import annotations

import msgspec
import pytest

from logcollector_handler.entry.model import LogEntry
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


def test_a_body_is_json_and_its_lines_come_back_byte_for_byte() -> None:
    lines = [b'{"a":1}', b'{"b": "\xc3\xa9",  "c":[1, 2]}', b'{"x":"]}"}']
    assert msgspec.json.decode(body_of(lines)) == {"logs": [{"a": 1}, {"b": "é", "c": [1, 2]}, {"x": "]}"}]}
    assert split(body_of(lines)) == lines


def test_what_is_no_body_is_an_error() -> None:
    for body in (b"", b"[]", b'{"logs":1}', b'{"logs":[', b"{}"):
        with pytest.raises(msgspec.DecodeError):
            split(body)
