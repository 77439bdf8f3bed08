"""Volume delta: what takers bought less what they sold, candle by candle; its running sum is the CVD.

History tells it by candle, 2·taker_buy_volume − volume. Live trades become candles by the second first
(`candles_of_seconds`), so that one function reads both. It counts in 1e-8 of the base: whole numbers, whose sums are
exact up to 2^53 of them.
"""

from __future__ import annotations

import numpy as np

from core.candles import COLUMNS, CandleColumns, FloatArray, empty
from core.timeframe import Timeframe
from core.trade_flow import UNITS, FlowColumns

_SECOND_MS = 1_000


def volume_delta(candles: CandleColumns) -> FloatArray:
    """Each candle's, in 1e-8; NaN where the source tells nothing of takers."""
    bought, traded = np.rint(candles.taker_buy_volume * UNITS), np.rint(candles.volume * UNITS)
    delta: FloatArray = 2 * bought - traded
    return delta


def cumulative_delta(candles: CandleColumns) -> FloatArray:
    """The CVD from 0 before the first candle on, in base units."""
    cvd: FloatArray = np.cumsum(volume_delta(candles)) / UNITS
    return cvd


def candles_of_seconds(flow: FlowColumns, timeframe: Timeframe) -> CandleColumns:
    """Candles of whole seconds alone; one with a second that is not known whole, or no price yet, is left out.

    Prices are those the seconds ended with: what lay between two trades of one second is not in them.
    """
    width = timeframe.seconds
    skipped = (-flow.first_ms // _SECOND_MS) % width
    count = (len(flow.complete) - skipped) // width
    if count <= 0:
        return empty()
    part = slice(skipped, skipped + count * width)
    prices = flow.price[part].reshape(count, width)
    bought = flow.buy[part].reshape(count, width).sum(axis=1)
    sold = flow.sell[part].reshape(count, width).sum(axis=1)
    data = np.empty((len(COLUMNS), count))
    data[0] = flow.first_ms + (skipped + np.arange(count) * width) * _SECOND_MS
    data[1:5] = np.array([prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, -1]]) / UNITS
    data[5], data[6] = (bought + sold) / UNITS, bought / UNITS
    whole = flow.complete[part].reshape(count, width).all(axis=1) & (prices > 0).all(axis=1)
    return CandleColumns(data[:, whole])
