"""Further candles that code asks for by a name of its own; what it does not say is the strategy's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from core.candles import CandleColumns
from core.connection import Venue
from core.market import Market, Series
from core.strategy import WantedWindow
from core.timeframe import Timeframe


class CodeWindow(msgspec.Struct, frozen=True, kw_only=True):
    """`name`: what the code calls it in `context.extra`."""

    name: str
    lookback: int
    min_candles: int
    venue: Venue | None = None
    symbol: str | None = None
    market: Market | None = None
    timeframe: Timeframe | None = None

    def series(self, own: Series) -> Series:
        return Series(
            venue=own.venue if self.venue is None else self.venue.value,
            market=own.market if self.market is None else self.market,
            symbol=own.symbol if self.symbol is None else self.symbol,
            timeframe=own.timeframe if self.timeframe is None else self.timeframe,
        )


def wanted_windows(windows: Iterable[CodeWindow], own: Series) -> tuple[WantedWindow, ...]:
    """One of each series, as long as the longest by any name."""
    wanted: dict[Series, WantedWindow] = {}
    for each in windows:
        series = each.series(own)
        held = wanted.get(series)
        wanted[series] = WantedWindow(
            series=series,
            lookback=max(each.lookback, held.lookback if held else 0),
            min_candles=max(each.min_candles, held.min_candles if held else 0),
        )
    return tuple(wanted.values())


def named_columns(
    windows: Iterable[CodeWindow], own: Series, extra: Mapping[Series, CandleColumns]
) -> dict[str, CandleColumns]:
    """By name, each as long as it asked for."""
    named = {}
    for each in windows:
        columns = extra[each.series(own)]
        named[each.name] = columns.part(max(0, len(columns) - each.lookback), len(columns))
    return named
