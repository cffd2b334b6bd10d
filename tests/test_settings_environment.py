"""The environment: OpenTelemetry's name of the service, misspelt variables, and a handler that is switched off."""

from __future__ import annotations

import logging
import logging.config
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import structlog

from logcollector_handler import LogClient, LogCollectorHandler, handler
from logcollector_handler.handler import tell_misspelt
from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.settings import SETTINGS, load
from logcollector_handler.settings.environment import misspelt
from logcollector_handler.testing import CapturingHandler
from tests.delivery.spool.processes import Process

OTEL = "OTEL_SERVICE_NAME"
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"


def test_opentelemetrys_name_is_that_of_the_service_when_nothing_else_names_it() -> None:
    assert load({}, {OTEL: "shop"}).service == "shop"
    assert load({"service": None}, {OTEL: "shop", "LOGCOLLECTOR_SERVICE": ""}).service == "shop"
    assert load({}, {OTEL: "shop", "LOGCOLLECTOR_SERVICE": "mine"}).service == "mine"
    assert load({"service": "given"}, {OTEL: "shop"}).service == "given"


@pytest.mark.parametrize(
    ("given", "service"), [("", None), ("  ", None), ("a\0b", "ab"), ("x" * 101, "x" * 100), (" shop ", "shop")]
)
def test_a_name_of_opentelemetry_that_no_column_holds_is_made_to_fit(given: str, service: str | None) -> None:
    assert load({}, {OTEL: given}).service == service


def test_opentelemetrys_attributes_name_service_version_and_environment_when_nothing_else_does() -> None:
    otel = {ATTRIBUTES: "service.name=shop,service.version=1.2%2C3,deployment.environment.name=Prod,team=a"}
    found = load({}, otel)
    assert (found.service, found.service_version, found.environment) == ("shop", "1.2,3", "production")
    assert load({}, {**otel, OTEL: "named"}).service == "named"
    given = {"service": "mine", "service_version": "v9", "environment": "test"}
    for found in load(given, otel), load({}, {**otel, **{f"LOGCOLLECTOR_{k.upper()}": v for k, v in given.items()}}):
        assert (found.service, found.service_version, found.environment) == ("mine", "v9", "test")


@pytest.mark.parametrize(
    ("attributes", "environment"),
    [
        ("deployment.environment=staging", "staging"),
        ("deployment.environment=staging,deployment.environment.name=prod", "production"),
        ("deployment.environment.name=qa", "development"),
        ("deployment.environment.name=staging,broken", "development"),
        ("", "development"),
    ],
)
def test_an_environment_of_opentelemetry_without_a_word_for_it_is_left_out(attributes: str, environment: str) -> None:
    assert load({}, {ATTRIBUTES: attributes}).environment == environment


def test_a_version_of_opentelemetry_that_is_too_long_is_made_to_fit() -> None:
    assert load({}, {ATTRIBUTES: f"service.version={'1' * 60}"}).service_version == "1" * 50


def test_attributes_that_are_not_written_as_specified_are_named_without_their_values() -> None:
    (sentence,) = misspelt({ATTRIBUTES: "hunter2"})
    assert sentence.startswith(f"{ATTRIBUTES} in the environment is ignored")
    assert "hunter2" not in sentence
    assert misspelt({ATTRIBUTES: "a=b,"}) == misspelt({ATTRIBUTES: ""}) == []


# Misspelt variables


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LOGCOLLECTOR_SERVERURL", "LOGCOLLECTOR_SERVERURL in the environment is not a setting; did you mean "),
        ("LOGCOLLECTOR_BATCHSIZE", "did you mean LOGCOLLECTOR_BATCH_SIZE?"),
        ("LOGCOLLECTOR_service", "did you mean LOGCOLLECTOR_SERVICE?"),
        ("LOGCOLLECTOR_", "LOGCOLLECTOR_ in the environment is not a setting"),
        ("LOGCOLLECTOR_COLOUR_OF_THE_SKY", "is not a setting"),
        ("LOGCOLLECTOR_API_KEY:hunter2", "LOGCOLLECTOR_API_KEY in the environment is not a setting"),
        ("LOGCOLLECTOR_X\udcff\nY", "LOGCOLLECTOR_X in the environment is not a setting"),
    ],
)
def test_a_variable_that_is_no_setting_is_named_with_the_nearest_one_and_without_its_value(
    name: str, said: str
) -> None:
    (sentence,) = misspelt({name: "hunter2", "PATH": "/bin", "LOGCOLLECTOR_TIMEOUT": "1"})
    assert said in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("name", ["LOGCOLLECTOR_TOKEN", "LOGCOLLECTOR_", "LOGCOLLECTOR_X"])
