"""Replay speed in run-slots per second (decision 30): one run, long only, all gates on, on both paths.

The limit beside it is what the same candles cost without one: TA-Lib's RSI over the array, then a plain walk.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import talib

from actors.backtest import BacktestRequest, ReplayPath, run_backtest
from bin.commands.backtest_run import progress_bar
from bin.commands.backtest_source import GENERATOR_SEED, SourceChoice
from core.candles import CandleColumns
from core.errors import RunnerError
from core.market import Market, Series
from core.run import Direction, RunSettings
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource, ColumnSource, coverage_of
from exchanges.feeds.candle_file import read_candle_file
from exchanges.feeds.files import named_series
from exchanges.feeds.generator import FIRST_DAY, GeneratedMarket

PERIOD: Final = 14
OVERSOLD: Final = 30.0
OVERBOUGHT: Final = 70.0
FEE: Final = 0.0004
FAST_REPEATS: Final = 3
"""What takes a tenth of a second is told by its quickest time."""
SYMBOL: Final = "BTCUSDT"
GENERATED_FROM: Final = FIRST_DAY + timedelta(days=365)


def measure(*, count: int, file: Path | None) -> dict[str, Any]:
    """`bench replay --json`: over `file`, or over `count` generated minutes."""
    source, symbol, timeframe = generated(count) if file is None else _recorded(file)
    request = long_only(symbol, timeframe)
    with progress_bar() as progress:
        task = progress.add_task("replaying", total=None)
        result = run_backtest(
            request,
            source,
            path=ReplayPath.ACTORS,
            progress=lambda done, slots: progress.update(task, completed=done, total=slots),
        )
    fast = min(
        (run_backtest(request, source, path=ReplayPath.FAST) for _ in range(FAST_REPEATS)),
        key=lambda replayed: replayed.seconds,
    )
    if (fast.trades, fast.ticks) != (result.trades, result.ticks):
        raise RunnerError("The two paths of the replay disagree; tests/actors/fast_path says where.")
    seconds, limit_trades = min(limit(result.candles) for _ in range(FAST_REPEATS))
    return {
        "candles": len(result.candles),
        "actorsPerSecond": round(result.run_slots / result.seconds),
        "fastPerSecond": round(fast.run_slots / fast.seconds),
        "limitPerSecond": round(len(result.candles) / seconds),
        "trades": len(result.trades),
        "limitTrades": limit_trades,
        "seconds": round(result.seconds, 2),
        "origin": result.origin,
        "ticks": {" ".join(filter(None, key)): number for key, number in result.ticks.items()},
    }


def long_only(symbol: str, timeframe: Timeframe) -> BacktestRequest:
    """The run that is measured, all gates on."""
    settings = RunSettings(direction=Direction.LONG)
    template = "rsi_oversold_overbought"
    return BacktestRequest(template=template, symbol=symbol, timeframe=timeframe, settings=settings)


def generated(count: int) -> tuple[CandleSource, str, Timeframe]:
    market, timeframe = GeneratedMarket(GENERATOR_SEED), Timeframe.M1
    columns = market.candles(SYMBOL, timeframe, GENERATED_FROM, GENERATED_FROM + timeframe.delta * count)
    series = Series(venue=market.venue, market=Market.PERP, symbol=SYMBOL, timeframe=timeframe)
    return (
        ColumnSource(origin=market.origin, venue=market.venue, series={series: columns}),
        SYMBOL,
        timeframe,
    )


def _recorded(file: Path) -> tuple[CandleSource, str, Timeframe]:
    candles, named = read_candle_file(file), named_series(file)
    symbol = SYMBOL if named is None else named.symbol
    if len(coverage_of(candles.columns, candles.timeframe).stretches) > 1:
        raise RunnerError(f"{file.name} has holes; the benchmark compares candle by candle.")
    choice = SourceChoice(symbol=symbol, timeframe=candles.timeframe, files=(file,))
    return choice.open(), symbol, candles.timeframe


def limit(candles: CandleColumns) -> tuple[float, int]:
    """Seconds and round trips of the least that can be done: no gates, no sizing, nothing stored."""
    began_s = perf_counter()
    rsi = talib.RSI(candles.close, timeperiod=PERIOD).tolist()
    opens = candles.open.tolist()
    entry, pnl, trades = 0.0, 0.0, 0
    for index in range(PERIOD, len(opens) - 1):
        value = rsi[index]
        if entry:
            if value > OVERBOUGHT:
                exit_ = opens[index + 1]
                pnl += exit_ - entry - FEE * (entry + exit_)
                entry = 0.0
                trades += 1
        elif value < OVERSOLD:
            entry = opens[index + 1]
    return perf_counter() - began_s, trades
