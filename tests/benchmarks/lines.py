"""The numbers to hold, each with its limit and how it is read from the results of a run.

What belongs here: which numbers are promised, and the verdict on a measured one. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .contenders import CONTENDERS

#: The results of a run on one machine, and of each processor that has results.
Results = dict[str, Any]
Machines = dict[str, Results]
#: What was measured of one contender, by name.
Numbers = dict[str, float]
Read = Callable[[Results], float]


@dataclass(frozen=True)
class Line:
    """A number to hold.

    Attributes:
        what: what is measured, in words.
        read: finds it in the results. A KeyError or a ValueError: it was not measured.
        limit: the most that it may be; with `at_least`, the least.
        unit: what is written behind the number.
        slack: by how much two runs of the same work differ. Only for ratios of two works that may cost the same.
    """

    what: str
    read: Read
    limit: float
    unit: str
    at_least: bool = False
    slack: float = 0.0

    def measured(self, results: Results) -> float | None:
        """The number; None if it was not measured."""
        try:
            return self.read(results)
        except (KeyError, ValueError):
            return None

    def written(self, value: float) -> str:
        """A number with its unit."""
        number = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2f}"
        return f"{number} {self.unit}".strip()


def is_held(line: Line, value: float) -> bool:
    """The verdict on a measured number."""
    return value >= line.limit if line.at_least else value <= line.limit + line.slack


# How a number is read


def number(work: str, who: str, name: str, scale: float = 1.0) -> Read:
    """One number of one contender at one kind of work."""
    return lambda results: float(results["works"][work]["contenders"][who][name]) * scale


def ratio(one: Read, other: Read) -> Read:
    """How many times the other number the one is."""
    return lambda results: one(results) / other(results)


def top(name: str) -> Read:
    """A number that is of no kind of work."""
    return lambda results: float(results[name])


def left(name: str) -> Read:
    """A number of the spool that a killed process left."""
    return lambda results: float(results["leftovers"][name])


def exception_over_floor(results: Results) -> float:
    """Microseconds that `logger.exception` takes more than into a handler that does nothing."""
    found = results["hot_path"]["exception"]
    return float(found["ours_us"] - found["floor_us"])


def fastest_whole_peer(results: Results) -> float:
    """Records a second of the fastest other handler that loses none. A ValueError: there is none."""
    plain: dict[str, Numbers] = results["works"]["plain"]["contenders"]
    return max(
        numbers["delivered_per_s"]
        for name, numbers in plain.items()
        if not CONTENDERS[name].label.startswith("this") and numbers.get("lost") == 0
    )


_SPEED = number("plain", "memory", "delivered_per_s")
_LATE = number("paced", "memory", "p999_us", 1e-3)

LINES: tuple[Line, ...] = (
    Line("median call, plain", number("plain", "memory", "p50_us_ratio"), 1.4, "x floor"),
    Line("median call, three extras", number("three", "memory", "p50_us_ratio"), 1.6, "x floor"),
    Line("logger.exception, 30 frames", exception_over_floor, 20, "us over floor"),
    Line("a storm of exceptions: CPU", number("exception", "memory", "cpu_us"), 70, "us"),
    Line("a storm of exceptions: p99.9", number("exception", "memory", "p999_us", 1e-3), 2, "ms"),
    Line("5,000 calls/s: p99.9", _LATE, 0.3, "ms"),
    Line("5,000 calls/s: p99.9", ratio(_LATE, number("paced", "opentelemetry", "p999_us", 1e-3)), 1 / 3, "x OTel"),
    Line("5,000 calls/s: worst call", number("paced", "memory", "worst_us", 1e-3), 5, "ms"),
    Line("CPU of a delivered record", number("plain", "memory", "cpu_us_ratio"), 1.6, "x floor"),
    Line("delivered at full speed: lost", number("plain", "memory", "lost"), 0, ""),
    Line("delivered at full speed", ratio(_SPEED, fastest_whole_peer), 2.7, "x whole peer", at_least=True),
    Line(
        "the same, batch_size 5000",
        ratio(number("plain", "batch-5000", "delivered_per_s"), fastest_whole_peer),
        3,
        "x whole peer",
        at_least=True,
    ),
    Line(
        "delivered at full speed",
        ratio(_SPEED, number("plain", "opentelemetry", "delivered_per_s")),
        5,
        "x OTel",
        at_least=True,
    ),
    Line("300,000 at full speed: lost", number("flood", "memory", "lost"), 0, ""),
    Line("300,000 at full speed: worst call", number("flood", "memory", "worst_us", 1e-3), 50, "ms"),
    Line("16 threads: lost", number("threads-16", "memory", "lost"), 0, ""),
    Line("16 threads: p99.9", number("threads-16", "memory", "p999_us", 1e-3), 10, "ms"),
    Line("16 threads: worst call", number("threads-16", "memory", "worst_us", 1e-3), 60, "ms"),
    Line("1,000,000 in an outage: lost", number("outage", "memory", "lost"), 0, ""),
    Line("1,000,000 in an outage: memory", number("outage", "memory", "grown_mib"), 64, "MiB"),
    Line("10,000 of 200 KB in an outage: memory", number("outage-huge", "memory", "grown_mib"), 160, "MiB"),
    Line("10,000 of 200 KB in an outage: lost, uncounted", number("outage-huge", "memory", "uncounted"), 0, ""),
    Line("messages of 10 KB: CPU", number("large", "memory", "cpu_us"), 30, "us"),
    Line("messages of 10 KB: memory", number("large", "memory", "grown_mib"), 40, "MiB"),
    Line(
        "durability record, four threads",
        number("threads-4", "record", "delivered_per_s"),
        40_000,
        "records/s",
        at_least=True,
    ),
    Line("durability record: median call", number("plain", "record", "p50_us_ratio"), 2.2, "x floor"),
    *(
        Line(
            f"wire {wire}: CPU of a delivered record",
            ratio(number("plain", wire, "cpu_us"), number("plain", "memory", "cpu_us")),
            limit,
            "x collector",
            slack=0.05,
        )
        for wire, limit in (("ndjson", 1.0), ("otlp", 1.4))
    ),
    Line("httpx imported before the first batch", top("httpx_imported"), 0, ""),
    Line("import and dictConfig", top("start_up_ms"), 60, "ms over logging's"),
    Line("20,000 files left behind: a fresh ERROR", left("fresh_s"), 1, "s"),
    Line("20,000 files left behind: all delivered", ratio(left("delivered_s"), left("posted_s")), 2, "x posting them"),
    Line("20,000 files left behind: lost", left("lost"), 0, ""),
)
