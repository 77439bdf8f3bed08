"""Limits may be tightened by anybody; which way that is, is not the same for all of them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SettingsError
from core.limit_change import LimitChange, changed_limits, looser_than
from core.risk import RiskLimits

DEFAULT = RiskLimits()
LIMITS = st.builds(
    RiskLimits,
    daily_max_loss_usdt=st.integers(1, 99).map(Decimal),
    max_trades_per_day=st.integers(0, 40),
    max_consecutive_losses=st.integers(1, 6),
    cooldown_after_trade_s=st.integers(0, 60).map(Decimal),
    pause_duration_min=st.integers(1, 2_880).map(Decimal),
)


@pytest.mark.parametrize(
    ("change", "loose"),
    [
        (LimitChange(), ()),
        (LimitChange(daily_max_loss_usdt=Decimal("49.99")), ()),
        (LimitChange(daily_max_loss_usdt=Decimal("50.01")), ("daily_max_loss_usdt",)),
        (LimitChange(max_trades_per_day=0), ()),
        (LimitChange(max_trades_per_day=21), ("max_trades_per_day",)),
        (LimitChange(max_consecutive_losses=4), ("max_consecutive_losses",)),
        (LimitChange(cooldown_after_trade_s=Decimal(31)), ()),
        (LimitChange(cooldown_after_trade_s=Decimal(29)), ("cooldown_after_trade_s",)),
        (LimitChange(pause_duration_min=Decimal(1439)), ("pause_duration_min",)),
        (
            LimitChange(max_trades_per_day=99, pause_duration_min=Decimal(1)),
            ("max_trades_per_day", "pause_duration_min"),
        ),
    ],
)
def test_what_allows_more_than_the_ceiling_is_named(change: LimitChange, loose: tuple[str, ...]) -> None:
    assert looser_than(changed_limits(DEFAULT, change), DEFAULT) == loose


def test_limits_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingsError, match="DAILY_MAX_LOSS_USDT"):
        changed_limits(DEFAULT, LimitChange(daily_max_loss_usdt=Decimal(0)))


@given(LIMITS, LIMITS)
def test_of_two_limits_either_one_is_looser_somewhere_or_they_are_equal(a: RiskLimits, b: RiskLimits) -> None:
    assert (not looser_than(a, b) and not looser_than(b, a)) == (a == b)
