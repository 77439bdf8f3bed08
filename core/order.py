"""The life of an order: one table of legal changes and the transition function (invariants §4, decision 19)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from core.errors import ImpossibleVenueData
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.position import ZERO, OrderSide


class OrderStatus(StrEnum):
    INTENT = "intent"
    SUBMITTED = "submitted"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    NOT_PLACED = "not_placed"
    UNKNOWN = "unknown"


TERMINAL = frozenset(
    {
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.REJECTED,
        OrderStatus.NOT_PLACED,
    }
)

LEGAL: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.INTENT: frozenset(
        {
            OrderStatus.SUBMITTED,
            OrderStatus.PARTIAL,
            OrderStatus.FILLED,
            OrderStatus.REJECTED,
            OrderStatus.NOT_PLACED,
            OrderStatus.UNKNOWN,
        }
    ),
    OrderStatus.SUBMITTED: frozenset(
        {
            OrderStatus.PARTIAL,
            OrderStatus.FILLED,
            OrderStatus.CANCELED,
            OrderStatus.EXPIRED,
            OrderStatus.REJECTED,
            OrderStatus.UNKNOWN,
        }
    ),
    OrderStatus.PARTIAL: frozenset(
        {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.UNKNOWN}
    ),
    OrderStatus.UNKNOWN: frozenset(set(OrderStatus) - {OrderStatus.UNKNOWN, OrderStatus.INTENT}),
    OrderStatus.FILLED: frozenset(),
    OrderStatus.CANCELED: frozenset(),
    OrderStatus.EXPIRED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
    OrderStatus.NOT_PLACED: frozenset(),
}

_RANK = {
    OrderStatus.INTENT: 0,
    OrderStatus.UNKNOWN: 1,
    OrderStatus.SUBMITTED: 1,
    OrderStatus.PARTIAL: 2,
    OrderStatus.FILLED: 3,
    OrderStatus.CANCELED: 3,
    OrderStatus.EXPIRED: 3,
    OrderStatus.REJECTED: 3,
    OrderStatus.NOT_PLACED: 3,
}


class OrderKind(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class Leg(StrEnum):
    """What an order is for. The last seven are the venue's own doing, adopted when seen."""

    EXIT = "exit"
    ENTRY = "entry"
    FLATTEN = "flatten"
    REPAIR = "repair"
    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"
    TRAILING_STOP = "trailing_stop"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    SETTLEMENT = "settlement"
    MANUAL = "manual"


