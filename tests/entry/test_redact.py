"""Values under secret names are masked, at any depth and in any container."""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest

from logcollector_handler.entry.redact import DEFAULT_REDACT, MASK, Redactor
from tests.entry.making import (
    Name,
    builder,
    metadata,
    record,
    ship,
    shipped,
)


@pytest.mark.parametrize(
    "name",
    [*DEFAULT_REDACT, "PASSWORD", "Pass_Word", "apiKey", "API-KEY", "X-Api-Key", "Set-Cookie", " access token ", "CVV"],
)
def test_a_secret_is_masked_however_its_name_is_spelt(name: str) -> None:
    assert metadata(**{name: "hunter2"}) == {name: MASK}
    assert metadata(value={"a": [{name: {"b": "hunter2"}}]})["value"] == {"a": [{name: MASK}]}


@pytest.mark.parametrize("name", ["passwords", "tokens_used", "key", "author", "secretary", "cookies_eaten"])
def test_other_names_are_not_masked(name: str) -> None:
    assert metadata(**{name: "shown"}) == {name: "shown"}


@dataclasses.dataclass
class Login:
    user: str
    password: str


@attrs.define
class AttrsLogin:
    user: str
    password: str


class StructLogin(msgspec.Struct):
    user: str
    password: str


class ModelLogin(pydantic.BaseModel):
    user: str
    password: str


class TupleLogin(NamedTuple):
    user: str
    password: str


def items_view(**fields: str) -> Any:
    return fields.items()


@pytest.mark.parametrize(
    "kind", [dict, Login, AttrsLogin, StructLogin, ModelLogin, TupleLogin, types.SimpleNamespace, items_view]
)
def test_a_secret_is_masked_in_whatever_has_fields(kind: Any) -> None:
    expected = {"user": "u", "password": MASK}
    login = kind(user="u", password="hunter2")
    assert metadata(value=[{"deep": login}])["value"] == [{"deep": expected}]
    assert metadata(metadata={"login": login, "token": 1}) == {"login": expected, "token": MASK}
    entry = ship({"event": "e", "login": login, "api_key": "hunter2"})
    assert entry["metadata"]["login"] == expected
    assert entry["metadata"]["api_key"] == MASK


@pytest.mark.parametrize("key", [Name("password"), b"password", enum.Enum("E", {"P": "password"}).P])  # type: ignore[attr-defined]  # a member
def test_a_secret_is_masked_whatever_its_key_is(key: Any) -> None:
    assert metadata(value={key: "hunter2", "password": "hunter2"})["value"].keys() >= {"password"}
    assert "hunter2" not in str(metadata(value={key: "hunter2", "password": "hunter2"}))
    made = record()
    made.__dict__[key] = "hunter2"
    assert "hunter2" not in str(shipped(made))


def test_a_field_with_a_name_to_redact_is_masked_even_if_a_column_has_that_name() -> None:
    by = builder(redact=["user_id"])
    [entry] = shipped(record(extra={"user_id": "hunter2", "password": "shown"}), by=by)
    assert "user_id" not in entry
    assert entry["metadata"]["user_id"] == MASK
    assert entry["metadata"]["password"] == "shown"


@pytest.mark.parametrize("name", ["metadata", "line", "logger"])
def test_a_field_with_a_name_to_redact_is_masked_even_if_metadata_has_such_a_field_itself(name: str) -> None:
    for given in ("hunter2", {"a": "hunter2"}):
        [entry] = shipped(record(extra={name: given, "other": {name: given}}), by=builder(redact=[name]))
        assert "hunter2" not in str(entry)
        assert MASK in (entry["metadata"].get(name), entry["metadata"].get(f"{name} (2)"))


def test_names_to_redact_can_be_given_in_any_spelling() -> None:
    secret = Redactor(["Session-ID", "straße"])
    assert secret("session_id")
    assert secret("STRASSE")
    assert not secret("session")
