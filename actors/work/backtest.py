"""A backtest over stored candles, by the engine of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from actors.backtest import BacktestRequest, BacktestResult, Progress, run_backtest
from actors.prepared import prepare
from actors.work.stored import StoredRange
from core.definition import StrategyDefinition
from core.ids import StrategyId, UserId
from core.strategy import WantedWindow
from schema.pg_candles import PgCandles


class BacktestJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is replayed, and whose candles."""

    venue: str
    request: BacktestRequest


def replay_stored(job: BacktestJob, market: PgCandles, progress: Progress) -> BacktestResult:
    """Raises RunnerError for what cannot be replayed."""
    request = job.request
    stored = StoredRange(market, job.venue, start=request.start, end=request.end)
    source = stored.source(windows_of(request, job.venue))
    return run_backtest(request, source, progress=progress)


def windows_of(request: BacktestRequest, venue: str) -> Sequence[WantedWindow]:
    """What the strategy looks at; of one series the longest window first, as the first is what is loaded."""
    asked_for = msgspec.structs.replace(strategy_asked_for(request), venue=venue)
    return sorted(prepare(asked_for).all_windows, key=lambda each: -each.lookback)


def strategy_asked_for(request: BacktestRequest) -> StrategyDefinition:
    """What is replayed, before it is known on whose candles."""
    return StrategyDefinition(
        id=StrategyId(UUID(int=0)),
        owner_id=UserId("backtest"),
        name=request.template,
        template=request.template,
        kind=request.kind,
        source=request.source,
        parameters=request.parameters,
        symbol=request.symbol,
        timeframe=request.timeframe,
    )
