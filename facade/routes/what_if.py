"""What a change would have done: the caller's runs replayed over stored candles, with it and without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId
from core.job import JobKind
from core.limit_change import changed_limits
from core.position import ZERO
from core.risk import RiskLimits
from core.run import ExecutionMode, Run, RunSettings, RunStatus, TradingMode, ticks
from core.strategies.external import replayable
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, Account, AccountKind, Variant, WhatIfJob
from facade.creation import paper_account
from facade.deployment import strategy_to_run
from facade.endpoint import Call, route
from facade.errors import not_found
from facade.jobs import add_job, job_answer
from facade.making import checked, graph_source, stays_of_its_kind
from facade.operation import OperationRoute
from facade.routes.risk import limit_change
from facade.run_settings import settings_of
from facade.schemas.jobs import JobAnswer
from facade.schemas.what_if import WhatIfLimits, WhatIfSettings

MAX_RUNS: Final = 20
"""Runs of a user that are replayed together; the newest count, and the result says how many were left out."""


async def settings(call: Call, body: WhatIfSettings) -> JobAnswer:
    """What a change of a strategy or of the caller's run of it would have done, order by order."""
    strategy = await strategy_to_run(call, StrategyId(call.path_id()))
    replayable(strategy.kind)
    all_runs = await _runs(call)
    own = [run for run in all_runs if run.strategy.id == strategy.id]
    if body.run_id is not None and body.run_id not in {run.id for run in own}:
        raise not_found()
    if not own:
        own = [_imagined(call, strategy)]
    others = [run for run in all_runs if run.strategy.id != strategy.id and ticks(run)]
    revised = _revised(strategy, body)

    def changed(run: Run) -> Run:
        if run.strategy.id != strategy.id:
            return run
        named = body.run_id in (None, run.id)
        new = settings_of(body, run.settings, capital=body.capital, risk_pct=body.risk_pct)
        return replace(run, strategy=revised, settings=new if named else run.settings)

    limits = await _limits(call)
    return await _asked(call, [*own, *others], strategy.venue, body.days, (limits, limits), changed)


async def limits(call: Call, body: WhatIfLimits) -> JobAnswer:
    """What a change of the caller's risk limits would have done, order by order."""
    runs = [run for run in await _runs(call) if ticks(run)]
    venues = Counter(run.strategy.venue for run in runs).most_common(1)
    venue = venues[0][0] if venues else call.services.runner.venues[0]
    before = await _limits(call)
    after = changed_limits(before, limit_change(body))
    return await _asked(call, runs, venue, body.days, (before, after), lambda run: run)


async def _asked(
    call: Call,
    runs: Sequence[Run],
    venue: str,
    days: int,
    limits: tuple[RiskLimits, RiskLimits],
    changed: Callable[[Run], Run],
) -> JobAnswer:
    """Candles are of one venue: runs on another's are left out, and counted with those beyond MAX_RUNS."""
    on_venue = [run for run in runs if run.strategy.venue == venue][:MAX_RUNS]
    before, accounts = await _on_paper(call, on_venue)
    end = call.services.runner.market_now()
    job = WhatIfJob(
        venue=venue,
        start=end - timedelta(days=days),
        end=end,
        accounts=tuple(accounts),
        before=Variant(runs=tuple(before), limits=limits[0]),
        after=Variant(runs=tuple(changed(run) for run in before), limits=limits[1]),
        left_out=len(runs) - len(on_venue),
    )
    return job_answer(await add_job(call, JobKind.WHAT_IF, job))


async def _on_paper(call: Call, runs: Sequence[Run]) -> tuple[list[Run], list[Account]]:
    """Drafts of the same runs, on paper accounts with the terms of theirs and money for all of them."""
    accounts: dict[AccountId, Account] = {}
    placed: list[Run] = []
    for run in runs:
        capital = run.settings.capital
        account_id = run.account_id or AccountId(call.new_id())
        account = accounts.get(account_id) or await _account(call, account_id, run)
        if account.kind is not AccountKind.PORTFOLIO:
            account = replace(account, kind=AccountKind.PORTFOLIO, bankroll=ZERO)
        bankroll = max(account.bankroll, sum((each.settings.capital for each in placed), ZERO) + capital)
        accounts[account_id] = replace(
            account,
            venue=run.strategy.venue,
            bankroll=bankroll,
            balance=bankroll,
            used_margin=ZERO,
            kill_switch=False,
            outage_orders=0,
        )
        placed.append(
            replace(
                run,
                account_id=account_id,
                trading_mode=TradingMode.PAPER,
                execution_mode=ExecutionMode.AUTO
                if run.execution_mode is ExecutionMode.MANUAL
                else run.execution_mode,
                status=RunStatus.DRAFT,
                status_reason=None,
                adapter_errors=0,
                last_slot=None,
            )
        )
    return placed, list(accounts.values())


async def _account(call: Call, account_id: AccountId, run: Run) -> Account:
    found = await call.bridge.ask(lambda store: store.account(account_id))
    return found or paper_account(account_id, run.user_id, run.strategy, run.settings.capital)


async def _runs(call: Call) -> list[Run]:
    """The caller's that are not archived, the newest first."""
    user_id = call.user_id
    kept = [status for status in RunStatus if status is not RunStatus.ARCHIVED]
    found = await call.bridge.ask(lambda store: store.runs(statuses=kept, user_id=user_id))
    return found[::-1]


async def _limits(call: Call) -> RiskLimits:
    rows, user_id = call.services.runner.limits, call.user_id
    return (await call.bridge.call(lambda: rows.of(user_id), timeout_s=STORE_TIMEOUT_S)).limits


def _imagined(call: Call, strategy: StrategyDefinition) -> Run:
    """Of a strategy the caller does not run: with the default settings."""
    return Run(
        id=RunId(call.new_id()),
        user_id=call.user_id,
        strategy=strategy,
        account_id=AccountId(call.new_id()),
        settings=RunSettings(),
    )


def _revised(strategy: StrategyDefinition, body: WhatIfSettings) -> StrategyDefinition:
    graph = body.node_graph
    stays_of_its_kind(strategy, None, graph)
    stays = strategy.parameters if graph is None else {}
    revised = replace(
        strategy,
        symbol=strategy.symbol if body.symbol is None else parse_symbol(body.symbol),
        timeframe=strategy.timeframe if body.timeframe is None else Timeframe.parse(body.timeframe),
        source=strategy.source if graph is None else graph_source(graph),
        parameters={**stays, **(body.params or {})},
    )
    return checked(revised)


ROUTES: list[OperationRoute] = [
    route("POST", "/api/strategies/{id}/what-if", settings, Access.USER, status=202),
    route("POST", "/api/risk/what-if", limits, Access.USER, status=202),
]
