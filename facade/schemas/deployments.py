"""Strategies put to work: deployed by whoever may see them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.definition import Visibility
from core.run import ExecutionMode
from facade.schemas.code import Code, CodeType
from facade.schemas.convert import ConvertedFrom
from facade.schemas.form import Name, NodeGraph, Parameters
from facade.schemas.runs import RunShown, VerbAnswer
from facade.schemas.trading import TradingFields


class DeployStrategy(TradingFields, frozen=True, kw_only=True):
    """A run of a strategy. Paper: on a portfolio of `paperBankrollUsd`, or on the one that is named; live: on a
    connection. `schedule` is a cron expression or a timeframe; without a mode it means SCHEDULED, else AUTO is meant.
    AUTO and SCHEDULED begin with `autoStart`; MANUAL is ready for execute-tick at once.
    """

    trading_mode: Literal["paper", "live"] = "paper"
    paper_bankroll_usd: Decimal | UnsetType = UNSET
    """Without it what the strategy's graph says, else 10000."""
    execution_mode: ExecutionMode | None = None
    schedule: Annotated[str, Meta(max_length=64)] | None = None
    auto_start: bool = False
    connection_id: UUID | None = None
    portfolio_id: UUID | None = None
    capital: Decimal | UnsetType = UNSET
    risk_pct: Decimal | UnsetType | None = UNSET


class DeployAny(DeployStrategy, frozen=True, kw_only=True):
    """A strategy by its id, or a new one of a template; without a timeframe that of the schedule."""

    strategy_id: UUID | None = None
    strategy_template: Annotated[str, Meta(max_length=64)] | None = None
    strategy_params: Parameters = msgspec.field(default_factory=dict)
    code: Code | None = None
    """Instead of a template; `type` is its language."""
    type: CodeType = CodeType.PYTHON
    converted_from: ConvertedFrom | None = None
    """With `code` that came of POST /api/convert."""
    node_graph: NodeGraph | None = None
    """Instead of a template."""
    symbol: Annotated[str, Meta(max_length=32)] | None = None
    timeframe: Annotated[str, Meta(max_length=8)] | None = None
    venue: Annotated[str, Meta(max_length=32)] | None = None
    name: Name | None = None
    visibility: Visibility = Visibility.PRIVATE


class DeployedAnswer(VerbAnswer, frozen=True, kw_only=True):
    run: RunShown
