"""Candles as they close: from the stream while it tells them, over REST where it does not; each once, each final."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from core.timeframe import Timeframe
from exchanges.binance.market_feed import BinanceCandles
from exchanges.bybit.market_feed import BybitCandles
from exchanges.feeds.candle_streams import (
    KEPT_CANDLES,
    MAX_TOPICS,
    SILENT_AFTER_S,
    TOPICS_PER_CONNECTION,
)
from exchanges.feeds.live_candles import ASK_AGAIN_S, PATIENCE_S
from exchanges.feeds.topic_connection import GATHER_S
from tests import live_loop
from tests.exchanges.feeds.streamed import SYMBOL, Streamed, binance_kline, bybit_kline, candle, streamed
from tests.fakes.loop_clock import until

both = pytest.mark.parametrize("venue", ["binance", "bybit"])


def run(case: Callable[[Streamed], Awaitable[None]], venue: str = "binance", *, warm: bool = True) -> None:
    async def within() -> None:
        async with streamed(venue, warm=warm) as it:
            await case(it)

    live_loop.run(asyncio.wait_for(within(), 30))


@both
def test_i10_a_closing_candle_is_handed_on_when_its_message_is_there_and_says_it_is_final(venue: str) -> None:
    async def case(it: Streamed) -> None:
        asked = it.rest.asked
        await it.close_candle()
        asking = asyncio.create_task(it.ask(10, 10))
        await it.clock.asleep(PATIENCE_S)
        await it.tell(candle(10, price=7.0), final=False)
        assert not asking.done()
        await it.tell(candle(10))
        assert await asking == [110.0]
        assert it.rest.asked == asked

    run(case, venue)


def test_a_candle_told_before_it_is_asked_for_is_there_at_once() -> None:
    async def case(it: Streamed) -> None:
        asked = it.rest.asked
        await it.tell(candle(10))
        await it.close_candle()
        assert await it.ask(10, 10) == [110.0]
        assert it.rest.asked == asked

    run(case)


@both
def test_the_first_that_is_told_of_a_candle_stays(venue: str) -> None:
    async def case(it: Streamed) -> None:
        await it.tell(candle(10))
        await it.tell(candle(10, price=3.0))
        await it.close_candle()
        assert await it.ask(10, 10) == [110.0]

    run(case, venue)


def test_a_late_candle_is_asked_for_over_rest_and_not_waited_for_until_the_stream_tells_again() -> None:
    async def case(it: Streamed) -> None:
        await it.close_candle()
        asking = asyncio.create_task(it.ask(10, 10))
        await it.clock.pass_sleep(PATIENCE_S)
        assert await asking == [110.0]
        await it.close_candle()
        asked = it.rest.asked
        assert await it.ask(11, 11) == [111.0]  # nobody moves the clock: it did not wait
        assert it.rest.asked == asked + 1
        await it.tell(candle(11, price=3.0))
        await it.close_candle()
        asking = asyncio.create_task(it.ask(12, 12))
        await it.clock.asleep(PATIENCE_S)
        await it.tell(candle(12))
        assert await asking == [112.0]
        assert it.rest.asked == asked + 1

    run(case)


def test_while_rest_lacks_it_too_the_message_is_still_taken_at_once() -> None:
    async def case(it: Streamed) -> None:
        it.rest.lacks.add(10)
        asked = it.rest.asked
        await it.close_candle()
        asking = asyncio.create_task(it.ask(10, 10))
        await it.clock.pass_sleep(PATIENCE_S)
        await it.clock.pass_sleep(ASK_AGAIN_S)
        await until(lambda: it.rest.asked == asked + 2, what="a second answer without it")
        assert not asking.done()
        await it.tell(candle(10))
        assert await asking == [110.0]

    run(case)


@both
def test_while_the_stream_is_away_candles_come_over_rest_and_afterwards_from_it_again(venue: str) -> None:
    async def case(it: Streamed) -> None:
        it.venue.refuse = 1
        [connection] = it.venue.standing
        await connection.close()
        await until(lambda: not it.streams.is_expected(SYMBOL, Timeframe.M1), what="the end of the stream")
        await it.close_candle()
        asked = it.rest.asked
        assert await it.ask(10, 10) == [110.0]
        assert it.rest.asked == asked + 1
        for _ in range(10):
            it.clock.move(1.0)
            await asyncio.sleep(0.01)
        await it.subscribed(2)
        assert it.topics()[1] == it.topics()[0]
        await it.close_candle()  # 11 was told to nobody
        await it.close_candle()
        await it.tell(candle(12))
        assert await it.ask(12, 12) == [112.0]
        assert it.rest.asked == asked + 1
        assert await it.ask(11, 12) == [111.0, 112.0]  # a gap: back-filled
        assert it.rest.asked == asked + 2

    run(case, venue)


@both
def test_a_silent_stream_is_not_waited_for_though_it_stands_and_answers_pings(venue: str) -> None:
    async def case(it: Streamed) -> None:
        await it.close_candle(silent=True)
        assert SILENT_AFTER_S < 60
        await it.venue.tell('{"op":"pong"}')
        await it.heard()
        asked = it.rest.asked
        assert await it.ask(10, 10) == [110.0]
        assert it.rest.asked == asked + 1

    run(case, venue)


def test_at_a_rollover_both_connections_are_heard_and_a_candle_both_tell_counts_once() -> None:
    async def case(it: Streamed) -> None:
        it.clock.move(it.dialect.rules.max_age_s)
        await until(lambda: len(it.venue.standing) == 2, what="the second connection")
        await it.subscribed(2)
        now = it.now
        asked = it.rest.asked
        await it.tell(candle(now))
        await it.clock.pass_sleep(it.dialect.rules.overlap_s)
        await until(lambda: len(it.venue.standing) == 1, what="the end of the first connection")
        await it.close_candle()
        assert await it.ask(now, now) == [100.0 + now]
        await it.tell(candle(now + 1))
        await it.close_candle()
        assert await it.ask(now, now + 1) == [100.0 + now, 101.0 + now]
        assert it.rest.asked == asked

    run(case)


def test_what_cannot_be_is_not_kept_and_the_stream_goes_on() -> None:
    async def case(it: Streamed) -> None:
        await it.tell(replace(candle(10), low=200.0))
        await it.venue.tell('{"e":"kline","k":{"x":true}}')
        await it.tell(candle(11))
        it.clock.move(120.0)
        asked = it.rest.asked
        assert await it.ask(11, 11) == [111.0]
        assert it.rest.asked == asked
        assert await it.ask(10, 11) == [110.0, 111.0]
        assert it.rest.asked == asked + 1

    run(case)


def test_ten_minutes_are_built_from_two_candles_of_five() -> None:
    async def case(it: Streamed) -> None:
        assert await it.ask(0, 9, Timeframe.M10) == [candle(1, Timeframe.M5).close]
        await it.clock.pass_sleep(GATHER_S)
        await it.subscribed(2)
        assert it.topics()[1] == [f"{SYMBOL.lower()}@kline_5m"]

    run(case)


def test_series_kept_are_bounded_and_older_candles_come_over_rest() -> None:
    async def case(it: Streamed) -> None:
        for number in range(10, 11 + KEPT_CANDLES):
            await it.tell(candle(number))
        it.clock.move(60.0 * (KEPT_CANDLES + 1))
        asked = it.rest.asked
        assert len(await it.ask(11, 10 + KEPT_CANDLES)) == KEPT_CANDLES
        assert it.rest.asked == asked
        assert await it.ask(10, 10) == [110.0]
        assert it.rest.asked == asked + 1

    run(case)


def test_connections_carry_so_many_series_and_no_more_are_streamed() -> None:
    async def case(it: Streamed) -> None:
        for number in range(MAX_TOPICS + 1):
            it.streams.follow(f"S{number}USDT", Timeframe.M1)
        connections = MAX_TOPICS // TOPICS_PER_CONNECTION
        await it.subscribed(2 * connections)
        assert len(it.venue.standing) == connections
        assert sum(len(topics) for topics in it.topics()) == MAX_TOPICS
        assert not it.streams.is_expected(f"S{MAX_TOPICS}USDT", Timeframe.M1)

    run(case, warm=False)


def test_series_added_while_a_connection_stands_are_subscribed_to_together() -> None:
    async def case(it: Streamed) -> None:
        it.streams.follow("ETHUSDT", Timeframe.M1)
        it.streams.follow("SOLUSDT", Timeframe.H1)
        it.streams.follow("ETHUSDT", Timeframe.M1)
        await it.clock.pass_sleep(GATHER_S)
        await it.subscribed(2)
        assert it.topics()[1:] == [["ethusdt@kline_1m", "solusdt@kline_1h"]]

    run(case)


def test_binance_is_asked_on_its_routed_address() -> None:
    dialect = BinanceCandles("wss://fstream.binance.com/")
    topics = [dialect.topic(f"S{number}USDT", Timeframe.H4) for number in range(201)]
    assert dialect.url(topics) == "wss://fstream.binance.com/market/ws/s0usdt@kline_4h"
    messages = [json.loads(text) for text in dialect.subscriptions(topics)]
    assert [len(message["params"]) for message in messages] == [100, 100, 1]
    assert len({message["id"] for message in messages}) == 3
    assert list(dialect.subscriptions([])) == []


def test_a_candle_is_final_however_the_venue_lays_out_its_message() -> None:
    for dialect, text in (
        (BinanceCandles("wss://a"), binance_kline),
        (BybitCandles("wss://a"), bybit_kline),
    ):
        for final in (True, False):
            message = text(candle(1), final=final).replace(":", ": ").encode()
            assert len(dialect.closed(message)) == final


def test_bybit_is_asked_on_its_linear_stream() -> None:
    dialect = BybitCandles("wss://stream.bybit.com")
    topics = [dialect.topic("BTCUSDT", timeframe) for timeframe in (Timeframe.D1, Timeframe.H4)]
    assert topics == ["kline.D.BTCUSDT", "kline.240.BTCUSDT"]
    assert dialect.url(topics) == "wss://stream.bybit.com/v5/public/linear"
    assert [json.loads(text) for text in dialect.subscriptions(topics)] == [
        {"op": "subscribe", "args": topics}
    ]
