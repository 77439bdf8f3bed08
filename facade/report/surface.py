"""The surface of a search: the score over the two parameters that matter most, and over each parameter alone.

Coordinates of a drawing in SVG. Between settings that were tried the surface is interpolated, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from facade.report.figures import number, tone

WIDTH: Final = 640
HEIGHT: Final = 400
MARGIN: Final = 56
CELLS: Final = 28
MAX_POINTS: Final = 400
SLICE_WIDTH: Final = 300
SLICE_HEIGHT: Final = 180
TICKS: Final = 5
LEAST_POINTS: Final = 3
_POWER: Final = 3.0
_STRONGEST: Final = 0.85
_WEAKEST: Final = 0.06

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]


def surface(told: Mapping[str, Any]) -> Row | None:
    """Cells, settings and axes over the two parameters of most weight; None with one parameter or too few scores."""
    names = sorted(told["importance"], key=lambda name: -told["importance"][name])[:2]
    rows = _scored(told)
    if len(names) < 2 or len(rows) < LEAST_POINTS:
        return None
    across, down = (told["space"][name] for name in names)
    xs, ys = (_shares(rows, name, told["space"][name]) for name in names)
    scores = np.array([row["score"] for row in rows])
    most = float(np.abs(scores).max()) or 1.0
    wide, high = (WIDTH - 2 * MARGIN) / CELLS, (HEIGHT - 2 * MARGIN) / CELLS
    cells = []
    for line in range(CELLS):
        for column in range(CELLS):
            value = _between(xs, ys, scores, (column + 0.5) / CELLS, (line + 0.5) / CELLS)
            cells.append(
                {
                    "x": round(MARGIN + column * wide, 2),
                    "y": round(HEIGHT - MARGIN - (line + 1) * high, 2),
                    "tone": tone(value),
                    "strength": _strength(value, most),
                }
            )
    return {
        "names": names,
        "cells": cells,
        "cell": (round(wide, 2), round(high, 2)),
        "points": _points(rows, xs, ys, names)[:MAX_POINTS],
        "across": _ticks(across, lambda share: MARGIN + share * (WIDTH - 2 * MARGIN)),
        "down": _ticks(down, lambda share: HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)),
        "size": (WIDTH, HEIGHT),
        "margin": MARGIN,
        "most": most,
        "legend": [
            {"tone": tone(step), "strength": _strength(step * most, most)} for step in (-1, -0.5, 0, 0.5, 1)
        ],
    }


def slices(told: Mapping[str, Any]) -> list[Row]:
    """For each parameter its settings' scores, the one of most weight first."""
    rows = _scored(told)
    if not rows:
        return []
    scores = np.array([row["score"] for row in rows])
    low, high = float(min(scores.min(), 0)), float(max(scores.max(), 0))
    span = high - low or 1.0
    inner_x, inner_y = SLICE_WIDTH - 60, SLICE_HEIGHT - 50

    def level(score: float) -> float:
        return round(10 + inner_y * (1 - (score - low) / span), 2)

    found = []
    for name in sorted(told["importance"], key=lambda name: -told["importance"][name]):
        xs = _shares(rows, name, told["space"][name])
        found.append(
            {
                "name": name,
                "weight": 100 * told["importance"][name],
                "size": (SLICE_WIDTH, SLICE_HEIGHT),
                "zero": level(0),
                "points": [
                    {"x": round(50 + share * inner_x, 2), "y": level(row["score"]), "best": at == 0}
                    for at, (row, share) in enumerate(zip(rows, xs.tolist(), strict=True))
                ][:MAX_POINTS],
                "across": _ticks(told["space"][name], lambda share: 50 + share * inner_x),
                "levels": [
                    {"at": level(value), "text": f"{value:.3g}"}
                    for value in (low, high)
                    if value or low == high
                ],
                "bottom": 10 + inner_y,
            }
        )
    return found


def _scored(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Best first, as the document has them."""
    return [row for row in told["tried"] if row["score"] is not None]


def _shares(rows: Sequence[Mapping[str, Any]], name: str, space: Mapping[str, Any]) -> Floats:
    """Where between the ends of what was searched, 0 to 1."""
    low, width = float(space["low"]), float(space["high"]) - float(space["low"])
    return np.array([(float(row["parameters"][name]) - low) / width for row in rows])


def _between(xs: Floats, ys: Floats, scores: Floats, x: float, y: float) -> float:
    """Settings weighted by the inverse of their distance."""
    distance = np.hypot(xs - x, ys - y) + 1e-6
    weights = distance**-_POWER
    return float((weights * scores).sum() / weights.sum())


def _strength(value: float, most: float) -> float:
    return round(_WEAKEST + (_STRONGEST - _WEAKEST) * min(1.0, abs(value) / most), 3)


def _points(rows: Sequence[Mapping[str, Any]], xs: Floats, ys: Floats, names: Sequence[str]) -> list[Row]:
    return [
        {
            "x": round(MARGIN + x * (WIDTH - 2 * MARGIN), 2),
            "y": round(HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN), 2),
            "best": at == 0,
            "text": ", ".join(f"{name} {number(row['parameters'][name])}" for name in names)
            + f": {row['score']:.3g}",
        }
        for at, (row, x, y) in enumerate(zip(rows, xs.tolist(), ys.tolist(), strict=True))
    ]


def _ticks(space: Mapping[str, Any], place: Any) -> list[Row]:
    low, high = space["low"], space["high"]
    marks = []
    for step in range(TICKS):
        value = low + (high - low) * step / (TICKS - 1)
        value = round(value) if space["whole"] else value
        share = (value - low) / (high - low)
        marks.append({"at": round(place(share), 2), "text": f"{value:.4g}"})
    return [mark for at, mark in enumerate(marks) if mark not in marks[:at]]
