"""One run by its id: what it is, and the verbs that change its status."""

from __future__ import annotations

from core.errors import Reason
from core.ids import RunId
from core.run import Run, RunCommand, RunStatus
from core.strategies.external import is_external
from facade.access import Access
from facade.bridge import MoveSubscription, Store
from facade.endpoint import Call, Handler, require_runner, route
from facade.errors import ApiError, not_found
from facade.operation import OperationRoute
from facade.past import run_then
from facade.preflight import answers_alike, preflight, within_tiers
from facade.schemas.form import AsOf
from facade.schemas.past import RunThenAnswer
from facade.schemas.runner import TickAnswer
from facade.schemas.runs import RunAnswer, SetStatus, VerbAnswer
from facade.versions import show_version
from facade.views import run_shown, tick_answer

ACTIVATING = frozenset({RunCommand.START, RunCommand.RESUME})
COMMAND_FOR = {"active": RunCommand.START, "paused": RunCommand.PAUSE, "stopped": RunCommand.STOP}
VERBS = {
    "start": RunCommand.START,
    "pause": RunCommand.PAUSE,
    "resume": RunCommand.RESUME,
    "stop": RunCommand.STOP,
}


async def run_of(call: Call) -> Run:
    """The run the path names: the caller's own, any for an administrator, 404 for everybody else (I12)."""
    run_id = RunId(call.path_id())
    run = await call.bridge.ask(lambda store: store.run(run_id))
    if run is None or (run.user_id != call.user_id and not call.principal.admin):
        raise not_found()
    return run


async def command(call: Call, run: Run, wanted: RunCommand, *, subscription: bool = False) -> VerbAnswer:
    """The status change, with the preflight before an activation; of a `subscription` with its own event."""
    if wanted in ACTIVATING:
        require_runner(call.services)
    user_id, services = call.user_id, call.services
    if wanted in ACTIVATING and run.status is not RunStatus.ACTIVE:
        await call.bridge.ask(lambda store: preflight(store, run, services.settings, services.keys))
        await answers_alike(call, run)
        await within_tiers(call, run)

    def change(store: Store) -> Run:
        if wanted in ACTIVATING and run.status is not RunStatus.ACTIVE:
            preflight(store, run, services.settings, services.keys)
        if not subscription:
            return store.command(run.id, wanted, by=user_id)
        moved = store.arrange(MoveSubscription(run_id=run.id, command=wanted, by=user_id)).run
        assert moved is not None
        return moved

    changed = await call.bridge.ask(change)
    call.services.runner.rows_changed()
    return VerbAnswer(
        run_id=changed.id,
        strategy_id=changed.strategy.id,
        status=changed.status,
        trading_mode=changed.trading_mode,
        execution_mode=changed.execution_mode,
    )


async def execute_tick(call: Call, run: Run) -> TickAnswer:
    """One tick in the slot the moment belongs to; the one there is, where it has been ticked."""
    if run.status is not RunStatus.ACTIVE:
        raise ApiError(
            409, f"Only an active run ticks; this one is {run.status}.", code=Reason.NOT_ACTIVE.upper()
        )
    if is_external(run.strategy):
        raise ApiError(
            409,
            "A run of a strategy of kind external ticks at its signals: POST /api/strategies/{id}/signals.",
            code="TICKS_AT_SIGNALS",
        )
    slot = run.strategy.timeframe.slot(call.asked_at())
    return tick_answer(await call.bridge.tick(run.id, slot))


async def show(call: Call, query: AsOf) -> RunAnswer | RunThenAnswer:
    """One run; as of another time, what was known of it then."""
    run = await run_of(call)
    summary = await call.bridge.read(lambda reads: reads.run(run.id, run.user_id))
    if summary is None:
        raise not_found()
    if query.as_of is not None:
        return await run_then(call, summary.run, summary.created_at, query.as_of)
    show_version(call, summary.run.version)
    return RunAnswer(run=run_shown(summary.run, call.services.runner.market_now(), summary.created_at))


async def set_status(call: Call, body: SetStatus) -> VerbAnswer:
    """Activate, pause or stop the run."""
    return await command(call, await run_of(call), COMMAND_FOR[body.status])


async def tick(call: Call) -> TickAnswer:
    """Tick the run once, now."""
    return await execute_tick(call, await run_of(call))


def _verb(wanted: RunCommand) -> Handler:
    async def handler(call: Call) -> VerbAnswer:
        return await command(call, await run_of(call), wanted)

    handler.__doc__ = f"{wanted.title()} the run."
    return handler


ROUTES: list[OperationRoute] = [
    route("GET", "/api/runs/{id}", show, Access.USER),
    route("PUT", "/api/runs/{id}/status", set_status, Access.USER),
    route("POST", "/api/runs/{id}/execute-tick", tick, Access.USER, needs_runner=True),
    *(
        route("POST", f"/api/runs/{{id}}/{verb}", _verb(wanted), Access.USER)
        for verb, wanted in VERBS.items()
    ),
]
