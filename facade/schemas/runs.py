"""Runs, their events and verbs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from core.ids import AccountId, RunId, StrategyId, UserId
from core.run import Direction, ExecutionMode, MissingStop, RunStatus, TradingMode
from facade.schemas.form import Answer, Body, Shown


class SetStatus(Body, frozen=True, kw_only=True):
    status: Literal["active", "paused", "stopped"]


class RunKnownShown(Shown, frozen=True, kw_only=True):
    """What is known of a run at any time: now, and of an instant that has passed."""

    id: RunId
    strategy_id: StrategyId
    user_id: UserId
    account_id: AccountId | None
    trading_mode: TradingMode
    execution_mode: ExecutionMode
    schedule: str | None
    status: RunStatus
    error_message: str | None
    direction: Direction
    leverage: int
    margin_mode: str
    position_mode: str
    order_size_pct: Decimal
    risk_pct: Decimal | None
    initial_capital_usdt: Decimal
    take_profit_pct: Decimal | None
    stop_loss_pct: Decimal | None
    trailing_callback_pct: Decimal | None
    trailing_activation_pct: Decimal
    missing_stop: MissingStop
    activated_at: datetime | None
    next_slot_at: datetime | None


class RunShown(RunKnownShown, frozen=True, kw_only=True):
    adapter_errors: int
    version: int
    created_at: datetime | None
    """Null in the answer to what creates it."""
    last_slot_at: datetime | None
    first_answer_at: datetime | None
    """Until then an active run hears trades that no history tells; a process that begins anew begins anew with it."""


class EventShown(Shown, frozen=True, kw_only=True):
    id: int
    run_id: RunId | None
    seq: int
    type: str
    at: datetime
    payload: Mapping[str, Any]


class RunAnswer(Answer, frozen=True, kw_only=True):
    run: RunShown


class VerbAnswer(Answer, frozen=True, kw_only=True):
    run_id: RunId
    strategy_id: StrategyId
    status: RunStatus
    trading_mode: TradingMode
    execution_mode: ExecutionMode
