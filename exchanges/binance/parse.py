"""Answers → values of `core` and `exchanges.base`. Pure; raises Unreadable or ImpossibleVenueData."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from core.errors import ImpossibleVenueData
from core.ids import ClientOrderId, parse_client_order_id, protection_leg
from core.order import Leg, OrderStatus
from core.position import ZERO, Fill, OrderSide, Side
from exchanges.base import Balance, Execution, FundingPaid, OrderReport, VenuePosition
from exchanges.binance.wire import (
    AlgoRow,
    BalanceRow,
    IncomeRow,
    OrderRow,
    PositionRow,
    TradeRow,
    Unreadable,
    not_negative,
    number,
    positive,
    present,
    time_of,
)

USDT: Final = "USDT"
_VENUE_MADE: Final = {
    "autoclose-": Leg.LIQUIDATION,
    "adl_autoclose": Leg.ADL,
    "settlement_autoclose-": Leg.SETTLEMENT,
}
"""How the ids of orders begin that the venue makes itself."""

_STATUS: Final = {
    "NEW": OrderStatus.SUBMITTED,
    "NEW_INSURANCE": OrderStatus.SUBMITTED,
    "NEW_ADL": OrderStatus.SUBMITTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
}
_ENDED_EARLY: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})


class TriggerStatus(StrEnum):
    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Whose an order is: ours by its id, or somebody else's doing on the position."""

    client_order_id: ClientOrderId | None = None
    venue_leg: Leg | None = None


MANUAL: Final = Origin(venue_leg=Leg.MANUAL)


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order. `leg`: of those this service made. `order_id`: the order it became when it fired."""

    symbol: str
    client_algo_id: str
    leg: Leg | None
    kind: str
    status: TriggerStatus
    side: OrderSide
    position_side: Side | None
    quantity: Decimal | None
    trigger_price: Decimal | None
    close_all: bool
    order_id: int | None
    callback_pct: Decimal | None = None
    activation_price: Decimal | None = None

    @property
    def stands(self) -> bool:
        return self.status is TriggerStatus.NEW


def status_of(text: str) -> OrderStatus:
    status = _STATUS.get(text)
    if status is None:
        raise Unreadable(f"Binance says that an order is {text[:40]!r}.")
    return status


def side_of(text: str) -> OrderSide:
    if text not in ("BUY", "SELL"):
        raise Unreadable(f"Binance says that the side is {text[:40]!r}.")
    return OrderSide[text]


def position_side_of(text: str) -> Side | None:
    """None in one-way mode."""
    if text == "BOTH":
        return None
    if text not in ("LONG", "SHORT"):
        raise Unreadable(f"Binance says that the position's side is {text[:40]!r}.")
    return Side[text]


def reason_of(status: OrderStatus, venue_status: str) -> str | None:
    """The venue's own word for how an order ended, where it did not fill."""
    return venue_status.lower() if status in _ENDED_EARLY else None


def origin_of(client_id: str) -> Origin:
    """What an order's id says; any id that is neither ours nor the venue's is a person's or another program's."""
    if parse_client_order_id(client_id) is not None:
        return Origin(client_order_id=ClientOrderId(client_id))
    leg = protection_leg(client_id)
    if leg is not None:
        return Origin(venue_leg=Leg(leg))
    for beginning, made in _VENUE_MADE.items():
        if client_id.startswith(beginning):
            return Origin(venue_leg=made)
    return MANUAL


def order_report(row: OrderRow, executions: tuple[Execution, ...] = ()) -> OrderReport:
    """Raises ImpossibleVenueData where more is executed than was ordered, or less of what is filled.

    A reduce-only order may be filled with less: it is cut to what there is to reduce.
    """
    status = status_of(row.status)
    ordered = not_negative(row.orig_qty, "an order's quantity")
    executed = not_negative(row.executed_qty, "an executed quantity")
    whole = status is not OrderStatus.FILLED or executed == ordered or row.reduce_only
    if ordered and (executed > ordered or not whole):
        raise ImpossibleVenueData(
            f"Binance says that order {row.client_order_id} is {row.status} with {executed} of {ordered} executed."
        )
    return OrderReport(
        client_order_id=ClientOrderId(row.client_order_id),
        venue_order_id=str(row.order_id),
        status=status,
        filled_quantity=executed,
        executions=executions,
        reason=reason_of(status, row.status),
    )


