"""Secrets in settings: they are shown neither in a repr, nor in an error, nor in a text that `mask` has passed."""

from __future__ import annotations

from typing import Any

import pytest

from logcollector_handler import LogCollectorHandler, SettingError
from logcollector_handler.settings import Settings, load

SECRETS = {
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
