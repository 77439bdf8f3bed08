"""What a transaction can do to rows. The orchestration in `schema/ledger/` is written once over this protocol.

`PgTx` speaks SQL on a connection in a transaction, `BatchTx` works on rows of PostgreSQL loaded beforehand, `MemoryTx`
on the memory store's. Locks are taken in the order of the methods: lease, run, account, user risk, order, event
counter (decision 9).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import msgspec

from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order
from core.position import Fill, RoundTrip
from core.risk import RiskLimits, RiskState
from core.run import Run
from schema.records import Account, OpenPosition


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fill (or funding, `order_id` None) about to be stored; unique on (account, symbol, fill.trade_id)."""

    account_id: AccountId
    symbol: str
    run_id: RunId
    user_id: UserId
    client_order_id: ClientOrderId | None
    fill: Fill
    realised: Decimal


class Tx(Protocol):
    def now(self) -> datetime:
        """Market time (`runner_now()`) under the locks asked for so far, not frozen at the transaction's start."""
        ...

    def lease_holds(self, run_id: RunId, fence: int) -> bool:
        """Lock the lease row; whether `fence` is the current one and unexpired by process time."""
        ...

    def lock_run(self, run_id: RunId) -> Run | None: ...

    def save_run_status(self, run: Run) -> None:
        """Status, reason, adapter_errors, activated_at; bumps the row version."""
        ...

    def global_kill_switch(self) -> bool:
        """Read under a share lock, so that nothing commits after the switch has (I8)."""
        ...

    def lock_account(self, account_id: AccountId, *, write: bool) -> Account | None: ...

    def save_account_money(self, account: Account, *, at: datetime) -> None:
        """Balance, used margin, outage counter, and an equity point at `at` when the balance moved."""
        ...

    def lock_risk(self, user_id: UserId, days: Sequence[date]) -> RiskState:
        """Lock the user's row (made when absent) and load these UTC days."""
        ...

    def limits(self, user_id: UserId) -> RiskLimits: ...

    def save_risk(self, user_id: UserId, before: RiskState, after: RiskState, *, now: datetime) -> None: ...

    def note_simulated(self, id: UUID, user_id: UserId) -> bool:
        """False when the simulated trade of this id is booked; asked under the user's lock."""
        ...

    def peek_order(self, client_order_id: ClientOrderId) -> Order | None:
        """Load without locking: tells whose account and risk rows to lock before the order itself."""
        ...

    def order(self, client_order_id: ClientOrderId) -> Order | None:
        """Lock and load."""
        ...

    def has_open_orders(self, run_id: RunId) -> bool:
        """Whether any order of the run is not terminal."""
        ...

    def open_leg_orders(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]: ...

    def attempts(self, run_id: RunId, slot: datetime, leg: Leg) -> list[Order]:
        """Every order of the leg, in order of attempt."""
        ...

    def unknown_orders(self, account_id: AccountId, symbol: str) -> int: ...

    def pending_entries(self, account_id: AccountId) -> list[Order]:
        """Entries of the account whose fate is open: what their unfilled part will need is spoken for."""
        ...

    def insert_order(self, order: Order, *, why: Mapping[str, Any]) -> None: ...

    def save_order(self, order: Order) -> None: ...

    def fill_known(self, account_id: AccountId, symbol: str, trade_id: str) -> bool:
        """Whether a fill or funding is stored; asked under the account's lock, before any arithmetic."""
        ...

    def insert_fill(self, row: FillRow) -> bool:
        """False when (account, symbol, trade id) was there already."""
        ...

    def position(self, run_id: RunId) -> OpenPosition | None:
        """Lock and load; flat positions are kept as rows too and come back as FLAT."""
        ...

    def save_position(self, position: OpenPosition) -> None: ...

    def insert_trade(self, position: OpenPosition, trip: RoundTrip, *, exit_reason: str) -> None: ...

    def append_event(
        self, *, user_id: UserId, run_id: RunId | None, type: str, at: datetime, payload: Mapping[str, Any]
    ) -> None:
        """Next gap-free number of the run (or the user), counter locked in this transaction (I11)."""
        ...

    def adapter_causes(self, run_id: RunId) -> list[Mapping[str, Any]]:
        """Payloads of the run's last three events `error` whose `source` is `adapter`, newest first."""
        ...
