"""From a job's parameters to its result, by kind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace

from actors.backtest import BacktestResult
from actors.market_clock import MarketClock
from actors.venue_budgets import SharedVenueBudgets
from actors.work.backfill import BackfillJob, fill_holes, venue_rest
from actors.work.backtest import BacktestJob, replay_stored
from actors.work.what_if import WhatIfJob, what_if
from core.job import JobKind
from core.statistics import drawdowns
from facade.report.charts import lowest_and_highest, thinned_candles
from facade.report.document import document
from facade.report.equity import equity_curve
from facade.report.page import report_page
from facade.work.files import CHART, EQUITY, REPORT, SIGNALS, TRADES
from facade.work.order import WorkOrder
from facade.work.progress import Told
from schema import pg_platform
from schema.pg_candles import PgCandles
from schema.pg_database import Database
from schema.pg_venue_budgets import PgVenueBudgets

MAX_EQUITY_POINTS: Final = 5_000
MAX_CHART_CANDLES: Final = 2_500


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`figures` for the row, `files` for what is too large for it."""

    figures: Mapping[str, Any]
    files: Mapping[str, bytes] = {}


Task = Callable[[Mapping[str, Any], Database, WorkOrder, Told], Outcome]


def backtest(params: Mapping[str, Any], database: Database, order: WorkOrder, told: Told) -> Outcome:
    job = msgspec.convert(params, BacktestJob)
    job = replace(job, request=replace(job.request, sandbox=order.sandbox))
    return backtest_outcome(replay_stored(job, PgCandles(database), told))


def backtest_outcome(result: BacktestResult) -> Outcome:
    """The document of the command line: its lists apart, the rest in the row."""
    told = document(result)
    figures = {name: value for name, value in told.items() if name not in ("trades", "signals")}
    files = {
        REPORT: report_page(result, told).encode(),
        TRADES: msgspec.json.encode(told["trades"]),
        SIGNALS: msgspec.json.encode(told["signals"]),
        EQUITY: msgspec.json.encode(_equity(result)),
        CHART: msgspec.json.encode(_chart(result)),
    }
    return Outcome(figures=plain_json(figures), files=files)


def plain_json(value: Mapping[str, Any] | msgspec.Struct) -> Mapping[str, Any]:
    """As JSON has it: times as text, figures that are no number as null."""
    plain: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return plain


def _equity(result: BacktestResult) -> list[list[float]]:
    """[time in ms, equity, drawdown]: of more than MAX_EQUITY_POINTS those with the extremes of every stretch."""
    curve = equity_curve(result)
    depths, _ = drawdowns(curve, result.request.settings.capital)
    kept = lowest_and_highest(curve.equity, MAX_EQUITY_POINTS)
    columns = (curve.at_ms[kept].astype(np.int64), curve.equity[kept].round(8), depths[kept].round(8))
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _chart(result: BacktestResult) -> dict[str, Any]:
    timeframe, candles = thinned_candles(result, MAX_CHART_CANDLES)
    return {"timeframe": timeframe, "times": [int(at // 1000) for at in candles.open_time.tolist()]} | {
        name: getattr(candles, name).tolist() for name in ("open", "high", "low", "close")
    }


def backfill(params: Mapping[str, Any], database: Database, order: WorkOrder, told: Told) -> Outcome:
    job = msgspec.convert(params, BackfillJob)
    clock = MarketClock(database.run(pg_platform.clock), time.monotonic)
    budgets = SharedVenueBudgets(PgVenueBudgets(database), ThreadPoolExecutor(1))
    rest = order.rest.get(job.series.venue)
    came = asyncio.run(
        fill_holes(job, PgCandles(database), venue_rest(job.series, rest, budgets, clock), told)
    )
    return Outcome(figures=msgspec.to_builtins(came))


def what_if_changed(params: Mapping[str, Any], database: Database, order: WorkOrder, told: Told) -> Outcome:
    return Outcome(
        figures=plain_json(
            what_if(msgspec.convert(params, WhatIfJob), PgCandles(database), told, order.sandbox)
        )
    )


TASKS: Final[Mapping[JobKind, Task]] = {
    JobKind.BACKTEST: backtest,
    JobKind.BACKFILL: backfill,
    JobKind.WHAT_IF: what_if_changed,
}
