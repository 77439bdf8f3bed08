"""The market all processes of a seed look at: a seeded walk with jumps, so that stops and liquidations are met."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import numpy as np

from core.candles import COLUMNS, Candle, CandleColumns, aggregate
from core.market import Market, Series, SymbolRules
from core.timeframe import Timeframe, to_ms
from exchanges.symbol_rules import plain_rules

VENUE: Final = "binance"
FINEST: Final = Timeframe.M5
TIMEFRAMES: Final = (Timeframe.M5, Timeframe.M15)
PRICES: Final[Mapping[str, float]] = {"BTCUSDT": 60_000.0, "ETHUSDT": 3_000.0, "SOLUSDT": 150.0}

_STEP: Final = 0.0018
_JUMP: Final = 0.03
_JUMPS: Final = 0.004


class SimulatedMarket:
    """Every candle there will be; `start` is the first one's open."""

    def __init__(self, seed: int, start: datetime, end: datetime) -> None:
        self.rules: dict[str, SymbolRules] = {
            symbol: plain_rules(symbol, price) for symbol, price in PRICES.items()
        }
        self._columns: dict[tuple[str, Timeframe], CandleColumns] = {}
        count = (to_ms(end) - to_ms(start)) // FINEST.ms
        for number, symbol in enumerate(PRICES):
            drawn = np.random.Generator(np.random.PCG64([seed, number]))
            finest = _walk(drawn, PRICES[symbol], to_ms(start), count)
            for timeframe in TIMEFRAMES:
                self._columns[symbol, timeframe] = aggregate(finest, FINEST, timeframe)

    def series(self, symbol: str, timeframe: Timeframe) -> Series:
        return Series(venue=VENUE, market=Market.PERP, symbol=symbol, timeframe=timeframe)

    def columns(self, symbol: str, timeframe: Timeframe) -> CandleColumns:
        return self._columns[symbol, timeframe]

    def between(self, symbol: str, timeframe: Timeframe, start_ms: int, end_ms: int) -> CandleColumns:
        """Candles that open at or after `start_ms` and close at or before `end_ms`."""
        return self._columns[symbol, timeframe].between(start_ms, end_ms - timeframe.ms + 1)

    def candle_at(self, symbol: str, at: datetime) -> Candle:
        """The finest candle `at` lies in."""
        opened = to_ms(FINEST.floor(at))
        return self.between(symbol, FINEST, opened, opened + FINEST.ms).candle(0)


def _walk(drawn: np.random.Generator, price: float, start_ms: int, count: int) -> CandleColumns:
    digits = max(0, -int(plain_rules("X", price).tick_size.as_tuple().exponent))
    steps = drawn.standard_normal(count) * _STEP
    steps += (drawn.random(count) < _JUMPS) * drawn.standard_normal(count) * _JUMP
    level = np.cumsum(steps)
    level -= np.linspace(0.0, level[-1] * 0.5, count)  # it comes back half the way, however far it went
    close = price * np.exp(level)
    open_ = np.concatenate(([price], close[:-1]))
    reach = np.abs(drawn.standard_normal((2, count))) * _STEP
    data = np.empty((len(COLUMNS), count))
    data[0] = start_ms + np.arange(count) * float(FINEST.ms)
    data[1], data[4] = np.round(open_, digits), np.round(close, digits)
    data[2] = np.round(np.maximum(open_, close) * (1 + reach[0]), digits)
    data[3] = np.round(np.minimum(open_, close) * (1 - reach[1]), digits)
    data[5] = np.round(drawn.random(count) * 4e5 / price, 3) + 1
    data[6] = np.round(data[5] * drawn.random(count), 3)
    return CandleColumns(data)


def money(price: float) -> Decimal:
    """A price as the shortest decimal that reads back as it."""
    return Decimal(repr(price))
