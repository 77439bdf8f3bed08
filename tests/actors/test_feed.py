"""Candles and prices come from the venue that is named, and from no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import pytest

from actors.feed import HeldFeed, LiveFeed
from actors.paper import paper_venues
from actors.venue_calls import VenueState
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.market import Market, Series
from core.order import Leg, Order, OrderKind
from core.position import OrderSide
from core.timeframe import Timeframe
from exchanges.binance.mark_feed import BinanceMarks
from exchanges.binance.market_feed import BinanceCandles
from exchanges.binance.trade_feed import BinanceTrades
from exchanges.feeds.base import NoCandles
from exchanges.feeds.candle_streams import CandleStreams
from exchanges.feeds.live_candles import LiveCandles
from exchanges.feeds.mark_streams import MarkStreams
from exchanges.feeds.market_marks import MarketMarks
from exchanges.feeds.market_trades import MarketTrades
from exchanges.feeds.trade_rest import BinanceTradeRest
from exchanges.feeds.trade_streams import TradeStreams
from exchanges.wire import unconditional
from schema.records import Account
from tests.actors.candles import START as SCRIPT_START
from tests.actors.candles import rules, scripted, source
from tests.exchanges.feeds.streamed import STEP, SYMBOL, Rest
from tests.exchanges.stream_venue import streaming
from tests.fakes.loop_clock import START, LoopClock, until

DEARER: Final = 1_000.0
ACCOUNT: Final = AccountId(UUID(int=1))


class First(Rest):
    venue, name = "binance", "Binance"


class Second(Rest):
    venue, name = "bybit", "Bybit"


def live_feed(clock: LoopClock, given: Mapping[str, str] | None = None) -> LiveFeed:
    """Of two venues, the second one dearer; nobody follows their streams."""
    rests = First(clock), Second(clock, dearer=DEARER)
    streams = CandleStreams(BinanceCandles("ws://127.0.0.1:1"), clock=clock, sleep=clock.sleep)
    return LiveFeed([LiveCandles(rest, streams) for rest in rests], (SYMBOL,), given=given)


def test_a_series_is_its_venues_own_and_one_of_another_venue_is_refused_by_name() -> None:
    feed = live_feed(LoopClock())

    def closes(venue: str) -> list[float]:
        series = Series(venue=venue, market=Market.PERP, symbol=SYMBOL, timeframe=Timeframe.M1)
        return list(asyncio.run(feed.candles(series, START - STEP * 2, START)).close)

    assert closes("binance") == [108.0, 109.0]
    assert closes("bybit") == [108.0 + DEARER, 109.0 + DEARER]
    with pytest.raises(NoCandles, match="no candles of kraken; there are of binance, bybit"):
        closes("kraken")
    assert feed.origin == "Binance and Bybit public candles"


def test_candles_of_a_stand_in_are_named_as_such() -> None:
    feed = live_feed(LoopClock(), given={"binance": "http://127.0.0.1:9443"})
    assert feed.origin == "Binance (http://127.0.0.1:9443) and Bybit public candles"


@pytest.mark.parametrize(
    ("venue", "price"), [("bybit", 110.0 + DEARER), ("binance", 110.0), ("paper", 110.0)]
)
def test_a_paper_order_meets_the_price_of_the_venue_its_account_names_or_of_the_first(
    venue: str, price: float
) -> None:
    clock = LoopClock()
    make = paper_venues(feed=live_feed(clock), rules=rules([SYMBOL]), clock=clock, sleep=clock.sleep)
    account = Account(id=ACCOUNT, user_id=UserId("ann"), name="paper", venue=venue)
    exchange = make(VenueState(account=account, positions=(), open_orders=()), lambda news: None)
    order = Order(
        client_order_id=ClientOrderId("r1-1-e-1"),
        run_id=RunId(UUID(int=2)),
        user_id=account.user_id,
        account_id=ACCOUNT,
        symbol=SYMBOL,
        slot=START,
        leg=Leg.ENTRY,
        attempt=1,
        side=OrderSide.BUY,
        kind=OrderKind.MARKET,
        quantity=Decimal("0.1"),
        reference_price=Decimal(100),
        reduce_only=False,
    )
    [execution] = asyncio.run(exchange.place(order, unconditional)).executions
    assert execution.fill.price == pytest.approx(Decimal(price), rel=Decimal("0.01"))


def test_following_the_venues_hears_trades_and_marks_as_well() -> None:
    async def case() -> None:
        clock = LoopClock()
        async with streaming() as venue:
            base = f"ws://127.0.0.1:{venue.port}"
            rest = BinanceTradeRest("http://127.0.0.1:1", Market.SPOT, sleep=clock.sleep)
            dialect = BinanceTrades(base, Market.SPOT)
            trades = TradeStreams(dialect, rest, clock=clock, sleep=clock.sleep)
            marks = MarketMarks(
                {
                    "binance": lambda held: MarkStreams(
                        BinanceMarks(base), held, clock=clock, sleep=clock.sleep
                    )
                }
            )
            feed = LiveFeed(
                [], (SYMBOL,), trades=MarketTrades({("binance", Market.SPOT): trades}), marks=marks
            )
            assert feed.trades is not None
            await feed.trades.follow("binance", Market.SPOT, SYMBOL)
            marks.hold("binance", "ann", frozenset({SYMBOL}))
            following = asyncio.create_task(feed.follow())
            await until(lambda: len(venue.heard) == 2, what=f"two subscriptions: {venue.heard}")
            asked = sorted(topic for _, text in venue.heard for topic in json.loads(text)["params"])
            assert asked == ["btcusdt@aggTrade", "btcusdt@markPrice@1s"]
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await rest.aclose()

    asyncio.run(asyncio.wait_for(case(), 30))


@pytest.mark.parametrize(
    ("venue", "price"), [("bybit", 110.0 + DEARER), ("binance", 110.0), ("paper", 110.0)]
)
def test_the_price_known_now_is_the_last_trades_at_the_venue_that_is_named_or_the_first(
    venue: str, price: float
) -> None:
    clock = LoopClock()
    found = asyncio.run(live_feed(clock).price(venue, SYMBOL, clock.now()))
    assert found is not None
    assert (found.at, found.price) == (clock.now(), price)


def test_a_venue_that_has_told_no_candle_for_minutes_has_no_price() -> None:
    clock = LoopClock()
    assert asyncio.run(live_feed(clock).price("binance", SYMBOL, clock.now() + STEP * 4)) is None


@pytest.mark.parametrize(
    ("seconds", "hole", "price"),
    [(0, (), 1010.0), (17.4, (), 1010.0), (59.999, (), 1010.0), (60, (), 1020.0), (77, (2,), 1020.0)],
    ids=["its opening", "within", "its end", "the next", "a hole: the last close"],
)
def test_of_a_held_candle_that_runs_the_opening_alone_is_known(
    seconds: float, hole: tuple[int, ...], price: float
) -> None:
    """Candle 1 opens at 1010 and closes at 1020: no look-ahead."""
    columns = scripted("uuuu----", holes=hole)
    feed = HeldFeed(source(columns), (SCRIPT_START, SCRIPT_START + STEP * 8))
    at = SCRIPT_START + STEP + timedelta(seconds=seconds)
    found = asyncio.run(feed.price("binance", SYMBOL, at))
    assert found is not None
    assert (found.at, found.price) == (at, price)


def test_candles_that_ended_minutes_ago_say_no_price() -> None:
    feed = HeldFeed(source(scripted("uu")), (SCRIPT_START, SCRIPT_START + STEP * 2))
    assert asyncio.run(feed.price("binance", SYMBOL, SCRIPT_START + STEP * 6)) is None
