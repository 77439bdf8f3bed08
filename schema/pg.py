"""`PgStore`: the store on PostgreSQL. Each method is one transaction over the functions of its noun."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from core.candles import Candle
from core.definition import StrategyDefinition
from core.errors import Conflict, Reason
from core.ids import AccountId, ClientOrderId, NodeId, RunId, StrategyId, UserId
from core.market import Series
from core.order import Order
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunStatus
from schema import pg_external, pg_journal, pg_platform, pg_records, pg_settle, pg_slots, pg_ticks
from schema.desk import Arranged, DeskOp, OpenRun, RetireStrategy, ReviseStrategy
from schema.external import DueSignal, NewSignal, Receipt
from schema.ledger import adapter_failed, adapter_recovered, command_run, end_old_pause
from schema.ledger.desk import arrange
from schema.ops import LedgerOp, LedgerResult
from schema.pg_alert_keys import PgAlertKeys
from schema.pg_alerts import PgAlerts
from schema.pg_candles import PgCandles
from schema.pg_config import PgConfig
from schema.pg_connections import PgConnections
from schema.pg_database import Connection, Database
from schema.pg_desk import PgDeskTx, archive_ended
from schema.pg_events_out import PgEventsOut
from schema.pg_external import PgExternal
from schema.pg_flattens import PgFlattens
from schema.pg_idempotency import PgIdempotency
from schema.pg_jobs import PgJobs
from schema.pg_limits import PgLimits
from schema.pg_notices import PgNotices
from schema.pg_observations import PgObservations
from schema.pg_portfolios import PgPortfolios
from schema.pg_published import PgPublished
from schema.pg_reads import PgReads
from schema.pg_signals import PgSignals
from schema.pg_traces import PgTraces
from schema.pg_tx import PgTx
from schema.pg_venue_budgets import PgVenueBudgets
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
from schema.tenancy import asked_for, asking

T = TypeVar("T")


class PgStore:
    """`pool_size` connections at most; `worker` names this process in the server's list of sessions;
    `reads` has what HTTP asks for beyond the protocol, `connections` the keys of venues,
    `venue_budgets` what processes share of a venue's limits, `idempotency` the requests under a key, `portfolios` and
    `limits` a user's accounts and limits, `jobs` long work, `market` the stored candles.

    Raises StoreUnavailable when the database cannot be reached or is not migrated.
    """

    def __init__(self, conninfo: str, *, default_limits: RiskLimits, worker: str, pool_size: int = 8) -> None:
        self.database = Database(conninfo, pool_size=pool_size, worker=worker)
        self.reads = PgReads(self.database, default_limits)
        self.connections = PgConnections(self.database)
        self.venue_budgets = PgVenueBudgets(self.database)
        self.idempotency = PgIdempotency(self.database)
        self.portfolios = PgPortfolios(self.database)
        self.limits = PgLimits(self.database, default_limits)
        self.signals = PgSignals(self.database)
        self.external = PgExternal(self.database)
        self.alert_keys = PgAlertKeys(self.database, default_limits)
        self.published = PgPublished(self.database)
        self.events_out = PgEventsOut(self.database)
        self.traces = PgTraces(self.database)
        self.observations = PgObservations(self.database)
        self.flattens = PgFlattens(self.database, default_limits)
        self.notices = PgNotices(self.database)
        self.alerts = PgAlerts(self.database, default_limits)
        self.config = PgConfig(self.database, default_limits)
        self.jobs = PgJobs(self.database, default_limits)
        self.market = PgCandles(self.database)
        self._limits = default_limits

    def use_limits(self, default_limits: RiskLimits) -> None:
        """From now on the limits of users who have none of their own."""
        self._limits = default_limits
        self.reads.use_limits(default_limits)
        self.limits.use_limits(default_limits)

    # -- time and installation ------------------------------------------------------------------
    def clock(self) -> ClockSettings:
        return self.database.run(pg_platform.clock)

    def set_clock(
        self, *, at: datetime | None = None, rate: float | None = None, ceiling: datetime | None = None
    ) -> ClockSettings:
        def set_clock(connection: Connection) -> ClockSettings:
            settings = pg_platform.set_clock(connection, at=at, rate=rate, ceiling=ceiling)
            self.database.cover_now(connection)
            return settings

        return self._run(set_clock)

    def mark_demo(self, *, start: datetime, rate: float) -> ClockSettings:
        def mark_demo(connection: Connection) -> ClockSettings:
            settings = pg_platform.mark_demo(connection, start=start, rate=rate)
            self.database.cover_now(connection)
            return settings

        return self._run(mark_demo)

    def platform(self) -> Platform:
        return self._run(pg_platform.platform)

    def set_kill_switch(self, *, on: bool, reason: str, account_id: AccountId | None = None) -> None:
        def turn(connection: Connection) -> None:
            tx = self._tx(connection)
            pg_platform.set_kill_switch(connection, tx, on=on, reason=reason, account_id=account_id)

        self._run(turn)

    def beat(self, node_id: NodeId, version: str, *, within_s: float = LIVE_NODE_S) -> list[Node]:
        """Also makes the partitions of the months ahead, so that none is missing when a month begins."""

        def beat(connection: Connection) -> list[Node]:
            self.database.cover_now(connection)
            return pg_platform.beat(connection, node_id, version, within_s=within_s)

        return self._run(beat)

    def leave(self, node_id: NodeId) -> None:
        self._run(lambda c: pg_platform.leave(c, node_id))

    # -- strategies, runs, accounts -------------------------------------------------------------
    def create_strategy(self, definition: StrategyDefinition) -> None:
        self._run(lambda c: pg_records.create_strategy(c, definition))

    def create_account(self, account: Account) -> None:
        self._run(lambda c: pg_records.create_account(c, account))

    def create_run(self, run: Run) -> None:
        self._run(lambda c: pg_records.create_run(c, run))

    def create_together(self, *, strategy: StrategyDefinition, account: Account | None, run: Run) -> None:
        self.arrange(OpenRun(strategy=strategy, account=account, run=run))

    def arrange(self, op: DeskOp) -> Arranged:
        def work(connection: Connection) -> Arranged:
            return arrange(PgDeskTx(connection, self.database.months, self._limits), op)

        whose = asking()
        if whose is None or not isinstance(op, ReviseStrategy | RetireStrategy):
            return self._run(work)
        strategy_id = op.definition.id if isinstance(op, ReviseStrategy) else op.strategy_id

        def of_the_owner(connection: Connection) -> Arranged:
            strategy = pg_records.strategy(connection, strategy_id)
            if strategy is None or strategy.owner_id != whose:
                raise Conflict("only its owner changes a strategy")
            return work(connection)

        with asked_for(None):  # every subscriber's run follows
            return self._run(of_the_owner)

    def archive_ended(self) -> list[RunId]:
        return self._run(lambda c: archive_ended(c, self._tx(c)))

    def set_limits(self, user_id: UserId, limits: RiskLimits) -> None:
        def put(connection: Connection) -> None:
            end_old_pause(self._tx(connection), user_id)
            pg_records.set_limits(connection, user_id, limits)

        self._run(put)

    def strategy(self, strategy_id: StrategyId) -> StrategyDefinition | None:
        return self._read(lambda c: pg_records.strategy(c, strategy_id))

    def account(self, account_id: AccountId) -> Account | None:
        return self._read(lambda c: pg_records.account(c, account_id))

    def run(self, run_id: RunId) -> Run | None:
        return self._read(lambda c: pg_records.run(c, run_id))

    def runs(
        self, *, statuses: Sequence[RunStatus] | None = None, user_id: UserId | None = None
    ) -> list[Run]:
        return self._read(lambda c: pg_records.runs(c, statuses, user_id))

    def runs_since(self, mark: str | None, *, statuses: Sequence[RunStatus]) -> RunsRead:
        return self._read(lambda c: pg_records.runs_since(c, mark, statuses))

    def run_state(self, run_id: RunId) -> RunState | None:
        return self._run(lambda c: pg_records.run_state(c, run_id))

    def run_starts(self, run_ids: Sequence[RunId], *, recent: int) -> list[RunStart]:
        return self._run(lambda c: pg_records.run_starts(c, run_ids, recent))

    def command(self, run_id: RunId, command: RunCommand, *, by: str, reason: str | None = None) -> Run:
        return self._run(lambda c: command_run(self._tx(c), run_id, command, by, reason))

    def adapter_failed(self, run_id: RunId, *, slot: datetime, kind: str, detail: str) -> Run:
        return self._run(lambda c: adapter_failed(self._tx(c), run_id, slot=slot, kind=kind, detail=detail))

    def adapter_recovered(self, run_id: RunId) -> Run:
        return self._run(lambda c: adapter_recovered(self._tx(c), run_id))

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
        named: Any = {"slot": slot, "owner": owner, "ttl_s": ttl_s, "ask": ask}
        months, limits = self.database.months, self._limits
        return self._run(lambda c: pg_slots.claim(c, run_ids, **named, months=months, default_limits=limits))

    def acquire(self, run_id: RunId, *, owner: str, ttl_s: float) -> int | None:
        return self._run(lambda c: pg_slots.acquire(c, run_id, owner=owner, ttl_s=ttl_s))

    def renew(self, run_id: RunId, *, fence: int, ttl_s: float) -> bool:
        return self._run(lambda c: pg_slots.renew(c, run_id, fence=fence, ttl_s=ttl_s))

    def release(self, leases: Sequence[tuple[RunId, int]]) -> None:
        self._run(lambda c: pg_slots.release(c, leases))

    def free_leases(self) -> None:
        self._run(pg_slots.free_leases)

    def leases(self) -> list[RunLease]:
        return self._read(pg_slots.leases)

    def report(self, report: SlotReport) -> int:
        return self._run(lambda c: pg_journal.report(c, self.database.months, report))

    def candles(self, series: Series, *, since: datetime, limit: int = 1_000) -> list[Candle]:
        return self._read(lambda c: pg_journal.candles(c, series, since=since, limit=limit))

    def close_interrupted(self, *, older_than_s: float) -> list[TickRow]:
        months = self.database.months
        return self._run(lambda c: pg_journal.close_interrupted(c, months, older_than_s=older_than_s))

    def receive_signal(self, new: NewSignal) -> Receipt:
        with asked_for(None):  # the runs of all subscribers; that the sender owns the strategy is seen inside
            return self._run(lambda c: pg_external.receive(c, new))

    def signals_due(self, run_ids: Sequence[RunId]) -> list[DueSignal]:
        return self._read(lambda c: pg_external.due(c, run_ids))

    def settle_signals(self, *, now: datetime) -> list[TickRow]:
        return self._run(lambda c: pg_external.settle(c, self.database.months, now))

    def pending(self, slot: datetime) -> int:
        return self._read(lambda c: pg_slots.pending(c, slot))

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
        def ticks(connection: Connection) -> list[TickRow]:
            return pg_ticks.ticks(
                connection,
                run_id=run_id,
                status=status,
                since=since,
                slot=slot,
                source=source,
                before=before,
                limit=limit,
            )

        return self._read(ticks)

    def slot_counts(self, slot: datetime) -> Mapping[TickStatus, int]:
        return self._run(lambda c: pg_ticks.slot_counts(c, slot))

    def lost_triggers(self, ticks: Sequence[TickRow]) -> Mapping[TickPlace, Sequence[LostTrigger]]:
        return self._run(lambda c: pg_ticks.lost_triggers(c, ticks))

    # -- orders, fills, risk --------------------------------------------------------------------
    def settle(self, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
        return self._run(lambda c: pg_settle.settle(c, self.database.months, self._limits, ops))

    def may_send(self, asked: Sequence[tuple[ClientOrderId, int]]) -> list[Reason | None]:
        return self._read(lambda c: pg_settle.may_send(c, asked))

    def open_orders(self, *, run_id: RunId | None = None, account_id: AccountId | None = None) -> list[Order]:
        return self._read(lambda c: pg_records.open_orders(c, run_id=run_id, account_id=account_id))

    def orders(self, *, run_id: RunId, limit: int = 200) -> list[Order]:
        """Newest first."""
        return self._read(lambda c: pg_records.orders(c, run_id, limit))

    def open_positions(
        self, *, account_id: AccountId | None = None, user_id: UserId | None = None
    ) -> list[OpenPosition]:
        return self._read(lambda c: pg_records.open_positions(c, account_id=account_id, user_id=user_id))

    def trades(self, *, run_id: RunId | None = None, limit: int = 200) -> list[Trade]:
        """Newest first."""
        return self._read(lambda c: pg_records.trades(c, run_id, limit))

    def equity(self, account_id: AccountId, *, limit: int = 1_000) -> list[EquityPoint]:
        return self._read(lambda c: pg_records.equity(c, account_id, limit))

    def risk(self, user_id: UserId) -> RiskView:
        return self._run(lambda c: pg_records.risk(c, user_id, self._limits))

    def expired_pauses(self) -> list[UserId]:
        return self._read(pg_records.expired_pauses)

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
        return self._run(
            lambda c: pg_records.events(
                c, after_id=after_id, user_id=user_id, run_id=run_id, newest=newest, limit=limit
            )
        )

    def close(self) -> None:
        self.database.close()

    # -- inside ---------------------------------------------------------------------------------
    def _run(self, work: Callable[[Connection], T]) -> T:
        return self.database.run(work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        return self.database.read(work)

    def _tx(self, connection: Connection) -> PgTx:
        return PgTx(connection, self.database.months, self._limits)
