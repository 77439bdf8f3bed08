"""Where a strategy holds, over a range that is there whole: one byte a slot, from its array form."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from core.candles import CandleColumns
from core.parameters import Parameters
from core.strategy import ACTION_CODES, NOT_EVALUATED, Action, Declared, SeriesStrategy, signals_in
from core.timeframe import Timeframe, from_ms

_HOLD: Final = ACTION_CODES[Action.HOLD]


class Holds:
    __slots__ = ("_codes", "_first", "_step")

    def __init__(self, codes: bytes, first: datetime, step: timedelta) -> None:
        self._codes = codes
        self._first = first
        self._step = step

    def at(self, slot: datetime) -> bool:
        index = (slot - self._first) // self._step
        return 0 <= index < len(self._codes) and self._codes[index] == _HOLD


def holds_of(
    strategy: Declared, parameters: Parameters, timeframe: Timeframe, columns: CandleColumns
) -> Holds | None:
    """None for a strategy without an array form. Slots of missing candles, and after them, are no holds."""
    if not isinstance(strategy, SeriesStrategy) or strategy.uses_position or not len(columns):
        return None
    closes = (columns.open_time.astype(np.int64) + timeframe.ms) // timeframe.ms
    codes = np.full(int(closes[-1] - closes[0]) + 1, NOT_EVALUATED, dtype=np.int8)
    codes[closes - closes[0]] = signals_in(strategy, columns, timeframe, parameters)
    return Holds(codes.tobytes(), from_ms(int(closes[0]) * timeframe.ms), timeframe.delta)
