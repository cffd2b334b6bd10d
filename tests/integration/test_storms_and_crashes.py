"""What nobody caught, and what a storm held back, arrives from real processes, also from those that die of it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from logcollector_handler.testing import CollectorServer

pytestmark = pytest.mark.integration
pytest_plugins = ["logcollector_handler.testing"]

PRELUDE = """
import asyncio, gc, logging, logging.config, multiprocessing, os, signal, sys, threading, time
from logcollector_handler import capture_uncaught

def configure(*filters):
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"storms": {"()": "logcollector_handler.RateLimitFilter", "rate": 2, "per": 0.5}},
        "handlers": {"collector": {
            "class": "logcollector_handler.LogCollectorHandler",
            "server_url": os.environ["SERVER"],
            "filters": list(filters),
        }},
        "root": {"level": "INFO", "handlers": ["collector"]},
    })
    return logging.getLogger().handlers[0]

log = logging.getLogger("shop")
"""


def run(collector: CollectorServer, script: str, *options: str, first: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script; `first` runs before the package is imported."""
    return subprocess.run(
        [sys.executable, *options, "-c", first + PRELUDE + textwrap.dedent(script)],
        env={**os.environ, "SERVER": collector.url},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def only(collector: CollectorServer) -> dict[str, Any]:
    (entry,) = collector.entries
    return entry


def test_the_exception_that_ends_a_process_arrives_with_its_trace(collector: CollectorServer) -> None:
    ended = run(
        collector,
        """
        configure()
        capture_uncaught()
        def charge():
            raise ValueError("no card")
        charge()
        """,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("ValueError: no card") == 1, "the interpreter still says it, once"
    entry = only(collector)
    assert (entry["level"], entry["error_type"], entry["function_name"]) == ("FATAL", "ValueError", "charge")
    assert entry["message"] == "uncaught exception: ValueError: no card"
    assert entry["stack_trace"].endswith("ValueError: no card")


def test_keyboard_interrupt_and_exit_are_not_logged(collector: CollectorServer) -> None:
    assert run(collector, "configure(); capture_uncaught(); raise KeyboardInterrupt").returncode != 0
    assert run(collector, "configure(); capture_uncaught(); sys.exit(3)").returncode == 3
    assert collector.entries == []


def test_threads_finalizers_and_tasks_of_asyncio_are_heard(collector: CollectorServer) -> None:
    ended = run(
        collector,
        """
        configure()
        capture_uncaught()
        class Loud:
            def __del__(self):
                raise OSError("in __del__")
        async def forgotten():
            raise LookupError("of a task")
        async def main():
            task = asyncio.create_task(forgotten())
            await asyncio.sleep(0)
            del task
            gc.collect()
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
        Loud()
        asyncio.run(main())
        """,
    )
    assert ended.returncode == 0
    thread, finalizer, task = collector.entries
    assert [entry["level"] for entry in (thread, finalizer, task)] == ["ERROR"] * 3
    assert thread["message"].startswith("uncaught exception in thread worker: ZeroDivisionError")
    assert thread["metadata"]["thread"] == "worker"
    assert (finalizer["error_type"], "Loud.__del__" in finalizer["message"]) == ("OSError", True)
    assert task["metadata"]["logger"] == "asyncio"
    assert "exception was never retrieved" in task["message"]
    assert (task["error_type"], task["function_name"]) == ("LookupError", "forgotten")


def test_an_exception_out_of_asyncio_run_arrives(collector: CollectorServer) -> None:
    run(
        collector,
        """
        configure()
        capture_uncaught()
        async def main():
            raise ValueError("bad")
        asyncio.run(main())
        """,
    )
    assert (only(collector)["level"], only(collector)["function_name"]) == ("FATAL", "main")


def counted(collector: CollectorServer) -> tuple[int, int]:
    """How many records passed, and how many the reports say were held back."""
    held_back = [entry["metadata"].get("held_back") for entry in collector.entries]
    return held_back.count(None), sum(count for count in held_back if count)


def test_a_storm_that_ends_in_silence_is_reported_while_the_process_lives(collector: CollectorServer) -> None:
    ended = run(
        collector,
        """
        handler = configure("storms")
        for number in range(1000):
            log.error("disk %d is full", number)
        deadline = time.monotonic() + 60
        while handler.stats().accepted < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert handler.flush()
        os._exit(0)
        """,
        "-W",
        "error",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert counted(collector) == (2, 998)
    assert collector.entries[-1]["message"].startswith("held back 998 records in ")
    assert collector.entries[-1]["level"] == "ERROR"


@pytest.mark.parametrize(
    "where",
    [
        "storm()",
        "child = multiprocessing.get_context('fork').Process(target=storm); child.start(); child.join()",
        "log.addFilter(logging.getLogger().handlers[0].filters.pop()); storm()",
        "threading.Thread(target=storm).start()",
    ],
    ids=["main", "child", "filter on the logger", "thread"],
)
def test_what_a_storm_held_back_is_reported_at_the_end_of_the_process(collector: CollectorServer, where: str) -> None:
    ended = run(
        collector,
        f"""
        configure("storms")
        def storm():
            for number in range(100):
                log.error("disk is full")
        {where}
        """,
        "-W",
        "error",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    passed, held_back = counted(collector)
    assert passed + held_back == 100
    assert passed < 20


def test_a_signal_that_ends_the_process_brings_the_report(collector: CollectorServer) -> None:
    ended = run(
        collector,
        """
        from logcollector_handler import drain_on_signals
        configure("storms")
        logging.getLogger().handlers[0].filters[0]._per = 600.0
        drain_on_signals()
        for number in range(100):
            log.error("disk is full")
        signal.raise_signal(signal.SIGTERM)
        time.sleep(30)
        """,
    )
    assert (ended.returncode, ended.stderr) == (-15, "")
    assert counted(collector) == (2, 98)


def test_nothing_is_held_back_when_nobody_would_be_left_to_report_it(collector: CollectorServer) -> None:
    ended = run(
        collector,
        "configure('storms')",
        first="import atexit\natexit.register(lambda: [log.error('disk is full') for number in range(20)])",
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert counted(collector) == (20, 0)


def test_a_forked_child_reports_its_own_storm_only(collector: CollectorServer) -> None:
    ended = run(
        collector,
        """
        configure("storms")
        logging.getLogger().handlers[0].filters[0]._per = 600.0
        def storm(count):
            for number in range(count):
                log.error("disk is full")
        storm(50)
        child = os.fork()
        if child == 0:
            storm(30)
            sys.exit(0)
        os.waitpid(child, 0)
        """,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(entry["metadata"].get("held_back", 0) for entry in collector.entries) == [0, 0, 0, 0, 28, 48]
