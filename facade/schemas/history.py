"""What a run has done: orders and why, round trips, positions, ticks with their evaluations, events, totals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from core.ids import AccountId, RunId, StrategyId
from core.run import RunStatus
from facade.schemas.form import Answer, Page, Shown
from facade.schemas.runs import EventShown

Level = Literal["info", "signal", "trade", "error"]


class LogsAsked(Page, frozen=True, kw_only=True):
    """`signal`: what the strategy said; `trade`: orders, fills, round trips; `error`: errors and refusals; `info`: the
    rest.
    """

    level: Level | None = None


class OrderShown(Shown, frozen=True, kw_only=True):
    """An order and why it was made. `why`: signal, its reason and score, indicators, what each gate said, who asked."""

    client_order_id: str
    venue_order_id: str | None
    account_id: AccountId
    symbol: str
    slot: datetime
    leg: str
    attempt: int
    side: str
    kind: str
    quantity: Decimal
    reference_price: Decimal
    price: Decimal | None
    reduce_only: bool
    leverage: int
    stop_loss: Decimal | None
    take_profit: Decimal | None
    status: str
    reason: str | None
    filled_quantity: Decimal
    average_price: Decimal | None
    created_at: datetime | None
    updated_at: datetime
    why: Mapping[str, Any]


class OrdersAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    orders: tuple[OrderShown, ...]
    next_cursor: str | None = None


class TradeShown(Shown, frozen=True, kw_only=True):
    """A closed round trip; `pnl` net of fees and funding, USDT."""

    id: UUID
    account_id: AccountId
    symbol: str
    side: str
    quantity: Decimal
    entry_time: datetime
    entry_price: Decimal
    exit_time: datetime
    exit_price: Decimal
    fees: Decimal
    funding: Decimal
    pnl: Decimal
    exit_reason: str


class TradesAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    trades: tuple[TradeShown, ...]
    next_cursor: str | None = None


class PositionShown(Shown, frozen=True, kw_only=True):
    """What is open. `realised_usdt`: what the round trip has brought so far, after its costs."""

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
    updated_at: datetime


class PositionsAnswer(Answer, frozen=True, kw_only=True):
    positions: tuple[PositionShown, ...]


class EvaluationShown(Shown, frozen=True, kw_only=True):
    """The evaluation the tick shared with every run of the strategy. `averageMs`: of the last 20 up to it. `usedMs` of
    `limitMs`: the time its code took of what it may; null where nothing limits it.
    """

    status: str
    duration_ms: float
    average_ms: float
    used_ms: float | None
    limit_ms: float | None
    signal: str | None
    price: float | None
    reason: str | None
    indicators: Mapping[str, float | None]
    runs_reached: int
    nodes_executed: int
    error: str | None


class ExecutionShown(Shown, frozen=True, kw_only=True):
    """One slot of the run: what its tick came to, and the evaluation behind it where there was one."""

    tick_id: UUID
    slot: datetime
    status: str
    signal: str | None
    reason: str | None
    source: str
    finished_at: datetime
    latency_ms: float
    worker: str
    orders_made: int
    evaluation: EvaluationShown | None


class AuthoredEvaluationShown(Shown, frozen=True, kw_only=True):
    """`ordersMade`: by all runs it reached. `printed`: what its code printed, of the newest 100 that printed."""

    slot: datetime
    worker: str
    orders_made: int
    printed: str | None
    evaluation: EvaluationShown


class WarningShown(Shown, frozen=True, kw_only=True):
    """`kind`: near_time_limit or not_deterministic; of each a version is warned of once."""

    version: int
    kind: str
    slot: datetime
    detail: Mapping[str, Any]


class EvaluationsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    evaluations: tuple[AuthoredEvaluationShown, ...]
    warnings: tuple[WarningShown, ...] = ()
    next_cursor: str | None = None


class ExecutionsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    executions: tuple[ExecutionShown, ...]
    next_cursor: str | None = None


class EventsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first. A page may hold fewer than asked for and still have a next one."""

    events: tuple[EventShown, ...]
    next_cursor: str | None = None


class LogShown(EventShown, frozen=True, kw_only=True):
    level: Level


class LogsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first. A page may hold fewer than asked for and still have a next one."""

    logs: tuple[LogShown, ...]
    next_cursor: str | None = None


class StatsAnswer(Answer, frozen=True, kw_only=True):
    """Executions are ticks of the last 30 days; what is of money counts closed round trips, since the beginning.

    `realizedPnlUsdt` has what the open one has brought so far as well; `roiPct` and the drawdown are of the capital.
    """

    run_id: RunId
    strategy_id: StrategyId
    status: RunStatus
    since: datetime
    total_executions: int
    executions: Mapping[str, int]
    avg_execution_time_ms: float | None
    last_run_at: datetime | None
    last_signal_at: datetime | None
    trades: int
    wins: int
    losses: int
    win_rate_pct: float | None
    profit_factor: float | None
    pnl_usdt: Decimal
    realized_pnl_usdt: Decimal
    fees_usdt: Decimal
    funding_usdt: Decimal
    best_trade_usdt: Decimal | None
    worst_trade_usdt: Decimal | None
    roi_pct: float
    max_drawdown_usdt: Decimal
    max_drawdown_pct: float
    open_positions: int
