"""Generated candles that what is tried before it is kept is asked on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np

from core.candles import CandleColumns
from core.market import Series
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.generator import GeneratedMarket

SAMPLE_SEED: Final = 1
SAMPLE_FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLE_SLOTS: Final = 12
SAMPLE_STEP: Final = 37
"""Candles from one sample slot to the next: no whole number of hours or days."""
_SYMBOL: Final = "BTCUSDT"


class SampleCandles:
    """Minutes of the generated market, told as candles of the series: however long they are, there are enough."""

    def __init__(self, series: Series, lookback: int, seed: int) -> None:
        self.series = series
        self._lookback = lookback
        end = SAMPLE_FROM + Timeframe.M1.delta * (lookback + SAMPLE_SLOTS * SAMPLE_STEP)
        self._minutes = GeneratedMarket(seed).candles(_SYMBOL, Timeframe.M1, SAMPLE_FROM, end)

    def window(self, number: int, slot: datetime) -> CandleColumns:
        """The candles up to the last that has closed at `slot`, which is the sample slot of that number, from 0."""
        first = number * SAMPLE_STEP
        data = self._minutes.data[:, first : first + self._lookback].copy()
        step_ms = self.series.timeframe.ms
        last_ms = to_ms(self.series.timeframe.floor(slot)) - step_ms
        data[0] = last_ms - np.arange(self._lookback - 1, -1, -1) * float(step_ms)
        return CandleColumns(data)
