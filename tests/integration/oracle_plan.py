"""The plans of the oracle test: what each of its processes does and with which settings, and which faults there are.

What belongs here: choosing, by a generator that the seed and the process's number determine. What does not: doing.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any, Final

#: The kinds of faults that a run can leave out. Processes that are killed, fork and end are in every run.
FAULTS: Final = (
    "weather",  # The server is away, answers with errors, cuts connections or hangs.
    "damage",  # Files of the spool are damaged.
    "forks in C",  # Processes are forked without Python's hooks.
    "stops",  # Processes are stopped for longer than their time-outs.
    "alarms",  # Handlers of signals raise in logging calls.
    "full disk",  # The disk fills and empties.
    "storms of errors",  # Errors come by the hundred a second.
    "slow lines",  # The server reads so slowly that a batch does not fit the time-out.
    "gateways",  # A gateway before the server answers, with web pages.
    "gateways that refuse",  # Also with those of 400, 422 and 500, by which a server refuses records.
    "slow heirs",  # The line is slow while the spool is emptied, so that it is only emptied by smaller batches.
)


def plan_of(
    seed: int, number: int, *, durability: str, url: str, wire: str, spool: str, faults: Collection[str], heir: bool
) -> dict[str, Any]:
    """The plan of a process. An heir only logs a little and sends what the dead left, until it is told to end."""
    rng = random.Random(f"{seed}/plan {number}")
    seconds = rng.choice((0.2, 1.0, 2.0, 4.0)) * rng.uniform(0.5, 1.5)
    endings = {"killed": 6, "os._exit": 2, "exit": 2, "exit while threads log": 1}
    settings: dict[str, Any] = {
        "server_url": url,
        "wire": wire,
        # Tells the server who sends.
        "headers": {"X-Process": str(number)},
        "spool_dir": spool,
        "durability": durability,
        "fsync": rng.random() < 0.1,
        # Not often so small that there are many thousand files.
        "batch_size": rng.choice((2, 7, 50, 50, 120, 120, 300, 300, 1000, 1000)),
        "flush_interval": rng.choice((0.01, 0.1, 0.1, 0.5, 0.5, 1.0, 1.0, 3.0)),
        "enable_compression": rng.random() < 0.8,
        "max_batch_bytes": rng.choice((70_000, 4 * 1024 * 1024)),
        "max_record_bytes": 65_000,
        "max_queue_size": rng.choice((30, 1000, 10_000)),
        "overflow": rng.choice(("block", "drop_oldest")) if durability == "record" else "block",
        "max_retries": rng.randrange(4),
        "timeout": rng.choice((0.2, 0.5, 1.0)),
        "shutdown_timeout": rng.choice((0.2, 1.0, 3.0)),
    }
    plan: dict[str, Any] = {
        "seed": seed,
        "number": number,
        "threads": rng.randint(1, 3),
        "pause": rng.choice((0.5, 1.0, 4.0)),
        "seconds": seconds,
        "ending": rng.choices(list(endings), list(endings.values()))[0],
        "deeds": sorted(_deeds(rng, seconds, faults)),
        "stops": sorted(_stops(rng, seconds, settings["timeout"], faults)),
        "patience": {
            "backoff": rng.choice((0.05, 0.3, 1.0)),
            "configuration": rng.choice((0.1, 0.5)),
            "look": rng.choice((0.05, 0.2, 1.0)),
        },
        "settings": settings,
        "faults": list(faults),
        # Before the first record, and in its middle.
        "forks first": "forks in C" in faults and rng.random() < 0.5,
        "sabotage": "",
    }
    if heir:
        # A busy machine must not cost them an answer: a batch whose answer was lost is never split on a 500.
        settings.update(shutdown_timeout=10.0, max_retries=1, batch_size=50, flush_interval=0.1, timeout=10.0)
        if "slow heirs" in faults:
            settings.update(timeout=3.0)
        plan.update(ending="heir", threads=1, pause=10.0, stops=[], faults=[])
        plan["patience"] = {"backoff": 0.2, "configuration": 0.2, "look": 1.0}
    return plan


def _deeds(rng: random.Random, seconds: float, faults: Collection[str]) -> list[tuple[float, str]]:
    """Which deeds, and how many seconds after the start."""
    most = {"fork": 3, "close": 2, "configure": 2, "flush": 1}
    most |= {deed: 1 for deed, fault in _DEED_OF.items() if fault in faults}
    # A fault that is tried alone comes up in every process.
    least = 1 if len(faults) == 1 else 0
    numbers = {deed: rng.randint(least if deed in _DEED_OF else 0, limit) for deed, limit in most.items()}
    return [(rng.uniform(0.0, seconds), deed) for deed, count in numbers.items() for _ in range(count)]


_DEED_OF: Final = {"fork in C": "forks in C", "alarms": "alarms", "storm of errors": "storms of errors"}


def _stops(rng: random.Random, seconds: float, timeout: float, faults: Collection[str]) -> list[tuple[float, float]]:
    """When the process is stopped, in seconds after its start, and for how long: longer than its time-outs."""
    if "stops" not in faults:
        return []
    # Never all of them: the others are to leave alone what the stopped ones have.
    if rng.random() > (0.5 if len(faults) == 1 else 0.25):
        return []
    length = 3.0 if len(faults) == 1 else timeout * rng.uniform(1.1, 3.0)
    return [(rng.uniform(0.3, 0.5 + seconds), length)]