VENUE_LEGS = frozenset(
    {
        Leg.TAKE_PROFIT,
        Leg.STOP_LOSS,
        Leg.TRAILING_STOP,
        Leg.LIQUIDATION,
        Leg.ADL,
        Leg.SETTLEMENT,
        Leg.MANUAL,
    }
)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An intent and its life. Quantities in base units, prices in USDT.

    `reserved` says that the entry still counts as a trade, on the risk day of its leg's first attempt.
    """

    client_order_id: ClientOrderId
    run_id: RunId
    user_id: UserId
    account_id: AccountId
    symbol: str
    slot: datetime
    leg: Leg
    attempt: int
    side: OrderSide
    kind: OrderKind
    quantity: Decimal
    reference_price: Decimal
    reduce_only: bool
    leverage: int = 1
    price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss_pct: Decimal | None = None
    take_profit_pct: Decimal | None = None
    trailing_callback_pct: Decimal | None = None
    trailing_activation_pct: Decimal = ZERO
    fence: int = 0
    sign_ts: datetime | None = None
    created_at: datetime | None = None
    status: OrderStatus = OrderStatus.INTENT
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    venue_order_id: str | None = None
    reason: str | None = None
    reserved: bool = False

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def average_price(self) -> Decimal | None:
        return self.filled_value / self.filled_quantity if self.filled_quantity else None


class Acknowledged(msgspec.Struct, frozen=True, tag=True):
    venue_order_id: str


class Executed(msgspec.Struct, frozen=True, tag=True):
    """One new fill of this order (never a repeat: the store drops those by trade id)."""

    quantity: Decimal
    price: Decimal


class Canceled(msgspec.Struct, frozen=True, tag=True):
    reason: str


class Expired(msgspec.Struct, frozen=True, tag=True):
    reason: str


class Rejected(msgspec.Struct, frozen=True, tag=True):
    reason: str


class NotPlaced(msgspec.Struct, frozen=True, tag=True):
    reason: str


class OutcomeUnknown(msgspec.Struct, frozen=True, tag=True):
    reason: str


OrderEvent = Acknowledged | Executed | Canceled | Expired | Rejected | NotPlaced | OutcomeUnknown

_TARGET: dict[type, OrderStatus] = {
    Acknowledged: OrderStatus.SUBMITTED,
    Canceled: OrderStatus.CANCELED,
    Expired: OrderStatus.EXPIRED,
    Rejected: OrderStatus.REJECTED,
    NotPlaced: OrderStatus.NOT_PLACED,
    OutcomeUnknown: OrderStatus.UNKNOWN,
}


class OrderChange(msgspec.Struct, frozen=True, kw_only=True):
    """The order after an event. `contradiction` names an event the table refuses: alert, nothing else moved.

    `reserve_again`: a late fill of a leg whose reservation had been released.
    """

    order: Order
    changed: bool
    contradiction: str | None = None
    reserve_again: bool = False


def transition(order: Order, event: OrderEvent) -> OrderChange:
    """The order after `event`. Repeats and late news change nothing; terminal states never revert."""
    if isinstance(event, Executed):
        return _executed(order, event)
    target = _TARGET[type(event)]
    if target is order.status or (order.is_terminal and _RANK[target] < _RANK[order.status]):
        return OrderChange(order=order, changed=False)
    if target not in LEGAL[order.status]:
        if target is OrderStatus.SUBMITTED:  # an acknowledgement that came after the first fill
            return _keep_venue_id(order, event)
        return OrderChange(
            order=order,
            changed=False,
            contradiction=f"{order.status} order reported as {target} by the venue",
        )
    if target in (OrderStatus.REJECTED, OrderStatus.NOT_PLACED) and order.filled_quantity:
        return OrderChange(
            order=order,
            changed=False,
            contradiction=f"order with {order.filled_quantity} filled reported as {target}",
        )
    if isinstance(event, Acknowledged):
        if order.filled_quantity:  # found again after its outcome was unknown, with fills seen before
            target = OrderStatus.PARTIAL
        moved = msgspec.structs.replace(order, status=target, venue_order_id=event.venue_order_id)
    else:
        moved = msgspec.structs.replace(order, status=target, reason=event.reason)
    return OrderChange(order=moved, changed=True)


def _keep_venue_id(order: Order, event: OrderEvent) -> OrderChange:
    if isinstance(event, Acknowledged) and order.venue_order_id is None:
        return OrderChange(
            order=msgspec.structs.replace(order, venue_order_id=event.venue_order_id), changed=True
        )
    return OrderChange(order=order, changed=False)


def _executed(order: Order, event: Executed) -> OrderChange:
    finite = event.quantity.is_finite() and event.price.is_finite()
    if not finite or event.quantity <= 0 or event.price <= 0:
        raise ImpossibleVenueData(
            f"order {order.client_order_id}: executed {event.quantity} at {event.price}"
        )
    filled = order.filled_quantity + event.quantity
    if filled > order.quantity:
        raise ImpossibleVenueData(
            f"order {order.client_order_id}: executed {filled} of {order.quantity} ordered"
        )
    status = order.status
    if not order.is_terminal:
        status = OrderStatus.FILLED if filled == order.quantity else OrderStatus.PARTIAL
    late = order.leg is Leg.ENTRY and order.is_terminal and not order.reserved
    moved = msgspec.structs.replace(
        order,
        filled_quantity=filled,
        filled_value=order.filled_value + event.quantity * event.price,
        status=status,
        reserved=order.reserved or late,
    )
    return OrderChange(order=moved, changed=True, reserve_again=late)


def releases(order: Order) -> bool:
    """Whether this attempt ended with nothing filled, so that its reservation may be given back (decision 20)."""
    return order.reserved and order.is_terminal and order.filled_quantity == 0
