"""What a replayed or traded account is worth telling: PnL, ratios, drawdown, exposure, months.

Money is Decimal and exact where it comes from fills. The equity curve marks open positions at market data, which
is float64, and so are the ratios taken from it. A value that is not defined (a win rate without trades, a Sharpe
ratio of one day) is None, never NaN or infinite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import isfinite, sqrt
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from core.candles import FloatArray
from core.position import ZERO

PERIODS_A_YEAR: Final = 365
"""Sharpe and Sortino look at daily returns; crypto trades every day of the year."""

_DAY_MS: Final = 86_400_000
_CENT: Final = Decimal("0.00000001")
# Equity of less than this, USDT, is nothing left: a return on it would say nothing.
_NOTHING: Final = 1e-8
# Below this, differences between daily returns are what float64 leaves of equal ones.
_NO_SPREAD: Final = 1e-12


class ClosedTrade(Protocol):
    """A round trip. `pnl` in USDT, net of fees and funding."""

    @property
    def entry_time(self) -> datetime: ...
    @property
    def exit_time(self) -> datetime: ...
    @property
    def fees(self) -> Decimal: ...
    @property
    def funding(self) -> Decimal: ...
    @property
    def pnl(self) -> Decimal: ...


class StillOpen(msgspec.Struct, frozen=True, kw_only=True):
    """A position the end of the data left open. `net`: what it has made so far, marked, after costs (USDT)."""

    opened_at: datetime
    fees: Decimal
    funding: Decimal
    net: Decimal


class EquityCurve:
    """Equity in USDT at ascending instants (epoch ms), open positions marked; both (n,) float64."""

    __slots__ = ("at_ms", "equity")

    def __init__(self, at_ms: FloatArray, equity: FloatArray) -> None:
        if at_ms.shape != equity.shape or at_ms.ndim != 1:
            raise ValueError(f"a curve has as many instants as values, not {at_ms.shape} and {equity.shape}")
        self.at_ms = at_ms
        self.equity = equity


class MonthReturn(msgspec.Struct, frozen=True, kw_only=True):
    """Return of one UTC month in percent of the equity it began with; `month` is like 2026-01."""

    month: str
    return_pct: float | None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """`pnl` and what derives from it count closed trades; equity, drawdown and ratios mark what is open too."""

    starting_capital: Decimal
    final_equity: Decimal
    pnl: Decimal
    roi_pct: float
    trades: int
    wins: int
    losses: int
    win_rate_pct: float | None
    profit_factor: float | None
    expectancy: Decimal | None
    best_trade: Decimal | None
    worst_trade: Decimal | None
    average_hold_seconds: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: Decimal
    max_drawdown_pct: float
    exposure_pct: float | None
    fees: Decimal
    funding: Decimal
    monthly_returns: tuple[MonthReturn, ...]


def statistics(
    *,
    capital: Decimal,
    trades: Sequence[ClosedTrade],
    curve: EquityCurve,
    start: datetime,
    end: datetime,
    still_open: StillOpen | None = None,
) -> Statistics:
    """Everything the report's headline says about [start, end]. `capital` above 0, USDT."""
    pnls = [trade.pnl for trade in trades]
    wins = [pnl for pnl in pnls if pnl > 0]
    losses = [pnl for pnl in pnls if pnl < 0]
    pnl = sum(pnls, ZERO)
    daily = daily_returns(curve, capital)
    depth, depth_pct = max_drawdown(curve, capital)
    costs: list[ClosedTrade | StillOpen] = [*trades, *([still_open] if still_open else [])]
    return Statistics(
        starting_capital=capital,
        final_equity=capital + pnl + (still_open.net if still_open else ZERO),
        pnl=pnl,
        roi_pct=float(pnl / capital * 100),
        trades=len(trades),
        wins=len(wins),
        losses=len(losses),
        win_rate_pct=100 * len(wins) / len(trades) if trades else None,
        profit_factor=float(sum(wins, ZERO) / -sum(losses, ZERO)) if losses else None,
        expectancy=(pnl / len(trades)).quantize(_CENT) if trades else None,
        best_trade=max(pnls, default=None),
        worst_trade=min(pnls, default=None),
        average_hold_seconds=_average_hold_s(trades),
        sharpe=sharpe(daily),
        sortino=sortino(daily),
        max_drawdown=depth,
        max_drawdown_pct=depth_pct,
        exposure_pct=exposure_pct(trades, start, end, still_open.opened_at if still_open else None),
        fees=sum((cost.fees for cost in costs), ZERO),
        funding=sum((cost.funding for cost in costs), ZERO),
        monthly_returns=monthly_returns(curve, capital),
    )


