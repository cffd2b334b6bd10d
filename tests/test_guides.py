"""The Python of the README and of each guide is run as it stands, and logs what the text says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from logcollector_handler import LogCollectorHandler, RateLimitFilter, SettingError
from logcollector_handler.testing import CollectorServer
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.readme import DOCUMENTS, GOES_ON, README, USE_IT, blocks, program, run

Entries = list[dict[str, Any]]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STRUCTLOG = "examples/structlog/README.md"
ENGINES = "examples/engines/README.md"
TESTING = "examples/testing/README.md"

#: Asks an application for a page, as a server does, without a port.
ASKS_ASGI = """
import asyncio
import logging

import httpx

logging.getLogger("httpx").setLevel("WARNING")

async def visit(path, **post):
    transport = httpx.ASGITransport(app)
    origin = "http://shop"
    async with httpx.AsyncClient(transport=transport, base_url=origin, headers={"Origin": origin}) as page:
        answer = await (page.post(path, **post) if post else page.get(path))
        assert answer.status_code == 200
        return answer.text
"""


def metadata(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The user's part of it."""
    return {
        name: value for name, value in entry["metadata"].items() if name not in ("logger", "line", "process", "thread")
    }


def nothing(entries: Entries) -> None:
    assert entries == []


def ready(entries: Entries) -> None:
    assert [(entry["message"], entry["service"]) for entry in entries] == [("ready", "shop")]


def started(entries: Entries) -> None:
    assert [(entry["message"], entry["service"]) for entry in entries] == [("service started", "payment-api")]


def fields(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["level"], entry["message"]) == ("INFO", "payment accepted")
    assert (entry["user_id"], entry["duration_ms"]) == ("12345", 48.2)
    assert metadata(entry) == {"amount": 99.5, "card": {"brand": "visa", "card_number": "***"}}


def readme(entries: Entries) -> None:
    first, accepted, placed, seventh = entries
    assert (first["level"], first["message"]) == ("INFO", "service started")
    assert (accepted["message"], accepted["user_id"], accepted["duration_ms"]) == ("payment accepted", "12345", 48.2)
    assert metadata(accepted) == {"amount": 99.5, "card_number": "***"}
    assert [(entry["message"], entry["user_id"], metadata(entry)) for entry in (placed, seventh)] == [
        ("order placed", "12345", {"amount": 99.5}),
        ("order 7 placed", "12345", {"amount": 99.5}),
    ]
    assert {(entry["service"], entry["environment"], entry["service_version"]) for entry in entries} == {
        ("payment-api", "production", "v1.2.3")
    }
    assert {entry["metadata"]["logger"] for entry in entries} == {"__main__"}


def secrets(entries: Entries) -> None:
    signed_in, paid = entries
    assert metadata(signed_in) == {"user": "joe", "password": "***"}
    assert paid["message"] == "*** of *** paid with ***, pin ***"


def exceptions(entries: Entries) -> None:
    logged, uncaught = entries
    assert (logged["level"], logged["message"], logged["error_type"]) == ("ERROR", "could not reserve book", "KeyError")
    assert logged["stack_trace"].startswith("Traceback (most recent call last):")
    assert logged["stack_trace"].endswith("KeyError: 'book'")
    assert (logged["function_name"], Path(logged["file_path"]).name) == ("<module>", "guide.py")
    assert metadata(logged) == {"item": "book"}
    assert (uncaught["level"], uncaught["error_type"]) == ("FATAL", "ZeroDivisionError")


def structlog(entries: Entries) -> None:
    assert len(entries) == 2
    for entry in entries:
        assert (entry["level"], entry["message"]) == ("INFO", "order placed")
        assert (entry["user_id"], entry["trace_id"]) == ("12345", TRACE)
        assert metadata(entry) == {"amount": 99.5}
        assert entry["function_name"] == "<module>"
    assert [entry["metadata"]["logger"] for entry in entries] == ["__main__", "shop"]


def loguru(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["level"], entry["message"]) == ("INFO", "order 7 placed")
    assert (entry["user_id"], entry["trace_id"]) == ("12345", TRACE)
    assert metadata(entry) == {"amount": 99.5}
    assert (entry["function_name"], entry["metadata"]["logger"]) == ("<module>", "__main__")


def context(entries: Entries) -> None:
    placed, done = entries
    assert (placed["user_id"], placed["service"]) == (done["user_id"], done["service"]) == ("12345", "checkout")
    assert (placed["trace_id"], "trace_id" in done) == (TRACE, False)
    assert (metadata(placed), metadata(done)) == ({"amount": 99.5}, {})


