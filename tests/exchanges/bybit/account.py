"""An account at the fake venue under test, and orders for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.ids import AccountId, OrderKey, RunId, UserId, client_order_id
from core.order import Leg, Order, OrderKind
from core.position import OrderSide
from core.redact import Secret
from exchanges.base import Listener, News, OrderReport
from exchanges.bybit.adapter import BybitExchange
from exchanges.credentials import Credentials
from exchanges.wire import unconditional
from tests.fakes.bybit import KEY, SECRET, SYMBOL, FakeBybit
from tests.fakes.loop_clock import START, LoopClock

RUN = RunId(UUID(int=7))


def unseal() -> Credentials:
    return Credentials(key=Secret(KEY), secret=Secret(SECRET))


class Account:
    def __init__(
        self,
        *,
        ahead: timedelta = timedelta(0),
        stream_url: str = "ws://127.0.0.1:1/",
        on_news: Listener | None = None,
    ) -> None:
        self.clock = LoopClock()
        self.fake = FakeBybit(self.clock, ahead=ahead)
        self.news: list[News] = []
        self.exchange = BybitExchange(
            send=self.fake,
            unseal=unseal,
            clock=self.clock,
            sleep=self.clock.sleep,
            on_news=on_news or self.news.append,
            stream_url=stream_url,
        )


def order(leg: Leg = Leg.ENTRY, *, attempt: int = 1, **changes: Any) -> Order:
    """An entry of 0.1 at market, to be signed at the start."""
    key = OrderKey(run_id=RUN, slot=START, leg=leg.value, attempt=attempt)
    fields: dict[str, Any] = {
        "client_order_id": client_order_id(key),
        "run_id": RUN,
        "user_id": UserId("u"),
        "account_id": AccountId(UUID(int=1)),
        "symbol": SYMBOL,
        "slot": START,
        "leg": leg,
        "attempt": attempt,
        "side": OrderSide.BUY if leg is Leg.ENTRY else OrderSide.SELL,
        "kind": OrderKind.MARKET,
        "quantity": Decimal("0.1"),
        "reference_price": Decimal(60_000),
        "reduce_only": leg is not Leg.ENTRY,
        "sign_ts": START,
    }
    return Order(**(fields | changes))


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def sent(account: Account, path: str) -> list[dict[str, Any]]:
    return [fields for asked, fields in account.fake.asked if asked == path]


def open_position(account: Account, **changes: Any) -> OrderReport:
    report: OrderReport = run(account.exchange.place(order(**changes), unconditional))
    account.fake.asked.clear()
    return report
