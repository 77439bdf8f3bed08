"""The candle windows of the process: MarketData writes, the Evaluator looks at views that never change."""

from __future__ import annotations

from datetime import datetime

from core.candles import CandleView, CandleWindow, Gap, NotYet, TooFew
from core.market import Series

MAX_SERIES = 2_000
"""Distinct (venue, market, symbol, timeframe) one process keeps."""


class Windows:
    """One window per series, shared by all strategies that look at it."""

    def __init__(self) -> None:
        self._windows: dict[Series, CandleWindow] = {}

    def put(self, series: Series, window: CandleWindow) -> None:
        if series not in self._windows and len(self._windows) >= MAX_SERIES:
            raise OverflowError(f"{MAX_SERIES} candle series are kept already")
        self._windows[series] = window

    def get(self, series: Series) -> CandleWindow | None:
        return self._windows.get(series)

    def view(
        self, series: Series, slot: datetime, lookback: int, min_candles: int
    ) -> CandleView | NotYet | TooFew | Gap:
        """The candles up to the one closing at `slot`; NotYet also while the series is being loaded."""
        window = self._windows.get(series)
        return NotYet(last_close=None) if window is None else window.view(slot, lookback, min_candles)
