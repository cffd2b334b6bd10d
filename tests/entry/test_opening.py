"""Objects with fields: a field that its class does not print is masked, whatever its name, at any depth."""

from __future__ import annotations

import dataclasses
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import attrs
import httpx
import pydantic
import pydantic.dataclasses
import pytest
import starlette.datastructures
import werkzeug.datastructures
from django.conf import settings as django_settings
from django.http import QueryDict

from logcollector_handler import log_context
from logcollector_handler.context import current_fields
from logcollector_handler.entry.redact import MASK
from tests.entry.making import builder, metadata, record, shipped


@dataclass
class Data:
    user: str = "u"
    answer: str = field(default="hunter2", repr=False)


@dataclass(slots=True, frozen=True)
class Slots:
    user: str = "u"
    answer: str = field(default="hunter2", repr=False)


@attrs.define
class Attrs:
    user: str = "u"
    answer: str = attrs.field(default="hunter2", repr=False)


@pydantic.dataclasses.dataclass
class PydanticData:
    user: str = "u"
    answer: str = pydantic.Field(default="hunter2", repr=False)


class Model(pydantic.BaseModel):
    user: str = "u"
    answer: str = pydantic.Field(default="hunter2", repr=False)


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(serialize_by_alias=True)

    user: str = "u"
    answer_: str = pydantic.Field(default="hunter2", repr=False, alias="answer")


class Computed(pydantic.BaseModel):
    user: str = "u"

    @pydantic.computed_field(repr=False)  # type: ignore[prop-decorator]
    @property
    def answer(self) -> str:
        return "hunter2"


EXPECTED = {"user": "u", "answer": MASK}
KINDS = [Data, Slots, Attrs, PydanticData, Model, Aliased, Computed]


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_is_not_printed_is_masked(kind: Any) -> None:
    assert metadata(who=kind(), all=[{"a": (kind(),)}]) == {"who": EXPECTED, "all": [{"a": [EXPECTED]}]}
    # That a class hides a field has nothing to do with the names of secrets.
    [entry] = shipped(record(extra={"who": kind()}), by=builder(redact=[]))
    assert entry["metadata"]["who"] == EXPECTED
    with log_context(who=kind()):
        [entry] = shipped(record(), by=builder(bound=current_fields))
    assert entry["metadata"]["who"] == EXPECTED


class Outer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)

    data: Data = Data()
    attrs: Attrs = Attrs()
    model: Model = Model()
    some: list[Model] = [Model()]
    pairs: tuple[str, Model] = ("a", Model())
    named: dict[str, list[Aliased]] = {"a": [Aliased()]}
    either: Model | None = None
    secret: pydantic.SecretStr = pydantic.SecretStr("hunter2")


class Root(pydantic.RootModel[list[Model]]):
    pass


def test_a_field_that_is_not_printed_is_masked_in_models_in_models() -> None:
    given = {"either": Model(), "more": Model(), "root": Root([Model()])}
    made = metadata(who=Outer.model_validate(given))["who"]
    assert made == {
        "data": EXPECTED,
        "attrs": EXPECTED,
        "model": EXPECTED,
        "some": [EXPECTED],
        "pairs": ["a", EXPECTED],
        "named": {"a": [EXPECTED]},
        "either": EXPECTED,
        "secret": MASK,
        "more": EXPECTED,
        "root": [EXPECTED],
    }
    assert metadata(who=Root([Model()]))["who"] == [EXPECTED]


class Own(pydantic.BaseModel):
    number: str = "4111"
    left: str = pydantic.Field(default="hunter2", exclude=True)
    inner: Model = Model()

    @pydantic.field_serializer("number")
    def last(self, value: str) -> str:
        return f"…{value[-1]}"


def test_what_a_model_makes_of_a_field_is_what_is_shown() -> None:
    assert metadata(who=Own())["who"] == {"number": "…1", "inner": EXPECTED}


class Overridden(Model):
    def model_dump(self, **_: Any) -> dict[str, Any]:
        return {"user": "!", "other": 1}


def test_a_model_that_dumps_itself_otherwise_is_shown_so() -> None:
    assert metadata(who=Overridden())["who"] == {"user": "!", "other": 1}


@attrs.define
class Halved:
    number: str = attrs.field(default="4111", repr=lambda value: f"…{value[-1]}")
    broken: str = attrs.field(default="hunter2", repr=True)


def test_a_field_that_is_printed_by_a_function_is_shown_as_that_prints_it() -> None:
    assert metadata(who=Halved())["who"] == {"number": "…1", "broken": "hunter2"}


@attrs.define
class Raising:
    answer: str = attrs.field(default="hunter2", repr=lambda value: f"{1 / 0}")


def test_an_object_that_cannot_be_opened_is_named_by_its_type() -> None:
    assert metadata(who=Raising())["who"] == "<Raising, which could not be read: ZeroDivisionError>"


def test_secrets_of_pydantic_are_not_shown() -> None:
    shown = metadata(
        a=pydantic.SecretStr("hunter2"), b=[pydantic.SecretBytes(b"hunter2")], c={pydantic.SecretStr("hunter2"): 1}
    )
    assert "hunter2" not in str(shown)


def test_the_dict_of_a_dataclass_is_masked_by_its_names_alone() -> None:
    @dataclass
    class Login:
        user: str = "u"
        db_password: str = "hunter2"
        data: Data = field(default_factory=Data)

    asdict = dataclasses.asdict(Login())
    assert metadata(who=asdict)["who"]["db_password"] == MASK
    assert metadata(who=Login())["who"] == {"user": "u", "db_password": MASK, "data": EXPECTED}


@pytest.mark.parametrize(
    "kind",
    [
        werkzeug.datastructures.MultiDict,
        werkzeug.datastructures.ImmutableMultiDict,
        lambda pairs: QueryDict(urllib.parse.urlencode(pairs)),
        httpx.QueryParams,
        httpx.Headers,
        starlette.datastructures.FormData,
    ],
)
def test_all_values_are_shown_of_a_name_that_has_several(kind: Any) -> None:
    if not django_settings.configured:
        django_settings.configure(ALLOWED_HOSTS=["*"])
    form = kind([("size", "1"), ("size", "2"), ("a", "b"), ("token", "hunter2"), ("token", "hunter2")])
    assert metadata(form=form)["form"] == {"size": ["1", "2"], "a": "b", "token": MASK}
