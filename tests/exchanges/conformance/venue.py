"""What the conformance suite needs of a venue under test: its adapter, and a hand on its market."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar
from uuid import UUID

from core.ids import AccountId, OrderKey, RunId, UserId, client_order_id
from core.market import SymbolRules
from core.order import Leg, Order, OrderKind
from core.position import OrderSide
from exchanges.base import Exchange, OrderReport
from tests.exchanges.conformance.books import Books
from tests.exchanges.conformance.traits import Traits

T = TypeVar("T")

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SYMBOL = "BTCUSDT"
BANKROLL = Decimal(10_000)
RUN = RunId(UUID(int=7))
RULES = SymbolRules(
    symbol=SYMBOL,
    tick_size=Decimal("0.1"),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.002"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(50),
    market_step_size=Decimal("0.001"),
    max_market_quantity=Decimal(120),
)


class Venue(Protocol):
    """A venue whose market stands until the test moves it, in one-minute candles from START on."""

    books: Books
    traits: Traits

    @property
    def exchange(self) -> Exchange: ...

    @property
    def slot(self) -> datetime:
        """The boundary the market stands at."""
        ...

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T: ...

    def place(self, order: Order) -> OrderReport:
        """Sends the order and books what comes back."""
        ...

    def opens(self, price: float, volume: float = 1e6) -> None:
        """The candle that opens at `slot` does so at this price."""
        ...

    def trades(self, open_: float, high: float, low: float, close: float, volume: float = 1e6) -> None:
        """That candle closes with these prices; the market stands at the next boundary."""
        ...

    def restart(self) -> None:
        """A new adapter, rebuilt from what the books hold."""
        ...

    def close(self) -> None: ...


def order(venue: Venue, **changes: Any) -> Order:
    """An entry of 0.1 at market, in the slot the market stands at; `attempt` makes another id."""
    slot = changes.setdefault("slot", venue.slot)
    leg = changes.setdefault("leg", Leg.ENTRY)
    attempt = changes.setdefault("attempt", 1)
    key = OrderKey(run_id=RUN, slot=slot, leg=leg.value, attempt=attempt)
    fields: dict[str, Any] = {
        "client_order_id": client_order_id(key),
        "run_id": RUN,
        "user_id": UserId("u"),
        "account_id": AccountId(UUID(int=1)),
        "symbol": SYMBOL,
        "side": OrderSide.BUY,
        "kind": OrderKind.MARKET,
        "quantity": Decimal("0.1"),
        "reference_price": Decimal(1000),
        "reduce_only": leg is not Leg.ENTRY,
        "sign_ts": slot,
        **changes,
    }
    return Order(**fields)
