"""The oracle test: many processes log under faults of every kind, and then every promise is checked.

A driver hands out ids. An id becomes an obligation when its process has told that the record is safe, which
depends on the durability (see `oracle_worker.py`). Processes come and go, are killed at random moments and fork,
while the server fails in every way and files of the spool are damaged (`oracle_faults.py`). Then all faults
end, heirs run until nothing of the dead is left, and it must hold:

- conservation: every obligation is stored, or a dead letter, or was in a file that the driver damaged;
- integrity: what arrived is what was logged, and a retry was byte-identical;
- no invented ids, and nothing stored twice by a server that remembers keys;
- liveness: the spool is empty in bounded time, and every process that was to end has ended.

The file is long because the steps of a run and the promises checked after it stand on the same bookkeeping, which
is easiest to trust where one can read it in one place.

By itself, for longer than the test suite has time for:

    python tests/integration/oracle.py --minutes 10 --seed 7 --durability record
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

if __name__ == "__main__":
    # Behind the others, so that an installed package is the one that is tested.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from logcollector_handler.delivery.spool import destination
from tests.integration.oracle_faults import Collector, Vandal, batch_files, identities_in

#: Processes that log at the same time.
_WORKERS: Final = 4
#: Seconds in which a process that is to end must have ended.
_END_LIMIT: Final = 30.0
#: Seconds in which the heirs must have settled one batch more.
_HEIRS_LIMIT: Final = 30.0
#: Seconds of `shutdown_timeout` in which the disk takes whatever was logged.
_TIME_ENOUGH: Final = 3.0
#: Violations after which the storm ends early.
_ENOUGH: Final = 10
#: What no process may say of itself.
_SHAME: Final = ("Traceback", "error of its own", "the handler failed on it", "could not be encoded")


@dataclass
class _Process:
    """A process that logs, and what the driver knows of it."""

    number: int
    ending: str
    #: What a full queue does.
    overflow: str
    #: Seconds that its exit may take.
    shutdown_timeout: float
    popen: subprocess.Popen[bytes]
    #: Monotonic seconds at which it is killed, or must have ended.
    until: float
    rest: bytes = b""
    open: bool = True
    ended: bool = False


@dataclass
class Outcome:
    """What a run came to."""

    summary: str
    #: In plain words, each with what is needed to look into it; empty when every promise was kept.
    violations: list[str] = field(default_factory=list)


class Oracle:
    """One run. `directory` gets the spool and what the processes say on stderr."""

    def __init__(self, seed: int, durability: str, seconds: float, directory: Path) -> None:
        self._seed = seed
        self._durability = durability
        self._seconds = seconds
        self._directory = directory
        self._spool = directory / "spool"
        self._rng = random.Random(f"{seed}/driver")
        self._server = Collector(seed)
        self._vandal = Vandal(self._spool)
        self._selector = selectors.DefaultSelector()
        self._processes: list[_Process] = []
        self._started = 0
        self._told: set[str] = set()
        self._endings: Counter[str] = Counter()
        self._violations: list[str] = []

    def run(self) -> Outcome:
        """Storm, calm, verdict."""
        began = time.monotonic()
        with self._server, (self._directory / "stderr.txt").open("wb") as errors:
            try:
                self._vandal.litter(self._spool / destination(self._server.url))
                self._storm(errors)
                self._calm(errors)
            finally:
                for process in self._processes:
                    if process.open or not process.ended:
                        # With its children.
                        os.killpg(process.popen.pid, signal.SIGKILL)
                        process.popen.wait()
                    if process.popen.stdin:
                        process.popen.stdin.close()
                    if process.popen.stdout:
                        process.popen.stdout.close()
                self._selector.close()
        return self._verdict(time.monotonic() - began)

    # The phases

    def _storm(self, errors: IO[bytes]) -> None:
        end = time.monotonic() + self._seconds
        next_weather = next_damage = 0.0
        while (now := time.monotonic()) < end and len(self._violations) < _ENOUGH:
            if now >= next_weather:
                self._server.change(self._rng)
                next_weather = now + self._rng.uniform(0.1, 2.0)
            if now >= next_damage:
                self._vandal.strike(self._rng, all_dead=False)
                next_damage = now + self._rng.uniform(0.5, 4.0)
            if sum(not process.ended for process in self._processes) < _WORKERS:
                self._start(errors, self._plan())
            self._watch(0.05)

    def _calm(self, errors: IO[bytes]) -> None:
        self._server.change(self._rng, "clear")
        for process in self._processes:
            if process.ending == "killed":
                process.until = 0.0
        limit = time.monotonic() + 2 * _END_LIMIT
        while any(process.open or not process.ended for process in self._processes) and time.monotonic() < limit:
            self._watch(0.05)
        for process in self._processes:
            if process.open:
                self._violations.append(f"liveness: a child of process {process.number} does not end")
                _show_stacks(process)
                os.killpg(process.popen.pid, signal.SIGKILL)
        for _ in range(self._rng.randrange(4)):
            self._vandal.strike(self._rng, all_dead=True)
        dead = {path.name[:29] for path in batch_files(self._spool)}
        heirs = [self._start(errors, self._plan(heir=True)) for _ in range(2)]
        limit = time.monotonic() + _HEIRS_LIMIT
        before: set[str] = set()
        while left := {path.name for path in batch_files(self._spool) if path.name[:29] in dead}:
            if left != before:
                before, limit = left, time.monotonic() + _HEIRS_LIMIT
            if time.monotonic() > limit:
                self._violations.append(f"liveness: heirs do nothing about {_some(sorted(left))}")
                break
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                self._watch(0.1)
        for heir in heirs:
            heir.until = time.monotonic() + 2 * _END_LIMIT
            if heir.popen.stdin:
                heir.popen.stdin.close()
        while not all(heir.ended for heir in heirs):
            self._watch(0.05)
        if unsent := batch_files(self._spool):
            self._violations.append(f"liveness: {_some(unsent)} are left when all heirs have ended")

    # The processes

    def _plan(self, *, heir: bool = False) -> dict[str, Any]:
        self._started += 1
        rng = random.Random(f"{self._seed}/plan {self._started}")
        seconds = rng.choice((0.2, 1.0, 2.0, 4.0)) * rng.uniform(0.5, 1.5)
        endings = {"killed": 6, "os._exit": 2, "exit": 2, "exit while threads log": 1}
        max_batch_bytes = rng.choice((70_000, 4 * 1024 * 1024))
        settings: dict[str, Any] = {
            "server_url": self._server.url,
            "spool_dir": str(self._spool),
            "durability": self._durability,
            "fsync": rng.random() < 0.1,
            "batch_size": rng.choice((2, 7, 50, 120, 300, 1000)),
            "flush_interval": rng.choice((0.01, 0.1, 0.5, 1.0, 3.0)),
            "enable_compression": rng.random() < 0.8,
            "max_batch_bytes": max_batch_bytes,
            "max_record_bytes": 65_000,
            "max_queue_size": rng.choice((30, 1000, 10_000)),
            "overflow": rng.choice(("block", "drop_oldest")) if self._durability == "record" else "block",
            "max_retries": rng.randrange(4),
            "timeout": rng.choice((0.2, 0.5, 1.0)),
            "shutdown_timeout": rng.choice((0.2, 1.0, 3.0)),
        }
        deeds = []
        for deed, most in (("fork", 3), ("close", 2), ("configure", 2), ("flush", 1)):
            deeds += [(rng.uniform(0.0, seconds), deed) for _ in range(rng.randrange(most + 1))]
        plan = {
            "seed": self._seed,
            "number": self._started,
            "threads": rng.randint(1, 3),
            "pause": rng.choice((0.5, 1.0, 4.0)),
            "seconds": seconds,
            "ending": rng.choices(list(endings), list(endings.values()))[0],
            "deeds": sorted(deeds),
            "patience": {
                "backoff": rng.choice((0.05, 0.3, 1.0)),
                "configuration": rng.choice((0.1, 0.5)),
                "look": rng.choice((0.05, 0.2, 1.0)),
            },
            "settings": settings,
        }
        if heir:
            # A busy machine must not cost them an answer: a batch whose answer was lost is never split on a 500.
            settings.update(shutdown_timeout=10.0, max_retries=1, batch_size=50, flush_interval=0.1, timeout=10.0)
            plan.update(ending="heir", threads=1, pause=10.0)
            plan["patience"] = {"backoff": 0.2, "configuration": 0.2, "look": 1.0}
        return plan

    def _start(self, errors: IO[bytes], plan: dict[str, Any]) -> _Process:
        ending = plan["ending"]
        popen = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("oracle_worker.py")), json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        # Killed while it starts, while it logs, while it waits.
        patience = plan["seconds"] * 1.2 + 0.2 if ending == "killed" else plan["seconds"] + _END_LIMIT
        until = time.monotonic() + (1e9 if ending == "heir" else patience)
        settings = plan["settings"]
        process = _Process(plan["number"], ending, settings["overflow"], settings["shutdown_timeout"], popen, until)
        self._processes.append(process)
        assert popen.stdout is not None
        os.set_blocking(popen.stdout.fileno(), False)
        self._selector.register(popen.stdout, selectors.EVENT_READ, process)
        return process

    def _watch(self, seconds: float) -> None:
        """Read what the processes print, for `seconds`; kill those whose time is over."""
        for key, _ in self._selector.select(seconds):
            self._hear(key.data)
        for process in self._processes:
            if process.ended:
                continue
            if process.popen.poll() is not None:
                process.ended = True
                self._endings[process.ending] += 1
                if process.popen.returncode not in (0, -signal.SIGKILL):
                    self._violations.append(
                        f"liveness: process {process.number} ({process.ending}) ended with {process.popen.returncode}"
                    )
            elif time.monotonic() > process.until:
                if process.ending != "killed":
                    self._violations.append(f"liveness: process {process.number} ({process.ending}) does not end")
                    _show_stacks(process)
                process.popen.kill()

    def _hear(self, process: _Process) -> None:
        assert process.popen.stdout is not None
        try:
            data = os.read(process.popen.stdout.fileno(), 1 << 20)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(process.popen.stdout)
            process.open = False
            return
        *lines, process.rest = (process.rest + data).split(b"\n")
        for line in lines:
            kind, *words = line.decode().split(" ")
            if kind == "t":
                self._told.update(words)
            elif kind == "e":
                self._audit(process, json.loads(words[0]))
            elif words != ["True", "0"]:
                self._violations.append(f"liveness: heir {process.number} flushed {words[0]}, {words[1]} batches left")

    def _audit(self, process: _Process, told: dict[str, Any]) -> None:
        who = f"process {process.number} ({process.ending}): {told}"
        if process.ending == "exit" and told["accepted"] != told["settled"] + told["pending"]:
            self._violations.append(f"conservation: the counts do not add up, {who}")
        orderly = process.ending != "exit while threads log" or self._durability == "record"
        may_drop = {"spool_damaged"} | ({"queue_full"} if process.overflow != "block" else set())
        if process.shutdown_timeout < _TIME_ENOUGH:
            # Small batches are many files, and a busy machine may not write them all in that time.
            may_drop.add("shutdown")
        if orderly and set(told["dropped"]) - may_drop:
            self._violations.append(f"conservation: dropped with room to spare, {who}")

    # The end

    def _verdict(self, seconds: float) -> Outcome:
        server = self._server
        dead: set[str] = set()
        for path in self._spool.glob("*/dead/*.json*"):
            if not path.name.endswith(".damaged"):
                dead |= identities_in(path.read_bytes(), path)
        excused = self._vandal.excused
        missing = self._told - set(server.arrived) - dead - set(excused)
        repeated = [identity for identity, count in server.arrived.items() if count > 1]
        invented = [each for each in server.arrived if not 0 < int(each.partition("-")[0]) <= self._started]
        if missing:
            self._violations.append(f"conservation: {len(missing)} ids are missing: {_some(sorted(missing))}")
        if repeated:
            self._violations.append(f"{len(repeated)} ids were stored more than once: {_some(sorted(repeated))}")
        if invented or server.strange:
            self._violations.append(f"invented: {_some([*invented, *server.strange])}")
        if server.altered:
            self._violations.append(f"integrity: other than logged: {_some(list(server.altered.items()))}")
        damaged = {each.partition(" ")[0].partition(".")[0] for each in excused.values()}
        if changed := [key for key in server.changed if key.partition(".")[0] not in damaged]:
            self._violations.append(f"integrity: two bodies under one key: {_some(changed)}")
        errors = (self._directory / "stderr.txt").read_text(errors="replace").splitlines()
        if shame := [line for line in errors if any(each in line for each in _SHAME)]:
            self._violations.append(f"{len(shame)} errors on stderr: {_some(shame)}")
        faults = server.faults + self._vandal.faults
        lost = set(excused) & self._told - set(server.arrived) - dead
        summary = (
            f"durability {self._durability}, seed {self._seed}: {len(self._told)} ids told, "
            f"{len(server.arrived)} stored, {len(dead)} dead-lettered, "
            f"{len(lost)} excused by damage, {len(missing)} missing, "
            f"{len(repeated)} repeated; {self._started} processes, {dict(self._endings)}; "
            f"{server.requests_seen} requests, {sum(faults.values())} faults, {dict(faults.most_common())}; "
            f"{len(server.notices)} notices of losses; {seconds:.0f} s"
        )
        return Outcome(summary, self._violations)


def _show_stacks(process: _Process) -> None:
    """Have it and its children say on stderr where each of their threads is."""
    os.killpg(process.popen.pid, signal.SIGUSR1)
    time.sleep(1.0)


def _some(things: list[Any]) -> str:
    more = f" and {len(things) - 12} more" if len(things) > 12 else ""
    return ", ".join(str(each) for each in things[:12]) + more


def main() -> int:
    """Run; 0 when every promise was kept. After a violation the directory stays."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--durability", choices=("batch", "record"), default="record")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix=f"oracle-{options.seed}-"))
    outcome = Oracle(options.seed, options.durability, options.minutes * 60, directory).run()
    print(outcome.summary)
    for violation in outcome.violations:
        print(f"VIOLATED: {violation}")
    if outcome.violations:
        print(f"The spool and what was said on stderr are kept in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
