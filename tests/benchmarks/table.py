"""The results as text: the numbers to hold, then every kind of work with a row for each contender."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .contenders import CONTENDERS

Results = dict[str, Any]
Numbers = dict[str, float]

#: Heading, name of the number, how it is written.
_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("median us", "p50_us", "{:.1f}".format),
    ("x floor", "p50_us_ratio", "{:.2f}".format),
    ("p99 us", "p99_us", "{:,.0f}".format),
    ("p99.9 us", "p999_us", "{:,.0f}".format),
    ("worst ms", "worst_us", lambda value: f"{value / 1e3:.1f}"),
    ("CPU us", "cpu_us", "{:.1f}".format),
    ("x floor", "cpu_us_ratio", "{:.2f}".format),
    ("delivered/s", "delivered_per_s", "{:,.0f}".format),
    ("lost", "lost", "{:,.0f}".format),
    ("twice", "repeated", "{:,.0f}".format),
    ("disordered", "out_of_order", "{:,.0f}".format),
    ("bytes", "wire_bytes", "{:.0f}".format),
    ("MiB more", "grown_mib", "{:.1f}".format),
)


def table(results: Results) -> str:
    """All of it."""
    lines = [f"Measured with {', '.join(f'{name} {what}' for name, what in results['machine'].items())}.", ""]
    lines += _aligned([("to hold", "measured", "limit", ""), *holds(results)])
    for work in results["works"].values():
        lines += ["", work["title"], *_aligned(_rows(work["contenders"]))]
    lines += [
        "",
        "CPU is that of the whole process for each record that arrived, bytes are a record's on the wire. What did",
        "not arrive within 20 s after the last call (5 s where calls are paced) is lost.",
    ]
    return "\n".join(lines)


def _rows(contenders: dict[str, Numbers]) -> Iterator[tuple[str, ...]]:
    shown = [column for column in _COLUMNS if any(column[1] in numbers for numbers in contenders.values())]
    yield ("", *(heading for heading, _, _ in shown))
    for name, numbers in contenders.items():
        cells = (write(numbers[key]) if key in numbers else "" for _, key, write in shown)
        yield (CONTENDERS[name].label, *cells)


def _aligned(rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> list[str]:
    """First column to the left, the others to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def holds(results: Results) -> Iterator[tuple[str, str, str, str]]:
    """The numbers to hold: what, as measured, the limit, and whether it holds. Left out when not measured."""
    works = {name: work["contenders"] for name, work in results["works"].items()}

    def line(what: str, measured: str, limit: str, kept: bool) -> tuple[str, str, str, str]:
        return what, measured, limit, "holds" if kept else "DOES NOT HOLD"

    for work, who, key, what, most in (
        ("plain", "memory", "p50_us_ratio", "median call, plain", 1.5),
        ("three", "memory", "p50_us_ratio", "median call, three extras", 1.6),
        ("plain", "record", "p50_us_ratio", "median call, durability record", 2.5),
        ("plain", "memory", "cpu_us_ratio", "CPU for a delivered record", 1.8),
    ):
        value = works[work][who][key]
        yield line(what, f"{value:.2f} x floor", f"{most} x floor", value <= most)
    for wire, most in ("ndjson", 1.0), ("otlp", 1.4):
        if wire in works["plain"]:
            ratio = works["plain"][wire]["cpu_us"] / works["plain"]["memory"]["cpu_us"]
            yield line(f"the same, wire {wire}", f"{ratio:.2f} x collector", f"{most} x collector", ratio < most + 0.05)
    hot = results["hot_path"]["exception"]
    over = hot["ours_us"] - hot["floor_us"]
    yield line("logger.exception, 30 frames", f"{over:.1f} us over floor", "20 us", over <= 20)
    late, theirs = works["paced"]["memory"]["p999_us"], works["paced"].get("opentelemetry", {}).get("p999_us")
    yield line("99.9th percentile at 5,000 calls/s", f"{late:.0f} us", "500 us", late <= 500)
    if theirs:
        yield line("", f"{late / theirs:.2f} x OpenTelemetry", "0.5 x OpenTelemetry", late * 2 <= theirs)
    yield from _rates(works["plain"], line)
    flood = works["flood"]["memory"]
    measured = f"{flood['lost']:,.0f} lost, worst call {flood['worst_us'] / 1e3:.1f} ms"
    yield line("300,000 at full speed", measured, "0 lost, 50 ms", flood["lost"] == 0 and flood["worst_us"] <= 50_000)
    if "outage" in works:
        outage = works["outage"]["memory"]
        measured = f"{outage['lost']:,.0f} lost, {outage['grown_mib']:.1f} MiB more"
        yield line(
            "1,000,000 in an outage", measured, "0 lost, 64 MiB", not outage["lost"] and outage["grown_mib"] < 64
        )
    start = results["start_up_ms"]
    yield line("import and dictConfig", f"{start:.0f} ms over logging's", "60 ms", start <= 60)


def _rates(
    plain: dict[str, Numbers], line: Callable[..., tuple[str, str, str, str]]
) -> Iterator[tuple[str, str, str, str]]:
    mine = plain["memory"]["delivered_per_s"]
    yield line("delivered at full speed, lost", f"{plain['memory']['lost']:,.0f}", "0", not plain["memory"]["lost"])
    peers = {name: each for name, each in plain.items() if not CONTENDERS[name].label.startswith("this")}
    if "opentelemetry" in peers:
        ratio = mine / peers["opentelemetry"]["delivered_per_s"]
        yield line(
            "delivered at full speed", f"{mine:,.0f}/s, {ratio:.1f} x OpenTelemetry", "8 x OpenTelemetry", ratio >= 8
        )
    whole = {name: each["delivered_per_s"] for name, each in peers.items() if each.get("lost") == 0}
    if whole:
        fastest = max(whole, key=lambda name: whole[name])
        ratio = mine / whole[fastest]
        yield line("", f"{ratio:.1f} x {CONTENDERS[fastest].label}", "3 x the fastest without loss", ratio >= 3)
