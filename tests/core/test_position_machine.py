"""A position under any sequence of fills and funding, judged by fractions of cash that never round."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from core.position import FLAT, Applied, Fill, OrderSide, RoundTrip, Side, apply_fill, apply_funding
from tests.strategies import amounts, fills, prices, quantities

ROUNDED = Fraction(1, 10**12)
"""What one share of the open cost or of a commission may be off (USDT)."""


class Account(RuleBasedStateMachine):
    """`quantity`, `cost`: what is open and what it cost on average; `cash`: what flowed in this round trip."""

    def __init__(self) -> None:
        super().__init__()
        self.position = FLAT
        self.realised = Fraction(0)
        self.flowed = Fraction(0)
        self.quantity = Fraction(0)
        self.cost = Fraction(0)
        self.cash = Fraction(0)
        self.entered = Fraction(0)
        self.entered_value = Fraction(0)
        self.roundings = 0
        self.price = Decimal(1)

    @rule(fill=fills())
    def fill(self, fill: Fill) -> None:
        applied = apply_fill(self.position, fill)
        self.realised += Fraction(applied.realised)
        signed = Fraction(fill.quantity) * fill.side.sign
        self.flowed -= signed * Fraction(fill.price) + Fraction(fill.commission)
        closing = min(abs(signed), abs(self.quantity)) if self.quantity * signed < 0 else Fraction(0)
        share = closing / abs(signed)
        trip_side = self.position.side
        self.reduce(closing, fill, share)
        if closing and not self.quantity:
            self.check_round_trip(applied.round_trip, trip_side, fill)
            self.cash = self.cost = self.entered = self.entered_value = Fraction(0)
        else:
            assert applied.round_trip is None
        self.enter(abs(signed) - closing, fill, 1 - share)
        self.settle(applied, fill.price)

    def reduce(self, quantity: Fraction, fill: Fill, commission_share: Fraction) -> None:
        if not quantity:
            return
        self.cost *= 1 - quantity / abs(self.quantity)
        self.quantity += quantity * fill.side.sign
        self.cash -= quantity * fill.side.sign * Fraction(fill.price)
        self.cash -= Fraction(fill.commission) * commission_share
        self.roundings += 1

    def enter(self, quantity: Fraction, fill: Fill, commission_share: Fraction) -> None:
        if not quantity:
            return
        value = quantity * Fraction(fill.price)
        self.quantity += quantity * fill.side.sign
        self.cost += value
        self.entered += quantity
        self.entered_value += value
        self.cash -= value * fill.side.sign + Fraction(fill.commission) * commission_share

    def check_round_trip(self, trip: RoundTrip | None, side: Side | None, fill: Fill) -> None:
        assert trip is not None
        assert abs(Fraction(trip.pnl) - self.cash) <= ROUNDED * self.roundings, "the cash of the round trip"
        assert (trip.side, trip.exit_time) == (side, fill.executed_at)
        assert Fraction(trip.quantity) == self.entered
        assert abs(Fraction(trip.entry_price) * self.entered / self.entered_value - 1) < Fraction(1, 10**25)

    def settle(self, applied: Applied, price: Decimal) -> None:
        self.position = applied.position
        self.price = price

    @precondition(lambda self: not self.position.is_flat)
    @rule(like=fills())
    def close(self, like: Fill) -> None:
        side = OrderSide.SELL if self.position.quantity > 0 else OrderSide.BUY
        self.fill(replace(like, side=side, quantity=self.position.size))
        assert self.position == FLAT

    @precondition(lambda self: not self.position.is_flat)
    @rule(like=fills(), more=quantities)
    def flip(self, like: Fill, more: Decimal) -> None:
        before = self.position.side
        side = OrderSide.SELL if before is Side.LONG else OrderSide.BUY
        self.fill(replace(like, side=side, quantity=self.position.size + more))
        assert self.position.side not in (before, None)
        assert self.position.opened_at == like.executed_at
        assert (self.position.entry_price, self.position.funding) == (like.price, Decimal(0))

    @rule(amount=amounts, price=prices)
    def fund(self, amount: Decimal, price: Decimal) -> None:
        held = not self.position.is_flat
        applied = apply_funding(self.position, amount)
        assert applied.round_trip is None
        assert applied.realised == (amount if held else 0), "a flat position takes none"
        self.realised += Fraction(applied.realised)
        self.flowed += Fraction(amount) * held
        self.cash += Fraction(amount) * held
        self.settle(applied, price)

    @invariant()
    def the_quantity_is_exact_and_the_cost_the_average_one(self) -> None:
        position = self.position
        assert Fraction(position.quantity) == self.quantity
        assert abs(Fraction(position.open_cost) - self.cost) <= ROUNDED * self.roundings
        assert position.open_cost >= 0
        assert position.is_flat == (position == FLAT)

    @invariant()
    def what_was_realised_and_what_is_invested_is_all_the_cash_there_was(self) -> None:
        """Exactly, however often shares of the cost were rounded."""
        sign = 1 if self.quantity > 0 else -1
        assert self.realised == self.flowed + sign * Fraction(self.position.open_cost)

    @invariant()
    def the_unrealised_pnl_is_what_closing_without_fee_would_make(self) -> None:
        if self.position.is_flat:
            return
        side = OrderSide.SELL if self.quantity > 0 else OrderSide.BUY
        exit_ = Fill(
            trade_id="exit",
            side=side,
            quantity=self.position.size,
            price=self.price,
            commission=Decimal(0),
            executed_at=self.position.opened_at,  # type: ignore[arg-type]
        )
        assert apply_fill(self.position, exit_).realised == self.position.unrealised(self.price)


Account.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAccount = Account.TestCase
