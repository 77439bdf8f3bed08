"""Our own Bybit adapter, opened as the service opens it, at the stand-in: what it says is what was done there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import pytest

from core.connection import Environment, Venue
from core.ids import AccountId, OrderKey, RunId, UserId, client_order_id
from core.order import Leg, Order, OrderKind, OrderStatus
from core.position import OrderSide
from core.protection import Protection
from core.redact import Secret
from core.timeframe import Timeframe, to_ms
from exchanges.base import (
    Execution,
    FundingPaid,
    LiveExchange,
    MarginMode,
    News,
    OrderNews,
    OrderReport,
    PositionMode,
    StreamGap,
)
from exchanges.credentials import Credentials
from exchanges.errors import AuthFailed, NotPlaced, OutcomeUnknown, Refusal, Rejected, Unreachable
from exchanges.feeds.bybit_public import BybitPublic
from exchanges.venues import Address, Venues
from tests.exchanges.simulator.running import RunningVenue, running

SYMBOL = "BTCUSDT"
WAIT_S = 5.0
LONG_AGO = timedelta(hours=1)


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Desk:
    """One account's adapter, what it told, and the venue's own books."""

    def __init__(self, venue: RunningVenue, exchange: LiveExchange, news: list[News], account: str) -> None:
        self.venue = venue
        self.exchange = exchange
        self.news = news
        self._account = account
        self._run_id = RunId(uuid5(NAMESPACE_DNS, account))  # the venue's journal knows the ids of all tests
        self._attempts = 0

    def order(self, leg: Leg = Leg.ENTRY, **changes: Any) -> Order:
        """An entry of 0.1 BTC at market, or what `changes` make of it."""
        self._attempts += 1
        now = self.exchange.venue_now()
        slot = now.replace(second=0, microsecond=0)
        key = OrderKey(run_id=self._run_id, slot=slot, leg=leg.value, attempt=self._attempts)
        fields: dict[str, Any] = {
            "client_order_id": client_order_id(key),
            "run_id": self._run_id,
            "user_id": UserId("u"),
            "account_id": AccountId(UUID(int=1)),
            "symbol": SYMBOL,
            "slot": slot,
            "leg": leg,
            "attempt": self._attempts,
            "side": OrderSide.BUY if leg is Leg.ENTRY else OrderSide.SELL,
            "kind": OrderKind.MARKET,
            "quantity": Decimal("0.1"),
            "reference_price": Decimal(60_000),
            "reduce_only": leg is not Leg.ENTRY,
            "sign_ts": now,
        }
        return Order(**(fields | changes))

    async def filled(self, order: Order) -> OrderReport:
        """Placed, and looked up until the venue shows its fill."""
        await self.exchange.place(order)
        return await self.find(order, lambda report: report.status is OrderStatus.FILLED)

    async def find(
        self, order: Order, is_right: Callable[[OrderReport], bool] = lambda report: True
    ) -> OrderReport:
        async with asyncio.timeout(WAIT_S):
            while True:
                with suppress(Unreachable):  # the venue does not list yet what it has acknowledged
                    report = await self.exchange.find(order.symbol, order.client_order_id)
                    if report is not None and is_right(report):
                        return report

    async def executions(self, count: int) -> list[Execution]:
        """The account's, once there are as many."""
        since = self.exchange.venue_now() - LONG_AGO
        async with asyncio.timeout(WAIT_S):
            while len(found := await self.exchange.executions(SYMBOL, since)) < count:
                pass
        return found

    async def told(self, kind: type[News], is_right: Callable[[Any], bool] = lambda news: True) -> Any:
        """The first news of that kind; waits for it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for news in self.news:
                    if isinstance(news, kind) and is_right(news):
                        return news
                await asyncio.sleep(0.01)

    def ledger(self) -> dict[str, Any]:
        return self.venue.ledger(self._account)


@asynccontextmanager
async def desk_at(venue: RunningVenue, account: str, secret: str | None = None) -> AsyncIterator[Desk]:
    news: list[News] = []
    venues = Venues(clock=WallClock(), given={Venue.BYBIT: Address(rest=venue.base, ws=venue.ws)})
    exchange = venues.open(
        Venue.BYBIT,
        Environment.LIVE,
        tenant="t",
        account="a",
        unseal=lambda: Credentials(key=Secret(venue.key), secret=Secret(secret or venue.secret)),
        on_news=news.append,
    )
    await exchange.connect()
    try:
        yield Desk(venue, exchange, news, account)
    finally:
        await exchange.close()
        await venues.close()


@pytest.fixture
def at_desk(bybit: RunningVenue, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs what a test does at the desk of its account."""

    def run(act: Callable[[Desk], Coroutine[Any, Any, None]], **more: Any) -> None:
        async def seated() -> None:
            async with desk_at(bybit, request.node.name, **more) as desk:
                await act(desk)

        asyncio.run(seated())

    return run


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
        report = await desk.exchange.place(limit)
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
        await desk.exchange.place(entry)
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
            await desk.exchange.place(desk.order(Leg.EXIT))
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


def test_the_private_stream_tells_executions_before_their_orders_news(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        following = asyncio.create_task(desk.exchange.follow())
        try:
            gap = await desk.told(StreamGap)
            assert gap.since is None
            assert desk.exchange.is_streaming
            entry = desk.order(stop_loss_pct=Decimal(1))
            await desk.exchange.place(entry)
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


def test_the_private_stream_comes_back_after_it_was_cut_and_tells_a_gap(
    bybit: RunningVenue, at_desk: Any
) -> None:
    async def act(desk: Desk) -> None:
        following = asyncio.create_task(desk.exchange.follow())
        try:
            await desk.told(StreamGap)
            bybit.control("POST", "faults", {"kind": "drop_sockets", "private_only": True})
            gap = await desk.told(StreamGap, lambda news: news.since is not None)
            assert gap.since <= desk.exchange.venue_now()
        finally:
            following.cancel()

    at_desk(act)


def test_an_order_without_an_answer_is_unknown_and_then_found_once(bybit: RunningVenue, at_desk: Any) -> None:
    """I3: what was sent once is found by its id, and there is one of it."""
    cut = {"kind": "drop_after", "method": "POST", "path": "/v5/order/create"}

    async def act(desk: Desk) -> None:
        bybit.control("POST", "faults", cut)
        entry = desk.order()
        with pytest.raises(OutcomeUnknown):
            await desk.exchange.place(entry)
        report = await desk.find(entry)
        assert report.filled_quantity == Decimal("0.1")
        assert bybit.control("GET", "journal")["created"][entry.client_order_id] == 1
        with pytest.raises(OutcomeUnknown):
            await desk.exchange.place(entry)
        assert bybit.control("GET", "journal")["created"][entry.client_order_id] == 1

    at_desk(act)


def test_an_order_signed_too_long_ago_is_not_placed(at_desk: Any) -> None:
    async def act(desk: Desk) -> None:
        late = desk.order(sign_ts=desk.exchange.venue_now() - timedelta(seconds=8))
        with pytest.raises(NotPlaced):
            await desk.exchange.place(late)
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

    asyncio.run(act())


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

        asyncio.run(act())


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

        asyncio.run(act())
