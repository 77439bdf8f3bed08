"""Our own Bybit adapter, opened as the service opens it, at a stand-in, and what it said there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from core.connection import Environment, Venue
from core.ids import AccountId, OrderKey, RunId, UserId, client_order_id
from core.order import Leg, Order, OrderKind, OrderStatus
from core.position import OrderSide
from core.redact import Secret
from exchanges.base import (
    Execution,
    LiveExchange,
    News,
    OrderReport,
)
from exchanges.credentials import Credentials
from exchanges.errors import (
    Unreachable,
)
from exchanges.venues import Address, Venues
from exchanges.wire import unconditional
from tests.exchanges.simulator.running import RunningVenue

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
        await self.exchange.place(order, unconditional)
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