def execution(row: TradeRow, origin: Origin, commission: Decimal) -> Execution:
    """`commission` in USDT, converted by the caller where it was taken in something else."""
    return Execution(
        symbol=row.symbol,
        fill=Fill(
            trade_id=str(row.id),
            side=side_of(row.side),
            quantity=positive(row.qty, "an executed quantity"),
            price=positive(row.price, "an execution's price"),
            commission=commission,
            executed_at=time_of(row.time),
            maker=row.maker,
        ),
        client_order_id=origin.client_order_id,
        venue_leg=origin.venue_leg,
    )


def funding_paid(row: IncomeRow, amount: Decimal) -> FundingPaid:
    """`amount` in USDT."""
    return FundingPaid(symbol=row.symbol, funding_id=f"f{row.tran_id}", amount=amount, at=time_of(row.time))


def trigger(row: AlgoRow) -> Trigger:
    leg = protection_leg(row.client_algo_id)
    try:
        status = TriggerStatus(row.algo_status)
    except ValueError:
        raise Unreadable(f"Binance says that an algo order is {row.algo_status[:40]!r}.") from None
    actual = str(row.actual_order_id or "")
    return Trigger(
        symbol=row.symbol,
        client_algo_id=row.client_algo_id,
        leg=None if leg is None else Leg(leg),
        kind=row.order_type or row.type,
        status=status,
        side=side_of(row.side),
        position_side=position_side_of(row.position_side),
        quantity=present(row.quantity, "a quantity"),
        trigger_price=present(row.trigger_price, "a trigger price"),
        close_all=row.close_position,
        callback_pct=present(row.callback_rate or "", "a callback rate"),
        activation_price=present(row.activate_price or "", "an activation price"),
        order_id=int(actual) if actual.isascii() and actual.isdigit() and len(actual) < 20 else None,
    )


def balance(rows: Iterable[BalanceRow]) -> Balance:
    """USDT alone; an account that never held any has none."""
    for row in rows:
        if row.asset == USDT:
            return Balance(
                balance=number(row.balance, "a balance"), available=number(row.available_balance, "a balance")
            )
    return Balance(balance=ZERO, available=ZERO)


def held_quantity(row: PositionRow) -> Decimal:
    """Signed: short is negative. Raises ImpossibleVenueData where the sign contradicts the side."""
    quantity = number(row.position_amt, f"the position in {row.symbol}")
    side = position_side_of(row.position_side)
    if side is not None and quantity and (quantity > 0) is not (side is Side.LONG):
        raise ImpossibleVenueData(f"Binance says that the {side} position in {row.symbol} is {quantity}.")
    return quantity


def venue_position(row: PositionRow, *, leverage: int, triggers: Iterable[Trigger]) -> VenuePosition:
    """What is open, with the protection of ours that stands for all of it."""
    quantity = held_quantity(row)
    stops: list[Decimal] = []
    targets: list[Decimal] = []
    trails: list[Decimal] = []
    for one in triggers:
        if not covers(one, quantity, position_side_of(row.position_side)):
            continue
        if one.leg is Leg.TRAILING_STOP:
            if one.callback_pct is not None:
                trails.append(one.callback_pct)
        elif one.trigger_price is not None:
            (stops if one.leg is Leg.STOP_LOSS else targets).append(one.trigger_price)
    long = quantity > 0
    return VenuePosition(
        symbol=row.symbol,
        quantity=quantity,
        entry_price=positive(row.entry_price, f"the entry price of {row.symbol}"),
        leverage=leverage,
        liquidation_price=present(row.liquidation_price, f"the liquidation price of {row.symbol}"),
        # Of several the one that fires first.
        stop_loss=(max if long else min)(stops, default=None),
        take_profit=(min if long else max)(targets, default=None),
        trail=min(trails, default=None),
    )


def covers(one: Trigger, quantity: Decimal, position_side: Side | None) -> bool:
    """Whether a conditional order of ours stands and closes the whole of a position."""
    if not one.stands or one.leg is None or one.position_side is not position_side:
        return False
    closes = one.side is (OrderSide.SELL if quantity > 0 else OrderSide.BUY)
    return closes and (one.close_all or (one.quantity is not None and one.quantity >= abs(quantity)))
