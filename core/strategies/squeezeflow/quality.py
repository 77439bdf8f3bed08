"""The data-quality gate: enough candles with volume and takers on both sides, and none of them stale."""

from __future__ import annotations

import numpy as np

from core.candles import CandleColumns
from core.signal import BadSignal, SignalFault


def check_quality(spot: CandleColumns, perp: CandleColumns, *, points: int, newest: int) -> None:
    """Raises BadSignal, by which the slot is skipped, for windows that do not say what was bought and sold.

    `points`: so many candles of each must have been traded, its takers known. `newest`: of so many, which the phases
    look at, every one's takers must be known, also where nothing was traded.
    """
    if spot.open_time[-1] != perp.open_time[-1]:
        raise _skipped("got spot and perpetual candles that end at different times")
    for name, candles in (("spot", spot), ("perpetual", perp)):
        known = np.isfinite(candles.taker_buy_volume)
        told = int((known & (candles.volume > 0)).sum())
        if told < points:
            raise _skipped(f"needs {points} {name} candles with volume and takers and got {told}")
        in_a_row = int(np.argmin(known[::-1])) if not known.all() else len(known)
        if in_a_row < newest:
            raise _skipped(
                f"needs {newest} {name} candles in a row whose takers are known and got {in_a_row}: "
                f"{newest - in_a_row} more candles, if none is missed"
            )
        if not candles.volume[-1]:
            raise _skipped(f"got no {name} volume in the newest candle")


def _skipped(what: str) -> BadSignal:
    return BadSignal(SignalFault.TOO_FEW_CANDLES, f"squeezeflow {what}.")
