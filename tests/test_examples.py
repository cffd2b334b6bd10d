"""The examples run as they stand, from anywhere, and what they log arrives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.testing import CollectorServer
from tests.redis_server import redis_server, url_of

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def collector() -> Iterator[CollectorServer]:
    with CollectorServer(strict=True) as collector:
        yield collector


def run(
    name: str, collector: CollectorServer, directory: Path, dies_of: str = "", prints: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Run an example from an empty directory; what arrived. `dies_of` is the last line of a trace.

    `prints` is found on stdout, in that order; without it nothing is printed.
    """
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=directory,
        env={**os.environ, "LOGCOLLECTOR_SERVER_URL": collector.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if dies_of:
        assert (ended.returncode, ended.stdout, ended.stderr.splitlines()[-1]) == (1, "", dies_of)
    elif prints:
        assert (ended.returncode, ended.stderr) == (0, "")
        places = [ended.stdout.find(each) for each in prints]
        assert min(places) >= 0, ended.stdout
        assert places == sorted(places)
    else:
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert list(directory.iterdir()) == []
    assert collector.ignored_keys == set()
    return collector.entries


def test_djangos_runserver_serves_the_site_with_the_middleware() -> None:
    code = "from django.core.servers.basehttp import get_internal_wsgi_application as get; print(type(get()).__name__)"
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / "django/django_app.py"), "shell", "-c", code],
        env={**os.environ, "LOGCOLLECTOR_ENABLED": "false"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Newer versions of Django print before it what they have imported for the code.
    assert ended.stdout.splitlines()[-1:] == ["RequestLogMiddleware"], ended.stderr


def test_each_program_is_run_by_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    programs = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/*.py")}
    assert len(programs) > 16
    assert {each for each in programs if f'"{each}"' not in tests and f'"{Path(each).name}"' not in tests} == set()


def test_dictconfig(collector: CollectorServer, tmp_path: Path) -> None:
    started, accepted, expires = run("fields/dictconfig.py", collector, tmp_path)
    assert [(entry["level"], entry["message"]) for entry in (started, accepted, expires)] == [
        ("INFO", "service started"),
        ("INFO", "payment accepted"),
        ("WARN", "card …4242 expires soon"),
    ]
    assert {entry["service"] for entry in collector.entries} == {"payment-api"}
    assert {entry["service_version"] for entry in collector.entries} == {"v1.2.3"}
    assert (accepted["user_id"], accepted["duration_ms"]) == ("12345", 48.2)
    assert (accepted["metadata"]["amount"], accepted["metadata"]["currency"]) == (99.5, "EUR")
    assert accepted["metadata"]["logger"] == "payments"


def test_exceptions(collector: CollectorServer, tmp_path: Path) -> None:
    book, globe = run("exceptions/exceptions.py", collector, tmp_path)
    assert [(entry["level"], entry["message"], entry["error_type"]) for entry in (book, globe)] == [
        ("ERROR", "could not reserve book", "ValueError"),
        ("ERROR", "could not reserve globe", "LookupError"),
    ]
    assert [entry["metadata"]["item"] for entry in (book, globe)] == ["book", "globe"]
    assert {entry["function_name"] for entry in (book, globe)} == {"reserve"}
    assert book["stack_trace"].endswith("ValueError: only 1 of book left")
    assert globe["stack_trace"].startswith("Traceback (most recent call last):")
    assert "KeyError: 'globe'" in globe["stack_trace"]
    assert "direct cause of the following exception" in globe["stack_trace"]
    assert globe["stack_trace"].endswith("LookupError: no such item: globe")


def test_rate_limit(collector: CollectorServer, tmp_path: Path) -> None:
    entries = run("rate_limit/rate_limit.py", collector, tmp_path)
    held_back = [entry["metadata"]["held_back"] for entry in entries if "held_back" in entry["metadata"]]
    assert held_back == [4990]
    assert [entry["message"] for entry in entries if entry["level"] == "INFO"] == [
        "service started",
        "another line of code is not held back",
    ]
    assert len(entries) == 13


def test_uncaught(collector: CollectorServer, tmp_path: Path) -> None:
    error = "ValueError: there is no report for today"
    thread, program = run("exceptions/uncaught.py", collector, tmp_path, dies_of=error)
    assert (thread["level"], thread["error_type"], thread["function_name"]) == (
        "ERROR",
        "ConnectionError",
        "refresh_cache",
    )
    assert thread["metadata"]["thread"] == "refresher"
    assert (program["level"], program["error_type"], program["function_name"]) == ("FATAL", "ValueError", "main")
    assert program["stack_trace"].endswith(error)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def by_path(collector: CollectorServer, logger: str) -> dict[str, dict[str, Any]]:
    """The entries of a logger, each the only one of its path."""
    entries = [entry for entry in collector.entries if entry["metadata"]["logger"] == logger]
    made = {entry["path"]: entry for entry in entries}
    assert len(made) == len(entries)
    return made


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("fastapi/fastapi_app.py", ["/orders/7", "/threaded/8", "/missing", "/broken"]),
        ("flask/flask_app.py", ["/orders/7", "/missing", "/broken"]),
        ("django/django_app.py", ["/orders/7", "/missing", "/broken"]),
    ],
)
def test_web_applications(name: str, paths: list[str], collector: CollectorServer, tmp_path: Path) -> None:
    run(name, collector, tmp_path)
    access = by_path(collector, "logcollector.access")
    # A server with threads may write the record of one request after that of the next.
    assert sorted(access) == sorted(paths)
    assert [access[path]["level"] for path in (paths[0], "/missing")] == ["INFO", "WARN"]
    assert {(entry["trace_id"], entry["metadata"]["request_id"]) for entry in access.values()} == {(TRACE, "req-1")}
    inside = by_path(collector, "shop")["/orders/7"]
    assert (inside["message"], inside["trace_id"], inside["user_id"]) == ("order 7 is looked at", TRACE, "user-7")
    assert access["/orders/7"]["user_id"] == "user-7"
    # One failure is one ERROR.
    (error,) = [entry for entry in collector.entries if entry["level"] == "ERROR"]
    assert error["stack_trace"].endswith("RuntimeError: the warehouse is closed")


def test_browser_app(collector: CollectorServer, tmp_path: Path) -> None:
    run("browsers/browser_app.py", collector, tmp_path)
    by_message = {entry["message"]: entry for entry in collector.entries}
    page, server = by_message["the card expires soon"], by_message["the shop is looked at"]
    assert page["trace_id"] == server["trace_id"]
    assert (page["log_type"], page["service"], page["service_version"]) == ("FRONTEND", "shop", "web-3")
    assert (page["environment"], page["metadata"]["client_address"]) == ("production", "127.0.0.1")
    access = by_path(collector, "logcollector.access")
    assert access.keys() == {"/", "/logs-relay/browser.js", "/logs-relay/logs"}


def test_celery_app(collector: CollectorServer, tmp_path: Path) -> None:
    run("celery/celery_app.py", collector, tmp_path)
    runs = [entry for entry in collector.entries if entry["metadata"]["logger"] == "logcollector.task"]
    assert [(entry["metadata"]["task_name"], entry["level"]) for entry in runs] == [
        ("invoices.send", "INFO"),
        ("invoices.print", "ERROR"),
        ("invoices.archive", "WARN"),
        ("invoices.archive", "INFO"),
    ]
    assert runs[1]["stack_trace"].endswith("OSError: no paper for invoice 2")
    assert {entry["log_type"] for entry in collector.entries} == {"WORKER"}
    inside = next(entry for entry in collector.entries if entry["message"] == "invoice 1 goes out")
    assert (inside["trace_id"], inside["metadata"]["task_name"]) == (TRACE, "invoices.send")


def test_rq_app(
    collector: CollectorServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server(tmp_path_factory.mktemp("redis")) as redis:
        monkeypatch.setenv("REDIS_URL", url_of(redis))
        monkeypatch.setenv("PYTHONPATH", str(EXAMPLES / "rq"), prepend=os.pathsep)
        run("rq/rq_app.py", collector, tmp_path_factory.mktemp("enqueue"))
        worker = ["--burst", "--url", url_of(redis), "--worker-class", "logcollector_handler.integrations.rq.Worker"]
        subprocess.run(
            [sys.executable, "-m", "rq.cli", "worker", *worker],
            env={**os.environ, "LOGCOLLECTOR_SERVER_URL": collector.url},
            capture_output=True,
            check=True,
            timeout=180,
        )
    runs = [entry for entry in collector.entries if entry["metadata"]["logger"] == "logcollector.job"]
    assert [(entry["metadata"]["job_name"], entry["level"]) for entry in runs] == [
        ("rq_app.send", "INFO"),
        ("rq_app.print_on_paper", "ERROR"),
        ("rq_app.archive", "WARN"),
        ("rq_app.archive", "INFO"),
    ]
    assert runs[1]["stack_trace"].endswith("OSError: no paper for invoice 2")
    inside = next(entry for entry in collector.entries if entry["message"] == "invoice 1 goes out")
    assert (inside["log_type"], inside["metadata"]["job_name"]) == ("WORKER", "rq_app.send")


def test_context(collector: CollectorServer, tmp_path: Path) -> None:
    *entries, last = run("context/context.py", collector, tmp_path)
    assert len(entries) == 6
    for user, trace in (("1", "4bf92f3577b34da6a3ce929d0e0e4736"), ("2", "00f067aa0ba902b7a3ce929d0e0e4736")):
        found = [entry for entry in entries if entry["user_id"] == user]
        assert [entry["message"] for entry in found] == ["checkout", "paid", "done"]
        assert {entry["trace_id"] for entry in found} == {trace}
        assert [entry.get("action_type") for entry in found] == [None, "payment", None]
    assert last["message"] == "all done"
    assert not {"user_id", "trace_id"} & last.keys()


def test_timers(collector: CollectorServer, tmp_path: Path) -> None:
    entries = run("timers/timers.py", collector, tmp_path)
    assert [(entry["level"], entry["message"], entry["function_name"]) for entry in entries] == [
        ("INFO", "Database query", "main"),
        ("INFO", "Fetch rates", "fetch"),
        ("INFO", "Import", "main"),
        ("INFO", "Process payment", "pay"),
        ("ERROR", "Process payment", "pay"),
    ]
    query, fetch, importing, paid, failed = entries
    assert min(entry["duration_ms"] for entry in (query, fetch, importing, paid)) >= 10
    assert (query["metadata"]["rows"], importing["metadata"]["rows"]) == (3, 7)
    assert failed["error_type"] == "ValueError"
    assert failed["stack_trace"].endswith("ValueError: cannot pay -1.0")


def test_client(collector: CollectorServer, tmp_path: Path) -> None:
    entries = run("client/client.py", collector, tmp_path)
    assert [(entry["level"], entry["message"], entry.get("user_id")) for entry in entries] == [
        ("INFO", "service started", None),
        ("WARN", "card expires soon", "12345"),
        ("ERROR", "payment failed", "12345"),
        ("INFO", "Charge", "12345"),
        ("TRACE", "done", None),
    ]
    failed = entries[2]
    assert (failed["error_type"], failed["function_name"]) == ("ConnectionError", "charge")
    assert "duration_ms" in entries[3]
    assert {entry["service"] for entry in entries} == {"payment-api"}


def test_structlog_processor(collector: CollectorServer, tmp_path: Path) -> None:
    placed, failed = run(
        "structlog/structlog_processor.py",
        collector,
        tmp_path,
        prints=("order placed", "out of stock", "KeyError: 'globe'"),
    )
    assert (placed["level"], placed["message"], placed["user_id"]) == ("INFO", "order placed", "12345")
    assert placed["trace_id"] == failed["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (placed["metadata"]["amount"], placed["metadata"]["items"]) == (99.5, ["book", "globe"])
    assert not {"level", "timestamp", "event"} & placed["metadata"].keys()
    assert (failed["level"], failed["error_type"], failed["function_name"]) == ("ERROR", "KeyError", "main")


def test_structlog_stdlib(collector: CollectorServer, tmp_path: Path) -> None:
    placed, failed, rows = run("structlog/structlog_stdlib.py", collector, tmp_path)
    assert (placed["level"], placed["message"], placed["user_id"]) == ("INFO", "order 7 placed", "12345")
    assert placed["trace_id"] == failed["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert placed["metadata"]["amount"] == 99.5
    assert (failed["level"], failed["error_type"], failed["metadata"]["item"]) == ("ERROR", "KeyError", "globe")
    assert (rows["message"], rows["metadata"]["table"], rows["metadata"]["logger"]) == (
        "took 3 rows",
        "orders",
        "shop.db",
    )
    assert rows["trace_id"] == placed["trace_id"]


def test_loguru_sink(collector: CollectorServer, tmp_path: Path) -> None:
    placed, failed, done = run(
        "loguru/loguru_sink.py", collector, tmp_path, prints=("INFO order 7 placed", "out of stock", "SUCCESS done")
    )
    assert (placed["level"], placed["message"], placed["user_id"]) == ("INFO", "order 7 placed", "12345")
    assert placed["trace_id"] == failed["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (placed["metadata"]["amount"], placed["metadata"]["items"]) == (99.5, ["book", "globe"])
    assert (failed["level"], failed["message"], failed["error_type"]) == ("ERROR", "out of stock", "KeyError")
    assert (failed["function_name"], failed["metadata"]["item"]) == ("main", "globe")
    assert failed["stack_trace"].endswith("KeyError: 'globe'")
    assert (done["level"], done["metadata"]["level_name"], "trace_id" in done) == ("INFO", "SUCCESS", False)
