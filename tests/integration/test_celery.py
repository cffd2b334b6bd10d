"""Celery's prefork worker: what is logged in its children arrives, with which task it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.testing import CollectorServer
from tests.integration.served import APPS, by_logger, served, wait_for

pytestmark = pytest.mark.integration
pytest_plugins = ["logcollector_handler.testing"]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
WORKER = ("celery", "-A", "celery_app", "worker", "--concurrency", "2", "--loglevel", "INFO", "-P")


@pytest.fixture
def broker(tmp_path: Path) -> str:
    (tmp_path / "control").mkdir()
    return str(tmp_path)


def send(broker: str, collector: CollectorServer, code: str) -> None:
    """Have another process publish tasks, as a web application does."""
    subprocess.run(
        [sys.executable, "-c", f"from celery_app import *\n{code}"],
        cwd=APPS,
        env={**os.environ, "BROKER_DIR": broker, "LOGCOLLECTOR_SERVER_URL": collector.url},
        check=True,
        timeout=180,
    )


def runs(collector: CollectorServer, name: str) -> list[dict[str, Any]]:
    """The records of how runs of a task ended."""
    records = by_logger(collector, "logcollector.task")
    return [entry for entry in records if entry["metadata"]["task_name"] == f"celery_app.{name}"]


def errors(collector: CollectorServer) -> list[str]:
    return [entry["message"] for entry in collector.entries if entry["level"] in ("ERROR", "FATAL")]


@pytest.mark.parametrize(
    ("tasks_per_child", "flush_interval"), [("1", "60"), ("0", "1")], ids=["a child a task", "children that stay"]
)
def test_every_record_of_every_task_arrives(
    collector: CollectorServer, broker: str, tasks_per_child: str, flush_interval: str
) -> None:
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    send(broker, collector, f"for n in range(6): add.apply_async((n,), headers={headers} if n < 3 else None)")
    # With the longer one nothing arrives by itself before a child has ended.
    environ = {"TASKS_PER_CHILD": tasks_per_child, "LOGCOLLECTOR_FLUSH_INTERVAL": flush_interval}
    with served(collector, *WORKER, "prefork", BROKER_DIR=broker, **environ) as worker:
        wait_for(collector, "logcollector.task", 6)
    assert worker.process.returncode == 0

    assert len(runs(collector, "add")) == 6
    for number in range(6):
        (inside,) = [entry for entry in by_logger(collector, "shop") if entry["message"] == f"adding {number}"]
        task_id = inside["metadata"]["task_id"]
        (ended,) = [entry for entry in runs(collector, "add") if entry["metadata"]["task_id"] == task_id]
        (by_task_logger,) = [
            entry
            for entry in by_logger(collector, "shop.tasks")
            if entry["message"].endswith(f"by the task's logger {number}")
        ]
        for entry in (inside, ended, by_task_logger):
            assert entry["metadata"]["task_id"] == task_id
            assert entry["metadata"]["task_name"] == "celery_app.add"
            assert entry.get("trace_id") == (TRACE if number < 3 else None)
            # What a task bound is not on the records of the next in its process.
            assert entry.get("user_id") == (f"{number}" if number % 2 else None)
        assert (ended["level"], ended["duration_ms"] > 0) == ("INFO", True)
        assert ended["message"].startswith("task celery_app.add succeeded after ")
    processes = {entry["metadata"]["process"] for entry in runs(collector, "add")}
    assert len(processes) == (6 if tasks_per_child == "1" else len(processes))
    # Celery's own loggers come too, those of its parent process and to the end of it.
    assert any("ready." in entry["message"] for entry in by_logger(collector, "celery.apps.worker"))
    assert collector.ignored_keys == set()


def test_failures_new_tries_and_lost_children(collector: CollectorServer, broker: str) -> None:
    send(broker, collector, "die.delay(); fail.delay(); retried.delay(); ignored.delay()")
    with served(collector, *WORKER, "prefork", BROKER_DIR=broker) as worker:
        wait_for(collector, "logcollector.task", 5)
    assert worker.process.returncode == 0

    (failed,) = runs(collector, "fail")
    assert (failed["level"], failed["error_type"], failed["function_name"]) == (
        "ERROR",
        "UnpicklableError",
        "fail",
    )
    assert failed["stack_trace"].endswith("UnpicklableError: 7 is not sent")
    assert failed["message"].startswith("task celery_app.fail failed after ")
    # Two processes have sent them, so the later one may have come first.
    again, done = sorted(runs(collector, "retried"), key=lambda entry: float(entry["created_at"]))
    assert (again["level"], again["error_type"]) == ("WARN", "ConnectionError")
    assert "is to be tried again" in again["message"]
    assert again["stack_trace"].endswith("ConnectionError: the bank is away")
    assert (done["level"], done["duration_ms"] >= 50) == ("INFO", True)
    assert done["metadata"]["task_id"] == again["metadata"]["task_id"]
    (ignored,) = runs(collector, "ignored")
    assert (ignored["level"], "IGNORED" in ignored["message"]) == ("WARN", True)
    (lost,) = runs(collector, "die")
    assert (lost["level"], lost["error_type"]) == ("ERROR", "WorkerLostError")
    assert lost["message"] == "task celery_app.die failed"
    # Celery's own records tell the same again.
    assert sorted(errors(collector)) == ["task celery_app.die failed", failed["message"]]
    (again,) = [each for each in by_logger(collector, "celery.app.trace") if "raised unexpected" in each["message"]]
    assert again["level"] == "INFO"
    assert {each["function_name"] for each in runs(collector, "retried")} == {"retried"}


def test_a_task_that_its_hard_time_limit_ends_is_one_error(collector: CollectorServer, broker: str) -> None:
    send(broker, collector, "hang.delay()")
    with served(collector, *WORKER, "prefork", BROKER_DIR=broker) as worker:
        wait_for(collector, "logcollector.task", 1)
        # Celery's words on it are the last.
        wait_for(collector, "celery.worker.request", 2)
    assert worker.process.returncode == 0
    assert errors(collector) == ["task celery_app.hang failed"]
    failed, *more = sorted(runs(collector, "hang"), key=lambda entry: entry["level"])
    assert (failed["level"], failed["error_type"]) == ("ERROR", "TimeLimitExceeded")
    # It comes if the child has the time to send it.
    assert all("was ended at its hard time limit" in each["message"] for each in more)
    said = by_logger(collector, "celery.worker.request")
    assert {each["level"] for each in said} == {"INFO"}
    assert any(each["message"].startswith("Hard time limit") for each in said)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_pools_without_children(collector: CollectorServer, broker: str, pool: str) -> None:
    send(broker, collector, "for n in range(6): add.delay(n)")
    with served(collector, *WORKER, pool, BROKER_DIR=broker) as worker:
        wait_for(collector, "logcollector.task", 6)
    assert worker.process.returncode == 0
    inside = by_logger(collector, "shop")
    assert len({entry["metadata"]["task_id"] for entry in inside}) == 6
    for entry in inside:
        number = int(entry["message"].rpartition(" ")[2])
        assert entry.get("user_id") == (f"{number}" if number % 2 else None)


def test_a_task_within_a_task_has_its_own_fields(collector: CollectorServer, broker: str) -> None:
    send(
        broker,
        collector,
        """if True:
        @app.task(name='celery_app.outer')
        def outer():
            log.info("before")
            add.apply((1,))
            log.info("behind")
        outer.apply()
        log.info("outside")
        """,
    )
    inside = {entry["message"]: entry for entry in by_logger(collector, "shop")}
    names = [inside[message]["metadata"].get("task_name") for message in ("before", "adding 1", "behind", "outside")]
    assert names == ["celery_app.outer", "celery_app.add", "celery_app.outer", None]
    assert "user_id" not in inside["behind"]
