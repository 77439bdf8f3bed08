"""Answers about an instant that has passed, and what is refused of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec.structs import asdict

from core.errors import Reason
from core.ids import UserId
from core.past import Unknowable
from core.position import Side
from core.risk import gate, risk_day
from core.run import Run
from facade.bridge import StrategyDetail
from facade.endpoint import Call
from facade.errors import ApiError, Detail, bad_field
from facade.moments import sane
from facade.schemas.past import (
    PositionsThenAnswer,
    PositionThenShown,
    RiskThenAnswer,
    RunThenAnswer,
    RunThenShown,
    StrategyThenAnswer,
)
from facade.views import limits_shown, run_known

FIELD: Final = "asOf"
MAX_RUNS: Final = 50
"""Of the caller and one strategy, each read by itself; more are asked for one by one."""


def passed(call: Call, at: datetime) -> datetime:
    """`at`, or ApiError 400 where it has not passed."""
    sane(FIELD, at)
    if at > call.services.runner.market_now():
        raise bad_field(FIELD, "lies in the future")
    return at


def there_since(created_at: datetime, at: datetime) -> None:
    """404 where there was nothing yet."""
    if at < created_at:
        raise ApiError(
            404,
            f"There was nothing of it yet: it was made at {created_at.isoformat()}.",
            details=[Detail(field=FIELD, message="lies before it was made")],
        )


async def run_then(call: Call, run: Run, created_at: datetime, as_of: datetime) -> RunThenAnswer:
    at = passed(call, as_of)
    there_since(created_at, at)
    then = await call.bridge.read(lambda reads: reads.run_then(run, at))
    return RunThenAnswer(as_of=at, run=_run(then, created_at, at))


async def positions_then(call: Call, run: Run, created_at: datetime, as_of: datetime) -> PositionsThenAnswer:
    at = passed(call, as_of)
    there_since(created_at, at)
    then = await call.bridge.read(lambda reads: reads.position_then(run, at))
    if then is None:
        return PositionsThenAnswer(as_of=at, positions=())
    position = then.held.position
    shown = PositionThenShown(
        account_id=then.account_id,
        symbol=then.symbol,
        side=(Side.LONG if position.quantity > 0 else Side.SHORT).value,
        quantity=position.size,
        entry_price=position.entry_price,
        leverage=then.leverage,
        opened_at=position.opened_at,
        stop_loss=then.wanted.stop_loss,
        take_profit=then.wanted.take_profit,
        realised_usdt=position.realised_gross - position.fees + position.funding,
        drift=then.held.drift,
        updated_at=then.held.updated_at,
    )
    return PositionsThenAnswer(as_of=at, positions=(shown,))


async def strategy_then(call: Call, seen: StrategyDetail, as_of: datetime) -> StrategyThenAnswer:
    at, view = passed(call, as_of), seen.view
    there_since(view.created_at, at)
    version = await call.bridge.read(lambda reads: reads.version_then(view.strategy.id, at))
    if version is None:
        raise ApiError(404, "There was no version of it yet.", details=[Detail(field=FIELD)])
    there = [summary for summary in view.runs if summary.created_at <= at]
    if len(there) > MAX_RUNS:
        raise Unknowable("runs")
    runs = await call.bridge.read(
        lambda reads: [_run(reads.run_then(each.run, at), each.created_at, at) for each in there]
    )
    definition = version.strategy
    return StrategyThenAnswer(
        as_of=at,
        id=definition.id,
        name=definition.name if version.named else None,
        description=definition.description if version.named else None,
        visibility=definition.visibility if version.named else None,
        type=definition.kind.value,
        template=definition.template,
        params=definition.parameters,
        venue=definition.venue,
        symbol=definition.symbol,
        timeframe=definition.timeframe,
        version=definition.version,
        version_since=version.since,
        own=definition.owner_id == call.user_id,
        created_at=view.created_at,
        runs=tuple(runs),
    )


async def risk_then(call: Call, user_id: UserId, as_of: datetime) -> RiskThenAnswer:
    at = passed(call, as_of)
    then = await call.bridge.read(lambda reads: reads.risk_then(user_id, at))
    state, limits = then.state, then.limits
    day = state.day(at)
    # What the platform's limits were is not recorded; a pause needs none.
    paused = Reason.PAUSED if state.is_paused(at) else None
    blocked = paused if limits is None else gate(state, limits, at)
    return RiskThenAnswer(
        as_of=at,
        user_id=user_id,
        day=risk_day(at),
        realized_pnl_usdt=day.pnl,
        trades_count=day.trades,
        consecutive_losses=state.streak,
        last_trade_at=state.last_trade_at,
        is_paused=state.is_paused(at),
        paused_until=state.paused_until,
        paused_reason=state.paused_reason,
        blocked_reason=blocked,
        limits=None if limits is None else limits_shown(limits),
    )


def _run(run: Run, created_at: datetime, at: datetime) -> RunThenShown:
    return RunThenShown(
        **asdict(run_known(run, at)),
        strategy_version=run.strategy.version,
        symbol=run.strategy.symbol,
        timeframe=run.strategy.timeframe,
        created_at=created_at,
    )
