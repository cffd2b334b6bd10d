"""Entries for people: what was logged beside the message stands behind it, on its line."""

from __future__ import annotations

from typing import Any

import pytest

from logcollector_handler.cli.entries import shown


@pytest.mark.parametrize(
    ("seconds", "shown_as"), [(0.9994, "999"), (0.9996, "999"), (0.0004, "000"), (1.0, "000"), (0.25, "250")]
)
def test_a_time_is_cut_to_its_millisecond_and_never_comes_before_its_second(
    seconds: float, shown_as: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show = shown(as_json=False, traces=False)
    show({"created_at": 1700000000 + seconds, "level": "INFO", "message": "m"})
    assert capsys.readouterr().out[17:23] == f"{20 + int(seconds)}.{shown_as}"


@pytest.mark.parametrize(
    ("fields", "printed"),
    [
        ({"metadata": {"logger": "shop", "line": 3, "process": 7, "thread": "MainThread"}}, ""),
        ({"user_id": "12", "trace_id": "4b", "environment": "production"}, "trace_id=4b user_id=12"),
        ({"method": "GET", "path": "/a", "metadata": {"status": 200}}, "method=GET path=/a status=200"),
        ({"metadata": {"amount": 99.5, "paid": True, "note": None}}, "amount=99.5 paid=true note=null"),
        (
            {"metadata": {"text": "two words", "empty": "", "pair": "a=b", "quote": '"'}},
            'text="two words" empty="" pair="a=b" quote="\\""',
        ),
        (
            {"metadata": {"lines": "one\ntwo", "order": {"id": 7, "items": ["é"]}}},
            'lines="one\\ntwo" order={"id":7,"items":["é"]}',
        ),
        ({"metadata": {"two words": 1, "a\nb": 2}}, '"two words"=1 "a\\nb"=2'),
        ({"metadata": {"long": "x" * 1000}}, f"long={'x' * 100}…"),
        ({"metadata": {"a\x1b[2J": "\x1b[31m", "b": ["\u202e"]}}, r'a\x1b[2J=\x1b[31m b=["\u202e"]'),
    ],
)
def test_what_was_logged_beside_the_message(
    fields: dict[str, Any], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show = shown(as_json=False, traces=False)
    show({"created_at": 5.0, "level": "INFO", "message": "paid", "duration_ms": 4.5, **fields})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.partition("paid  (4.5 ms)")[2] == (f" {printed}" if printed else "")
