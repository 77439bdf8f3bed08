"""A deploy or subscribe request as a run on somebody's money, checked before it is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

from msgspec import UNSET

from core.definition import StrategyDefinition, Visibility
from core.ids import AccountId, RunId, StrategyId
from core.run import ExecutionMode, Run, RunCommand, RunSettings, TradingMode
from core.schedule import Schedule, cron_of, timeframe_of
from core.strategies.external import is_external
from core.timeframe import Timeframe
from facade.bridge import Account, AccountKind, OpenRun
from facade.code import DEFAULT_TEMPLATE, content_of, with_origin
from facade.creation import paper_account, plan
from facade.decoding import within
from facade.endpoint import Call, require_runner
from facade.errors import bad_field, not_found
from facade.making import own_bankroll
from facade.preflight import answers_alike, preflight, within_tiers
from facade.run_settings import settings_of
from facade.schemas.deployments import DeployAny, DeployStrategy
from facade.schemas.strategies import CreateStrategy
from facade.schemas.subscriptions import Subscribe

USUAL_BANKROLL: Final = Decimal(10_000)
LEAST_BANKROLL: Final = 100
MOST_BANKROLL: Final = 1_000_000


async def deploy_any(call: Call, body: DeployAny) -> Run:
    """A run of the named strategy, or of a new one."""
    run_id = RunId(call.new_id())
    if body.strategy_id is not None:
        if body.code is not None:
            raise bad_field("code", "is for a new strategy; strategyId names one that is there")
        if body.node_graph is not None:
            raise bad_field("nodeGraph", "is for a new strategy; strategyId names one that is there")
        if body.strategy_template is not None:
            raise bad_field("strategyTemplate", "is for a new strategy; strategyId names one that is there")
        strategy = await strategy_to_run(call, StrategyId(body.strategy_id))
        return await deploy(call, body, strategy, run_id)
    if body.symbol is None:
        raise bad_field("symbol", "is missing: a new strategy trades one; or name a strategy by strategyId")
    timeframe = None if body.timeframe is None else Timeframe.parse(body.timeframe)
    if timeframe is None:
        timeframe = _schedule(body, None)[2]
    new = CreateStrategy(
        symbol=body.symbol,
        timeframe=timeframe,
        venue=body.venue,
        strategy_template=body.strategy_template or DEFAULT_TEMPLATE,
        strategy_params=body.strategy_params,
        code=body.code,
        type=body.type,
        node_graph=body.node_graph,
        name=body.name,
        visibility=body.visibility,
    )
    content = await content_of(call, new, symbol=new.symbol, timeframe=new.timeframe)
    content = with_origin(content, body.converted_from)
    venues = call.services.runner.venues
    creation = plan(new, call.user_id, call.new_id, venues=venues, content=content)
    return await deploy(call, body, creation.strategy, run_id, is_new=True)


async def deploy(
    call: Call, body: DeployStrategy, strategy: StrategyDefinition, run_id: RunId, *, is_new: bool = False
) -> Run:
    """Raises ApiError or RunnerError with the field or the sentence; nothing is written then."""
    asked = body.paper_bankroll_usd
    bankroll = within(
        "paperBankrollUsd",
        own_bankroll(strategy) or USUAL_BANKROLL if asked is UNSET else asked,
        LEAST_BANKROLL,
        MOST_BANKROLL,
    )
    mode, schedule, _ = _schedule(body, strategy.timeframe)
    if is_external(strategy) and mode is not ExecutionMode.AUTO:
        raise bad_field(
            "executionMode", "must be AUTO: this strategy's signals come from outside, at any time"
        )
    live = body.trading_mode == "live"
    if live and body.connection_id is None:
        raise bad_field("connectionId", "is missing: live trading needs an exchange connection")
    if not live and body.connection_id is not None:
        raise bad_field("connectionId", "is for tradingMode live")
    default = RunSettings() if live else RunSettings(capital=bankroll)
    settings = settings_of(body, default, capital=body.capital, risk_pct=body.risk_pct)
    account, is_new_account = await _account(
        call, strategy, connection_id=body.connection_id, portfolio_id=body.portfolio_id, bankroll=bankroll
    )
    begin = RunCommand.START if body.auto_start else None
    if mode is ExecutionMode.MANUAL:
        begin = RunCommand.DEPLOY
    run = Run(
        id=run_id,
        user_id=call.user_id,
        strategy=strategy,
        account_id=account.id,
        trading_mode=_mode_of(account),
        execution_mode=mode,
        schedule=schedule,
        settings=settings,
    )
    op = OpenRun(
        run=run,
        strategy=strategy if is_new else None,
        account=account if is_new_account else None,
        subscribed=strategy.owner_id != call.user_id,
        begin=begin,
    )
    return await _open(call, op)


async def subscribe(call: Call, body: Subscribe, strategy: StrategyDefinition) -> Run:
    """A run on the strategy that is active at once."""
    run_id = RunId(call.new_id())
    settings = settings_of(body, RunSettings(), capital=body.capital, risk_pct=body.risk_pct)
    account, is_new = await _account(
        call,
        strategy,
        connection_id=body.connection_id,
        portfolio_id=body.portfolio_id,
        bankroll=settings.capital,
    )
    run = Run(
        id=run_id,
        user_id=call.user_id,
        strategy=strategy,
        account_id=account.id,
        trading_mode=_mode_of(account),
        settings=settings,
    )
    op = OpenRun(run=run, account=account if is_new else None, subscribed=True, begin=RunCommand.START)
    return await _open(call, op)


async def strategy_to_run(call: Call, strategy_id: StrategyId) -> StrategyDefinition:
    """The caller's own strategy or one that is not private; 404 for any other (I12)."""
    user_id = call.user_id
    found = await call.bridge.read(lambda reads: reads.strategy(strategy_id, user_id))
    strategy = None if found is None else found.view.strategy
    if strategy is None or (strategy.owner_id != user_id and strategy.visibility is Visibility.PRIVATE):
        raise not_found()
    return strategy


