"""A batch of ledger operations: evaluated on rows in memory by the ledger's own code, written together at the end.

The rows are locked (`pg_prefetch`), so what the operations see is what the tables hold until the transaction ends.
An operation that fails is undone in memory and leaves nothing to be written. Where the database refuses the writes,
or an operation looks at a row that was not loaded, nobody can say here which one it was: the caller goes one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import asdict, replace

from core.errors import RunnerError
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order, OrderStatus
from core.position import RoundTrip
from core.risk import RiskLimits, RiskState
from core.run import Run
from schema.ledger import settle_one
from schema.ops import LedgerOp, LedgerResult, OpRefused
from schema.pg_database import SQL, Connection, Months
from schema.pg_prefetch import Rows, Wanted, load
from schema.pg_rows import json_rows
from schema.records import Account, OpenPosition
from schema.tx import FillRow
from schema.undo import Undo
from schema.witness import witness

Row = dict[str, Any]


class NotLoaded(Exception):
    """An operation asked for a row that was not foreseen."""


def settle_batch(
    connection: Connection, months: Months, default_limits: RiskLimits, ops: Sequence[LedgerOp]
) -> list[LedgerResult]:
    """Answers in the order asked. Operations of one user keep their order; users take turns by id."""
    wanted = Wanted(ops)
    wanted.locate(connection)
    tx = BatchTx(load(connection, wanted, default_limits))
    results: dict[int, LedgerResult] = {}
    for index in sorted(range(len(ops)), key=lambda index: wanted.owner(ops[index])):
        results[index] = tx.settle(ops[index])
    tx.write(connection, months)
    return [results[index] for index in range(len(ops))]


class BatchTx:
    """`Tx` over loaded rows. Writes change the rows here and are kept until `write`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._undo = Undo()
        # In the order written; an order may be written several times, each of them a step of its life.
        self._orders: list[tuple[Order, Mapping[str, Any] | None]] = []
        self._fills: list[Row] = []
        self._trades: list[Row] = []
        self._equity: list[Row] = []
        self._events: list[Row] = []
        # Rows of which only the last state is written.
        self._positions: dict[RunId, OpenPosition] = {}
        self._accounts: dict[AccountId, Account] = {}
        self._users: dict[UserId, RiskState] = {}
        self._days: dict[tuple[UserId, date], Row] = {}

    def settle(self, op: LedgerOp) -> LedgerResult:
        mark = self._undo.mark()
        try:
            return settle_one(self, op)
        except RunnerError as error:
            self._undo.back_to(mark)
            return OpRefused(sentence=str(error))

    # -- rows -----------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Read under all locks, so that waiting for them lets no deadline slip by."""
        return witness.saw(self._rows.now)

    def lease_holds(self, run_id: RunId, fence: int) -> bool:
        current, until = self._rows.leases.get(run_id, (None, self._rows.process_now))
        return current == fence and self._rows.process_now < until

    def lock_run(self, run_id: RunId) -> Run | None:
        return self._rows.runs.get(run_id)

    def save_run_status(self, run: Run) -> None:
        raise NotLoaded(f"run {run.id}")

    def global_kill_switch(self) -> bool:
        return self._rows.switched_off

    def lock_account(self, account_id: AccountId, *, write: bool) -> Account | None:
        return self._rows.accounts.get(account_id)

    def save_account_money(self, account: Account, *, at: datetime) -> None:
        accounts = self._rows.accounts
        if accounts[account.id].balance != account.balance:
            point = {"account_id": account.id, "at": at, "balance": account.balance}
            self._undo.append(self._equity, point)
        self._undo.set_item(accounts, account.id, account)
        self._undo.set_item(self._accounts, account.id, account)

    def lock_risk(self, user_id: UserId, days: Sequence[date]) -> RiskState:
        state = self._rows.users.get(user_id)
        if state is None or min(days) < self._rows.since:
            raise NotLoaded(f"risk of {user_id}")
        return replace(state, days={day: state.days[day] for day in days if day in state.days})

    def limits(self, user_id: UserId) -> RiskLimits:
        return self._rows.limits[user_id]

    def save_risk(self, user_id: UserId, before: RiskState, after: RiskState, *, now: datetime) -> None:
        days = {**self._rows.users[user_id].days, **after.days}
        self._undo.set_item(self._rows.users, user_id, replace(after, days=days))
        if replace(before, days={}) != replace(after, days={}):
            self._undo.set_item(self._users, user_id, after)
        for day, figures in after.days.items():
            if before.days.get(day) != figures:
                row = {"user_id": user_id, "day": day, "pnl": figures.pnl, "trades": figures.trades}
                self._undo.set_item(self._days, (user_id, day), row)

    # -- orders ---------------------------------------------------------------------------------

    def note_simulated(self, id: UUID, user_id: UserId) -> bool:
        raise NotLoaded(f"simulated trades of {user_id}")

    def peek_order(self, client_order_id: ClientOrderId) -> Order | None:
        return self._rows.orders.get(client_order_id)

    def order(self, client_order_id: ClientOrderId) -> Order | None:
        return self._rows.orders.get(client_order_id)

    def has_open_orders(self, run_id: RunId) -> bool:
        raise NotLoaded(f"orders of run {run_id}")

    def open_leg_orders(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]:
        return [order for order in self.attempts(run_id, slot, leg) if not order.is_terminal]

    def attempts(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]:
        ids = self._rows.legs.get((run_id, slot, leg))
        if ids is None:
            raise NotLoaded(f"leg {leg} of run {run_id}")
        return [self._rows.orders[each] for each in ids]

    def unknown_orders(self, account_id: AccountId, symbol: str) -> int:
        live = self._rows.live[account_id].values()
        return sum(order.symbol == symbol and order.status is OrderStatus.UNKNOWN for order in live)

    def pending_entries(self, account_id: AccountId) -> list[Order]:
        return [order for order in self._rows.live[account_id].values() if order.leg is Leg.ENTRY]

    def insert_order(self, order: Order, *, why: Mapping[str, Any]) -> None:
        self._undo.append(self._rows.legs[order.run_id, order.slot, order.leg], order.client_order_id)
        self._keep(order, why)

    def save_order(self, order: Order) -> None:
        self._keep(order, None)

    def _keep(self, order: Order, why: Mapping[str, Any] | None) -> None:
        live = self._rows.live[order.account_id]
        self._undo.set_item(self._rows.orders, order.client_order_id, order)
        if order.is_terminal:
            self._undo.remove_item(live, order.client_order_id)
        else:
            self._undo.set_item(live, order.client_order_id, order)
        self._undo.append(self._orders, (order, why))

    # -- fills, positions, events ---------------------------------------------------------------

    def fill_known(self, account_id: AccountId, symbol: str, trade_id: str) -> bool:
        return (account_id, symbol, trade_id) in self._rows.fills

    def insert_fill(self, row: FillRow) -> bool:
        key = (row.account_id, row.symbol, row.fill.trade_id)
        if key in self._rows.fills:
            return False
        self._rows.fills.add(key)
        self._undo.then(lambda: self._rows.fills.discard(key))
        self._undo.append(self._fills, asdict(row.fill) | asdict(row))
        return True

    def position(self, run_id: RunId) -> OpenPosition | None:
        return self._rows.positions.get(run_id)

    def save_position(self, position: OpenPosition) -> None:
        self._undo.set_item(self._rows.positions, position.run_id, position)
        self._undo.set_item(self._positions, position.run_id, position)

    def insert_trade(self, position: OpenPosition, trip: RoundTrip, *, exit_reason: str) -> None:
        row = asdict(position) | asdict(trip) | {"exit_reason": exit_reason}
        self._undo.append(self._trades, row)

    def append_event(
        self, *, user_id: UserId, run_id: RunId | None, type: str, at: datetime, payload: Mapping[str, Any]
    ) -> None:
        row = {"user_id": user_id, "run_id": run_id, "type": type, "at": at, "payload": payload}
        self._undo.append(self._events, row)

    def adapter_causes(self, run_id: RunId) -> list[Mapping[str, Any]]:
        raise NotLoaded(f"events of run {run_id}")

    # -- the end --------------------------------------------------------------------------------

    def write(self, connection: Connection, months: Months) -> None:
        """One statement a table, all on their way at once; raises what the database refuses."""
        months.cover(connection, {event["at"] for event in self._events})
        with connection.pipeline():
            for statement, rows in self._statements():
                if rows:
                    connection.execute(SQL[statement], {"rows": json_rows(rows)})

    def _statements(self) -> list[tuple[str, Sequence[Any]]]:
        """Events last: their counters' rows are locked, their ids the latest possible."""
        positions = [asdict(held.position) | asdict(held) for held in self._positions.values()]
        users = [asdict(replace(state, days={})) | {"user_id": user} for user, state in self._users.items()]
        return [
            *_order_statements(self._orders),
            ("insert_fills", self._fills),
            ("save_positions", positions),
            ("insert_trades", self._trades),
            ("save_accounts_money", list(self._accounts.values())),
            ("insert_equity_points", self._equity),
            ("save_risk_users", users),
            ("save_risk_days", list(self._days.values())),
            ("append_events", self._events),
        ]


def _order_statements(
    written: Sequence[tuple[Order, Mapping[str, Any] | None]],
) -> list[tuple[str, Sequence[Any]]]:
    """Every order's first step, then every order's second, and so on: the table's guard sees each of them."""
    steps: list[tuple[list[Order], list[Row]]] = []
    taken: dict[ClientOrderId, int] = {}
    for order, why in written:
        step = taken[order.client_order_id] = taken.get(order.client_order_id, -1) + 1
        if step == len(steps):
            steps.append(([], []))
        if why is None:
            steps[step][0].append(order)
        else:
            steps[step][1].append(asdict(order) | {"why": why})
    found: list[tuple[str, Sequence[Any]]] = []
    for saved, inserted in steps:
        found += [("save_orders", saved), ("insert_orders", inserted)]
    return found
