"""Bound fields: every record carries them until they are removed; their precedence; arbitrary names and values."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from logcollector_handler import bind_context, clear_context, log_context
from logcollector_handler.context import current_fields
from logcollector_handler.entry.bound import bound
from logcollector_handler.testing import CapturingHandler
from tests.capturing import fields
from tests.context.logged import last, log, logged
from tests.entry.making import BIG, builder, encode_lines, record
from tests.entry.strategies import Switch, big, check_entry, cleaned, extras, values


def test_bound_fields_are_on_every_record_until_they_are_cleared(handler: CapturingHandler) -> None:
    bind_context(user_id=7, region="eu")
    bind_context(trace_id=uuid.UUID(int=1), method="post")
    for _ in range(2):
        entry = logged(handler)
        assert (entry["user_id"], entry["trace_id"], entry["method"]) == ("7", "0" * 31 + "1", "POST")
        assert fields(entry) == {"region": "eu"}
    clear_context()
    entry = logged(handler)
    assert "user_id" not in entry
    assert fields(entry) == {}


def test_a_with_block_ends_with_the_fields_of_its_start_whatever_was_bound_inside(handler: CapturingHandler) -> None:
    bind_context(user_id=1, a="outer")
    with log_context(user_id=2, b="inner"):
        entry = logged(handler)
        assert (entry["user_id"], fields(entry)) == ("2", {"a": "outer", "b": "inner"})
        with log_context(user_id=3):
            assert logged(handler)["user_id"] == "3"
        bind_context(c="bound inside", a="changed")
        assert fields(logged(handler)) == {"a": "changed", "b": "inner", "c": "bound inside"}
    entry = logged(handler)
    assert (entry["user_id"], fields(entry)) == ("1", {"a": "outer"})


def test_a_block_that_raises_removes_its_fields_too(handler: CapturingHandler) -> None:
    with pytest.raises(ValueError, match="why"), log_context(a=1):
        raise ValueError("why")
    assert fields(logged(handler)) == {}


def test_binding_none_removes_a_field(handler: CapturingHandler) -> None:
    bind_context(user_id=1, region="eu", session_id=None)
    with log_context(user_id=None):
        entry = logged(handler)
        assert "user_id" not in entry
        assert "session_id" not in entry
        assert fields(entry) == {"region": "eu"}
    assert logged(handler)["user_id"] == "1"
    bind_context(user_id=None, region=None)
    assert current_fields() is None


def test_extra_takes_precedence_over_bound_fields_and_those_over_the_settings(handler: CapturingHandler) -> None:
    names = ("service", "environment", "service_version", "log_type")
    with log_context(service="other", environment="prod", service_version=2, log_type="worker", user_id=1, note="a"):
        entry = logged(handler)
        assert [entry[name] for name in names] == ["other", "production", "2", "WORKER"]
        entry = logged(handler, {"service": "third", "user_id": 5, "note": "b"})
        assert [entry[name] for name in names] == ["third", "production", "2", "WORKER"]
        assert (entry["user_id"], fields(entry)) == ("5", {"note": "b"})
        log.info({"event": "of structlog", "user_id": 9, "note": "c"})
        assert (last(handler)["user_id"], fields(last(handler))) == ("9", {"note": "c"})
    assert [logged(handler)[name] for name in names] == ["shop", "production", "v0.0.0-dev", "BACKEND"]


def test_an_extra_replaces_a_bound_field_in_its_column_and_in_metadata(handler: CapturingHandler) -> None:
    with log_context(user_id="u" * 300, path="p" * 501):
        entry = logged(handler)
        assert ("user_id" in entry, entry["path"]) == (False, "p" * 500)
        assert fields(entry) == {"user_id": "u" * 300, "path": "p" * 501}
        entry = logged(handler, {"user_id": 1, "path": "/"})
        assert (entry["user_id"], entry["path"], fields(entry)) == ("1", "/", {})
    with log_context(user_id=1):
        entry = logged(handler, {"user_id": [2]})
        assert ("user_id" in entry, fields(entry)) == (False, {"user_id": [2]})


def test_bound_fields_do_not_replace_level_message_and_time_of_a_record(handler: CapturingHandler) -> None:
    with log_context(level="FATAL", message="bound", created_at=1):
        entry = logged(handler)
    assert (entry["level"], entry["message"]) == ("INFO", "hello")
    assert entry["created_at"] > 1
    assert fields(entry) == {"level": "FATAL", "message": "bound", "created_at": 1}


def test_a_bound_field_named_like_a_field_of_the_origin_is_numbered(handler: CapturingHandler) -> None:
    with log_context(logger="mine", thread=3, note=1):
        metadata = logged(handler, {"line": 5, "more": 2})["metadata"]
        again = logged(handler, {"logger (2)": "too"})["metadata"]
    assert (metadata["logger (2)"], metadata["thread (2)"], metadata["line (2)"]) == ("mine", 3, 5)
    assert (metadata["note"], metadata["more"], metadata["logger"]) == (1, 2, log.name)
    assert (again["logger (2)"], again["logger (2) (2)"]) == ("too", "mine")


def test_bound_dicts_named_metadata_are_merged(handler: CapturingHandler) -> None:
    with log_context(metadata={"a": 1, "b": 1, "user_id": 7, "token": "t"}, note=1):
        entry = logged(handler, {"metadata": {"b": 2, "c": 3}})
    assert "user_id" not in entry
    assert fields(entry) == {"a": 1, "b": 2, "b (2)": 1, "c": 3, "user_id": 7, "note": 1, "token": "***"}


def test_bound_dicts_named_metadata_do_not_grow_without_end(handler: CapturingHandler) -> None:
    bind_context(metadata={"request": 0, "user": 1})
    for number in range(10):
        bind_context(metadata={"request": number})
    bind_context(request="named so, too")
    assert fields(logged(handler)) == {"request": "named so, too", "request (2)": 9, "user": 1}
    bind_context(metadata=None)
    assert fields(logged(handler)) == {"request": "named so, too"}


def test_each_handler_masks_bound_secrets_at_any_depth_by_its_own_names(handler: CapturingHandler) -> None:
    other = CapturingHandler(redact=["region", "user_id"])
    log.addHandler(other)
    try:
        with log_context(password="p", card={"brand": "visa", "cvv": "123"}, user_id=7):
            assert fields(logged(handler)) == {"password": "***", "card": {"brand": "visa", "cvv": "***"}}
            assert last(handler)["user_id"] == "7"
            assert fields(last(other)) == {"password": "p", "card": {"brand": "visa", "cvv": "123"}, "user_id": "***"}
            assert "user_id" not in last(other)
    finally:
        log.removeHandler(other)
        other.close()


def test_changing_a_bound_value_later_has_no_effect(handler: CapturingHandler) -> None:
    cart, took = ["a"], timedelta(seconds=1)
    bind_context(cart=cart, duration_ms=took)
    cart.append("b")
    entry = logged(handler)
    assert (fields(entry), entry["duration_ms"]) == ({"cart": ["a"]}, 1000)


def test_records_with_an_exception_or_a_formatter_carry_bound_fields_too(handler: CapturingHandler) -> None:
    with log_context(user_id=1, note="n"):
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("failed")
        assert (last(handler)["user_id"], fields(last(handler))) == ("1", {"note": "n"})
        handler.setFormatter(logging.Formatter("[%(message)s]"))
        entry = logged(handler)
        assert (entry["message"], entry["user_id"], fields(entry)) == ("[hello]", "1", {"note": "n"})


@settings(big, max_examples=60)
@given(extras, extras, values)
def test_the_server_accepts_an_entry_with_any_bound_and_logged_fields_and_none_is_lost(
    ambient: dict[str, Any], extra: dict[str, Any], value: Any
) -> None:
    standard = set(record().__dict__) | {"message", "asctime", "unreadable"}
    extra = {name: value for name, value in extra.items() if name not in standard}
    ambient = {name: value for name, value in ambient.items() if name != "unreadable"}
    with Switch():
        made = bound(bound(None, {"first": value}), ambient)
    by = builder(bound=lambda: made)
    one, plain = record(), record()
    one.__dict__.update(extra)
    with Switch():
        entries = [by.build(one), by.build(plain), by.build(plain)]
        lines = encode_lines(entries, BIG)
    entry, without, again = (check_entry(line, BIG) for line in lines)
    assert without == again
    assert "unreadable" not in {*entry["metadata"], *without["metadata"]}
    for names, where in ((extra, entry), (ambient, without)):
        for name, each in names.items():
            if (name == "metadata" and type(each) is dict) or (each is None and where is without):
                continue
            assert cleaned(name) in where["metadata"] or name in where
    assert ("first" in without["metadata"]) == (value is not None) or "first" in ambient
