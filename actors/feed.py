"""Where the system's candles come from: a held source (recorded, generated, replay) or the venue, live."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from core.candles import CandleColumns
from core.market import Market, Series, SymbolRules
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource, FundingRate, NoCandles
from exchanges.feeds.binance_public import BinancePublic
from exchanges.symbol_rules import plain_rules, shipped_rules


class Feed(Protocol):
    """Closed candles as coroutines. `holds_future`: it could also answer for candles that have not closed yet."""

    @property
    def origin(self) -> str: ...

    @property
    def venue(self) -> str: ...

    @property
    def holds_future(self) -> bool: ...

    def symbols(self) -> tuple[str, ...]: ...

    def market(self, symbol: str) -> Market: ...

    def finest(self, symbol: str) -> Timeframe:
        """The smallest timeframe to be had: what paper fills, stops and liquidations work on."""
        ...

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        """Candles that open at or after `start` and close at or before `end`."""
        ...

    def funding(self, symbol: str) -> tuple[FundingRate, ...]: ...


class HeldFeed:
    """A source that is all there already: files, the generator, a downloaded range."""

    holds_future = True

    def __init__(self, source: CandleSource) -> None:
        self.source = source
        self.origin = source.origin
        self.venue = source.venue

    def symbols(self) -> tuple[str, ...]:
        return self.source.symbols()

    def market(self, symbol: str) -> Market:
        return self.source.market(symbol)

    def finest(self, symbol: str) -> Timeframe:
        for timeframe in Timeframe:
            if self.source.coverage(symbol, timeframe) is not None:
                return timeframe
        raise NoCandles(f"There are no candles of {symbol}.")

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        return self.source.candles(series.symbol, series.timeframe, start, end)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self.source.funding(symbol)


class LiveFeed:
    """The venue's public candles, as they close."""

    holds_future = False

    def __init__(self, venue: BinancePublic, symbols: tuple[str, ...]) -> None:
        self._venue = venue
        self._symbols = symbols
        self.origin = venue.origin
        self.venue = venue.venue

    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    def market(self, symbol: str) -> Market:
        return Market.PERP

    def finest(self, symbol: str) -> Timeframe:
        return Timeframe.M1

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        return await self._venue.candles(series.symbol, series.timeframe, start, end)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return ()


def rules_of(feed: Feed, prices: Mapping[str, float]) -> dict[str, SymbolRules]:
    """Filters for every symbol of the feed: shipped ones, else plain ones from its price."""
    shipped = shipped_rules()
    return {
        symbol: shipped[symbol] if symbol in shipped else plain_rules(symbol, prices.get(symbol, 1.0))
        for symbol in feed.symbols()
    }
