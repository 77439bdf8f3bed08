"""What the page shows, in the page's words: structs of `/api/overview`, made from what was read at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from core.candles import CandleColumns
from core.ids import AccountId, RunId, UserId
from core.market import Market, Series
from core.position import ZERO
from core.run import Direction, ExecutionMode, Run, RunStatus, TradingMode
from core.timeframe import Timeframe
from facade.endpoint import Answer
from facade.risk_words import why_blocked
from facade.schemas import LagShown, Shown
from facade.views import next_slot
from schema.pg_reads import AccountCurve, Overview, RunSummary
from schema.records import OpenPosition, Platform, RiskView, TickRow, Trade

MAX_RUNS_SHOWN: Final = 200
MAX_USERS_SHOWN: Final = 100
MAX_ACCOUNTS_SHOWN: Final = 40
EQUITY_POINTS: Final = 200
CANDLES_SHOWN: Final = 300
TRADES_SHOWN: Final = 100

_CAN_START: Final = frozenset({RunStatus.DRAFT, RunStatus.STOPPED})
_CAN_RESUME: Final = frozenset({RunStatus.PAUSED, RunStatus.AUTO_PAUSED, RunStatus.ERROR})


class MarketView(Protocol):
    """What the page asks of the market data; both answer at once."""

    @property
    def origin(self) -> str:
        """Where the candles come from, in words."""
        ...

    def candles(self, series: Series, limit: int) -> CandleColumns:
        """The newest `limit` candles held, oldest first; none for a series nobody trades on here."""
        ...


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
    """An open position. `price` is the last close known; without one there is no unrealised PnL."""

    side: str
    quantity: Decimal
    entry_price: Decimal
    opened_at: datetime | None
    leverage: int
    stop_loss: Decimal | None
    take_profit: Decimal | None
    price: Decimal | None
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
    """PnL of an account since its start: booked at `times` (epoch seconds), and now with what is open."""

    account_id: AccountId
    name: str
    user_id: UserId
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


class Marker(Shown, frozen=True, kw_only=True):
    """An entry or exit on the chart, in epoch seconds of the candle it fell into."""

    time: int
    kind: str
    side: str
    price: Decimal
    pnl: Decimal | None = None


class ChartAnswer(Answer, frozen=True, kw_only=True):
    """Candles of a run's series as parallel lists, and what the run did on them."""

    run_id: RunId
    symbol: str
    timeframe: Timeframe
    origin: str
    times: tuple[int, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]
    markers: tuple[Marker, ...]
    entry_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole page beside the rows."""

    clock: ClockShown
    ready: Mapping[str, bool]
    platform: Platform


def overview_answer(read: Overview, market: MarketView, around: Surroundings) -> OverviewAnswer:
    ticks = {row.run_id: row for row in read.ticks}
    rows = [_run_row(each, ticks.get(each.run.id), market, read.now) for each in read.runs]
    open_pnl: dict[AccountId, Decimal] = {}
    for summary, row in zip(read.runs, rows, strict=True):
        if row.position is not None and row.position.unrealised is not None and summary.run.account_id:
            account_id = summary.run.account_id
            open_pnl[account_id] = open_pnl.get(account_id, ZERO) + row.position.unrealised
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
        accounts=tuple(_curve(each, open_pnl) for each in read.accounts[:MAX_ACCOUNTS_SHOWN]),
        accounts_left_out=max(0, len(read.accounts) - MAX_ACCOUNTS_SHOWN),
        users=tuple(_user_risk(view, read) for view in risks[:MAX_USERS_SHOWN]),
        users_left_out=max(0, len(risks) - MAX_USERS_SHOWN),
    )


def chart_answer(
    run: Run,
    held: OpenPosition | None,
    trades: Sequence[Trade],
    market: MarketView,
    now: datetime,
) -> ChartAnswer:
    timeframe = run.strategy.timeframe
    columns = closed(market.candles(series_of(run), CANDLES_SHOWN), timeframe, now)
    first = int(columns.open_time[0] // 1000) if len(columns) else None
    position = None if held is None or held.position.is_flat else held.position
    markers = [mark for trade in trades for mark in _trade_markers(trade, timeframe)]
    if position is not None and position.opened_at is not None and position.side is not None:
        at = _candle_time(position.opened_at, timeframe)
        markers.append(Marker(time=at, kind="entry", side=position.side.value, price=position.entry_price))
    seen = [mark for mark in markers if first is not None and mark.time >= first]
    return ChartAnswer(
        run_id=run.id,
        symbol=run.strategy.symbol,
        timeframe=timeframe,
        origin=market.origin,
        times=tuple(int(at // 1000) for at in columns.open_time.tolist()),
        open=tuple(columns.open.tolist()),
        high=tuple(columns.high.tolist()),
        low=tuple(columns.low.tolist()),
        close=tuple(columns.close.tolist()),
        markers=tuple(sorted(seen, key=lambda mark: mark.time)),
        entry_price=position.entry_price if position is not None else None,
        stop_loss=held.stop_loss if held is not None and position is not None else None,
        take_profit=held.take_profit if held is not None and position is not None else None,
    )


def series_of(run: Run) -> Series:
    strategy = run.strategy
    return Series(
        venue=strategy.venue,
        market=Market(strategy.market),
        symbol=strategy.symbol,
        timeframe=strategy.timeframe,
    )


def closed(columns: CandleColumns, timeframe: Timeframe, now: datetime) -> CandleColumns:
    """Those that have closed by `now`: a held source also knows the future."""
    end_ms = int(now.timestamp() * 1000) - timeframe.ms + 1
    return columns.between(0, end_ms)


def _run_row(summary: RunSummary, tick: TickRow | None, market: MarketView, now: datetime) -> RunRow:
    run = summary.run
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
        position=None if summary.position is None else _holding(summary.position, run, market, now),
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


def _holding(held: OpenPosition, run: Run, market: MarketView, now: datetime) -> HoldingShown:
    position = held.position
    newest = closed(market.candles(series_of(run), 1), run.strategy.timeframe, now)
    price = Decimal(repr(float(newest.close[-1]))) if len(newest) else None
    return HoldingShown(
        side="long" if position.quantity > 0 else "short",
        quantity=position.size,
        entry_price=position.entry_price,
        opened_at=position.opened_at,
        leverage=held.leverage,
        stop_loss=held.stop_loss,
        take_profit=held.take_profit,
        price=price,
        unrealised=None if price is None else position.unrealised(price),
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


def _curve(curve: AccountCurve, open_pnl: Mapping[AccountId, Decimal]) -> EquityCurve:
    account = curve.account
    return EquityCurve(
        account_id=account.id,
        name=account.name,
        user_id=account.user_id,
        bankroll=account.bankroll,
        equity=account.balance + open_pnl.get(account.id, ZERO),
        kill_switch=account.kill_switch,
        times=tuple(point.at.timestamp() for point in curve.equity),
        balances=tuple(float(point.balance) for point in curve.equity),
    )


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


def _trade_markers(trade: Trade, timeframe: Timeframe) -> tuple[Marker, Marker]:
    entry = Marker(
        time=_candle_time(trade.entry_time, timeframe), kind="entry", side=trade.side, price=trade.entry_price
    )
    left = Marker(
        time=_candle_time(trade.exit_time, timeframe),
        kind=trade.exit_reason,
        side=trade.side,
        price=trade.exit_price,
        pnl=trade.pnl,
    )
    return entry, left


def _candle_time(at: datetime, timeframe: Timeframe) -> int:
    return int(timeframe.floor(at).timestamp())
