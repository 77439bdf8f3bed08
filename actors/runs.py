"""The supervisor of runs: rows of the database become StrategyRun actors, and stay in step with them.

NOTIFY hints and a periodic pass both end in reading the rows that have changed since. A run's actor lives here while
this process wins its user; repeated venue failures pause a run by policy, a run that keeps failing is set to `error`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec

from actors.left_open import LeftOpen, LeftOpenRead, LeftOpenReader, ReadLeftOpen, left_open
from actors.messages import (
    AccountsHere,
    AccountsWanted,
    AdapterFailed,
    AdapterRecovered,
    Gone,
    OrdersExpected,
    ReconcileRun,
    Resident,
    ResidentsWanted,
    RowsChanged,
    RowsOutdated,
    RunChanged,
    SeriesWanted,
    StandDown,
    StrategyFaulted,
    Subscribe,
    run_name,
)
from actors.prepared import prepare
from actors.run_rows import RowReader, RowsWanted, StartsFailed, StartsRead
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.spec import ChildSpec, Intensity, Restart, StopMode, Supervision
from actors.runtime.supervisor import Supervisor, Then
from core.backoff import Backoff
from core.errors import RunnerError
from core.ids import NodeId, RunId, UserId
from core.market import Series
from core.residency import home
from core.run import Run, RunCommand, RunStatus
from core.strategies.external import is_external
from core.timeframe import Timeframe
from schema.records import Node
from schema.store import Store, StoreUnavailable

RESIDENT_STATUSES = (RunStatus.ACTIVE, RunStatus.PAUSED, RunStatus.AUTO_PAUSED, RunStatus.ERROR)
"""Only active runs tick; the others still have positions, orders and fills to follow."""

_ORDERS_A_SLOT = 2
"""An exit and an entry."""

WHOLE_EVERY_S = 300.0
"""How often all rows are read, changed or not: for rows that are gone, and for what we may have got wrong."""
QUIET = (timedelta(seconds=5), timedelta(seconds=45))
"""When in a minute that is done, as it takes a second at ten thousand runs; anywhen after twice the time."""

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
RUN_BACKOFF = Backoff(min_s=0.2, max_s=5.0, random_factor=0.2)
CLAIMS_BEGIN = timedelta(seconds=3)
DECIDED_IN = timedelta(seconds=30)
"""From before a minute until then slots claimed here may be under way. Runs whose user moved stay so long: an actor
that ended before its tick would leave the slot cut off, and the run locked for the rest of a lease.
"""
HANDOVER_S = 35.0
"""Beside a poll of theirs: how long other processes may still act for runs that live here since the last change."""
STOP_DEADLINE_S = 5.0

RunFactory = Callable[[Context, RunId], Behaviour]


class PollDue(msgspec.Struct, frozen=True):
    """Read what has changed; the safety net under NOTIFY."""


class ReadRow(msgspec.Struct, frozen=True):
    """Read this run's row, whether it has changed or not."""

    run_id: RunId


class RowsRead(msgspec.Struct, frozen=True):
    """`whole`: all resident rows, else those that have changed, in whatever status.

    `left_open`: runs without an actor of which something is open; read when the processes changed.
    """

    runs: list[Run]
    mark: str
    whole: bool
    nodes: list[Node]
    left_open: list[LeftOpen]


class HandedOver(msgspec.Struct, frozen=True):
    """The processes changed a while ago: whoever had our runs before has seen it and sends nothing new for them."""


class Left(msgspec.Struct, frozen=True):
    """This process is none of those any more that beat; or they will see so by its silence."""


class Part(msgspec.Struct, frozen=True):
    """What was claimed here is decided: runs that live elsewhere now are left to others."""


class RowRead(msgspec.Struct, frozen=True):
    """One run as its row says, after a policy's change or because we asked; None: there is none."""

    run: Run | None


class StoreFailed(msgspec.Struct, frozen=True):
    """What was asked of the store did not happen; `again` is told to ourselves a little later."""

    again: object


