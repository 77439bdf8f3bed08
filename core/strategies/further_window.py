"""The windows a strategy looks at beside its own candles, one by one, as its author is told of them."""

from __future__ import annotations

import msgspec

from core.market import Market, Series
from core.parameters import Parameters
from core.strategies.code import CodeStrategy
from core.strategy import Declared
from core.timeframe import Timeframe


class FurtherWindow(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: what code calls it; others have none. `venue` None: the strategy's own, whichever that will be."""

    name: str | None
    venue: str | None
    market: Market
    symbol: str
    timeframe: Timeframe
    lookback: int
    min_candles: int


def further_windows(strategy: Declared, own: Series, parameters: Parameters) -> tuple[FurtherWindow, ...]:
    """In the order they were declared; two names of one series are two of them."""
    if isinstance(strategy, CodeStrategy):
        return tuple(
            _further(each.name, each.series(own), own, each.lookback, each.min_candles)
            for each in strategy.code.windows
        )
    return tuple(
        _further(None, each.series, own, each.lookback, each.min_candles)
        for each in strategy.windows(own, parameters)
    )


def _further(name: str | None, series: Series, own: Series, lookback: int, min_candles: int) -> FurtherWindow:
    return FurtherWindow(
        name=name,
        venue=None if series.venue == own.venue else series.venue,
        market=series.market,
        symbol=series.symbol,
        timeframe=series.timeframe,
        lookback=lookback,
        min_candles=min_candles,
    )
