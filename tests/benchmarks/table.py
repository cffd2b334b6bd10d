"""The results as text: the numbers to hold, then every kind of work with a row for each contender."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .contenders import CONTENDERS
from .lines import LINES, Line, Machines, Numbers, is_held

#: Heading, name of the number, how it is written.
COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
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


def table(machines: Machines) -> str:
    """All of it: the numbers to hold on all machines, side by side, then what was measured on each."""
    lines = ["To hold, by processor:", "", *_aligned(held(machines))]
    for results in machines.values():
        lines += ["", f"Measured with {', '.join(f'{name} {what}' for name, what in results['machine'].items())}."]
        for work in results["works"].values():
            lines += ["", work["title"], *_aligned(_rows(work["contenders"]))]
    lines += [
        "",
        "CPU is that of the whole process for each record that arrived, bytes are a record's on the wire. What did",
        "not arrive within 20 s after the last call (5 s where calls are paced) is lost.",
    ]
    return "\n".join(lines)


def held(machines: Machines) -> Iterator[tuple[str, ...]]:
    """Each number to hold, its limit, and for each machine what was measured and whether it is held.

    A line that no machine has measured is left out, as most are in a quick run.
    """
    yield ("", "limit", *(cell for name in machines for cell in (name, "")))
    for line in LINES:
        values = [line.measured(results) for results in machines.values()]
        if any(value is not None for value in values):
            limit = f"{'at least' if line.at_least else 'at most'} {line.written(line.limit)}"
            yield (line.what, limit, *(cell for value in values for cell in _verdict(line, value)))


def _verdict(line: Line, value: float | None) -> tuple[str, str]:
    if value is None:
        return "not measured", ""
    return line.written(value), "held" if is_held(line, value) else "NOT HELD"


def _rows(contenders: dict[str, Numbers]) -> Iterator[tuple[str, ...]]:
    shown = [column for column in COLUMNS if any(column[1] in numbers for numbers in contenders.values())]
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
