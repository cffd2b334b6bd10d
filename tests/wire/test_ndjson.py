"""NDJSON: the body, the URL and the headers for engines that take one JSON object a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.settings import Settings
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.format import Taken
from tests.entry.making import BIG, builder, exc_info, raised, record

FORMAT = FORMATS["ndjson"]


@given(messages=st.lists(st.text(alphabet=st.characters()), max_size=5))
def test_each_line_is_one_entry_whatever_is_logged(messages: list[str]) -> None:
    by = builder(site_entry=FORMAT.site_entry, common=FORMAT.common)
    entries = [by.build(record("%s", args=(message,), extra={"said": message})) for message in messages]
    body = FORMAT.join(FORMAT.encode(entries, BIG))
    clean = [message.replace("\0", "\ufffd") for message in messages]
    # Of all that ends a line for somebody (`\r`, U+2028), only `\n` does here.
    lines = [json.loads(line) for line in body.split(b"\n") if line]
    for line, message in zip(lines, clean, strict=True):
        surrogates = {ord(char): "\ufffd" for char in message if "\ud800" <= char <= "\udfff"}
        assert (line["message"], line["metadata"]["said"]) == (message.translate(surrogates),) * 2


def test_the_entries_are_those_of_the_collector() -> None:
    def entries_by(name: str) -> list[object]:
        form = FORMATS[name]
        by = builder(site_entry=form.site_entry, common=form.common)
        made = [
            record("plain", created=5.0),
            record("fields", created=5.0, extra={"user_id": 7, "a": {"b": [1]}}),
            record("failed", created=5.0, exc_info=exc_info(raised(ValueError("why")))),
        ]
        body = form.join(form.encode([by.build(each) for each in made], BIG))
        return [json.loads(bytes(run.encoded)) for run in form.split(body)]

    assert entries_by("ndjson") == entries_by("collector")


def test_the_last_line_has_an_end_too() -> None:
    runs = FORMAT.runs_of_lines([b'{"a":1}', b'{"b":2}'])
    assert FORMAT.join(runs) == b'{"a":1}\n{"b":2}\n'


def test_a_body_that_was_written_in_part_or_changed_is_no_body() -> None:
    body = b'{"a":1}\n{"b":[1,2]}\n'
    assert [run.encoded for run in FORMAT.split(body)] == [b'{"a":1}', b'{"b":[1,2]}']
    for other in (
        b"",
        body[:-1],
        body[:-3],
        b'{"a":1} ',
        b"[1]\n",
        b'{"a":1}\n\n',
        b'{"a":1}\n{"b":\n',
        b"[" * 100_000 + b"\n",
    ):
        with pytest.raises(ValueError, match="line"):
            FORMAT.split(other)


@pytest.mark.parametrize(
    "url",
    [
        "http://host:8123/?query=INSERT%20INTO%20logs%20FORMAT%20JSONEachRow",
        "http://host:8123/",
        "http://host/_bulk/",
        "https://host/a%2Fb?x=%7B&y=%25",
    ],
)
def test_the_url_is_taken_as_it_is(url: str) -> None:
    assert FORMAT.url(url, "0199-7") == url


def test_the_id_of_the_batch_stands_in_the_url_wherever_that_asks_for_it() -> None:
    url = "http://host/{batch_id}/?insert_deduplication_token={batch_id}&query=x"
    assert FORMAT.url(url, "0199-7.0") == "http://host/0199-7.0/?insert_deduplication_token=0199-7.0&query=x"


@pytest.mark.parametrize(
    ("configured", "content_type"),
    [
        ({}, "application/x-ndjson"),
        ({"X-Scope": "1"}, "application/x-ndjson"),
        ({"Content-Type": "application/json"}, "application/json"),
        ({"X-Scope": "1", "content-type": "text/plain"}, "text/plain"),
    ],
)
def test_a_content_type_that_people_set_is_sent(configured: dict[str, str], content_type: str) -> None:
    headers = Settings(headers=configured).headers
    assert FORMAT.headers(headers) == {"Content-Type": content_type}


@pytest.mark.parametrize("content", [b"", b'{"count": 3}', b'{"partialSuccess": {"rejectedLogRecords": 3}}', b"Ok."])
def test_an_answer_says_nothing_of_the_entries(content: bytes) -> None:
    assert FORMAT.taken(content) == Taken()
