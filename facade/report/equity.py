"""The equity curve of a backtest: the account's balance, with what is open marked at each candle's close."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from actors.backtest import BacktestResult
from core.candles import FloatArray
from core.position import Side
from core.statistics import EquityCurve, StillOpen
from core.timeframe import to_ms


def equity_curve(result: BacktestResult) -> EquityCurve:
    """One value per candle, at its close.

    A closed trade is marked with its whole quantity from entry to exit, so one that was closed in parts counts
    what was already taken twice until it is flat.
    """
    timeframe = result.request.timeframe
    closes = result.candles.close
    at_ms = result.candles.open_time + timeframe.ms
    equity = _balances(result, at_ms)
    for trade in result.trades:
        first, last = np.searchsorted(at_ms, (to_ms(trade.entry_time), to_ms(trade.exit_time)))
        sign = 1.0 if trade.side == Side.LONG else -1.0
        moved = closes[first:last] - float(trade.entry_price)
        equity[first:last] += sign * float(trade.quantity) * moved
    held = result.open_position
    if held is not None and held.position.opened_at is not None:
        first = int(np.searchsorted(at_ms, to_ms(held.position.opened_at)))
        moved = closes[first:] - float(held.position.entry_price)
        equity[first:] += float(held.position.quantity) * moved
    return EquityCurve(at_ms, equity)


def still_open(result: BacktestResult) -> StillOpen | None:
    """What the open position has made so far, at the last close; None when the data ended flat."""
    held = result.open_position
    if held is None or held.position.opened_at is None:
        return None
    position, opened_at = held.position, held.position.opened_at
    marked = position.unrealised(last_price(result))
    return StillOpen(
        opened_at=opened_at,
        fees=position.fees,
        funding=position.funding,
        net=position.realised_gross - position.fees + position.funding + marked,
    )


def last_price(result: BacktestResult) -> Decimal:
    return Decimal(repr(float(result.candles.close[-1])))


def _balances(result: BacktestResult, at_ms: FloatArray) -> FloatArray:
    """The balance at each instant: what the last fill or funding up to it left."""
    points = result.equity
    levels = np.array([float(result.request.settings.capital), *(float(point.balance) for point in points)])
    changes = np.array([to_ms(point.at) for point in points], dtype=np.float64)
    balances: FloatArray = levels[np.searchsorted(changes, at_ms, side="right")]
    return balances
