"""Our own Binance adapter, opened as the service opens it, at the stand-in: what it says is what was done there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.connection import Environment, Venue
from core.order import Leg, OrderStatus
from core.protection import Protection
from core.redact import Secret
from exchanges.base import Execution, MarginMode, News, OrderNews, PositionMode, StreamGap
from exchanges.credentials import Credentials
from exchanges.errors import AuthFailed, NotPlaced, OutcomeUnknown, Refusal, Rejected
from exchanges.venues import Address, Venues
from exchanges.wire import unconditional
from tests import live_loop
from tests.exchanges.simulator.desk import SYMBOL, Desk, WallClock
from tests.exchanges.simulator.running import RunningVenue

D = Decimal
ORDERS = {"method": "POST", "path": "/fapi/v1/order"}


@asynccontextmanager
async def desk_at(venue: RunningVenue, secret: str | None = None) -> AsyncIterator[Desk]:
    news: list[News] = []
    given = {Venue.BINANCE: Address(rest=venue.base, ws=venue.ws, rights=venue.base)}
    venues = Venues(clock=WallClock(), given=given)
    exchange = venues.open(
        Venue.BINANCE,
        Environment.LIVE,
        tenant="t",
        account="a",
        unseal=lambda: Credentials(key=Secret(venue.key), secret=Secret(secret or venue.secret)),
        on_news=news.append,
    )
    try:
        await exchange.connect()
        yield Desk(venue, exchange, news, venue.key.removeprefix("key-"))
    finally:
        await exchange.close()
        await venues.close()


async def control(desk: Desk, method: str, name: str, body: object = None) -> Any:
    """Off the loop: the venue's answer may wait for the adapter's own traffic."""
    return await asyncio.to_thread(desk.venue.control, method, name, body)


async def price(desk: Desk, value: str) -> None:
    await control(desk, "PUT", "price", {"symbol": SYMBOL, "price": value})


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    live_loop.run(coroutine)


def test_settings_orders_and_positions_are_what_the_venues_books_say(binance: RunningVenue) -> None:
    async def scenario() -> None:
        async with desk_at(binance) as desk:
            wanted = {"margin_mode": MarginMode.ISOLATED, "position_mode": PositionMode.ONE_WAY}
            for _ in range(2):
                await desk.exchange.configure(SYMBOL, leverage=5, **wanted)  # type: ignore[arg-type]
            order = desk.order()
            report = await desk.exchange.place(order, unconditional)
            assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, D("0.1"))
            assert await desk.exchange.find(SYMBOL, desk.order().client_order_id) is None
            [position] = await desk.exchange.positions()
            assert (position.quantity, position.entry_price, position.leverage) == (D("0.1"), D(60000), 5)
            balance = await desk.exchange.balance()
            books = desk.ledger()
            assert balance.balance == D(books["wallet"]["USDT"]) == D(9997)
            assert (books["positions"][0]["isolated"], books["positions"][0]["leverage"]) == (True, 5)
            rights = await desk.exchange.key_rights()
            assert (rights.may_trade, rights.may_withdraw, rights.ip_bound) == (True, False, True)

    run(scenario())


def test_a_fired_stop_and_venue_made_closes_are_told_as_what_they_are(binance: RunningVenue) -> None:
    async def scenario() -> None:
        async with desk_at(binance) as desk:
            follow = asyncio.ensure_future(desk.exchange.follow())
            await desk.told(StreamGap)
            order = desk.order()
            await desk.exchange.place(order, unconditional)
            await desk.told(OrderNews, lambda news: news.status is OrderStatus.FILLED)
            wanted = Protection(stop_loss=D(59000), take_profit=D(62000))
            assert await desk.exchange.protect(SYMBOL, wanted) == wanted
            [position] = await desk.exchange.positions()
            assert (position.stop_loss, position.take_profit) == (59000, 62000)
            await price(desk, "58900")
            stopped = await desk.told(Execution, lambda news: news.venue_leg is Leg.STOP_LOSS)
            assert (stopped.client_order_id, stopped.fill.quantity) == (None, D("0.1"))
            await desk.exchange.place(desk.order(), unconditional)
            account = binance.key.removeprefix("key-")
            await control(desk, "POST", "close", {"account": account, "symbol": SYMBOL, "origin": "adl"})
            closed = await desk.told(Execution, lambda news: news.venue_leg is Leg.ADL)
            assert closed.fill.trade_id == str(desk.ledger()["trades"][-1]["trade_id"])
            since = desk.exchange.venue_now() - timedelta(hours=1)
            told = {e.trade_id for e in await desk.exchange.executions(SYMBOL, since)}
            assert told == {str(trade["trade_id"]) for trade in desk.ledger()["trades"]}
            follow.cancel()

    run(scenario())


@pytest.mark.parametrize(
    ("fault", "raised", "arrived"),
    [
        ({"kind": "drop_after"}, OutcomeUnknown, True),
        ({"kind": "drop_before"}, OutcomeUnknown, False),
        ({"kind": "truncate", "bytes": 20}, OutcomeUnknown, True),
        (
            {"kind": "afterwards", "status": 503, "body": '{"code":-1000,"msg":"Unknown error"}'},
            OutcomeUnknown,
            True,
        ),
        ({"kind": "instead", "status": 503, "body": '{"code":-1008,"msg":"overloaded"}'}, NotPlaced, False),
    ],
)
def test_what_may_be_concluded_from_trouble_agrees_with_the_venues_journal(
    binance: RunningVenue, fault: dict[str, Any], raised: type[Exception], arrived: bool
) -> None:
    """I3, I4: unknown is resolved by look-up; the journal says how often the order came into being."""

    async def scenario() -> None:
        async with desk_at(binance) as desk:
            await control(desk, "POST", "faults", {**ORDERS, **fault})
            order = desk.order()
            with pytest.raises(raised):
                await desk.exchange.place(order, unconditional)
            found = await desk.exchange.find(SYMBOL, order.client_order_id)
            assert (found is not None) == arrived
            created = (await control(desk, "GET", "journal"))["created"]
            assert created.get(order.client_order_id, 0) == int(arrived)

    run(scenario())


def test_refusals_and_wrong_keys_are_named(binance: RunningVenue) -> None:
    async def scenario() -> None:
        async with desk_at(binance) as desk:
            with pytest.raises(Rejected) as rejected:
                await desk.exchange.place(desk.order(quantity=D(100)), unconditional)
            assert rejected.value.refusal is Refusal.INSUFFICIENT_MARGIN
        with pytest.raises(AuthFailed):
            async with desk_at(binance, secret="wrong"):
                pass

    run(scenario())
