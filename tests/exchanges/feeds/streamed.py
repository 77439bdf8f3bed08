"""A venue's candles for tests: streamed by a real WebSocket server that obeys the test, and a REST that counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from core.candles import Candle, CandleColumns, empty
from core.timeframe import Timeframe, to_ms
from exchanges.binance.market_feed import BinanceCandles
from exchanges.bybit.market_feed import BybitCandles
from exchanges.feeds.candle_streams import CandleStreams, Dialect
from exchanges.feeds.live_candles import LiveCandles
from exchanges.feeds.public_candles import PublicCandles
from exchanges.feeds.topic_connection import GATHER_S
from tests.exchanges.stream_venue import StreamVenue, streaming
from tests.fakes.loop_clock import START, LoopClock, until

SYMBOL = "BTCUSDT"
STEP = timedelta(minutes=1)
OPEN_MS = to_ms(START) - 10 * Timeframe.M1.ms


def candle(number: int, timeframe: Timeframe = Timeframe.M1, *, price: float | None = None) -> Candle:
    """Number 10 opens at START."""
    price = 100.0 + number if price is None else price
    open_ms = OPEN_MS // timeframe.ms * timeframe.ms + number * timeframe.ms
    return Candle(
        open_time_ms=open_ms, open=price, high=price, low=price, close=price, volume=1.0, taker_buy_volume=0.5
    )


class Rest(PublicCandles):
    """Answers with every candle that has closed by `clock`, but for those it is said to lack.

    `dearer`: by how much its candles are above those of `candle`.
    """

    venue, origin, name, page = "test", "test", "Test", 1_000

    def __init__(self, clock: LoopClock, *, dearer: float = 0.0) -> None:
        super().__init__("http://127.0.0.1:1", sleep=clock.sleep)
        self._dearer = dearer
        self._clock = clock
        self.asked = 0
        self.lacks: set[int] = set()

    async def _server_time(self, *, retries: int) -> datetime:
        return self._clock.now()

    async def _range(
        self, symbol: str, timeframe: Timeframe, start_ms: int, last_ms: int, count: int
    ) -> CandleColumns:
        self.asked += 1
        first, last = candle(0, timeframe).open_time_ms, min(last_ms, start_ms + (count - 1) * timeframe.ms)
        numbers = [(at - first) // timeframe.ms for at in range(start_ms, last + 1, timeframe.ms)]
        there = [self._candle(number, timeframe) for number in numbers if number not in self.lacks]
        return CandleColumns.of(there) if there else empty()

    async def _newest(self, symbol: str, timeframe: Timeframe, count: int) -> CandleColumns:
        newest = (to_ms(self._clock.now()) - OPEN_MS) // timeframe.ms
        return CandleColumns.of(self._candle(newest + 1 - back, timeframe) for back in range(count, 0, -1))

    def _candle(self, number: int, timeframe: Timeframe) -> Candle:
        return candle(number, timeframe, price=100.0 + number + self._dearer)

    def _next_ms(self, part: CandleColumns, timeframe: Timeframe, start_ms: int) -> int | None:
        return None


def binance_kline(told: Candle, *, final: bool, interval: str = "1m", symbol: str = SYMBOL) -> str:
    bar = {"t": told.open_time_ms, "i": interval, "o": str(told.open), "c": str(told.close)}
    bar |= {"h": str(told.high), "l": str(told.low), "v": str(told.volume), "V": str(told.taker_buy_volume)}
    event = {"e": "kline", "E": 1, "s": symbol, "k": {**bar, "x": final}}
    return json.dumps(event, separators=(",", ":"))


def bybit_kline(told: Candle, *, final: bool, interval: str = "1", symbol: str = SYMBOL) -> str:
    row = {"start": told.open_time_ms, "open": str(told.open), "close": str(told.close)}
    row |= {"high": str(told.high), "low": str(told.low), "volume": str(told.volume), "confirm": final}
    return json.dumps({"topic": f"kline.{interval}.{symbol}", "data": [row]}, separators=(",", ":"))


class Streamed:
    """Candles of one venue, its stream and its REST; time stands where the test leaves it."""

    def __init__(self, name: str, venue: StreamVenue, clock: LoopClock) -> None:
        self.name = name
        self.venue = venue
        self.clock = clock
        self.rest = Rest(clock)
        base = f"ws://127.0.0.1:{venue.port}"
        self.dialect: Dialect = BinanceCandles(base) if name == "binance" else BybitCandles(base)
        self.streams = CandleStreams(self.dialect, clock=clock, sleep=clock.sleep, jitter=lambda: 0.0)
        self.candles = LiveCandles(self.rest, self.streams)

    @property
    def now(self) -> int:
        """The number of the candle that is open."""
        return (to_ms(self.clock.now()) - OPEN_MS) // Timeframe.M1.ms

    def at(self, number: int) -> datetime:
        return START + (number - 10) * STEP

    async def ask(self, first: int, last: int, timeframe: Timeframe = Timeframe.M1) -> list[float]:
        """Closes of the candles `first` to `last`."""
        columns = await self.candles.candles(SYMBOL, timeframe, self.at(first), self.at(last + 1))
        return [float(close) for close in columns.close]

    async def tell(self, told: Candle, *, final: bool = True) -> None:
        """All connections, and wait until it has been read."""
        text = (binance_kline if self.name == "binance" else bybit_kline)(told, final=final)
        await self.venue.tell(text)
        await self.heard()

    async def heard(self) -> None:
        """Until everything told so far has been read: the answer to a ping comes behind it."""
        for connection in self.venue.standing:
            waiter = await connection.ping()
            await asyncio.wait_for(waiter, 5)
        await asyncio.sleep(0)

    async def close_candle(self, *, silent: bool = False) -> None:
        """Let time pass to the next close, the open candle being told shortly before, as far as somebody listens."""
        now_ms = to_ms(self.clock.now())
        self.clock.move((Timeframe.M1.ms - now_ms % Timeframe.M1.ms) / 1_000 - 1.0)
        if not silent:
            await self.tell(candle(self.now), final=False)
        self.clock.move(1.0)

    def topics(self) -> list[list[str]]:
        """What each message of the client subscribed to, of all connections."""
        said = [json.loads(text) for _, text in self.venue.heard if "ping" not in text]
        return [each.get("params") or each["args"] for each in said]

    async def subscribed(self, messages: int) -> None:
        await until(lambda: len(self.topics()) >= messages, what=f"{messages} subscriptions: {self.topics()}")


@asynccontextmanager
async def streamed(name: str = "binance", *, warm: bool = True) -> AsyncIterator[Streamed]:
    """`warm`: history is loaded, the stream is open and has told the open candle."""
    clock = LoopClock()
    async with streaming() as venue:
        it = Streamed(name, venue, clock)
        following = asyncio.create_task(it.candles.follow())
        try:
            if warm:
                await asyncio.sleep(0)
                assert await it.ask(0, 9) == [100.0 + number for number in range(10)]
                await it.subscribed(1)
                await it.tell(candle(10), final=False)
                assert it.streams.is_expected(SYMBOL, Timeframe.M1)
                clock.move(GATHER_S)
            yield it
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await it.rest.aclose()
