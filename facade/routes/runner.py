"""The runner's own endpoints: cron and operator ticks, status, risk simulation, kill switch, actors."""

from __future__ import annotations

from collections import Counter
from typing import Final

from core.ids import RunId, UserId
from core.risk import gate
from core.run import RunStatus
from facade.access import Access
from facade.bridge import (
    OpRefused,
    RiskSettled,
    RiskView,
    SimulateTrade,
    SlotOutcome,
    Store,
    TickStatus,
)
from facade.cursor import read_cursor
from facade.decoding import within
from facade.endpoint import Call, route
from facade.errors import ApiError, not_found
from facade.listing import status_answer, tick_runs_answer
from facade.operation import OperationRoute
from facade.routes.runs import execute_tick
from facade.schemas.form import SetKillSwitch
from facade.schemas.runner import (
    ActorsAnswer,
    CronAnswer,
    CronSummary,
    ExecuteTick,
    KillSwitchAnswer,
    RiskAnswer,
    SimulateTradeResult,
    StatusAnswer,
    TickAnswer,
    TickRunsAnswer,
    TicksAsked,
)
from facade.views import risk_answer

MAX_SIMULATED_USDT: Final = 1_000_000_000


async def cron(call: Call) -> CronAnswer:
    """Run everything due, on every process."""
    runner = call.services.runner
    started = runner.market_now()
    slot = call.bridge.slot_due_now(call.settings.runner_grace_sec)
    if slot is None:
        summary, notes = CronSummary(), ["No candle close is due at this moment."]
    else:
        summary, notes = _summary(await call.bridge.due_slot(slot))
    return CronAnswer(
        ran_at=slot or started,
        started_at=started,
        finished_at=runner.market_now(),
        summary=summary,
        notes=tuple(notes),
    )


async def tick(call: Call, body: ExecuteTick) -> TickAnswer:
    """Tick one run once, now."""
    run_id = RunId(body.strategy_run_id)
    run = await call.bridge.ask(lambda store: store.run(run_id))
    if run is None or run.status is RunStatus.ARCHIVED:
        raise not_found()
    return await execute_tick(call, run)


async def status(call: Call) -> StatusAnswer:
    """What the runner is doing; at most half a second old."""

    async def read() -> StatusAnswer:
        runner = call.services.runner
        numbers = await call.bridge.read(lambda reads: reads.numbers())
        platform = await call.bridge.ask(lambda store: store.platform())
        return status_answer(
            numbers,
            platform,
            enabled=call.settings.enable_strategy_runner,
            actors=runner.actors(),
            nodes=runner.nodes(),
        )

    return await call.services.status.get(read)


async def tick_runs(call: Call, query: TicksAsked) -> TickRunsAnswer:
    """The trigger ledger: a row per run and slot, with who asked first and who lost."""
    limit, place = query.limit, read_cursor(query.cursor)

    def read(store: Store) -> TickRunsAnswer:
        rows = store.ticks(
            run_id=RunId(query.run_id) if query.run_id else None,
            status=None if query.status is None else query.status.value,
            since=query.since,
            source=query.source,
            before=None if place is None else (place[0], RunId(place[1])),
            limit=limit + 1,
        )
        page = rows[:limit]
        return tick_runs_answer(page, store.lost_triggers(page), more=len(rows) > limit)

    return await call.bridge.ask(read)


async def simulate_trade_result(call: Call, body: SimulateTradeResult) -> RiskAnswer:
    """Book a made-up trade result into a user's risk state."""
    if not call.settings.enable_runner_admin_endpoints:
        raise not_found()
    delta = within("pnlDeltaUsdt", body.pnl_delta_usdt, -MAX_SIMULATED_USDT, MAX_SIMULATED_USDT)
    simulated = SimulateTrade(user_id=UserId(body.user_id), delta=delta, id=call.new_id())
    settled = await call.bridge.settle(simulated)
    if isinstance(settled, OpRefused):
        raise ApiError(422, settled.sentence)
    assert isinstance(settled, RiskSettled)
    now = call.services.runner.market_now()
    blocked = gate(settled.state, settled.limits, now)
    view = RiskView(user_id=settled.user_id, state=settled.state, limits=settled.limits, blocked=blocked)
    return risk_answer(view, now)


async def kill_switch(call: Call, body: SetKillSwitch) -> KillSwitchAnswer:
    """Stop or allow all orders of everybody."""
    reason = body.reason or f"set by {call.user_id}"
    await call.bridge.ask(lambda store: store.set_kill_switch(on=body.on, reason=reason))
    call.services.status.forget()
    call.services.runner.rows_changed()
    stands = await call.bridge.ask(lambda store: store.platform())  # one that was on keeps its first reason
    return KillSwitchAnswer(on=stands.kill_switch, reason=stands.kill_switch_reason)


async def actors(call: Call) -> ActorsAnswer:
    """The supervision tree."""
    return ActorsAnswer(actors=tuple(call.services.runner.actors()))


def _summary(outcome: SlotOutcome) -> tuple[CronSummary, list[str]]:
    count = Counter(outcome.counts)
    summary = CronSummary(
        processed=count.total() + outcome.undecided,
        ran=count[TickStatus.OK],
        skipped=count[TickStatus.SKIPPED] + count[TickStatus.MISSED],
        blocked=count[TickStatus.BLOCKED],
        errors=count[TickStatus.ERROR],
    )
    if not outcome.undecided:
        return summary, []
    return summary, [f"{outcome.undecided} of {summary.processed} runs were not decided yet."]


ROUTES: list[OperationRoute] = [
    *(
        route(method, path, cron, Access.CRON, needs_runner=True, reads_nothing=True)
        for method, path in (
            ("POST", "/api/runner/cron"),
            ("GET", "/api/cron/strategies"),
            ("POST", "/api/cron/strategies"),
            ("GET", "/api/cron/strategy-executor"),
            ("POST", "/api/cron/strategy-executor"),
        )
    ),
    route("POST", "/api/runner/execute-tick", tick, Access.ADMIN, needs_runner=True),
    route("GET", "/api/runner/status", status, Access.ADMIN, needs_runner=True),
    route("GET", "/api/runner/tick-runs", tick_runs, Access.ADMIN, needs_runner=True),
    route(
        "POST", "/api/runner/simulate-trade-result", simulate_trade_result, Access.ADMIN, needs_runner=True
    ),
    route("PUT", "/api/runner/kill-switch", kill_switch, Access.ADMIN, needs_runner=True),
    route("GET", "/api/runner/actors", actors, Access.ADMIN, needs_runner=True),
]
