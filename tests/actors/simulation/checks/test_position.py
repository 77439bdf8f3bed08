"""Positions worked out from fills alone: what the program's own arithmetic says, by other means."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from actors.simulation.checks.position import PlainPosition
from core.position import FLAT, OrderSide, apply_fill
from tests.actors.simulation.checks.parts import fill

FILLS = st.lists(
    st.tuples(
        st.sampled_from(OrderSide),
        st.sampled_from(["0.1", "0.2", "0.5", "1"]),
        st.integers(90, 110).map(str),
        st.sampled_from(["0", "0.01", "-0.02"]),
    ),
    max_size=12,
)


def test_a_round_trip_is_its_money_back() -> None:
    position = PlainPosition()
    assert position.fill(fill(OrderSide.BUY, "2", "100", "1")) == (-1, None)
    assert position.fill(fill(OrderSide.BUY, "2", "110", "1")) == (-1, None)
    assert position.fill(fill(OrderSide.SELL, "1", "125", "1")) == (19, None)
    position.fund(Fraction(-3))
    assert position.fill(fill(OrderSide.SELL, "3", "105", "1")) == (-1, 13)
    assert position.quantity == 0


def test_a_flip_ends_one_round_trip_and_begins_the_next() -> None:
    position = PlainPosition()
    position.fill(fill(OrderSide.BUY, "1", "100", "0"))
    assert position.fill(fill(OrderSide.SELL, "3", "110", "3")) == (7, 9)
    assert position.quantity == -2
    assert position.fill(fill(OrderSide.BUY, "2", "100", "0")) == (20, 18)


@given(FILLS)
def test_i7_any_fills_leave_the_quantity_and_money_the_program_books(
    fills: list[tuple[OrderSide, str, str, str]],
) -> None:
    plain, booked = PlainPosition(), FLAT
    for number, (side, quantity, price, fee) in enumerate(fills):
        each = fill(side, quantity, price, fee, f"t{number}")
        realised, trip = plain.fill(each)
        applied = apply_fill(booked, each)
        booked = applied.position
        assert plain.quantity == Fraction(booked.quantity)
        assert abs(realised - Fraction(applied.realised)) < Fraction(1, 10**6)
        assert (trip is None) is (applied.round_trip is None)
        if trip is not None and applied.round_trip is not None:
            assert abs(trip - Fraction(applied.round_trip.pnl)) < Fraction(1, 10**6)
