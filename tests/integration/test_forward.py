"""Handlers that leave their batches in the spool, and `logcollector forward`: real processes, killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration import behaviours
from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, messages, run

pytestmark = pytest.mark.integration

PATIENCE = 120.0

#: Each tells the numbers that it may expect to arrive: after a flush, or after the call, or after its child's call.
WRITERS = {
    "batch": """
        for n in range(100000):
            log.info("batch-%d", n)
            if n % 50 == 49 and handler.flush(60):
                print(n, flush=True)
    """,
    "record": """
        for n in range(100000):
            log.info("record-%d", n)
            print(n, flush=True)
            time.sleep(0.0005)
    """,
    "forked": """
        for n in range(0, 100000, 10):
            pid = os.fork()
            if not pid:
                for m in range(n, n + 10): log.info("forked-%d", m)
                os._exit(0)
            log.info("parent of %d", n)
            os.waitpid(pid, 0)
            print(n + 9, flush=True)
    """,
}


def write(server: FaultyServer, spool: Path, name: str) -> subprocess.Popen[str]:
    durability = "batch" if name == "batch" else "record"
    program = f"""{PRELUDE}
handler = configure(spool_dir={str(spool)!r}, deliver=False, durability={durability!r}, flush_interval=0.05)
if True:
{WRITERS[name]}
"""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "SERVER": server.url},
        stdout=subprocess.PIPE,
        text=True,
    )


def forward(server: FaultyServer, spool: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "logcollector_handler", "forward", str(spool), "--server-url", server.url],
        stderr=subprocess.PIPE,
        text=True,
    )


def left(spool: Path) -> list[str]:
    return [path.name for path in spool.rglob("*") if ".json" in path.name or path.suffix == ".open"]


def test_writers_and_forwarders_are_killed_at_any_moment_and_what_was_told_is_stored_once(
    server: FaultyServer, tmp_path: Path
) -> None:
    """Also where answers are lost: the next forwarder sends under the same key."""
    server.default = lambda request: behaviours.cut_after_storing() if len(server.requests) % 5 == 0 else answer()
    chance = random.Random(1)
    spool = tmp_path / "spool"
    forwarders = [forward(server, spool), forward(server, spool)]
    writers = {name: write(server, spool, name) for name in WRITERS}
    first = {}
    for name, writer in writers.items():
        assert writer.stdout is not None
        # By then it logs, however long it took to start.
        first[name] = os.read(writer.stdout.fileno(), 1).decode()
    told: set[str] = set()
    for name in chance.sample(list(writers), len(writers)):
        time.sleep(chance.uniform(0.05, 0.3))
        killed = forwarders.pop(0)
        killed.kill()
        killed.communicate()
        forwarders.append(forward(server, spool))
        time.sleep(chance.uniform(0.05, 0.3))
        writers[name].kill()
        out, _ = writers[name].communicate()
        # The last line may be torn.
        numbers = (first[name] + out).split("\n")[:-1]
        told |= {f"{name}-{n}" for n in range(int(numbers[-1]) + 1 if numbers else 0)}
    server.default = answer()
    deadline = time.monotonic() + PATIENCE
    while left(spool) and time.monotonic() < deadline:
        time.sleep(0.05)
    for each in forwarders:
        each.send_signal(signal.SIGTERM)
        _, err = each.communicate(timeout=PATIENCE)
        assert each.returncode == 0, err
        assert err.endswith("0 batches left\n")
    found = messages(server)
    assert told - set(found) == set(), "told and lost"
    assert len(found) == len(set(found)), "stored twice"
    assert {each.partition("-")[0] for each in told} == set(WRITERS)
    assert left(spool) == []


def test_every_end_hands_over_and_the_http_client_is_never_imported(server: FaultyServer, tmp_path: Path) -> None:
    ends = ("pass", "raise SystemError", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)")
    for number, end in enumerate(ends):
        done = run(
            server,
            f"""
            from logcollector_handler import drain_on_signals
            drain_on_signals()
            handler = configure(spool_dir={str(tmp_path)!r}, deliver=False, flush_interval=1000.0)
            atexit.register(lambda: print("at exit", sorted({{"httpx", "httpcore"}} & set(sys.modules)), flush=True))
            for n in range(1500): log.info("{number}-%d", n)
            assert handler.stats().accepted == 1500
            names = [thread.name for thread in threading.enumerate() if thread.name.startswith("logcollector")]
            print("threads", set(names) <= {{"logcollector-listener"}}, flush=True)
            {end}
            """,
        )
        assert done.out.splitlines()[0] == "threads True", done.err
        assert done.out.splitlines()[1:] == (["at exit []"] if done.code >= 0 else []), done.err
    assert server.requests == []
    forwarder = forward(server, tmp_path)
    server.wait_for_stored(1500 * len(ends))
    forwarder.send_signal(signal.SIGTERM)
    _, err = forwarder.communicate(timeout=PATIENCE)
    assert "4,500 records delivered" in err
    found = messages(server)
    assert sorted(found) == sorted(f"{number}-{n}" for number in range(len(ends)) for n in range(1500))
    for number in range(len(ends)):
        assert [each for each in found if each.startswith(f"{number}-")] == [f"{number}-{n}" for n in range(1500)]