def test_what_is_like_no_setting_is_said_without_a_guess(name: str) -> None:
    assert misspelt({name: "x"}) == [f"{name} in the environment is not a setting"]


def test_no_setting_and_nothing_of_kubernetes_is_taken_for_misspelt() -> None:
    assert misspelt(dict.fromkeys((setting.variable for setting in SETTINGS.values()), "x")) == []
    links = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "NAME"]
    assert misspelt({f"LOGCOLLECTOR_{name}": "tcp://10.0.0.1:8000" for name in links}) == []


def test_it_is_said_once_a_process_when_a_handler_is_made(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handler, "_told", set())
    monkeypatch.setenv("LOGCOLLECTOR_SERVERURL", "http://me:hunter2@logs.test")
    monkeypatch.setenv("LOGCOLLECTOR_BATCHSIZE", "7")
    for _ in range(3):
        LogCollectorHandler().close()
    said = capfd.readouterr().err.splitlines()
    assert [line.split()[1] for line in said] == ["LOGCOLLECTOR_BATCHSIZE", "LOGCOLLECTOR_SERVERURL"]
    assert "hunter2" not in "".join(said)
    tell_misspelt()
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setenv("LOGCOLLECTOR_TIMEOT", "7")
    LogCollectorHandler().close()


# Switched off


def made_off(monkeypatch: pytest.MonkeyPatch, by: str, **settings: object) -> LogCollectorHandler:
    if by == "environment":
        monkeypatch.setenv("LOGCOLLECTOR_ENABLED", "false")
        return LogCollectorHandler(**settings)  # type: ignore[arg-type]  # a few settings
    return LogCollectorHandler(enabled=False, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_with_enabled_false_nothing_is_queued_and_no_thread_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
) -> None:
    before = set(threading.enumerate())
    spool = tmp_path / "spool"
    off = made_off(monkeypatch, by, spool_dir=str(spool), durability="record", batch_size=1)
    seen: list[logging.LogRecord] = []

    def note(record: logging.LogRecord) -> bool:
        seen.append(record)
        return True

    off.addFilter(note)
    logger = logging.getLogger("off")
    logger.addHandler(off)
    try:
        for _ in range(10):
            logger.error("not sent")
        off.emit(logging.makeLogRecord({"msg": "not sent"}))
        assert off.flush() is True
        assert off.flush(0.0) is True
    finally:
        logger.removeHandler(off)
    assert (off.stats().accepted, off._pipelines, seen) == (0, {}, [])
    off.close()
    assert set(threading.enumerate()) == before
    assert not spool.exists()


def test_with_enabled_false_what_lies_in_the_spool_is_left_alone(tmp_path: Path) -> None:
    left = Process(tmp_path, url="http://127.0.0.1:9")
    left.put("left")
    left.die()
    before = set(threading.enumerate())
    off = LogCollectorHandler(enabled=False, spool_dir=tmp_path, server_url="http://127.0.0.1:9")
    assert set(threading.enumerate()) == before
    off.close()


def test_with_enabled_false_the_client_and_the_processor_of_structlog_send_nothing() -> None:
    with LogClient(enabled=False) as client:
        client.error("not sent", a=1)
        with client.timer("not sent"):
            pass
        assert client.flush()
        assert (client.handler.stats().accepted, client.handler._pipelines) == (0, {})
    off = LogCollectorHandler(enabled=False)
    logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[LogCollectorProcessor(off), lambda *_: "shown"])
    logger.error("not sent")
    assert off._pipelines == {}
    off.close()


def test_what_tests_capture_is_captured_also_where_the_environment_switches_shipping_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGCOLLECTOR_ENABLED", "false")
    capturing = CapturingHandler()
    capturing.handle(logging.makeLogRecord({"msg": "seen"}))
    assert [entry["message"] for entry in capturing.entries] == ["seen"]
    capturing.close()
    off = CapturingHandler(enabled=False)
    off.handle(logging.makeLogRecord({"msg": "not seen"}))
    assert off.entries == []
    off.close()


@pytest.mark.integration
def test_a_process_whose_handler_is_off_ends_at_once_without_a_word() -> None:
    program = """
import logging, logging.config, multiprocessing, signal, threading
handler = {"class": "logcollector_handler.LogCollectorHandler", "enabled": False, "server_url": "http://127.0.0.1:9"}
logging.config.dictConfig(
    {"version": 1, "handlers": {"c": handler}, "root": {"handlers": ["c"], "level": "DEBUG"}}
)
logging.error("not sent")

def say_what_ends_the_child():
    print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)

child = multiprocessing.get_context("fork").Process(target=say_what_ends_the_child)
child.start()
child.join()
print(threading.active_count())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n1\n", "")
