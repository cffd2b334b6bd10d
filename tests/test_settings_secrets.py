"""Secrets in settings: they are shown neither in a repr, nor in an error, nor in a text that `mask` has passed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import pydantic
import pytest

from logcollector_handler import LogClient, LogCollectorHandler, SettingError
from logcollector_handler.entry.encoding import encode_fields
from logcollector_handler.entry.redact import DEFAULT_REDACT, Redactor
from logcollector_handler.settings import Settings, load

SECRETS: dict[str, Any] = {
    "server_url": "http://localhost:1",
    "api_key": "hunter2-key",
    "headers": {"X-Token": "hunter2-header"},
    "proxy": "http://me:hunter2@proxy:1",
}


@pytest.mark.parametrize("other", [{}, {"server_url": "http://user:hunter2@localhost:1", "api_key": None}])
def test_no_secret_shows_in_a_repr(other: dict[str, Any]) -> None:
    settings = load(SECRETS | other, {})
    handler = LogCollectorHandler(**(SECRETS | other))
    for shown in (
        repr(settings),
        str(settings),
        repr(handler),
        settings.mask("header hunter2-header, password hunter2"),
    ):
        assert "hunter2" not in shown
    assert "localhost" in repr(settings)
    handler.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_url", "ftp://user:hunter2@host"),
        ("proxy", "ftp://user:hunter2@host"),
        ("proxy", "me:hunter2@proxy:3128"),
        ("proxy", "http://me:hunter2@[::1"),
        ("server_url", "http://me:hunter2#@host/"),
        ("server_url", "http://me:hunter2/x@host:port"),
        ("api_key", "hunter2\n"),
        ("api_key", b"hunter2"),
        ("api_key", ""),
        ("headers", {"X-Token": "hunter2\n"}),
        ("headers", {"X-Token": b"hunter2"}),
        ("headers", "hunter2"),
        ("server_url", b"http://user:hunter2@host"),
        ("proxy", ["http://user:hunter2@host"]),
        ("proxy", b"http://user:hunter2@host"),
        ("server_url", ["http://user:hunter2@host"]),
        ("server_url", {"url": "http://user:hunter2@host"}),
        ("proxy", {"http": "http://user:hunter2@host"}),
        ("proxy", ("http://user:hunter2@host",)),
    ],
)
def test_no_secret_shows_in_an_error(name: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        load({name: value}, {})
    assert "hunter2" not in str(caught.value)


def test_the_settings_that_were_changed_are_told_without_their_secrets() -> None:
    assert Settings().changed() == {}
    assert load(SECRETS | {"batch_size": 7}, {}).changed() == {
        "server_url": "http://localhost:1",
        "batch_size": 7,
        "api_key": "***",
        "headers": {"X-Token": "***"},
        "proxy": "http://me:***@proxy:1",
    }


def test_what_stands_behind_the_question_mark_of_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingError) as caught:
        load({"server_url": "http://host/?api_key=s3cret"}, {})
    assert "s3cret" not in str(caught.value)
    assert "without ? and #" in str(caught.value)


def test_a_request_has_one_authorization() -> None:
    with pytest.raises(SettingError, match="user name in server_url") as caught:
        load({"server_url": "http://me:pass@host", "api_key": "s3cret"}, {})
    assert "s3cret" not in str(caught.value)


def test_a_password_of_any_length_is_masked_where_it_stands_in_a_url() -> None:
    settings = load({"server_url": "http://me:pw@host", "proxy": "http://me:x@proxy"}, {})
    assert settings.mask("http://me:pw@host by http://me:x@proxy") == "http://me:***@host by http://me:***@proxy"


def test_masking_takes_longer_secrets_first_and_leaves_alone_what_is_too_short_for_one() -> None:
    headers = {"X-A": "abcd", "X-B": "abcdTOPSECRET", "X-Tenant": "1", "X-Empty": ""}
    settings = load({"server_url": "http://127.0.0.1:81", "headers": headers}, {})
    assert settings.mask("http://127.0.0.1:81 said abcdTOPSECRET, abcd") == "http://127.0.0.1:81 said ***, ***"
    assert "http://127.0.0.1:81" in repr(settings)


SECRET = 'pa/ss "wörd\\'
ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "in JSON": json.dumps,
    "in JSON as it comes": lambda text: json.dumps(text, ensure_ascii=False),
    "in JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "in a URL": lambda text: quote(text, safe=""),
    "in a URL with slashes": quote,
    "in a form": quote_plus,
    "in a repr": repr,
    "in HTML": lambda text: text.replace("&", "&amp;").replace('"', "&quot;"),
    "in JSON in a repr": lambda text: repr(json.dumps(text)),
}


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("where", ["header", "password of the proxy", "password of the server"])
def test_a_secret_is_found_however_it_is_written(where: str, echo: str) -> None:
    if where == "header":
        # Headers are of ASCII.
        secret = SECRET.replace("ö", "o")
        settings = load({"headers": {"X-Token": secret}}, {})
    else:
        secret = SECRET
        name = "proxy" if "proxy" in where else "server_url"
        settings = load({name: f"http://me:{quote(secret, safe='')}@host"}, {})
    shown = settings.mask(f"I got <{ECHOES[echo](secret)}> of you")
    assert shown.startswith("I got <")
    assert shown.endswith("> of you")
    assert "***" in shown
    assert not [part for part in ("pa", "ss", "rd") if part in shown.lower()]


@pytest.mark.parametrize("secret", ["hunter2", "x"])
def test_user_and_password_are_found_as_the_header_sends_them(secret: str) -> None:
    for name in ("server_url", "proxy"):
        settings = load({name: f"http://me:{secret}@host"}, {})
        sent = b64encode(f"me:{secret}".encode()).decode()
        assert sent.rstrip("=") not in settings.mask(f"Authorization: Basic {sent} is wrong")


def test_the_credentials_of_a_header_are_found_without_their_scheme() -> None:
    given = {
        "Authorization": "Bearer abcdef-hunter2",
        "Proxy-Authorization": f"Basic {b64encode(b'me:hunter2').decode()}",
    }
    settings = load({"headers": given}, {})
    for echo in (
        "abcdef-hunter2",
        "ABCDEF-HUNTER2",
        b64encode(b"me:hunter2").decode().rstrip("="),
        "me:hunter2",
        "hunter2",
    ):
        assert settings.mask(f"token {echo} is wrong") == "token *** is wrong"


@pytest.mark.parametrize("text", ["", "HTTP 401: wrong key", "me@host", "hunter"])
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert load(SECRETS, {}).mask(text) == text
    assert Settings().mask(text) == text


# What an application logs of this package


@dataclass
class Application:
    settings: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    settings: Any


def test_no_secret_is_shipped_with_the_settings_of_a_handler_that_are_logged_as_a_field() -> None:
    handler, client = LogCollectorHandler(**SECRETS), LogClient(**SECRETS)
    settings = handler._settings
    fields = {
        "settings": settings,
        "handler": handler,
        "client": client,
        "list": [settings, handler],
        "dict": {"mine": settings},
        "dataclass": Application(settings),
        "pydantic": Model(settings=settings),
        "attributes": vars(handler),
        "settings in a dict": vars(settings),
        "exception": ValueError(settings),
        "text": f"{settings!r} {vars(settings)}",
    }
    redact = Redactor(DEFAULT_REDACT)
    for name, value in fields.items():
        shipped = encode_fields({name: value}, redact, 100_000).decode()
        assert "hunter2" not in shipped
        assert "server_url" in shipped, "and it is told what they are"
    handler.close()
    client.close()
