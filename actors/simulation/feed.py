"""What one process sees of the market: closed candles, sometimes late, with holes, told twice, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal

from actors.simulation.faults import Faults, FeedFault
from actors.simulation.market import FINEST, VENUE, SimulatedMarket
from core.candles import CandleColumns
from core.clock import Clock
from core.market import Market, Series
from core.timeframe import Timeframe, from_ms, to_ms
from exchanges.errors import ErrorKind, Unreachable
from exchanges.feeds.base import FundingRate
from exchanges.paper.book import Opening
from exchanges.paper.prices import PriceSource

REPEATS = 3
FUNDING_RATE = Decimal("0.0001")


class SimulatedFeed:
    """A `Feed` of one process."""

    holds_future = False
    origin = "simulated"
    venues = (VENUE,)
    trades = None
    marks = None

    def __init__(
        self,
        market: SimulatedMarket,
        faults: Faults,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        funding_at: tuple[datetime, ...],
    ) -> None:
        self._market = market
        self._faults = faults
        self._clock = clock
        self._sleep = sleep
        self._late: dict[Series, int] = {}
        self._funding = tuple(FundingRate(at=at, rate=FUNDING_RATE) for at in funding_at)

    def symbols(self) -> tuple[str, ...]:
        return tuple(self._market.rules)

    def market(self, symbol: str) -> Market:
        return Market.PERP

    def finest(self, symbol: str) -> Timeframe:
        return FINEST

    async def candles(self, series: Series, start: datetime, end: datetime) -> CandleColumns:
        fault = self._faults.feed()
        if fault is FeedFault.ERROR:
            raise Unreachable(ErrorKind.CONNECTION, f"no candles of {series.symbol} can be had")
        if fault is FeedFault.SLOW:
            await self._sleep(self._faults.between(0.5, 25.0))
        now_ms = to_ms(self._clock.now())
        start_ms = to_ms(start)
        if fault is FeedFault.LATE:
            self._late[series] = now_ms + round(self._faults.between(40, 20_000))
        reach_ms = now_ms
        if now_ms < self._late.get(series, 0):
            reach_ms -= series.timeframe.ms
        if fault is FeedFault.REPEATED:
            start_ms -= REPEATS * series.timeframe.ms
        columns = self._market.between(series.symbol, series.timeframe, start_ms, min(to_ms(end), reach_ms))
        if fault is FeedFault.HOLE and len(columns) > 1:
            hole = 1 + int(self._faults.rng.random() * (len(columns) - 1))
            columns = CandleColumns.joined([columns.part(0, hole), columns.part(hole + 1, len(columns))])
        return columns

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self._funding

    def prices(self, venue: str) -> PriceSource:
        return self

    async def follow(self) -> None:
        """Nothing comes by itself."""

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        """The first candle from `at` on; nobody waits for one that opens later than `timeout_s` from now."""
        ahead = FINEST.floor(at) if FINEST.is_slot(at) else FINEST.next_close(at)
        wait_s = self._clock.seconds_until(ahead)
        if wait_s > timeout_s:
            return None
        candle = self._market.candle_at(symbol, ahead)
        return Opening(at=from_ms(candle.open_time_ms), price=candle.open, volume=candle.volume)

    async def price(self, venue: str, symbol: str, at: datetime) -> Opening | None:
        return await self.running(symbol, at)

    async def running(self, symbol: str, at: datetime) -> Opening | None:
        """What the candle that runs opened at."""
        candle = self._market.candle_at(symbol, FINEST.floor(at))
        return Opening(at=at, price=candle.open, volume=candle.volume)
