"""The backtest: the whole actor system on a virtual clock over stored candles, with the in-memory store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from core.candles import CandleColumns
from core.ids import UserId
from core.risk import RiskLimits
from core.run import RunSettings
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource
from schema.records import EquityPoint, OpenPosition, Trade

Progress = Callable[[int, int], None]
"""Called with (slots done, slots in all), at most a few hundred times a run."""


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay. `limits` None: no risk gates. `start`, `end` None: all the source has."""

    template: str
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


class BacktestSignal(msgspec.Struct, frozen=True):
    """What the strategy answered at a slot, before the run's direction and gates; holds are left out."""

    slot: datetime
    action: str


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """`ticks` counts tick rows by (status, reason); `funding_known`: the source had a funding series."""

    request: BacktestRequest
    origin: str
    candles: CandleColumns
    signals: tuple[BacktestSignal, ...]
    trades: tuple[Trade, ...]
    equity: tuple[EquityPoint, ...]
    ticks: Mapping[tuple[str, str], int]
    open_position: OpenPosition | None
    funding_known: bool
    run_slots: int
    seconds: float


def run_backtest(
    request: BacktestRequest, source: CandleSource, *, progress: Progress | None = None
) -> BacktestResult:
    """Replay `request` over `source`. Raises RunnerError sentences for what cannot be replayed."""
    raise NotImplementedError
