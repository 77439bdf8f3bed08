"""Mark prices are heard of what is held, while it is held, and a mark that is not told anew is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal

import pytest

from core.mark import Mark
from core.timeframe import to_ms
from exchanges.binance.mark_feed import BinanceMarks
from exchanges.bybit.mark_feed import BybitMarks
from exchanges.feeds.mark_streams import CHECK_EVERY_S, STALE_AFTER_S, MarkStreams
from exchanges.feeds.market_marks import MarketMarks
from exchanges.feeds.topic_connection import GATHER_S
from tests import live_loop
from tests.exchanges.stream_venue import StreamVenue, streaming
from tests.fakes.loop_clock import START, LoopClock, until

BTC, ETH = "BTCUSDT", "ETHUSDT"


def binance(symbol: str, price: str) -> str:
    event = {"e": "markPriceUpdate", "E": to_ms(START), "s": symbol, "p": price, "r": "", "T": to_ms(START)}
    return json.dumps(event, separators=(",", ":"))


def bybit(symbol: str, price: str | None) -> str:
    row = {"symbol": symbol, "lastPrice": "1"} | ({} if price is None else {"markPrice": price})
    message = {"topic": f"tickers.{symbol}", "type": "delta", "data": row, "ts": to_ms(START)}
    return json.dumps(message, separators=(",", ":"))


class Heard:
    def __init__(self, name: str, venue: StreamVenue) -> None:
        self.name, self.venue, self.clock = name, venue, LoopClock()
        base = f"ws://127.0.0.1:{venue.port}"
        dialect = BinanceMarks(base) if name == "binance" else BybitMarks(base)
        self.topic = dialect.topic
        self.marks = MarketMarks(
            {
                name: lambda held: MarkStreams(
                    dialect, held, clock=self.clock, sleep=self.clock.sleep, jitter=lambda: 0.0
                )
            }
        )

    async def tell(self, text: str) -> None:
        await self.venue.tell(text)
        for connection in self.venue.standing:
            await asyncio.wait_for(await connection.ping(), 5)
        await asyncio.sleep(0)

    def price(self, symbol: str) -> Decimal | None:
        mark = self.marks.latest(self.name, symbol)
        return None if mark is None else mark.price

    def said(self) -> list[tuple[str, list[str]]]:
        said = [json.loads(text) for _, text in self.venue.heard if "ping" not in text]
        return [(str(it.get("method") or it["op"]).lower(), it.get("params") or it["args"]) for it in said]

    async def has_said(self, messages: int) -> None:
        for _ in range(50):
            if len(self.said()) >= messages:
                return
            self.clock.move(GATHER_S)
            await asyncio.sleep(0.002)
        raise AssertionError(f"in vain: {messages} messages of {self.said()}")


def run(case: Callable[[Heard], Awaitable[None]], venue: str) -> None:
    async def within() -> None:
        async with streaming() as served:
            it = Heard(venue, served)
            running = asyncio.create_task(it.marks.run())
            try:
                await case(it)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

    live_loop.run(asyncio.wait_for(within(), 30))


@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_marks_are_heard_while_somebody_holds_the_symbol(venue: str) -> None:
    tell = binance if venue == "binance" else bybit

    async def case(it: Heard) -> None:
        it.marks.hold(venue, "ann", frozenset({BTC}))
        it.marks.hold(venue, "bob", frozenset({BTC, ETH}))
        it.marks.hold("elsewhere", "ann", frozenset({"SOLUSDT"}))
        await it.clock.pass_sleep(CHECK_EVERY_S)
        await it.has_said(1)
        assert it.said()[0] == ("subscribe", [it.topic(BTC), it.topic(ETH)])
        await it.tell(tell(BTC, "60000.5"))
        await it.tell(tell("SOLUSDT", "1"))
        assert it.marks.latest(venue, BTC) == Mark(price=Decimal("60000.5"), at=START)
        assert (it.price(ETH), it.price("SOLUSDT")) == (None, None)
        it.marks.hold(venue, "bob", frozenset())
        await it.has_said(2)
        assert it.said()[1] == ("unsubscribe", [it.topic(ETH)])
        await it.tell(tell(BTC, "60001"))
        assert it.price(BTC) == 60001, "ann holds it still"
        it.marks.hold(venue, "ann", frozenset())
        for _ in range(3):
            it.clock.move(CHECK_EVERY_S)
            await asyncio.sleep(0.01)
        await until(lambda: not it.venue.standing, what="the end of the connection")
        assert it.price(BTC) is None

    run(case, venue)


def test_a_mark_that_is_not_told_anew_is_none_and_a_ticker_without_one_tells_none() -> None:
    async def case(it: Heard) -> None:
        it.marks.hold("bybit", "ann", frozenset({BTC}))
        await it.clock.pass_sleep(CHECK_EVERY_S)
        await it.has_said(1)
        await it.tell(bybit(BTC, "60000"))
        it.clock.move(STALE_AFTER_S - 1)
        await it.tell(bybit(BTC, None))
        await it.tell(bybit(BTC, "NaN"))
        assert it.price(BTC) == 60000
        it.clock.move(2)
        assert it.price(BTC) is None
        assert it.marks.latest("kraken", BTC) is None

    run(case, "bybit")
