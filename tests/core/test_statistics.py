"""Statistics: worked cases for every figure, None where one is not defined, and laws over random accounts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite, sqrt
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.statistics import (
    EquityCurve,
    Statistics,
    StillOpen,
    daily_returns,
    exposure_pct,
    max_drawdown,
    monthly_returns,
    sharpe,
    sortino,
    statistics,
)
from core.timeframe import to_ms

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=10)
CAPITAL = Decimal(1_000)
HOUR = timedelta(hours=1)


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A round trip as the statistics see one."""

    pnl: Decimal
    entry_time: datetime = START
    exit_time: datetime = START + HOUR
    fees: Decimal = Decimal(1)
    funding: Decimal = Decimal(0)


def closed(pnl: str, first_hour: int = 0, hours: int = 1) -> Closed:
    entered = START + first_hour * HOUR
    return Closed(pnl=Decimal(pnl), entry_time=entered, exit_time=entered + hours * HOUR)


def curve(*points: tuple[float, float]) -> EquityCurve:
    """Points of (days after START, equity)."""
    at_ms = np.array([to_ms(START + timedelta(days=days)) for days, _ in points], dtype=np.float64)
    return EquityCurve(at_ms, np.array([equity for _, equity in points], dtype=np.float64))


def measured(*trades: Closed, still_open: StillOpen | None = None, **changes: Any) -> Statistics:
    given_curve = changes.pop("curve", curve((1, 1_000), (2, 1_000)))
    return statistics(
        capital=CAPITAL, trades=trades, curve=given_curve, start=START, end=END, still_open=still_open
    )


@pytest.mark.parametrize(
    ("trades", "expected"),
    [
        (
            ("30", "-10", "20", "-20"),
            {
                "pnl": Decimal(20),
                "roi_pct": 2.0,
                "wins": 2,
                "losses": 2,
                "win_rate_pct": 50.0,
                "profit_factor": 50 / 30,
                "expectancy": Decimal(5),
                "best_trade": Decimal(30),
                "worst_trade": Decimal(-20),
                "fees": Decimal(4),
            },
        ),
        (("5",), {"win_rate_pct": 100.0, "profit_factor": None, "best_trade": 5, "worst_trade": 5}),
        (("-5",), {"win_rate_pct": 0.0, "profit_factor": 0.0, "expectancy": Decimal(-5)}),
        (("0", "0"), {"wins": 0, "losses": 0, "win_rate_pct": 0.0, "profit_factor": None}),
        (
            (),
            {
                "pnl": Decimal(0),
                "roi_pct": 0.0,
                "win_rate_pct": None,
                "profit_factor": None,
                "expectancy": None,
                "best_trade": None,
                "worst_trade": None,
                "average_hold_seconds": None,
                "exposure_pct": 0.0,
            },
        ),
    ],
)
def test_trade_figures_by_hand(trades: tuple[str, ...], expected: dict[str, Any]) -> None:
    found = measured(*(closed(pnl) for pnl in trades))
    assert {name: getattr(found, name) for name in expected} == expected


def test_what_is_still_open_counts_in_equity_costs_and_exposure_but_not_in_pnl() -> None:
    opened = StillOpen(
        opened_at=START + timedelta(days=5), fees=Decimal(2), funding=Decimal(-3), net=Decimal(40)
    )
    found = measured(closed("10"), still_open=opened)
    assert (found.pnl, found.trades) == (Decimal(10), 1)
    assert (found.final_equity, found.fees, found.funding) == (Decimal(1_050), Decimal(3), Decimal(-3))
    assert found.exposure_pct == pytest.approx(100 * (5 * 24 + 1) / 240)


@pytest.mark.parametrize(
    ("points", "amount", "percent"),
    [
        ((), "0", 0.0),
        (((1, 1_000), (2, 1_100), (3, 1_200)), "0", 0.0),
        (((1, 1_200), (2, 900), (3, 1_500), (4, 1_150)), "350", 25.0),
        (((1, 900), (2, 950)), "100", 10.0),
        (((1, 500), (2, -500)), "1500", 150.0),
    ],
)
def test_drawdown_is_measured_from_the_highest_point_so_far_the_capital_included(
    points: tuple[tuple[float, float], ...], amount: str, percent: float
) -> None:
    depth, depth_pct = max_drawdown(curve(*points), CAPITAL)
    assert depth == Decimal(amount)
    assert depth_pct == pytest.approx(percent)


def test_a_candle_that_closes_at_midnight_belongs_to_the_day_that_ends() -> None:
    daily = daily_returns(curve((0.5, 1_050), (1, 1_100), (1.5, 1_155), (2, 1_210)), CAPITAL)
    assert daily is not None
    assert daily == pytest.approx([0.1, 0.1])


