"""Rows as they are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from msgspec.structs import asdict

from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import RunId, UserId
from core.listening import heard_by
from core.risk import RiskLimits, risk_day
from core.run import Run, RunStatus, ticks
from core.schedule import Schedule
from facade.bridge import ActorNode, Event, LostTrigger, RiskView, RunSummary, TickRow
from facade.schemas.risk import LimitsShown
from facade.schemas.runner import ActorCounts, LostTriggerShown, RiskAnswer, TickAnswer, TickShown
from facade.schemas.runs import EventShown, RunKnownShown, RunShown
from facade.schemas.strategies import StrategyShown
from facade.schemas.subscriptions import SubscriptionShown

_TICK_NAMESPACE: Final = UUID("5c8f9d1e-6f0b-5d1c-9c0e-3b1f7a2d4e60")


def tick_id(run_id: RunId, slot: datetime) -> UUID:
    """One id per (run, slot), the same whoever computes it."""
    return uuid5(_TICK_NAMESPACE, f"{run_id}@{slot.isoformat()}")


def tick_answer(row: TickRow) -> TickAnswer:
    return TickAnswer(
        status=row.status.value,
        reason=row.reason,
        signal=row.signal,
        latency_ms=round(row.latency_ms, 3),
        tick_id=tick_id(row.run_id, row.slot),
        strategy_run_id=row.run_id,
        slot=row.slot,
    )


def tick_shown(row: TickRow, lost: Sequence[LostTrigger]) -> TickShown:
    return TickShown(
        tick_id=tick_id(row.run_id, row.slot),
        run_id=row.run_id,
        user_id=row.user_id,
        slot=row.slot,
        status=row.status.value,
        signal=row.signal,
        reason=row.reason,
        source=row.source.value,
        asked_at=row.asked_at,
        late_ms=None if row.asked_at is None else late_ms(row.slot, row.asked_at),
        lost_triggers=tuple(
            LostTriggerShown(
                source=each.source.value,
                node=each.node,
                asked_at=each.asked_at,
                late_ms=late_ms(row.slot, each.asked_at),
            )
            for each in lost
        ),
        scheduled_at=row.scheduled_at,
        finished_at=row.finished_at,
        latency_ms=round(row.latency_ms, 3),
        worker=row.worker,
        request_id=row.request_id,
    )


def late_ms(slot: datetime, asked_at: datetime) -> float:
    """How long after the slot it was asked for; below 0 for early claims."""
    return round((asked_at - slot) / timedelta(milliseconds=1), 3)


def run_known(run: Run, at: datetime) -> RunKnownShown:
    """`at`: when this is or was known."""
    settings = run.settings
    return RunKnownShown(
        id=run.id,
        strategy_id=run.strategy.id,
        user_id=run.user_id,
        account_id=run.account_id,
        trading_mode=run.trading_mode,
        execution_mode=run.execution_mode,
        schedule=run.schedule,
        status=run.status,
        error_message=run.status_reason,
        direction=settings.direction,
        leverage=settings.leverage,
        margin_mode=settings.margin_mode,
        position_mode=settings.position_mode,
        order_size_pct=settings.order_size_pct,
        risk_pct=settings.risk_pct,
        initial_capital_usdt=settings.capital,
        take_profit_pct=settings.take_profit_pct,
        stop_loss_pct=settings.stop_loss_pct,
        trailing_callback_pct=settings.trailing_callback_pct,
        trailing_activation_pct=settings.trailing_activation_pct,
        missing_stop=settings.missing_stop,
        activated_at=run.activated_at,
        next_slot_at=next_slot(run, at),
    )


def run_shown(run: Run, now: datetime, created_at: datetime | None = None) -> RunShown:
    return RunShown(
        **asdict(run_known(run, now)),
        adapter_errors=run.adapter_errors,
        version=run.version,
        created_at=created_at,
        last_slot_at=run.last_slot,
        first_answer_at=_first_answer(run, now),
    )


def _first_answer(run: Run, now: datetime) -> datetime | None:
    """At the earliest; None where nothing has to be heard before, or it has been."""
    if run.activated_at is None or run.status is not RunStatus.ACTIVE:
        return None
    try:
        heard = heard_by(run.strategy)
    except RunnerError:  # said where the strategy is edited, and as the run's error
        return None
    at = run.activated_at + heard
    return at if heard and at > now else None


def subscription_shown(summary: RunSummary, now: datetime) -> SubscriptionShown:
    run, strategy = summary.run, summary.run.strategy
    return SubscriptionShown(
        **asdict(run_shown(run, now, summary.created_at)),
        strategy_name=strategy.name,
        symbol=strategy.symbol,
        timeframe=strategy.timeframe,
        strategy_version=strategy.version,
        capital=run.settings.capital,
        size_by=run.settings.size_by,
        ending=summary.ending,
        last_run_at=summary.last_run_at,
        last_signal=summary.last_signal,
        pnl_usdt=summary.realised,
    )


def next_slot(run: Run, now: datetime) -> datetime | None:
    """The next candle close this run ticks at by itself."""
    if not ticks(run):
        return None
    if run.schedule is not None:
        return Schedule(run.schedule).next_slot(now)
    return run.strategy.timeframe.next_close(now)


def strategy_shown(
    definition: StrategyDefinition,
    runs: Iterable[RunShown],
    viewer: UserId,
    created_at: datetime | None = None,
) -> StrategyShown:
    return StrategyShown(
        id=definition.id,
        name=definition.name,
        description=definition.description,
        type=definition.kind.value,
        template=definition.template,
        params=definition.parameters,
        venue=definition.venue,
        symbol=definition.symbol,
        timeframe=definition.timeframe,
        version=definition.version,
        visibility=definition.visibility,
        own=definition.owner_id == viewer,
        created_at=created_at,
        runs=tuple(runs),
    )


def event_shown(event: Event) -> EventShown:
    return EventShown(
        id=event.id,
        run_id=event.run_id,
        seq=event.seq,
        type=event.type,
        at=event.at,
        payload=event.payload,
    )


def risk_answer(view: RiskView, now: datetime) -> RiskAnswer:
    state = view.state
    day = state.day(now)
    return RiskAnswer(
        user_id=view.user_id,
        day=risk_day(now),
        realized_pnl_usdt=day.pnl,
        trades_count=day.trades,
        consecutive_losses=state.streak,
        last_trade_at=state.last_trade_at,
        is_paused=state.is_paused(now),
        paused_until=state.paused_until,
        paused_reason=state.paused_reason,
        blocked_reason=view.blocked,
    )


def limits_shown(limits: RiskLimits) -> LimitsShown:
    return LimitsShown(
        daily_max_loss_usdt=limits.daily_max_loss_usdt,
        max_trades_per_day=limits.max_trades_per_day,
        max_consecutive_losses=limits.max_consecutive_losses,
        cooldown_after_trade_sec=limits.cooldown_after_trade_s,
        pause_duration_min=limits.pause_duration_min,
    )


def actor_counts(roots: Sequence[ActorNode]) -> ActorCounts:
    nodes = list(_walk(roots))
    return ActorCounts(
        total=len(nodes),
        restarts=sum(node.restarts for node in nodes),
        mailbox_length=sum(node.mailbox_length for node in nodes),
        by_state=dict(Counter(node.state for node in nodes)),
    )


def _walk(roots: Sequence[ActorNode]) -> Iterable[ActorNode]:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children)
