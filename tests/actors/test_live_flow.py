"""Spot and perpetual flow as a live process gets it, from both venues' stand-ins: by the second, else over REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from decimal import Decimal
from time import monotonic

import numpy as np
import pytest

from actors.feed import LiveFeed
from core.candles import CandleColumns, check
from core.connection import Venue
from core.market import Market, Series
from core.timeframe import Timeframe, from_ms
from core.volume_delta import volume_delta
from exchanges.feeds.base import NoCandles
from exchanges.feeds.flow_candles import LINGER, PATIENCE, FlowCandles
from exchanges.venues import given_address, live_candles, market_trades, spot_candles
from tests.exchanges.simulator.running import RunningVenue, running

SYMBOL = "BTCUSDT"
MINUTE_MS, QUARTER_MS = 60_000, 15_000
_KLINES = {"binance": "/api/v3/klines", "bybit": "/v5/market/kline"}


class Live:
    """A venue whose time the test sets, trading every quarter of a minute, and the feed of a live process."""

    def __init__(self, name: str, venue: RunningVenue) -> None:
        self.name, self.venue = name, venue
        self.at_ms = venue.now() // MINUTE_MS * MINUTE_MS
        there = given_address(venue.base, venue.ws)
        assert there is not None
        given = dict.fromkeys(Venue, there)
        self.trades = market_trades(given, clock=self)
        self.flow = flow = FlowCandles(self.trades, spot_candles(given, clock=self), clock=self)
        self.feed = LiveFeed(live_candles(given, clock=self), (SYMBOL,), trades=self.trades, flow=flow)

    def now(self) -> datetime:
        return from_ms(self.at_ms)

    def monotonic(self) -> float:
        return monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())

    async def move_to(self, at_ms: int) -> None:
        self.at_ms = at_ms
        await asyncio.to_thread(self.venue.control, "PUT", "clock", {"at": at_ms})

    async def minute(self) -> None:
        """Up to the next close."""
        for quarter in range(1, 5):
            await self.move_to(self.at_ms // MINUTE_MS * MINUTE_MS + quarter * QUARTER_MS)

    async def candles(self, market: Market, count: int) -> CandleColumns:
        """The last `count` that have closed."""
        series = Series(venue=self.name, market=market, symbol=SYMBOL, timeframe=Timeframe.M1)
        end_ms = self.at_ms // MINUTE_MS * MINUTE_MS
        return await self.feed.candles(series, from_ms(end_ms - count * MINUTE_MS), from_ms(end_ms))

    async def heard(self, market: Market) -> None:
        """Minutes until one of them is known whole, second by second."""
        for _ in range(100):
            await self.minute()
            await asyncio.sleep(0.02)
            start = from_ms(self.at_ms - MINUTE_MS)
            with suppress(NoCandles):
                known = await self.trades.columns(self.name, market, SYMBOL, start, from_ms(self.at_ms))
                if known.is_whole:
                    return
        raise AssertionError("nothing comes from the stream")

    def traded(self, open_ms: int) -> tuple[float, float]:
        """What spot traded in a minute, and takers bought, by the venue's list of trades."""
        bounds: dict[str, str | int] = {"startTime": open_ms, "endTime": open_ms + MINUTE_MS - 1}
        rows = self.venue.http.get("/api/v3/aggTrades", params={"symbol": SYMBOL, **bounds}).json()
        bought = sum(Decimal(row["q"]) for row in rows if not row["m"])
        return float(sum(Decimal(row["q"]) for row in rows)), float(bought)

    def asked(self) -> int:
        entries = self.venue.control("GET", "journal")["entries"]
        return sum(entry["path"].startswith(_KLINES[self.name]) for entry in entries)


@asynccontextmanager
async def live(name: str) -> AsyncIterator[Live]:
    with running(name, "--speed", "0") as venue:
        it = Live(name, venue)
        following = asyncio.create_task(it.feed.follow())
        try:
            await it.move_to(it.at_ms + MINUTE_MS)
            yield it
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


