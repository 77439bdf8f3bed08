"""What the page shows, in the page's words: structs of `/api/overview`, made from what was read at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from core.ids import AccountId, RunId, UserId
from core.mark import Mark
from core.run import Direction, ExecutionMode, Run, RunStatus, TradingMode
from core.timeframe import Timeframe
from facade.price_chart import MarketView, closed, series_of
from facade.risk_words import why_blocked
from facade.schemas.form import Answer, LagShown, Shown
from facade.views import next_slot
from schema.pg_reads import AccountCurve, Overview, RunSummary
from schema.records import Account, AccountKind, OpenPosition, Platform, RiskView, TickRow

MAX_RUNS_SHOWN: Final = 200
MAX_USERS_SHOWN: Final = 100
MAX_ACCOUNTS_SHOWN: Final = 40
MAX_NAMES_SHOWN: Final = 3
EQUITY_POINTS: Final = 200
TRADES_SHOWN: Final = 100
PRICE_CANDLES: Final = 60
"""Looked at for the last price: so many may close, in a fast demo, between the rows' moment and the candles'."""

_CAN_START: Final = frozenset({RunStatus.DRAFT, RunStatus.STOPPED})
_CAN_RESUME: Final = frozenset({RunStatus.PAUSED, RunStatus.AUTO_PAUSED, RunStatus.ERROR})


class OverviewReads(Protocol):
    """What the page reads beyond the store's protocol; blocks."""

    def overview(self, *, equity_points: int) -> Overview: ...


class ClockShown(Shown, frozen=True, kw_only=True):
    """Market time; `speed` 60 means a minute a second."""

    now: datetime
    speed: float
    paused: bool
    demo: bool


class SwitchShown(Shown, frozen=True, kw_only=True):
    on: bool
    reason: str | None


class TickMark(Shown, frozen=True, kw_only=True):
    """A run's newest tick."""

    status: str
    reason: str | None
    slot: datetime
    at: datetime
    latency_ms: float


class HoldingShown(Shown, frozen=True, kw_only=True):
    """An open position. `price` is the last close known, `mark_price` what the venue of a live one said at `mark_at`.

    Unrealised PnL is at the mark where there is one, else at the close, else there is none.
    """

    side: str
    quantity: Decimal
    entry_price: Decimal
    opened_at: datetime | None
    leverage: int
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_callback_pct: Decimal | None
    trailing_activation_price: Decimal | None
    trailing_best_price: Decimal | None
    """Of a paper position: the best price since the activation; a live venue keeps its own."""
    price: Decimal | None
    mark_price: Decimal | None
    mark_at: datetime | None
    unrealised: Decimal | None


class RunRow(Shown, frozen=True, kw_only=True):
    id: RunId
    name: str
    user_id: UserId
    template: str
    symbol: str
    timeframe: Timeframe
    trading_mode: TradingMode
    execution_mode: ExecutionMode
    direction: Direction
    leverage: int
    status: RunStatus
    status_reason: str | None
    adapter_errors: int
    signal: str | None
    signal_at: datetime | None
    tick: TickMark | None
    next_slot: datetime | None
    position: HoldingShown | None
    realised: Decimal
    actions: tuple[str, ...]


class EquityCurve(Shown, frozen=True, kw_only=True):
    """An account: its last balances at `times` (epoch seconds), its equity now, and the names of runs on it."""

    account_id: AccountId
    name: str
    user_id: UserId
    runs: tuple[str, ...]
    bankroll: Decimal
    equity: Decimal
    kill_switch: bool
    times: tuple[float, ...]
    balances: tuple[float, ...]


class GateShown(Shown, frozen=True, kw_only=True):
    """How often a gate shut in the last 24 hours of market time: ticks it blocked, pauses it began."""

    gate: str
    ticks: int
    pauses: int


