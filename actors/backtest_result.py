"""What a backtest is asked and what it answers, whichever path replays it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from actors.sandbox.host import Limits
from core.candles import CandleColumns, FloatArray
from core.definition import StrategyDefinition, StrategyKind
from core.errors import RunnerError
from core.ids import AccountId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Run, RunSettings
from core.strategies import strategy_of
from core.strategy import Declared, IndicatorChart
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource
from schema.records import Account, EquityPoint, OpenPosition, Trade

MAX_LEVERAGE: Final = 125
STRATEGY_ID: Final = StrategyId(UUID(int=1))
ACCOUNT_ID: Final = AccountId(UUID(int=2))
RUN_ID: Final = RunId(UUID(int=3))

NO_GATES: Final = RiskLimits(
    daily_max_loss_usdt=Decimal(10) ** 15,
    max_trades_per_day=10**9,
    max_consecutive_losses=10**9,
    cooldown_after_trade_s=Decimal(0),
    pause_duration_min=Decimal(1),
)

Progress = Callable[[int, int], None]
"""Called with (slots done, slots in all), at most a few hundred times a run."""


class ReplayPath(StrEnum):
    """`fast`: the strategy's array form, then only slots that can change anything. `actors`: every slot, as live."""

    AUTO = "auto"
    FAST = "fast"
    ACTORS = "actors"


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay. `limits` None: no risk gates. `start`, `end` None: all the source has. `sandbox`: for code."""

    template: str
    kind: StrategyKind = StrategyKind.TEMPLATE
    source: str = ""
    symbol: str
    timeframe: Timeframe
    parameters: Mapping[str, int | float | bool | str] = {}
    start: datetime | None = None
    end: datetime | None = None
    settings: RunSettings = RunSettings()
    limits: RiskLimits | None = RiskLimits()
    taker_fee_pct: Decimal = Decimal("0.04")
    maker_fee_pct: Decimal = Decimal("0.02")
    slippage_pct: Decimal = Decimal(0)
    participation_pct: Decimal = Decimal(100)
    user_id: UserId = UserId("backtest")
    sandbox: Limits = Limits()


class BacktestSignal(msgspec.Struct, frozen=True):
    """What the strategy answered at a slot, before the run's direction and gates; holds are left out."""

    slot: datetime
    action: str


class Charted(msgspec.Struct, frozen=True, kw_only=True):
    """Indicators slot by slot, where the strategy was evaluated: one row a slot, one column a name."""

    charts: tuple[IndicatorChart, ...]
    names: tuple[str, ...]
    slot_ms: FloatArray
    values: FloatArray


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """`ticks` counts tick rows by (status, reason); `funding_known`: the source had a funding series.

    `path` replayed it; `path_reason` says why, where the fast path was not taken. `charted`: what the strategy wants
    to be seen.
    """

    request: BacktestRequest
    origin: str
    candles: CandleColumns
    signals: Sequence[BacktestSignal]
    trades: Sequence[Trade]
    equity: Sequence[EquityPoint]
    ticks: Mapping[tuple[str, str], int]
    open_position: OpenPosition | None
    funding_known: bool
    run_slots: int
    seconds: float
    path: ReplayPath = ReplayPath.ACTORS
    path_reason: str | None = None
    charted: Charted | None = None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What is replayed: slots from first to last, and the candles loaded for them (warm-up included)."""

    first_slot: datetime
    last_slot: datetime
    loaded: tuple[datetime, datetime]


def declared_by(request: BacktestRequest) -> Declared:
    """What is replayed, as far as its parameters go. Raises RunnerError sentences where there is no such strategy."""
    return strategy_of(_definition(request))


def definition_of(request: BacktestRequest, source: CandleSource) -> StrategyDefinition:
    market = source.market(request.symbol).value
    return replace(_definition(request), venue=source.venue, market=market)


def _definition(request: BacktestRequest) -> StrategyDefinition:
    return StrategyDefinition(
        id=STRATEGY_ID,
        owner_id=request.user_id,
        name=request.template,
        template=request.template,
        kind=request.kind,
        source=request.source,
        parameters=request.parameters,
        symbol=request.symbol,
        timeframe=request.timeframe,
    )


def span_of(request: BacktestRequest, source: CandleSource, lead: timedelta) -> Span:
    """`lead`: how far before the first slot the oldest candle opens that is looked at."""
    timeframe = request.timeframe
    coverage = source.coverage(request.symbol, timeframe)
    if coverage is None:
        raise RunnerError(f"There are no {timeframe} candles of {request.symbol}.")
    start = coverage.start if request.start is None else request.start
    end = coverage.end if request.end is None else request.end
    held = f"{coverage.start:%Y-%m-%d %H:%M} to {coverage.end:%Y-%m-%d %H:%M} UTC"
    if start >= end:
        raise RunnerError(f"The range starts at {start:%Y-%m-%d %H:%M}, which is not before its end.")
    if start >= coverage.end or end <= coverage.start:
        raise RunnerError(f"The range lies outside the {request.symbol} candles, which cover {held}.")
    first = timeframe.next_close(max(start, coverage.start))
    last = timeframe.floor(min(end, coverage.end))
    if last < first:
        raise RunnerError(f"The range holds no whole {timeframe} candle; the candles cover {held}.")
    # What lies further back no window shows; a source may hold far more than can be loaded.
    return Span(first_slot=first, last_slot=last, loaded=(first - lead, last))


def account_of(request: BacktestRequest) -> Account:
    """The portfolio of a backtest, untouched."""
    return Account(
        id=ACCOUNT_ID,
        user_id=request.user_id,
        name="backtest",
        bankroll=request.settings.capital,
        balance=request.settings.capital,
        maker_fee_pct=request.maker_fee_pct,
        taker_fee_pct=request.taker_fee_pct,
        slippage_pct=request.slippage_pct,
        participation_pct=request.participation_pct,
        max_leverage=MAX_LEVERAGE,
    )


def run_of(request: BacktestRequest, definition: StrategyDefinition) -> Run:
    """The one run of a backtest, a draft."""
    return Run(
        id=RUN_ID,
        user_id=request.user_id,
        strategy=definition,
        account_id=ACCOUNT_ID,
        settings=request.settings,
    )
