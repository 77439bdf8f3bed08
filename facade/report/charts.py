"""What the page draws: candles, trade markers, equity and drawdown, thinned to what a browser shows well."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np

from actors.backtest import BacktestResult
from core.candles import CandleColumns, FloatArray, aggregate
from core.statistics import drawdowns
from core.timeframe import Timeframe, to_ms
from facade.report.equity import equity_curve

MAX_CANDLES: Final = 20_000
MAX_POINTS: Final = 4_000
MAX_MARKED_TRADES: Final = 5_000


def chart_data(result: BacktestResult, price_digits: int) -> dict[str, Any]:
    """Plain lists, times in epoch seconds."""
    timeframe, candles = thinned_candles(result)
    return {
        "timeframe": timeframe,
        "digits": price_digits,
        "candles": {
            "time": _seconds(candles.open_time),
            **{name: getattr(candles, name).tolist() for name in ("open", "high", "low", "close")},
        },
        "markers": _markers(result, timeframe, candles),
        "equity": _equity(result),
        "indicators": _indicators(result),
    }


def thinned_candles(result: BacktestResult, most: int = MAX_CANDLES) -> tuple[Timeframe, CandleColumns]:
    """The candles themselves, or the finest larger ones that are at most `most`; the newest where that is no way.

    Larger candles are built from whole ones only, so a hole can hide the candles beside it.
    """
    own = result.request.timeframe
    if len(result.candles) <= most:
        return own, result.candles
    larger = [each for each in Timeframe if each.seconds > own.seconds and own.divides(each)]
    for timeframe in larger:
        candles = aggregate(result.candles, own, timeframe)
        if 0 < len(candles) <= most:
            return timeframe, candles
    newest = len(result.candles)
    return own, result.candles.part(newest - most, newest)


def lowest_and_highest(equity: FloatArray, most: int) -> list[int]:
    """Indices, ascending and at most `most`, that keep the extremes of every stretch, and both ends."""
    count = len(equity)
    if count <= most:
        return list(range(count))
    edges = np.linspace(0, count, (most - 2) // 2 + 1).astype(int).tolist()
    kept = {0, count - 1}
    for first, stop in pairwise(edges):
        stretch = equity[first:stop]
        kept |= {first + int(stretch.argmin()), first + int(stretch.argmax())}
    return sorted(kept)


def _equity(result: BacktestResult) -> dict[str, list[float]]:
    curve = equity_curve(result)
    _, percents = drawdowns(curve, result.request.settings.capital)
    kept = lowest_and_highest(curve.equity, MAX_POINTS)
    return {
        "time": _seconds(curve.at_ms[kept]),
        "equity": curve.equity[kept].round(2).tolist(),
        "drawdown": (-percents[kept]).round(3).tolist(),
    }


def _indicators(result: BacktestResult) -> dict[str, Any] | None:
    """What the strategy wants seen: columns by name, a null where slots before it were not evaluated.

    Of many slots those with the extremes of the first chart's first line.
    """
    charted = result.charted
    if charted is None:
        return None
    kept = lowest_and_highest(charted.values[:, 0], MAX_POINTS)
    step_ms = result.request.timeframe.ms
    # The number of whole stretches before each slot: where it changes, something is missing in between.
    stretch = np.cumsum(np.append(0, np.diff(charted.slot_ms) > step_ms))[kept]
    ends = np.flatnonzero(np.diff(stretch)) + 1
    at_ms, values = charted.slot_ms[kept], charted.values[kept]
    times = np.insert(at_ms, ends, at_ms[ends - 1] + step_ms)
    columns = np.insert(values, ends, np.nan, axis=0).round(3)
    return {
        "time": _seconds(times),
        "values": {
            name: [None if value != value else value for value in columns[:, place].tolist()]
            for place, name in enumerate(charted.names)
        },
        "charts": [msgspec.structs.asdict(chart) for chart in charted.charts],
    }


def _markers(result: BacktestResult, timeframe: Timeframe, candles: CandleColumns) -> list[dict[str, Any]]:
    """Entries and exits of the newest trades, each on the candle shown that holds it, oldest first."""
    if not len(candles):
        return []
    first_ms, last_ms = int(candles.open_time[0]), int(candles.open_time[-1])
    marks: list[tuple[int, dict[str, Any]]] = []
    for trade in result.trades[-MAX_MARKED_TRADES:]:
        won = trade.pnl > 0
        for at, leg in ((trade.entry_time, "entry"), (trade.exit_time, "exit")):
            marks.append((to_ms(at), {"leg": leg, "side": trade.side, "won": won}))
    held = result.open_position
    if held is not None and held.position.opened_at is not None and held.position.side is not None:
        opened = {"leg": "entry", "side": held.position.side, "won": False}
        marks.append((to_ms(held.position.opened_at), opened))
    placed = [
        {"time": min(at - at % timeframe.ms, last_ms) // 1000, **mark} for at, mark in marks if at >= first_ms
    ]
    return sorted(placed, key=lambda mark: mark["time"])


def _seconds(at_ms: FloatArray) -> list[int]:
    return (at_ms.astype(np.int64) // 1000).tolist()  # type: ignore[no-any-return]
