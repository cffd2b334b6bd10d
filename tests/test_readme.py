"""The Python blocks of the README are run as they stand, and log what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler import RateLimitFilter
from logcollector_handler.testing import CollectorServer
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.readme import BLOCKS, README, Block

Entries = list[dict[str, Any]]
USE_IT = "Use it"
OTHER_ENGINES = "Other engines"
OTLP = "OpenTelemetry (OTLP)"
IN_TESTS = "In your tests"


def run(
    block: Block, server: CollectorServer | FaultyServer, directory: Path, more: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a block as a program: behind the configuration, if it is not that itself; and `more` behind it."""
    code = block.code
    if block.heading != USE_IT:
        configuration = next(each.code for each in BLOCKS if each.heading == USE_IT)
        # Both have empty lines in front, up to where they stand.
        code = configuration + code[configuration.count("\n") :]
    program = directory / "README.py"
    program.write_text(f"{code}\n{more}", "utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=directory,
        env={**os.environ, "LOGCOLLECTOR_SERVER_URL": server.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def metadata(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The user's part of it."""
    return {
        name: value for name, value in entry["metadata"].items() if name not in ("logger", "line", "process", "thread")
    }


def use_it(entries: Entries) -> None:
    assert entries == []


def fields(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["level"], entry["message"]) == ("INFO", "payment accepted")
    assert (entry["user_id"], entry["duration_ms"]) == ("12345", 48.2)
    assert metadata(entry) == {"amount": 99.5, "card": {"brand": "visa", "card_number": "***"}}


def secrets(entries: Entries) -> None:
    (entry,) = entries
    assert entry["message"] == "*** of *** paid with ***, pin ***"


def exceptions(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["level"], entry["message"], entry["error_type"]) == (
        "ERROR",
        "could not reserve book",
        "KeyError",
    )
    assert entry["stack_trace"].startswith("Traceback (most recent call last):")
    assert entry["stack_trace"].endswith("KeyError: 'book'")
    assert (entry["function_name"], Path(entry["file_path"]).name) == ("<module>", "README.py")
    assert metadata(entry) == {"item": "book"}


def structlog(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["level"], entry["message"]) == ("INFO", "order placed")
    assert (entry["user_id"], entry["trace_id"]) == ("12345", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert metadata(entry) == {"amount": 99.5}
    assert entry["metadata"]["logger"] == "shop"


def context(entries: Entries) -> None:
    placed, done = entries
    assert (placed["user_id"], placed["service"]) == (done["user_id"], done["service"]) == ("12345", "checkout")
    assert (placed["trace_id"], "trace_id" in done) == ("4bf92f3577b34da6a3ce929d0e0e4736", False)
    assert (metadata(placed), metadata(done)) == ({"amount": 99.5}, {})


def times(entries: Entries) -> None:
    assert [(entry["level"], entry["message"], entry["function_name"]) for entry in entries] == [
        ("INFO", "Process payment", "pay"),
        ("INFO", "Database query", "<module>"),
        ("ERROR", "Process payment", "pay"),
    ]
    assert all("duration_ms" in entry for entry in entries)
    assert metadata(entries[1]) == {"rows": 3}


def structlog_processor(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["level"], entry["message"]) == ("INFO", "order placed")
    assert (entry["user_id"], entry["trace_id"]) == ("12345", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert metadata(entry) == {"amount": 99.5}
    assert (entry["function_name"], entry["metadata"]["logger"]) == ("<module>", "__main__")


def loguru(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["level"], entry["message"]) == ("INFO", "order 7 placed")
    assert (entry["user_id"], entry["trace_id"]) == ("12345", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert metadata(entry) == {"amount": 99.5}
    assert (entry["function_name"], entry["metadata"]["logger"]) == ("<module>", "__main__")


def without_loggers(entries: Entries) -> None:
    # Two handlers: which one's batch comes first is anybody's guess.
    assert [(entry["level"], entry["message"], entry["user_id"], entry["service"]) for entry in entries] == [
        ("INFO", "invoice sent", "12345", "billing"),
        ("ERROR", "no card", "12345", "billing"),
        ("INFO", "Charge", "12345", "billing"),
    ]
    assert entries[1]["error_type"] == "KeyError"


def nothing(entries: Entries) -> None:
    assert entries == []


#: What arrives of each block beside the record of the first one, by the heading that it stands under.
EXPECTED: dict[str, Callable[[Entries], None]] = {
    USE_IT: nothing,
    "Fields": fields,
    "Secrets": secrets,
    "Exceptions": exceptions,
    "Context": context,
    "Times": times,
    "structlog": structlog_processor,
    "structlog through the standard library": structlog,
    "loguru": loguru,
    "Without loggers": without_loggers,
    "Browsers": nothing,
    "What nobody caught": nothing,
    "What can be lost, and how you know": nothing,
    "Metrics": nothing,
    "The end of the process, and forks": nothing,
}


def test_there_is_an_expectation_for_each_block() -> None:
    assert [block.heading for block in BLOCKS] == [*EXPECTED, OTHER_ENGINES, OTLP, IN_TESTS, IN_TESTS]


@pytest.mark.integration
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.heading in EXPECTED], ids=lambda one: one.heading)
def test_a_block_runs_as_it_stands_and_what_it_logs_arrives(block: Block, tmp_path: Path) -> None:
    with CollectorServer(strict=True) as collector:
        ended = run(block, collector, tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")
        first, *others = sorted(collector.entries, key=lambda entry: float(entry["created_at"]))
        assert collector.ignored_keys == set()
    assert (first["level"], first["message"]) == ("INFO", "service started")
    assert (first["service"], first["environment"], first["service_version"]) == (
        "payment-api",
        "production",
        "v1.2.3",
    )
    EXPECTED[block.heading](others)


def ready(heading: str, directory: Path, *replaced: tuple[str, str]) -> Request:
    """The request that comes of one record with the configuration in a block, where so much is replaced in it."""
    block = next(block for block in BLOCKS if block.heading == heading)
    with FaultyServer() as server:
        code = block.code
        for said, here in replaced:
            assert said in code
            code = code.replace(said, here or server.url)
        used = "import logging.config\nlogging.config.dictConfig(LOGGING)\nlogging.info('ready')\n"
        ended = run(Block(USE_IT, code), server, directory, used)
        assert (ended.returncode, ended.stderr) == (0, "")
        (request,) = server.requests
    assert [(entry["message"], entry["service"]) for entry in request.entries] == [("ready", "payment-api")]
    return request


@pytest.mark.integration
def test_the_configuration_for_clickhouse_posts_lines_there(tmp_path: Path) -> None:
    spool = ("/var/spool/payment-api", str(tmp_path / "spool"))
    request = ready(OTHER_ENGINES, tmp_path, ("http://localhost:8123", ""), spool)
    assert (request.wire, request.headers["X-ClickHouse-User"]) == ("ndjson", "logs")
    assert request.path.endswith(f"insert_deduplication_token={request.key}")


@pytest.mark.integration
def test_the_configuration_for_opentelemetry_posts_otlp(tmp_path: Path) -> None:
    request = ready(OTLP, tmp_path, ("http://localhost:4318", ""))
    assert (request.wire, request.path) == ("otlp", "/v1/logs")


@pytest.mark.integration
def test_the_other_way_of_structlog_does_the_same(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if block.heading == "structlog through the standard library")
    found = re.search(r"( +)(\S+),  # or (\S+)\n", block.code)
    assert found
    other = Block(block.heading, block.code.replace(found[0], f"{found[1]}{found[3]},\n"))
    with CollectorServer(strict=True) as collector:
        ended = run(other, collector, tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")
        structlog(collector.entries[1:])


@pytest.mark.integration
def test_stats_are_printed_as_the_block_says(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if "handler.stats()" in block.code)
    with CollectorServer(strict=True) as collector:
        # A busy machine may take longer.
        patient = block._replace(code=block.code.replace("timeout=2.0", "timeout=60"))
        assert patient != block
        assert run(patient, collector, tmp_path).stdout == "1 of 1 delivered; {} dropped\n"


@pytest.mark.integration
def test_what_was_logged_before_sigterm_is_sent(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if "drain_on_signals()" in block.code)
    with CollectorServer(strict=True) as collector:
        ended = run(block, collector, tmp_path, "import signal\nsignal.raise_signal(signal.SIGTERM)\nsignal.pause()\n")
        assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, "")
        assert [entry["message"] for entry in collector.entries] == ["service started"]


@pytest.mark.integration
def test_what_nobody_caught_arrives(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if "capture_uncaught()" in block.code)
    with CollectorServer(strict=True) as collector:
        assert run(block, collector, tmp_path, "1 / 0\n").returncode == 1
        assert [(entry["level"], entry.get("error_type")) for entry in collector.entries] == [
            ("INFO", None),
            ("FATAL", "ZeroDivisionError"),
        ]


@pytest.mark.integration
def test_a_page_is_served_the_client_and_what_it_posts_arrives(tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if block.heading == "Browsers")
    page = """
import asyncio

import httpx

async def visit():
    transport = httpx.ASGITransport(app)
    origin = "http://shop"
    async with httpx.AsyncClient(transport=transport, base_url=origin, headers={"Origin": origin}) as page:
        assert "createLogClient" in (await page.get("/logs-relay/browser.js")).text
        assert (await page.post("/logs-relay/logs", json={"logs": [{"message": "cart opened"}]})).status_code == 200

asyncio.run(visit())
"""
    with CollectorServer(strict=True) as collector:
        ended = run(block, collector, tmp_path, page)
        assert (ended.returncode, ended.stderr) == (0, "")
        (entry,) = (each for each in collector.entries if each["message"] == "cart opened")
    assert (entry["message"], entry["log_type"], entry["service"]) == ("cart opened", "FRONTEND", "payment-api")


def test_the_filter_against_storms_can_be_configured_as_it_says() -> None:
    found = re.search(r'`"filters": (\{.*?\})` in `dictConfig`', README)
    assert found
    (settings,) = json.loads(found[1]).values()
    assert settings.pop("()") == f"{RateLimitFilter.__module__.partition('.')[0]}.{RateLimitFilter.__qualname__}"
    RateLimitFilter(**settings)


@pytest.mark.integration
def test_the_test_of_the_readme_passes_in_a_project_of_its_own(tmp_path: Path) -> None:
    for block in BLOCKS:
        if block.heading == IN_TESTS:
            name, _, code = block.code.lstrip("\n").partition("\n")
            (tmp_path / name.removeprefix("# ")).write_text(code)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conftest.py", "test_payments.py"]
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
