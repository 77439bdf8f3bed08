"""What every venue answers, paper included: orders, executions, positions, and news pushed as it happens.

Methods are coroutines that await nothing but injected I/O and sleep (decision 12): the same adapter runs on an
event loop live and is driven by hand on a virtual clock in replay. They raise `exchanges.errors`.

An execution may be told twice, in a report, as news, by `executions`; whoever books it drops repeats by its
trade id, which is unique per account and symbol and the same whenever the execution is told again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from core.ids import ClientOrderId
from core.leverage import LeverageTier
from core.market import SymbolRules
from core.order import Leg, Order, OrderStatus
from core.position import ZERO, Fill
from core.protection import Protection
from exchanges.credentials import KeyRights
from exchanges.wire import Leave


class MarginMode(StrEnum):
    ISOLATED = "isolated"
    CROSS = "cross"


class PositionMode(StrEnum):
    ONE_WAY = "one_way"
    HEDGE = "hedge"


class Execution(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A fill at the venue. `client_order_id` names our order; None: the venue's own doing, `venue_leg` says what.

    `opened_at`: of the position a paper account ended by itself, so that an outdated one is found out.
    """

    symbol: str
    fill: Fill
    client_order_id: ClientOrderId | None = None
    venue_leg: Leg | None = None
    opened_at: datetime | None = None

    @property
    def trade_id(self) -> str:
        return self.fill.trade_id


class FundingPaid(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Funding of an open position; `amount` USDT, negative when paid. `funding_id` deduplicates like a trade id."""

    symbol: str
    funding_id: str
    amount: Decimal
    at: datetime


class OrderNews(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An order of ours moved without being asked about. Its executions are news of their own, told before."""

    symbol: str
    client_order_id: ClientOrderId
    venue_order_id: str
    status: OrderStatus
    reason: str | None = None


class StreamGap(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """News may have been lost since `since` (the last sign of life; None: from the beginning): ask for it by REST."""

    since: datetime | None


class ProtectionMoved(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A stop or target of the account stands at `price`, or (None) does not stand any more and has not fired.

    Told of our own changes as well; who else may have made it is found out by a look.
    """

    symbol: str
    leg: Leg
    price: Decimal | None


class TrailMoved(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The trailing stop of a paper position follows a better price, as of the candle that closed at `at`.

    Venues beyond the process keep theirs and tell nothing of it.
    """

    symbol: str
    opened_at: datetime
    best: Decimal
    at: datetime


News = Execution | FundingPaid | OrderNews | StreamGap | ProtectionMoved | TrailMoved
Listener = Callable[[News], None]


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue has it: submitted, partial, filled, canceled, expired or rejected.

    Canceled, expired and rejected orders may carry executions. `filled_quantity` counts all of them, also those
    the venue no longer lists in `executions`. A venue may cut a reduce-only order to what there is to reduce: then it
    is filled with less than was ordered.
    """

    client_order_id: ClientOrderId
    venue_order_id: str
    status: OrderStatus
    filled_quantity: Decimal = ZERO
    executions: tuple[Execution, ...] = ()
    reason: str | None = None


class VenuePosition(msgspec.Struct, frozen=True, kw_only=True):
    """What is open in a symbol, and the protection that stands for it. `quantity` signed: short is negative.

    `trail`: its trailing stop, in the venue's own measure (`core.protection.Trailing.measure`).
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    leverage: int
    liquidation_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trail: Decimal | None = None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Money at the venue, USDT: cash after realised PnL, fees and funding; what margin and open orders leave."""

    balance: Decimal
    available: Decimal


class Exchange(Protocol):
    """One account at one venue."""

    async def place(self, order: Order, leave: Leave) -> OrderReport:
        """Send a committed intent: the order row itself, so that nothing is decided after the commit (I2).

        `leave` is awaited last of all before the first byte: once nothing else, a turn or a connection, is waited for
        (I8); where it raises, nothing has left.

        Reduce-only orders never increase or flip a position. `sign_ts` is sent unchanged. An entry's protection
        (`core.protection`) is attached or follows its fill, as the venue allows. An id the venue knows already
        is never executed again: the report of the first one comes back. Raises NotPlaced, Rejected or
        OutcomeUnknown.
        """
        ...

    async def cancel(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        """The order after a cancel; one that has ended stays as it ended. None: there is no such order."""
        ...

    async def find(self, symbol: str, client_order_id: ClientOrderId) -> OrderReport | None:
        """The order, open or ended; None: the venue has none of that id (when that is final: invariants §4)."""
        ...

    async def open_orders(self, symbol: str) -> list[OrderReport]: ...

    async def executions(self, symbol: str, since: datetime) -> list[Execution]:
        """Executions at or after `since`, oldest first, as far back as the venue keeps them."""
        ...

    async def positions(self) -> list[VenuePosition]:
        """What is open; flat symbols are left out."""
        ...

    async def balance(self) -> Balance: ...

    async def configure(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        """Bring symbol and account to these settings; settings already so are no error."""
        ...

    async def rules(self, symbol: str) -> SymbolRules:
        """The symbol's filters; raises Rejected for a symbol the venue does not trade."""
        ...


class LiveExchange(Exchange, Protocol):
    """An account at a venue beyond this process: it has its own clock, its own news, and keys to it."""

    def venue_now(self) -> datetime:
        """Venue time: the process clock plus the offset last read from the venue's time endpoint."""
        ...

    async def connect(self) -> None:
        """Read the venue's clock and the account's modes. Raises ExchangeError."""
        ...

    async def follow(self) -> None:
        """Tell the listener the account's news until cancelled: keeps the private stream, renews its keys, and tells
        `StreamGap` each time a stream has begun anew. Never returns by itself and raises nothing but cancellation."""
        ...

    @property
    def is_streaming(self) -> bool:
        """Whether news arrives by stream now; if not, the caller polls."""
        ...

    async def protect(self, symbol: str, wanted: Protection) -> Protection:
        """Make exactly `wanted` stand for what is open in `symbol`, and answer what stands: first the stop, then the
        trailing stop, then the target.

        Idempotent: what stands already is left, what differs is replaced (the new one first where the venue allows
        it), what is too much is cancelled; nothing wanted, or nothing open: all of ours in the symbol is cancelled.
        Prices are put on the grid toward the entry for a stop, away from it never past the wanted price. Raises
        Rejected with `Refusal.WOULD_TRIGGER` where the market has passed the stop already. A trailing stop whose
        activation the market has reached trails at once.
        """
        ...

    async def sweep(self, symbol: str) -> bool:
        """Cancel what protection of ours stands in a symbol in which nothing is open, and answer whether there was any.

        Where something is open, whoever opened it, nothing is changed.
        """
        ...

    async def funding(self, since: datetime) -> list[FundingPaid]:
        """Funding paid or received at or after `since`, oldest first."""
        ...

    async def key_rights(self) -> KeyRights: ...

    async def leverage_tiers(self, symbol: str) -> tuple[LeverageTier, ...]:
        """Smallest positions first, at least one. Raises Rejected for a symbol the venue does not trade."""
        ...

    async def close(self) -> None: ...
