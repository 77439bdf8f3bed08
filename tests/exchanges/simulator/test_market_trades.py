"""Trades of both venues' stand-ins by second, spot and perpetual: heard, cut off, and filled up over REST."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from time import monotonic

import pytest

from core.market import Market
from core.timeframe import from_ms
from core.trade_flow import UNITS, FlowColumns
from exchanges.binance.trade_feed import BinanceTrades
from exchanges.bybit.trade_feed import BybitTrades
from exchanges.feeds.market_trades import MarketTrades
from exchanges.feeds.trade_rest import BinanceTradeRest, BybitTradeRest
from exchanges.feeds.trade_streams import LAG_MS, TradeStreams
from exchanges.venues import given_address
from tests.exchanges.simulator.running import RunningVenue, running
from tests.fakes.loop_clock import until

SYMBOL = "BTCUSDT"
QUARTER_MS = 15_000
TRADES = 2
"""At the beginning of each quarter of a minute, each told by itself."""
_REST = {
    ("binance", Market.PERP): "/fapi/v1/aggTrades",
    ("binance", Market.SPOT): "/api/v3/aggTrades",
    ("bybit", Market.PERP): "/v5/market/recent-trade?category=linear",
    ("bybit", Market.SPOT): "/v5/market/recent-trade?category=spot",
}


async def hurried(seconds: float) -> None:
    await asyncio.sleep(seconds / 100)


class Tape:
    """A stand-in whose time the test sets."""

    def __init__(self, name: str, market: Market, venue: RunningVenue) -> None:
        self.name, self.kind, self.venue = name, market, venue
        self.at_ms = self.began_ms = venue.now() // QUARTER_MS * QUARTER_MS
        there = given_address(venue.base, venue.ws)
        assert there is not None
        dialect = (
            BinanceTrades(there.spot_ws or "" if market is Market.SPOT else there.ws, market)
            if name == "binance"
            else BybitTrades(there.ws, market)
        )
        rest = (BinanceTradeRest if name == "binance" else BybitTradeRest)(there.rest, market, sleep=hurried)
        self.streams = TradeStreams(dialect, rest, clock=self, sleep=hurried, jitter=lambda: 0.0)
        self.trades = MarketTrades({(name, market): self.streams})

    def now(self) -> datetime:
        return from_ms(self.at_ms)

    def monotonic(self) -> float:
        return monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())

    async def quarter(self) -> None:
        self.at_ms += QUARTER_MS
        await asyncio.to_thread(self.venue.control, "PUT", "clock", {"at": self.at_ms})

    async def told(self) -> FlowColumns:
        return await self.trades.columns(
            self.name, self.kind, SYMBOL, from_ms(self.began_ms), from_ms(self.at_ms + 1_000)
        )

    async def reaches(self) -> None:
        """Until the trades of this moment have entered the sums."""
        start, end = from_ms(self.at_ms), from_ms(self.at_ms + 1_000)

        def is_there() -> bool:
            told = self.streams.columns(SYMBOL, start, end)
            return told is not None and int(told.trades.sum()) == TRADES

        await until(is_there, what="the trades of this moment")

    async def begun(self) -> None:
        """Until something has come from the stream."""
        for _ in range(200):
            await self.quarter()
            await asyncio.sleep(0.01)
            if (await self.told()).trades.any():
                return
        raise AssertionError("nothing comes from the stream")

    def expected(self) -> list[tuple[int, int]]:
        """Second and delta of what the venue's REST knows."""
        path = _REST[self.name, self.kind]
        query = f"{'&' if '?' in path else '?'}symbol={SYMBOL}&limit=1000"
        body = self.venue.http.get(path + query).json()
        found: dict[int, int] = {}
        if self.name == "binance":
            rows = [(row["T"], row["q"], not row["m"]) for row in body]
        else:
            rows = [(int(row["time"]), row["size"], row["side"] == "Buy") for row in body["result"]["list"]]
        for at_ms, quantity, bought in rows:
            size = round(float(quantity) * UNITS)
            found[at_ms // 1_000] = found.get(at_ms // 1_000, 0) + (size if bought else -size)
        return sorted(found.items())

    def asked(self) -> int:
        path = _REST[self.name, self.kind].partition("?")[0]
        return sum(
            entry["path"].startswith(path) for entry in self.venue.control("GET", "journal")["entries"]
        )


@asynccontextmanager
async def tape(name: str, market: Market) -> AsyncIterator[Tape]:
    with running(name, "--speed", "0") as venue:
        it = Tape(name, market, venue)
        running_ = asyncio.create_task(it.trades.run())
        try:
            await it.trades.follow(name, market, SYMBOL)
            yield it
        finally:
            running_.cancel()
            with suppress(asyncio.CancelledError):
                await running_


@pytest.mark.parametrize("market", list(Market))
@pytest.mark.parametrize("name", ["binance", "bybit"])
def test_every_trade_is_summed_once_though_the_socket_was_dropped(name: str, market: Market) -> None:
    async def case() -> None:
        async with tape(name, market) as it:
            await it.begun()
            for _ in range(3):
                await it.quarter()
            await it.reaches()
            assert it.asked() == 0, "the stream told them"
            it.venue.control("POST", "faults", {"kind": "drop_sockets"})
            for _ in range(4):
                await it.quarter()
            await until(lambda: it.asked() > 0, what="REST")
            await it.quarter()
            await it.reaches()
            await it.quarter()
            await it.reaches()
            it.at_ms += LAG_MS + 1_000  # silence since
            told = await it.told()
            first = int(told.trades.nonzero()[0][0])
            deltas = {told.first_ms // 1_000 + at: int(told.delta[at]) for at in told.trades.nonzero()[0]}
            assert deltas == {second: delta for second, delta in it.expected() if second in deltas}
            assert len(deltas) == (it.at_ms - told.first_ms - first * 1_000) // QUARTER_MS + 1
            assert told.complete[first + 1 : -LAG_MS // 1_000 - 1].all()
            assert not told.complete[: first + 1].any()

    asyncio.run(asyncio.wait_for(case(), 30))
