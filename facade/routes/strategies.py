"""Strategies of the caller: list, create, detail, and the caller's run of one through its verbs."""

from __future__ import annotations

from core.ids import StrategyId
from core.run import Run, RunCommand
from facade.access import Access
from facade.bridge import StrategyDetail
from facade.creation import Created, carry_out, plan
from facade.cursor import read_cursor
from facade.endpoint import Call, Handler, route
from facade.errors import ApiError, Detail, not_found
from facade.listing import strategies_answer, strategy_answer, unarchived
from facade.operation import OperationRoute
from facade.routes.runs import COMMAND_FOR, VERBS, command, execute_tick
from facade.schemas.form import Page
from facade.schemas.runner import TickAnswer
from facade.schemas.runs import SetStatus, VerbAnswer
from facade.schemas.strategies import CreatedAnswer, CreateStrategy, StrategiesAnswer, StrategyAnswer
from facade.views import run_shown, strategy_shown


async def list_strategies(call: Call, query: Page) -> StrategiesAnswer:
    """The caller's strategies, own and subscribed, each with the caller's runs of it."""
    limit, place = query.limit, read_cursor(query.cursor)
    before = None if place is None else (place[0], StrategyId(place[1]))
    user_id, now = call.user_id, call.services.runner.market_now()
    views = await call.bridge.read(lambda reads: reads.strategies(user_id, limit=limit + 1, before=before))
    return strategies_answer(views, limit=limit, viewer=user_id, now=now)


async def create(call: Call, body: CreateStrategy) -> CreatedAnswer:
    """Create a strategy, and with any field of a run the draft run as well."""
    creation = plan(body, call.user_id, call.new_id, venues=call.services.runner.venues)
    created = await _made_before(call, creation.strategy.id) if call.is_repeat else None
    if created is None:
        created = await call.bridge.ask(lambda store: carry_out(store, creation, call.new_id))
        call.services.runner.rows_changed()
    now = call.services.runner.market_now()
    runs = [created.run] if created.run is not None else []
    return CreatedAnswer(
        id=created.strategy.id,
        strategy=strategy_shown(created.strategy, runs, call.user_id, now),
        run_id=created.run.id if created.run is not None else None,
        run=run_shown(created.run, now) if created.run is not None else None,
    )


async def detail(call: Call) -> StrategyAnswer:
    """One strategy with the caller's runs, numbers and latest events."""
    seen = await _seen(call)
    return strategy_answer(seen, viewer=call.user_id, now=call.services.runner.market_now())


async def set_status(call: Call, body: SetStatus) -> VerbAnswer:
    """Activate, pause or stop the caller's run."""
    return await command(call, await _only_run(call), COMMAND_FOR[body.status])


async def tick(call: Call) -> TickAnswer:
    """Tick the caller's run once, now."""
    return await execute_tick(call, await _only_run(call))


async def _made_before(call: Call, strategy_id: StrategyId) -> Created | None:
    """What an attempt that was cut off has made: all of it or nothing."""
    user_id = call.user_id
    found = await call.bridge.read(lambda reads: reads.strategy(strategy_id, user_id))
    if found is None:
        return None
    runs = [summary.run for summary in found.view.runs]
    return Created(strategy=found.view.strategy, run=runs[0] if runs else None)


async def _seen(call: Call) -> StrategyDetail:
    """The strategy in the path with the caller's runs of it; 404 where there is none they may see."""
    strategy_id, user_id = StrategyId(call.path_id()), call.user_id
    found = await call.bridge.read(lambda reads: reads.strategy(strategy_id, user_id))
    if found is None:
        raise not_found()
    return found


async def _only_run(call: Call) -> Run:
    """The caller's run of the strategy in the path; 409 when there is none or the choice is not ours."""
    runs = [summary.run for summary in unarchived((await _seen(call)).view)]
    if not runs:
        raise ApiError(409, "You have no run of this strategy.", code="NO_RUN")
    if len(runs) > 1:
        choices = [Detail(id=str(run.id), message=f"{run.trading_mode}, {run.status}") for run in runs]
        raise ApiError(
            409,
            "You have several runs of this strategy; name one under /api/runs/{id}.",
            code="SEVERAL_RUNS",
            details=choices,
        )
    return runs[0]


def _verb(wanted: RunCommand) -> Handler:
    async def handler(call: Call) -> VerbAnswer:
        return await command(call, await _only_run(call), wanted)

    handler.__doc__ = f"{wanted.title()} the caller's run."
    return handler


ROUTES: list[OperationRoute] = [
    route("GET", "/api/strategies", list_strategies, Access.USER),
    route("POST", "/api/strategies", create, Access.USER, status=201, either_case=True),
    route("GET", "/api/strategies/{id}", detail, Access.USER),
    route("PUT", "/api/strategies/{id}/status", set_status, Access.USER),
    route("POST", "/api/strategies/{id}/execute-tick", tick, Access.USER, needs_runner=True),
    *(
        route("POST", f"/api/strategies/{{id}}/{verb}", _verb(wanted), Access.USER)
        for verb, wanted in VERBS.items()
    ),
]
