"""What was known at an instant: `?asOf=` on runs, positions, strategies and risk."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from core.ids import AccountId, StrategyId, UserId
from core.timeframe import Timeframe
from facade.schemas.form import Answer, Shown
from facade.schemas.risk import LimitsShown
from facade.schemas.runs import RunKnownShown


class RunThenShown(RunKnownShown, frozen=True, kw_only=True):
    """A run as it was known. Its row's version, adapter errors and last slot are recorded for now only."""

    strategy_version: int
    symbol: str
    timeframe: Timeframe
    created_at: datetime


class RunThenAnswer(Answer, frozen=True, kw_only=True):
    as_of: datetime
    run: RunThenShown


class PositionThenShown(Shown, frozen=True, kw_only=True):
    """What was open, by the fills stored by then, with the stop and target it was to have. How far a trailing stop had
    come is recorded for now only.
    """

    account_id: AccountId
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    leverage: int
    opened_at: datetime | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    realised_usdt: Decimal
    drift: Decimal
    updated_at: datetime | None


class PositionsThenAnswer(Answer, frozen=True, kw_only=True):
    as_of: datetime
    positions: tuple[PositionThenShown, ...]


class StrategyThenAnswer(Answer, frozen=True, kw_only=True):
    """Settings of the strategy by the version of that time, with the caller's runs as they were. `name`, `description`
    and `visibility` are null of versions that were written before these were kept with them.
    """

    as_of: datetime
    id: StrategyId
    name: str | None
    description: str | None
    visibility: str | None
    type: str
    template: str
    params: Mapping[str, Any]
    venue: str
    symbol: str
    timeframe: Timeframe
    version: int
    version_since: datetime
    own: bool
    created_at: datetime
    runs: tuple[RunThenShown, ...]


class RiskThenAnswer(Answer, frozen=True, kw_only=True):
    """`limits`: the user's own, null where the platform's were in force, whose past is not recorded; `blockedReason` is
    then told where a pause blocked, and else is null as well.
    """

    as_of: datetime
    user_id: UserId
    day: date
    realized_pnl_usdt: Decimal
    trades_count: int
    consecutive_losses: int
    last_trade_at: datetime | None
    is_paused: bool
    paused_until: datetime | None
    paused_reason: str | None
    blocked_reason: str | None
    limits: LimitsShown | None
