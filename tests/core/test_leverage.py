"""The larger a run's position may be, the less leverage its venue allows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.leverage import LeverageTier, largest_notional, leverage_problem
from core.run import RunSettings, SizeBy

TIERS = tuple(
    LeverageTier(up_to=Decimal(up_to), max_leverage=Decimal(most), maintenance_rate=None)
    for up_to, most in (("50000", "50"), ("500000", "12.50"), ("2000000", "5"))
)


@pytest.mark.parametrize(
    ("leverage", "notional", "said"),
    [
        (50, "50000", None),
        (51, "50000", "a leverage of 51 is above the 50 it allows for positions up to 50,000 USDT"),
        (12, "50000.01", None),
        (13, "50000.01", "a leverage of 13 is above the 12.5 it allows for positions up to 500,000 USDT"),
        (5, "2000000", None),
        (1, "2000000.01", "is above the 2,000,000 USDT it allows at most"),
    ],
)
def test_a_tier_allows_its_leverage_up_to_its_size(leverage: int, notional: str, said: str | None) -> None:
    problem = leverage_problem(leverage, Decimal(notional), TIERS)
    assert problem is None if said is None else said in str(problem)


@pytest.mark.parametrize(
    ("settings", "max_notional", "notional"),
    [
        ({"leverage": 5}, None, 50_000),
        ({"leverage": 5, "order_size_pct": Decimal(10)}, None, 5_000),
        ({"leverage": 5}, Decimal(700), 700),
        ({"leverage": 5, "order_size_pct": Decimal(10), "size_by": SizeBy.AMOUNT}, None, 50_000),
    ],
)
def test_a_position_is_worth_what_the_run_may_open_and_no_more_than_the_connection_allows(
    settings: dict[str, object], max_notional: Decimal | None, notional: int
) -> None:
    made = RunSettings(capital=Decimal(10_000), **settings)  # type: ignore[arg-type]
    assert largest_notional(made, max_notional) == notional
