"""What is logged in the oracle test: the record of an id, as a function of the seed and the id.

What belongs here: what both sides must know, the process that logs the record and the driver that compares what
arrived. What does not: any process, any fault.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

#: Share of the records that the server never takes, for each of the two ways in which it does not.
POISON: Final = 0.001
#: The number of a child that is an heir: it logs no poison, which nothing would come after to prove.
HEIR: Final = 999
#: The records of ids from these numbers on are errors, of a storm; and those that are logged under alarms. The latter
#: have no exception: the stdlib's `traceback` takes an alarm in `str(exception)` for a fault of the exception, and the
#: text would not be the one that was logged.
STORM_FROM: Final = 1_000_000
ALARMED_FROM: Final = 2_000_000
_TEXT: Final = 'abc xyz 0123 "quoted" back\\slash tab\t line\n {} %s é ß 漢字 😀 \u2028 '
_SIZES: Final = ((0, 60), (60, 700), (700, 4000), (4000, 12000))
_LEVELS: Final = {5: "TRACE", 10: "DEBUG", 20: "INFO", 30: "WARN", 40: "ERROR", 50: "FATAL"}
_ERROR: Final = 40


@dataclass(frozen=True)
class Record:
    """What is logged for an id."""

    level: int
    message: str
    extra: dict[str, Any]
    raises: bool


def record_of(seed: int, identity: str) -> Record:
    """The record of an id, the same wherever it is asked for."""
    rng = random.Random(f"{seed}/{identity}")
    low, high = rng.choices(_SIZES, (70, 25, 5, 0.3))[0]
    size = rng.randint(low, high)
    start = rng.randrange(len(_TEXT))
    text = (_TEXT[start:] + _TEXT * (size // len(_TEXT) + 1))[:size]
    extra: dict[str, Any] = {"oracle": identity, "number": rng.getrandbits(60), "share": rng.random()}
    if rng.random() < 0.5:
        extra["payload"] = {"text": text, "list": [None, True, rng.random(), {"deep": [text[:20]]}], "é": -1}
    if rng.random() < 0.3:
        extra["user_id"] = f"user {rng.randrange(1000)}"
    if rng.random() < 2 * POISON and f"-{HEIR}-" not in identity:
        extra["poison"] = rng.choice((400, 500))
    level = rng.choices(tuple(_LEVELS), (5, 25, 50, 16, 3, 1))[0]
    raises = rng.random() < 0.01
    number = int(identity.rpartition("-")[2])
    if number >= ALARMED_FROM:
        raises = False
    elif number >= STORM_FROM:
        level = _ERROR
    return Record(level, f"{identity} {text}", extra, raises)


def differences(seed: int, identity: str, entry: dict[str, Any]) -> list[str]:
    """The fields in which an entry that arrived is not what was logged."""
    record = record_of(seed, identity)
    expected = dict(record.extra)
    metadata = entry.get("metadata", {})
    wrong = []
    if entry.get("level") != _LEVELS[record.level]:
        wrong.append("level")
    if entry.get("message") != record.message:
        wrong.append("message")
    if entry.get("user_id") != expected.pop("user_id", None):
        wrong.append("user_id")
    wrong += [name for name, value in expected.items() if metadata.get(name) != value]
    if record.raises and (entry.get("error_type") != "ValueError" or identity not in entry.get("stack_trace", "")):
        wrong.append("stack_trace")
    return wrong
