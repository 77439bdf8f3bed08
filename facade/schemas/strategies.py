"""Strategies with the caller's runs of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.definition import Visibility
from core.ids import RunId, StrategyId
from core.run import RunStatus, TradingMode
from core.timeframe import Timeframe
from facade.schemas.code import Code, CodeType
from facade.schemas.convert import ConvertedFrom, ConvertedShown
from facade.schemas.form import Answer, Body, Name, NodeGraph, Parameters, Shown
from facade.schemas.runs import EventShown, RunShown
from facade.schemas.trading import TradingFields


class CreateStrategy(TradingFields, frozen=True, kw_only=True):
    """A strategy alone, or, with any field of a run, the flat "go live" body: strategy and draft run in one go.

    Percentages are of the entry price, unleveraged; null take profit or stop loss means none.
    """

    symbol: Annotated[str, Meta(max_length=32)]
    timeframe: Annotated[str, Meta(max_length=8)]
    venue: Annotated[str, Meta(max_length=32)] | None = None
    """Whose candles it decides on; none: the first there are."""
    strategy_template: Annotated[str, Meta(max_length=64)] = "rsi_oversold_overbought"
    strategy_params: Parameters = msgspec.field(default_factory=dict)
    code: Code | None = None
    """Instead of a template; `type` is its language."""
    type: CodeType = CodeType.PYTHON
    converted_from: ConvertedFrom | None = None
    """With `code` that came of POST /api/convert."""
    node_graph: NodeGraph | None = None
    """Instead of a template; the numbers of its nodes are its parameters, as `rsi.timeperiod`."""
    name: Name | None = None
    description: Annotated[str, Meta(max_length=2_000)] = ""
    visibility: Visibility = Visibility.PRIVATE
    exchange_connection_id: UUID | UnsetType | None = UNSET
    initial_capital_usdt: Decimal | UnsetType = UNSET

    @property
    def goes_live(self) -> bool:
        own = (self.exchange_connection_id, self.initial_capital_usdt)
        return self.says_anything or any(field is not UNSET for field in own)


class EditStrategy(Body, frozen=True, kw_only=True):
    """What is not given stays; of the same template's parameters likewise. Every run follows from its next slot on."""

    name: Name | None = None
    description: Annotated[str, Meta(max_length=2_000)] | None = None
    visibility: Visibility | None = None
    symbol: Annotated[str, Meta(max_length=32)] | None = None
    timeframe: Annotated[str, Meta(max_length=8)] | None = None
    venue: Annotated[str, Meta(max_length=32)] | None = None
    strategy_template: Annotated[str, Meta(max_length=64)] | None = None
    strategy_params: Parameters | None = None
    code: Code | None = None
    """In the language the strategy has; of strategies that are code."""
    converted_from: ConvertedFrom | None = None
    """With `code` that came of POST /api/convert."""
    node_graph: NodeGraph | None = None
    """Of strategies that are graphs; its numbers count, unless they are given as well."""


class SetSettings(Body, frozen=True, kw_only=True):
    """What is not given stays. Every subscriber's next slot uses it."""

    symbol: Annotated[str, Meta(max_length=32)] | None = None
    timeframe: Annotated[str, Meta(max_length=8)] | None = None
    params: Parameters | None = None
    code: Code | None = None
    """Of strategies that are code; those of a template have none."""
    converted_from: ConvertedFrom | None = None
    """With `code` that came of POST /api/convert."""
    node_graph: NodeGraph | None = None
    """Of strategies that are graphs."""


class GraphAnswer(Answer, frozen=True, kw_only=True):
    """`nodeGraph` makes the same strategy again where it is given to POST /api/strategies."""

    id: StrategyId
    name: str
    version: int
    symbol: str
    timeframe: Timeframe
    node_graph: Mapping[str, Any]


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
    created_at: datetime | None
    """Null in the answer to what creates it."""
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
    code: str | None
    """Of a strategy that is code, to its owner alone."""
    converted_from: ConvertedShown | None
    """Of one that was converted, to its owner alone."""
    params: Mapping[str, Any]
    symbol: str
    timeframe: Timeframe
    version: int
    visibility: Visibility
    own: bool
    alert_key_since: datetime | None
    """Of one of kind external, to its owner alone: null without a key."""
    created_at: datetime
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
