"""Requests and answers as structs: what is decoded, refused and sent is what stands here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from core.connection import Environment, Venue
from core.definition import Visibility
from core.ids import AccountId, RunId, StrategyId, UserId
from core.redact import Secret
from core.run import Direction, ExecutionMode, RunStatus, TradingMode
from core.timeframe import Timeframe
from facade.bridge import ActorNode, DemoTime
from facade.endpoint import Answer

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Sentence = Annotated[str, Meta(max_length=500)]
Parameters = Annotated[Mapping[Annotated[str, Meta(max_length=64)], int | float | str], Meta(max_length=64)]


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request's body."""


class ExecuteTick(Body, frozen=True, kw_only=True):
    strategy_run_id: UUID


class SimulateTradeResult(Body, frozen=True, kw_only=True):
    user_id: Annotated[str, Meta(min_length=1, max_length=255)]
    pnl_delta_usdt: Decimal


class SetKillSwitch(Body, frozen=True, kw_only=True):
    on: bool
    reason: Sentence = ""


class SetStatus(Body, frozen=True, kw_only=True):
    status: Literal["active", "paused", "stopped"]


class SetDemoClock(Body, frozen=True, kw_only=True):
    speed: Annotated[float, Meta(ge=0.1, le=100_000)] | None = None
    paused: bool | None = None


class Nothing(Body, frozen=True, kw_only=True):
    """A body without fields."""


class AddConnection(Body, frozen=True, kw_only=True):
    """A key of the caller's at a venue; it is tested there before it is kept, and never shown again."""

    name: Name
    venue: Venue
    environment: Environment = Environment.LIVE
    api_key: Secret
    api_secret: Secret
    max_leverage: Annotated[int, Meta(ge=1, le=125)] | None = None


class RenameConnection(Body, frozen=True, kw_only=True):
    name: Name


class RotateKeys(Body, frozen=True, kw_only=True):
    """Another key of the same account at the venue."""

    api_key: Secret
    api_secret: Secret


class CreateStrategy(Body, frozen=True, kw_only=True):
    """A strategy alone, or, with any field of a run, the flat "go live" body: strategy and draft run in one go.

    Percentages are of the entry price, unleveraged; null take profit or stop loss means none.
    """

    symbol: Annotated[str, Meta(max_length=32)]
    timeframe: Annotated[str, Meta(max_length=8)]
    venue: Annotated[str, Meta(max_length=32)] | None = None
    """Whose candles it decides on; none: the first there are."""
    strategy_template: Annotated[str, Meta(max_length=64)] = "rsi_oversold_overbought"
    strategy_params: Parameters = {}
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
        )
        return any(field is not UNSET for field in run_fields)


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of an answer."""


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


class LostTriggerShown(Shown, frozen=True, kw_only=True):
    """A source that asked for the slot when another already had it; `lateMs` from the slot on."""

    source: str
    node: str
    asked_at: datetime
    late_ms: float


class TickShown(Shown, frozen=True, kw_only=True):
    """`source` asked first, `lateMs` after the slot (early claims: below 0); null where nobody asked."""

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


class LagShown(Shown, frozen=True, kw_only=True):
    """Finish of a tick after its slot, milliseconds."""

    p50: float | None
    p99: float | None


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


class RunShown(Shown, frozen=True, kw_only=True):
    id: RunId
    strategy_id: StrategyId
    user_id: UserId
    account_id: AccountId | None
    trading_mode: TradingMode
    execution_mode: ExecutionMode
    status: RunStatus
    error_message: str | None
    direction: Direction
    leverage: int
    margin_mode: str
    position_mode: str
    order_size_pct: Decimal
    initial_capital_usdt: Decimal
    take_profit_pct: Decimal | None
    stop_loss_pct: Decimal | None
    adapter_errors: int
    activated_at: datetime | None
    last_slot_at: datetime | None
    next_slot_at: datetime | None


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


class EventShown(Shown, frozen=True, kw_only=True):
    id: int
    run_id: RunId | None
    seq: int
    type: str
    at: datetime
    payload: Mapping[str, Any]


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


class RunAnswer(Answer, frozen=True, kw_only=True):
    run: RunShown


class VerbAnswer(Answer, frozen=True, kw_only=True):
    run_id: RunId
    strategy_id: StrategyId
    status: RunStatus
    trading_mode: TradingMode
    execution_mode: ExecutionMode


class ReadyAnswer(Answer, frozen=True, kw_only=True):
    checks: Mapping[str, bool]


class DemoTimeAnswer(Answer, frozen=True, kw_only=True):
    clock: DemoTime


class RightsShown(Shown, frozen=True, kw_only=True):
    may_read: bool
    may_trade: bool
    may_withdraw: bool
    ip_bound: bool | None


class NoticeShown(Shown, frozen=True, kw_only=True):
    """Something the owner of a key should know: a stable code and its sentence."""

    code: str
    message: str


class ConnectionShown(Shown, frozen=True, kw_only=True):
    """A connection without its keys. `lastTestResult`: `ok`, a problem of the key, or why the venue did not say."""

    id: AccountId
    name: str
    venue: Venue
    environment: Environment
    key_hint: str
    max_leverage: int
    kill_switch: bool
    created_at: datetime
    last_test_at: datetime | None
    last_test_result: str | None
    rights: RightsShown | None
    notices: tuple[NoticeShown, ...]


class ConnectionsAnswer(Answer, frozen=True, kw_only=True):
    """All of the caller's, oldest first."""

    connections: tuple[ConnectionShown, ...]


class ConnectionAnswer(Answer, frozen=True, kw_only=True):
    connection: ConnectionShown


class ConnectionTestAnswer(Answer, frozen=True, kw_only=True):
    """`result` as in `lastTestResult`; the connection as it is after the test."""

    result: str
    connection: ConnectionShown
