"""Rows as the program sees them: what is claimed, what a tick left behind, what is stored about accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

import msgspec

from core.candles import Candle
from core.errors import Reason
from core.ids import AccountId, NodeId, RunId, StrategyId, UserId
from core.market import Series
from core.order import Order
from core.position import FLAT, ZERO, Position, RoundTrip
from core.protection import Protection, Trailing
from core.published_signal import Said
from core.risk import RiskLimits, RiskState
from core.run import Run, RunStatus
from core.strategy_warning import StrategyWarning


class TickStatus(StrEnum):
    OK = "ok"
    SKIPPED = "skipped"
    BLOCKED = "blocked"
    ERROR = "error"
    MISSED = "missed"


class TickSource(StrEnum):
    """Who asked for the slot."""

    TIMER = "timer"
    CANDLE = "candle"
    CRON = "cron"
    OPERATOR = "operator"
    EXTERNAL = "external"


class Ask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A source asks for `slot` at this market time; of several, the first claim wins and the others are noted.

    `request_id`: of an operator's request.
    """

    slot: datetime
    source: TickSource
    at: datetime
    request_id: str | None = None


class LostAsk(msgspec.Struct, frozen=True, kw_only=True):
    """`ask`, on this node, came too late for these runs: others had asked before."""

    ask: Ask
    node: str
    run_ids: Sequence[RunId]


class LostTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked for a run's slot and lost, where and when."""

    source: TickSource
    node: str
    asked_at: datetime


class AccountKind(StrEnum):
    PORTFOLIO = "portfolio"
    CONNECTION = "connection"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A paper portfolio (or, later, a venue connection): money, model of fees and slippage, limits, switch.

    `balance` and `used_margin` in USDT: cash after realised PnL, fees and funding; initial margin of what is
    open. Percentages are of the traded value. `outage_orders`: how many more orders the paper venue refuses
    to take, as if it could not be reached (for drills and the demo).
    """

    id: AccountId
    user_id: UserId
    name: str
    kind: AccountKind = AccountKind.PORTFOLIO
    venue: str = "paper"
    bankroll: Decimal = Decimal(10_000)
    balance: Decimal = Decimal(10_000)
    used_margin: Decimal = ZERO
    maker_fee_pct: Decimal = Decimal("0.02")
    taker_fee_pct: Decimal = Decimal("0.04")
    slippage_pct: Decimal = ZERO
    participation_pct: Decimal = Decimal(100)
    max_leverage: int = 10
    max_notional: Decimal | None = None
    kill_switch: bool = False
    outage_orders: int = 0

    @property
    def free_margin(self) -> Decimal:
        return self.balance - self.used_margin


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run won for a slot: lease, and what the gates look at, read in the same statement.

    `previous_slot`: every slot up to it has its row; those between it and `slot` were missed, or cut off and
    closed. `run_version` another than the actor's means the row changed and the actor reloads. `previous_fence`, of
    the lease before this one, is higher than any the actor knows of where somebody else has decided meanwhile.
    """

    run_id: RunId
    user_id: UserId
    slot: datetime
    fence: int
    previous_slot: datetime | None
    previous_fence: int = 0
    activated_at: datetime | None
    run_version: int
    status: RunStatus
    kill_switch: bool
    risk: RiskState
    limits: RiskLimits
    balance: Decimal = ZERO
    used_margin: Decimal = ZERO


class RunLease(msgspec.Struct, frozen=True, kw_only=True):
    """A run's lease row: how long the lease holds yet, below 0 how long ago it ran out; what it was for.

    `last_slot` without a row (`ticked_slot` another) is under way, or was cut off; `source` and `asked_at`: whose
    doing it is. `previous_slot` as in `Claim`.
    """

    run_id: RunId
    owner: str
    fence: int
    locked_s: float
    last_slot: datetime | None
    ticked_slot: datetime | None
    previous_slot: datetime | None
    source: TickSource | None = None
    asked_at: datetime | None = None


class TickRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run in one slot, written once, at the end. `fence` 0: nothing was claimed (missed slots).

    `asked_at`: when `source` asked, up to 2 s before the slot; None where nobody did. `score` and `said` go into the
    signal's row and event; a tick's row does not keep them.
    """

    run_id: RunId
    user_id: UserId
    slot: datetime
    status: TickStatus
    signal: str | None = None
    score: float | None = None
    said: Said | None = None
    reason: str | None = None
    source: TickSource = TickSource.TIMER
    scheduled_at: datetime
    finished_at: datetime
    latency_ms: float = 0.0
    worker: str = ""
    fence: int = 0
    asked_at: datetime | None = None
    request_id: str | None = None
    """Of the request that asked for it; a slot that was cut off does not know it any more."""
    evaluation: UUID | None = None
    """The evaluation it shared: the first half of that one's key."""


TickPlace = tuple[datetime, RunId]
"""Slot and run: the key of a tick row, and where it stands in the order of its list."""


class ExecutionStatus(StrEnum):
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    NO_SIGNAL = "no_signal"


class ExecutionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One evaluation of one strategy version on one slot's candles, and how many runs it reached.

    `used_ms` of `limit_ms`: the time its code took of what it may; None where nothing limits it.
    """

    evaluation_key: str
    strategy_id: StrategyId
    slot: datetime
    worker: str
    duration_ms: float
    status: ExecutionStatus
    action: str | None = None
    price: float | None = None
    reason: str | None = None
    indicators: Mapping[str, float] = {}
    runs_reached: int = 0
    nodes_executed: int = 1
    error: str | None = None
    used_ms: float | None = None
    limit_ms: float | None = None


class Reached(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """So many runs of `worker` share an evaluation by now; those that ask late come on top of its row's."""

    evaluation_key: str
    slot: datetime
    worker: str
    runs: int


