"""The setting `redact_patterns`: what it takes, and what of a handler's records it reaches."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler import LogClient, LogCollectorHandler, SettingError
from logcollector_handler import handler as handlers
from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.pipeline import format_of
from logcollector_handler.entry.patterns import Patterns
from logcollector_handler.settings import load
from logcollector_handler.testing import CollectorServer
from logcollector_handler.wire import FORMATS
from tests.capturing import capturing
from tests.delivery.harness import Request, ScriptedTransport, ok

log = logging.getLogger("shop")


@pytest.mark.parametrize(
    ("value", "held"),
    [("common", ("common",)), (["common", "a+"], ("common", "a+")), (("a+",), ("a+",)), ([], ()), (None, ())],
)
def test_it_is_the_name_of_the_ready_patterns_or_a_list(value: Any, held: tuple[str, ...]) -> None:
    assert load({"redact_patterns": value}, {}).redact_patterns == held


@pytest.mark.parametrize(
    ("text", "held"), [("common", ("common",)), (" common ", ("common",)), ('["common", "a\\\\d"]', ("common", "a\\d"))]
)
def test_it_can_come_from_the_environment(text: str, held: tuple[str, ...]) -> None:
    assert load({}, {"LOGCOLLECTOR_REDACT_PATTERNS": text}).redact_patterns == held


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a+", "redact_patterns is 'a+'; allowed: common, or a list of regular expressions"),
        ("Common", "redact_patterns is 'Common'; allowed: common, or"),
        (5, "redact_patterns is 5; allowed: common, or"),
        ([b"a"], "redact_patterns is [b'a']; allowed: common, or"),
        (["a", "("], "redact_patterns[1] is '('; allowed: common, or a regular expression"),
        (["a*"], "redact_patterns[0] is 'a*'; allowed: common, or a regular expression that matches some letters (it"),
        ([""], "redact_patterns[0] is ''; allowed: common, or a regular expression that matches some letters (it"),
    ],
)
def test_a_wrong_pattern_is_refused_at_configuration(value: Any, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        LogCollectorHandler(redact_patterns=value)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("text", ['["("]', "[a", "a+"])
def test_a_wrong_pattern_in_the_environment_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="LOGCOLLECTOR_REDACT_PATTERNS"):
        load({}, {"LOGCOLLECTOR_REDACT_PATTERNS": text})


def test_without_patterns_the_format_is_the_plain_one() -> None:
    assert format_of(load({}, {})) is FORMATS["collector"]


def test_captured_logs_are_masked_as_those_that_are_sent() -> None:
    with capturing("shop", redact_patterns=["common", r"cust-\d+"]) as handler:
        log.info("cust-7 has the card %s", "4111 1111 1111 1111", extra={"mail": ["joe@example.com"]})
    [entry] = handler.entries
    assert entry["message"] == "*** has the card ***"
    assert entry["metadata"]["mail"] == ["***"]


def test_the_server_gets_masked_records_and_the_logging_call_does_not_wait_for_the_patterns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = set()
    masked = Patterns.masked

    def noting(self: Patterns, text: str) -> str:
        if "joe" in text:
            threads.add(threading.current_thread())
        return masked(self, text)

    monkeypatch.setattr(Patterns, "masked", noting)
    with CollectorServer(strict=True) as collector:
        client = LogClient(server_url=collector.url, redact_patterns="common", shutdown_timeout=60.0)
        client.info("mail from joe@example.com")
        client.info("mail from joe@example.com", address="joe@example.com", by={"a": "joe@example.com"})
        try:
            raise ValueError("joe@example.com")
        except ValueError:
            client.error_with_trace("failed")
        assert client.flush(60)
        client.close()
        assert len(collector.entries) == 3
        assert "joe" not in json.dumps(collector.entries)
    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_what_waits_on_disk_is_masked(durability: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def look(request: Request) -> Answer:
        seen.extend(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
        return ok(request)

    network = ScriptedTransport()
    network.rule = look
    monkeypatch.setattr(handlers, "connect", lambda *_: network)
    handler = LogCollectorHandler(
        spool_dir=tmp_path, durability=durability, redact_patterns="common", enable_compression=False
    )
    log.addHandler(handler)
    try:
        log.error("mail from joe@example.com", extra={"a": ["joe@example.com"]})
    finally:
        log.removeHandler(handler)
        assert handler.flush(60)
        handler.close()
    assert b"mail from ***" in b"".join(seen)
    assert b"joe" not in b"".join(seen)
