"""An adapter on the small Binance in memory, and coroutines driven by hand."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from core.ids import AccountId, OrderKey, UserId, client_order_id
from core.order import Leg, Order, OrderKind
from core.position import OrderSide
from core.redact import Secret
from exchanges.base import News
from exchanges.binance.adapter import BinanceExchange
from exchanges.binance.user_stream import KeptStream
from exchanges.credentials import Credentials
from exchanges.wire import unconditional
from tests.exchanges.conformance.paper_venue import HandClock, drive, hand_sleep
from tests.exchanges.conformance.venue import RUN, START
from tests.fakes.binance import KEY, SECRET, FakeBinance

T = TypeVar("T")
SYMBOL = "BTCUSDT"
ORDER = "/fapi/v1/order"
ALGO = "/fapi/v1/algoOrder"
TRADES = "/fapi/v1/userTrades"


class Streaming:
    """A stream that stands, and hears nothing by itself."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.is_open = True
        self.drops = 0

    def drop(self) -> None:
        self.drops += 1

    async def run(self) -> None:
        raise AssertionError("not run here")


def no_stream(**given: Any) -> KeptStream:
    raise AssertionError(f"no stream is opened here: {sorted(given)}")


class Kit:
    def __init__(self, *, rights: bool = True) -> None:
        self.clock = HandClock(START)
        self.venue = FakeBinance(self.clock)
        self.news: list[News] = []
        self.unsealed = 0
        self.exchange = BinanceExchange(
            send=self.venue,
            unseal=self.unseal,
            clock=self.clock,
            sleep=hand_sleep,
            on_news=self.news.append,
            make_stream=no_stream,
            send_rights=self.venue if rights else None,
        )

    def unseal(self) -> Credentials:
        self.unsealed += 1
        return Credentials(key=Secret(KEY), secret=Secret(SECRET))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return drive(coroutine, self.clock)

    def place(self, **changes: Any) -> Any:
        return self.run(self.exchange.place(order(self.clock.at, **changes), unconditional))

    def asked(self, method: str, path: str) -> int:
        return len(self.venue.asked(method, path))


def order(now: datetime, **changes: Any) -> Order:
    """An entry of 0.1 at market, signed now."""
    leg = changes.setdefault("leg", Leg.ENTRY)
    attempt = changes.setdefault("attempt", 1)
    slot = changes.setdefault("slot", START)
    key = OrderKey(run_id=RUN, slot=slot, leg=leg.value, attempt=attempt)
    fields: dict[str, Any] = {
        "client_order_id": client_order_id(key),
        "run_id": RUN,
        "user_id": UserId("u"),
        "account_id": AccountId(RUN),
        "symbol": SYMBOL,
        "side": OrderSide.BUY,
        "kind": OrderKind.MARKET,
        "quantity": Decimal("0.1"),
        "reference_price": Decimal(1000),
        "reduce_only": leg is not Leg.ENTRY,
        "sign_ts": now,
        **changes,
    }
    return Order(**fields)


def later(kit: Kit, seconds: float) -> None:
    kit.clock.at += timedelta(seconds=seconds)
