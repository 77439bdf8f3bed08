"""Position arithmetic: fills and funding in, position, realised PnL and round trips out. Average cost.

The open cost is kept, not the average price: whatever is taken off at each reduction is exactly what is
missing from the rest, so the PnL of a round trip equals what was received minus what was paid, to the digit.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from core.errors import ImpossibleVenueData

ZERO = Decimal(0)
COST_STEP = Decimal("1E-12")
"""Shares of the open cost are rounded to this (USDT), so that digits stay bounded."""
_MOST = Decimal("1E15")
"""USDT beyond which an amount cannot be true; below it every sum of money here is exact in 28 digits."""


class Side(StrEnum):
    """Direction of a position."""

    LONG = "long"
    SHORT = "short"


class OrderSide(StrEnum):
    """Direction of an order or a fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is _BUY else -1


# Looked up once: an enum's member costs more than the comparison it is for.
_LONG, _SHORT, _BUY = Side.LONG, Side.SHORT, OrderSide.BUY


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. Quantity in base units, price in USDT, commission in USDT (negative: a rebate)."""

    trade_id: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    commission: Decimal
    executed_at: datetime
    maker: bool = False


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What a run holds in its symbol, and the round trip it is in. `quantity` is signed: short is negative."""

    quantity: Decimal = ZERO
    open_cost: Decimal = ZERO
    opened_at: datetime | None = None
    entered_quantity: Decimal = ZERO
    entered_value: Decimal = ZERO
    exited_quantity: Decimal = ZERO
    exited_value: Decimal = ZERO
    realised_gross: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO

    @property
    def is_flat(self) -> bool:
        return self.quantity == 0

    @property
    def side(self) -> Side | None:
        if self.quantity == 0:
            return None
        return _LONG if self.quantity > 0 else _SHORT

    @property
    def size(self) -> Decimal:
        """Absolute quantity, base units."""
        return abs(self.quantity)

    @property
    def entry_price(self) -> Decimal:
        """Average price of what is open, USDT; 0 when flat."""
        return self.open_cost / self.size if self.quantity else ZERO

    def unrealised(self, price: Decimal) -> Decimal:
        """PnL in USDT if everything open were closed at `price`, before fees."""
        value = self.size * price
        return value - self.open_cost if self.quantity > 0 else self.open_cost - value


FLAT = Position()


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """A position from flat to flat (or to a flip): `pnl` is net of fees and funding, USDT."""

    side: Side
    quantity: Decimal
    entry_time: datetime
    entry_price: Decimal
    exit_time: datetime
    exit_price: Decimal
    fees: Decimal
    funding: Decimal
    pnl: Decimal


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What a fill or funding did: the new position, PnL realised net of commission, and a round trip that ended."""

    position: Position
    realised: Decimal
    round_trip: RoundTrip | None = None


def apply_fill(position: Position, fill: Fill) -> Applied:
    """The position after `fill`: opened, added to, reduced, closed or flipped.

    Each fill must be applied once; whoever stores it drops repeats by trade id.
    Raises ImpossibleVenueData for quantities or prices that cannot be.
    """
    _check(fill)
    signed = fill.quantity * fill.side.sign
    if position.quantity * signed >= 0:
        return Applied(
            position=_enter(position, fill, fill.quantity, fill.commission), realised=-fill.commission
        )
    closing = min(fill.quantity, position.size)
    commission = fill.commission
    if closing < fill.quantity:
        commission = (fill.commission * closing / fill.quantity).quantize(COST_STEP)
    reduced, gross = _reduce(position, fill, closing, commission)
    round_trip = _round_trip(position, reduced, fill.executed_at) if reduced.quantity == 0 else None
    after = FLAT if round_trip else reduced
    if closing < fill.quantity:
        after = _enter(FLAT, fill, fill.quantity - closing, fill.commission - commission)
    return Applied(position=after, realised=gross - fill.commission, round_trip=round_trip)


def apply_funding(position: Position, amount: Decimal) -> Applied:
    """Funding of an open position: `amount` in USDT, negative when paid. Flat positions take none."""
    if position.is_flat:
        return Applied(position=position, realised=ZERO)
    return Applied(
        position=msgspec.structs.replace(position, funding=position.funding + amount), realised=amount
    )


def carry_funding(flat: Position, amount: Decimal) -> Applied:
    """Funding of a position that has closed since, as venues settle and tell it a little later: it goes into the next
    round trip, as the one it belongs to has been booked."""
    carried = msgspec.structs.replace(flat, funding=flat.funding + amount)
    return Applied(position=carried, realised=amount)


def is_plausible(amount: Decimal) -> bool:
    """Whether an amount of USDT can be true: finite, and less than all the money there is."""
    return amount.is_finite() and abs(amount) < _MOST


def _check(fill: Fill) -> None:
    quantity, price = fill.quantity, fill.price
    if not (quantity.is_finite() and price.is_finite() and fill.commission.is_finite()):
        raise ImpossibleVenueData(
            f"fill {fill.trade_id}: {quantity} at {price}, commission {fill.commission}"
        )
    if quantity <= 0 or price <= 0 or not is_plausible(quantity * price):
        raise ImpossibleVenueData(f"fill {fill.trade_id}: {fill.quantity} at {fill.price}")
    if not is_plausible(fill.commission):
        raise ImpossibleVenueData(f"fill {fill.trade_id}: commission is {fill.commission}")


def _enter(position: Position, fill: Fill, quantity: Decimal, commission: Decimal) -> Position:
    value = quantity * fill.price
    if position is FLAT:
        return Position(
            quantity=quantity if fill.side is _BUY else -quantity,
            open_cost=value,
            opened_at=fill.executed_at,
            entered_quantity=quantity,
            entered_value=value,
            fees=commission,
        )
    return msgspec.structs.replace(
        position,
        quantity=position.quantity + quantity * fill.side.sign,
        open_cost=position.open_cost + value,
        opened_at=position.opened_at or fill.executed_at,
        entered_quantity=position.entered_quantity + quantity,
        entered_value=position.entered_value + value,
        fees=position.fees + commission,
    )


def _reduce(
    position: Position, fill: Fill, quantity: Decimal, commission: Decimal
) -> tuple[Position, Decimal]:
    share = position.open_cost
    if quantity < position.size:
        share = (position.open_cost * quantity / position.size).quantize(COST_STEP)
    value = quantity * fill.price
    gross = value - share if position.quantity > 0 else share - value
    reduced = msgspec.structs.replace(
        position,
        quantity=position.quantity + quantity * fill.side.sign,
        open_cost=position.open_cost - share,
        exited_quantity=position.exited_quantity + quantity,
        exited_value=position.exited_value + value,
        realised_gross=position.realised_gross + gross,
        fees=position.fees + commission,
    )
    return reduced, gross


def _round_trip(before: Position, after: Position, at: datetime) -> RoundTrip:
    assert before.side is not None
    return RoundTrip(
        side=before.side,
        quantity=after.entered_quantity,
        entry_time=after.opened_at or at,
        entry_price=after.entered_value / after.entered_quantity,
        exit_time=at,
        exit_price=after.exited_value / after.exited_quantity,
        fees=after.fees,
        funding=after.funding,
        pnl=after.realised_gross - after.fees + after.funding,
    )
