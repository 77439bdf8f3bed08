"""The heat map of a sweep over two parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from core.parameters import Number
from facade.report.figures import tone

MAX_CELLS: Final = 2_500
LEGEND_STEPS: Final = 3
_WEAKEST: Final = 8
_STRONGEST: Final = 70

Axes = Mapping[str, Sequence[Number]]
"""The swept parameters and their values, in the order they were given."""


def heat_map(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Cells by value of both parameters, None where nothing was replayed; None for any other number of them.

    `legend`: cells from the worst PnL there could be in these colours to the best.
    """
    if len(axes) != 2:
        return None
    (down, lines), (across, columns) = axes.items()
    if len(lines) * len(columns) > MAX_CELLS:
        return None
    pnls = {
        (row["parameters"][down], row["parameters"][across]): Decimal(row["summary"]["pnl"]) for row in rows
    }
    most = max((abs(pnl) for pnl in pnls.values()), default=Decimal(0))
    cells = {
        (row["parameters"][down], row["parameters"][across]): {
            **_cell(Decimal(row["summary"]["pnl"]), most),
            "row": row,
        }
        for row in rows
    }
    return {
        "down": down,
        "across": across,
        "columns": columns,
        "legend": [
            _cell(most * step / LEGEND_STEPS, most) for step in range(-LEGEND_STEPS, LEGEND_STEPS + 1)
        ],
        "rows": [
            {"value": line, "cells": [cells.get((line, column)) for column in columns]} for line in lines
        ],
    }


def _cell(pnl: Decimal, most: Decimal) -> dict[str, Any]:
    """`strength`: how much of the colour is mixed in, percent."""
    part = float(abs(pnl) / most) if most else 0.0
    return {"pnl": pnl, "tone": tone(pnl), "strength": round(_WEAKEST + (_STRONGEST - _WEAKEST) * part)}
