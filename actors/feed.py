"""Where the system's candles come from: a held source (recorded, generated, replay) or the venue, live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from core.candles import CandleColumns
from core.market import Market, Series, SymbolRules
from core.timeframe import Timeframe, from_ms
from exchanges.feeds.base import CandleSource, FundingRate, NoCandles, candles_of
from exchanges.feeds.flow_candles import FlowCandles
from exchanges.feeds.live_candles import LiveCandles
from exchanges.feeds.market_marks import MarketMarks
from exchanges.feeds.market_trades import MarketTrades
from exchanges.paper.book import Opening
from exchanges.paper.prices import MAX_AGE, PriceSource
from exchanges.symbol_rules import plain_rules, shipped_rules

_FINEST = Timeframe.M1
"""Of every venue's live candles."""
MAX_HOLE_CANDLES = 60
"""How far behind an order the first candle may open, in finest candles; beyond it there is no price."""


class Feed(Protocol):
    """Closed candles as coroutines. `holds_future`: it could also answer for candles that have not closed yet."""

    @property
    def origin(self) -> str: ...

    @property
    def venues(self) -> tuple[str, ...]:
        """Whose candles there are. The first one's stand wherever no venue is named, as by a paper account."""
        ...

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

    def prices(self, venue: str) -> PriceSource:
        """What market orders meet on that venue's finest candles."""
        ...

    async def price(self, venue: str, symbol: str, at: datetime) -> Opening | None:
        """What that venue's price is known to be at `at`, which is now."""
        ...

    @property
    def trades(self) -> MarketTrades | None:
        """What is bought and sold by second, live; None: this feed hears no trades."""
        ...

    @property
    def marks(self) -> MarketMarks | None:
        """Mark prices of what accounts hold, live; None: this feed hears none."""
        ...

    async def follow(self) -> None:
        """Hears what the venues tell by themselves, until cancelled. A feed that is only asked ends at once."""
        ...


def venue_of(feed: Feed, name: str) -> str:
    """The venue whose candles an account follows that names this one."""
    return name if name in feed.venues else feed.venues[0]


class HeldFeed:
    """A source that is all there already: files, the generator, a downloaded range."""

    holds_future = True
    trades: MarketTrades | None = None
    marks: MarketMarks | None = None

    def __init__(self, source: CandleSource, span: tuple[datetime, datetime]) -> None:
        """`span`: the market time it will be asked about; what has no candles for all of it is too fine."""
        self.source = source
        self._span = span
        self._finest: dict[str, Timeframe] = {}
        self.origin = source.origin
        self.venues = (source.venue,)

    def symbols(self) -> tuple[str, ...]:
        return self.source.symbols()

    def market(self, symbol: str) -> Market:
        return self.source.market(symbol)

    def finest(self, symbol: str) -> Timeframe:
        found = self._finest.get(symbol)
        if found is None:
            found = self._finest[symbol] = self._find_finest(symbol)
        return found

    def _find_finest(self, symbol: str) -> Timeframe:
        start, end = self._span
        for timeframe in Timeframe:
            coverage = self.source.coverage(symbol, timeframe)
            if coverage is not None and coverage.start <= start and end <= coverage.end:
                return timeframe
        raise NoCandles(f"No candles of {symbol} cover {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC.")

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        return candles_of(self.source, series, start, end)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self.source.funding(symbol)

    def prices(self, venue: str) -> PriceSource:
        return self

    async def follow(self) -> None:
        """Nothing comes by itself."""

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        timeframe = self.finest(symbol)
        reach = at + timeframe.delta * MAX_HOLE_CANDLES
        columns = self.source.candles(symbol, timeframe, at, reach)
        if not len(columns):
            return None
        first = columns.candle(0)
        return Opening(at=from_ms(first.open_time_ms), price=first.open, volume=first.volume)

    async def price(self, venue: str, symbol: str, at: datetime) -> Opening | None:
        return await self.running(symbol, at)

    async def running(self, symbol: str, at: datetime) -> Opening | None:
        """A held candle shows its future: of the one that runs, the opening alone is known."""
        timeframe = self.finest(symbol)
        opened = timeframe.floor(at)
        columns = self.source.candles(
            symbol, timeframe, opened - timeframe.delta - MAX_AGE, opened + timeframe.delta
        )
        if not len(columns):
            return None
        newest = columns.candle(len(columns) - 1)
        if from_ms(newest.open_time_ms) == opened:
            return Opening(at=at, price=newest.open, volume=newest.volume)
        return Opening(at=at, price=newest.close, volume=newest.volume)


class LiveFeed:
    """The venues' public candles, as they close."""

    holds_future = False

    def __init__(
        self,
        venues: Sequence[LiveCandles],
        symbols: tuple[str, ...],
        *,
        trades: MarketTrades | None = None,
        marks: MarketMarks | None = None,
        flow: FlowCandles | None = None,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """The first venue's candles are those of paper accounts that name none. `given`: where a venue is asked when
        that is not its own address."""
        self._held = {venue.venue: venue for venue in venues}
        self._symbols = symbols
        self.trades = trades
        self.marks = marks
        self._flow = flow
        elsewhere = {name: f" ({address})" for name, address in (given or {}).items()}
        names = [venue.name + elsewhere.get(venue.venue, "") for venue in venues]
        self.origin = f"{' and '.join(names)} public candles"
        self.venues = tuple(self._held)

    def symbols(self) -> tuple[str, ...]:
        return self._symbols

    def market(self, symbol: str) -> Market:
        return Market.PERP

    def finest(self, symbol: str) -> Timeframe:
        return _FINEST

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        venue = self._held.get(series.venue)
        if venue is None:
            raise NoCandles(f"There are no candles of {series.venue}; there are of {', '.join(self.venues)}.")
        if series.market is Market.SPOT:
            if self._flow is None:
                raise NoCandles(f"There are no spot candles of {series.symbol}.")
            return await self._flow.spot(series, start, end)
        columns = await venue.candles(series.symbol, series.timeframe, start, end)
        return columns if self._flow is None else await self._flow.with_takers(series, columns)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return ()

    def prices(self, venue: str) -> PriceSource:
        return _LivePrices(self._held[venue])

    async def price(self, venue: str, symbol: str, at: datetime) -> Opening | None:
        return await self.prices(venue_of(self, venue)).running(symbol, at)

    async def follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            for venue in self._held.values():
                group.create_task(venue.follow())
            for others in (self.trades, self.marks, self._flow):
                if others is not None:
                    group.create_task(others.run())


class _LivePrices:
    def __init__(self, venue: LiveCandles) -> None:
        self._venue = venue

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        found = await self._venue.opening(symbol, _FINEST, at, timeout_s)
        if found is None:
            return None
        return Opening(at=from_ms(found.open_time_ms), price=found.open, volume=found.volume)

    async def running(self, symbol: str, at: datetime) -> Opening | None:
        """The last trade's."""
        found = await self._venue.forming(symbol, _FINEST)
        if found is None or at - from_ms(found.open_time_ms + _FINEST.ms) > MAX_AGE:
            return None
        return Opening(at=at, price=found.close, volume=found.volume)


def rules_of(feed: Feed, prices: Mapping[str, float]) -> dict[str, SymbolRules]:
    """Filters for every symbol of the feed: shipped ones, else plain ones from its price."""
    shipped = shipped_rules()
    return {
        symbol: shipped[symbol] if symbol in shipped else plain_rules(symbol, prices.get(symbol, 1.0))
        for symbol in feed.symbols()
    }
