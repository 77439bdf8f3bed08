"""The store: the one object actors receive. `PgStore` and `MemoryStore` pass one conformance suite.

One method is one transaction (decision 12). Methods block; actors call them on the database executor.
`now` inside is market time, `runner_now()`; leases and beats use process time. Errors: `Conflict` and other
`RunnerError`s are refusals; `StoreUnavailable` means nobody knows, and whoever asked must not trade.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from core.candles import Candle
from core.definition import StrategyDefinition
from core.errors import Reason, RunnerError
from core.ids import AccountId, ClientOrderId, NodeId, RunId, StrategyId, UserId
from core.market import Series
from core.order import Order
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunStatus
from schema.desk import Arranged, DeskOp
from schema.external import DueSignal, NewSignal, Receipt
from schema.ops import LedgerOp, LedgerResult
from schema.records import (
    Account,
    Ask,
    Claim,
    ClockSettings,
    EquityPoint,
    Event,
    LostTrigger,
    Node,
    OpenPosition,
    Platform,
    RiskView,
    RunLease,
    RunsRead,
    RunStart,
    RunState,
    SlotReport,
    TickPlace,
    TickRow,
    TickSource,
    TickStatus,
    Trade,
)

MAX_CLAIM_BATCH = 1_000
LIVE_NODE_S = 15.0
LONG_AGO_S = 86_400.0


class StoreUnavailable(RunnerError):
    """The database cannot be reached or did not answer in time."""


class Store(Protocol):
    # -- time and installation ------------------------------------------------------------------
    def clock(self) -> ClockSettings: ...

    def set_clock(
        self, *, at: datetime | None = None, rate: float | None = None, ceiling: datetime | None = None
    ) -> ClockSettings:
        """Re-anchor a demo's market time at `at` (default: where it stands) with a new rate and ceiling.

        `rate` None keeps the rate; `ceiling` is always set as given (None lifts it). Market time never goes
        back. Refused (RunnerError) unless the database is marked demo.
        """
        ...

    def mark_demo(self, *, start: datetime, rate: float) -> ClockSettings:
        """Mark an empty database as a demo whose market time starts at `start`; a no-op on a demo.

        Refused when the database holds runs and is not a demo (decision 2).
        """
        ...

    def platform(self) -> Platform: ...

    def set_kill_switch(self, *, on: bool, reason: str, account_id: AccountId | None = None) -> None:
        """The global switch, or one account's; with an event; same state: no event."""
        ...

    def beat(self, node_id: NodeId, version: str, *, within_s: float = LIVE_NODE_S) -> list[Node]:
        """Write this process's heartbeat; return nodes that beat within the last `within_s`, by id.

        Nodes silent for a day are forgotten.
        """
        ...

    def leave(self, node_id: NodeId) -> None: ...

    # -- strategies, runs, accounts -------------------------------------------------------------
    def create_strategy(self, definition: StrategyDefinition) -> None: ...

    def create_account(self, account: Account) -> None: ...

    def create_run(self, run: Run) -> None:
        """Raises Conflict when an unarchived run already trades this (account, symbol) (decision 13)."""
        ...

    def create_together(self, *, strategy: StrategyDefinition, account: Account | None, run: Run) -> None:
        """A strategy, its run and, unless there is one, the account: all or none. Raises as each alone would."""
        ...

    def arrange(self, op: DeskOp) -> Arranged:
        """What an owner or a subscriber changes: all of the operation or nothing; raises as it says there."""
        ...

    def archive_ended(self) -> list[RunId]:
        """Archive runs that were cancelled and have come to be flat without open orders; which those were."""
        ...

    def set_limits(self, user_id: UserId, limits: RiskLimits) -> None: ...

    def strategy(self, strategy_id: StrategyId) -> StrategyDefinition | None: ...

    def account(self, account_id: AccountId) -> Account | None: ...

    def run(self, run_id: RunId) -> Run | None: ...

    def runs(
        self, *, statuses: Sequence[RunStatus] | None = None, user_id: UserId | None = None
    ) -> list[Run]: ...

    def runs_since(self, mark: str | None, *, statuses: Sequence[RunStatus]) -> RunsRead:
        """Runs that have changed, they or their strategy, since an answer with this `mark`; in whatever status.

        `mark` None: all in `statuses`. No change that was committed is passed over, however long that took; some
        may come twice.
        """
        ...

    def run_state(self, run_id: RunId) -> RunState | None: ...

    def run_starts(self, run_ids: Sequence[RunId], *, recent: int) -> list[RunStart]:
        """What the actors of these runs begin with, in their order; those there are not are left out.

        `recent`: so many of each run's latest orders at most.
        """
        ...

    def command(self, run_id: RunId, command: RunCommand, *, by: str, reason: str | None = None) -> Run:
        """Compare-and-set of the status with its event `run.status`; raises IllegalTransition."""
        ...

    def adapter_failed(self, run_id: RunId, *, slot: datetime, kind: str, detail: str) -> Run:
        """Counter + 1, at most once per slot, with event `error`; the third pauses in the same transaction.

        The pausing event is `run.status` with status auto_paused and the last three causes.
        """
        ...

    def adapter_recovered(self, run_id: RunId) -> Run: ...

    # -- slots ----------------------------------------------------------------------------------
    def claim(
        self,
        run_ids: Sequence[RunId],
        *,
        slot: datetime,
        owner: str,
        ttl_s: float,
        ask: Ask | None = None,
    ) -> list[Claim]:
        """Claim the slot for up to MAX_CLAIM_BATCH active runs; those another has, or had, are left out.

        One statement: lease free or expired (process time) and slot > last slot → owner, new fence, last slot.
        A last slot that was cut off, without a tick row, is closed as `interrupted` first.
        MANUAL runs are claimed too: who may tick is the caller's affair; inactive runs are not.
        `ask`: whose doing it is, kept for the row of a slot that is cut off.
        """
        ...

    def acquire(self, run_id: RunId, *, owner: str, ttl_s: float) -> int | None:
        """A lease without a slot (later exit attempts); its fence, or None while another holds one."""
        ...

    def renew(self, run_id: RunId, *, fence: int, ttl_s: float) -> bool: ...

    def release(self, leases: Sequence[tuple[RunId, int]]) -> None: ...

    def free_leases(self) -> None:
        """End every running lease: for the only process of a database, whose predecessors are dead."""
        ...

    def leases(self) -> list[RunLease]:
        """Every run's lease row, by run; one that ran out long ago is `LONG_AGO_S` past."""
        ...

    def report(self, report: SlotReport) -> int:
        """Write tick rows, last_run_at and executions; release leases by fence. Rows there already stay.

        Returns how many tick rows were new. Signals other than hold also become a `signals` row and an event.
        Of a candle reported twice the first stays; of a lost ask the first of a source and node.
        """
        ...

    def candles(self, series: Series, *, since: datetime, limit: int = 1_000) -> list[Candle]:
        """Stored candles that open at or after `since`, oldest first."""
        ...

    def close_interrupted(self, *, older_than_s: float) -> list[TickRow]:
        """Claimed slots without a tick row whose lease ran out `older_than_s` ago become error `interrupted`."""
        ...

    # -- signals from outside -------------------------------------------------------------------
    def receive_signal(self, new: NewSignal) -> Receipt:
        """Store a signal once per key of its strategy, owed to every run that is active now; or why it is not taken."""
        ...

    def signals_due(self, run_ids: Sequence[RunId]) -> list[DueSignal]:
        """For each of these runs the earliest signal it is owed and has no tick row for, expired or not."""
        ...

    def settle_signals(self, *, now: datetime) -> list[TickRow]:
        """What has expired by `now`, and was never claimed, becomes `missed` in its run's rows; which those are.

        A slot closed so is claimed by nobody any more. What has its row is owed no longer.
        """
        ...

    def pending(self, slot: datetime) -> int:
        """How many runs that tick by themselves have `slot`, by timeframe and schedule, and no tick row for it."""
        ...

    def ticks(
        self,
        *,
        run_id: RunId | None = None,
        status: str | None = None,
        since: datetime | None = None,
        slot: datetime | None = None,
        source: TickSource | None = None,
        before: TickPlace | None = None,
        limit: int = 50,
    ) -> list[TickRow]:
        """Newest slot first, and by run within a slot; `before`: only what follows that place."""
        ...

    def slot_counts(self, slot: datetime) -> Mapping[TickStatus, int]:
        """How many tick rows of the slot came to each status."""
        ...

    def lost_triggers(self, ticks: Sequence[TickRow]) -> Mapping[TickPlace, Sequence[LostTrigger]]:
        """For each of these rows that has any: asks that came later and lost, the earliest first.

        What the winner asked again on its own node is no loss.
        """
        ...

    # -- orders, fills, risk --------------------------------------------------------------------
    def settle(self, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
        """One transaction, a savepoint for each operation, answers in the same order."""
        ...

    def may_send(self, asked: Sequence[tuple[ClientOrderId, int]]) -> list[Reason | None]:
        """Re-read before the first byte, of orders and their fences: switches, lease, still an intent. None: send."""
        ...

    def open_orders(
        self, *, run_id: RunId | None = None, account_id: AccountId | None = None
    ) -> list[Order]: ...

    def orders(self, *, run_id: RunId, limit: int = 200) -> list[Order]: ...

    def open_positions(
        self, *, account_id: AccountId | None = None, user_id: UserId | None = None
    ) -> list[OpenPosition]: ...

    def trades(self, *, run_id: RunId | None = None, limit: int = 200) -> list[Trade]: ...

    def equity(self, account_id: AccountId, *, limit: int = 1_000) -> list[EquityPoint]:
        """Newest `limit` points, oldest first."""
        ...

    def risk(self, user_id: UserId) -> RiskView: ...

    def expired_pauses(self) -> list[UserId]:
        """Users whose pause has run out and is not yet written as expired."""
        ...

    # -- events ---------------------------------------------------------------------------------
    def events(
        self,
        *,
        after_id: int = 0,
        user_id: UserId | None = None,
        run_id: RunId | None = None,
        newest: bool = False,
        limit: int = 200,
    ) -> list[Event]:
        """In id order after `after_id`; `newest`: the last `limit` instead, still ascending."""
        ...

    def close(self) -> None: ...


class Notifier(Protocol):
    """Hints between processes (NOTIFY): whoever acts re-reads the row (decision 11)."""

    def notify(self, channel: str, payload: str) -> None: ...

    def listen(self, channels: Sequence[str], heard: Callable[[str, str], None]) -> None:
        """Call `heard(channel, payload)` from a thread of its own until closed; reconnects by itself."""
        ...

    def close(self) -> None: ...
