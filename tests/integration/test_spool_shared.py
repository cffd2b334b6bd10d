"""One spool, many real processes: the limit holds for all of them together, while some are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from logcollector_handler.delivery.spool.directory import charge

pytestmark = pytest.mark.integration

LIMIT = 4 << 20
PROCESSES = 8

#: Puts batches of random sizes for as long as it is told to, delivers some, and says what it put and dropped.
PROGRAM = f"""
import random, sys
from pathlib import Path
from tests.delivery.spool.processes import Process
process = Process(Path(sys.argv[1]), max_bytes={LIMIT}, max_memory=1 << 20)
chance = random.Random(int(sys.argv[2]))
print("ready", flush=True)
for number in range(1500):
    process.put("x" * chance.choice((10, 3000, 20_000)))
    if chance.random() < 0.1 and (batch := process.outbox.next()) is not None:
        if process.outbox.begin(batch) is not None:
            process.outbox.end(batch)
            process.outbox.remove(batch)
    if chance.random() < 0.02:
        process.look()
print("done", flush=True)
sys.stdin.read()
"""


def charged(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        total += 0 if path.is_dir() else charge(status)
    return total


def test_eight_processes_stay_within_one_limit_and_use_it(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(root), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for number in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        most = 0
        for killed in processes[:3]:
            for _ in range(10):
                most = max(most, charged(root))
                time.sleep(0.05)
            killed.send_signal(signal.SIGKILL)
        for process in processes[3:]:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            most = max(most, charged(root))
        files = len([path for path in root.rglob("*") if path.is_file()])
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert most <= 1.1 * LIMIT
    assert files <= 1.1 * LIMIT / 4096
    assert charged(root) >= 0.9 * LIMIT, "more was dropped than had to be"
