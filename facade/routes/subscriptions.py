"""Subscriptions of the caller: made, listed, changed, paused, ended. A subscription is a run and has its id."""

from __future__ import annotations

from core.ids import RunId, StrategyId
from core.run import Run, RunCommand
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, CancelRun, RunSummary, SetRunSettings
from facade.cursor import cursor_text, read_cursor
from facade.deployment import strategy_to_run, subscribe
from facade.endpoint import Call, Handler, require_runner, route
from facade.errors import not_found
from facade.operation import OperationRoute
from facade.preflight import switches_off, within_leverage
from facade.routes.runs import command
from facade.run_settings import settings_of
from facade.schemas.form import Page
from facade.schemas.runs import VerbAnswer
from facade.schemas.subscriptions import (
    CancelAsked,
    EditSubscription,
    Subscribe,
    SubscriptionAnswer,
    SubscriptionsAnswer,
)
from facade.versions import show_version, unchanged_since, version_seen
from facade.views import subscription_shown


async def begin(call: Call, body: Subscribe) -> SubscriptionAnswer:
    """Subscribe to a strategy: a run of it on the caller's money, active at once."""
    strategy = await strategy_to_run(call, StrategyId(call.path_id()))
    run = await subscribe(call, body, strategy)
    return await _answer(call, run.id)


async def list_subscriptions(call: Call, query: Page) -> SubscriptionsAnswer:
    """The caller's subscriptions, newest first."""
    limit, place = query.limit, read_cursor(query.cursor)
    before = None if place is None else (place[0], RunId(place[1]))
    user_id, now = call.user_id, call.services.runner.market_now()
    found = await call.bridge.read(lambda reads: reads.subscriptions(user_id, limit=limit + 1, before=before))
    page = found[:limit]
    return SubscriptionsAnswer(
        subscriptions=tuple(subscription_shown(each, now) for each in page),
        next_cursor=cursor_text(page[-1].created_at, page[-1].run.id) if len(found) > limit else None,
    )


async def show(call: Call) -> SubscriptionAnswer:
    """One subscription."""
    return await _answer(call, RunId(call.path_id()))


async def edit(call: Call, body: EditSubscription) -> SubscriptionAnswer:
    """Change how a subscription trades from its next slot on; with If-Match only at that version."""
    seen, run = version_seen(call, required=False), (await _own(call, RunId(call.path_id()))).run
    unchanged_since(seen, run.version)
    settings = settings_of(body, run.settings, capital=body.capital, risk_pct=body.risk_pct)
    if settings.leverage != run.settings.leverage:
        within_leverage(settings.leverage, call.settings.max_leverage)
        account_id = run.account_id
        account = (
            None if account_id is None else await call.bridge.ask(lambda store: store.account(account_id))
        )
        if account is not None:
            within_leverage(settings.leverage, account.max_leverage)
    op = SetRunSettings(run_id=run.id, settings=settings, expected=run.version)
    await call.bridge.ask(lambda store: store.arrange(op))
    call.services.runner.rows_changed()
    return await _answer(call, run.id)


async def cancel(call: Call, query: CancelAsked) -> SubscriptionAnswer:
    """Stop a subscription at once, and on request close what it has open; it is archived as soon as it is flat."""
    run, user_id = (await _own(call, RunId(call.path_id()))).run, call.user_id
    if query.close_positions:
        require_runner(call.services)
        await call.bridge.ask(lambda store: switches_off(store, run))
    await call.bridge.ask(lambda store: store.arrange(CancelRun(run_id=run.id, by=user_id)))
    if query.close_positions:
        flattens = call.services.runner.flattens
        await call.bridge.call(
            lambda: flattens.ask(by=user_id, by_operator=False, run_id=run.id), timeout_s=STORE_TIMEOUT_S
        )
    call.services.runner.rows_changed()
    return await _answer(call, run.id)


async def _own(call: Call, run_id: RunId) -> RunSummary:
    """The caller's run of that id; 404 for anything else (I12)."""
    user_id = call.user_id
    found = await call.bridge.read(lambda reads: reads.run(run_id, user_id))
    if found is None:
        raise not_found()
    return found


async def _answer(call: Call, run_id: RunId) -> SubscriptionAnswer:
    summary = await _own(call, run_id)
    show_version(call, summary.run.version)
    shown = subscription_shown(summary, call.services.runner.market_now())
    return SubscriptionAnswer(id=run_id, subscription=shown)


def _verb(wanted: RunCommand) -> Handler:
    async def handler(call: Call) -> VerbAnswer:
        run: Run = (await _own(call, RunId(call.path_id()))).run
        return await command(call, run, wanted, subscription=True)

    handler.__doc__ = f"{wanted.title()} a subscription."
    return handler


_LIST = "/api/strategies/subscriptions"
ROUTES: list[OperationRoute] = [
    route("GET", _LIST, list_subscriptions, Access.USER),
    route("GET", f"{_LIST}/{{id}}", show, Access.USER),
    route("PUT", f"{_LIST}/{{id}}", edit, Access.USER),
    route("DELETE", f"{_LIST}/{{id}}", cancel, Access.USER),
    route("POST", f"{_LIST}/{{id}}/pause", _verb(RunCommand.PAUSE), Access.USER),
    route("POST", f"{_LIST}/{{id}}/resume", _verb(RunCommand.RESUME), Access.USER),
    route("POST", "/api/strategies/{id}/subscribe", begin, Access.USER, status=201),
]
