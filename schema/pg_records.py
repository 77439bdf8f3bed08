"""Strategies, accounts, runs and what is read about them by key, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg.rows import dict_row

from core.definition import StrategyDefinition
from core.errors import Conflict, RunnerError
from core.ids import AccountId, RunId, UserId
from core.order import Order
from core.position import FLAT
from core.risk import RiskLimits, gate, risk_day
from core.run import Run, RunStatus
from schema.pg_database import SQL, Connection
from schema.pg_rows import (
    as_type,
    changed,
    definition_of,
    fields,
    limits_of,
    many,
    one,
    optional,
    position_of,
    risk_of,
    run_of,
    run_parameters,
    runs_of,
    value,
)
from schema.records import (
    Account,
    EquityPoint,
    Event,
    OpenPosition,
    RiskView,
    RunsRead,
    RunStart,
    RunState,
    Trade,
)

_ROWS_AT_ONCE = 1_000


def create_strategy(connection: Connection, definition: StrategyDefinition) -> None:
    if one(connection, "strategy", {"id": definition.id}) is not None:
        raise Conflict(f"there is a strategy {definition.id} already")
    row = fields(definition) | {"timeframe_s": definition.timeframe.seconds}
    changed(connection, "insert_strategy", row)
    changed(connection, "insert_strategy_version", row)


def create_account(connection: Connection, account: Account) -> None:
    if one(connection, "account", {"id": account.id}) is not None:
        raise Conflict(f"there is an account {account.id} already")
    changed(connection, "insert_account", fields(account))


def create_run(connection: Connection, run: Run) -> None:
    if one(connection, "run", {"id": run.id}) is not None:
        raise Conflict(f"there is a run {run.id} already")
    if run.account_id is not None:
        account = one(connection, "account", {"id": run.account_id})
        if account is None or account["user_id"] != run.user_id:
            raise RunnerError(f"account {run.account_id} is not {run.user_id}'s")
    if not changed(connection, "insert_run", run_parameters(run)):
        raise RunnerError(f"there is no strategy {run.strategy.id}")
    changed(connection, "insert_lock", {"run_id": run.id, "last_slot": run.last_slot})


def set_limits(connection: Connection, user_id: UserId, limits: RiskLimits) -> None:
    changed(connection, "put_limits", fields(limits) | {"user_id": user_id})


def strategy(connection: Connection, strategy_id: object) -> StrategyDefinition | None:
    return optional(one(connection, "strategy", {"id": strategy_id}), definition_of)


def account(connection: Connection, account_id: AccountId) -> Account | None:
    return optional(one(connection, "account", {"id": account_id}), as_type(Account))


def run(connection: Connection, run_id: RunId) -> Run | None:
    return optional(one(connection, "run", {"id": run_id}), run_of)


def runs(connection: Connection, statuses: Sequence[RunStatus] | None, user_id: UserId | None) -> list[Run]:
    named = {"statuses": None if statuses is None else [str(status) for status in statuses]}
    return _runs(connection, "runs", named | {"user_id": user_id})


def runs_since(connection: Connection, mark: str | None, statuses: Sequence[RunStatus]) -> RunsRead:
    # Before the rows: what is committed between the two comes twice, and nothing never.
    next_mark: str = value(connection, "change_mark")
    if mark is None:
        return RunsRead(runs=runs(connection, statuses, None), mark=next_mark)
    return RunsRead(runs=_runs(connection, "runs_changed", {"mark": mark}), mark=next_mark)


def _runs(connection: Connection, query: str, named: Mapping[str, Any]) -> list[Run]:
    """A part at a time: as rows, a hundred thousand runs would be half a gigabyte."""
    found: list[Run] = []
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        cursor.execute(SQL[query], named)
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            found.extend(runs_of(rows))
    return found


def run_state(connection: Connection, run_id: RunId) -> RunState | None:
    return next(iter(_states(connection, [run_id])), None)


def run_starts(connection: Connection, run_ids: Sequence[RunId], recent: int) -> list[RunStart]:
    states = _states(connection, run_ids)
    trading = {state.run.id: state.run.account_id for state in states if state.run.account_id is not None}
    rows = many(connection, "accounts_by_id", {"ids": list(set(trading.values()))})
    accounts = {row["id"]: msgspec.convert(row, Account) for row in rows}
    latest = _orders_by_run(connection, "recent_orders", {"run_ids": list(trading), "limit": recent})
    return [
        RunStart(
            state=state,
            account=accounts.get(state.run.account_id),
            recent=tuple(latest.get(state.run.id, ())),
        )
        for state in states
    ]


def _states(connection: Connection, run_ids: Sequence[RunId]) -> list[RunState]:
    """A statement for each kind of row, however many runs; in the order of `run_ids`."""
    wanted = {"run_ids": list(run_ids)}
    # Before the rest: what is decided under a later fence may be in it or not.
    fences = {row["run_id"]: row["fence"] for row in many(connection, "last_fences", wanted)}
    found = {run.id: run for run in runs_of(many(connection, "runs_by_id", wanted))}
    held = {row["run_id"]: position_of(row) for row in many(connection, "positions_of", wanted)}
    orders = _orders_by_run(connection, "open_orders_of", wanted)
    return [
        RunState(
            run=found[run_id],
            fence=fences.get(run_id, 0),
            position=held[run_id].position if run_id in held else FLAT,
            stop_loss=held[run_id].stop_loss if run_id in held else None,
            take_profit=held[run_id].take_profit if run_id in held else None,
            open_orders=tuple(orders.get(run_id, ())),
        )
        for run_id in run_ids
        if run_id in found
    ]


def _orders_by_run(connection: Connection, query: str, named: Mapping[str, Any]) -> dict[RunId, list[Order]]:
    found: dict[RunId, list[Order]] = {}
    for row in many(connection, query, named):
        found.setdefault(row["run_id"], []).append(msgspec.convert(row, Order))
    return found


def open_orders(connection: Connection, *, run_id: RunId | None, account_id: AccountId | None) -> list[Order]:
    read = as_type(Order)
    named = {"run_id": run_id, "account_id": account_id}
    return [read(row) for row in many(connection, "open_orders", named)]


def orders(connection: Connection, run_id: RunId, limit: int) -> list[Order]:
    read = as_type(Order)
    return [read(row) for row in many(connection, "run_orders", {"run_id": run_id, "limit": limit})]


def open_positions(
    connection: Connection, *, account_id: AccountId | None, user_id: UserId | None
) -> list[OpenPosition]:
    named = {"account_id": account_id, "user_id": user_id}
    return [position_of(row) for row in many(connection, "open_positions", named)]


def trades(connection: Connection, run_id: RunId | None, limit: int) -> list[Trade]:
    read = as_type(Trade)
    return [read(row) for row in many(connection, "trades", {"run_id": run_id, "limit": limit})]


def equity(connection: Connection, account_id: AccountId, limit: int) -> list[EquityPoint]:
    read = as_type(EquityPoint)
    rows = many(connection, "equity", {"account_id": account_id, "limit": limit})
    return [read(row) for row in reversed(rows)]


def risk(connection: Connection, user_id: UserId, default_limits: RiskLimits) -> RiskView:
    """Today beside what carries over, and why an entry would be refused now."""
    now = value(connection, "market_now")
    whose = {"user_id": user_id}
    days = many(connection, "risk_days", whose | {"days": [risk_day(now)]})
    state = risk_of(one(connection, "risk_user", whose), days)
    limits = limits_of(one(connection, "limits", whose), default_limits)
    return RiskView(user_id=user_id, state=state, limits=limits, blocked=gate(state, limits, now))


def expired_pauses(connection: Connection) -> list[UserId]:
    return [row["user_id"] for row in many(connection, "expired_pauses")]


def events(
    connection: Connection,
    *,
    after_id: int,
    user_id: UserId | None,
    run_id: RunId | None,
    newest: bool,
    limit: int,
) -> list[Event]:
    """The horizon is read by a statement of its own first, so that no event below it is still to come."""
    named = {"after_id": after_id, "user_id": user_id, "run_id": run_id, "limit": limit}
    named |= {"horizon": value(connection, "events_horizon")}
    rows = many(connection, "events_newest" if newest else "events_after", named)
    read = as_type(Event)
    return [read(row) for row in (reversed(rows) if newest else rows)]