def times(entries: Entries) -> None:
    assert [(entry["level"], entry["message"], entry["function_name"]) for entry in entries] == [
        ("INFO", "Process payment", "pay"),
        ("INFO", "Database query", "<module>"),
        ("ERROR", "Process payment", "pay"),
    ]
    assert all("duration_ms" in entry for entry in entries)
    assert metadata(entries[1]) == {"rows": 3}


def without_loggers(entries: Entries) -> None:
    assert [(entry["level"], entry["message"], entry["user_id"], entry["service"]) for entry in entries] == [
        ("INFO", "invoice sent", "12345", "billing"),
        ("ERROR", "no card", "12345", "billing"),
        ("INFO", "Charge", "12345", "billing"),
    ]
    assert entries[1]["error_type"] == "KeyError"


def looked_at(entries: Entries) -> None:
    """One record of a request, and the access record."""
    inside, access = entries
    assert inside["message"] in ("order is looked at", "order 7 is looked at")
    assert access["metadata"]["logger"] == "logcollector.access"
    assert (access["path"], access["metadata"]["status"]) == ("/orders/7", 200)
    for name in ("user_id", "path", "method"):
        assert inside[name] == access[name]
    assert inside["metadata"]["request_id"] == access["metadata"]["request_id"]


def page(entries: Entries) -> None:
    (entry,) = entries
    assert (entry["message"], entry["log_type"]) == ("cart opened", "FRONTEND")


def task(entries: Entries) -> None:
    inside, *_, ended = entries  # Celery's own line comes between.
    assert (inside["message"], inside["metadata"]["task_name"]) == ("invoice goes out", "send")
    assert (ended["metadata"]["logger"], ended["level"]) == ("logcollector.task", "INFO")


class Expected(NamedTuple):
    """What a document logs when its Python is run, with `more` behind it, and how that ends."""

    logs: Callable[[Entries], None]
    more: str = ""
    status: int = 0
    prints: str = ""
    #: The last line on stderr.
    complains: str = ""


#: The documents that have Python. Guides that are not named here have to run without a complaint.
EXPECTED = {
    "README.md": Expected(readme, prints="order placed", complains="order 7 placed"),
    "examples/browsers/README.md": Expected(
        page,
        f"{ASKS_ASGI}\n"
        "assert 'createLogClient' in asyncio.run(visit('/logs-relay/browser.js'))\n"
        "asyncio.run(visit('/logs-relay/logs', json={'logs': [{'message': 'cart opened'}]}))\n"
        "with shop.test_client().get('/logs-relay/browser.js') as answer:\n"
        "    assert 'createLogClient' in answer.text\n",
    ),
    "examples/celery/README.md": Expected(
        task,
        "@app.task(name='send')\ndef send():\n    logging.info('invoice goes out')\nsend.apply()\n",
    ),
    "examples/client/README.md": Expected(without_loggers),
    "examples/context/README.md": Expected(context),
    "examples/delivery/README.md": Expected(started, prints="1 of 1 delivered; {} dropped\n"),
    "examples/django/README.md": Expected(
        ready, "import logging\nimport mysite.settings\nassert mysite.settings.LOGGING\nlogging.info('ready')\n"
    ),
    ENGINES: Expected(nothing),
    "examples/exceptions/README.md": Expected(
        exceptions, "1 / 0\n", status=1, complains="ZeroDivisionError: division by zero"
    ),
    "examples/exit/README.md": Expected(
        started, "import signal\nsignal.raise_signal(signal.SIGTERM)\nsignal.pause()\n", status=-signal.SIGTERM
    ),
    "examples/fastapi/README.md": Expected(looked_at, f"{ASKS_ASGI}\nasyncio.run(visit('/orders/7'))\n"),
    "examples/fields/README.md": Expected(fields),
    "examples/flask/README.md": Expected(looked_at, "app.test_client().get('/orders/7').close()\n"),
    "examples/loguru/README.md": Expected(loguru),
    "examples/secrets/README.md": Expected(secrets),
    STRUCTLOG: Expected(structlog, prints="order placed"),
    TESTING: Expected(nothing),
    "examples/timers/README.md": Expected(times),
    "examples/tls/README.md": Expected(nothing),
    "examples/troubleshooting/README.md": Expected(nothing, prints="True Stats(accepted=1, delivered=1,"),
    "examples/web/README.md": Expected(looked_at),
}


def test_each_expectation_is_of_a_document_that_has_python() -> None:
    assert [name for name in EXPECTED if not blocks(DOCUMENTS[name], "python")] == []