async def _open(call: Call, op: OpenRun) -> Run:
    run, services = op.run, call.services
    if call.is_repeat:
        made = await call.bridge.ask(lambda store: store.run(run.id))
        if made is not None and made.user_id == call.user_id:
            return made
    if op.begin is not None:
        require_runner(services)
        settings, keys, account = services.settings, services.keys, op.account
        await call.bridge.ask(lambda store: preflight(store, run, settings, keys, new_account=account))
        await answers_alike(call, run)
        await within_tiers(call, run)
    opened = (await call.bridge.ask(lambda store: store.arrange(op))).run
    services.runner.rows_changed()
    assert opened is not None
    return opened


async def _account(
    call: Call,
    strategy: StrategyDefinition,
    *,
    connection_id: UUID | None,
    portfolio_id: UUID | None,
    bankroll: Decimal,
) -> tuple[Account, bool]:
    """The caller's account that is named, of that kind, or 404; without one a portfolio, still to be created."""
    if connection_id is not None and portfolio_id is not None:
        raise bad_field("portfolioId", "is given beside connectionId; a run trades on one account")
    wanted = connection_id or portfolio_id
    if wanted is None:
        return paper_account(AccountId(call.new_id()), call.user_id, strategy, bankroll), True
    kind = AccountKind.PORTFOLIO if connection_id is None else AccountKind.CONNECTION
    found = await call.bridge.ask(lambda store: store.account(AccountId(wanted)))
    if found is None or found.user_id != call.user_id or found.kind is not kind:
        raise not_found()
    return found, False


def _mode_of(account: Account) -> TradingMode:
    return TradingMode.PAPER if account.kind is AccountKind.PORTFOLIO else TradingMode.LIVE


def _schedule(
    body: DeployStrategy, timeframe: Timeframe | None
) -> tuple[ExecutionMode, str | None, Timeframe]:
    """Mode, schedule and timeframe (decision 4). Only SCHEDULED runs choose among the slots of a timeframe."""
    text, mode = body.schedule, body.execution_mode
    expression = None
    if text is not None:
        expression = text if " " in text.strip() else cron_of(Timeframe.parse(text.strip()))
        chosen = Schedule(expression, timeframe)
        expression, timeframe = chosen.expression, chosen.timeframe
    if timeframe is None:
        raise bad_field("timeframe", "is missing: give it, or a schedule")
    mode = mode or (ExecutionMode.AUTO if expression is None else ExecutionMode.SCHEDULED)
    if mode is ExecutionMode.SCHEDULED:
        return mode, expression or cron_of(timeframe), timeframe
    if expression is not None and timeframe_of(expression) is not timeframe:
        raise bad_field("schedule", f"needs executionMode SCHEDULED; {mode} knows every close of {timeframe}")
    return mode, None, timeframe
