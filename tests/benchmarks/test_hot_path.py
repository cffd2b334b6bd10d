"""The guard of the logging call: it does no more work than the committed baseline says, whatever the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

from tests.benchmarks.counts import PYTHON, Counts, baselines, differences

pytestmark = [
    pytest.mark.integration,
    pytest.mark.every_python,
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="bytecode is CPython's"),
    pytest.mark.skipif(
        bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        reason="without the interpreter lock, instructions are missed now and then: 182 of 222 in one of 14 runs",
    ),
]

TESTS = Path(__file__).parents[1]

#: Iterations that take some 10 % of the whole call's time on CPython 3.11, as loop and as argument of `sum`.
TENTH = {"plain": 40, "exception": 200}


def counted(before: str = "", **environ: str) -> Counts:
    """The counts of a new process that runs the code `before` first."""
    # Not under coverage, which is counted otherwise.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", f"{before}\nfrom benchmarks.counts import main\nmain()"]
    done = subprocess.run(command, cwd=TESTS, env={**clean, **environ}, capture_output=True, text=True, check=True)
    found: Counts = json.loads(done.stdout)
    return found


def baseline() -> Counts:
    every = baselines()
    if PYTHON not in every:
        pytest.skip(f"tests/benchmarks/counts.json has no baseline for Python {PYTHON}")
    return every[PYTHON]


def test_a_logging_call_does_as_much_as_its_baseline_says() -> None:
    found, before = counted(), baseline()
    assert found.keys() == before.keys(), "`tox run -m counts` writes the baseline anew"
    wrong = differences(found, before)
    assert not wrong, "\n".join(
        [
            "A logging call does more or less than before. If that is meant, `tox run -m counts` writes the",
            "baseline anew, in tests/benchmarks/counts.json.",
            *wrong,
        ]
    )


def test_each_process_counts_the_same() -> None:
    assert counted(PYTHONHASHSEED="1") == counted(PYTHONHASHSEED="2")


@pytest.mark.parametrize("kind", TENTH)
@pytest.mark.parametrize("work", ["for _ in range({}): pass", "sum(range({}))"], ids=["bytecode", "C"])
def test_a_call_that_is_a_tenth_slower_is_seen(kind: str, work: str) -> None:
    slower = f"""
        from logcollector_handler import LogCollectorHandler
        emit = LogCollectorHandler.emit
        def slower(self, record):
            {work.format(TENTH[kind])}
            emit(self, record)
        LogCollectorHandler.emit = slower
    """
    wrong = differences(counted(textwrap.dedent(slower)), counted())
    assert kind in {line.partition(":")[0] for line in wrong}