class UserRisk(Shown, frozen=True, kw_only=True):
    """A user's risk day and, where an entry would be refused now, why."""

    user_id: UserId
    pnl: Decimal
    max_loss: Decimal
    trades: int
    max_trades: int
    streak: int
    max_streak: int
    cooldown_until: datetime | None
    paused_until: datetime | None
    blocked: str | None
    why: str | None
    gates: tuple[GateShown, ...]


class OverviewAnswer(Answer, frozen=True, kw_only=True):
    clock: ClockShown
    origin: str
    kill_switch: SwitchShown
    ready: Mapping[str, bool]
    slot_lag_ms: LagShown
    tick_counts: Mapping[str, int]
    runs: tuple[RunRow, ...]
    runs_left_out: int
    accounts: tuple[EquityCurve, ...]
    accounts_left_out: int
    users: tuple[UserRisk, ...]
    users_left_out: int


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole page beside the rows."""

    clock: ClockShown
    ready: Mapping[str, bool]
    platform: Platform


def overview_answer(read: Overview, market: MarketView, around: Surroundings) -> OverviewAnswer:
    ticks = {row.run_id: row for row in read.ticks}
    venues = {each.account.id: each.account.venue for each in read.accounts}
    rows = [_run_row(each, ticks.get(each.run.id), venues, market, read.now) for each in read.runs]
    rows_on: dict[AccountId | None, list[RunRow]] = {}
    for summary, row in zip(read.runs, rows, strict=True):
        rows_on.setdefault(summary.run.account_id, []).append(row)
    risks = sorted(read.risks, key=lambda view: (view.blocked is None, view.user_id))
    totals: dict[str, int] = {}
    for count in read.tick_counts:
        totals[count.status.value] = totals.get(count.status.value, 0) + count.ticks
    return OverviewAnswer(
        clock=around.clock,
        origin=market.origin,
        kill_switch=SwitchShown(on=around.platform.kill_switch, reason=around.platform.kill_switch_reason),
        ready=around.ready,
        slot_lag_ms=LagShown(p50=read.slot_lag_p50_ms, p99=read.slot_lag_p99_ms),
        tick_counts=totals,
        runs=tuple(rows[:MAX_RUNS_SHOWN]),
        runs_left_out=max(0, len(rows) - MAX_RUNS_SHOWN),
        accounts=tuple(
            _curve(each, rows_on.get(each.account.id, [])) for each in read.accounts[:MAX_ACCOUNTS_SHOWN]
        ),
        accounts_left_out=max(0, len(read.accounts) - MAX_ACCOUNTS_SHOWN),
        users=tuple(_user_risk(view, read) for view in risks[:MAX_USERS_SHOWN]),
        users_left_out=max(0, len(risks) - MAX_USERS_SHOWN),
    )


def _run_row(
    summary: RunSummary,
    tick: TickRow | None,
    venues: Mapping[AccountId, str],
    market: MarketView,
    now: datetime,
) -> RunRow:
    """`venues`: by account."""
    run = summary.run
    mark, venue = None, None if run.account_id is None else venues.get(run.account_id)
    if summary.position is not None and venue is not None and run.trading_mode is TradingMode.LIVE:
        mark = market.mark(venue, run.strategy.symbol)
    return RunRow(
        id=run.id,
        name=run.strategy.name,
        user_id=run.user_id,
        template=run.strategy.template,
        symbol=run.strategy.symbol,
        timeframe=run.strategy.timeframe,
        trading_mode=run.trading_mode,
        execution_mode=run.execution_mode,
        direction=run.settings.direction,
        leverage=run.settings.leverage,
        status=run.status,
        status_reason=run.status_reason,
        adapter_errors=run.adapter_errors,
        signal=summary.last_signal,
        signal_at=summary.last_signal_at,
        tick=None if tick is None else _tick_mark(tick),
        next_slot=next_slot(run, now),
        position=None if summary.position is None else _holding(summary.position, run, market, mark, now),
        realised=summary.realised,
        actions=_actions(run),
    )


def _tick_mark(row: TickRow) -> TickMark:
    return TickMark(
        status=row.status.value,
        reason=row.reason,
        slot=row.slot,
        at=row.finished_at,
        latency_ms=round(row.latency_ms, 1),
    )


def _holding(
    held: OpenPosition, run: Run, market: MarketView, mark: Mark | None, now: datetime
) -> HoldingShown:
    position = held.position
    newest = closed(market.candles(series_of(run), PRICE_CANDLES), run.strategy.timeframe, now)
    price = Decimal(repr(float(newest.close[-1]))) if len(newest) else None
    worth = price if mark is None else mark.price
    return HoldingShown(
        side="long" if position.quantity > 0 else "short",
        quantity=position.size,
        entry_price=position.entry_price,
        opened_at=position.opened_at,
        leverage=held.leverage,
        stop_loss=held.stop_loss,
        take_profit=held.take_profit,
        trailing_callback_pct=held.trail_pct,
        trailing_activation_price=held.trail_from,
        trailing_best_price=held.trail_best,
        price=price,
        mark_price=None if mark is None else mark.price,
        mark_at=None if mark is None else mark.at,
        unrealised=None if worth is None else position.unrealised(worth),
    )


def _actions(run: Run) -> tuple[str, ...]:
    """The verbs that lead somewhere from here, the likeliest first."""
    if run.status is RunStatus.ACTIVE:
        return ("pause", "stop")
    if run.execution_mode is ExecutionMode.MANUAL:
        return ()
    if run.status in _CAN_RESUME:
        return ("resume", "stop")
    return ("start",) if run.status in _CAN_START else ()


def _curve(curve: AccountCurve, rows: Sequence[RunRow]) -> EquityCurve:
    account = curve.account
    held = [row.position for row in rows if row.position is not None]
    return EquityCurve(
        account_id=account.id,
        name=account.name,
        user_id=account.user_id,
        bankroll=_bankroll(account, rows),
        runs=tuple(row.name for row in rows[:MAX_NAMES_SHOWN]),
        equity=sum((each.unrealised for each in held if each.unrealised is not None), account.balance),
        kill_switch=account.kill_switch,
        times=tuple(point.at.timestamp() for point in curve.equity),
        balances=tuple(float(point.balance) for point in curve.equity),
    )


def _bankroll(account: Account, rows: Sequence[RunRow]) -> Decimal:
    """What gains are counted from: of a connection, whose money is its owner's, what its runs did not make."""
    if account.kind is AccountKind.PORTFOLIO:
        return account.bankroll
    return account.balance - sum((row.realised for row in rows), Decimal(0))


def _user_risk(view: RiskView, read: Overview) -> UserRisk:
    state, limits, now = view.state, view.limits, read.now
    day = state.day(now)
    gates: dict[str, list[int]] = {}
    for count in read.tick_counts:
        if count.user_id == view.user_id and count.status == "blocked" and count.reason is not None:
            gates.setdefault(count.reason, [0, 0])[0] += count.ticks
    for pauses in read.pause_counts:
        if pauses.user_id == view.user_id:
            gates.setdefault(pauses.reason.value, [0, 0])[1] += pauses.pauses
    why = why_blocked(view, now)
    return UserRisk(
        user_id=view.user_id,
        pnl=day.pnl,
        max_loss=limits.daily_max_loss_usdt,
        trades=day.trades,
        max_trades=limits.max_trades_per_day,
        streak=state.streak,
        max_streak=limits.max_consecutive_losses,
        cooldown_until=why.cooldown_until,
        paused_until=state.paused_until if state.is_paused(now) else None,
        blocked=None if view.blocked is None else view.blocked.value,
        why=why.sentence,
        gates=tuple(
            GateShown(gate=gate, ticks=counts[0], pauses=counts[1]) for gate, counts in sorted(gates.items())
        ),
    )
