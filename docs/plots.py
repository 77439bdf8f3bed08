"""Draws docs/images/bench-*.svg from the measurements in docs/benchmarks.json: `python docs/plots.py`.

SVG by hand: two bar charts do not need a library. Bars are medians, thin lines reach from the lowest to the
highest measurement, and a dashed line is the target.
"""

from __future__ import annotations

import json
import math
import statistics
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).parent
WIDTH, LEFT, RIGHT, ROW, BAR, TOP, LABEL = 860, 190, 120, 34, 18, 46, 90
INK, BLUE, RED = "#1f2933", "#3b7dd8", "#c2410c"


class Bar(NamedTuple):
    """`values` of the same measurement repeated; `target` in the same unit, where there is one."""

    name: str
    values: list[float]
    target: float | None = None


def chart(title: str, unit: str, bars: list[Bar], *, log: bool = False) -> str:
    """Horizontal bars from 0, or on a logarithmic scale from the power of ten below the smallest."""
    largest = max([*(max(bar.values) for bar in bars), *(bar.target or 0 for bar in bars)])
    smallest = min(min(bar.values) for bar in bars)
    start = 10 ** math.floor(math.log10(smallest)) if log else 0.0
    span = math.log10(largest / start) if log else largest

    def x(value: float) -> float:
        share = math.log10(value / start) / span if log else value / span
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    height = TOP + ROW * len(bars) + 12
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        parts += _row(bar, TOP + ROW * number, x, x(start) if log else LEFT, unit)
    return "\n".join([*parts, "</svg>\n"])


def _row(bar: Bar, y: float, x: Any, origin: float, unit: str) -> list[str]:
    middle, median = y + BAR / 2, statistics.median(bar.values)
    end, low, high = x(median), x(min(bar.values)), x(max(bar.values))
    label = max(end, high)
    if bar.target is not None and 0 <= x(bar.target) - label < LABEL:
        label = x(bar.target)
    parts = [
        f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect x="{origin:.1f}" y="{y}" width="{max(1.0, end - origin):.1f}" height="{BAR}" fill="{BLUE}"/>',
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="{INK}"/>',
        f'<text x="{label + 6:.1f}" y="{middle + 4}">{median:,.0f} {unit}</text>',
    ]
    if bar.target is not None:
        at = x(bar.target)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 5}" y2="{y + BAR + 5}" stroke="{RED}" '
            f'stroke-width="2" stroke-dasharray="4 3"><title>target {bar.target:,.0f} {unit}</title></line>'
        )
    return parts


def main() -> None:
    measured = json.loads((DOCS / "benchmarks.json").read_text())
    points = (("firstOrderMs", "first order"), ("decidedMs", "decided"), ("durableMs", "durable"))
    targets = {"firstOrderMs": 100.0, "decidedMs": 300.0, "durableMs": 600.0}
    bars = []
    for runs in (1_000, 10_000):
        repeats = [each for each in measured["fanout"] if each["runs"] == runs]
        for key, name in points:
            target = targets[key] if runs == 10_000 else None
            bars.append(Bar(f"{runs:,} runs, {name}", [each[key] for each in repeats], target))
    replays = measured["replay"]
    speeds = [
        Bar("through the actors", [each["actorsPerSecond"] for each in replays], 100_000),
        Bar("fast path", [each["fastPerSecond"] for each in replays], 10_000_000),
        Bar("TA-Lib and a loop", [each["limitPerSecond"] for each in replays]),
    ]
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    fanout = chart("One slot: milliseconds after the candle's close (dashed: target)", "ms", bars)
    replay = chart("Replay: candles a second, logarithmic (dashed: target)", "/s", speeds, log=True)
    (images / "bench-fanout.svg").write_text(fanout)
    (images / "bench-replay.svg").write_text(replay)


if __name__ == "__main__":
    main()
