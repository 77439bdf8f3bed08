"""Laws of position arithmetic: nothing is made, nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import ImpossibleVenueData
from core.position import FLAT, Fill, OrderSide, Position, RoundTrip, apply_fill, apply_funding
from tests.strategies import ERA, amounts, fills

News = Fill | Decimal
histories = st.lists(fills() | amounts, max_size=25)


def play(history: list[News]) -> tuple[Position, Decimal, list[RoundTrip], Decimal]:
    """Position, realised PnL, round trips and the cash that flowed: sells less buys, less fees, plus funding."""
    position, realised, trips, cash = FLAT, Decimal(0), [], Decimal(0)
    for news in history:
        if isinstance(news, Fill):
            applied = apply_fill(position, news)
            cash -= news.quantity * news.price * news.side.sign + news.commission
        else:
            applied = apply_funding(position, news)
            cash += Decimal(0) if position.is_flat else news
        position = applied.position
        realised += applied.realised
        if applied.round_trip is not None:
            trips.append(applied.round_trip)
    return position, realised, trips, cash


@given(histories)
def test_realised_pnl_is_the_cash_that_flowed_less_what_is_still_invested(history: list[News]) -> None:
    position, realised, _, cash = play(history)
    invested = position.open_cost if position.quantity > 0 else -position.open_cost
    assert realised == cash + invested


@given(histories)
def test_the_quantity_is_the_sum_of_the_fills(history: list[News]) -> None:
    position, *_ = play(history)
    assert position.quantity == sum(
        (news.quantity * news.side.sign for news in history if isinstance(news, Fill)), Decimal(0)
    )


@given(histories)
def test_round_trips_and_the_open_one_add_up_to_everything_realised(history: list[News]) -> None:
    position, realised, trips, _ = play(history)
    still_open = position.realised_gross - position.fees + position.funding
    assert realised == sum((trip.pnl for trip in trips), Decimal(0)) + still_open


@given(histories)
def test_a_position_is_flat_exactly_when_nothing_is_invested(history: list[News]) -> None:
    position, *_ = play(history)
    assert position.is_flat == (position.open_cost == 0) == (position.opened_at is None)
    if position.is_flat:
        assert position == FLAT
    else:
        assert position.entered_quantity - position.exited_quantity == position.size


@given(histories, fills())
def test_closing_everything_leaves_one_round_trip_and_no_rest(history: list[News], last: Fill) -> None:
    position, *_ = play(history)
    if position.is_flat:
        return
    side = OrderSide.SELL if position.quantity > 0 else OrderSide.BUY
    applied = apply_fill(position, replace(last, side=side, quantity=position.size))
    assert applied.position == FLAT
    assert applied.round_trip is not None
    assert applied.round_trip.quantity == position.entered_quantity


@given(histories, fills(), st.integers(1, 999))
def test_a_flip_is_a_close_and_an_opening(history: list[News], last: Fill, more: int) -> None:
    """Decision 27's two legs, or one execution that does both: the same position and PnL."""
    position, *_ = play(history)
    if position.is_flat:
        return
    side = OrderSide.SELL if position.quantity > 0 else OrderSide.BUY
    extra = Decimal(more) / 1000
    flip = replace(last, side=side, quantity=position.size + extra, commission=Decimal(0))
    at_once = apply_fill(position, flip)
    closed = apply_fill(position, replace(flip, quantity=position.size))
    opened = apply_fill(closed.position, replace(flip, quantity=extra))
    assert at_once.round_trip == closed.round_trip
    assert at_once.position == opened.position
    assert at_once.realised == closed.realised + opened.realised


@given(fills(), st.integers(2, 9))
def test_an_entry_in_parts_is_the_entry_at_once(whole: Fill, parts: int) -> None:
    position = FLAT
    free = replace(whole, commission=Decimal(0))
    for _ in range(parts):
        position = apply_fill(position, free).position
    assert position == apply_fill(FLAT, replace(free, quantity=whole.quantity * parts)).position


@given(fills(), fills())
def test_a_short_is_the_mirror_of_a_long(entry: Fill, exit_fill: Fill) -> None:
    def pnl(side: OrderSide, other: OrderSide) -> Decimal:
        opened = apply_fill(FLAT, replace(entry, side=side, commission=Decimal(0)))
        closing = replace(exit_fill, side=other, quantity=entry.quantity, commission=Decimal(0))
        return apply_fill(opened.position, closing).realised

    assert pnl(OrderSide.BUY, OrderSide.SELL) == -pnl(OrderSide.SELL, OrderSide.BUY)


def fill(side: str, quantity: str, price: str, commission: str = "0") -> Fill:
    return Fill(
        trade_id="t",
        side=OrderSide(side),
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=Decimal(commission),
        executed_at=ERA + timedelta(minutes=1),
    )


@pytest.mark.parametrize(
    ("history", "quantity", "entry_price", "realised"),
    [
        ([fill("buy", "2", "100", "0.08")], "2", "100", "-0.08"),
        ([fill("buy", "1", "100"), fill("buy", "3", "120")], "4", "115", "0"),
        ([fill("buy", "2", "100"), fill("sell", "1", "110", "0.04")], "1", "100", "9.96"),
        (
            [fill("buy", "1", "100"), fill("buy", "2", "100.01"), fill("sell", "1", "100.01")],
            "2",
            "100.0066666666665",
            "0.003333333333",
        ),
        ([fill("sell", "2", "100"), fill("buy", "2", "90")], "0", "0", "20"),
        ([fill("buy", "1", "100"), fill("sell", "3", "110")], "-2", "110", "10"),
        ([fill("buy", "3", "100"), fill("sell", "1", "100"), fill("sell", "2", "99")], "0", "0", "-2"),
    ],
)
def test_worked_examples(history: list[News], quantity: str, entry_price: str, realised: str) -> None:
    position, made, _, _ = play(history)
    assert (position.quantity, position.entry_price, made) == (
        Decimal(quantity),
        Decimal(entry_price),
        Decimal(realised),
    )


@pytest.mark.parametrize(
    ("quantity", "price", "commission"),
    [
        ("0", "1", "0"),
        ("-1", "1", "0"),
        ("1", "0", "0"),
        ("NaN", "1", "0"),
        ("1", "Infinity", "0"),
        ("1", "1", "NaN"),
        ("1", "1E+15", "0"),
        ("1", "1", "-1E+20"),
    ],
)
def test_fills_that_cannot_be_are_refused(quantity: str, price: str, commission: str) -> None:
    with pytest.raises(ImpossibleVenueData):
        apply_fill(FLAT, fill("buy", quantity, price, commission))


def test_the_unrealised_pnl_is_what_closing_now_would_make() -> None:
    short = apply_fill(FLAT, fill("sell", "2", "100")).position
    assert short.unrealised(Decimal(90)) == 20
    assert apply_fill(short, fill("buy", "2", "90")).realised == 20
