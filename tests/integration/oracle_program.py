"""The program of the oracle test's processes: it logs until it is killed, ends, or its standard input closes.

Run as a script, with a plan as JSON. What it tells on standard output is said in `oracle_worker.py`.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

if __name__ == "__main__":
    # Behind the others, so that an installed package is the one that is tested.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.integration.oracle_deeds import act, act_first, present
from tests.integration.oracle_records import HEIR
from tests.integration.oracle_sabotage import SABOTAGE
from tests.integration.oracle_worker import UnlockedLogger, Worker, tell


def hurry(patience: dict[str, float]) -> None:
    """Make the waits shorter that would make the run long: it is their order that is tested, not their length."""
    from logcollector_handler.delivery import answers, suspects
    from logcollector_handler.delivery.spool import look

    answers.BACKOFF_LIMIT = patience["backoff"]  # type: ignore[misc]  # a constant everywhere else
    suspects.CONFIGURATION_RETRY = patience["configuration"]  # type: ignore[attr-defined]  # imported there
    look.LOOK_EVERY = patience["look"]  # type: ignore[misc]  # as above


def main() -> None:
    """Follow the plan."""
    # The driver asks where the threads are, when a process does not end.
    faulthandler.register(signal.SIGUSR1)
    plan = json.loads(sys.argv[1])
    ending = plan["ending"]
    # Registered before the package is imported, hence run after it has drained.
    atexit.register(_at_exit)
    if plan["sabotage"]:
        SABOTAGE[plan["sabotage"]]()
    logging.setLoggerClass(UnlockedLogger)
    worker = Worker(plan, HEIR if ending == "heir" else 0)
    logging.setLoggerClass(logging.Logger)
    present.append(worker)
    hurry(plan["patience"])
    worker.configure()
    if "forks in C" in plan["faults"]:
        act_first(worker)
    threads = [threading.Thread(target=worker.run, daemon=True) for _ in range(plan["threads"])]
    threads.append(threading.Thread(target=_tell_always, args=(worker,), daemon=True))
    for thread in threads:
        thread.start()
    if ending == "heir":
        sys.stdin.read()
    else:
        act(worker)
    if ending == "os._exit":
        os._exit(0)
    if ending == "killed":
        # It ends without the driver, too.
        sys.stdin.read()
        os._exit(1)
    if ending in ("exit", "heir"):
        worker.stopping.set()
        for thread in threads:
            thread.join()
    if ending == "heir":
        tell("h", [str(worker.handler.flush(50)), str(len(worker.handler._pipeline.outbox))])


def _tell_always(worker: Worker) -> None:
    while not worker.stopping.wait(0.01):
        worker.gate.wait()
        worker.tell_safe()


def _at_exit() -> None:
    worker = present[-1]
    if worker.is_forked_in_c or worker.plan["ending"] in ("exit", "heir"):
        worker.tell_at_exit()
    worker.tell_end()
    if worker.is_forked_in_c:
        tell("d", [str(worker.child)])


if __name__ == "__main__":
    main()
