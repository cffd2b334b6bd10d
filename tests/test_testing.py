"""What `logcollector_handler.testing` offers for users' tests."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from logcollector_handler.testing import CapturingHandler, CollectorServer, Limits

pytestmark = pytest.mark.integration


def post(collector: CollectorServer, *entries: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return httpx.post(collector.url + "/logs", json={"logs": entries}, headers=headers)


def test_entries_are_returned_as_stored_and_in_order_of_arrival() -> None:
    with CollectorServer() as collector:
        post(collector, {"message": "late", "created_at": 9, "metadata": {"a": [1, {"b": None}]}})
        post(collector, {"message": "early", "created_at": 1, "level": "WARN", "user_id": None})
        assert collector.entries == [
            {
                "level": "INFO",
                "message": "late",
                "created_at": 9.0,
                "log_type": "BACKEND",
                "metadata": {"a": [1, {"b": None}]},
            },
            {"level": "WARN", "message": "early", "created_at": 1.0, "log_type": "BACKEND"},
        ]


def test_requests_describe_how_each_batch_arrived() -> None:
    body = gzip.compress(json.dumps({"logs": [{"message": "a"}] * 3}).encode())
    with CollectorServer() as collector:
        headers = {"Content-Encoding": "gzip", "Idempotency-Key": "k1", "User-Agent": "me"}
        for _ in range(2):
            httpx.post(collector.url + "/logs", content=body, headers=headers)
        first, again = collector.requests
        assert (first.key, first.count, first.body_size, first.content_encoding) == ("k1", 3, len(body), "gzip")
        assert first.headers["user-agent"] == "me"
        assert (again.count, again.repeated) == (3, True)
        assert len(collector.entries) == 3


def test_a_strict_collector_answers_as_the_real_server_and_a_lenient_one_does_not() -> None:
    milliseconds = {"message": "m", "created_at": 1_700_000_000_000}
    wrong = {"message": "m", "level": "WARNING"}
    with CollectorServer(strict=True) as strict, CollectorServer() as lenient:
        assert [post(strict, one).status_code for one in (milliseconds, wrong)] == [500, 500]
        assert [post(lenient, one).status_code for one in (milliseconds, wrong)] == [200, 422]
        assert strict.entries == []
        assert [request.status for request in strict.requests] == [500, 500]
        assert [entry["created_at"] for entry in lenient.entries] == [1_700_000_000.0]


def test_ignored_keys_are_the_top_level_keys_that_are_not_columns() -> None:
    with CollectorServer(strict=True) as collector:
        post(collector, {"message": "m", "metadata": {"order": 1}})
        assert collector.ignored_keys == set()
        post(collector, {"message": "m", "order": 1}, {"message": "m", "thread": "t"})
        assert collector.ignored_keys == {"order", "thread"}
        assert [set(entry) & {"order", "thread"} for entry in collector.entries] == [set(), set(), set()]


def test_wait_for_returns_true_once_the_entries_are_stored() -> None:
    with CollectorServer() as collector, ThreadPoolExecutor() as pool:
        waiting = pool.submit(collector.wait_for, 3, timeout=60)
        post(collector, {"message": "a"}, {"message": "b"}, key="k")
        post(collector, {"message": "a"}, {"message": "b"}, key="k")
        assert not waiting.done(), "a repeated batch does not count"
        post(collector, {"message": "c"})
        assert waiting.result(60)
        assert len(collector.entries) == 3


def test_wait_for_returns_false_after_its_timeout() -> None:
    with CollectorServer() as collector:
        post(collector, {"message": "a"})
        assert collector.wait_for(1, timeout=0)
        assert not collector.wait_for(2, timeout=0)


def test_clear_forgets_entries_requests_and_keys() -> None:
    with CollectorServer() as collector:
        post(collector, {"message": "a", "extra": 1}, key="k")
        collector.clear()
        assert (collector.entries, collector.requests, collector.ignored_keys) == ([], [], set())
        assert collector.stats()["total_logs"] == 0
        assert not collector.wait_for(1, timeout=0)
        post(collector, {"message": "b"}, key="k")
        assert [entry["message"] for entry in collector.entries] == ["b"]


def test_stats_returns_what_the_endpoint_answers() -> None:
    with CollectorServer() as collector:
        post(collector, {"message": "a", "service": "web", "level": "ERROR"})
        assert collector.stats() == httpx.get(collector.url + "/stats").json()
        assert collector.stats()["recent_errors_1h"] == 1


def test_limits_can_be_lowered() -> None:
    with CollectorServer(limits=Limits(batch_length=1)) as collector:
        assert post(collector, {"message": "a"}, {"message": "b"}).status_code == 413
        assert post(collector, {"message": "a"}).status_code == 200


def test_a_collector_can_be_entered_again_and_is_empty_then() -> None:
    collector = CollectorServer()
    for _ in range(2):
        with collector:
            assert (collector.entries, collector.requests) == ([], [])
            assert not collector.wait_for(1, timeout=0)
            post(collector, {"message": "a"})
            assert collector.wait_for(1, timeout=0)


def test_using_a_collector_outside_its_block_raises_an_error_that_says_so() -> None:
    collector = CollectorServer()
    with pytest.raises(RuntimeError, match="inside its `with` block"):
        _ = collector.url
    with collector:
        pass
    with pytest.raises(RuntimeError, match="inside its `with` block"):
        _ = collector.entries


def test_a_capturing_handler_keeps_what_would_be_sent_and_starts_no_thread() -> None:
    log = logging.getLogger("captured")
    log.setLevel("INFO")
    handler = CapturingHandler(level="INFO", service="shop", max_record_bytes=2000)
    log.addHandler(handler)
    threads = threading.active_count()
    log.debug("not of interest")
    log.warning("paid %d", 3, extra={"user_id": 7, "password": "p", "cart": ["a"]})
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("x" * 5000)
    assert threading.active_count() <= threads
    paid, failed = handler.entries
    assert (paid["level"], paid["message"], paid["user_id"], paid["service"]) == ("WARN", "paid 3", "7", "shop")
    assert (paid["metadata"]["password"], paid["metadata"]["cart"]) == ("***", ["a"])
    assert failed["stack_trace"].endswith("ValueError: why")
    assert failed["metadata"]["truncated"]
    handler.clear()
    assert handler.entries == []
    log.removeHandler(handler)
    handler.close()


def run_python(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)


def test_importing_the_module_does_not_import_pytest(tmp_path: Path) -> None:
    code = "import sys, logcollector_handler.testing; sys.exit('pytest' in sys.modules)"
    assert run_python(code, tmp_path).returncode == 0


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(tmp_path: Path, missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; import logcollector_handler.testing"
    last_line = run_python(code, tmp_path).stderr.splitlines()[-1]
    assert last_line == (
        f"ImportError: The embedded collector needs {missing}, which is not installed. "
        "Install it with: pip install 'logcollector-handler[collector]'"
    )


CONFTEST = """
from logcollector_handler.testing import CollectorServer  # noqa: F401 - before pytest sees it as a plugin
pytest_plugins = ["logcollector_handler.testing"]
"""
TESTS = """
import logging

