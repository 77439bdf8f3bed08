"""Symbol filters: quantities floor, prices round where they are told, all exact (I15)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ImpossibleVenueData, Reason
from core.market import Rounding, SymbolRules, floor_to

BTC = SymbolRules(
    symbol="BTCUSDT",
    tick_size=Decimal("0.1"),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(50),
    market_step_size=Decimal("0.001"),
    max_market_quantity=Decimal(120),
)
amounts = st.decimals(min_value=0, max_value=10**7, allow_nan=False, places=9)
steps = st.sampled_from([Decimal(text) for text in ("1", "0.1", "0.001", "0.00001", "0.5", "0.025", "0.3")])


@pytest.mark.parametrize(
    ("wanted", "quantity"),
    [("0.0019999", "0.001"), ("0.0009", "0"), ("1.2345", "1.234"), ("500", "120"), ("-3", "0")],
)
def test_i15_a_quantity_is_floored_and_capped(wanted: str, quantity: str) -> None:
    assert BTC.quantity(Decimal(wanted)) == Decimal(quantity)


def test_limit_orders_have_their_own_largest_quantity() -> None:
    assert BTC.quantity(Decimal(500), market=False) == 500


@pytest.mark.parametrize(
    ("rounding", "price"),
    [(Rounding.DOWN, "100.2"), (Rounding.UP, "100.3"), (Rounding.NEAREST, "100.3")],
)
def test_a_price_rounds_where_it_is_told(rounding: Rounding, price: str) -> None:
    assert BTC.price(Decimal("100.25"), rounding) == Decimal(price)
    assert BTC.price(Decimal("100.2"), rounding) == Decimal("100.2")


def test_a_market_price_becomes_money_by_its_shortest_decimal() -> None:
    assert BTC.price_of(0.1 + 0.2) == Decimal("0.3")
    assert BTC.price_of(84299.6) == Decimal("84299.6")


@pytest.mark.parametrize(
    ("quantity", "price", "reduce_only", "reason"),
    [
        ("0.001", "60000", False, None),
        ("0", "60000", False, Reason.BELOW_MIN_QUANTITY),
        ("0.001", "49999.9", False, Reason.BELOW_MIN_NOTIONAL),
        ("0.001", "49999.9", True, None),
        ("0", "60000", True, Reason.BELOW_MIN_QUANTITY),
    ],
)
def test_i15_an_order_the_venue_would_refuse_has_a_reason(
    quantity: str, price: str, reduce_only: bool, reason: Reason | None
) -> None:
    assert BTC.refusal(Decimal(quantity), Decimal(price), reduce_only=reduce_only) is reason


@given(amounts, steps)
def test_i15_flooring_never_exceeds_and_stays_within_a_step(value: Decimal, step: Decimal) -> None:
    floored = floor_to(value, step)
    assert 0 <= value - floored < step
    assert floored % step == 0
    assert floor_to(floored, step) == floored


@given(amounts, steps, st.sampled_from(list(Rounding)))
def test_a_rounded_price_is_on_the_grid_and_next_to_the_wanted_one(
    value: Decimal, step: Decimal, rounding: Rounding
) -> None:
    price = msgspec.structs.replace(BTC, tick_size=step).price(value, rounding)
    assert price % step == 0
    bounds = {
        Rounding.DOWN: 0 <= value - price < step,
        Rounding.UP: 0 <= price - value < step,
        Rounding.NEAREST: abs(price - value) * 2 <= step,
    }
    assert bounds[rounding]


@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity"])
@pytest.mark.parametrize("field", ["tick_size", "step_size", "min_quantity", "max_market_quantity"])
def test_rules_that_cannot_be_are_refused(field: str, bad: str) -> None:
    with pytest.raises(ImpossibleVenueData):
        msgspec.structs.replace(BTC, **{field: Decimal(bad)})