class Printed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a strategy's code printed in one evaluation, for its author."""

    strategy_id: StrategyId
    user_id: UserId
    evaluation_key: str
    slot: datetime
    printed: str


class CandleRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A closed candle of a series, as it reached the service."""

    series: Series
    candle: Candle


class SlotReport(msgspec.Struct, frozen=True, kw_only=True):
    """A batch for the journal: one COPY each, leases released by fence in the same transaction."""

    ticks: tuple[TickRow, ...] = ()
    executions: tuple[ExecutionRow, ...] = ()
    candles: tuple[CandleRow, ...] = ()
    lost: tuple[LostAsk, ...] = ()
    reached: tuple[Reached, ...] = ()
    printed: tuple[Printed, ...] = ()
    warnings: tuple[StrategyWarning, ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event. `seq` is gap-free per run, or per user for user-wide events (`run_id` None)."""

    id: int
    user_id: UserId
    run_id: RunId | None
    seq: int
    type: str
    at: datetime
    payload: Mapping[str, Any]


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """All a run's actor starts from: the row, its position, and the orders whose fate is open.

    `fence`: the highest under which anything in here was decided.
    """

    run: Run
    fence: int = 0
    position: Position = FLAT
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    open_orders: tuple[Order, ...] = ()


class RunsRead(msgspec.Struct, frozen=True, kw_only=True):
    """Runs, and the mark from which to go on reading what changes; it says something to its store alone."""

    runs: list[Run]
    mark: str


class RunStart(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's actor begins with; `recent`: its latest orders, newest first, none without an account."""

    state: RunState
    account: Account | None
    recent: tuple[Order, ...] = ()


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position with its protection, as the venue and the pages need it.

    `trail_pct`, `trail_from`, `trail_best`: its trailing stop (`core.protection.Trailing`). `standing_stop`,
    `standing_target`, `standing_trail`: what a live venue was last seen to hold for it. `drift`: by how much the venue
    has more of the symbol than this, signed, 0 where they agree; entries wait while it is not.
    """

    run_id: RunId
    user_id: UserId
    account_id: AccountId
    symbol: str
    leverage: int
    position: Position
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trail_pct: Decimal | None = None
    trail_from: Decimal | None = None
    trail_best: Decimal | None = None
    standing_stop: Decimal | None = None
    standing_target: Decimal | None = None
    standing_trail: Decimal | None = None
    drift: Decimal = ZERO
    updated_at: datetime

    @property
    def protection(self) -> Protection:
        """What it wants to stand."""
        trailing = None
        if self.trail_pct is not None and self.trail_from is not None:
            trailing = Trailing(
                callback_pct=self.trail_pct, activation_price=self.trail_from, best=self.trail_best
            )
        return Protection(stop_loss=self.stop_loss, take_profit=self.take_profit, trailing=trailing)


def protected(held: OpenPosition, wanted: Protection) -> OpenPosition:
    """The position with `wanted` for its protection."""
    trailing = wanted.trailing
    return msgspec.structs.replace(
        held,
        stop_loss=wanted.stop_loss,
        take_profit=wanted.take_profit,
        trail_pct=None if trailing is None else trailing.callback_pct,
        trail_from=None if trailing is None else trailing.activation_price,
        trail_best=None if trailing is None else trailing.best,
    )


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A booked round trip."""

    id: UUID
    run_id: RunId
    user_id: UserId
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


def booked(
    trip: RoundTrip,
    number: int,
    *,
    run_id: RunId,
    user_id: UserId,
    account_id: AccountId,
    symbol: str,
    exit_reason: str,
) -> Trade:
    """The run's `number`th round trip, from 1; its id follows from both, so that a repetition changes nothing."""
    return Trade(
        id=uuid5(run_id, f"trade/{number}"),
        run_id=run_id,
        user_id=user_id,
        account_id=account_id,
        symbol=symbol,
        side=trip.side.value,
        quantity=trip.quantity,
        entry_time=trip.entry_time,
        entry_price=trip.entry_price,
        exit_time=trip.exit_time,
        exit_price=trip.exit_price,
        fees=trip.fees,
        funding=trip.funding,
        pnl=trip.pnl,
        exit_reason=exit_reason,
    )


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Balance of an account after a fill or funding, USDT."""

    account_id: AccountId
    at: datetime
    balance: Decimal


class RiskView(msgspec.Struct, frozen=True, kw_only=True):
    """A user's risk as shown: state, limits in force, and why an entry would be refused now."""

    user_id: UserId
    state: RiskState
    limits: RiskLimits
    blocked: Reason | None


class ClockSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Market time of this database: `anchor_market + rate × (process now − anchor_process)`, at most `ceiling`.

    `demo` False means production: market time is the database's clock. `database_now` is the database's
    process time when the row was read, so that a process can measure its own offset.
    """

    demo: bool
    anchor_market: datetime
    anchor_process: datetime
    rate: float
    ceiling: datetime | None
    database_now: datetime


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the whole installation."""

    kill_switch: bool
    kill_switch_reason: str | None
    minimum_version: str | None
    demo: bool


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A process that beats."""

    id: NodeId
    version: str
    beat_at: datetime
