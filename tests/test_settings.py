"""Settings: where a value comes from, what is allowed, and how the handler declares them."""

from __future__ import annotations

import inspect
import logging
import logging.config
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler import LogCollectorHandler, SettingError
from logcollector_handler.settings import NAMES, SETTINGS, Settings, UnknownSettingError, load
from logcollector_handler.wire import FORMATS


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load({}, {})
    assert settings == Settings()
    assert settings.server_url == "http://localhost:8000"
    assert settings.service is None
    assert settings.environment == "development"
    assert settings.service_version == "v0.0.0-dev"
    assert settings.log_type == "BACKEND"
    assert settings.batch_size == 1000
    assert settings.flush_interval == 1.0
    assert settings.flush_level == logging.ERROR
    assert settings.max_queue_size == 10_000
    assert settings.overflow == "drop_oldest"
    assert settings.enable_compression is True
    assert settings.max_retries == 3
    assert settings.timeout == 5.0
    assert settings.max_batch_bytes == 4 * 1024 * 1024
    assert settings.max_record_bytes == 256 * 1024
    assert settings.max_buffer_bytes == 64 * 1024 * 1024
    assert settings.shutdown_timeout == 5.0
    assert settings.api_key is None
    assert settings.headers == {}
    assert settings.verify is True
    assert settings.proxy is None
    assert "password" in settings.redact


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("server_url", "https://logs.example/prefix/", "https://logs.example/prefix"),
        ("service", "shop", "shop"),
        ("service_version", "12", "12"),
        ("environment", "PROD", "production"),
        ("log_type", "worker", "WORKER"),
        ("batch_size", "50", 50),
        ("flush_interval", "0.25", 0.25),
        ("flush_interval", "2", 2.0),
        ("flush_level", "critical", logging.CRITICAL),
        ("flush_level", "trace", 5),
        ("flush_level", "35", 35),
        ("overflow", "block", "block"),
        ("enable_compression", "false", False),
        ("enable_compression", "On", True),
        ("max_retries", "0", 0),
        ("api_key", "12345", "12345"),
        ("headers", '{"X-Team": "a"}', {"X-Team": "a"}),
        ("verify", "false", False),
        ("proxy", "http://proxy:3128", "http://proxy:3128"),
        ("redact", '["pin"]', ("pin",)),
    ],
)
def test_a_setting_is_read_from_the_environment(name: str, text: str, value: object) -> None:
    assert getattr(load({}, {f"LOGCOLLECTOR_{name.upper()}": text}), name) == value


def test_an_argument_wins_over_the_environment_and_none_is_no_argument() -> None:
    environ = {"LOGCOLLECTOR_SERVICE": "from-environment", "LOGCOLLECTOR_BATCH_SIZE": "7"}
    settings = load({"service": "from-argument", "batch_size": None}, environ)
    assert settings.service == "from-argument"
    assert settings.batch_size == 7


def test_an_empty_variable_is_no_value() -> None:
    assert load({}, {"LOGCOLLECTOR_SERVICE": ""}).service is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_url", "localhost:8000"),
        ("server_url", "ftp://host"),
        ("server_url", "http://"),
        ("server_url", "http://host:port"),
        ("server_url", " http://host"),
        ("server_url", "http://host\n"),
        ("server_url", "http://exa mple"),
        ("server_url", "http://a..b"),
        ("server_url", f"http://{'a' * 64}.test"),
        ("service", "x" * 101),
        ("service", 5),
        ("service", "nul\0"),
        ("spool_dir", ""),
        ("service_version", "v" * 51),
        ("environment", "prodd"),
        ("log_type", "DESKTOP"),
        ("batch_size", 0),
        ("batch_size", 1.5),
        ("batch_size", True),
        ("batch_size", "10"),
        ("flush_interval", 0),
        ("flush_interval", float("nan")),
        ("flush_interval", float("inf")),
        ("flush_level", "LOUD"),
        ("max_queue_size", -1),
        ("overflow", "drop"),
        ("enable_compression", "yes"),
        ("enable_compression", 1),
        ("max_retries", -1),
        ("timeout", "5"),
        ("max_record_bytes", 10),
        ("max_record_bytes", 5 * 1024 * 1024),
        ("max_batch_bytes", 65 * 1024 * 1024),
        ("headers", ["a"]),
        ("headers", {"a": 1}),
        ("headers", {"X-A": "two\r\nlines"}),
        ("headers", {"X A": "x"}),
        ("headers", {"a:b": "x"}),
        ("headers", {"X-A": " x"}),
        ("headers", {"Content-length": "5"}),
        ("headers", {"idempotency-key": "5"}),
        ("proxy", "socks5://host"),
        ("timeout", 1e10),
        ("verify", "/no/such/file"),
        ("proxy", "proxy:3128"),
        ("redact", "password"),
        ("redact", [1]),
    ],
)
def test_a_wrong_value_is_refused_by_name_value_and_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(SettingError) as caught:
        load({name: value}, {})
    message = str(caught.value)
    assert message.startswith(name)
    assert "allowed: " in message
    if name != "headers":
        assert repr(value) in message


