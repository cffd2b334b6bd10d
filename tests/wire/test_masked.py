"""Entries that are masked by `redact_patterns` before a format writes them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logcollector_handler import log_context
from logcollector_handler.context import current_fields
from logcollector_handler.entry.model import TEXT_LIMITS
from logcollector_handler.entry.patterns import COMMON, Patterns
from logcollector_handler.entry.redact import MASK
from logcollector_handler.wire.masked import MaskedFormat
from tests.entry.making import BIG, FORMAT, accepted, builder, exc_info, parsed, raised, record
from tests.entry.strategies import sayable

MAIL = "joe@example.com"


def format_of(*patterns: str) -> MaskedFormat:
    return MaskedFormat(FORMAT, Patterns(patterns or [COMMON]))


def shipped(form: MaskedFormat, *records: logging.LogRecord, max_bytes: int = BIG) -> list[dict[str, Any]]:
    """The entries of the records, which are the same in a batch and one by one."""

    def build() -> list[Any]:
        by = builder(site_entry=form.site_entry, common=form.common)
        return [by.build(each) for each in records]

    lines = [run.encoded for run in form.split(form.join(form.encode(build(), max_bytes)))]
    assert lines == [form.encode_line(entry, max_bytes) for entry in build()]
    accepted(lines)
    return [parsed(line) for line in lines]


def ship(message: object = "hello", *args: object, patterns: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
    [entry] = shipped(format_of(*patterns), record(message, *args, **given))
    return entry


def test_messages_are_masked_with_fields_and_without() -> None:
    assert ship("mail from %s", MAIL)["message"] == f"mail from {MASK}"
    assert ship("mail from %s", MAIL, extra={"a": 1})["message"] == f"mail from {MASK}"
    assert ship({"event": f"mail from {MAIL}"})["message"] == f"mail from {MASK}"


def test_values_and_names_in_metadata_are_masked_at_any_depth() -> None:
    extra = {"a": MAIL, "b": [{"c": (MAIL, {"d": MAIL})}], MAIL: 1, "e": {MAIL: 1, "bob@example.com": 2}}
    made = ship(extra=extra)["metadata"]
    assert made["a"] == MASK
    assert made["b"] == [{"c": [MASK, {"d": MASK}]}]
    assert made[MASK] == 1
    # Names that look the same afterwards are numbered, and no value is lost.
    assert sorted(made["e"].values()) == [1, 2]
    assert "example.com" not in str(made)


def test_values_that_go_into_metadata_unencoded_are_masked() -> None:
    made = ship(extra={"a": MAIL, "b": "4111 1111 1111 1111", "c": None, "d": 1.5, "e": True})["metadata"]
    assert {name: made[name] for name in "abcde"} == {"a": MASK, "b": MASK, "c": None, "d": 1.5, "e": True}


@pytest.mark.parametrize("extra", [{}, {"a": 1}, {"a": []}])
def test_bound_values_are_masked_at_any_depth(extra: dict[str, Any]) -> None:
    bound = {"a pair": ("from", MAIL), "pairs": [("from", MAIL), {"to": [MAIL]}], MAIL: {"n": {MAIL}}, "text": MAIL}
    form = format_of()
    with log_context(**bound):
        by = builder(site_entry=form.site_entry, common=form.common, bound=current_fields)
        made = parsed(form.encode_line(by.build(record(extra=extra)), BIG))["metadata"]
    expected = {"a pair": ["from", MASK], "pairs": [["from", MASK], {"to": [MASK]}], MASK: {"n": [MASK]}, "text": MASK}
    assert made.items() >= expected.items()


def test_a_whole_number_counts_as_its_digits() -> None:
    made = ship(extra={"a": 4111111111111111, "b": [4111111111111111], "c": 4111111111111112})["metadata"]
    assert (made["a"], made["b"], made["c"]) == (MASK, [MASK], 4111111111111112)


def test_columns_are_masked() -> None:
    made = ship(extra={"user_id": MAIL, "path": f"/users/{MAIL}/cart", "action_type": MAIL, "error_type": MAIL})
    assert made["user_id"] == made["action_type"] == made["error_type"] == MASK
    assert made["path"] == "/users/***/cart"


def test_exceptions_are_masked_with_their_causes_and_notes() -> None:
    error = raised(ValueError(f"no {MAIL}"))
    error.__cause__ = raised(KeyError(MAIL))
    made = ship("failed", exc_info=exc_info(error))
    assert "example.com" not in str(made)
    assert f"ValueError: no {MASK}" in made["stack_trace"]
    assert made["stack_trace"].startswith("Traceback")


def test_a_stack_trace_that_came_as_text_is_masked() -> None:
    made = ship("failed", exc_text=f'Traceback (most recent call last):\n  File "a", line 1, in f\nE: {MAIL}')
    assert made["stack_trace"].endswith(f"E: {MASK}")


def test_what_a_call_site_has_in_common_is_masked() -> None:
    for extra in (None, {"a": 1}):
        made = ship("hello", threadName=f"worker of {MAIL}", name=MAIL, extra=extra)["metadata"]
        assert (made["thread"], made["logger"]) == (f"worker of {MASK}", MASK)


def test_own_patterns_see_texts_as_they_are_and_not_as_json() -> None:
    made = ship('say "hi"\n', patterns=(r'"hi"', r"^b\tc$"), extra={"a": "b\tc", "d": ['"hi"']})
    assert made["message"] == "say ***\n"
    assert made["metadata"]["a"] == MASK
    assert made["metadata"]["d"] == [MASK]


def test_a_column_whose_mask_is_longer_than_what_it_hides_keeps_its_limit() -> None:
    extra = {name: "7" * TEXT_LIMITS[name] for name in ("path", "user_id", "session_id", "trace_id", "action_type")}
    made = ship(patterns=("[0-9]",), extra=extra)
    for name in ("path", "action_type"):
        assert made[name] == (MASK * TEXT_LIMITS[name])[: TEXT_LIMITS[name]]
    # An identifier that was cut would be that of somebody else.
    assert made["user_id"] == made["session_id"] == made["trace_id"] == MASK


def test_levels_and_other_choices_stay_what_the_server_takes() -> None:
    made = ship(patterns=(".+",), extra={"method": "GET"})
    assert (made["level"], made["environment"], made["log_type"], made["method"]) == (
        "INFO",
        "production",
        "BACKEND",
        "GET",
    )
    assert made["message"] == MASK


def test_a_text_is_masked_before_it_is_cut() -> None:
    # Cut first, the mail's first half would remain.
    message = "x" * 1500 + MAIL
    [made] = shipped(format_of(), record(message, extra={"a": message, "b": message}), max_bytes=2048)
    assert "joe" not in str(made)
    error = raised(ValueError("y" * 5000))
    [made] = shipped(format_of(), record("failed", exc_info=exc_info(error)), max_bytes=2048)
    assert made["metadata"]["truncated"]


def test_lone_surrogates_and_nul_do_not_hide_a_secret() -> None:
    made = ship(f"\ud800{MAIL}\0", extra={"a": f"\ud800 {MAIL}", "b": [f"\0 {MAIL}"], "path": f"\ud800 {MAIL}"})
    assert "example.com" not in str(made)
    assert "\ufffd" in made["message"]


@given(st.dictionaries(st.text(max_size=5), sayable, max_size=4), st.text(max_size=20))
@settings(max_examples=100)
def test_an_entry_without_anything_to_mask_is_written_as_without_patterns(fields: dict[str, Any], message: str) -> None:
    made = record(message)
    made.__dict__.update({f"field {name}": value for name, value in fields.items()})
    for patterns in ((COMMON,), ("qqqqqq",)):
        form = format_of(*patterns)
        by = builder(site_entry=form.site_entry, common=form.common)
        plain = FORMAT.encode_line(builder().build(made), BIG)
        # What was made up may by chance look like a card.
        line = form.encode_line(by.build(made), BIG)
        assert line == plain or MASK.encode() in line
