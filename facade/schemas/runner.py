"""The runner's own endpoints: ticks, status, risk, switch, actors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from core.ids import AccountId, RunId, UserId
from core.timeframe import Timeframe
from facade.bridge import ActorNode, TickSource, TickStatus
from facade.schemas.form import Answer, Asked, Body, LagShown, Page, Shown


class ExecuteTick(Body, frozen=True, kw_only=True):
    strategy_run_id: UUID


class SimulateTradeResult(Body, frozen=True, kw_only=True):
    user_id: Annotated[str, Meta(min_length=1, max_length=255)]
    pnl_delta_usdt: Decimal


class CronSummary(Shown, frozen=True, kw_only=True):
    """Ticks of the slot by outcome; `processed` also counts those still undecided."""

    processed: int = 0
    ran: int = 0
    skipped: int = 0
    blocked: int = 0
    errors: int = 0


class CronAnswer(Answer, frozen=True, kw_only=True):
    ran_at: datetime
    started_at: datetime
    finished_at: datetime
    summary: CronSummary
    notes: tuple[str, ...] = ()


class TickAnswer(Answer, frozen=True, kw_only=True):
    status: str
    reason: str | None
    signal: str | None
    latency_ms: float
    tick_id: UUID | None
    strategy_run_id: RunId
    slot: datetime


class TicksAsked(Page, frozen=True, kw_only=True):
    run_id: UUID | None = None
    status: TickStatus | None = None
    source: TickSource | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None


class LostTriggerShown(Shown, frozen=True, kw_only=True):
    """A source that asked for the slot when another already had it; `lateMs` from the slot on."""

    source: str
    node: str
    asked_at: datetime
    late_ms: float


class TickShown(Shown, frozen=True, kw_only=True):
    """`source` asked first, `lateMs` after the slot (early claims: below 0); null where nobody asked.
    `requestId`: of the request that asked for it.
    """

    tick_id: UUID
    run_id: RunId
    user_id: UserId
    slot: datetime
    status: str
    signal: str | None
    reason: str | None
    source: str
    asked_at: datetime | None
    late_ms: float | None
    lost_triggers: tuple[LostTriggerShown, ...]
    scheduled_at: datetime
    finished_at: datetime
    latency_ms: float
    worker: str
    request_id: str | None


class TickRunsAnswer(Answer, frozen=True, kw_only=True):
    """Newest slot first."""

    ticks: tuple[TickShown, ...]
    next_cursor: str | None = None


class RiskAnswer(Answer, frozen=True, kw_only=True):
    """A user's risk state; `day` is the UTC day the totals are of."""

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


class KillSwitchAnswer(Answer, frozen=True, kw_only=True):
    on: bool
    reason: str | None


class ActorsAnswer(Answer, frozen=True, kw_only=True):
    actors: tuple[ActorNode, ...]


class NodeShown(Shown, frozen=True, kw_only=True):
    id: str
    version: str
    beat_at: datetime


class CandlesShown(Shown, frozen=True, kw_only=True):
    """One candle series that active runs trade on."""

    symbol: str
    timeframe: Timeframe
    strategies: int
    runs: int
    next_slot: datetime


class ActorCounts(Shown, frozen=True, kw_only=True):
    total: int
    restarts: int
    mailbox_length: int
    by_state: Mapping[str, int]


class StatusAnswer(Answer, frozen=True, kw_only=True):
    enabled: bool
    market_time: datetime
    kill_switch: bool
    kill_switch_reason: str | None
    active_strategies: int
    active_runs: int
    last_tick_at: datetime | None
    last_tick_status: str | None
    blocked_users_count: int
    last_blocked_reasons: Mapping[str, str]
    nodes: tuple[NodeShown, ...]
    candles: tuple[CandlesShown, ...]
    slot_lag_ms: LagShown
    actors: ActorCounts


class ReadyAnswer(Answer, frozen=True, kw_only=True):
    checks: Mapping[str, bool]


class FlattenAsked(Body, frozen=True, kw_only=True):
    """What is to be closed: exactly one of the three. `connectionId` may be a portfolio's as well."""

    run_id: UUID | None = None
    user_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    connection_id: UUID | None = None


class FlattenShown(Shown, frozen=True, kw_only=True):
    """A position to be closed; `outcome` null while that is under way, then `flat` or `given_up`. `byOperator` false:
    its owner's, which waits while a kill switch is on.
    """

    id: UUID
    run_id: RunId
    user_id: UserId
    account_id: AccountId
    symbol: str
    asked_by: str
    by_operator: bool
    asked_at: datetime
    ended_at: datetime | None
    outcome: str | None


class FlattensAnswer(Answer, frozen=True, kw_only=True):
    flattens: tuple[FlattenShown, ...]


class FlattensListed(Asked, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