@pytest.mark.integration
@pytest.mark.parametrize("name", [name for name, text in DOCUMENTS.items() if blocks(text, "python")])
def test_a_guide_runs_as_it_stands_and_what_it_logs_arrives(name: str, tmp_path: Path) -> None:
    expected = EXPECTED.get(name)
    # A busy machine may take longer.
    code = re.sub(r"flush\(timeout=[0-9.]+\)", "flush(timeout=60)", program(DOCUMENTS[name]))
    with CollectorServer(strict=True) as collector:
        ended = run(name, tmp_path, collector.url, f"{code}\n{expected.more if expected else ''}")
        entries = sorted(collector.entries, key=lambda entry: float(entry["created_at"]))
        assert collector.ignored_keys == set()
    if expected is None:
        assert (ended.returncode, ended.stderr) == (0, "")
        return
    assert (ended.returncode, expected.prints in ended.stdout) == (expected.status, True), ended.stderr
    assert "logcollector-handler:" not in ended.stderr
    assert (ended.stderr.splitlines() or [""])[-1].endswith(expected.complains)
    assert bool(ended.stderr) == bool(expected.complains)
    if GOES_ON in DOCUMENTS[name]:
        started(entries[:1])
        del entries[0]
    expected.logs(entries)


def posted(heading: str, directory: Path, *replaced: tuple[str, str]) -> Request:
    """The request that one record makes with the configuration for an engine, where so much is replaced in it."""
    (code,) = (block.code for block in blocks(DOCUMENTS[ENGINES], "python") if block.heading == heading)
    with FaultyServer() as server:
        for said, here in replaced:
            assert said in code
            code = code.replace(said, here or server.url)
        used = "import logging.config\nlogging.config.dictConfig(LOGGING)\nlogging.info('ready')\n"
        ended = run(ENGINES, directory, server.url, f"{code}\n{used}")
        assert (ended.returncode, ended.stderr) == (0, "")
        (request,) = server.requests
    assert [(entry["message"], entry["service"]) for entry in request.entries] == [("ready", "payment-api")]
    return request


@pytest.mark.integration
def test_the_configuration_for_clickhouse_posts_lines_there(tmp_path: Path) -> None:
    spool = ("/var/spool/payment-api", str(tmp_path / "spool"))
    request = posted("ClickHouse", tmp_path, ("http://localhost:8123", ""), spool)
    assert (request.wire, request.headers["X-ClickHouse-User"]) == ("ndjson", "logs")
    assert request.path.endswith(f"insert_deduplication_token={request.key}")


@pytest.mark.integration
def test_the_configuration_for_opentelemetry_posts_otlp(tmp_path: Path) -> None:
    request = posted("OpenTelemetry (OTLP)", tmp_path, ("http://localhost:4318", ""))
    assert (request.wire, request.path) == ("otlp", "/v1/logs")


@pytest.mark.integration
def test_the_other_way_of_structlog_does_the_same(tmp_path: Path) -> None:
    code = program(DOCUMENTS[STRUCTLOG])
    found = re.search(r"( +)(\S+),  # or (\S+)\n", code)
    assert found
    with CollectorServer(strict=True) as collector:
        ended = run(STRUCTLOG, tmp_path, collector.url, code.replace(found[0], f"{found[1]}{found[3]},\n"))
        assert (ended.returncode, ended.stderr) == (0, "")
        structlog(collector.entries[1:])


def test_the_filter_against_storms_can_be_configured_as_it_says() -> None:
    found = re.search(r'`"filters": (\{.*?\})`', DOCUMENTS["examples/rate_limit/README.md"])
    assert found
    (settings,) = json.loads(found[1]).values()
    assert settings.pop("()") == f"{RateLimitFilter.__module__.partition('.')[0]}.{RateLimitFilter.__qualname__}"
    RateLimitFilter(**settings)


def test_the_settings_for_tls_are_settings() -> None:
    """The files are not there, which is what is wrong with them."""
    namespace: dict[str, Any] = {}
    exec(program(DOCUMENTS["examples/tls/README.md"]), namespace)
    arguments = dict(namespace["handler"])
    assert arguments.pop("class") == "logcollector_handler.LogCollectorHandler"
    with pytest.raises(SettingError, match="/etc/logs/"):
        LogCollectorHandler(**arguments)


@pytest.mark.integration
def test_the_tests_of_the_guide_pass_in_a_project_of_their_own(tmp_path: Path) -> None:
    for block in blocks(DOCUMENTS[TESTING], "python"):
        name, _, code = block.code.partition("\n")
        (tmp_path / name.removeprefix("# ")).write_text(code)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conftest.py", "test_payments.py"]
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_configuration_in_the_readme_is_its_first_block() -> None:
    assert blocks(README, "python")[0].heading == USE_IT
