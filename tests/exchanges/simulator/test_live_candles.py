"""Candles of both venues' stand-ins as they close, heard and asked for like those of the venues themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from time import monotonic

import pytest
from numpy.testing import assert_array_equal

from core.candles import CandleColumns
from core.connection import Venue
from core.timeframe import Timeframe, from_ms
from exchanges.venues import Address, live_candles
from tests.exchanges.simulator.running import RunningVenue, running

MINUTE_MS, QUARTER_MS = 60_000, 15_000
MAX_MINUTES = 100
_KLINES = {"binance": "/fapi/v1/klines", "bybit": "/v5/market/kline"}


class ProcessClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())


class Market:
    """A stand-in whose time the test sets, and candles of it."""

    def __init__(self, name: str, venue: RunningVenue) -> None:
        self.name = name
        self.venue = venue
        given = {each: Address(rest=venue.base, ws=venue.ws) for each in Venue}
        [self.candles] = [each for each in live_candles(given, clock=ProcessClock()) if each.venue == name]
        self.at_ms = venue.now() // MINUTE_MS * MINUTE_MS

    async def move_to(self, at_ms: int) -> None:
        self.at_ms = at_ms
        await asyncio.to_thread(self.venue.control, "PUT", "clock", {"at": at_ms})

    async def closed(self, count: int, timeframe: Timeframe = Timeframe.M1) -> CandleColumns:
        end_ms = self.at_ms // timeframe.ms * timeframe.ms
        start = from_ms(end_ms - count * timeframe.ms)
        return await self.candles.candles("BTCUSDT", timeframe, start, from_ms(end_ms))

    async def next_minute(self) -> CandleColumns:
        """Up to the next close, a quarter of a minute at a time, then the candle that closed."""
        close_ms = (self.at_ms // MINUTE_MS + 1) * MINUTE_MS
        while self.at_ms < close_ms:
            await self.move_to(self.at_ms + QUARTER_MS)
        columns = await self.closed(1)
        assert int(columns.open_time[-1]) == close_ms - MINUTE_MS
        return columns

    async def streamed(self) -> None:
        """Minutes until one of them comes from the stream."""
        for _ in range(MAX_MINUTES):
            asked = self.asked()
            await self.next_minute()
            if self.asked() == asked:
                return
        raise AssertionError("nothing comes from the stream")

    def asked(self) -> int:
        entries = self.venue.control("GET", "journal")["entries"]
        return sum(entry["path"].startswith(_KLINES[self.name]) for entry in entries)


@asynccontextmanager
async def market(name: str) -> AsyncIterator[Market]:
    with running(name, "--speed", "0") as venue:
        it = Market(name, venue)
        following = asyncio.create_task(it.candles.follow())
        try:
            await it.move_to(it.at_ms + MINUTE_MS)
            assert len(await it.closed(5)) == 5
            yield it
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


@pytest.mark.parametrize("name", ["binance", "bybit"])
def test_candles_come_from_the_stream_and_over_rest_while_it_is_gone(name: str) -> None:
    async def case() -> None:
        async with market(name) as it:
            await it.streamed()
            asked = it.asked()
            streamed = [await it.next_minute() for _ in range(3)]
            assert it.asked() == asked, "the stream told them"
            rest = (await it.closed(20)).part(17, 20)
            assert it.asked() > asked, "more than is kept of the stream"
            assert_array_equal(CandleColumns.joined(streamed).data, rest.data)
            asked = it.asked()
            it.venue.control("POST", "faults", {"kind": "drop_sockets"})
            await it.next_minute()
            assert it.asked() > asked, "it was gone"
            await it.streamed()

    asyncio.run(asyncio.wait_for(case(), 30))