def daily_returns(curve: EquityCurve, capital: Decimal) -> FloatArray | None:
    """Returns of the UTC days from the first to the last, days without candles being unchanged.

    None where a day began with nothing left, after which no return is defined.
    """
    if not len(curve.at_ms):
        return np.empty(0)
    days, closing = _closings(curve, _days_of(curve.at_ms))
    returns = _returns(closing, capital)
    if returns is None:
        return None
    calendar = np.zeros(int(days[-1] - days[0]) + 1)
    calendar[(days - days[0]).astype(np.int64)] = returns
    return calendar


def sharpe(daily: FloatArray | None) -> float | None:
    """Mean over standard deviation (n − 1) of daily returns, times √365; the riskless rate is taken as 0.

    Source: Sharpe, "The Sharpe Ratio", Journal of Portfolio Management, 1994.
    """
    if daily is None or len(daily) < 2:
        return None
    return _annual(float(daily.mean()), float(daily.std(ddof=1)))


def sortino(daily: FloatArray | None) -> float | None:
    """Mean over downside deviation (root mean square of the returns below 0, over all days), times √365.

    Source: Sortino and Price, "Performance Measurement in a Downside Risk Framework", 1994.
    """
    if daily is None or len(daily) < 2:
        return None
    return _annual(float(daily.mean()), sqrt(float((np.minimum(daily, 0) ** 2).mean())))


def drawdowns(curve: EquityCurve, capital: Decimal) -> tuple[FloatArray, FloatArray]:
    """How far equity stands below its highest point so far, in USDT and in percent of it; both (n,), ≥ 0."""
    peaks = np.maximum(np.maximum.accumulate(curve.equity), float(capital))
    depths: FloatArray = peaks - curve.equity
    return depths, 100 * depths / peaks


def max_drawdown(curve: EquityCurve, capital: Decimal) -> tuple[Decimal, float]:
    """The deepest drawdown in USDT and, which may be another one, in percent of its peak."""
    depths, percents = drawdowns(curve, capital)
    if not len(depths):
        return ZERO, 0.0
    return Decimal(repr(float(depths.max()))).quantize(_CENT), float(percents.max())


def monthly_returns(curve: EquityCurve, capital: Decimal) -> tuple[MonthReturn, ...]:
    """One return per UTC month with candles, oldest first; None where it began with nothing left."""
    if not len(curve.at_ms):
        return ()
    days = _days_of(curve.at_ms).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    months, closing = _closings(curve, days)
    before = float(capital)
    found: list[MonthReturn] = []
    for month, after in zip(months.tolist(), closing.tolist(), strict=True):
        change = 100 * (after / before - 1) if before > _NOTHING else None
        found.append(MonthReturn(month=str(np.datetime64(month, "M")), return_pct=change))
        before = after
    return tuple(found)


def exposure_pct(
    trades: Iterable[ClosedTrade], start: datetime, end: datetime, open_since: datetime | None = None
) -> float | None:
    """Share of [start, end] in which something was held; stretches that overlap count once."""
    if end <= start:
        return None
    stretches = [(trade.entry_time, trade.exit_time) for trade in trades]
    if open_since is not None:
        stretches.append((open_since, end))
    held, until = timedelta(0), start
    for opened, closed in sorted(stretches):
        first, last = max(opened, until), min(closed, end)
        if last > first:
            held += last - first
            until = last
    return 100 * (held / (end - start))


def _average_hold_s(trades: Sequence[ClosedTrade]) -> float | None:
    if not trades:
        return None
    held = sum((trade.exit_time - trade.entry_time for trade in trades), timedelta(0))
    return held.total_seconds() / len(trades)


def _days_of(at_ms: FloatArray) -> npt.NDArray[np.int64]:
    """Number of the UTC day since the epoch. What closes at midnight belongs to the day that ends there."""
    days: npt.NDArray[np.int64] = (at_ms.astype(np.int64) - 1) // _DAY_MS
    return days


def _closings(curve: EquityCurve, periods: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Each period once, and the last equity in it."""
    lasts = np.append(np.flatnonzero(np.diff(periods)), len(periods) - 1)
    return periods[lasts], curve.equity[lasts]


def _returns(closing: FloatArray, capital: Decimal) -> FloatArray | None:
    opening = np.concatenate(([float(capital)], closing[:-1]))
    if bool((opening <= _NOTHING).any()):
        return None
    returns: FloatArray = closing / opening - 1
    return returns


def _annual(mean: float, spread: float) -> float | None:
    if spread <= _NO_SPREAD:
        return None
    ratio = mean / spread * sqrt(PERIODS_A_YEAR)
    return ratio if isfinite(ratio) else None
