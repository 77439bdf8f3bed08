"""Candles for tests: walks made by Hypothesis, flats and jumps included, and the seeded market."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from hypothesis import strategies as st

from core.candles import Candle, CandleColumns
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.generator import GeneratedMarket

START = datetime(2026, 1, 5, tzinfo=UTC)


def candle(index: int, price: float = 100.0, timeframe: Timeframe = Timeframe.M5, **changes: float) -> Candle:
    """The candle `index` intervals after START, flat at `price` unless said otherwise."""
    values = {"open": price, "high": price, "low": price, "close": price, "volume": 1.0, **changes}
    return Candle(open_time_ms=to_ms(START) + index * timeframe.ms, **values)


def slot_of(index: int, timeframe: Timeframe = Timeframe.M5) -> datetime:
    """When the candle `index` closes."""
    return START + (index + 1) * timeframe.delta


def columns_of(closes: Sequence[float], timeframe: Timeframe = Timeframe.M1) -> CandleColumns:
    """Candles through `closes`, each opening at the close before, with a wick of a thousandth."""
    close = np.array(closes, dtype=np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    at = to_ms(START) + np.arange(len(close)) * float(timeframe.ms)
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    volume = np.ones(len(close))
    return CandleColumns(np.vstack([at, opened, high, low, close, volume, volume * 0.5]))


def generated(count: int, seed: int = 7, timeframe: Timeframe = Timeframe.M1) -> CandleColumns:
    market = GeneratedMarket(seed, ("BTCUSDT",))
    return market.candles("BTCUSDT", timeframe, START, START + count * timeframe.delta)


def _walk(pieces: list[tuple[int, int, float]]) -> list[float]:
    """Pieces of (kind, length, size): flat, drift, zigzag, jump; on a tick grid, so that equal closes occur."""
    price, closes = 100.0, [100.0]
    for kind, length, size in pieces:
        if kind == 3:
            price = max(1.0, round(price * (1 + size), 2))
        for step in range(length):
            move = (0.0, size, size if step % 2 else -size, 0.0)[kind]
            price = max(1.0, round(price * (1 + move / 50), 2))
            closes.append(price)
    return closes


walks = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 120), st.floats(-0.3, 0.3, allow_nan=False)),
    min_size=1,
    max_size=14,
).map(_walk)
"""Close series of up to 1,700 candles."""
