"""Values under secret names are masked, at any depth and in any container. `test_secret_names` has the names."""

from __future__ import annotations

import collections
import dataclasses
import email.message
import enum
import types
import wsgiref.headers
from collections import deque
from typing import Any, NamedTuple

import attrs
import httpx
import msgspec
import pydantic
import pytest
import starlette.datastructures
import werkzeug.datastructures

from logcollector_handler import log_context
from logcollector_handler.context import current_fields
from logcollector_handler.entry.redact import MASK
from tests.entry.making import (
    Name,
    builder,
    metadata,
    record,
    ship,
    shipped,
)


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


HEADERS: list[tuple[Any, Any]] = [("host", "x"), ("authorization", "Bearer hunter2"), ("cookie", "a=hunter2")]


def as_lists(pairs: list[tuple[Any, Any]]) -> list[list[Any]]:
    return [list(pair) for pair in pairs]


def as_bytes(pairs: list[tuple[Any, Any]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in pairs]


@pytest.mark.parametrize(
    "kind",
    [
        list,
        tuple,
        as_lists,
        as_bytes,
        deque,
        lambda pairs: tuple(as_lists(pairs)),
        wsgiref.headers.Headers,
        werkzeug.datastructures.Headers,
    ],
)
def test_a_secret_is_masked_in_pairs_of_a_name_and_a_value(kind: Any) -> None:
    expected = [["host", "x"], ["authorization", MASK], ["cookie", MASK]]
    assert metadata(value=kind(HEADERS)) == {"value": expected}
    assert metadata(value=[{"scope": {"headers": kind(HEADERS)}}])["value"] == [{"scope": {"headers": expected}}]
    with log_context(value=kind(HEADERS)):
        assert bound_metadata()["value"] == expected


@pytest.mark.parametrize(
    "kind",
    [
        lambda pairs: {name.encode(): value for name, value in pairs},
        lambda pairs: starlette.datastructures.Headers(raw=as_bytes(pairs)),
        lambda pairs: httpx.Headers(pairs),
        lambda pairs: collections.OrderedDict(pairs),
        lambda pairs: types.MappingProxyType(dict(pairs)),
    ],
)
def test_a_secret_is_masked_in_headers_of_any_kind(kind: Any) -> None:
    expected = {"host": "x", "authorization": MASK, "cookie": MASK}
    assert metadata(value=kind(HEADERS)) == {"value": expected}


def test_a_secret_is_masked_in_mappings_of_a_name_and_a_value() -> None:
    assert metadata(env=[{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "PORT", "value": "5"}])["env"] == [
        {"name": "DB_PASSWORD", "value": MASK},
        {"name": "PORT", "value": "5"},
    ]
    assert metadata(tag={"Value": "hunter2", "Key": b"api-key", "a": 1})["tag"] == {
        "Value": MASK,
        "Key": "api-key",
        "a": 1,
    }
    assert metadata(value={"name": 5, "value": "shown"})["value"] == {"name": 5, "value": "shown"}


@pytest.mark.parametrize("wrapped", [dict, lambda **fields: {"metadata": fields}])
def test_a_secret_is_masked_in_records_of_a_name_and_a_value(wrapped: Any) -> None:
    for name, shown in (("DB_PASSWORD", MASK), ("PORT", "hunter2")):
        fields = wrapped(key=name, value="hunter2", a=1)
        expected = {"key": name, "value": shown, "a": 1}
        assert metadata(**fields) == expected
        with log_context(**fields):
            assert bound_metadata().items() >= expected.items()
        with log_context(key=name):
            [entry] = shipped(record(extra={"value": "hunter2"}), by=builder(bound=current_fields))
            assert entry["metadata"].items() >= {"key": name, "value": shown}.items()


def test_the_value_of_an_option_is_masked_in_a_command() -> None:
    assert metadata(value=["psql", "--password", "hunter2", "--user", "u", "--token=hunter2"])["value"][:5] == [
        "psql", "--password", MASK, "--user", "u"
    ]  # fmt: skip
    assert "hunter2" not in str(metadata(argv=["psql", "--password", "hunter2", "--token=hunter2"]))
    assert metadata(value=["password", "shown", "--password"])["value"] == ["password", "shown", "--password"]


def test_headers_that_come_twice_are_all_kept() -> None:
    message = email.message.Message()
    for address in ("1.1.1.1", "2.2.2.2"):
        message["via"] = address
    message["set-cookie"] = "hunter2"
    assert metadata(value=message)["value"] == [["via", "1.1.1.1"], ["via", "2.2.2.2"], ["set-cookie", MASK]]


def test_a_tuple_of_two_is_a_pair_and_a_list_of_two_names_is_none() -> None:
    assert metadata(value=("password", "hunter2"))["value"] == ["password", MASK]
    assert metadata(changed=["password", "email"])["changed"] == ["password", "email"]
    assert metadata(value=[["password", ["hunter2"]], ["a", "b"]])["value"] == [["password", MASK], ["a", "b"]]
    assert metadata(value=[("a", "b"), ("c", 1), (1, "password")])["value"] == [["a", "b"], ["c", 1], [1, "password"]]
    with log_context(value=("password", "hunter2")):
        assert bound_metadata()["value"] == ["password", MASK]


def test_pairs_in_arguments_of_a_message_that_cannot_be_made_are_masked() -> None:
    assert "hunter2" not in str(ship("%d", "password", "hunter2")["metadata"])


def bound_metadata() -> dict[str, Any]:
    [entry] = shipped(record(), by=builder(bound=current_fields))
    return dict(entry["metadata"])
