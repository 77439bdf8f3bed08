"""Backtests for the report's tests: replayed over the generator, and written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from actors.backtest import BacktestRequest, BacktestResult, BacktestSignal
from core.candles import CandleColumns
from core.ids import AccountId, RunId, UserId
from core.position import Position
from core.timeframe import Timeframe, to_ms
from schema.records import EquityPoint, OpenPosition, Trade

START = datetime(2026, 1, 5, tzinfo=UTC)
RUN, ACCOUNT, USER = RunId(UUID(int=3)), AccountId(UUID(int=2)), UserId("backtest")


def at(candle: int) -> datetime:
    """When the candle opens; one hour each."""
    return START + candle * timedelta(hours=1)


def request(**changes: Any) -> BacktestRequest:
    wanted: dict[str, Any] = {
        "template": "rsi_oversold_overbought",
        "symbol": "BTCUSDT",
        "timeframe": Timeframe.H1,
        "parameters": {"rsi_period": 14, "rsi_oversold": 30.0},
    }
    return BacktestRequest(**{**wanted, **changes})


def columns(closes: Sequence[float]) -> CandleColumns:
    """Hourly candles through `closes`, each opening at the close before."""
    close = np.array(closes, dtype=np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    times = to_ms(START) + np.arange(len(close)) * float(Timeframe.H1.ms)
    volume = np.ones(len(close))
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return CandleColumns(np.vstack([times, opened, high, low, close, volume, volume]))


def trade(side: str, entered: int, left: int, prices: tuple[str, str], pnl: str, **changes: Any) -> Trade:
    made: dict[str, Any] = {
        "id": UUID(int=entered),
        "run_id": RUN,
        "user_id": USER,
        "account_id": ACCOUNT,
        "symbol": "BTCUSDT",
        "side": side,
        "quantity": Decimal(2),
        "entry_time": at(entered),
        "entry_price": Decimal(prices[0]),
        "exit_time": at(left),
        "exit_price": Decimal(prices[1]),
        "fees": Decimal(1),
        "funding": Decimal(0),
        "pnl": Decimal(pnl),
        "exit_reason": "signal",
    }
    return Trade(**{**made, **changes})


def balance(candle: int, amount: str) -> EquityPoint:
    return EquityPoint(account_id=ACCOUNT, at=at(candle), balance=Decimal(amount))


def held(entered: int, quantity: str, price: str) -> OpenPosition:
    """An open position entered at one price, fee 0.5."""
    size = abs(Decimal(quantity))
    position = Position(
        quantity=Decimal(quantity),
        open_cost=size * Decimal(price),
        opened_at=at(entered),
        entered_quantity=size,
        entered_value=size * Decimal(price),
        fees=Decimal("0.5"),
    )
    return OpenPosition(
        run_id=RUN,
        user_id=USER,
        account_id=ACCOUNT,
        symbol="BTCUSDT",
        leverage=1,
        position=position,
        updated_at=at(entered),
    )


def result(closes: Sequence[float] = (100, 110, 120, 110, 100), **changes: Any) -> BacktestResult:
    """A long from the second candle to the fourth, unless `changes` say otherwise."""
    found: dict[str, Any] = {
        "request": request(),
        "origin": "recorded candles (file.csv)",
        "candles": columns(closes),
        "signals": (BacktestSignal(at(1), "long"), BacktestSignal(at(3), "exit_long")),
        "trades": (trade("long", 1, 3, ("100", "120"), "39"),),
        "equity": (balance(1, "9999.5"), balance(3, "10039")),
        "ticks": {("ok", ""): 3, ("blocked", "cooldown"): 2},
        "open_position": None,
        "funding_known": False,
        "run_slots": 5,
        "seconds": 0.25,
    }
    return BacktestResult(**{**found, **changes})
