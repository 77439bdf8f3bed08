from __future__ import annotations

from decimal import Decimal

import pytest

from core.errors import SettingsError
from exchanges.paper.terms import Terms


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maker_fee_pct", Decimal("NaN")),
        ("taker_fee_pct", Decimal("Infinity")),
        ("taker_fee_pct", Decimal(-1)),
        ("slippage_pct", Decimal("-0.1")),
        ("participation_pct", Decimal(101)),
        ("max_leverage", 0),
        ("maintenance_margin_pct", Decimal(-1)),
    ],
)
def test_terms_that_cannot_be_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        Terms(**{name: value})  # type: ignore[arg-type]


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(SettingsError, match=r"taker_fee_pct.*slippage_pct"):
        Terms(taker_fee_pct=Decimal(99), slippage_pct=Decimal(99))


def test_leverage_must_leave_room_for_the_maintenance_margin() -> None:
    with pytest.raises(SettingsError, match="maintenance margin"):
        Terms(max_leverage=100, maintenance_margin_pct=Decimal(1))


def test_a_maker_may_be_paid() -> None:
    assert Terms(maker_fee_pct=Decimal("-0.01")).commission(Decimal(1000), maker=True) == Decimal("-0.1")