def test_days_without_candles_are_unchanged() -> None:
    daily = daily_returns(curve((1, 1_100), (4, 1_210)), CAPITAL)
    assert daily is not None
    assert daily == pytest.approx([0.1, 0, 0, 0.1])


def test_sharpe_and_sortino_are_those_of_daily_returns_a_year_of_365_days() -> None:
    daily = np.array([0.02, -0.01, 0.03, -0.02])
    assert sharpe(daily) == pytest.approx(0.005 / np.std(daily, ddof=1) * sqrt(365))
    assert sortino(daily) == pytest.approx(0.005 / sqrt((0.01**2 + 0.02**2) / 4) * sqrt(365))


@pytest.mark.parametrize("daily", [None, [], [0.1], [0.0, 0.0], [0.1, 0.1, 0.1]])
def test_ratios_that_divide_by_nothing_are_none(daily: list[float] | None) -> None:
    returns = None if daily is None else np.array(daily, dtype=np.float64)
    assert sharpe(returns) is None
    assert sortino(returns) is None


def test_months_compound_to_the_whole_and_one_that_began_with_nothing_has_no_return() -> None:
    points = curve((31, 1_100), (45, 1_500), (59, 990), (70, 0), (90, 0), (100, 5))
    months = monthly_returns(points, CAPITAL)
    assert [month.month for month in months] == ["2026-01", "2026-02", "2026-03", "2026-04"]
    assert [month.return_pct for month in months[:3]] == pytest.approx([10, -10, -100])
    assert months[3].return_pct is None
    assert daily_returns(points, CAPITAL) is None


def test_exposure_counts_overlapping_stretches_once_and_nothing_outside_the_range() -> None:
    trades = [closed("1", 0, 24), closed("1", 12, 24), closed("1", 216, 1_000)]
    assert exposure_pct(trades, START, END) == pytest.approx(100 * (36 + 24) / 240)
    assert exposure_pct(trades, START, START) is None


def test_average_hold_is_the_mean_of_exit_less_entry() -> None:
    assert measured(closed("1", 0, 1), closed("1", 4, 3)).average_hold_seconds == 7_200


pnls = st.decimals(min_value=-500, max_value=500, places=8)
accounts = st.lists(st.tuples(pnls, st.integers(0, 300), st.integers(0, 48)), max_size=30)
levels = st.lists(st.floats(-2_000, 1e7, allow_nan=False), max_size=60)


@given(accounts, levels)
def test_no_figure_is_ever_nan_or_infinite(
    trades: list[tuple[Decimal, int, int]], equities: list[float]
) -> None:
    points = curve(*((index / 3, equity) for index, equity in enumerate(equities, start=1)))
    found = measured(*(closed(str(pnl), first, hours) for pnl, first, hours in trades), curve=points)
    for value in msgspec.structs.asdict(found).values():
        assert not isinstance(value, float) or isfinite(value)
        assert not isinstance(value, Decimal) or value.is_finite()
    assert all(month.return_pct is None or isfinite(month.return_pct) for month in found.monthly_returns)


@given(accounts)
def test_pnl_is_the_sum_of_the_trades_and_expectancy_their_mean_in_any_order(
    trades: list[tuple[Decimal, int, int]],
) -> None:
    made = [closed(str(pnl), first, hours) for pnl, first, hours in trades]
    found = measured(*made)
    assert found.pnl == sum((trade.pnl for trade in made), Decimal(0))
    assert found.final_equity == CAPITAL + found.pnl
    assert found.wins + found.losses <= found.trades == len(made)
    assert found.exposure_pct is not None
    assert 0 <= found.exposure_pct <= 100
    assert measured(*reversed(made)) == found
    if made:
        assert found.expectancy is not None
        assert abs(found.expectancy * len(made) - found.pnl) <= Decimal("1e-8") * len(made)


@given(st.lists(st.floats(1, 1e6, allow_nan=False), min_size=1, max_size=60))
def test_drawdown_is_the_largest_fall_between_any_two_points(equities: list[float]) -> None:
    depth, _ = max_drawdown(curve(*enumerate(equities, start=1)), CAPITAL)
    walk = [float(CAPITAL), *equities]
    falls = [walk[first] - walk[last] for last in range(len(walk)) for first in range(last + 1)]
    assert float(depth) == pytest.approx(max(falls), abs=1e-6)


@given(st.lists(st.floats(0.5, 1.5, allow_nan=False), min_size=2, max_size=90))
def test_monthly_returns_compound_to_the_return_of_the_whole(changes: list[float]) -> None:
    equities = (1_000 * np.cumprod(changes)).tolist()
    points = curve(*enumerate(equities, start=1))
    growth = 1.0
    for month in monthly_returns(points, CAPITAL):
        assert month.return_pct is not None
        growth *= 1 + month.return_pct / 100
    assert growth == pytest.approx(equities[-1] / 1_000)
