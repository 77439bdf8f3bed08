"""The supervisor of runs: rows of the database become StrategyRun actors, and stay in step with them.

NOTIFY hints and a periodic pass both end in re-reading the rows. A run's actor lives here while this process wins
its user; repeated venue failures pause a run by policy, a run that keeps failing is set to `error`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from actors.evaluator import prepare
from actors.messages import (
    AccountsHere,
    AccountsWanted,
    AdapterFailed,
    AdapterRecovered,
    Gone,
    ReconcileRun,
    Resident,
    ResidentsWanted,
    RowsChanged,
    RunChanged,
    StrategyFaulted,
    Subscribe,
    run_name,
)
from actors.run_rows import RowReader, RowsWanted, StartsFailed, StartsRead
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.spec import ChildSpec, Intensity, Restart, StopMode, Supervision
from actors.runtime.supervisor import Supervisor, Then
from core.backoff import Backoff
from core.errors import RunnerError
from core.ids import NodeId, RunId, UserId
from core.residency import home
from core.run import Run, RunCommand, RunStatus
from schema.records import Node
from schema.store import Store, StoreUnavailable

RESIDENT_STATUSES = (RunStatus.ACTIVE, RunStatus.PAUSED, RunStatus.AUTO_PAUSED, RunStatus.ERROR)
"""Only active runs tick; the others still have positions, orders and fills to follow."""

MAX_RESTARTS = 5
RESTART_WINDOW_S = 60.0
RUN_BACKOFF = Backoff(min_s=0.2, max_s=5.0, random_factor=0.2)
STOP_DEADLINE_S = 5.0

RunFactory = Callable[[Context, RunId], Behaviour]


class PollDue(msgspec.Struct, frozen=True):
    """Re-read the rows; the safety net under NOTIFY."""


class RowsRead(msgspec.Struct, frozen=True):
    """`left_open`: runs without an actor that hold a position, and since when; read when the processes changed."""

    runs: list[Run]
    nodes: list[Node]
    left_open: list[tuple[Run, datetime | None]]


class RunSaved(msgspec.Struct, frozen=True):
    """A policy's change of a run is durable."""

    run: Run


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
        self._reading = False
        self._read_again = False
        self._runs: dict[RunId, Run] = {}
        self._leaving: set[RunId] = set()
        self._gave_up: set[RunId] = set()
        self._nodes: list[NodeId] | None = None
        # Whether positions of runs without an actor are to be handed to their accounts once more.
        self._left_open_wanted = True

    def started(self) -> None:
        self._read()
        if self._poll_s:
            self.ctx.after(self._poll_s, PollDue(), every=self._poll_s)

    def handle(self, message: object) -> None:
        match message:
            case RowsChanged() | PollDue():
                self._read()
            case RowsRead():
                self._rows_read(message)
            case RowsWanted():
                self._starts.want(message)
            case StartsRead():
                self._starts.read(message)
            case StartsFailed():
                self._starts.failed(message)
            case ResidentsWanted():
                for run in self._runs.values():
                    self.ctx.tell("scheduler", Resident(run=run))
            case AccountsWanted():
                for run_id in self._runs:
                    self.ctx.tell(run_name(run_id), message)
                self._left_open_wanted = True
                self._read()
            case AdapterFailed():
                self._adapter_failed(message)
            case AdapterRecovered():
                run_id = message.run_id
                self._save(lambda: self._store.adapter_recovered(run_id), message)
            case StrategyFaulted():
                self._fail(message.run_id, message.detail, message)
            case RunSaved():
                self._admit(message.run)
            case StoreFailed():
                self._reading, self._left_open_wanted = False, True
                self.ctx.after(1.0, message.again)
            case _:
                raise TypeError(f"runs cannot handle {type(message).__name__}")

    def stop_children(self, mode: StopMode, then: Then, keep: bool = False) -> None:
        """No claim for a run that will not take it (I16): the Scheduler, which ends later, lets go of all."""
        for run_id in self._runs:
            self.ctx.tell("scheduler", Gone(run_id=run_id))
        super().stop_children(mode, then, keep)

    # -- rows -----------------------------------------------------------------------------------

    def _read(self) -> None:
        if self._reading:
            self._read_again = True
            return
        self._reading, self._read_again = True, False
        store, node, version, before = self._store, self._node, self._version, self._nodes
        wanted, self._left_open_wanted = self._left_open_wanted, False

        def read() -> RowsRead:
            runs, nodes = (
                store.runs(statuses=RESIDENT_STATUSES),
                store.beat(node, version, within_s=self._node_live_s),
            )
            left_open: list[tuple[Run, datetime | None]] = []
            if wanted or [other.id for other in nodes] != before:
                resident = {run.id for run in runs}
                held = {each.run_id: each.position.opened_at for each in store.open_positions()}
                stopped = [store.run(run_id) for run_id in sorted(held) if run_id not in resident]
                left_open = [(run, held[run.id]) for run in stopped if run is not None]
            return RowsRead(runs, nodes, left_open)

        self.ctx.call(read, lambda rows: rows, lambda _: StoreFailed(PollDue()))

    def _rows_read(self, rows: RowsRead) -> None:
        self._reading = False
        self._on_nodes(rows.nodes)
        nodes = [node.id for node in rows.nodes]
        if nodes != self._nodes:
            self._leave_accounts(rows, nodes)
        self._nodes = nodes
        for run, since in rows.left_open:
            if home(run.user_id, nodes) == self._node:
                # Stopped with a position: its connection follows stop and target all the same.
                self.ctx.tell("gateway", ReconcileRun(run=run, orders=(), since=since))
        homes: dict[UserId, NodeId | None] = {}
        mine: set[RunId] = set()
        for run in rows.runs:
            if run.user_id not in homes:
                homes[run.user_id] = home(run.user_id, nodes)
            if homes[run.user_id] == self._node:
                mine.add(run.id)
                known = self._runs.get(run.id)
                if known is None or known.version < run.version or known.strategy != run.strategy:
                    self._admit(run)
        for run_id in [run_id for run_id in self._runs if run_id not in mine]:
            self._dismiss(run_id)
        if self._read_again:
            self._read()

    def _leave_accounts(self, rows: RowsRead, nodes: list[NodeId]) -> None:
        """The processes have changed: accounts of users who live elsewhere now are followed there."""
        runs = [*rows.runs, *(run for run, _ in rows.left_open)]
        homes = {user: home(user, nodes) for user in {run.user_id: None for run in runs}}
        mine = {run.account_id for run in runs if homes[run.user_id] == self._node}
        here = frozenset(account_id for account_id in mine if account_id is not None)
        self.ctx.tell("gateway", AccountsHere(account_ids=here))

    def _admit(self, run: Run) -> None:
        """Start or refresh the run's actor, and let the Scheduler and MarketData know."""
        if run.status not in RESIDENT_STATUSES:
            self._dismiss(run.id)
            return
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
                return  # still on its way out; the next pass starts it anew
            self.start_child(self._spec(run.id))
        self._runs[run.id] = run
        self.ctx.tell(name, RunChanged(run=run))
        subscribe = Subscribe(series=prepared.series, lookback=prepared.lookback)
        self.ctx.tell("market_data", subscribe)
        self.ctx.tell("scheduler", Resident(run=run))

    def _dismiss(self, run_id: RunId) -> None:
        self.ctx.tell("scheduler", Gone(run_id=run_id))
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

    def child_gave_up(self, child_id: str, error: BaseException) -> None:
        run_id = RunId(UUID(child_id.removeprefix("run:")))
        self.delete_child(child_id)
        detail = f"restarted more than {MAX_RESTARTS} times in {RESTART_WINDOW_S:.0f} s: {error}"
        self._runs.pop(run_id, None)
        self._gave_up.add(run_id)
        self.ctx.tell("scheduler", Gone(run_id=run_id))
        self._fail(run_id, detail, StrategyFaulted(run_id=run_id, detail=detail))

    # -- policy ---------------------------------------------------------------------------------

    def _adapter_failed(self, failed: AdapterFailed) -> None:
        store = self._store
        self._save(
            lambda: store.adapter_failed(
                failed.run_id, slot=failed.slot, kind=failed.kind, detail=failed.detail
            ),
            failed,
        )

    def _fail(self, run_id: RunId, detail: str, again: object) -> None:
        store = self._store
        self._save(lambda: store.command(run_id, RunCommand.FAIL, by="supervisor", reason=detail), again)

    def _save(self, change: Callable[[], Run], again: object) -> None:
        """Perform a policy's change; an illegal one (somebody was faster) is dropped, an outage is retried."""

        def failed(error: Exception) -> object:
            return RowsChanged() if _refused(error) else StoreFailed(again)

        self.ctx.call(change, RunSaved, failed)


def _refused(error: Exception) -> bool:
    return isinstance(error, RunnerError) and not isinstance(error, StoreUnavailable)
