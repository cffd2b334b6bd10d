"""How much a logging call does, in numbers that are the same on every machine: instructions and calls.

What belongs here: the counting, and the baseline (`counts.json`) with one entry a minor version of Python. The times
of the same calls are in `hot_path.py`, which nothing compares with a limit.

`instructions` is the number of bytecode instructions that one logging call executes, `calls` the number of functions,
of Python and of C, that are called meanwhile. The same call into a handler that does nothing is subtracted, because
what the stdlib does before it reaches a handler changes between the patch releases of a Python.

Two things are not seen: how long one call of a C function takes, and what the background does. The threads of the
handler are alive but stand still while the call is counted, so that the count does not depend on who runs when.

    tox run -m counts                    writes the baseline anew, for each Python that tox finds
    python -m benchmarks.counts          in tests: prints the counts of this Python
    python -m benchmarks.counts --write  in tests: makes them the baseline of this Python
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

from logcollector_handler import LogCollectorHandler, log_context
from logcollector_handler.delivery.states import Role

from .hot_path import FRAMES, Floor, logger, raise_below, stop_background

Call = Callable[[], object]
#: By kind of call, then `instructions` and `calls`.
Counts = dict[str, dict[str, int]]

BASELINE = Path(__file__).with_name("counts.json")
PYTHON = "{}.{}".format(*sys.version_info)
#: By what share of the baseline each number may differ: some instructions are an edit of no weight, while a call more
#: can cost as much as all the rest.
TOLERANCE = {"instructions": 0.02, "calls": 0.0}
#: Calls after which caches are full and the interpreter has specialised the code.
WARM_UP = 50

EXTRA = {"user_id": "u-1", "amount": 12.5, "currency": "EUR"}


def plain(log: logging.Logger) -> None:
    log.info("order %d placed", 5)


def three_extras(log: logging.Logger) -> None:
    log.info("order %d placed", 5, extra=EXTRA)


def exception(log: logging.Logger) -> None:
    log.exception("payment failed")  # noqa: LOG004 - called while one is handled


if sys.version_info >= (3, 12):
    # From 3.12 on `sys.settrace` misses instructions of functions that ran before (seen in 3.12.1 and 3.13.0).

    def instructions(call: Call) -> int:
        """The bytecode instructions that `call` executes in this thread."""
        count, tool, event = 0, sys.monitoring.PROFILER_ID, sys.monitoring.events.INSTRUCTION
        me = get_ident()

        def one(code: CodeType, offset: int) -> None:
            # Events of all threads come here, and one that starts may not stand still yet.
            nonlocal count
            count += get_ident() == me

        sys.monitoring.use_tool_id(tool, "counts")
        sys.monitoring.register_callback(tool, event, one)
        sys.monitoring.set_events(tool, event)
        try:
            call()
        finally:
            sys.monitoring.set_events(tool, 0)
            sys.monitoring.register_callback(tool, event, None)
            sys.monitoring.free_tool_id(tool)
        return count

else:

    def instructions(call: Call) -> int:
        """The bytecode instructions that `call` executes in this thread."""
        count = 0

        def one(frame: FrameType, event: str, value: object) -> Any:
            nonlocal count
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            count += event == "opcode"
            return one

        sys.settrace(one)
        try:
            call()
        finally:
            sys.settrace(None)
        return count


def calls(call: Call) -> int:
    """The functions, of Python and of C, that `call` calls in this thread."""
    count = 0

    def one(frame: FrameType, event: str, value: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(one)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def counted(call: Callable[[logging.Logger], None], ours: logging.Logger, floor: logging.Logger) -> dict[str, int]:
    """What one `call` into our handler does more than the same call into the handler that does nothing."""
    for _ in range(WARM_UP):
        call(ours)
        call(floor)
    return {
        measure.__name__: measure(lambda: call(ours)) - measure(lambda: call(floor))
        for measure in (instructions, calls)
    }


def start_threads(*loggers: logging.Logger) -> None:
    """Wait until the handlers' threads are alive: until then each call does more, and a busy machine takes its time."""
    for log in loggers:
        plain(log)
    names = {role.value for role in Role}
    while sum(each.is_alive() for each in threading.enumerate() if each.name in names) < len(names) * len(loggers):
        time.sleep(0.001)


def count() -> Counts:
    """The counts of all kinds of calls. Only for a process that is made for it and ended by `os._exit`."""
    stop_background()
    gc.disable()  # What it frees, and when, depends on all that the process has made.
    floor, memory = logger("floor", Floor()), logger("memory", LogCollectorHandler())
    with tempfile.TemporaryDirectory() as spool:
        record = logger("record", LogCollectorHandler(spool_dir=spool, durability="record"))
        start_threads(memory, record)
        found = {
            "plain": counted(plain, memory, floor),
            "three_extras": counted(three_extras, memory, floor),
            "plain_durable": counted(plain, record, floor),
        }
        with log_context(**EXTRA):
            found["three_bound"] = counted(plain, memory, floor)
        try:
            raise_below(FRAMES - 1)
        except ValueError:
            found["exception"] = counted(exception, memory, floor)
    return found


def baselines() -> dict[str, Counts]:
    """The baselines, by minor version of Python."""
    found: dict[str, Counts] = json.loads(BASELINE.read_text())
    return found


def differences(found: Counts, baseline: Counts) -> list[str]:
    """One line for each count that is further from its baseline than the tolerance, in either direction.

    A count that sank is told too: with a baseline that is too high, the next slow-down would not be seen.
    """
    return [
        f"{kind}: {found[kind][what]} {what}, baseline {before}"
        for kind, whats in baseline.items()
        for what, before in whats.items()
        if abs(found[kind][what] - before) > before * TOLERANCE[what]
    ]


def main() -> None:
    found = count()
    if "--write" in sys.argv:
        every = {**(baselines() if BASELINE.exists() else {}), PYTHON: found}
        ordered = sorted(every.items(), key=lambda item: tuple(map(int, item[0].split("."))))
        BASELINE.write_text(json.dumps(dict(ordered), indent=1) + "\n")
    print(json.dumps(found), flush=True)
    # The exit of the interpreter would wait for the threads that stand still.
    os._exit(0)


if __name__ == "__main__":
    main()
