"""All rows a batch of ledger operations needs: locked in the order of decision 9, then read, in two round trips.

Locks of one kind are taken together, sorted, so that two batches cannot block each other: leases, runs (with their
event counters), accounts, the kill switch, users' risk, orders, positions. What is read without a lock of its own
(a run's strategy, limits, days) is read after all of them, and so is the clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import assert_never

import msgspec
import psycopg
from psycopg.rows import dict_row

from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order
from core.risk import RiskLimits, RiskState, risk_day
from core.run import Run
from schema.ledger import adopted_id, funding_key
from schema.ops import (
    EndLeg,
    ExpirePause,
    LedgerOp,
    ObserveBalance,
    ObserveFill,
    ObserveFunding,
    ObserveOrder,
    ObservePosition,
    ObserveProtection,
    ObserveTrail,
    ProposeIntent,
    ResumeUser,
    SimulateTrade,
)
from schema.pg_database import SQL, Connection
from schema.pg_rows import Row, as_type, limits_of, position_of, risk_of, run_of
from schema.records import Account, OpenPosition

LegKey = tuple[RunId, datetime, Leg]
FillKey = tuple[AccountId, str, str]
Cursor = psycopg.Cursor[Row]

NOBODY = UserId("")
_DAY = timedelta(days=1)

_order = as_type(Order)
_account = as_type(Account)


class Wanted:
    """What the operations are going to look at."""

    def __init__(self, ops: Sequence[LedgerOp]) -> None:
        self.order_ids: set[ClientOrderId] = set()
        self.lease_ids: set[RunId] = set()
        self.run_ids: set[RunId] = set()
        self.account_ids: set[AccountId] = set()
        self.user_ids: set[UserId] = set()
        self.legs: set[LegKey] = set()
        self.fills: set[FillKey] = set()
        self.days: set[date] = set()
        self.owners: dict[object, UserId] = {}
        self.proposes = False
        self.books = False
        for op in ops:
            self._note(op)

    def _note(self, op: LedgerOp) -> None:
        match op:
            case ProposeIntent():
                order = op.order
                self.proposes = True
                self.owners[order.client_order_id] = order.user_id
                self.lease_ids.add(order.run_id)
                self._add_order(order.run_id, order.user_id, order.account_id, order.slot, order.leg)
            case ObserveOrder() | EndLeg():
                self.order_ids.add(op.client_order_id)
            case ObserveFill():
                self._note_fill(op)
            case ObserveFunding():
                self.run_ids.add(op.run_id)
                self._add_booking(op.account_id, op.symbol, funding_key(op), op.at)
            case ObservePosition() | ObserveProtection() | ObserveTrail():
                self.run_ids.add(op.run_id)
            case ObserveBalance():
                self.books = True
                self.account_ids.add(op.account_id)
            case SimulateTrade() | ExpirePause() | ResumeUser():
                self.user_ids.add(op.user_id)
            case _:
                assert_never(op)

    def _note_fill(self, op: ObserveFill) -> None:
        self._add_booking(op.account_id, op.symbol, op.fill.trade_id, op.fill.executed_at)
        if op.run_id is not None:
            self.run_ids.add(op.run_id)
        if op.client_order_id is not None:
            self.order_ids.add(op.client_order_id)
            return
        self.order_ids.add(adopted_id(op))
        if op.run_id is not None and op.venue_leg is not None:
            self.run_ids.add(op.run_id)
            self.legs.add((op.run_id, op.fill.executed_at, op.venue_leg))

    def _add_booking(self, account_id: AccountId, symbol: str, trade_id: str, at: datetime) -> None:
        self.books = True
        self.account_ids.add(account_id)
        self.fills.add((account_id, symbol, trade_id))
        self.days.add(risk_day(at))

    def _add_order(
        self, run_id: RunId, user_id: UserId, account_id: AccountId, slot: datetime, leg: Leg
    ) -> None:
        self.run_ids.add(run_id)
        self.user_ids.add(user_id)
        self.account_ids.add(account_id)
        self.legs.add((run_id, slot, leg))
        self.days.add(risk_day(slot) - _DAY)  # a claim comes seconds before its slot, and so may an attempt

    def locate(self, connection: Connection) -> None:
        """Whose the named orders and runs are; with each order its run, account and leg are wanted too."""
        if self.order_ids:
            rows = connection.execute(SQL["order_places"], {"ids": list(self.order_ids)}).fetchall()
            for order_id, run_id, user_id, account_id, slot, leg in rows:
                self.owners[order_id] = user_id
                self._add_order(run_id, user_id, account_id, slot, Leg(leg))
        if self.run_ids:
            rows = connection.execute(SQL["run_owners"], {"ids": list(self.run_ids)}).fetchall()
            self.owners.update(rows)
            self.user_ids.update(owner for _, owner in rows)

    def owner(self, op: LedgerOp) -> UserId:
        """Whose rows an operation locks. Unknown ones come first and are refused by the ledger."""
        match op:
            case ProposeIntent():
                return op.order.user_id
            case SimulateTrade() | ExpirePause() | ResumeUser() | ObserveBalance():
                return op.user_id
            case ObserveOrder() | EndLeg():
                return self.owners.get(op.client_order_id, NOBODY)
            case ObserveFill():
                return self.owners.get(op.client_order_id, self.owners.get(op.run_id, NOBODY))
            case ObserveFunding() | ObservePosition() | ObserveProtection() | ObserveTrail():
                return self.owners.get(op.run_id, NOBODY)
            case _:
                assert_never(op)


class Rows(msgspec.Struct, kw_only=True):
    """Rows as they stand under the locks; a key that was wanted and is not here has no row.

    `live`: orders whose fate is open, by account, loaded where something is proposed. `since`: the first day
    loaded of each user.
    """

    now: datetime
    process_now: datetime
    switched_off: bool
    since: date
    leases: dict[RunId, tuple[int, datetime]]
    runs: dict[RunId, Run]
    accounts: dict[AccountId, Account]
    users: dict[UserId, RiskState]
    limits: dict[UserId, RiskLimits]
    orders: dict[ClientOrderId, Order]
    legs: dict[LegKey, list[ClientOrderId]]
    live: dict[AccountId, dict[ClientOrderId, Order]]
    positions: dict[RunId, OpenPosition]
    fills: set[FillKey]


def load(connection: Connection, wanted: Wanted, default_limits: RiskLimits) -> Rows:
    """Lock and read: all statements are on their way before the first answer is awaited."""
    asked: dict[str, Cursor] = {}

    def ask(query: str, **named: object) -> None:
        cursor = connection.cursor(row_factory=dict_row, binary=True)
        asked[query] = cursor.execute(SQL[query], named)

    run_ids, account_ids, user_ids = list(wanted.run_ids), list(wanted.account_ids), list(wanted.user_ids)
    with connection.pipeline():
        if wanted.lease_ids:
            ask("lock_leases", run_ids=list(wanted.lease_ids))
        ask("lock_runs", run_ids=run_ids)
        accounts = "accounts_for_update" if wanted.books else "accounts_for_share"
        ask(accounts, ids=account_ids)
        if wanted.proposes:
            ask("kill_switch_shared")
        ask("make_risk_users", user_ids=user_ids)
        ask("risk_users_for_update", user_ids=user_ids)
        legs = list(zip(*wanted.legs, strict=True)) or [(), (), ()]
        ask("legs_for_update", run_ids=list(legs[0]), slots=list(legs[1]), legs=[str(leg) for leg in legs[2]])
        ask("positions_for_update", run_ids=run_ids)
        ask("runs_by_id", run_ids=run_ids)
        ask("limits_of_users", user_ids=user_ids)
        ask("risk_days_of_users", user_ids=user_ids, since=min(wanted.days, default=None))
        if wanted.proposes:
            ask("live_orders_of_accounts", ids=account_ids)
        fills = list(zip(*wanted.fills, strict=True)) or [(), (), ()]
        ask("fills_known", account_ids=list(fills[0]), symbols=list(fills[1]), trade_ids=list(fills[2]))
        ask("moment")
    found = {query: cursor.fetchall() for query, cursor in asked.items() if cursor.description}
    return _rows(found, wanted, found[accounts], default_limits)


def _rows(
    found: Mapping[str, list[Row]], wanted: Wanted, accounts: Iterable[Row], default_limits: RiskLimits
) -> Rows:
    [moment] = found["moment"]
    [switch] = found.get("kill_switch_shared", [{"kill_switch_shared": False}])
    today = risk_day(moment["runner_now"])
    users = {UserId(row["user_id"]): row for row in found["risk_users_for_update"]}
    days: dict[UserId, list[Row]] = defaultdict(list)
    for row in found["risk_days_of_users"]:
        days[row["user_id"]].append(row)
    own_limits = {row["user_id"]: row for row in found["limits_of_users"]}
    live: dict[AccountId, dict[ClientOrderId, Order]] = {each: {} for each in wanted.account_ids}
    for row in found.get("live_orders_of_accounts", ()):
        order = _order(row)
        live[order.account_id][order.client_order_id] = order
    orders = [_order(row) for row in found["legs_for_update"]]
    legs: dict[LegKey, list[ClientOrderId]] = {key: [] for key in wanted.legs}
    for order in sorted(orders, key=attrgetter("attempt")):
        legs[order.run_id, order.slot, order.leg].append(order.client_order_id)
    return Rows(
        now=moment["runner_now"],
        process_now=moment["clock_timestamp"],
        switched_off=switch["kill_switch_shared"],
        since=min({today - _DAY, *wanted.days}),
        leases={row["run_id"]: (row["fence"], row["locked_until"]) for row in found.get("lock_leases", ())},
        runs={row["id"]: run_of(row) for row in found["runs_by_id"]},
        accounts={row["id"]: _account(row) for row in accounts},
        users={user: risk_of(row, days[user]) for user, row in users.items()},
        limits={user: limits_of(own_limits.get(user), default_limits) for user in users},
        orders={order.client_order_id: order for order in orders},
        legs=legs,
        live=live,
        positions={row["run_id"]: position_of(row) for row in found["positions_for_update"]},
        fills={(row["account_id"], row["symbol"], row["trade_id"]) for row in found["fills_known"]},
    )
