"""The spool with real processes: killed at any moment, several at once, and one that comes after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, messages

pytestmark = pytest.mark.integration


def start(server: FaultyServer, spool: Path, script: str, **settings: object) -> subprocess.Popen[str]:
    program = PRELUDE + f"SETTINGS = {dict(settings, spool_dir=str(spool))!r}\n" + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "SERVER": server.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=180)
    return out, err


DELIVER = """
handler = configure(**SETTINGS)
log.info("heir")
deadline = time.monotonic() + 60
from pathlib import Path
def left():
    return [p for p in Path(SETTINGS["spool_dir"]).rglob("*") if ".json" in p.name or p.suffix == ".open"]
while left() and time.monotonic() < deadline:
    handler.flush(1)
    time.sleep(0.05)
print(len(left()), dict(handler.stats().adopted))
"""


def deliver(server: FaultyServer, spool: Path) -> str:
    """A process that comes after and uses the same directory."""
    out, err = finish(start(server, spool, DELIVER))
    assert out, err
    return out.strip()


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)", "os.abort()"])
def test_record_by_record_nothing_that_was_accepted_is_lost(server: FaultyServer, tmp_path: Path, how: str) -> None:
    server.default = answer(503)
    process = start(
        server,
        tmp_path,
        f"""
        configure(**SETTINGS)
        for n in range(2345): log.info("m%d", n)
        {how}
        """,
        durability="record",
    )
    finish(process)
    server.default = answer()
    assert deliver(server, tmp_path).startswith("0 ")
    found = messages(server)
    assert sorted(found, key=lambda each: (each == "heir", each)) == [*sorted(f"m{n}" for n in range(2345)), "heir"]


@pytest.mark.parametrize("durability", ["batch", "record"])
def test_killed_at_any_moment_under_load_what_was_told_is_delivered_once(
    server: FaultyServer, tmp_path: Path, durability: str
) -> None:
    """The program tells each number after the call returned; what was told must arrive, once."""
    server.default = lambda request: behaviours.cut_after_storing() if len(server.requests) % 3 == 0 else answer()
    told: set[str] = set()
    for run in range(6):
        process = start(
            server,
            tmp_path,
            f"""
            handler = configure(flush_interval=0.02, batch_size=100, **SETTINGS)
            for n in range(100000):
                log.info("r{run}-%d", n)
                if SETTINGS["durability"] == "record":
                    print(n, flush=True)
                elif n % 500 == 499:
                    # What has left memory: everything that was accepted, after a flush of the listener.
                    while handler._pipeline.listener.put_to <= n: handler._pipeline.listener.wake(); time.sleep(0.005)
                    print(n, flush=True)
                time.sleep(0.0001)
            """,
            durability=durability,
        )
        assert process.stdout is not None
        # By then it logs, however long it took to start.
        first = os.read(process.stdout.fileno(), 1).decode()
        time.sleep(0.1 + run * 0.07)
        process.send_signal(signal.SIGKILL)
        out, _ = finish(process)
        numbers = [int(each) for each in (first + out).split("\n")[:-1]]
        told |= {f"r{run}-{n}" for n in (range(numbers[-1] + 1) if numbers else ())}
    server.default = answer()
    assert deliver(server, tmp_path).startswith("0 ")
    found = messages(server)
    assert told - set(found) == set(), "told and lost"
    assert len(found) == len(set(found)), "stored twice"
    assert len(told) > 100


def test_a_batch_that_was_delivered_but_not_removed_is_sent_again_under_its_key(
    server: FaultyServer, tmp_path: Path
) -> None:
    server.default = behaviours.hang(stored=True)
    process = start(server, tmp_path, "configure(**SETTINGS)\nlog.error('once')\ntime.sleep(60)")
    server.wait_for_stored(1)
    process.kill()
    finish(process)
    server.default = answer()
    deliver(server, tmp_path)
    assert messages(server).count("once") == 1
    first, *rest = [request.key for request in server.requests if "once" in str(request.entries)]
    assert rest == [first]


def test_many_processes_share_a_directory_and_are_killed(server: FaultyServer, tmp_path: Path) -> None:
    server.default = answer(503)
    processes = [
        start(
            server,
            tmp_path,
            f"""
            configure(**SETTINGS)
            for n in range(500): log.info("p{number}-%d", n)
            print("ready", flush=True)
            time.sleep(60)
            """,
            durability="record",
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.kill()
        finish(process)
    server.default = answer()
    heirs = [start(server, tmp_path, DELIVER) for _ in range(3)]
    for heir in heirs:
        finish(heir)
    assert deliver(server, tmp_path).startswith("0 ")
    found = [each for each in messages(server) if each != "heir"]
    assert sorted(found) == sorted(f"p{number}-{n}" for number in range(4) for n in range(500))


def test_an_outage_over_the_whole_life_of_a_process_loses_nothing(server: FaultyServer, tmp_path: Path) -> None:
    server.refuse()
    _, err = finish(
        start(server, tmp_path, "configure(shutdown_timeout=0.5, **SETTINGS)\nfor n in range(3000): log.info('m%d', n)")
    )
    assert "dropped" not in err
    server.resume()
    deliver(server, tmp_path)
    assert len(messages(server)) == 3001


def test_a_fork_writes_to_files_of_its_own(server: FaultyServer, tmp_path: Path) -> None:
    _, err = finish(
        start(
            server,
            tmp_path,
            """
            handler = configure(flush_interval=3600, **SETTINGS)
            log.info("parent")
            for n in range(3):
                pid = os.fork()
                if not pid:
                    log.info("child %d", n)
                    os._exit(0)
                os.waitpid(pid, 0)
            log.info("parent again")
            """,
            durability="record",
        )
    )
    deliver(server, tmp_path)
    assert sorted(messages(server)) == ["child 0", "child 1", "child 2", "heir", "parent", "parent again"], err