def test_batches_are_left_to_others_in_a_spool_only() -> None:
    with pytest.raises(SettingError, match=r"deliver is False; allowed: true, unless spool_dir is set"):
        load({"deliver": False}, {})
    with pytest.raises(SettingError, match=r"unless spool_dir is set"):
        load({}, {"LOGCOLLECTOR_DELIVER": "false"})
    assert not load({"spool_dir": "/spool"}, {"LOGCOLLECTOR_DELIVER": "false"}).deliver
    assert load({"spool_dir": "/spool"}, {}).deliver


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("batch_size", "many"),
        ("enable_compression", "maybe"),
        ("headers", "X-A: 1"),
        ("redact", "password"),
        ("timeout", "soon"),
        ("timeout", "nan"),
    ],
)
def test_a_wrong_variable_is_named_as_the_variable_that_it_is(name: str, text: str) -> None:
    variable = f"LOGCOLLECTOR_{name.upper()}"
    with pytest.raises(SettingError, match=variable):
        load({}, {variable: text})


def test_dictconfig_says_which_setting_is_wrong() -> None:
    config = {
        "version": 1,
        "handlers": {"collector": {"class": "logcollector_handler.LogCollectorHandler", "batch_size": "lots"}},
    }
    with pytest.raises(ValueError, match="collector") as caught:
        logging.config.dictConfig(config)
    assert "batch_size is 'lots'; allowed: a whole number from 1" in str(caught.value.__cause__)


def test_dictconfig_refuses_a_name_that_is_no_setting() -> None:
    config = {
        "version": 1,
        "handlers": {"collector": {"class": "logcollector_handler.LogCollectorHandler", "batchsize": 5}},
    }
    with pytest.raises((ValueError, TypeError)) as caught:
        logging.config.dictConfig(config)
    assert "batchsize" in f"{caught.value} {caught.value.__cause__}"


def test_a_keyword_that_is_no_setting_is_refused_with_the_nearest_name_or_all_of_them() -> None:
    with pytest.raises(UnknownSettingError, match=r"batchsize is not a setting .* did you mean batch_size\?"):
        LogCollectorHandler(batchsize=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="there are server_url, service, "):
        LogCollectorHandler(xyz=5)  # type: ignore[call-arg]


def test_a_ca_file_is_accepted_as_verify(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert load({"verify": bundle}, {}).verify == str(bundle)


def test_of_headers_the_one_that_is_wrong_is_named() -> None:
    for value in (1, "two\nlines"):
        with pytest.raises(SettingError, match=r"headers\['X-B'\] is '\*\*\*'"):
            load({"headers": {"X-A": "a", "X-B": value}}, {})


def test_a_path_may_be_given_as_a_path_object_or_as_text(tmp_path: Path) -> None:
    for path in (tmp_path, str(tmp_path)):
        settings = load({"spool_dir": path, "verify": path}, {})
        assert (settings.spool_dir, settings.verify) == (str(tmp_path), str(tmp_path))


def test_each_default_is_allowed_and_stays_as_it_is() -> None:
    for setting in SETTINGS.values():
        if setting.default is not None:
            assert setting.from_argument(setting.default) == setting.default


def test_a_value_is_checked_however_settings_are_made_and_cannot_be_changed_after() -> None:
    with pytest.raises(SettingError, match="batch_size is 0"):
        Settings(batch_size=0)
    with pytest.raises(SettingError, match="batch_size is 0"):
        replace(Settings(), batch_size=0)
    settings = Settings(batch_size=7, service=None)
    with pytest.raises(FrozenInstanceError):
        settings.batch_size = 8  # type: ignore[misc]
    assert (settings.batch_size, settings.service, Settings().batch_size) == (7, None, 1000)


def test_the_signature_of_the_handler_has_every_setting_as_a_keyword_that_need_not_be_given() -> None:
    level, *settings = inspect.signature(LogCollectorHandler).parameters.values()
    assert (level.name, level.default) == ("level", logging.NOTSET)
    assert tuple(each.name for each in settings) == NAMES
    assert {(each.kind, each.default) for each in settings} == {(inspect.Parameter.KEYWORD_ONLY, None)}
    annotations = {each.name: each.annotation for each in settings}
    assert annotations["batch_size"] == "int | None"
    assert annotations["flush_level"] == "int | str | None"
    assert annotations["headers"] == "Mapping[str, str] | None"


def test_the_help_of_the_handler_describes_level_and_every_setting() -> None:
    _, _, arguments = (inspect.getdoc(LogCollectorHandler.__init__) or "").partition("\nArgs:\n")
    lines = arguments.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"    {name}" for name in ("level", *NAMES)]
    assert "    batch_size: A batch with this many records is sent at once. Default 1000 records." in lines
    assert lines[NAMES.index("max_batch_bytes") + 1].endswith("Default 4 MiB.")


def test_a_level_is_a_level_and_not_a_setting() -> None:
    handler = LogCollectorHandler("WARNING", service="shop")
    assert handler.level == logging.WARNING
    handler.close()


def test_the_scheme_of_a_url_may_be_in_capitals() -> None:
    assert load({"server_url": "HTTPS://Logs.test/Prefix/"}, {}).server_url == "https://Logs.test/Prefix"


@pytest.mark.parametrize("wire", list(FORMATS))
def test_no_batch_and_no_record_may_be_larger_than_servers_of_the_format_take(wire: str) -> None:
    form = FORMATS[wire]
    settings = load({"wire": wire, "max_batch_bytes": 8 << 20, "max_record_bytes": 8 << 20}, {})
    assert settings.max_batch_bytes == min(8 << 20, form.max_batch_bytes)
    assert settings.max_record_bytes == min(8 << 20, form.max_batch_bytes - form.frame_bytes)
    settings = load({"wire": wire, "max_batch_bytes": 70_000, "max_record_bytes": 60_000}, {})
    assert (settings.max_batch_bytes, settings.max_record_bytes) == (70_000, 60_000)
