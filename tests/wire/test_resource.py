"""Who logs, in OpenTelemetry's words, and the variable that says more of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

import logcollector_handler
from logcollector_handler.wire.resource import attributes_of, parsed, told

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: text == text.strip()
)


@given(st.dictionaries(PLAIN, PLAIN))
def test_whatever_is_percent_encoded_in_the_variable_comes_out_of_it(attributes: dict[str, str]) -> None:
    assert parsed(",".join(f"{quote(key)}={quote(value)}" for key, value in attributes.items())) == attributes


@pytest.mark.parametrize(
    ("variable", "attributes"),
    [
        ("", {}),
        (" , ,", {}),
        ("a=1", {"a": "1"}),
        (" a = 1 , b=2,", {"a": "1", "b": "2"}),
        ("a=1,a=2", {"a": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("a=100%", {"a": "100%"}),
        ("a=x%2Cy%3D%C3%A9", {"a": "x,y=é"}),
        ("k%20k=v", {"k k": "v"}),
        ("a=%00", {"a": "\ufffd"}),
        ("a=\udcff", {"a": "\ufffd"}),
    ],
)
def test_the_variable_is_read_as_the_specification_says(variable: str, attributes: dict[str, str]) -> None:
    assert parsed(variable) == attributes


@pytest.mark.parametrize("variable", ["a", "a=1,b", "=1", "a=1, =2", "a=%FF"])
def test_of_a_variable_with_a_mistake_nothing_is_used(variable: str) -> None:
    with pytest.raises(ValueError, match=r"key=value|codec"):
        parsed(variable)
    assert told(variable) == {}


@given(st.text())
def test_any_variable_raises_at_most_a_value_error(variable: str) -> None:
    for key, value in told(variable).items():
        assert "\0" not in key + value
        (key + value).encode()


def described(variable: str = "", **changes: Any) -> dict[str, Any]:
    columns = {"service": "shop", "version": "v1", "environment": "production", "process": 7} | changes
    return attributes_of(variable, **columns)


def test_a_resource_says_who_logs_where_and_by_what() -> None:
    found = described()
    assert found.pop("host.name")
    assert found == {
        "service.name": "shop",
        "service.version": "v1",
        "deployment.environment.name": "production",
        "process.pid": 7,
        "telemetry.sdk.name": "logcollector-handler",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": logcollector_handler.__version__,
    }


def test_a_service_that_nobody_has_named_is_called_unknown() -> None:
    assert described(service=UNSET)["service.name"] == described(service="")["service.name"] == "unknown_service"
    assert described("service.name=", service=UNSET)["service.name"] == "unknown_service"
    assert "process.pid" not in described(process=None)


def test_the_variable_says_more_and_the_settings_win_over_it() -> None:
    variable = "service.name=other,service.version=v0,deployment.environment.name=staging,host.name=box,team=a"
    found = described(variable)
    assert (found["host.name"], found["team"]) == ("box", "a")
    names = ("service.name", "service.version", "deployment.environment.name")
    assert [found[name] for name in names] == ["shop", "v1", "production"]
    for nothing in UNSET, "":
        found = described(variable, service=nothing, version=nothing, environment=nothing)
        assert [found[name] for name in names] == ["other", "v0", "staging"]


def test_an_environment_that_no_setting_can_say_stands_in_for_the_default_alone() -> None:
    name = "deployment.environment.name"
    assert described(f"{name}=qa", environment="development")[name] == "qa"
    assert described("deployment.environment=qa", environment="development")[name] == "qa"
    assert described(f"{name}=qa", environment="production")[name] == "production"
    assert described(f"{name}=prod", environment="development")[name] == "development"
