"""The oracle test: many processes log under faults of every kind, and then every promise is checked.

A driver hands out ids. An id becomes an obligation when its process has told that the record is safe, which
depends on the durability (see `oracle_worker.py`). Processes come and go, are killed at random moments, stopped,
interrupted and forked (`oracle_plan.py`), while the server fails in every way (`oracle_weather.py`), files of the spool
are damaged and its disk fills (`oracle_faults.py`). Then all faults end, heirs run until nothing of the dead is left,
and it must hold:

- conservation: every obligation is stored, or a dead letter, or was in a file that the driver damaged; and only what
  the server itself refused is a dead letter;
- integrity: what arrived is what was logged, and a retry was byte-identical;
- no invented ids, and nothing stored twice by a server that remembers keys;
- ownership: nobody sends what a living process has, not while it is stopped either;
- liveness: the spool is empty in bounded time, and every process that was to end has ended.

By itself, for longer than the test suite has time for:

    python tests/integration/oracle.py --minutes 10 --seed 7 --durability record
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    # Behind the others, so that an installed package is the one that is tested.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from logcollector_handler.delivery.spool import destination
from logcollector_handler.wire import FORMATS
from tests.integration.oracle_faults import Disk, Vandal, batch_files, identities_in, owner_of
from tests.integration.oracle_plan import FAULTS, plan_of
from tests.integration.oracle_processes import END_LIMIT, Process, Processes
from tests.integration.oracle_weather import Collector

#: Processes that log at the same time.
_WORKERS: Final = 4
#: Seconds in which the heirs must have settled one batch more, and how many they must settle a second: a small part of
#: what they do on a busy machine.
_HEIRS_LIMIT: Final = 30.0
_HEIRS_RATE: Final = 5.0
#: Seconds for which the heirs have a slow line, where they have one.
_SLOW_FOR: Final = 60.0
#: Seconds after which a storm ends, and files in the spool with which it ends before that: the heirs must get through
#: what is left in bounded time. Then there is another storm, until the time of the run has passed.
_STORM: Final = 60.0
_CROWD: Final = 2000
#: Seconds of `shutdown_timeout` in which the disk takes whatever was logged.
_TIME_ENOUGH: Final = 3.0
#: Seconds for which a process must live on after another one posted its records: a process that dies gives up its
#: locks a moment before anybody can see it dead.
_LIVES_ON: Final = 0.3
#: Violations after which the storm ends early.
_ENOUGH: Final = 10
#: What no process may say of itself.
_SHAME: Final = ("Traceback", "error of its own", "the handler failed on it", "could not be encoded")


@dataclass
class Outcome:
    """What a run came to."""

    summary: str
    #: In plain words, each with what is needed to look into it; empty when every promise was kept.
    violations: list[str] = field(default_factory=list)


class Oracle:
    """One run.

    Args:
        directory: gets the spool and what the processes say on stderr.
        faults: the kinds that come up, of `oracle_plan.FAULTS`.
        sabotage: a fault to put into the package, of `oracle_sabotage.SABOTAGE`; none by default.
        wire: the format of the batches.
    """

    def __init__(
        self,
        seed: int,
        durability: str,
        seconds: float,
        directory: Path,
        faults: Collection[str] = FAULTS,
        sabotage: str = "",
        wire: str = "collector",
    ) -> None:
        self._seed = seed
        self._wire = wire
        self._durability = durability
        self._seconds = seconds
        self._directory = directory
        self._faults = faults
        self._sabotage = sabotage
        self._spool = directory / "spool"
        self._rng = random.Random(f"{seed}/driver")
        self._processes = Processes(directory / "stderr.txt", self._audit)
        self._server = Collector(seed, faults, self._processes.is_alive)
        self._vandal = Vandal(self._spool)
        self._disk = Disk(
            self._spool,
            lambda: [process.popen.pid for process in self._processes.living],
            fills="full disk" in faults,
        )
        self._started = 0
        self._storms = 0
        self._violations = self._processes.violations

    def run(self) -> Outcome:
        """Storms, a calm after each, verdict."""
        began = time.monotonic()
        with self._disk:
            with self._server, self._processes:
                self._vandal.litter(self._spool / destination(self._url, self._wire), FORMATS[self._wire].suffix)
                while not self._violations and time.monotonic() < began + self._seconds:
                    self._storms += 1
                    self._storm(min(began + self._seconds, time.monotonic() + _STORM))
                    self._calm()
            outcome = self._verdict(time.monotonic() - began)
            if outcome.violations:
                self._disk.save(self._directory / "spool left")
        return outcome

    @property
    def _url(self) -> str:
        return self._server.url + ("/in?id={batch_id}" if FORMATS[self._wire].takes_whole_url else "")

    # The phases

    def _storm(self, end: float) -> None:
        next_weather = next_damage = next_count = 0.0
        next_disk = time.monotonic() + self._rng.uniform(0.5, 2.0)
        while (now := time.monotonic()) < end and len(self._violations) < _ENOUGH:
            if now >= next_count:
                if len(batch_files(self._spool)) > _CROWD:
                    break
                next_count = now + 0.5
            if now >= next_weather:
                self._server.change(self._rng)
                next_weather = now + self._rng.uniform(0.1, 2.0)
            if now >= next_damage and "damage" in self._faults:
                self._vandal.strike(self._rng, all_dead=False)
                next_damage = now + self._rng.uniform(0.5, 4.0)
            if now >= next_disk and "full disk" in self._faults:
                is_full = self._disk.change(self._rng)
                next_disk = now + (self._rng.uniform(0.2, 1.0) if is_full else self._rng.uniform(1.0, 6.0))
            if len(self._processes.living) < _WORKERS:
                self._start()
            self._watch(0.05)

    def _calm(self) -> None:
        self._server.change(self._rng, "clear")
        self._disk.empty()
        self._processes.calm()
        if "damage" in self._faults:
            for _ in range(self._rng.randrange(4)):
                self._vandal.strike(self._rng, all_dead=True)
        files = {path.name for path in batch_files(self._spool)}
        dead = {owner_of(name) for name in files}
        heirs = [self._start(heir=True) for _ in range(2)]
        if "slow heirs" in self._faults:
            self._empty_slowly(files)
        began = changed = time.monotonic()
        limit = began + _HEIRS_LIMIT + len(batch_files(self._spool)) / _HEIRS_RATE
        before: set[str] = set()
        while left := {path.name for path in batch_files(self._spool) if owner_of(path.name) in dead}:
            now = time.monotonic()
            if left != before:
                before, changed = left, now
            if now > min(limit, changed + _HEIRS_LIMIT):
                self._violations.append(f"liveness: after {now - began:.0f} s heirs have left {_some(sorted(left))}")
                break
            self._mend_for(left)
            for _ in range(5):
                self._watch(0.1)
        self._server.is_mended = False
        for heir in heirs:
            heir.until = time.monotonic() + 2 * END_LIMIT
            if heir.popen.stdin:
                heir.popen.stdin.close()
        while not all(heir.ended for heir in heirs):
            self._watch(0.05)
        if unsent := batch_files(self._spool):
            self._violations.append(f"liveness: {_some(unsent)} are left when all heirs have ended")

    def _empty_slowly(self, files: set[str]) -> None:
        """Give the heirs a slow line for a while. They must settle or cut at least one batch of the dead meanwhile."""
        self._server.change(self._rng, "slow")
        end = time.monotonic() + _SLOW_FOR
        while time.monotonic() < end and (left := files & {path.name for path in batch_files(self._spool)}):
            self._mend_for(left)
            for _ in range(5):
                self._watch(0.1)
        if files and files <= {path.name for path in batch_files(self._spool)}:
            self._violations.append(f"liveness: on a slow line heirs have settled nothing in {_SLOW_FOR:.0f} s")
        self._server.change(self._rng, "clear")

    def _mend_for(self, left: set[str]) -> None:
        """Have the server take all records if only batches are left of which an answer was lost.

        Nobody may split these on a 500: they wait until the server takes them whole.
        """
        self._server.is_mended = {name.partition(".")[0] for name in left} <= self._marked_as_lost()

    def _marked_as_lost(self) -> set[str]:
        """Ids, as they were drawn, of the batches that are marked as ones of which an answer was lost."""
        return {path.name.partition(".")[0] for path in self._spool.glob("*/*.lost")}

    def _start(self, *, heir: bool = False) -> Process:
        self._started += 1
        plan = plan_of(
            self._seed,
            self._started,
            durability=self._durability,
            url=self._url,
            wire=self._wire,
            spool=str(self._spool),
            faults=self._faults,
            heir=heir,
        )
        return self._processes.start({**plan, "sabotage": "" if heir else self._sabotage})

    def _watch(self, seconds: float) -> None:
        self._disk.press()
        self._processes.watch(seconds)
        suspicions = self._server.suspicions
        while suspicions and time.monotonic() > suspicions[0].time + _LIVES_ON:
            _, owner, poster, identity = suspicions.pop(0)
            if self._processes.is_alive(owner):
                self._violations.append(f"ownership: process {poster} posted {identity}, and process {owner} lives")

    # What must hold

    def _audit(self, process: Process, told: dict[str, Any]) -> None:
        """Check the counts of a process, or of a child that was forked in C, at its end."""
        who = f"process {process.number} ({process.ending}): {told}"
        handlers = told["handlers"]
        is_quiet = process.ending == "exit" or told["child"] == "in C"
        if is_quiet and any(each["accepted"] != each["settled"] + each["pending"] for each in handlers):
            self._violations.append(f"conservation: the counts do not add up, {who}")
        # A call that a signal handler ended may have left its record behind or not, but never two.
        if is_quiet and not told["returned"] <= sum(each["accepted"] for each in handlers) <= told["begun"]:
            self._violations.append(f"conservation: not as many records as calls, {who}")
        orderly = process.ending != "exit while threads log" or self._durability == "record"
        settings = process.plan["settings"]
        may_drop = {"spool_damaged"} | ({"queue_full"} if settings["overflow"] != "block" else set())
        if settings["shutdown_timeout"] < _TIME_ENOUGH or process.was_stopped or self._disk.was_full:
            # Small batches are many files, and a busy machine may not write them all in that time. A stopped process
            # has less of it, and what a full disk did not take is lost with the process if the server is away.
            may_drop.add("shutdown")
        if orderly and any(set(each["dropped"]) - may_drop for each in handlers):
            self._violations.append(f"conservation: dropped with room to spare, {who}")

    def _is_part_of_given_up(self, identity: str, key: str) -> bool:
        """Whether an heir cut a batch that it gave up on its way, whose owner was killed before it learned its fate."""
        whole = self._server.arrived[identity]
        number, child, _ = identity.split("-")
        was_killed = child != "0" or self._processes.is_killed(int(number))
        return key.startswith(f"{whole}.") and whole in self._server.given_up and was_killed

    def _verdict(self, seconds: float) -> Outcome:
        server, processes, told = self._server, self._processes, self._processes.told
        dead: set[str] = set()
        for path in self._spool.glob("*/dead/*"):
            if not path.name.endswith(".damaged"):
                dead |= server.rejections.letters_in(identities_in(path.read_bytes(), path), path.name)
        refused = server.refused | server.rejections.ids
        excused = self._vandal.excused
        missing = told - set(server.arrived) - dead - set(excused)
        # A dead letter has no place on a full disk. It is one only after the server refused that record alone.
        if self._disk.was_full:
            missing -= refused
        invented = [each for each in server.arrived if not 0 < int(each.partition("-")[0]) <= self._started]
        if missing:
            self._violations.append(f"conservation: {len(missing)} ids are missing: {_some(sorted(missing))}")
        if unjust := sorted(dead - refused - set(excused)):
            self._violations.append(f"conservation: dead letters that the server never refused: {_some(unjust)}")
        # What was stored before its sender was killed is not known to the heir, who cuts it if the line seems slow.
        again = [
            f"{identity} as {server.arrived[identity]}, again as {key} while the weather was {weather}"
            for identity, (key, weather) in sorted(server.repeated.items())
            if not self._is_part_of_given_up(identity, key)
        ]
        if again:
            self._violations.append(f"{len(again)} ids were stored more than once: {_some(again)}")
        if invented or server.strange:
            self._violations.append(f"invented: {_some([*invented, *server.strange])}")
        # In protobuf a damaged number is a number.
        if altered := {each: fields for each, fields in server.altered.items() if each not in excused}:
            self._violations.append(f"integrity: other than logged: {_some(list(altered.items()))}")
        damaged = {each.partition(" ")[0].partition(".")[0] for each in excused.values()}
        # Of a batch that a full disk did not take whole, a dead process leaves the lines that were written before.
        cut = {key for key, is_shorter in server.changed.items() if is_shorter and self._disk.was_full}
        if changed := [key for key in server.changed if key.partition(".")[0] not in damaged and key not in cut]:
            self._violations.append(f"integrity: two bodies under one key: {_some(changed)}")
        errors = (self._directory / "stderr.txt").read_text(errors="replace").splitlines()
        if shame := [line for line in errors if any(each in line for each in _SHAME)]:
            self._violations.append(f"{len(shame)} errors on stderr: {_some(shame)}")
        faults = server.faults + self._vandal.faults + self._disk.faults + processes.faults
        lost = set(excused) & told - set(server.arrived) - dead
        summary = (
            f"wire {self._wire}, durability {self._durability}, seed {self._seed}: {len(told)} ids told, "
            f"{len(server.arrived)} stored, {len(dead)} dead-lettered, "
            f"{len(lost)} excused by damage, {len(missing)} missing, "
            f"{len(again)} repeated, {len(server.repeated) - len(again)} excused by kills; "
            f"{self._started} processes, {dict(processes.endings)}, "
            f"{processes.hung_in_c} of {processes.forked_in_c} forked in C hung; "
            f"{server.requests_seen} requests, {sum(faults.values())} faults, {dict(faults.most_common())}; "
            f"{len(server.notices)} notices of losses; {self._storms} storms, {seconds:.0f} s"
        )
        return Outcome(summary, self._violations)


def _some(things: list[Any]) -> str:
    more = f" and {len(things) - 12} more" if len(things) > 12 else ""
    return ", ".join(str(each) for each in things[:12]) + more


def main() -> int:
    """Run; 0 when every promise was kept. After a violation the directory stays."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--durability", choices=("batch", "record"), default="record")
    parser.add_argument("--wire", choices=list(FORMATS), default="collector")
    parser.add_argument("--without", choices=FAULTS, action="append", default=[], help="a fault that is not to come up")
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if fault not in options.without]
    directory = Path(tempfile.mkdtemp(prefix=f"oracle-{options.seed}-"))
    seconds = options.minutes * 60
    outcome = Oracle(options.seed, options.durability, seconds, directory, faults, wire=options.wire).run()
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
