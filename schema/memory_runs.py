"""Reading runs in memory, with what their actors begin with."""

from __future__ import annotations

from collections.abc import Sequence

from core.ids import RunId, UserId
from core.run import Run, RunStatus
from schema.memory_tables import Tables
from schema.records import RunsRead, RunStart, RunState


def runs(tables: Tables, statuses: Sequence[RunStatus] | None, user_id: UserId | None) -> list[Run]:
    return [
        row.current()
        for row in tables.runs.values()
        if (statuses is None or row.run.status in statuses) and user_id in (None, row.run.user_id)
    ]


def runs_since(tables: Tables, mark: str | None, statuses: Sequence[RunStatus]) -> RunsRead:
    if mark is None:
        found = runs(tables, statuses, None)
    else:
        since = (
            int(mark) if mark.isdecimal() else 0
        )  # in a replay it is another store's, which says nothing here
        found = [row.current() for row in tables.runs.values() if row.changed >= since]
    return RunsRead(runs=found, mark=str(tables.changes))


def run_state(tables: Tables, run_id: RunId) -> RunState | None:
    row = tables.runs.get(run_id)
    if row is None:
        return None
    orders = tuple(row.open_orders.values())
    if row.position is None:
        return RunState(run=row.current(), fence=row.fence, open_orders=orders)
    return RunState(
        run=row.current(),
        fence=row.fence,
        position=row.position.position,
        stop_loss=row.position.stop_loss,
        take_profit=row.position.take_profit,
        open_orders=orders,
    )


def run_starts(tables: Tables, run_ids: Sequence[RunId], recent: int) -> list[RunStart]:
    states = [state for run_id in run_ids if (state := run_state(tables, run_id)) is not None]
    return [_start(tables, state, recent) for state in states]


def _start(tables: Tables, state: RunState, recent: int) -> RunStart:
    account = None if state.run.account_id is None else tables.accounts.get(state.run.account_id)
    if account is None:
        return RunStart(state=state, account=None)
    latest = reversed(tables.runs[state.run.id].order_ids[-recent:])
    return RunStart(
        state=state, account=account.account, recent=tuple(tables.orders[each] for each in latest)
    )
