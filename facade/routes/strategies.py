"""Strategies of the caller: list, create, detail, and the caller's run of one through its verbs."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.definition import StrategyDefinition, StrategyKind
from core.ids import RunId, StrategyId
from core.run import Run, RunCommand
from core.strategies.code import CODE_KINDS, StrategyCode
from core.strategies.external import is_external
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, RetireStrategy, ReviseStrategy, StrategyDetail
from facade.code import code_from, code_to_keep, content_of, with_origin
from facade.creation import Created, carry_out, plan
from facade.cursor import read_cursor
from facade.deployment import deploy, deploy_any, strategy_to_run
from facade.edits import next_version
from facade.endpoint import Call, Handler, route
from facade.errors import ApiError, Detail, bad_field, not_found
from facade.history import evaluations_answer
from facade.listing import strategies_answer, strategy_answer, unarchived
from facade.operation import OperationRoute
from facade.past import strategy_then
from facade.routes.runs import COMMAND_FOR, VERBS, command, execute_tick
from facade.schemas.deployments import DeployAny, DeployedAnswer, DeployStrategy
from facade.schemas.form import Answer, AsOf, Page
from facade.schemas.history import EvaluationsAnswer
from facade.schemas.past import StrategyThenAnswer
from facade.schemas.runner import TickAnswer
from facade.schemas.runs import SetStatus, VerbAnswer
from facade.schemas.strategies import (
    CreatedAnswer,
    CreateStrategy,
    EditStrategy,
    GraphAnswer,
    SetSettings,
    StrategiesAnswer,
    StrategyAnswer,
)
from facade.versions import show_version, unchanged_since, version_seen
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
    content = await content_of(call, body, symbol=body.symbol, timeframe=body.timeframe)
    content = with_origin(content, body.converted_from)
    venues = call.services.runner.venues
    creation = plan(body, call.user_id, call.new_id, venues=venues, content=content)
    created = await _made_before(call, creation.strategy.id) if call.is_repeat else None
    if created is None:
        created = await call.bridge.ask(lambda store: carry_out(store, creation, call.new_id))
        call.services.runner.rows_changed()
    now = call.services.runner.market_now()
    run = run_shown(created.run, now) if created.run is not None else None
    return CreatedAnswer(
        id=created.strategy.id,
        strategy=strategy_shown(created.strategy, [run] if run is not None else [], call.user_id),
        run_id=created.run.id if created.run is not None else None,
        run=run,
    )


async def show(call: Call, query: AsOf) -> StrategyAnswer | StrategyThenAnswer:
    """One strategy with the caller's runs, numbers and latest events; as of another time, its settings then."""
    if query.as_of is not None:
        return await strategy_then(call, await _seen(call), query.as_of)
    return await detail(call)


async def detail(call: Call) -> StrategyAnswer:
    seen = await _seen(call)
    show_version(call, seen.view.strategy.version)
    return strategy_answer(
        seen,
        viewer=call.user_id,
        now=call.services.runner.market_now(),
        alert_key_since=await _alert_key_since(call, seen.view.strategy),
    )


async def edit(call: Call, body: EditStrategy) -> StrategyAnswer:
    """Make the strategy's next version; every run of it follows from its next slot on."""
    return await _revise(call, body, version_seen(call, required=False))


async def set_settings(call: Call, body: SetSettings) -> StrategyAnswer:
    """Change what the strategy trades on, at the version in If-Match; every subscriber's next slot uses it."""
    edited = EditStrategy(
        symbol=body.symbol,
        timeframe=body.timeframe,
        strategy_params=body.params,
        code=body.code,
        converted_from=body.converted_from,
        node_graph=body.node_graph,
    )
    return await _revise(call, edited, version_seen(call, required=True))


async def export_graph(call: Call) -> GraphAnswer:
    """The node graph of a strategy of the caller's own, to keep or to make another of."""
    strategy = await own_strategy(call)
    if strategy.kind is not StrategyKind.GRAPH:
        raise ApiError(409, f"This strategy is of kind {strategy.kind}; it has no graph.", code="NO_GRAPH")
    return GraphAnswer(
        id=strategy.id,
        name=strategy.name,
        version=strategy.version,
        symbol=strategy.symbol,
        timeframe=strategy.timeframe,
        node_graph=msgspec.json.decode(strategy.source),
    )


async def evaluations(call: Call, query: Page) -> EvaluationsAnswer:
    """Evaluations of a strategy of the caller's own, newest first: time, reach, orders, and what its code printed."""
    strategy, limit, place = await own_strategy(call), query.limit, read_cursor(query.cursor)
    before = None if place is None else (place[0], place[1].hex)
    found = await call.bridge.read(
        lambda reads: reads.evaluations(strategy.id, strategy.owner_id, before=before, limit=limit + 1)
    )
    warnings = await call.bridge.read(lambda reads: reads.warnings(strategy.id))
    return evaluations_answer(found, warnings, limit=limit)


