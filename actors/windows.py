"""The candle windows of the process: MarketData writes, the Evaluator looks at views that never change.

What was asked of MarketData is kept here too, so that a restarted one goes on with it.
"""

from __future__ import annotations

from datetime import datetime

from core.candles import CandleView, CandleWindow, Gap, NotYet, TooFew
from core.errors import RunnerError
from core.market import Series

MAX_SERIES = 2_000
"""Distinct (venue, market, symbol, timeframe) one process keeps."""


class Windows:
    """One window per series, shared by all strategies that look at it.

    `lookback`: candles each series must show; `told`: per watched series, watcher → close time of the last candle
    it was told. Both are MarketData's.
    """

    def __init__(self) -> None:
        self._windows: dict[Series, CandleWindow] = {}
        self.lookback: dict[Series, int] = {}
        self.told: dict[Series, dict[str, datetime]] = {}

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
        if window is None:
            return NotYet(last_close=None)
        try:
            return window.view(slot, lookback, min_candles)
        except RunnerError:  # too small for this lookback: MarketData is loading a larger one
            return NotYet(last_close=window.last_close)
