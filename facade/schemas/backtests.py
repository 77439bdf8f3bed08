"""Backtests: a replay over stored candles, and the parts of what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.ids import RunId, StrategyId
from core.timeframe import Timeframe
from facade.schemas.code import Code, CodeType
from facade.schemas.form import Answer, Asked, Body, Name, NodeGraph, Parameters, Shown
from facade.schemas.jobs import JobShown
from facade.schemas.runs import RunShown
from facade.schemas.strategies import StrategyShown
from facade.schemas.trading import TradingFields

Moment = Annotated[datetime, Meta(tz=True)]


class StartBacktest(TradingFields, frozen=True, kw_only=True):
    """As `bin/runner backtest`, over the stored candles of `venue`. `from`: the first open; `to`: the last close;
    without them all there is. `gates`: under the caller's risk limits, else without any.
    """

    symbol: Annotated[str, Meta(max_length=32)]
    timeframe: Annotated[str, Meta(max_length=8)]
    strategy_template: Annotated[str, Meta(max_length=64)] = "rsi_oversold_overbought"
    strategy_params: Parameters = msgspec.field(default_factory=dict)
    code: Code | None = None
    """Instead of a template; `type` is its language."""
    type: CodeType = CodeType.PYTHON
    node_graph: NodeGraph | None = None
    """Instead of a template."""
    venue: Annotated[str, Meta(max_length=32)] | None = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")
    capital: Decimal | UnsetType = UNSET
    fee_pct: Decimal = Decimal("0.04")
    slippage_pct: Decimal = Decimal(0)
    gates: bool = True


class BacktestShown(Shown, frozen=True, kw_only=True):
    """`replayed`, `summary` and the rest, as in the document of `backtest --json`, once it is done."""

    job: JobShown
    template: str
    params: Mapping[str, Any]
    venue: str
    symbol: str
    timeframe: str
    summary: Mapping[str, Any] | None


class BacktestAnswer(Answer, frozen=True, kw_only=True):
    id: UUID
    backtest: BacktestShown
    candles: int | None = None
    seconds: float | None = None
    replayed: Mapping[str, Any] | None = None
    open_position: Mapping[str, Any] | None = None
    ticks: tuple[Mapping[str, Any], ...] = ()


class BacktestsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    backtests: tuple[BacktestShown, ...]
    next_cursor: str | None = None


class BacktestTradesAnswer(Answer, frozen=True, kw_only=True):
    """Round trips in the order they ended, as in the document of `backtest --json`."""

    trades: tuple[Mapping[str, Any], ...]
    total: int
    next_cursor: str | None = None


class EquityPointShown(Shown, frozen=True, kw_only=True):
    at: datetime
    equity_usdt: float
    drawdown_usdt: float


class BacktestEquityAnswer(Answer, frozen=True, kw_only=True):
    """The whole curve, oldest first: of more than 5,000 candles those with the extremes of every stretch."""

    points: tuple[EquityPointShown, ...]


class BacktestChartAnswer(Answer, frozen=True, kw_only=True):
    """The candles as parallel lists, times of their opens in epoch seconds; of more than 2,500 larger ones, or the
    newest.
    """

    timeframe: Timeframe
    times: tuple[int, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]


class GoLive(Body, frozen=True, kw_only=True):
    """On a connection or portfolio of the caller's; on neither: a new paper portfolio with the backtest's terms."""

    connection_id: UUID | None = None
    portfolio_id: UUID | None = None
    name: Name | None = None


class WentLiveAnswer(Answer, frozen=True, kw_only=True):
    """A strategy and a draft run with the backtest's settings; start it to trade."""

    id: StrategyId
    strategy: StrategyShown
    run_id: RunId
    run: RunShown


class BacktestAsked(Asked, frozen=True, kw_only=True):
    wait_sec: Annotated[float, Meta(ge=0, le=10)] = 0
