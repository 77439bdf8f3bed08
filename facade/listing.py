"""Lists, details and numbers as they are shown, from what the store read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.ids import UserId
from core.position import ZERO
from core.run import RunStatus, TradingMode
from facade.bridge import (
    ActorNode,
    LostTrigger,
    Node,
    Platform,
    RunnerNumbers,
    RunSummary,
    StrategyDetail,
    StrategyView,
    TickPlace,
    TickRow,
)
from facade.code import code_shown, origin_shown
from facade.cursor import cursor_text
from facade.schemas.form import LagShown
from facade.schemas.runner import CandlesShown, NodeShown, StatusAnswer, TickRunsAnswer
from facade.schemas.runs import RunShown
from facade.schemas.strategies import StrategiesAnswer, StrategyAnswer
from facade.views import actor_counts, event_shown, next_slot, run_shown, strategy_shown, tick_shown


def strategies_answer(
    views: Sequence[StrategyView], *, limit: int, viewer: UserId, now: datetime
) -> StrategiesAnswer:
    """A page of `limit` out of the one more that was read."""
    page = views[:limit]
    return StrategiesAnswer(
        strategies=tuple(
            strategy_shown(view.strategy, _runs_shown(view, now), viewer, view.created_at) for view in page
        ),
        next_cursor=cursor_text(page[-1].created_at, page[-1].strategy.id) if len(views) > limit else None,
    )


def strategy_answer(
    detail: StrategyDetail, *, viewer: UserId, now: datetime, alert_key_since: datetime | None
) -> StrategyAnswer:
    """One strategy; status, numbers and events are of the caller's runs alone."""
    definition, runs = detail.view.strategy, unarchived(detail.view)
    paper = [summary for summary in runs if summary.run.trading_mode is TradingMode.PAPER]
    newest = max(runs, key=lambda summary: summary.created_at, default=None)
    return StrategyAnswer(
        id=definition.id,
        name=definition.name,
        description=definition.description,
        type=definition.kind.value,
        template=definition.template,
        code=code_shown(definition) if definition.owner_id == viewer else None,
        converted_from=origin_shown(definition) if definition.owner_id == viewer else None,
        params=definition.parameters,
        symbol=definition.symbol,
        timeframe=definition.timeframe,
        version=definition.version,
        visibility=definition.visibility,
        own=definition.owner_id == viewer,
        alert_key_since=alert_key_since,
        created_at=detail.view.created_at,
        subscriber_count=detail.subscribers,
        trading_mode=newest.run.trading_mode if newest else None,
        status=newest.run.status if newest else None,
        error_message=newest.run.status_reason if newest else None,
        last_run_at=max((each.last_run_at for each in runs if each.last_run_at), default=None),
        last_signal_at=max((each.last_signal_at for each in runs if each.last_signal_at), default=None),
        next_slot_at=min((slot for each in runs if (slot := next_slot(each.run, now))), default=None),
        total_executions=detail.executions,
        avg_execution_time_ms=detail.average_execution_ms,
        paper_pnl_usd=sum((summary.realised for summary in paper), ZERO),
        paper_positions_count=sum(1 for summary in paper if summary.position is not None),
        runs=tuple(_runs_shown(detail.view, now)),
        events=tuple(event_shown(event) for event in detail.events),
    )


def status_answer(
    numbers: RunnerNumbers,
    platform: Platform,
    *,
    enabled: bool,
    actors: Sequence[ActorNode],
    nodes: Sequence[Node],
) -> StatusAnswer:
    now = numbers.now
    return StatusAnswer(
        enabled=enabled,
        market_time=now,
        kill_switch=platform.kill_switch,
        kill_switch_reason=platform.kill_switch_reason,
        active_strategies=numbers.active_strategies,
        active_runs=numbers.active_runs,
        last_tick_at=numbers.last_tick_at,
        last_tick_status=numbers.last_tick_status,
        blocked_users_count=len(numbers.blocked),
        last_blocked_reasons={user: reason.value for user, reason in numbers.blocked.items()},
        nodes=tuple(NodeShown(id=node.id, version=node.version, beat_at=node.beat_at) for node in nodes),
        candles=tuple(
            CandlesShown(
                symbol=series.symbol,
                timeframe=series.timeframe,
                strategies=series.strategies,
                runs=series.runs,
                next_slot=series.timeframe.next_close(now),
            )
            for series in numbers.series
        ),
        slot_lag_ms=LagShown(p50=numbers.slot_lag_p50_ms, p99=numbers.slot_lag_p99_ms),
        actors=actor_counts(actors),
    )


def tick_runs_answer(
    page: Sequence[TickRow], lost: Mapping[TickPlace, Sequence[LostTrigger]], *, more: bool
) -> TickRunsAnswer:
    return TickRunsAnswer(
        ticks=tuple(tick_shown(row, lost.get((row.slot, row.run_id), ())) for row in page),
        next_cursor=cursor_text(page[-1].slot, page[-1].run_id) if more else None,
    )


def _runs_shown(view: StrategyView, now: datetime) -> list[RunShown]:
    return [run_shown(summary.run, now, summary.created_at) for summary in unarchived(view)]


def unarchived(view: StrategyView) -> list[RunSummary]:
    return [summary for summary in view.runs if summary.run.status is not RunStatus.ARCHIVED]
