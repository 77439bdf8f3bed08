"""Closing positions on an operator's word: reduce-only, past the kill switches, whatever the run does."""

from __future__ import annotations

from collections.abc import Iterable

from core.ids import AccountId, RunId, UserId
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, Flatten
from facade.endpoint import Call, route
from facade.errors import bad_field, not_found
from facade.operation import OperationRoute
from facade.schemas.runner import FlattenAsked, FlattensAnswer, FlattenShown, FlattensListed


async def ask(call: Call, body: FlattenAsked) -> FlattensAnswer:
    """Close what is open of a run, a user or an account; asked again, it answers how far that is.

    Each position is closed by the process that follows its account, order after order until it is flat. The run goes
    on as it is: turn the kill switch on, or pause it, to keep it from entering again.
    """
    given = [value for value in (body.run_id, body.user_id, body.connection_id) if value is not None]
    if len(given) != 1:
        raise bad_field("runId", "name exactly one of runId, userId and connectionId")
    run_id = None if body.run_id is None else RunId(body.run_id)
    account_id = None if body.connection_id is None else AccountId(body.connection_id)
    user_id = None if body.user_id is None else UserId(body.user_id)
    if run_id is not None and await call.bridge.ask(lambda store: store.run(run_id)) is None:
        raise not_found()
    if account_id is not None and await call.bridge.ask(lambda store: store.account(account_id)) is None:
        raise not_found()
    rows, by = call.services.runner.flattens, call.user_id
    asked = await call.bridge.call(
        lambda: rows.ask(by=by, by_operator=True, run_id=run_id, user_id=user_id, account_id=account_id),
        timeout_s=STORE_TIMEOUT_S,
    )
    return _shown(asked)


async def listed(call: Call, query: FlattensListed) -> FlattensAnswer:
    """The latest requests to close positions, newest first."""
    rows = call.services.runner.flattens
    return _shown(await call.bridge.call(lambda: rows.latest(query.limit), timeout_s=STORE_TIMEOUT_S))


def _shown(flattens: Iterable[Flatten]) -> FlattensAnswer:
    return FlattensAnswer(
        flattens=tuple(
            FlattenShown(
                id=each.id,
                run_id=each.run_id,
                user_id=each.user_id,
                account_id=each.account_id,
                symbol=each.symbol,
                asked_by=each.asked_by,
                by_operator=each.by_operator,
                asked_at=each.asked_at,
                ended_at=each.ended_at,
                outcome=each.outcome,
            )
            for each in flattens
        )
    )


ROUTES: list[OperationRoute] = [
    route("POST", "/api/runner/flatten", ask, Access.ADMIN, needs_runner=True),
    route("GET", "/api/runner/flatten", listed, Access.ADMIN, needs_runner=True),
]