def test_spot_candles_are_history_first_and_then_its_trades_by_the_second() -> None:
    async def case() -> None:
        async with live("binance") as it:
            before = await it.candles(Market.SPOT, 30)
            assert (len(before), it.asked()) == (30, 1), "nothing has been heard yet"
            check(before, Timeframe.M1)
            await it.heard(Market.SPOT)
            asked = it.asked()
            made = []
            for _ in range(3):
                await it.minute()
                await it.heard(Market.SPOT)
                made.append(await it.candles(Market.SPOT, 1))
            assert it.asked() == asked, "the trades were heard"
            joined = await it.candles(Market.SPOT, 40)
            check(joined, Timeframe.M1)
            assert len(joined) == 40, "both together, without a hole"
            for [candle] in made:
                told = it.traded(candle.open_time_ms)
                assert (candle.volume, candle.taker_buy_volume) == told, "to the last digit"

    asyncio.run(asyncio.wait_for(case(), 30))


def test_trades_that_nobody_asks_for_any_more_are_left_once_a_stopped_run_would_have_come_back() -> None:
    async def case() -> None:
        async with live("bybit") as it:
            await it.candles(Market.SPOT, 3)
            await it.candles(Market.PERP, 3)
            asked_ms, hour_ms = it.at_ms, int(LINGER.total_seconds() * 1_000)
            window = from_ms(it.at_ms - MINUTE_MS), from_ms(it.at_ms)
            await it.move_to(asked_ms + hour_ms)
            await it.flow.leave_unasked()
            await it.candles(Market.SPOT, 3)
            await it.move_to(asked_ms + hour_ms + 2 * MINUTE_MS)
            await it.flow.leave_unasked()
            await it.trades.columns("bybit", Market.SPOT, SYMBOL, *window)
            with pytest.raises(NoCandles, match="Nobody follows"):
                await it.trades.columns("bybit", Market.PERP, SYMBOL, *window)
            await it.candles(Market.PERP, 3)
            await it.trades.columns("bybit", Market.PERP, SYMBOL, *window)

    asyncio.run(asyncio.wait_for(case(), 30))


def test_the_newest_spot_candle_is_waited_for_and_then_asked_for() -> None:
    async def case() -> None:
        async with live("binance") as it:
            await it.candles(Market.SPOT, 5)
            await it.heard(Market.SPOT)
            it.venue.control("POST", "faults", {"kind": "drop_sockets"})
            it.venue.control(
                "POST", "faults", {"kind": "instead", "path": "/api/v3/aggTrades", "times": None}
            )
            await it.minute()
            asked = it.asked()
            assert len(await it.candles(Market.SPOT, 1)) == 0, "its last seconds may still come"
            assert it.asked() == asked
            close_ms = it.at_ms
            await it.move_to(close_ms + int(PATIENCE.total_seconds() * 1_000))
            [candle] = await it.candles(Market.SPOT, 1)
            assert candle.open_time_ms == close_ms - MINUTE_MS
            assert it.asked() == asked + 1

    asyncio.run(asyncio.wait_for(case(), 30))


def test_where_candles_tell_no_takers_the_trades_do_from_when_spot_is_looked_at() -> None:
    async def case() -> None:
        async with live("bybit") as it:
            plain = await it.candles(Market.PERP, 3)
            assert np.isnan(plain.taker_buy_volume).all()
            assert len(await it.candles(Market.SPOT, 3)) == 0, "no candles there tell takers"
            await it.candles(Market.PERP, 3)
            await it.heard(Market.SPOT)
            await it.heard(Market.PERP)
            for market in Market:
                await it.minute()
                await it.heard(market)
                told = await it.candles(market, 1)
                check(told, Timeframe.M1)
                assert np.isfinite(volume_delta(told)).all()
            history = await it.candles(Market.PERP, 90)
            assert np.isnan(history.taker_buy_volume[0]), "before the first trade heard"
            assert np.isfinite(history.taker_buy_volume[-1])

    asyncio.run(asyncio.wait_for(case(), 30))
