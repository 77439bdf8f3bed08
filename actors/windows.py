"""The candle windows of the process: MarketData writes, the Evaluator looks at views that never change.

What was asked of MarketData is kept here too, so that a restarted one goes on with it.
"""

from __future__ import annotations

from datetime import datetime

from core.candles import CandleColumns, CandleView, CandleWindow, Gap, NotYet, TooFew
from core.errors import RunnerError
from core.market import Series
from core.quiet import Quiet
from core.timeframe import Timeframe

MAX_SERIES = 2_000
"""Distinct (venue, market, symbol, timeframe) one process keeps."""


class Told:
    """A watcher of a series has every candle up to `upto` that it wants to hear of.

    Those at `quiet` prices it can do without (None: it wants all), but for the first that closes after `due`.
    """

    __slots__ = ("due", "quiet", "upto")

    def __init__(self, upto: datetime, quiet: Quiet | None, due: datetime | None) -> None:
        self.upto = upto
        self.quiet = quiet
        self.due = due

    def next_of(self, columns: CandleColumns, timeframe: Timeframe, stop: int) -> int:
        """The number of the next candle to be told, before `stop`; else `stop`."""
        start = columns.first_after(self.upto, timeframe)
        if self.quiet is None:
            return min(start, stop)
        if self.due is not None:
            stop = min(stop, max(start, columns.first_after(self.due, timeframe)))
        return self.quiet.left_at(columns, start, stop)


class Windows:
    """One window per series, shared by all strategies that look at it.

    `lookback`: candles each series must show; `told`: per watched series, how far each watcher was told. Both are
    MarketData's.
    """

    def __init__(self) -> None:
        self._windows: dict[Series, CandleWindow] = {}
        self.lookback: dict[Series, int] = {}
        self.told: dict[Series, dict[str, Told]] = {}

    def put(self, series: Series, window: CandleWindow) -> None:
        if series not in self._windows and len(self._windows) >= MAX_SERIES:
            raise OverflowError(f"{MAX_SERIES} candle series are kept already")
        self._windows[series] = window

    def drop(self, series: Series) -> None:
        self._windows.pop(series, None)

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
