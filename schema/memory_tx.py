"""`Tx` over the memory store's tables: every write leaves behind how to undo it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order, OrderStatus
from core.position import RoundTrip
from core.risk import RiskLimits, RiskState
from core.run import Run, RunStatus
from schema.memory_tables import Tables
from schema.records import Account, Event, OpenPosition, booked
from schema.tx import FillRow
from schema.undo import Undo

_CAUSES = 3


class MemoryTx:
    """One transaction; the store's lock is held for as long as it lives."""

    def __init__(self, tables: Tables, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self.now = now
        self.undo = Undo()

    def lease_holds(self, run_id: RunId, fence: int) -> bool:
        row = self._tables.runs.get(run_id)
        return row is not None and row.fence == fence and self._monotonic() < row.locked_until

    def lock_run(self, run_id: RunId) -> Run | None:
        row = self._tables.runs.get(run_id)
        return None if row is None else row.current()

    def save_run_status(self, run: Run) -> None:
        row = self._tables.runs[run.id]
        saved = replace(
            row.current(),
            status=run.status,
            status_reason=run.status_reason,
            adapter_errors=run.adapter_errors,
            activated_at=run.activated_at,
            version=row.run.version + 1,
        )
        self.undo.set_attribute(row, "run", saved)
        if run.status is RunStatus.ACTIVE:
            self.undo.remove_item(self._tables.ending, run.id)
        self._tables.note_change(row)

    def global_kill_switch(self) -> bool:
        return self._tables.kill_switch

    def lock_account(self, account_id: AccountId, *, write: bool) -> Account | None:
        row = self._tables.accounts.get(account_id)
        return None if row is None else row.account

    def save_account_money(self, account: Account, *, at: datetime) -> None:
        row = self._tables.accounts[account.id]
        if account.balance != row.account.balance:
            self.undo.append(row.equity, (at, account.balance))
        saved = replace(
            row.account,
            balance=account.balance,
            used_margin=account.used_margin,
            outage_orders=account.outage_orders,
        )
        self.undo.set_attribute(row, "account", saved)

    def lock_risk(self, user_id: UserId, days: Sequence[date]) -> RiskState:
        return self._tables.user(user_id).load(list(days))

    def limits(self, user_id: UserId) -> RiskLimits:
        return self._tables.user(user_id).limits

    def save_risk(self, user_id: UserId, before: RiskState, after: RiskState, *, now: datetime) -> None:
        row = self._tables.user(user_id)
        self.undo.then(row.forget_view)
        for day, figures in after.days.items():
            if before.days.get(day) != figures:
                self.undo.set_item(row.days, day, figures)
        self.undo.set_attribute(row, "state", replace(after, days={}))
        row.forget_view()

    def note_simulated(self, id: UUID, user_id: UserId) -> bool:
        known = id in self._tables.simulated
        self.undo.set_item(self._tables.simulated, id, None)
        return not known

    def peek_order(self, client_order_id: ClientOrderId) -> Order | None:
        return self._tables.orders.get(client_order_id)

    def order(self, client_order_id: ClientOrderId) -> Order | None:
        return self._tables.orders.get(client_order_id)

    def has_open_orders(self, run_id: RunId) -> bool:
        return bool(self._tables.runs[run_id].open_orders)

    def open_leg_orders(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]:
        return [order for order in self.attempts(run_id, slot, leg) if not order.is_terminal]

    def attempts(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]:
        ids = self._tables.legs.get((run_id, slot, leg), ())
        return sorted((self._tables.orders[each] for each in ids), key=lambda order: order.attempt)

    def unknown_orders(self, account_id: AccountId, symbol: str) -> int:
        rows = self._tables.runs_of.get((account_id, symbol), ())
        return sum(order.status is OrderStatus.UNKNOWN for row in rows for order in row.open_orders.values())

    def pending_entries(self, account_id: AccountId) -> list[Order]:
        held = (rows for (owner, _), rows in self._tables.runs_of.items() if owner == account_id)
        orders = (order for rows in held for row in rows for order in row.open_orders.values())
        return [order for order in orders if order.leg is Leg.ENTRY]

    def insert_order(self, order: Order, *, why: Mapping[str, Any]) -> None:
        tables, row = self._tables, self._tables.runs[order.run_id]
        leg = tables.legs.setdefault((order.run_id, order.slot, order.leg), [])
        self.undo.append(leg, order.client_order_id)
        self.undo.append(row.order_ids, order.client_order_id)
        self.undo.set_item(tables.whys, order.client_order_id, why)
        self.save_order(order)

    def save_order(self, order: Order) -> None:
        row = self._tables.runs[order.run_id]
        self.undo.set_item(self._tables.orders, order.client_order_id, order)
        if order.is_terminal:
            self.undo.remove_item(row.open_orders, order.client_order_id)
        else:
            self.undo.set_item(row.open_orders, order.client_order_id, order)

    def fill_known(self, account_id: AccountId, symbol: str, trade_id: str) -> bool:
        return (account_id, symbol, trade_id) in self._tables.fills

    def insert_fill(self, row: FillRow) -> bool:
        key = (row.account_id, row.symbol, row.fill.trade_id)
        if key in self._tables.fills:
            return False
        self.undo.set_item(self._tables.fills, key, row)
        return True

    def position(self, run_id: RunId) -> OpenPosition | None:
        return self._tables.runs[run_id].position

    def save_position(self, position: OpenPosition) -> None:
        self.undo.set_attribute(self._tables.runs[position.run_id], "position", position)

    def insert_trade(self, position: OpenPosition, trip: RoundTrip, *, exit_reason: str) -> None:
        row = self._tables.runs[position.run_id]
        self.undo.set_attribute(row, "trades", row.trades + 1)
        trade = booked(
            trip,
            row.trades,
            run_id=position.run_id,
            user_id=position.user_id,
            account_id=position.account_id,
            symbol=position.symbol,
            exit_reason=exit_reason,
        )
        self.undo.append(self._tables.trades, trade)

    def append_event(
        self, *, user_id: UserId, run_id: RunId | None, type: str, at: datetime, payload: Mapping[str, Any]
    ) -> None:
        counter = self._tables.user(user_id) if run_id is None else self._tables.runs[run_id]
        seq = counter.event_seq + 1
        self.undo.set_attribute(counter, "event_seq", seq)
        event = Event(
            id=len(self._tables.events) + 1,
            user_id=user_id,
            run_id=run_id,
            seq=seq,
            type=type,
            at=at,
            payload=payload,
        )
        self.undo.append(self._tables.events, event)

    def adapter_causes(self, run_id: RunId) -> list[Mapping[str, Any]]:
        causes = (
            event.payload
            for event in reversed(self._tables.events)
            if event.run_id == run_id and event.type == "error" and event.payload.get("source") == "adapter"
        )
        return list(islice(causes, _CAUSES))
