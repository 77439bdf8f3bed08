"""Positions and candles for the tables of the paper venue's tests."""

from __future__ import annotations

from decimal import Decimal

from core.candles import Candle
from core.position import FLAT, Fill, OrderSide, Position, apply_fill
from core.timeframe import to_ms
from tests.exchanges.conformance.venue import START


def position(side: OrderSide, entry: str = "1000", quantity: str = "0.1") -> Position:
    fill = Fill(
        trade_id="t",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(entry),
        commission=Decimal(0),
        executed_at=START,
    )
    return apply_fill(FLAT, fill).position


def candle(open_: float, high: float, low: float, close: float, volume: float = 1e6) -> Candle:
    return Candle(open_time_ms=to_ms(START), open=open_, high=high, low=low, close=close, volume=volume)
