"""What a run has done, under its own path and under its strategy's, where it is the caller's only one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.ids import RunId
from core.run import Run
from facade.access import Access
from facade.cursor import read_cursor, read_number
from facade.endpoint import Call, Handler, route
from facade.errors import not_found
from facade.history import (
    KINDS,
    events_answer,
    executions_answer,
    logs_answer,
    orders_answer,
    positions_answer,
    stats_answer,
    trades_answer,
)
from facade.operation import OperationRoute
from facade.past import positions_then
from facade.routes.runs import run_of
from facade.routes.strategies import only_run
from facade.schemas.form import AsOf, Page
from facade.schemas.history import (
    EventsAnswer,
    ExecutionsAnswer,
    LogsAnswer,
    LogsAsked,
    OrdersAnswer,
    PositionsAnswer,
    StatsAnswer,
    TradesAnswer,
)
from facade.schemas.past import PositionsThenAnswer

Find = Callable[[Call], Awaitable[Run]]


async def stats_of(call: Call, run: Run) -> StatsAnswer:
    summary = await call.bridge.read(lambda reads: reads.run(run.id, run.user_id))
    if summary is None:
        raise not_found()
    totals = await call.bridge.read(lambda reads: reads.totals(run))
    return stats_answer(summary, totals)


def _stats(find: Find) -> Handler:
    async def handler(call: Call) -> StatsAnswer:
        """Totals of the run: executions, profit and loss, win rate, return, drawdown."""
        return await stats_of(call, await find(call))

    return handler


def _executions(find: Find) -> Handler:
    async def handler(call: Call, query: Page) -> ExecutionsAnswer:
        """Slots of the run, newest first: what each tick came to, and the evaluation behind it."""
        run, place, limit = await find(call), read_cursor(query.cursor), query.limit
        before = None if place is None else place[0]
        found = await call.bridge.read(lambda reads: reads.executions(run, before=before, limit=limit + 1))
        return executions_answer(found, limit=limit)

    return handler


def _orders(find: Find) -> Handler:
    async def handler(call: Call, query: Page) -> OrdersAnswer:
        """Orders of the run, newest first, and why each was made."""
        run, before, limit = await find(call), read_number(query.cursor), query.limit
        found = await call.bridge.read(lambda reads: reads.orders(run, before=before, limit=limit + 1))
        return orders_answer(found, limit=limit)

    return handler


def _trades(find: Find) -> Handler:
    async def handler(call: Call, query: Page) -> TradesAnswer:
        """Closed round trips of the run, newest first."""
        run, before, limit = await find(call), read_number(query.cursor), query.limit
        found = await call.bridge.read(lambda reads: reads.trades(run, before=before, limit=limit + 1))
        return trades_answer(found, limit=limit)

    return handler


def _positions(find: Find) -> Handler:
    async def handler(call: Call, query: AsOf) -> PositionsAnswer | PositionsThenAnswer:
        """What the run has open; as of another time, what it was known to have open then."""
        run = await find(call)
        summary = await call.bridge.read(lambda reads: reads.run(run.id, run.user_id))
        if query.as_of is not None and summary is not None:
            return await positions_then(call, summary.run, summary.created_at, query.as_of)
        return positions_answer(None if summary is None else summary.position)

    return handler


def _events(find: Find) -> Handler:
    async def handler(call: Call, query: Page) -> EventsAnswer:
        """Events of the run, newest first."""
        run, before, limit = await find(call), read_number(query.cursor), query.limit
        return events_answer(
            await call.bridge.read(lambda reads: reads.events_page(run, before=before, limit=limit))
        )

    return handler


def _logs(find: Find) -> Handler:
    async def handler(call: Call, query: LogsAsked) -> LogsAnswer:
        """Events of the run by level, newest first."""
        run, before, limit = await find(call), read_number(query.cursor), query.limit
        kinds, among = None, query.level != "info"
        if query.level is not None:
            kinds = KINDS.get(query.level) or [kind for each in KINDS.values() for kind in each]
        page = await call.bridge.read(
            lambda reads: reads.events_page(run, before=before, limit=limit, kinds=kinds, among=among)
        )
        return logs_answer(page)

    return handler


async def _subscription(call: Call) -> Run:
    """The caller's run of that id, whoever they are."""
    run_id, user_id = RunId(call.path_id()), call.user_id
    found = await call.bridge.read(lambda reads: reads.run(run_id, user_id))
    if found is None:
        raise not_found()
    return found.run


_PAGES = {
    "stats": _stats,
    "executions": _executions,
    "logs": _logs,
    "events": _events,
    "orders": _orders,
    "trades": _trades,
    "positions": _positions,
}
ROUTES: list[OperationRoute] = [
    route("GET", "/api/strategies/subscriptions/{id}/stats", _stats(_subscription), Access.USER),
    *(
        route("GET", f"{base}/{{id}}/{name}", made(find), Access.USER)
        for base, find in (("/api/strategies", only_run), ("/api/runs", run_of))
        for name, made in _PAGES.items()
    ),
]
