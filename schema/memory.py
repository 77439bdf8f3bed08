"""The store in memory, for replay, simulation and tests; passes the same conformance suite as PostgreSQL.

Every method is atomic under one lock. Claiming and reporting a slot copy nothing: a replay does both 100,000
times a second.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from core.candles import Candle
from core.clock import Clock
from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import AccountId, ClientOrderId, NodeId, RunId, StrategyId, UserId
from core.market import Series
from core.order import Order
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunStatus
from core.timeframe import to_ms
from schema import memory_external, memory_money, memory_runs, memory_settle
from schema.desk import Arranged, DeskOp, OpenRun
from schema.external import DueSignal, NewSignal, Receipt
from schema.ledger import adapter_failed, adapter_recovered, command_run, end_old_pause
from schema.ledger.desk import arrange
from schema.memory_desk import MemoryDeskTx
from schema.memory_platform import MemoryPlatform
from schema.memory_rows import NEVER
from schema.memory_slots import MemorySlots
from schema.memory_tables import Tables
from schema.memory_tx import MemoryTx
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
from schema.store import LIVE_NODE_S

T = TypeVar("T")
X = TypeVar("X", bound=MemoryTx)


class MemoryStore:
    """`tick_window`: at least this many, at most twice as many, of a run's tick rows are kept (None: all).

    Older ones are only counted.
    """

    def __init__(self, clock: Clock, limits: RiskLimits, *, tick_window: int | None = None) -> None:
        self._monotonic = clock.monotonic
        self._now: Callable[[], datetime] = clock.now
        self._tables = Tables(limits)
        self._lock = threading.RLock()
        self._platform = MemoryPlatform(self._tables, clock)
        self._slots = MemorySlots(self._tables, clock.monotonic, tick_window=tick_window)

    @property
    def tables(self) -> Tables:
        """The rows themselves: for whoever fills a store that nobody uses yet."""
        return self._tables

    # -- time and installation ------------------------------------------------------------------
    def clock(self) -> ClockSettings:
        with self._lock:
            return self._platform.clock()

    def set_clock(
        self, *, at: datetime | None = None, rate: float | None = None, ceiling: datetime | None = None
    ) -> ClockSettings:
        with self._lock:
            return self._platform.set_clock(at=at, rate=rate, ceiling=ceiling)

    def mark_demo(self, *, start: datetime, rate: float) -> ClockSettings:
        with self._lock:
            settings = self._platform.mark_demo(start=start, rate=rate)
            self._now = self._platform.now
            return settings

    def platform(self) -> Platform:
        return self._platform.platform()

    def set_kill_switch(self, *, on: bool, reason: str, account_id: AccountId | None = None) -> None:
        with self._lock:
            self._platform.set_kill_switch(self._tx(), on=on, reason=reason, account_id=account_id)

    def beat(self, node_id: NodeId, version: str, *, within_s: float = LIVE_NODE_S) -> list[Node]:
        with self._lock:
            return self._platform.beat(node_id, version, within_s=within_s)

    def leave(self, node_id: NodeId) -> None:
        with self._lock:
            self._platform.leave(node_id)

    # -- strategies, runs, accounts -------------------------------------------------------------
    def create_strategy(self, definition: StrategyDefinition) -> None:
        self._at_desk(lambda tx: tx.create_strategy(definition))

    def create_account(self, account: Account) -> None:
        self._at_desk(lambda tx: tx.create_account(account))

    def create_run(self, run: Run) -> None:
        self._at_desk(lambda tx: tx.create_run(run, subscribed=False))

    def create_together(self, *, strategy: StrategyDefinition, account: Account | None, run: Run) -> None:
        self.arrange(OpenRun(strategy=strategy, account=account, run=run))

    def arrange(self, op: DeskOp) -> Arranged:
        return self._at_desk(lambda tx: arrange(tx, op))

    def archive_ended(self) -> list[RunId]:
        if not self._tables.ending:
            return []
        return self._at_desk(lambda tx: tx.archive_ended())

    def set_limits(self, user_id: UserId, limits: RiskLimits) -> None:
        def put(tx: MemoryTx) -> None:
            end_old_pause(tx, user_id)
            self._tables.user(user_id).limits = limits

        self._atomic(put)

    def strategy(self, strategy_id: StrategyId) -> StrategyDefinition | None:
        return self._tables.strategies.get(strategy_id)

    def account(self, account_id: AccountId) -> Account | None:
        row = self._tables.accounts.get(account_id)
        return None if row is None else row.account

    def run(self, run_id: RunId) -> Run | None:
        with self._lock:
            row = self._tables.runs.get(run_id)
            return None if row is None else row.current()

    def runs(
        self, *, statuses: Sequence[RunStatus] | None = None, user_id: UserId | None = None
    ) -> list[Run]:
        with self._lock:
            return memory_runs.runs(self._tables, statuses, user_id)

    def runs_since(self, mark: str | None, *, statuses: Sequence[RunStatus]) -> RunsRead:
        with self._lock:
            return memory_runs.runs_since(self._tables, mark, statuses)

    def run_state(self, run_id: RunId) -> RunState | None:
        with self._lock:
            return memory_runs.run_state(self._tables, run_id)

    def run_starts(self, run_ids: Sequence[RunId], *, recent: int) -> list[RunStart]:
        with self._lock:
            return memory_runs.run_starts(self._tables, run_ids, recent)

    def command(self, run_id: RunId, command: RunCommand, *, by: str, reason: str | None = None) -> Run:
        return self._atomic(lambda tx: command_run(tx, run_id, command, by, reason))

    def adapter_failed(self, run_id: RunId, *, slot: datetime, kind: str, detail: str) -> Run:
        return self._atomic(lambda tx: adapter_failed(tx, run_id, slot=slot, kind=kind, detail=detail))

    def adapter_recovered(self, run_id: RunId) -> Run:
        return self._atomic(lambda tx: adapter_recovered(tx, run_id))

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
        with self._lock:
            return self._slots.claim(run_ids, slot=slot, owner=owner, ttl_s=ttl_s, ask=ask, now=self._now())

    def acquire(self, run_id: RunId, *, owner: str, ttl_s: float) -> int | None:
        with self._lock:
            return self._slots.acquire(run_id, owner=owner, ttl_s=ttl_s)

    def renew(self, run_id: RunId, *, fence: int, ttl_s: float) -> bool:
        with self._lock:
            return self._slots.renew(run_id, fence=fence, ttl_s=ttl_s)

    def release(self, leases: Sequence[tuple[RunId, int]]) -> None:
        with self._lock:
            self._slots.release(leases)

    def free_leases(self) -> None:
        with self._lock:
            self._slots.free_leases()

    def leases(self) -> list[RunLease]:
        with self._lock:
            return self._slots.leases()

    def report(self, report: SlotReport) -> int:
        with self._lock:
            new, signals = self._slots.report(report)
            if signals:
                self._slots.publish(signals, self._tx(), self._now())
            for warning in report.warnings:
                self._slots.warn(warning, self._tx(), self._now())
            return new

    def tick(self, row: TickRow) -> None:
        """`report` of this row alone, without the wrapping."""
        with self._lock:
            if self._slots.tick(row):
                self._slots.publish((row,), self._tx(), self._now())

    def count_tick(self, claim: Claim, status: TickStatus, reason: str | None) -> bool:
        """`report` of a row that is counted, not kept: a replay does it 100,000 times a second.

        Whether it was done; not for a slot that another claim followed or that has its row already.
        """
        with self._lock:
            return self._slots.count(claim, status, reason)

    def candles(self, series: Series, *, since: datetime, limit: int = 1_000) -> list[Candle]:
        with self._lock:
            held = self._tables.candles.get(series, {})
            since_ms = to_ms(since)
            return [held[at] for at in sorted(held) if at >= since_ms][:limit]

    def close_interrupted(self, *, older_than_s: float) -> list[TickRow]:
        with self._lock:
            return self._slots.close_interrupted(older_than_s=older_than_s, now=self._now())

    def forget_lease(self, run_id: RunId) -> None:
        """As if the lease's row had been deleted: a drill for what must survive that (I6)."""
        with self._lock:
            row = self._tables.runs[run_id]
            row.owner, row.fence, row.locked_until = "", 0, NEVER
            row.last_slot = row.ticked_slot = row.previous_slot = None

    def receive_signal(self, new: NewSignal) -> Receipt:
        with self._lock:
            return memory_external.receive(self._tables, new)

    def signals_due(self, run_ids: Sequence[RunId]) -> list[DueSignal]:
        with self._lock:
            return memory_external.due(self._tables, run_ids)

    def settle_signals(self, *, now: datetime) -> list[TickRow]:
        with self._lock:
            return memory_external.settle(self._tables, now, self._monotonic())

    def pending(self, slot: datetime) -> int:
        with self._lock:
            return self._slots.pending(slot)

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
        with self._lock:
            return self._slots.ticks(
                run_id=run_id,
                status=status,
                since=since,
                slot=slot,
                source=source,
                before=before,
                limit=limit,
            )

    def slot_counts(self, slot: datetime) -> Mapping[TickStatus, int]:
        with self._lock:
            return self._slots.slot_counts(slot)

    def lost_triggers(self, ticks: Sequence[TickRow]) -> Mapping[TickPlace, Sequence[LostTrigger]]:
        with self._lock:
            return self._slots.lost_triggers(ticks)

    def tick_counts(self, run_id: RunId) -> Counter[tuple[TickStatus, str | None]]:
        """How many slots of the run ended with each (status, reason), for reports."""
        return self._tables.runs[run_id].tick_counts()

    # -- orders, fills, risk --------------------------------------------------------------------
    def settle(self, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
        return self._atomic(lambda tx: memory_settle.settle(tx, ops))

    def may_send(self, asked: Sequence[tuple[ClientOrderId, int]]) -> list[Reason | None]:
        with self._lock:
            return memory_settle.may_send(self._tables, self._tx(), asked)

    def open_orders(self, *, run_id: RunId | None = None, account_id: AccountId | None = None) -> list[Order]:
        with self._lock:
            return memory_money.open_orders(self._tables, run_id, account_id)

    def orders(self, *, run_id: RunId, limit: int = 200) -> list[Order]:
        """Newest first."""
        with self._lock:
            return memory_money.orders(self._tables, run_id, limit)

    def open_positions(
        self, *, account_id: AccountId | None = None, user_id: UserId | None = None
    ) -> list[OpenPosition]:
        with self._lock:
            return memory_money.open_positions(self._tables, account_id, user_id)

    def trades(self, *, run_id: RunId | None = None, limit: int = 200) -> list[Trade]:
        """Newest first."""
        with self._lock:
            return memory_money.trades(self._tables, run_id, limit)

    def equity(self, account_id: AccountId, *, limit: int = 1_000) -> list[EquityPoint]:
        with self._lock:
            return memory_money.equity(self._tables, account_id, limit)

    def risk(self, user_id: UserId) -> RiskView:
        with self._lock:
            return memory_money.risk(self._tables, user_id, self._now())

    def expired_pauses(self) -> list[UserId]:
        with self._lock:
            return memory_money.expired_pauses(self._tables, self._now())

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
        with self._lock:
            found = [
                event
                for event in self._tables.events[after_id:]
                if user_id in (None, event.user_id) and run_id in (None, event.run_id)
            ]
            return found[-limit:] if newest else found[:limit]

    def close(self) -> None:
        """Nothing is held open."""

    # -- inside ---------------------------------------------------------------------------------
    def _tx(self) -> MemoryTx:
        return MemoryTx(self._tables, self._now, self._monotonic)

    def _atomic(self, work: Callable[[MemoryTx], T]) -> T:
        return self._whole(MemoryTx, work)

    def _at_desk(self, work: Callable[[MemoryDeskTx], T]) -> T:
        return self._whole(MemoryDeskTx, work)

    def _whole(self, kind: Callable[..., X], work: Callable[[X], T]) -> T:
        with self._lock:
            tx = kind(self._tables, self._now, self._monotonic)
            try:
                return work(tx)
            except BaseException:
                tx.undo.back_to(0)
                raise