async def archive(call: Call) -> Answer:
    """Archive the strategy and its runs; refused while one of them is active or not flat."""
    strategy, user_id = await own_strategy(call), call.user_id
    await call.bridge.ask(lambda store: store.arrange(RetireStrategy(strategy_id=strategy.id, by=user_id)))
    call.services.runner.rows_changed()
    return Answer()


async def deploy_new(call: Call, body: DeployAny) -> DeployedAnswer:
    """Put a strategy to work, one that is there or a new one of a template."""
    return _deployed(call, await deploy_any(call, body))


async def deploy_one(call: Call, body: DeployStrategy) -> DeployedAnswer:
    """Put the strategy to work: a run of the caller's."""
    run_id, strategy = RunId(call.new_id()), await strategy_to_run(call, StrategyId(call.path_id()))
    return _deployed(call, await deploy(call, body, strategy, run_id))


async def set_status(call: Call, body: SetStatus) -> VerbAnswer:
    """Activate, pause or stop the caller's run."""
    return await command(call, await only_run(call), COMMAND_FOR[body.status])


async def tick(call: Call) -> TickAnswer:
    """Tick the caller's run once, now."""
    return await execute_tick(call, await only_run(call))


def _deployed(call: Call, run: Run) -> DeployedAnswer:
    return DeployedAnswer(
        run_id=run.id,
        strategy_id=run.strategy.id,
        status=run.status,
        trading_mode=run.trading_mode,
        execution_mode=run.execution_mode,
        run=run_shown(run, call.services.runner.market_now()),
    )


async def _revise(call: Call, edited: EditStrategy, seen: int | None) -> StrategyAnswer:
    current = await own_strategy(call)
    unchanged_since(seen, current.version)
    venues, settings = call.services.runner.venues, call.settings
    if edited.converted_from is not None and edited.code is None:
        raise bad_field("convertedFrom", "is for code that comes with it")
    code = None if edited.code is None else await _new_code(call, current, edited)
    definition = next_version(current, edited, venues=venues, settings=settings, code=code)
    await call.bridge.ask(lambda store: store.arrange(ReviseStrategy(definition=definition)))
    call.services.runner.rows_changed()
    return await detail(call)


async def _new_code(call: Call, current: StrategyDefinition, edited: EditStrategy) -> StrategyCode:
    if current.kind not in CODE_KINDS or edited.code is None:
        raise bad_field("code", "is not this strategy's to have: it is of a template")
    code = await code_to_keep(
        call,
        current.kind,
        edited.code,
        symbol=edited.symbol or current.symbol,
        timeframe=edited.timeframe or current.timeframe.value,
        params={**current.parameters, **(edited.strategy_params or {})},
    )
    return code if edited.converted_from is None else code_from(code, edited.converted_from)


async def _alert_key_since(call: Call, strategy: StrategyDefinition) -> datetime | None:
    if not is_external(strategy) or strategy.owner_id != call.user_id:
        return None
    keys, user_id = call.services.runner.alert_keys, call.user_id
    return await call.bridge.call(lambda: keys.since(strategy.id, user_id), timeout_s=STORE_TIMEOUT_S)


async def own_strategy(call: Call) -> StrategyDefinition:
    """The caller's own strategy in the path; 404 for anybody else's."""
    strategy = (await _seen(call)).view.strategy
    if strategy.owner_id != call.user_id:
        raise not_found()
    return strategy


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


async def only_run(call: Call) -> Run:
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
        return await command(call, await only_run(call), wanted)

    handler.__doc__ = f"{wanted.title()} the caller's run."
    return handler


ROUTES: list[OperationRoute] = [
    route("GET", "/api/strategies", list_strategies, Access.USER),
    route("POST", "/api/strategies", create, Access.USER, status=201, either_case=True),
    route("POST", "/api/strategies/deploy", deploy_new, Access.USER, status=201),
    route("GET", "/api/strategies/{id}", show, Access.USER),
    route("PATCH", "/api/strategies/{id}", edit, Access.USER),
    route("DELETE", "/api/strategies/{id}", archive, Access.USER),
    route("GET", "/api/strategies/{id}/graph", export_graph, Access.USER),
    route("GET", "/api/strategies/{id}/evaluations", evaluations, Access.USER),
    route("PUT", "/api/strategies/{id}/settings", set_settings, Access.USER),
    route("POST", "/api/strategies/{id}/deploy", deploy_one, Access.USER, status=201),
    route("PUT", "/api/strategies/{id}/status", set_status, Access.USER),
    route("POST", "/api/strategies/{id}/execute-tick", tick, Access.USER, needs_runner=True),
    *(
        route("POST", f"/api/strategies/{{id}}/{verb}", _verb(wanted), Access.USER)
        for verb, wanted in VERBS.items()
    ),
]
