"""What every format must do. A format that is added to `FORMATS` is tested here without a further line."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.entry.builder import EntryBuilder
from logcollector_handler.entry.patterns import Patterns
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.format import Format, Run
from logcollector_handler.wire.masked import MaskedFormat
from tests.entry.making import BIG, builder, exc_info, raised, record

#: A format that masks entries for another one must do the same.
MASKED = {
    f"masked {name}": cast(Format, MaskedFormat(form, Patterns(["common", "q+x"]))) for name, form in FORMATS.items()
}

pytestmark = pytest.mark.parametrize("form", [*FORMATS.values(), *MASKED.values()], ids=[*FORMATS, *MASKED])


def builder_of(form: Format) -> EntryBuilder:
    return builder(site_entry=form.site_entry, common=form.common)


def records() -> list[logging.LogRecord]:
    """Records of different kinds, some of which need care when they are encoded."""
    return [
        record("plain", created=5.0),
        record("\0 and \ud800", created=5.0),
        record("fields", created=5.0, extra={"user_id": 7, "cart": [1, {"a": 2}]}),
        record("failed", created=5.0, exc_info=exc_info(raised(ValueError("why")))),
        record("long " + "x" * 5000, created=5.0),
    ]


def entries_in(runs: list[Run]) -> int:
    return sum(run.entries for run in runs)


def test_a_format_names_url_headers_and_suffix(form: Format) -> None:
    assert form.url("http://host:1/a", "7").startswith("http://host:1/a")
    assert "Content-Type" in form.headers({})
    assert form.suffix.startswith(".")
    assert not form.suffix.endswith(".gz")


def test_the_length_of_a_body_is_that_of_its_runs_its_frame_and_its_gaps(form: Format) -> None:
    by = builder_of(form)
    for count in 0, 1, 250:
        runs = form.encode([by.build(record(str(number))) for number in range(count)], BIG)
        gaps = max(0, len(runs) - 1)
        length = form.frame_bytes + sum(len(run.encoded) for run in runs) + gaps * form.gap_bytes
        assert len(form.join(runs)) == length


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 1000])
def test_all_entries_are_in_the_runs_and_come_back_out_of_the_body(form: Format, count: int) -> None:
    by = builder_of(form)
    runs = form.encode([by.build(record(str(number))) for number in range(count)], BIG)
    assert entries_in(runs) == count
    split = form.split(form.join(runs))
    assert [run.entries for run in split] == [1] * count
    assert all(str(number) in form.describe(bytes(run.encoded)) for number, run in enumerate(split))
    assert form.split(form.join(split)) == split


def test_half_of_a_body_is_the_body_of_half_of_the_entries(form: Format) -> None:
    by = builder_of(form)
    entries = [by.build(each) for each in records()]
    runs = form.split(form.join(form.encode(entries, BIG)))
    # Compared one by one, because side by side they may have something in common that is written once.
    assert runs[:2] == form.split(form.join(form.encode(entries[:2], BIG)))
    assert runs[2:] == form.split(form.join(form.encode(entries[2:], BIG)))
    assert form.split(form.join(runs[:2])) == runs[:2]


def test_lines_of_entries_become_the_same_body_as_the_entries(form: Format) -> None:
    by = builder_of(form)
    entries = [by.build(each) for each in records()]
    lines = [form.encode_line(each, BIG) for each in entries]
    assert not any(b"\n" in line for line in lines)
    assert entries_in(form.runs_of_lines(lines)) == len(lines)
    assert form.join(form.runs_of_lines(lines)) == form.join(form.encode(entries, BIG))


def test_a_line_is_told_from_the_beginning_of_one(form: Format) -> None:
    by = builder_of(form)
    for each in records():
        line = form.encode_line(by.build(each), BIG)
        assert form.is_line(line)
        assert not any(form.is_line(line[:length]) for length in range(0, len(line), 7))


@pytest.mark.parametrize("limit", [1024, 2000, 4000])
def test_no_line_and_no_run_is_longer_than_a_record_may_be(form: Format, limit: int) -> None:
    by = builder_of(form)
    entries = [by.build(each) for each in records() * 3]
    assert all(len(run.encoded) <= limit for run in form.encode(entries, limit))
    assert all(len(form.encode_line(each, limit)) <= limit for each in entries)


def test_an_entry_with_a_common_part_is_written_like_any_other(form: Format) -> None:
    by = builder_of(form)
    plain = by.build(record("plain", created=5.0))
    by.use_formatter(logging.Formatter())
    full = by.build(record("plain", created=5.0))
    assert isinstance(plain, type(form.site_entry("INFO", "", 0.0, form.common(full))))  # type: ignore[arg-type]
    assert form.encode([plain], BIG) == form.encode([full], BIG)


@given(content=st.binary() | st.sampled_from([b"{}", b"[]", b"null", b'{"count": "x"}', b"[" * 100_000]))
def test_content_of_any_kind_raises_at_most_a_value_error(form: Format, content: bytes) -> None:
    assert len(form.describe(content)) < 1000
    taken = form.taken(content)
    assert taken.entries is None or type(taken.entries) is int
    assert type(taken.rejected) is int
    assert form.is_line(content) in (True, False)
    with suppress(ValueError):
        assert all(run.entries == 1 for run in form.split(content))
