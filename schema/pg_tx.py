"""`Tx` over PostgreSQL: each method is one named query (or two) on a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from psycopg.types.json import Jsonb

from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order
from core.position import RoundTrip
from core.risk import RiskLimits, RiskState
from core.run import Run
from schema.pg_database import Connection, Months
from schema.pg_rows import (
    as_type,
    changed,
    fields,
    limits_of,
    many,
    one,
    optional,
    plain_json,
    position_of,
    position_parameters,
    risk_of,
    run_of,
    value,
)
from schema.records import Account, OpenPosition
from schema.tx import FillRow
from schema.witness import witness

_order = as_type(Order)


class PgTx:
    """One transaction's rows. Locks are the statements' own and last until it ends."""

    def __init__(self, connection: Connection, months: Months, default_limits: RiskLimits) -> None:
        self._connection = connection
        self._months = months
        self._default_limits = default_limits
        self._equity_before: dict[AccountId, Account] = {}

    def undone(self) -> None:
        """A savepoint was rolled back: what was remembered about its statements holds no longer."""
        self._months.forget()
        self._equity_before.clear()

    def now(self) -> datetime:
        return witness.saw(value(self._connection, "market_now"))

    def lease_holds(self, run_id: RunId, fence: int) -> bool:
        return bool(value(self._connection, "lease_holds", {"run_id": run_id, "fence": fence}))

    def lock_run(self, run_id: RunId) -> Run | None:
        # Locked first and read by a second statement, which sees what was committed while waiting.
        changed(self._connection, "lock_run", {"id": run_id})
        return optional(one(self._connection, "run", {"id": run_id}), run_of)

    def save_run_status(self, run: Run) -> None:
        changed(self._connection, "save_run_status", fields(run))

    def global_kill_switch(self) -> bool:
        return bool(value(self._connection, "kill_switch_shared"))

    def lock_account(self, account_id: AccountId, *, write: bool) -> Account | None:
        query = "account_for_update" if write else "account_for_share"
        account = optional(one(self._connection, query, {"id": account_id}), as_type(Account))
        if account is not None and write:
            self._equity_before[account_id] = account
        return account

    def save_account_money(self, account: Account, *, at: datetime) -> None:
        changed(self._connection, "save_account_money", fields(account))
        before = self._equity_before.get(account.id)
        if before is None or before.balance != account.balance:
            point = {"account_id": account.id, "at": at, "balance": account.balance}
            changed(self._connection, "insert_equity_point", point)
        self._equity_before[account.id] = account

    def lock_risk(self, user_id: UserId, days: Sequence[date]) -> RiskState:
        whose = {"user_id": user_id}
        row = one(self._connection, "risk_user_for_update", whose)
        if row is None:
            changed(self._connection, "make_risk_user", whose)
            row = one(self._connection, "risk_user_for_update", whose)
        return risk_of(row, many(self._connection, "risk_days", whose | {"days": list(days)}))

    def limits(self, user_id: UserId) -> RiskLimits:
        return limits_of(one(self._connection, "limits", {"user_id": user_id}), self._default_limits)

    def save_risk(self, user_id: UserId, before: RiskState, after: RiskState, *, now: datetime) -> None:
        if replace(before, days={}) != replace(after, days={}):
            changed(self._connection, "save_risk_user", fields(after) | {"user_id": user_id})
        for day, figures in after.days.items():
            if before.days.get(day) != figures:
                row = {"user_id": user_id, "day": day, "pnl": figures.pnl, "trades": figures.trades}
                changed(self._connection, "save_risk_day", row)

    def note_simulated(self, id: UUID, user_id: UserId) -> bool:
        return changed(self._connection, "note_simulated", {"id": id, "user_id": user_id}) == 1

    def peek_order(self, client_order_id: ClientOrderId) -> Order | None:
        return optional(one(self._connection, "order", {"client_order_id": client_order_id}), _order)

    def order(self, client_order_id: ClientOrderId) -> Order | None:
        named = {"client_order_id": client_order_id}
        return optional(one(self._connection, "order_for_update", named), _order)

    def has_open_orders(self, run_id: RunId) -> bool:
        return bool(value(self._connection, "has_open_orders", {"run_id": run_id}))

    def open_leg_orders(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]:
        return [order for order in self.attempts(run_id, slot, leg) if not order.is_terminal]

    def attempts(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]:
        named = {"run_id": run_id, "slot": slot, "leg": leg.value}
        return [_order(row) for row in many(self._connection, "leg_orders", named)]

    def unknown_orders(self, account_id: AccountId, symbol: str) -> int:
        return int(value(self._connection, "unknown_orders", {"account_id": account_id, "symbol": symbol}))

    def pending_entries(self, account_id: AccountId) -> list[Order]:
        rows = many(self._connection, "open_orders", {"run_id": None, "account_id": account_id})
        return [order for order in map(_order, rows) if order.leg is Leg.ENTRY]

    def insert_order(self, order: Order, *, why: Mapping[str, Any]) -> None:
        changed(self._connection, "insert_order", fields(order) | {"why": Jsonb(plain_json(why))})

    def save_order(self, order: Order) -> None:
        changed(self._connection, "save_order", fields(order))

    def fill_known(self, account_id: AccountId, symbol: str, trade_id: str) -> bool:
        named = {"account_id": account_id, "symbol": symbol, "trade_id": trade_id}
        return bool(value(self._connection, "fill_known", named))

    def insert_fill(self, row: FillRow) -> bool:
        return changed(self._connection, "insert_fill", fields(row.fill) | fields(row)) == 1

    def position(self, run_id: RunId) -> OpenPosition | None:
        return optional(one(self._connection, "position_for_update", {"run_id": run_id}), position_of)

    def save_position(self, position: OpenPosition) -> None:
        changed(self._connection, "save_position", position_parameters(position))

    def insert_trade(self, position: OpenPosition, trip: RoundTrip, *, exit_reason: str) -> None:
        changed(
            self._connection,
            "insert_trade",
            fields(position) | fields(trip) | {"exit_reason": exit_reason},
        )

    def append_event(
        self, *, user_id: UserId, run_id: RunId | None, type: str, at: datetime, payload: Mapping[str, Any]
    ) -> None:
        self._months.cover(self._connection, [at])
        event = {"user_id": user_id, "run_id": run_id, "type": type, "at": at}
        changed(self._connection, "append_event", event | {"payload": Jsonb(plain_json(payload))})

    def adapter_causes(self, run_id: RunId) -> list[Mapping[str, Any]]:
        return [row["payload"] for row in many(self._connection, "adapter_causes", {"run_id": run_id})]
