"""The rows a process starts from, read through the store: what a replay of it begins with."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from core.ids import UserId
from core.order import Order
from core.risk import RiskLimits, RiskState
from core.run import Run
from schema.memory import MemoryStore
from schema.memory_rows import AccountRow, RunRow
from schema.records import Account, Ask, OpenPosition, RunLease, TickRow
from schema.store import Store

RECENT_ORDERS = 10
"""Latest orders of a run kept, so that an exit it still owes and a reservation to give back are known."""
RECENT_TICKS = 1_000
"""Latest tick rows of a run kept, so that a slot that has its row does not get it again."""


class UserRisk(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UserId
    state: RiskState
    limits: RiskLimits


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """`orders` oldest first per run; `ticks`: the rows since no slot of the run was cut off; `last_event`: the
    newest id. `process_s`: process time when `leases` stood so.
    """

    runs: tuple[Run, ...]
    accounts: tuple[Account, ...]
    users: tuple[UserRisk, ...]
    positions: tuple[OpenPosition, ...]
    orders: tuple[Order, ...]
    ticks: tuple[TickRow, ...]
    leases: tuple[RunLease, ...]
    process_s: float
    kill_switch: bool
    kill_switch_reason: str | None
    default_limits: RiskLimits
    last_event: int


def read_snapshot(store: Store, default_limits: RiskLimits, process_s: Callable[[], float]) -> Snapshot:
    """Two reads a run and one a user; nobody else may be writing."""
    began_s, leases = process_s(), store.leases()
    since = {lease.run_id: lease.previous_slot or lease.last_slot for lease in leases}
    runs = store.runs()
    newest = store.events(newest=True, limit=1)
    account_ids = dict.fromkeys(run.account_id for run in runs if run.account_id is not None)
    risks = [store.risk(user_id) for user_id in dict.fromkeys(run.user_id for run in runs)]
    orders = {order.client_order_id: order for order in store.open_orders()}
    ticks: list[TickRow] = []
    for run in runs:
        if run.account_id is not None:
            for order in reversed(store.orders(run_id=run.id, limit=RECENT_ORDERS)):
                orders.setdefault(order.client_order_id, order)
        first = since.get(run.id)
        if first is not None:
            ticks.extend(store.ticks(run_id=run.id, since=first, limit=RECENT_TICKS))
    platform = store.platform()
    return Snapshot(
        runs=tuple(runs),
        accounts=tuple(found for each in account_ids if (found := store.account(each)) is not None),
        users=tuple(UserRisk(user_id=risk.user_id, state=risk.state, limits=risk.limits) for risk in risks),
        positions=tuple(store.open_positions()),
        orders=tuple(sorted(orders.values(), key=lambda order: (order.slot, order.attempt))),
        ticks=tuple(ticks),
        leases=tuple(leases),
        process_s=began_s,
        kill_switch=platform.kill_switch,
        kill_switch_reason=platform.kill_switch_reason,
        default_limits=default_limits,
        last_event=newest[0].id if newest else 0,
    )


def load_snapshot(store: MemoryStore, snapshot: Snapshot) -> None:
    """Into an empty store. Counters of events and trades begin anew."""
    tables = store.tables
    tables.kill_switch, tables.kill_switch_reason = snapshot.kill_switch, snapshot.kill_switch_reason
    for account in snapshot.accounts:
        tables.accounts[account.id] = AccountRow(account)
    for each in snapshot.users:
        user = tables.user(each.user_id)
        user.limits = each.limits
        user.state = msgspec.structs.replace(each.state, days={})
        user.days = dict(each.state.days)
    for run in snapshot.runs:
        account_row = None if run.account_id is None else tables.accounts.get(run.account_id)
        row = tables.runs[run.id] = RunRow(run, tables.user(run.user_id), account_row)
        tables.strategies[run.strategy.id] = run.strategy
        if run.account_id is not None:
            tables.runs_of.setdefault((run.account_id, run.strategy.symbol), []).append(row)
    for position in snapshot.positions:
        tables.runs[position.run_id].position = position
    for order in snapshot.orders:
        row = tables.runs[order.run_id]
        tables.orders[order.client_order_id] = order
        tables.legs.setdefault((order.run_id, order.slot, order.leg), []).append(order.client_order_id)
        row.order_ids.append(order.client_order_id)
        if not order.is_terminal:
            row.open_orders[order.client_order_id] = order
    for tick in snapshot.ticks:
        tables.runs[tick.run_id].ticks[tick.slot] = tick
    for lease in snapshot.leases:
        _load_lease(tables.runs[lease.run_id], lease, snapshot.process_s)
        tables.fence = max(tables.fence, lease.fence)


def _load_lease(row: RunRow, lease: RunLease, process_s: float) -> None:
    row.owner, row.fence = lease.owner, lease.fence
    row.locked_until = process_s + lease.locked_s
    row.last_slot, row.ticked_slot, row.previous_slot = (
        lease.last_slot,
        lease.ticked_slot,
        lease.previous_slot,
    )
    if lease.last_slot is not None and lease.source is not None and lease.asked_at is not None:
        row.ask = Ask(slot=lease.last_slot, source=lease.source, at=lease.asked_at)
