"""Markets' trades on one connection, shared by who follows them: once each over rollovers, polled while it is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import pytest

from core.market import Market
from core.public_trade import PublicTrade
from core.timeframe import from_ms, to_ms
from core.trade_flow import UNITS
from exchanges.binance.trade_feed import BinanceTrades
from exchanges.bybit.trade_feed import BybitTrades
from exchanges.feeds.base import NoCandles
from exchanges.feeds.market_trades import MarketTrades
from exchanges.feeds.public_rest import FeedError
from exchanges.feeds.topic_connection import GATHER_S
from exchanges.feeds.trade_rest import TradeRest
from exchanges.feeds.trade_streams import (
    MAX_ASKED,
    MAX_SYMBOLS,
    POLL_EVERY_S,
    TooManyMarkets,
    TradeStreams,
)
from tests import live_loop
from tests.exchanges.stream_venue import StreamVenue, streaming
from tests.fakes.loop_clock import START, LoopClock, until

SYMBOL = "BTCUSDT"
START_MS = to_ms(START)


def trade(number: int, symbol: str = SYMBOL) -> PublicTrade:
    """One every 100 ms, number 0 at START, each of quantity 1."""
    at_ms = START_MS + 100 * number
    return PublicTrade(
        symbol, number, at_ms, Decimal(10), Decimal(1), taker_bought=True, trade_id=f"id{number}"
    )


def binance(told: PublicTrade) -> str:
    event = {"e": "aggTrade", "E": told.at_ms, "s": told.symbol, "a": told.number, "p": "10", "q": "1"}
    return json.dumps({**event, "T": told.at_ms, "m": False}, separators=(",", ":"))


def bybit(told: PublicTrade) -> str:
    row = {
        "T": told.at_ms,
        "s": told.symbol,
        "S": "Buy",
        "v": "1",
        "p": "10",
        "i": told.trade_id,
        "seq": told.number,
    }
    return json.dumps(
        {"topic": f"publicTrade.{told.symbol}", "ts": told.at_ms, "data": [row]}, separators=(",", ":")
    )


class Rest(TradeRest):
    """Knows the trades up to `newest`; answers as the venue does."""

    name = "Test"

    def __init__(self, *, is_counted: bool) -> None:
        super().__init__("http://127.0.0.1:1", Market.PERP, sleep=asyncio.sleep)
        self._is_counted = is_counted
        self.newest = 0
        self.asked: list[str] = []
        self.fails = False

    async def _page(self, symbol: str, last: PublicTrade | None) -> list[PublicTrade]:
        self.asked.append(symbol)
        if self.fails:
            raise FeedError("The venue could not be reached.")
        first = 0 if last is None or not self._is_counted else last.number + 1
        return [trade(number, symbol) for number in range(first, self.newest + 1)]


class Followed:
    def __init__(self, name: str, venue: StreamVenue, clock: LoopClock) -> None:
        self.name, self.venue, self.clock = name, venue, clock
        base = f"ws://127.0.0.1:{venue.port}"
        self.rest = Rest(is_counted=name == "binance")
        self.dialect = (BinanceTrades if name == "binance" else BybitTrades)(base, Market.PERP)
        self.streams = TradeStreams(
            self.dialect, self.rest, clock=clock, sleep=clock.sleep, jitter=lambda: 0.0
        )

    async def tell(self, *numbers: int, symbol: str = SYMBOL) -> None:
        """All connections, and wait until it has been read."""
        for number in numbers:
            self.rest.newest = max(self.rest.newest, number)
            await self.venue.tell((binance if self.name == "binance" else bybit)(trade(number, symbol)))
        for connection in self.venue.standing:
            await asyncio.wait_for(await connection.ping(), 5)
        await asyncio.sleep(0)

    def count(self, symbol: str = SYMBOL) -> int:
        told = self.streams.columns(symbol, START, from_ms(START_MS + 3_600_000))
        assert told is not None
        assert told.buy.sum() == told.trades.sum() * UNITS
        return int(told.trades.sum())

    def whole(self, seconds: int) -> list[bool]:
        told = self.streams.columns(SYMBOL, START, from_ms(START_MS + 1_000 * seconds))
        assert told is not None
        return [bool(each) for each in told.complete]

    def said(self) -> list[tuple[str, list[str]]]:
        """What the client asked for, and no longer, of all connections."""
        said = [json.loads(text) for _, text in self.venue.heard if "ping" not in text]
        return [(str(it.get("method") or it["op"]).lower(), it.get("params") or it["args"]) for it in said]

    async def later(self, condition: Callable[[], object], what: str) -> None:
        """Let time pass, a second at once, until it is true."""
        for _ in range(300):
            if condition():
                return
            self.clock.move(1.0)
            await asyncio.sleep(0.002)
        raise AssertionError(f"in vain: {what}")

    async def has_said(self, messages: int) -> None:
        await until(lambda: len(self.said()) >= messages, what=f"{messages} messages: {self.said()}")


def run(case: Callable[[Followed], Awaitable[None]], venue: str) -> None:
    @asynccontextmanager
    async def followed() -> AsyncIterator[Followed]:
        clock = LoopClock()
        async with streaming() as served:
            it = Followed(venue, served, clock)
            it.streams.follow(SYMBOL)
            running = asyncio.create_task(it.streams.run())
            try:
                await it.has_said(1)
                yield it
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                await it.rest.aclose()

    async def within() -> None:
        async with followed() as it:
            await case(it)

    live_loop.run(asyncio.wait_for(within(), 30))


both = pytest.mark.parametrize("venue", ["binance", "bybit"])


@both
def test_at_a_rollover_both_connections_are_heard_and_no_trade_counts_twice(venue: str) -> None:
    async def case(it: Followed) -> None:
        await it.tell(*range(5))
        it.clock.move(it.dialect.rules.max_age_s)
        await until(lambda: len(it.venue.standing) == 2, what="the second connection")
        await it.has_said(2)
        await it.tell(*range(5, 9))
        await it.clock.pass_sleep(it.dialect.rules.overlap_s)
        await until(lambda: len(it.venue.standing) == 1, what="the end of the first connection")
        await it.tell(*range(9, 12))
        assert it.count() == 12
        assert it.rest.asked == []

    run(case, venue)


@both
def test_what_came_while_the_socket_was_gone_is_asked_for_and_summed_before_what_came_after(
    venue: str,
) -> None:
    async def case(it: Followed) -> None:
        await it.tell(*range(5))
        [connection] = it.venue.standing
        await connection.close()
        await it.later(lambda: len(it.said()) == 2, "another connection")
        await it.tell(31)
        assert it.count() in (5, 32), "what came after waits"
        await it.later(lambda: it.count() == 32, "what came between")
        await it.tell(*range(32, 51))
        assert it.whole(5) == [False, True, True, True, True]

    run(case, venue)


@both
def test_what_rest_does_not_know_is_given_up_after_a_bound_and_its_seconds_are_not_whole(venue: str) -> None:
    async def case(it: Followed) -> None:
        await it.tell(*range(15))
        [connection] = it.venue.standing
        await connection.close()
        it.rest.fails = True
        await it.later(lambda: len(it.said()) == 2, "another connection")
        asked = len(it.rest.asked)
        await it.tell(31)
        await it.later(lambda: it.count() == 16, "the end of patience")
        assert len(it.rest.asked) - asked <= MAX_ASKED
        await it.tell(*range(32, 51))
        await it.later(lambda: it.count() == 15 + 20, "the end of patience, the stream having begun anew")
        assert it.whole(5) == [False, False, False, False, True]

    run(case, venue)


@both
def test_while_no_stream_is_open_rest_is_polled_and_afterwards_no_more(venue: str) -> None:
    async def case(it: Followed) -> None:
        await it.tell(*range(5))
        it.venue.refuse = 10**6
        [connection] = it.venue.standing
        await connection.close()
        for newest in (20, 40):
            it.rest.newest = newest
            await it.later(lambda: it.count() == newest + 1, f"{newest} over REST")  # noqa: B023
        it.venue.refuse = 0
        await it.later(lambda: len(it.said()) == 2, "another connection")
        await it.tell(41)
        await it.later(lambda: it.count() == 42, "the stream again")
        asked = len(it.rest.asked)
        for number in range(42, 45):
            it.clock.move(POLL_EVERY_S)
            await it.tell(number)
        assert len(it.rest.asked) == asked

    run(case, venue)


@both
def test_a_market_is_subscribed_to_once_however_many_follow_it_and_left_with_the_last(venue: str) -> None:
    async def case(it: Followed) -> None:
        topic = it.dialect.topic(SYMBOL)
        other = it.dialect.topic("ETHUSDT")
        it.streams.follow(SYMBOL)
        it.streams.follow("ETHUSDT")
        await it.clock.pass_sleep(GATHER_S)
        await it.has_said(2)
        it.streams.leave(SYMBOL)
        await it.tell(0)
        assert it.count() == 1
        it.streams.leave(SYMBOL)
        await it.has_said(3)
        assert it.said() == [("subscribe", [topic]), ("subscribe", [other]), ("unsubscribe", [topic])]
        assert it.streams.columns(SYMBOL, START, START) is None
        it.streams.leave("ETHUSDT")
        await until(lambda: not it.venue.standing, what="the end of the connection")
        it.streams.follow(SYMBOL)
        await it.later(lambda: len(it.said()) == 4, "another connection")
        assert it.said()[3] == ("subscribe", [topic])
        await it.tell(1)
        assert it.count() == 1

    run(case, venue)


def test_no_more_markets_are_followed_than_the_bound_and_what_there_is_not_is_refused_by_name() -> None:
    async def case() -> None:
        clock = LoopClock()
        streams = TradeStreams(
            BinanceTrades("ws://127.0.0.1:1", Market.PERP), Rest(is_counted=True), clock=clock
        )
        trades = MarketTrades({("binance", Market.PERP): streams})
        for number in range(MAX_SYMBOLS):
            await trades.follow("binance", Market.PERP, f"S{number}USDT")
        with pytest.raises(TooManyMarkets):
            await trades.follow("binance", Market.PERP, "ONEMOREUSDT")
        with pytest.raises(NoCandles, match="no trades of bybit spot; there are of binance perp"):
            await trades.follow("bybit", Market.SPOT, SYMBOL)
        with pytest.raises(NoCandles, match="Nobody follows the trades of ONEMOREUSDT"):
            await trades.columns("binance", Market.PERP, "ONEMOREUSDT", START, START)

    live_loop.run(case())
