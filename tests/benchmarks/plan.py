"""What is measured: every kind of work, who does it, and how often.

Counts are such that the whole takes some sixteen minutes on two cores, and the quick form two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .contenders import CONTENDERS

EVERYBODY = tuple(CONTENDERS)
#: This handler with other wires, which differ from `memory` in the background alone.
WIRES = ("ndjson", "otlp")
#: Other settings of this handler, measured where they make a difference.
SETTINGS = (*WIRES, "batch-5000")
OTHERS = tuple(name for name, each in CONTENDERS.items() if not each.slow and name not in SETTINGS)
#: Those of other people, whose tails and memory need no second round.
PEERS = tuple(name for name, each in CONTENDERS.items() if not each.label.startswith("this") and each.sends)
#: Those that send, without the ladder of durability.
SENDERS = ("memory", "record", "opentelemetry", "logtail", "logzio", "sentry")
#: Who shows how memory grows: the rest would take minutes for a million, or is as one of these.
GROWING = ("floor", "memory", "record", "opentelemetry", "logzio")
QUICK = ("floor", "stdlib", "memory", "record", "opentelemetry")
QUICK_SETTINGS = ("floor", "stdlib", "memory", *SETTINGS, "record", "opentelemetry", "logzio")
#: Those with numbers to hold where many threads log, or large messages.
HELD = ("floor", "memory", "record")


@dataclass(frozen=True)
class Work:
    """One kind of work. `scenario` and `settings` are those of `worker`."""

    name: str
    title: str
    scenario: str = "speed"
    settings: dict[str, str | int] = field(default_factory=dict)
    contenders: tuple[str, ...] = OTHERS
    rounds: int = 1
    #: Contenders that are measured in the first round alone.
    once: tuple[str, ...] = ()

    def of(self, contender: str) -> dict[str, str | int]:
        """The settings, with fewer records for who is slow."""
        count = self.settings.get("count")
        if CONTENDERS[contender].slow and isinstance(count, int):
            return {**self.settings, "count": count // 10}
        return self.settings


def full() -> list[Work]:
    """All of it."""
    return [
        Work("plain", "Plain records, full speed", settings={"count": 100_000}, contenders=EVERYBODY, rounds=3),
        Work(
            "three",
            "Three extras, full speed",
            settings={"kind": "three", "count": 50_000},
            contenders=(*OTHERS, *WIRES),
            rounds=3,
        ),
        Work("ten", "Ten extras, full speed", settings={"kind": "ten", "count": 20_000}),
        Work(
            "exception",
            "An exception with 30 frames, full speed",
            settings={"kind": "exception", "count": 5_000},
            contenders=(*OTHERS, *WIRES),
            rounds=3,
            once=PEERS,
        ),
        Work(
            "large",
            "Messages of 10 KB, full speed",
            settings={"kind": "large", "count": 5_000},
            rounds=3,
            once=PEERS,
        ),
        *(
            Work(
                f"threads-{threads}",
                f"{number} threads, full speed",
                settings={"count": 50_000, "threads": threads},
                rounds=3,
                once=PEERS,
            )
            for threads, number in ((4, "Four"), (16, "Sixteen"))
        ),
        Work("paced", "5,000 calls a second", "paced", {"rate": 5000, "seconds": 4}, rounds=3),
        Work(
            "loop", "An asyncio application, 2,000 calls a second at most: how late its loop is", "loop", {"seconds": 4}
        ),
        *(
            Work(f"server-{delay}", title, "paced", {"rate": 2000, "seconds": 2, "delay": delay}, SENDERS)
            for delay, title in (
                ("0.05", "A server that takes 50 ms, 2,000 calls a second"),
                ("0.5", "A server that takes 500 ms, 2,000 calls a second"),
                ("hang", "A server that never answers, 2,000 calls a second"),
            )
        ),
        *(
            Work(f"growth-{count}", f"{count:,} records, full speed", settings={"count": count}, contenders=GROWING)
            for count in (10_000, 100_000, 1_000_000)
        ),
        Work("flood", "300,000 records, full speed", settings={"count": 300_000}, contenders=("memory",), rounds=3),
        Work("outage", "1,000,000 records during an outage", "outage", {"count": 1_000_000}, ("memory",)),
        Work(
            "outage-huge",
            "10,000 records of 200 KB during an outage",
            "outage",
            {"kind": "huge", "count": 10_000},
            ("memory",),
        ),
    ]


def quick() -> list[Work]:
    """Enough to see what a change does: few contenders, fewer records."""
    return [
        Work("plain", "Plain records, full speed", settings={"count": 30_000}, contenders=QUICK_SETTINGS, rounds=3),
        Work(
            "three", "Three extras, full speed", settings={"kind": "three", "count": 30_000}, contenders=QUICK, rounds=2
        ),
        Work(
            "exception",
            "An exception with 30 frames, full speed",
            settings={"kind": "exception", "count": 3_000},
            contenders=QUICK,
        ),
        Work("large", "Messages of 10 KB, full speed", settings={"kind": "large", "count": 5_000}, contenders=HELD),
        Work("threads-4", "Four threads, full speed", settings={"count": 50_000, "threads": 4}, contenders=HELD),
        Work("threads-16", "Sixteen threads, full speed", settings={"count": 50_000, "threads": 16}, contenders=HELD),
        Work("paced", "5,000 calls a second", "paced", {"rate": 5000, "seconds": 2}, QUICK),
        Work("loop", "An asyncio application: how late its loop is", "loop", {"seconds": 2}, QUICK),
        Work(
            "server-hang",
            "A server that never answers",
            "paced",
            {"rate": 2000, "seconds": 1, "delay": "hang"},
            ("memory",),
        ),
        Work("flood", "300,000 records, full speed", settings={"count": 300_000}, contenders=("memory",)),
    ]
