"""`logcollector doctor`: where the settings that it examines come from."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

import pytest

from logcollector_handler.cli import main
from logcollector_handler.cli.configured import ConfigurationError, handlers_in
from logcollector_handler.cli.doctor import examine
from logcollector_handler.settings import Settings
from tests.cli.doctor.examined import real
from tests.integration.faulty import FaultyServer


def test_it_shows_the_server_and_each_setting_that_is_not_the_default_without_secrets() -> None:
    finding = next(examine(Settings(service="shop", batch_size=7, headers={"X-Token": "hunter2"})))
    shown = (
        "server_url http://localhost:8000, wire collector, service shop, batch_size 7, headers {'X-Token': '***'}; "
        "all else by default"
    )
    assert (finding.check, finding.text) == ("settings", shown)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("LOGCOLLECTOR_SERVERURL", "LOGCOLLECTOR_SERVER_URL"),
        ("LOGCOLLECTOR_API_KYE", "LOGCOLLECTOR_API_KEY"),
        ("LOGCOLLECTOR_server_url", "LOGCOLLECTOR_SERVER_URL"),
    ],
)
def test_a_variable_that_is_no_setting_fails_the_check_of_the_settings_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, near: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    finding = next(examine(Settings(service="shop")))
    assert (finding.check, finding.status) == ("settings", "FAILED")
    assert finding.text.startswith(f"{name} in the environment is not a setting; did you mean {near}?")
    assert "hunter2" not in finding.text


def test_a_handler_that_is_not_enabled_is_said_to_send_nothing() -> None:
    finding = next(examine(Settings(enabled=False)))
    assert (finding.status, "sends nothing" in finding.text) == ("ok", True)


@real
def test_every_handler_in_a_file_is_checked(
    server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        nobody = f"http://127.0.0.1:{one.getsockname()[1]}"
    common = {"class": "logcollector_handler.LogCollectorHandler", "level": "INFO", "filters": ["storms"]}
    config = {
        "LOGGING": {
            "version": 1,
            "handlers": {
                "console": {"class": "logging.StreamHandler"},
                "first": {**common, "server_url": server.url, "service": "shop"},
                "second": {**common, "server_url": nobody},
            },
        }
    }
    file = tmp_path / "logging.json"
    file.write_text(json.dumps(config))
    assert main(["doctor", "--config", str(file)]) == 1
    first, _, second = capsys.readouterr().out.partition("Handler second:\n")
    assert first.startswith("Handler first:\n")
    assert "service shop" in first
    assert "FAILED" not in first
    assert "connection     FAILED" in second
    # An argument takes precedence over the file.
    assert main(["doctor", "--config", str(file), "--server-url", server.url]) == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"handlers": {"c": {"class": "logcollector_handler.LogCollectorHandler", "batch_size": 7}}}'),
        ("a.toml", '[tool.x.handlers.c]\n"()" = "logcollector_handler.handler.LogCollectorHandler"\nbatch_size = 7'),
        ("a.yml", "- handlers:\n    c: {class: logcollector_handler.LogCollectorHandler, batch_size: 7}"),
    ],
)
def test_a_file_may_be_json_toml_or_yaml(tmp_path: Path, name: str, text: str) -> None:
    if name.endswith("toml") and sys.version_info < (3, 11):
        pytest.skip("3.10 has no tomllib")
    if name.endswith("yml"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(text)
    assert handlers_in(tmp_path / name) == {"c": {"batch_size": 7}}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "{", "a.json is no JSON"),
        ("a.json", '{"handlers": {"c": {"class": "logging.StreamHandler"}}}', "names no logcollector_handler."),
        ("a.ini", "[x]", "must be named *.json"),
        ("missing.json", None, "cannot be read (No such file"),
    ],
)
def test_a_useless_configuration_file_is_reported_with_the_reason(
    tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        handlers_in(tmp_path / name)
    assert words in str(raised.value)


def test_wrong_settings_are_reported_with_exit_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--server-url", "logs"]) == 2
    assert "server_url is 'logs'" in capsys.readouterr().err
    assert main(["doctor", "--config", str(tmp_path / "missing.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert threading.active_count() == 1
