"""Flow to look at: made by hand, and of real candles, recorded where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.candles import CandleColumns
from core.market import Market, Series
from core.strategies.squeezeflow.flow import Flow, candles_needed
from core.timeframe import Timeframe
from exchanges.feeds.base import candles_of
from exchanges.feeds.files import FolderCandles
from exchanges.feeds.generator import GeneratedMarket

BASE = Timeframe.M5
NEED = candles_needed(BASE)
Floats = NDArray[np.float64]
GENERATED_FROM = datetime(2026, 2, 1, tzinfo=UTC)
RECORDED_FROM = datetime(2025, 8, 26, tzinfo=UTC)


def drawn(seed: int) -> Flow:
    """Random flow on a price grid of 0.5, on which mirroring is exact."""
    random = np.random.default_rng(seed)
    closes = 60_000 + np.cumsum(random.integers(-40, 41, NEED)) * 0.5
    opens = np.concatenate(([60_000.0], closes[:-1]))
    reach = random.integers(0, 20, (2, NEED)) * 0.5
    together = random.integers(-50, 51, NEED)
    return Flow(
        base=BASE,
        open=opens,
        high=np.maximum(opens, closes) + reach[0],
        low=np.minimum(opens, closes) - reach[1],
        close=closes,
        volume=np.round(random.gamma(2.0, 50.0, NEED), 3),
        spot=(together + random.integers(-80, 81, NEED)) * 1e6,
        perp=(together + random.integers(-80, 81, NEED)) * 1e6,
    )


def calm(**last: list[float]) -> Flow:
    """A day of small moves to and fro, of size 1 in every column; then the last values given for a column.

    `price`: closes; highs and lows lie half a point beyond opens and closes.
    """
    swing = np.where(np.arange(NEED) % 2, 1.0, -1.0)
    columns = {name: swing.copy() for name in ("spot", "perp", "price")}
    columns["price"] += 1_000.0
    columns["volume"] = np.ones(NEED)
    for name, values in last.items():
        columns[name][-len(values) :] = values
    close = columns["price"]
    opens = np.concatenate((close[:1], close[:-1]))
    return Flow(
        base=BASE,
        open=opens,
        high=np.maximum(opens, close) + 0.5,
        low=np.minimum(opens, close) - 0.5,
        close=close,
        volume=columns["volume"],
        spot=columns["spot"],
        perp=columns["perp"],
    )


def mirrored(flow: Flow) -> Flow:
    """What was bought is sold, and the price goes the other way."""
    top = 120_000.0
    return Flow(
        base=flow.base,
        open=top - flow.open,
        high=top - flow.low,
        low=top - flow.high,
        close=top - flow.close,
        volume=flow.volume,
        spot=-flow.spot,
        perp=-flow.perp,
    )


def markets(folder: Path | None, symbol: str, days: float) -> Mapping[Market, CandleColumns]:
    """Spot and perpetual, 5m; of the generator where nothing is recorded."""
    source = GeneratedMarket(5) if folder is None else FolderCandles(folder)
    start = GENERATED_FROM if folder is None else RECORDED_FROM
    end = start + timedelta(days=days)
    return {
        market: candles_of(
            source, Series(venue=source.venue, market=market, symbol=symbol, timeframe=BASE), start, end
        )
        for market in Market
    }
