"""RQ's workers: what is logged in a job arrives, with which job it was, also from work horses that `os._exit` ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logcollector_handler.testing import CollectorServer
from tests import needed
from tests.integration.served import APPS, by_logger
from tests.redis_server import redis_server, url_of

with needed.packages():
    from redis import Redis
    from rq import Queue, Retry

pytestmark = pytest.mark.integration
pytest_plugins = ["logcollector_handler.testing"]

WORKERS = ["Worker", "SimpleWorker", "SpawnWorker"]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path) as client:
        yield client


def work(redis: Redis, collector: CollectorServer, worker: str, *more: str) -> str:
    """Have a worker do all jobs that there are; what it printed. Nothing is sent before its time but by an end."""
    name = f"logcollector_handler.integrations.rq.{worker}"
    command = ["rq.cli", "worker", "--burst", "--url", url_of(redis), "--worker-class", name, *more]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=APPS,
        env={
            **os.environ,
            "LOGCOLLECTOR_SERVER_URL": collector.url,
            "LOGCOLLECTOR_FLUSH_INTERVAL": "3600",
            "LOGCOLLECTOR_FLUSH_LEVEL": "60",
            "PYTHONPATH": os.pathsep.join([str(APPS), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def runs(collector: CollectorServer, name: str) -> list[dict[str, Any]]:
    """The records of how runs of a job ended."""
    records = by_logger(collector, "logcollector.job")
    return [entry for entry in records if entry["metadata"]["job_name"] == f"rq_app.{name}"]


@pytest.mark.parametrize("worker", WORKERS)
def test_every_record_of_every_job_arrives_and_says_which_job_it_was(
    redis: Redis, collector: CollectorServer, worker: str
) -> None:
    queue = Queue("default", connection=redis)
    jobs = [queue.enqueue("rq_app.add", number) for number in range(3)]
    printed = work(redis, collector, worker)

    assert "logcollector-handler:" not in printed
    inside = by_logger(collector, "shop")
    assert [entry["message"] for entry in inside] == [f"adding {job}: {part}" for job in range(3) for part in range(20)]
    for entry in inside:
        number = int(entry["message"].split()[1][:-1])
        fields = entry["metadata"]
        assert (fields["job_id"], fields["job_name"], fields["queue"]) == (jobs[number].id, "rq_app.add", "default")
        # What a job bound is not on the records of the next in its process.
        assert entry.get("user_id") == (str(number) if number % 2 else None)
    ended = runs(collector, "add")
    assert [entry["metadata"]["job_id"] for entry in ended] == [job.id for job in jobs]
    assert {(entry["level"], entry["duration_ms"] > 0) for entry in ended} == {("INFO", True)}
    assert {entry["function_name"] for entry in ended} == {"add"}
    assert ended[0]["message"].startswith("job rq_app.add succeeded after ")


@pytest.mark.parametrize("worker", WORKERS)
def test_failures_and_new_tries(redis: Redis, collector: CollectorServer, worker: str) -> None:
    queue = Queue("default", connection=redis)
    failed = queue.enqueue("rq_app.fail")
    queue.enqueue("rq_app.fail", retry=Retry(max=1), job_id="twice")
    queue.enqueue("rq_app.ask_again")
    work(redis, collector, worker)

    by_job = {job_id: [] for job_id in (failed.id, "twice")}  # type: dict[str, list[dict[str, Any]]]
    for entry in runs(collector, "fail"):
        by_job[entry["metadata"]["job_id"]].append(entry)
    (entry,) = by_job[failed.id]
    assert (entry["level"], entry["error_type"], entry["function_name"]) == ("ERROR", "KeyError", "fail")
    assert entry["stack_trace"].endswith("KeyError: 'no such order'")
    assert entry["message"].startswith("job rq_app.fail failed after ")
    first, second = by_job["twice"]
    assert (first["level"], first["error_type"], second["level"]) == ("WARN", "KeyError", "ERROR")
    assert "is to be tried again" in first["message"]
    # RQ logs each of them, too, at ERROR, and where its logger has no handler of its own that is shipped.
    assert sum(entry["level"] == "ERROR" for entry in collector.entries) == 2
    told = [each for each in by_logger(collector, "rq.worker") if "exception raised while executing" in each["message"]]
    assert {each["level"] for each in told} == ({"INFO"} if worker == "SpawnWorker" else set())
    asked, *_ = runs(collector, "ask_again")
    assert (asked["level"], "stack_trace" in asked) == ("WARN", False)


@pytest.mark.parametrize("worker", ["Worker", "SpawnWorker"])
def test_a_work_horse_that_is_terminated_sends_its_records_and_one_that_is_killed_is_told_of(
    redis: Redis, collector: CollectorServer, worker: str
) -> None:
    queue = Queue("default", connection=redis)
    for name in ("is_terminated", "die"):
        queue.enqueue(f"rq_app.{name}")
    start = time.monotonic()
    # The worker imports the module, too, and so has a handler.
    work(redis, collector, worker, "--config", "rq_app")
    assert time.monotonic() - start < 100, "SIGTERM ended the job"
    for name in ("is_terminated", "die"):
        (entry,) = runs(collector, name)
        assert (entry["level"], "its work horse died" in entry["message"]) == ("ERROR", True)
    assert [entry["message"] for entry in by_logger(collector, "shop")] == ["before SIGTERM"]
