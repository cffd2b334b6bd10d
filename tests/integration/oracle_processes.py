"""The processes of the oracle test: started by a plan, listened to, stopped for a while, killed.

What belongs here: the life of the processes and what they tell. What does not: which plans there are, and any promise
but that a process ends when it is to.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: Seconds in which a process that is to end must have ended.
END_LIMIT: Final = 30.0


@dataclass
class Process:
    """A process that logs, and what the driver knows of it."""

    plan: dict[str, Any]
    popen: subprocess.Popen[bytes]
    #: Monotonic seconds at which it was started, and at which it is killed, or must have ended.
    began: float
    until: float
    #: Monotonic seconds at which it goes on, while it is stopped.
    wakes: float | None = None
    was_stopped: bool = False
    #: Children that were forked in C and did not say yet that they end.
    in_c: int = 0
    rest: bytes = b""
    open: bool = True
    ended: bool = False

    @property
    def number(self) -> int:
        """Its number in the run, the first part of its ids."""
        return int(self.plan["number"])

    @property
    def ending(self) -> str:
        """How it is to end."""
        return str(self.plan["ending"])


class Processes:
    """All processes of a run. A context manager, which kills those that are left.

    Args:
        stderr: the file that gets what they say there.
        audit: called with what a process told at its end.
    """

    def __init__(self, stderr: Path, audit: Callable[[Process, dict[str, Any]], None]) -> None:
        self._audit = audit
        self._stderr = stderr
        self._selector = selectors.DefaultSelector()
        self._all: dict[int, Process] = {}
        #: Ids that are obligations.
        self.told: set[str] = set()
        self.endings: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        #: Children that were forked in C, and those of them that did not end.
        self.forked_in_c = 0
        self.hung_in_c = 0

    def __enter__(self) -> Processes:
        # A pipe: a limit on the size of files is none on what they say.
        source, self._errors = os.pipe()
        self._copying = threading.Thread(target=_copy, args=(source, self._stderr))
        self._copying.start()
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._all.values():
            if process.open or not process.ended:
                # With its children.
                os.killpg(process.popen.pid, signal.SIGKILL)
                process.popen.wait()
            for stream in (process.popen.stdin, process.popen.stdout):
                if stream:
                    stream.close()
        self._selector.close()
        os.close(self._errors)
        self._copying.join()

    @property
    def active(self) -> list[Process]:
        """Those that have not ended, or have a child that has not."""
        return [process for process in self._all.values() if process.open or not process.ended]

    @property
    def living(self) -> list[Process]:
        """Those that have not ended."""
        return [process for process in self.active if not process.ended]

    def is_alive(self, number: int) -> bool:
        """Whether the process of a number is alive now. For any thread."""
        process = self._all.get(number)
        return process is not None and process.popen.poll() is None

    def is_killed(self, number: int) -> bool:
        """Whether the process of a number ends by force."""
        return self._all[number].ending in ("killed", "os._exit")

    def start(self, plan: dict[str, Any]) -> Process:
        """Start a process."""
        ending = plan["ending"]
        environ = dict(os.environ)
        if {"alarms", "forks in C"} & set(plan["faults"]):
            # An alarm in the code that measures coverage leaves a lock of it held, and so can a fork in C.
            environ = {name: value for name, value in environ.items() if not name.startswith("COVERAGE_")}
        popen = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("oracle_program.py")), json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environ,
            start_new_session=True,
        )
        # Killed while it starts, while it logs, while it waits.
        patience = plan["seconds"] * 1.2 + 0.2 if ending == "killed" else plan["seconds"] + END_LIMIT
        now = time.monotonic()
        process = Process(plan, popen, now, now + (1e9 if ending == "heir" else patience))
        self._all[process.number] = process
        assert popen.stdout is not None
        os.set_blocking(popen.stdout.fileno(), False)
        self._selector.register(popen.stdout, selectors.EVENT_READ, process)
        return process

    def watch(self, seconds: float) -> None:
        """Read what the processes print, for `seconds`; stop, wake and kill those whose time it is."""
        for key, _ in self._selector.select(seconds):
            self._hear(key.data)
        now = time.monotonic()
        for process in self.living:
            if process.popen.poll() is not None:
                self._note_end(process)
            elif process.wakes is not None:
                if now > process.wakes:
                    _wake(process)
            elif process.plan["stops"] and now > process.began + process.plan["stops"][0][0]:
                _, length = process.plan["stops"].pop(0)
                process.popen.send_signal(signal.SIGSTOP)
                process.wakes = now + length
                process.was_stopped = True
                process.until += length
                self.faults["stop"] += 1
            elif now > process.until:
                if process.ending != "killed":
                    self.violations.append(f"liveness: process {process.number} ({process.ending}) does not end")
                    _show_stacks(process)
                process.popen.kill()

    def calm(self) -> None:
        """Stop nobody any more; kill whom the plan has killed; wait until all have ended, with their children."""
        for process in self.living:
            process.plan["stops"].clear()
            _wake(process)
            if process.ending == "killed":
                process.until = 0.0
        limit = time.monotonic() + 2 * END_LIMIT
        while any(not process.in_c or not process.ended for process in self.active) and time.monotonic() < limit:
            self.watch(0.05)
        limit = time.monotonic() + END_LIMIT / 2
        while self.active and time.monotonic() < limit:
            self.watch(0.05)
        for process in self.active:
            self.hung_in_c += process.in_c
            _show_stacks(process)
            if not process.in_c:
                self.violations.append(f"liveness: a child of process {process.number} does not end")
            os.killpg(process.popen.pid, signal.SIGKILL)
            process.open = False
            self._selector.unregister(process.popen.stdout)  # type: ignore[arg-type]  # a pipe
        # A thread that waits for the interpreter's lock while a process is forked in C can block the child for good,
        # whatever the package does, and on a busy machine one often waits. That must not be the rule.
        if self.hung_in_c > 1 + self.forked_in_c / 2:
            self.violations.append(f"liveness: {self.hung_in_c} of {self.forked_in_c} children forked in C do not end")

    def _note_end(self, process: Process) -> None:
        process.ended = True
        self.endings[process.ending] += 1
        if process.popen.returncode not in (0, -signal.SIGKILL):
            self.violations.append(
                f"liveness: process {process.number} ({process.ending}) ended with {process.popen.returncode}"
            )

    def _hear(self, process: Process) -> None:
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
            kind, _, words = line.decode().partition(" ")
            if kind == "t":
                self.told.update(words.split(" "))
            elif kind == "e":
                self._audit(process, json.loads(words))
            elif kind == "f":
                self.faults[words] += 1
            elif kind == "c":
                self.forked_in_c += 1
                process.in_c += 1
            elif kind == "d":
                process.in_c -= 1
            elif kind == "v":
                self.violations.append(words)
            elif words != "True 0":
                flushed, left = words.split(" ")
                self.violations.append(f"liveness: heir {process.number} flushed {flushed}, {left} batches left")


def _copy(source: int, target: Path) -> None:
    with open(source, "rb", buffering=0) as pipe, target.open("wb", buffering=0) as file:
        shutil.copyfileobj(pipe, file)


def _wake(process: Process) -> None:
    if process.wakes is not None:
        process.wakes = None
        process.popen.send_signal(signal.SIGCONT)


def _show_stacks(process: Process) -> None:
    """Have it and its children say on stderr where each of their threads is."""
    os.killpg(process.popen.pid, signal.SIGUSR1)
    time.sleep(1.0)
