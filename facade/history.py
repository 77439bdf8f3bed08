"""A run's history as it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from core.position import Side
from core.strategy_warning import StrategyWarning
from facade.bridge import (
    AuthoredEvaluation,
    EvaluationRecord,
    EventsPage,
    OpenPosition,
    OrderRecord,
    RunSummary,
    RunTotals,
    TickRecord,
    TradeRecord,
)
from facade.cursor import cursor_text, number_text
from facade.schemas.history import (
    AuthoredEvaluationShown,
    EvaluationsAnswer,
    EvaluationShown,
    EventsAnswer,
    ExecutionsAnswer,
    ExecutionShown,
    Level,
    LogsAnswer,
    LogShown,
    OrdersAnswer,
    OrderShown,
    PositionsAnswer,
    PositionShown,
    StatsAnswer,
    TradesAnswer,
    TradeShown,
    WarningShown,
)
from facade.views import event_shown, tick_id

KINDS: Final = {"signal": ["^signal$"], "trade": ["^order", "^trade"], "error": ["^error$", "^risk_block$"]}
"""Types of a level, as the view `strategy_logs` has them; `info` is all the others."""


def orders_answer(found: Sequence[OrderRecord], *, limit: int) -> OrdersAnswer:
    """A page of `limit` out of the one more that was read."""
    page = found[:limit]
    return OrdersAnswer(
        orders=tuple(_order(each) for each in page),
        next_cursor=number_text(page[-1].number) if len(found) > limit else None,
    )


def trades_answer(found: Sequence[TradeRecord], *, limit: int) -> TradesAnswer:
    page = found[:limit]
    return TradesAnswer(
        trades=tuple(msgspec.convert(each.trade, TradeShown, from_attributes=True) for each in page),
        next_cursor=number_text(page[-1].number) if len(found) > limit else None,
    )


def executions_answer(found: Sequence[TickRecord], *, limit: int) -> ExecutionsAnswer:
    page = found[:limit]
    return ExecutionsAnswer(
        executions=tuple(_execution(each) for each in page),
        next_cursor=cursor_text(page[-1].tick.slot, page[-1].tick.run_id) if len(found) > limit else None,
    )


def evaluations_answer(
    found: Sequence[AuthoredEvaluation], warnings: Sequence[StrategyWarning], *, limit: int
) -> EvaluationsAnswer:
    page = found[:limit]
    shown = (
        AuthoredEvaluationShown(
            slot=each.slot,
            worker=each.worker,
            orders_made=each.orders_made,
            printed=each.printed,
            evaluation=_evaluation(each.evaluation),
        )
        for each in page
    )
    last = page[-1] if len(found) > limit else None
    return EvaluationsAnswer(
        evaluations=tuple(shown),
        warnings=tuple(msgspec.convert(each, WarningShown, from_attributes=True) for each in warnings),
        next_cursor=None if last is None else cursor_text(last.slot, UUID(last.evaluation_key[:32])),
    )


def events_answer(page: EventsPage) -> EventsAnswer:
    return EventsAnswer(events=tuple(event_shown(event) for event in page.events), next_cursor=_before(page))


def logs_answer(page: EventsPage) -> LogsAnswer:
    logs = (
        LogShown(**msgspec.structs.asdict(event_shown(event)), level=level_of(event.type))
        for event in page.events
    )
    return LogsAnswer(logs=tuple(logs), next_cursor=_before(page))


def level_of(kind: str) -> Level:
    if kind == "signal":
        return "signal"
    if kind in ("error", "risk_block"):
        return "error"
    return "trade" if kind.startswith(("order", "trade")) else "info"


def positions_answer(held: OpenPosition | None) -> PositionsAnswer:
    return PositionsAnswer(positions=() if held is None else (_position(held),))


def stats_answer(summary: RunSummary, totals: RunTotals) -> StatsAnswer:
    run, capital = summary.run, summary.run.settings.capital
    return StatsAnswer(
        run_id=run.id,
        strategy_id=run.strategy.id,
        status=run.status,
        since=summary.created_at,
        total_executions=sum(totals.ticks.values()),
        executions={status.value: ticks for status, ticks in totals.ticks.items()},
        avg_execution_time_ms=totals.average_ms,
        last_run_at=summary.last_run_at,
        last_signal_at=summary.last_signal_at,
        trades=totals.trades,
        wins=totals.wins,
        losses=totals.losses,
        win_rate_pct=100 * totals.wins / totals.trades if totals.trades else None,
        profit_factor=float(totals.gained / totals.lost) if totals.lost else None,
        pnl_usdt=totals.pnl,
        realized_pnl_usdt=summary.realised,
        fees_usdt=totals.fees,
        funding_usdt=totals.funding,
        best_trade_usdt=totals.best,
        worst_trade_usdt=totals.worst,
        roi_pct=float(100 * totals.pnl / capital),
        max_drawdown_usdt=totals.max_drawdown,
        max_drawdown_pct=float(100 * totals.max_drawdown_share),
        open_positions=0 if summary.position is None else 1,
    )


def _before(page: EventsPage) -> str | None:
    return None if page.before is None else number_text(page.before)


def _order(record: OrderRecord) -> OrderShown:
    order = record.order
    return OrderShown(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        account_id=order.account_id,
        symbol=order.symbol,
        slot=order.slot,
        leg=order.leg.value,
        attempt=order.attempt,
        side=order.side.value,
        kind=order.kind.value,
        quantity=order.quantity,
        reference_price=order.reference_price,
        price=order.price,
        reduce_only=order.reduce_only,
        leverage=order.leverage,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        status=order.status.value,
        reason=order.reason,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        created_at=order.created_at,
        updated_at=record.updated_at,
        why=record.why,
    )


def _execution(record: TickRecord) -> ExecutionShown:
    tick, evaluation = record.tick, record.evaluation
    return ExecutionShown(
        tick_id=tick_id(tick.run_id, tick.slot),
        slot=tick.slot,
        status=tick.status.value,
        signal=tick.signal,
        reason=tick.reason,
        source=tick.source.value,
        finished_at=tick.finished_at,
        latency_ms=round(tick.latency_ms, 3),
        worker=tick.worker,
        orders_made=record.orders_made,
        evaluation=None if evaluation is None else _evaluation(evaluation),
    )


def _evaluation(evaluation: EvaluationRecord) -> EvaluationShown:
    return EvaluationShown(
        status=evaluation.evaluation_status.value,
        duration_ms=round(evaluation.duration_ms, 3),
        average_ms=round(evaluation.average_ms, 3),
        used_ms=None if evaluation.used_ms is None else round(evaluation.used_ms, 3),
        limit_ms=evaluation.limit_ms,
        signal=evaluation.action,
        price=evaluation.price,
        reason=evaluation.evaluation_reason,
        indicators=evaluation.indicators,
        runs_reached=evaluation.runs_reached,
        nodes_executed=evaluation.nodes_executed,
        error=evaluation.error,
    )


def _position(held: OpenPosition) -> PositionShown:
    position = held.position
    return PositionShown(
        account_id=held.account_id,
        symbol=held.symbol,
        side=(Side.LONG if position.quantity > 0 else Side.SHORT).value,
        quantity=position.size,
        entry_price=position.open_cost / position.size,
        leverage=held.leverage,
        opened_at=position.opened_at,
        stop_loss=held.stop_loss,
        take_profit=held.take_profit,
        realised_usdt=position.realised_gross - position.fees + position.funding,
        drift=held.drift,
        updated_at=held.updated_at,
    )
