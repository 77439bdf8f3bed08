"""Our own Bybit adapter, opened as the service opens it, at the stand-in: what it says is what was done there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.order import Leg, OrderKind, OrderStatus
from core.protection import Protection
from core.timeframe import Timeframe, to_ms
from exchanges.base import (
    Execution,
    FundingPaid,
    MarginMode,
    OrderNews,
    PositionMode,
    StreamGap,
)
from exchanges.errors import (
    AuthFailed,
    NotPlaced,
    Refusal,
    Rejected,
)
from exchanges.feeds.bybit_public import BybitPublic
from exchanges.wire import unconditional
from tests import live_loop
from tests.exchanges.simulator.desk import LONG_AGO, SYMBOL, WAIT_S, Desk, desk_at
from tests.exchanges.simulator.running import RunningVenue, running


def test_balance_rules_and_rights_are_read(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        balance = await desk.exchange.balance()
        assert (balance.balance, balance.available) == (10_000, 10_000)
        rules = await desk.exchange.rules(SYMBOL)
        assert (rules.tick_size, rules.step_size, rules.min_notional) == (
            Decimal("0.1"),
            Decimal("0.001"),
            50,
        )
        with pytest.raises(Rejected) as refused:
            await desk.exchange.rules("NOPEUSDT")
        assert refused.value.refusal is Refusal.UNKNOWN_SYMBOL
        rights = await desk.exchange.key_rights()
        assert (rights.may_trade, rights.may_withdraw, rights.ip_bound) == (True, False, True)
        assert await desk.exchange.positions() == []

    at_desk(act)


@pytest.mark.parametrize("withdraw", [True, False])
def test_a_key_that_may_withdraw_or_is_bound_to_no_address_says_so(
    bybit: RunningVenue, at_desk: Any, withdraw: bool
) -> None:
    rights = {"withdraw": withdraw, "ip_bound": not withdraw, "trade": not withdraw}
    bybit.control("PUT", "keys", {"key": bybit.key, "secret": bybit.secret, "account": "main", **rights})

    async def act(desk: Desk) -> None:
        read = await desk.exchange.key_rights()
        assert (read.may_withdraw, read.ip_bound, read.may_trade) == (withdraw, not withdraw, not withdraw)

    at_desk(act)


def test_settings_are_made_and_made_again_without_an_error(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        for _ in range(2):
            await desk.exchange.connect()
            await desk.exchange.configure(
                SYMBOL, leverage=7, margin_mode=MarginMode.ISOLATED, position_mode=PositionMode.ONE_WAY
            )
        await desk.filled(desk.order())
        [held] = await desk.exchange.positions()
        assert (held.quantity, held.entry_price, held.leverage) == (Decimal("0.1"), 60_000, 7)
        assert held.liquidation_price is not None
        assert held.liquidation_price < 60_000
        assert desk.ledger()["positions"][0]["isolated"]
        balance = await desk.exchange.balance()
        assert balance.available == pytest.approx(balance.balance - Decimal(6000) / 7, abs=Decimal("0.01"))

    at_desk(act)


def test_an_entry_fills_with_its_execution_and_its_commission(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        entry = desk.order()
        report = await desk.filled(entry)
        [execution] = report.executions
        assert (execution.client_order_id, execution.venue_leg) == (entry.client_order_id, None)
        assert (execution.fill.quantity, execution.fill.price) == (Decimal("0.1"), 60_000)
        assert execution.fill.commission == 3
        assert list(report.executions) == await desk.exchange.executions(
            SYMBOL, desk.exchange.venue_now() - LONG_AGO
        )
        assert (await desk.exchange.balance()).balance == 10_000 - 3
        assert Decimal(desk.ledger()["wallet"]["USDT"]) == 10_000 - 3

    at_desk(act)


def test_a_limit_order_rests_is_found_open_and_is_cancelled(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        limit = desk.order(kind=OrderKind.LIMIT, price=Decimal(59_000))
        report = await desk.exchange.place(limit, unconditional)
        assert report.status is OrderStatus.SUBMITTED
        await desk.find(limit)
        assert [open_.client_order_id for open_ in await desk.exchange.open_orders(SYMBOL)] == [
            limit.client_order_id
        ]
        canceled = await desk.exchange.cancel(SYMBOL, limit.client_order_id)
        assert canceled is not None
        assert (canceled.status, canceled.filled_quantity) == (OrderStatus.CANCELED, 0)
        again = await desk.exchange.cancel(SYMBOL, limit.client_order_id)
        assert again is not None
        assert again.status is OrderStatus.CANCELED
        assert await desk.exchange.open_orders(SYMBOL) == []
        assert await desk.exchange.find(SYMBOL, desk.order().client_order_id) is None

    at_desk(act)


def test_a_partly_filled_market_order_expires_with_its_fill(bybit: RunningVenue, at_desk: Any) -> None:
    bybit.control("PUT", "liquidity", {"symbol": SYMBOL, "quantity": "0.04"})

    async def act(desk: Desk) -> None:
        entry = desk.order()
        await desk.exchange.place(entry, unconditional)
        report = await desk.find(entry, lambda found: found.status is OrderStatus.EXPIRED)
        assert report.filled_quantity == Decimal("0.04")
        assert [execution.fill.quantity for execution in report.executions] == [Decimal("0.04")]

    at_desk(act)


def test_an_entry_brings_its_protection_and_protect_corrects_and_clears_it(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        await desk.filled(desk.order(stop_loss_pct=Decimal(1), take_profit_pct=Decimal(2)))
        [held] = await desk.exchange.positions()
        assert (held.stop_loss, held.take_profit) == (59_400, 61_200)
        wanted = Protection(stop_loss=Decimal("59000.03"), take_profit=Decimal(61_500))
        stands = await desk.exchange.protect(SYMBOL, wanted)
        assert stands == Protection(stop_loss=Decimal("59000.1"), take_profit=Decimal(61_500))
        assert await desk.exchange.protect(SYMBOL, wanted) == stands
        stops = [each for each in desk.ledger()["conditionals"] if each["status"] == "new"]
        assert sorted(Decimal(each["trigger_price"]) for each in stops) == [Decimal("59000.1"), 61_500]
        assert await desk.exchange.protect(SYMBOL, Protection()) == Protection()
        assert not any(each["status"] == "new" for each in desk.ledger()["conditionals"])

    at_desk(act)


def test_a_stop_the_market_has_passed_is_refused_by_name(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        await desk.filled(desk.order())
        with pytest.raises(Rejected) as refused:
            await desk.exchange.protect(SYMBOL, Protection(stop_loss=Decimal(60_100)))
        assert refused.value.refusal is Refusal.WOULD_TRIGGER

    at_desk(act)


def test_a_stop_that_fires_is_told_as_the_venues_stop_and_closes(bybit: RunningVenue, at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        await desk.filled(desk.order(stop_loss_pct=Decimal(1)))
        bybit.set_price(SYMBOL, "59399")
        executions = await desk.executions(2)
        assert (executions[1].client_order_id, executions[1].venue_leg) == (None, Leg.STOP_LOSS)
        assert await desk.exchange.positions() == []
        assert await desk.exchange.protect(SYMBOL, Protection(stop_loss=Decimal(1))) == Protection()

    at_desk(act)


def test_reduce_only_closes_and_is_refused_when_nothing_is_open(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        with pytest.raises(Rejected) as refused:
            await desk.exchange.place(desk.order(Leg.EXIT), unconditional)
        assert refused.value.refusal is Refusal.REDUCE_ONLY
        await desk.filled(desk.order())
        await desk.filled(desk.order(Leg.EXIT, quantity=Decimal("0.3")))
        assert await desk.exchange.positions() == []

    at_desk(act)


def test_hedge_mode_opens_and_closes_the_side_that_is_meant(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        await desk.exchange.configure(
            SYMBOL, leverage=5, margin_mode=MarginMode.CROSS, position_mode=PositionMode.HEDGE
        )
        await desk.filled(desk.order(stop_loss_pct=Decimal(1)))
        [held] = await desk.exchange.positions()
        assert (held.quantity, held.stop_loss) == (Decimal("0.1"), 59_400)
        assert await desk.exchange.protect(SYMBOL, Protection(stop_loss=Decimal(59_500))) == Protection(
            stop_loss=Decimal(59_500)
        )
        await desk.filled(desk.order(Leg.EXIT))
        assert await desk.exchange.positions() == []

    at_desk(act)


def test_the_private_stream_tells_executions_before_their_orders_news(
    bybit: RunningVenue, at_desk: Any
) -> None:
    async def act(desk: Desk) -> None:
        following = asyncio.create_task(desk.exchange.follow())
        try:
            gap = await desk.told(StreamGap)
            assert gap.since is None
            assert desk.exchange.is_streaming
            # An order that seems older than the stream is told as a gap, and venue time is only estimated here.
            bybit.control("PUT", "clock", {"at": bybit.now() + 1_000})
            entry = desk.order(stop_loss_pct=Decimal(1))
            await desk.exchange.place(entry, unconditional)
            told = await desk.told(OrderNews, lambda news: news.status is OrderStatus.FILLED)
            assert (told.client_order_id, told.symbol) == (entry.client_order_id, SYMBOL)
            execution = await desk.told(Execution)
            assert execution.client_order_id == entry.client_order_id
            assert desk.news.index(execution) < desk.news.index(told)
            since = desk.exchange.venue_now() - LONG_AGO
            assert await desk.exchange.executions(SYMBOL, since) == [execution]
            desk.venue.set_price(SYMBOL, "59300")
            closed = await desk.told(Execution, lambda news: news.venue_leg is Leg.STOP_LOSS)
            assert closed.fill.quantity == Decimal("0.1")
        finally:
            following.cancel()

    at_desk(act)


def test_an_order_signed_too_long_ago_is_not_placed(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        late = desk.order(sign_ts=desk.exchange.venue_now() - timedelta(seconds=8))
        with pytest.raises(NotPlaced):
            await desk.exchange.place(late, unconditional)
        assert desk.ledger()["orders"] == []

    at_desk(act)


def test_a_wrong_secret_is_refused_at_once(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        raise AssertionError("connected")

    with pytest.raises(AuthFailed):
        at_desk(act, secret="wrong")


def test_a_liquidation_is_told_as_one(bybit: RunningVenue, at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        await desk.exchange.configure(
            SYMBOL, leverage=20, margin_mode=MarginMode.ISOLATED, position_mode=PositionMode.ONE_WAY
        )
        await desk.filled(desk.order())
        bybit.set_price(SYMBOL, "56000")
        executions = await desk.executions(2)
        assert executions[1].venue_leg is Leg.LIQUIDATION
        assert await desk.exchange.positions() == []

    at_desk(act)


def test_the_public_candle_feed_reads_several_pages_of_closed_candles(bybit: RunningVenue) -> None:
    end = datetime.fromtimestamp(bybit.now() / 1000, UTC)
    start = end - timedelta(hours=40)

    async def act() -> None:
        feed = BybitPublic(bybit.base)
        try:
            columns = await feed.candles("ETHUSDT", Timeframe.M1, start, end)
            opens = Timeframe.M1.floor(end)
            forming = await feed.opening("ETHUSDT", Timeframe.M1, opens, 5.0)
        finally:
            await feed.aclose()
        assert 2398 <= len(columns) <= 2400
        assert set(columns.open_time[1:] - columns.open_time[:-1]) == {60_000}
        assert columns.open_time[-1] <= to_ms(end) - 60_000
        assert forming is not None
        assert forming.open_time_ms >= to_ms(opens)

    live_loop.run(act())


def test_an_order_of_last_week_is_found_with_its_execution() -> None:
    with running("bybit", "--seed", "3", "--at", "2026-03-02T12:00:00Z") as venue:
        venue.set_price(SYMBOL, "60000")

        async def act() -> None:
            async with desk_at(venue, "main") as desk:
                entry = desk.order()
                report = await desk.filled(entry)
                venue.control("PUT", "clock", {"at": venue.now() + 9 * 24 * 3_600_000})
                await desk.exchange.connect()
                assert await desk.exchange.find(SYMBOL, entry.client_order_id) == report

        live_loop.run(act())


def test_funding_is_told_with_the_amount_the_wallet_lost_and_streamed_once() -> None:
    before = datetime(2026, 3, 2, 7, 59, 50, tzinfo=UTC)
    with running("bybit", "--seed", "3", "--at", before.isoformat()) as venue:
        venue.set_price(SYMBOL, "60000")

        async def act() -> None:
            async with desk_at(venue, "main") as desk:
                following = asyncio.create_task(desk.exchange.follow())
                await desk.told(StreamGap)
                await desk.filled(desk.order())
                eight = before.replace(hour=8, minute=0, second=0)
                venue.control("PUT", "clock", {"at": int(eight.timestamp() * 1000) + 100})
                told = await desk.told(FundingPaid)
                assert (told.symbol, told.amount, told.at) == (SYMBOL, Decimal("-0.6"), eight)
                async with asyncio.timeout(WAIT_S):
                    while not (funding := await desk.exchange.funding(before)):
                        pass
                assert funding == [told]
                assert (await desk.exchange.balance()).balance == 10_000 - 3 - Decimal("0.6")
                following.cancel()

        live_loop.run(act())