class RunsSupervisor(Supervisor):
    def __init__(
        self,
        ctx: Context,
        *,
        store: Store,
        node: NodeId,
        version: str,
        make_run: RunFactory,
        poll_s: float,
        node_live_s: float,
        on_nodes: Callable[[Sequence[Node]], None],
        on_loaded: Callable[[int], None],
    ) -> None:
        intensity = Intensity(max_restarts=MAX_RESTARTS, window_s=RESTART_WINDOW_S, per_child=True)
        super().__init__(ctx, (), Supervision(intensity=intensity, stop_together=True))
        self._store = store
        self._node = node
        self._version = version
        self._make_run = make_run
        self._poll_s = poll_s
        self._node_live_s = node_live_s
        self._on_nodes = on_nodes
        self._starts = RowReader(ctx, store, on_loaded)
        self._left_open = LeftOpenReader(ctx, store, take_up=self._take_up, failed=StoreFailed)
        self._reading = False
        self._read_again = False
        # Up to where changes have been read; None: all rows are to be.
        self._mark: str | None = None
        self._polls = 0  # since all rows were read
        self._runs: dict[RunId, Run] = {}
        self._looked_at: dict[RunId, tuple[Series, ...]] = {}
        self._leaving: set[RunId] = set()
        self._returning: set[RunId] = set()  # of those leaving
        self._ended: set[RunId] = set()  # of those leaving: stopped, and not gone to another process
        self._gave_up: set[RunId] = set()
        self._nodes: list[NodeId] | None = None
        self._beat_at: datetime | None = None
        # Whether positions of runs without an actor are to be handed to their accounts once more.
        self._left_open_wanted = True
        # Whether runs and accounts that live elsewhere now are still here.
        self._parting = False
        self._standing_down = False

    def started(self) -> None:
        self._read()
        if self._poll_s:
            self.ctx.after(self._poll_s, PollDue(), every=self._poll_s)

    def handle(self, message: object) -> None:
        match message:
            case RowsChanged() | PollDue():
                self._polls += isinstance(message, PollDue)
                self._read()
            case ReadRow():
                self._read_one(message.run_id)
            case RowsRead():
                self._rows_read(message)
            case ReadLeftOpen() | LeftOpenRead():
                self._left_open.handle(message)
            case RowsWanted() | StartsRead() | StartsFailed():
                self._starts.handle(message)
            case ResidentsWanted():
                for run in self._runs.values():
                    self._tell_resident(run)
            case AccountsWanted():
                self._accounts_wanted()
            case HandedOver() | Part():
                self._handover(message)
            case AdapterFailed() | AdapterRecovered():
                self._adapter_said(message)
            case StrategyFaulted():
                self._fail(message.run_id, message.detail, message)
            case RowRead():
                if message.run is not None:
                    self._step_to([message.run])
            case StandDown() | Left():
                self._stand_down(message)
            case StoreFailed():
                self._store_failed(message.again)
            case _:
                raise TypeError(f"runs cannot handle {type(message).__name__}")

    def stop_children(self, mode: StopMode, then: Then, keep: bool = False) -> None:
        """No claim for a run that will not take it (I16): the Scheduler, which ends later, lets go of all."""
        for run_id in self._runs:
            self._tell_gone(run_id)
        super().stop_children(mode, then, keep)

    # -- rows -----------------------------------------------------------------------------------

    def _accounts_wanted(self) -> None:
        if self._nodes is None:
            return  # at a start: what is being read will be told
        self._have_rows_read()
        self._left_open_wanted = True
        self._read()

    def _store_failed(self, again: object) -> None:
        if isinstance(again, PollDue):
            self._reading, self._left_open_wanted = False, True
            if self._standing_down:
                self._leave()
        self.ctx.after(1.0, again)

    def _stand_down(self, message: StandDown | Left) -> None:
        if isinstance(message, Left):
            self._on_nodes(())
            return
        self._standing_down = True
        if not self._reading:
            self._leave()

    def _leave(self) -> None:
        """Nothing of ours beats any more: a beat behind the farewell would have runs wait for a process that goes."""
        store, node = self._store, self._node
        self.ctx.call(lambda: store.leave(node), lambda _: Left(), lambda _: Left())

    def _read(self) -> None:
        if self._standing_down:
            return
        if self._reading:
            self._read_again = True
            return
        self._reading, self._read_again = True, False
        store, node, version, before = self._store, self._node, self._version, self._nodes
        wanted, self._left_open_wanted = self._left_open_wanted, False
        mark = None if wanted or self._whole_due() else self._mark

        def read() -> RowsRead:
            nodes = store.beat(node, version, within_s=self._node_live_s)
            store.archive_ended()
            moved = [other.id for other in nodes] != before
            rows = store.runs_since(None if moved else mark, statuses=RESIDENT_STATUSES)
            left = left_open(store, {run.id for run in rows.runs}) if wanted or moved else []
            return RowsRead(rows.runs, rows.mark, moved or mark is None, nodes, left)

        self.ctx.call(read, lambda rows: rows, lambda _: StoreFailed(PollDue()))

    def _whole_due(self) -> bool:
        since_s = self._polls * self._poll_s
        if since_s < WHOLE_EVERY_S:
            return False
        now = self.ctx.clock.now()
        first, last = QUIET
        return since_s >= 2 * WHOLE_EVERY_S or first <= now - Timeframe.M1.floor(now) <= last

    def _rows_read(self, rows: RowsRead) -> None:
        self._reading = False
        if self._standing_down:
            self._leave()
            return
        self._mark = rows.mark
        if rows.whole:
            self._polls = 0
        self._on_nodes(rows.nodes)
        nodes = [node.id for node in rows.nodes]
        was_silent = self._was_silent(rows.nodes)
        self._part(rows, nodes)
        if len(nodes) > 1 and (nodes != self._nodes or was_silent):
            self.ctx.after(self._poll_s + HANDOVER_S, HandedOver())
        self._nodes = nodes
        self._take_up(rows.left_open)
        mine = self._step_to(rows.runs)
        if rows.whole:
            for run_id in [run_id for run_id in self._runs if run_id not in mine]:
                self._dismiss(run_id)
            wanted = dict.fromkeys(series for each in self._looked_at.values() for series in each)
            self.ctx.tell("market_data", SeriesWanted(series=tuple(wanted)))
        if rows.whole or rows.runs:
            slots = sum(60.0 / run.strategy.timeframe.delta.total_seconds() for run in self._runs.values())
            self.ctx.tell("gateway", OrdersExpected(a_minute=_ORDERS_A_SLOT * slots))
        if self._read_again:
            self._read()

    def _handover(self, message: HandedOver | Part) -> None:
        if isinstance(message, HandedOver):
            self._have_rows_read()
            return
        self._left_open_wanted = True  # and with it all rows are read
        self._read()

    def _part(self, rows: RowsRead, nodes: list[NodeId]) -> None:
        """Where the processes have changed: leave what lives elsewhere, once nothing of it is under way."""
        moved = nodes != self._nodes
        if not moved and not (self._parting and rows.whole):
            return
        now = self.ctx.clock.now()
        decided_at = Timeframe.M1.floor(now + CLAIMS_BEGIN) + DECIDED_IN
        self._parting = self._nodes is not None and now < decided_at
        if self._parting:
            self.ctx.at(decided_at, Part())
        else:
            self._leave_accounts(rows, nodes)

    def _was_silent(self, nodes: Sequence[Node]) -> bool:
        """Whether this process had not beaten for as long as dead ones: others had its runs meanwhile.

        It sees the same processes as before, itself among them, and nobody tells it.
        """
        before = self._beat_at
        self._beat_at = next((node.beat_at for node in nodes if node.id == self._node), before)
        if before is None or self._beat_at is None:
            return False
        return (self._beat_at - before).total_seconds() > self._node_live_s

    def _step_to(self, runs: Sequence[Run]) -> set[RunId]:
        """Of these runs, have actors for those that are resident and belong here, and for no other; which they are."""
        homes: dict[UserId, NodeId | None] = {}
        mine: set[RunId] = set()
        for run in runs:
            if run.user_id not in homes:
                homes[run.user_id] = home(run.user_id, self._nodes or ())
            known = self._runs.get(run.id)
            here = homes[run.user_id] == self._node or (self._parting and known is not None)
            if run.status in RESIDENT_STATUSES and here:
                mine.add(run.id)
                if known is None or known.version < run.version or known.strategy != run.strategy:
                    self._admit(run)
            elif known is not None and known.version <= run.version:
                if run.status not in RESIDENT_STATUSES:
                    self._ended.add(run.id)
                self._dismiss(run.id)
        return mine

    def _take_up(self, left_open: Sequence[LeftOpen]) -> None:
        """Their connections follow stop and target, and look up orders, all the same."""
        for left in left_open:
            if home(left.run.user_id, self._nodes or ()) == self._node:
                reconcile = ReconcileRun(run=left.run, orders=left.orders, since=left.since)
                self.ctx.tell("gateway", reconcile)

    def _read_one(self, run_id: RunId) -> None:
        store = self._store
        self.ctx.call(lambda: store.run(run_id), RowRead, lambda _: StoreFailed(ReadRow(run_id)))

    def _have_rows_read(self) -> None:
        for run_id in self._runs:
            self.ctx.tell(run_name(run_id), RowsOutdated())

    def _leave_accounts(self, rows: RowsRead, nodes: list[NodeId]) -> None:
        """The processes have changed: accounts of users who live elsewhere now are followed there."""
        runs = [*rows.runs, *(left.run for left in rows.left_open)]
        homes = {user: home(user, nodes) for user in {run.user_id: None for run in runs}}
        mine = {run.account_id for run in runs if homes[run.user_id] == self._node}
        here = frozenset(account_id for account_id in mine if account_id is not None)
        self.ctx.tell("gateway", AccountsHere(account_ids=here))

    def _admit(self, run: Run) -> None:
        """Start or refresh the run's actor, and let the Scheduler and MarketData know."""
        try:
            prepared = prepare(run.strategy)
        except RunnerError as problem:
            if run.status is not RunStatus.ACTIVE:
                return  # it has been said; whoever mends the strategy or starts the run has a new try
            self._fail(run.id, str(problem), StrategyFaulted(run_id=run.id, detail=str(problem)))
            return
        if run.status is RunStatus.ERROR and run.id in self._gave_up:
            return  # it would only fail again; whoever resumes it has a new try
        self._gave_up.discard(run.id)
        name = run_name(run.id)
        if run.id not in self._runs:
            if run.id in self._leaving:
                self._returning.add(run.id)  # still on its way out
                return
            self.start_child(self._spec(run.id))
        self._runs[run.id] = run
        self._looked_at[run.id] = tuple(wanted.series for wanted in prepared.all_windows)
        self.ctx.tell(name, RunChanged(run=run))
        for wanted in prepared.all_windows:
            self.ctx.tell("market_data", Subscribe(series=wanted.series, lookback=wanted.lookback))
        self._tell_resident(run)

    def _tell_resident(self, run: Run) -> None:
        """To whoever claims its slots: those of candles, or those of signals from outside."""
        self.ctx.tell("external" if is_external(run.strategy) else "scheduler", Resident(run=run))

    def _tell_gone(self, run_id: RunId) -> None:
        for name in ("scheduler", "external"):
            self.ctx.tell(name, Gone(run_id=run_id))

    def _dismiss(self, run_id: RunId) -> None:
        self._tell_gone(run_id)
        self._looked_at.pop(run_id, None)
        if self._runs.pop(run_id, None) is not None:
            self._leaving.add(run_id)
            self.terminate_child(run_name(run_id), then=lambda: self._left(run_id))

    def _spec(self, run_id: RunId) -> ChildSpec:
        make_run = self._make_run
        return ChildSpec(
            id=run_name(run_id),
            factory=lambda ctx: make_run(ctx, run_id),
            restart=Restart.PERMANENT,
            backoff=RUN_BACKOFF,
            shutdown=STOP_DEADLINE_S,
            mailbox_capacity=1_000,
        )

    def _left(self, run_id: RunId) -> None:
        self._leaving.discard(run_id)
        self.delete_child(run_name(run_id))
        ended = run_id in self._ended
        self._ended.discard(run_id)
        if run_id in self._returning:
            self._returning.discard(run_id)
            self._read_one(run_id)
        elif ended:
            self._left_open.handle(ReadLeftOpen(run_id))

    def child_gave_up(self, child_id: str, error: BaseException) -> None:
        run_id = RunId(UUID(child_id.removeprefix("run:")))
        self.delete_child(child_id)
        detail = f"restarted more than {MAX_RESTARTS} times in {RESTART_WINDOW_S:.0f} s: {error}"
        self._runs.pop(run_id, None)
        self._looked_at.pop(run_id, None)
        self._gave_up.add(run_id)
        self._tell_gone(run_id)
        self._fail(run_id, detail, StrategyFaulted(run_id=run_id, detail=detail))

    # -- policy ---------------------------------------------------------------------------------

    def _adapter_said(self, news: AdapterFailed | AdapterRecovered) -> None:
        change = partial(self._store.adapter_recovered, news.run_id)
        if isinstance(news, AdapterFailed):
            failed = self._store.adapter_failed
            change = partial(failed, news.run_id, slot=news.slot, kind=news.kind, detail=news.detail)
        self._save(news.run_id, change, news)

    def _fail(self, run_id: RunId, detail: str, again: object) -> None:
        store = self._store
        fail = partial(store.command, run_id, RunCommand.FAIL, by="supervisor", reason=detail)
        self._save(run_id, fail, again)

    def _save(self, run_id: RunId, change: Callable[[], Run], again: object) -> None:
        """Perform a policy's change; an illegal one (somebody was faster) is dropped, an outage is retried."""

        def failed(error: Exception) -> object:
            return ReadRow(run_id) if _refused(error) else StoreFailed(again)

        self.ctx.call(change, RowRead, failed)


def _refused(error: Exception) -> bool:
    return isinstance(error, RunnerError) and not isinstance(error, StoreUnavailable)
