"""The results as a picture: an SVG that is read in light and in dark, drawn by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from .contenders import CONTENDERS

_WIDTH = 960
_NAMES = 268
_GAP = 22
_ROW = 26
_TOP = 64
#: Contenders in the picture; the floor is a line in it, and the slowest would make the others points.
_SHOWN = ("memory", "spool", "record", "stdlib", "opentelemetry", "sentry", "logzio", "logtail")

_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.note { font-size: 11px; fill: #59636e; }
.bar { fill: #9aa4af; }
.ours { fill: #1a7f64; }
.floor { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 3 3; }
.lost { fill: #bc4c00; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .bar { fill: #59636e; }
  .ours { fill: #3fb992; }
  .floor { stroke: #f0883e; }
  .lost { fill: #f0883e; }
}
""".strip()


@dataclass(frozen=True)
class Panel:
    """One column of bars."""

    title: str
    note: str
    work: str
    key: str
    write: Callable[[float], str]


_PANELS = (
    Panel("One logging call", "median at full speed, µs", "plain", "p50_us", "{:.1f}".format),
    Panel("One in a thousand", "p99.9 at 5,000 calls/s, µs", "paced", "p999_us", "{:,.0f}".format),
    Panel("Delivered", "records/s at full speed", "plain", "delivered_per_s", "{:,.0f}".format),
)


def draw(results: dict[str, Any]) -> str:
    """The SVG's text."""
    works = {name: work["contenders"] for name, work in results["works"].items()}
    names = [name for name in _SHOWN if name in works["plain"]]
    height = _TOP + _ROW * len(names) + 34
    width = (_WIDTH - _NAMES - _GAP * len(_PANELS)) / len(_PANELS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="title">',
        '<title id="title">What a logging call costs and how much is delivered, beside other handlers</title>',
        f"<style>{_STYLE}</style>",
    ]
    for row, name in enumerate(names):
        parts.append(_text(0, _y(row) + 14, CONTENDERS[name].label, "head" if _is_ours(name) else ""))
    for number, panel in enumerate(_PANELS):
        left = _NAMES + number * (width + _GAP)
        parts += _panel(panel, works[panel.work], names, left, width)
    machine = results["machine"]
    parts.append(
        _text(0, height - 6, f"{machine['processor']}, CPython {machine['python']}, server on loopback", "note")
    )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _panel(
    panel: Panel, told: dict[str, dict[str, float]], names: list[str], left: float, width: float
) -> Iterator[str]:
    yield _text(left, 16, panel.title, "head")
    yield _text(left, 33, panel.note, "note")
    # Room for the number behind the longest bar.
    longest = max(told[name].get(panel.key, 0.0) for name in names)
    scale = (width - 74) / longest
    for row, name in enumerate(names):
        value = told[name].get(panel.key)
        if value is None:
            continue
        long = max(1.0, value * scale)
        style = "ours" if _is_ours(name) else "bar"
        yield f'<rect class="{style}" x="{left:.1f}" y="{_y(row)}" width="{long:.1f}" height="18" rx="2"/>'
        yield _text(left + long + 5, _y(row) + 14, panel.write(value))
        lost = told[name].get("lost")
        if panel.key == "delivered_per_s" and lost:
            share = 100 * lost / told[name]["calls"]
            yield _text(
                left + long + 11 + 7.4 * len(panel.write(value)), _y(row) + 14, f"{share:.0f}% lost", "note lost"
            )
    floor = told["floor"].get(panel.key)
    if floor is not None:
        x, bottom = left + floor * scale, _y(len(names))
        yield f'<line class="floor" x1="{x:.1f}" y1="{_TOP - 14}" x2="{x:.1f}" y2="{bottom}"/>'
        yield _text(x + 4, _TOP - 7, f"does nothing: {panel.write(floor)}", "note lost")


def _y(row: int) -> int:
    return _TOP + _ROW * row


def _is_ours(name: str) -> bool:
    return CONTENDERS[name].label.startswith("this")


def _text(x: float, y: float, text: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.0f}"{kind}>{escape(text)}</text>'
