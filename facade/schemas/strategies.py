"""Strategies with the caller's runs of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.definition import Visibility
from core.ids import RunId, StrategyId
from core.run import Direction, MissingStop, RunStatus, TradingMode
from core.timeframe import Timeframe
from facade.schemas.form import Answer, Body, Name, Parameters, Shown
from facade.schemas.runs import EventShown, RunShown


class CreateStrategy(Body, frozen=True, kw_only=True):
    """A strategy alone, or, with any field of a run, the flat "go live" body: strategy and draft run in one go.

    Percentages are of the entry price, unleveraged; null take profit or stop loss means none.
    """

    symbol: Annotated[str, Meta(max_length=32)]
    timeframe: Annotated[str, Meta(max_length=8)]
    venue: Annotated[str, Meta(max_length=32)] | None = None
    """Whose candles it decides on; none: the first there are."""
    strategy_template: Annotated[str, Meta(max_length=64)] = "rsi_oversold_overbought"
    strategy_params: Parameters = msgspec.field(default_factory=dict)
    name: Name | None = None
    description: Annotated[str, Meta(max_length=2_000)] = ""
    visibility: Visibility = Visibility.PRIVATE
    exchange_connection_id: UUID | UnsetType | None = UNSET
    direction: Direction | UnsetType = UNSET
    leverage: Annotated[int, Meta(ge=1, le=125)] | UnsetType = UNSET
    margin_mode: Literal["isolated", "cross"] | UnsetType = UNSET
    position_mode: Literal["one_way", "hedge"] | UnsetType = UNSET
    order_size_pct: Decimal | UnsetType = UNSET
    initial_capital_usdt: Decimal | UnsetType = UNSET
    take_profit_pct: Decimal | UnsetType | None = UNSET
    stop_loss_pct: Decimal | UnsetType | None = UNSET
    trailing_callback_pct: Decimal | UnsetType | None = UNSET
    """How far behind the best price a trailing stop follows: 0.1 to 10, in steps of 0.1; none by default."""
    trailing_activation_pct: Decimal | UnsetType = UNSET
    """How far beyond the entry price it begins to follow, 0 to 99; 0: from the entry on."""
    missing_stop: MissingStop | UnsetType = UNSET
    """Of a live position without its stop: `repair` (tried for 10 s, then closed) or `close` (closed at once)."""

    @property
    def goes_live(self) -> bool:
        run_fields = (
            self.exchange_connection_id,
            self.direction,
            self.leverage,
            self.margin_mode,
            self.position_mode,
            self.order_size_pct,
            self.initial_capital_usdt,
            self.take_profit_pct,
            self.stop_loss_pct,
            self.trailing_callback_pct,
            self.trailing_activation_pct,
            self.missing_stop,
        )
        return any(field is not UNSET for field in run_fields)


class StrategyShown(Shown, frozen=True, kw_only=True):
    id: StrategyId
    name: str
    description: str
    type: str
    template: str
    params: Mapping[str, Any]
    venue: str
    symbol: str
    timeframe: Timeframe
    version: int
    visibility: Visibility
    own: bool
    runs: tuple[RunShown, ...]


class StrategiesAnswer(Answer, frozen=True, kw_only=True):
    strategies: tuple[StrategyShown, ...]
    next_cursor: str | None = None


class CreatedAnswer(Answer, frozen=True, kw_only=True):
    """`run` and `run_id` are there when a run was asked for."""

    id: StrategyId
    strategy: StrategyShown
    run_id: RunId | None = None
    run: RunShown | None = None


class StrategyAnswer(Answer, frozen=True, kw_only=True):
    """Detail of a strategy. Status and numbers are of the caller's runs of it; null and 0 without one."""

    id: StrategyId
    name: str
    description: str
    type: str
    template: str
    params: Mapping[str, Any]
    symbol: str
    timeframe: Timeframe
    version: int
    visibility: Visibility
    own: bool
    subscriber_count: int
    trading_mode: TradingMode | None
    status: RunStatus | None
    error_message: str | None
    last_run_at: datetime | None
    last_signal_at: datetime | None
    next_slot_at: datetime | None
    total_executions: int
    avg_execution_time_ms: float | None
    paper_pnl_usd: Decimal
    paper_positions_count: int
    runs: tuple[RunShown, ...]
    events: tuple[EventShown, ...]
