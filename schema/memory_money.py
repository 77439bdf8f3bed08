"""Reading in memory what was ordered, is held and was earned, and what a user may still risk."""

from __future__ import annotations

from datetime import datetime

from core.ids import AccountId, RunId, UserId
from core.order import Order
from core.risk import gate
from schema.memory_rows import RunRow
from schema.memory_tables import Tables
from schema.records import EquityPoint, OpenPosition, RiskView, Trade


def open_orders(tables: Tables, run_id: RunId | None, account_id: AccountId | None) -> list[Order]:
    rows = tables.runs.values() if run_id is None else _rows_of(tables, run_id)
    return [
        order for row in rows for order in row.open_orders.values() if account_id in (None, order.account_id)
    ]


def orders(tables: Tables, run_id: RunId, limit: int) -> list[Order]:
    ids = [each for row in _rows_of(tables, run_id) for each in row.order_ids]
    return [tables.orders[each] for each in reversed(ids[-limit:])]


def open_positions(
    tables: Tables, account_id: AccountId | None, user_id: UserId | None
) -> list[OpenPosition]:
    held = [row.position for row in tables.runs.values() if row.position is not None]
    return [
        position
        for position in held
        if not position.position.is_flat
        and account_id in (None, position.account_id)
        and user_id in (None, position.user_id)
    ]


def trades(tables: Tables, run_id: RunId | None, limit: int) -> list[Trade]:
    found = tables.trades
    if run_id is not None:
        found = [trade for trade in found if trade.run_id == run_id]
    return found[-limit:][::-1]


def equity(tables: Tables, account_id: AccountId, limit: int) -> list[EquityPoint]:
    row = tables.accounts.get(account_id)
    points = [] if row is None else row.equity[-limit:]
    return [EquityPoint(account_id=account_id, at=at, balance=balance) for at, balance in points]


def risk(tables: Tables, user_id: UserId, now: datetime) -> RiskView:
    user = tables.user(user_id)
    state = user.view(now.date())
    return RiskView(user_id=user_id, state=state, limits=user.limits, blocked=gate(state, user.limits, now))


def expired_pauses(tables: Tables, now: datetime) -> list[UserId]:
    return [
        user_id
        for user_id, row in tables.users.items()
        if row.state.paused_until is not None and row.state.paused_until <= now
    ]


def _rows_of(tables: Tables, run_id: RunId) -> list[RunRow]:
    row = tables.runs.get(run_id)
    return [] if row is None else [row]