import httpx, pytest

@pytest.mark.parametrize("number", range(3))
def test_each_test_has_a_fresh_one(collector, number):
    assert collector.entries == []
    wrong = {"logs": [{"message": "m", "level": "WARNING"}]}
    assert httpx.post(collector.url + "/logs", json=wrong).status_code == 500, "it is strict"
    httpx.post(collector.url + "/logs", json={"logs": [{"message": "m"}]})
    assert collector.wait_for(1)


@pytest.mark.parametrize("number", range(2))
def test_captured_logs_are_those_of_the_test(captured_logs, number):
    logging.getLogger("payments").warning("declined", extra={"user_id": number})
    (entry,) = captured_logs.entries
    assert (entry["level"], entry["message"], entry["user_id"]) == ("WARN", "declined", str(number))


def test_info_is_captured_and_debug_is_not(captured_logs):
    logging.getLogger("payments").info("paid")
    logging.getLogger("payments").debug("not of interest")
    assert [entry["message"] for entry in captured_logs.entries] == ["paid"]


def test_levels_can_be_set(captured_logs):
    logging.getLogger("loud").setLevel("ERROR")
    captured_logs.set_level("DEBUG")
    captured_logs.set_level(logging.WARNING, logger="payments")
    captured_logs.set_level(logging.ERROR, logger="payments")
    captured_logs.set_level("INFO", "loud")
    logging.getLogger("shop").debug("seen")
    logging.getLogger("payments").warning("not seen")
    logging.getLogger("loud").info("seen")
    assert [entry["metadata"]["logger"] for entry in captured_logs.entries] == ["shop", "loud"]


def test_levels_are_those_of_before_again():
    names = (None, "payments", "loud")
    assert [logging.getLogger(name).level for name in names] == [logging.WARNING, logging.NOTSET, logging.ERROR]


@pytest.fixture
def disabled():
    logging.disable(logging.CRITICAL)
    yield
    assert logging.root.manager.disable == logging.CRITICAL
    logging.disable(logging.NOTSET)


def test_what_is_disabled_is_captured_too(disabled, captured_logs):
    logging.getLogger("payments").info("paid")
    assert len(captured_logs.entries) == 1


@pytest.fixture
def verbose():
    logging.getLogger().setLevel("DEBUG")
    yield
    assert logging.getLogger().level == logging.DEBUG
    logging.getLogger().setLevel("WARNING")


def test_a_level_below_info_is_left_alone(verbose, captured_logs):
    logging.getLogger("payments").debug("seen")
    assert len(captured_logs.entries) == 1


def test_the_root_logger_is_left_as_it_was():
    assert not [each for each in logging.getLogger().handlers if type(each).__name__ == "CapturingHandler"]
"""


def test_the_fixtures_work_in_another_project(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "11 passed" in done.stdout, done.stdout + done.stderr
    assert "warning" not in done.stdout
