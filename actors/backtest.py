"""The backtest: by the fast path where it serves, else the whole actor system on a virtual clock over the candles."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from math import nan

import msgspec
import numpy as np

from actors.backtest_result import (
    ACCOUNT_ID,
    NO_GATES,
    RUN_ID,
    BacktestRequest,
    BacktestResult,
    BacktestSignal,
    Charted,
    Progress,
    ReplayPath,
    Span,
    account_of,
    definition_of,
    run_of,
    span_of,
)
from actors.fast_path.replay import fast_replay
from actors.fast_path.unserved import Unserved
from actors.feed import HeldFeed, rules_of
from actors.journal import JournalBuffer
from actors.messages import ClaimedTick, Evaluation
from actors.prepared import prepare
from actors.run_tick import tick_row
from actors.runtime.deterministic import VirtualClock
from actors.runtime.process_time import process_s
from actors.runtime.system import ActorSystem
from actors.sandbox.warm import WarmSandbox
from actors.system import Options, Parts, start
from core.clock import Clock
from core.definition import StrategyDefinition
from core.ids import NodeId
from core.run import RunCommand
from core.signal import Action
from core.strategies.external import replayable
from core.strategy import ChartedStrategy, IndicatorChart
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import CandleSource, candles_of
from schema.memory import MemoryStore
from schema.records import ExecutionRow, ExecutionStatus, Printed, Reached, TickRow, TickStatus

__all__ = [
    "NO_GATES",
    "BacktestRequest",
    "BacktestResult",
    "BacktestSignal",
    "Progress",
    "ReplayPath",
    "run_backtest",
]

STRIDES = 200
ALL = 1 << 60
TICKS_KEPT = 1_000


_HOLD = Action.HOLD


class PromptJournal(JournalBuffer):
    """Tick rows of a replay go to its store as they come, and those without a signal are only counted there: nobody
    asks a replay for them. Of executions only the signals are kept, and the indicators that are to be charted.
    """

    def __init__(self, store: MemoryStore, charts: tuple[IndicatorChart, ...] = ()) -> None:
        super().__init__()
        self.signals: list[BacktestSignal] = []
        self._charts = charts
        self._charted_names = tuple(name for chart in charts for name in chart.indicators)
        # Eight bytes each, a slot's moment and then its values.
        self._charted = array("d")
        self._store = store

    def ticked(self, row: TickRow) -> None:
        self._store.tick(row)

    def ended(
        self,
        due: ClaimedTick,
        status: TickStatus,
        reason: str | None,
        evaluation: Evaluation | None,
        *,
        clock: Clock,
        worker: str,
    ) -> None:
        signal = None if evaluation is None else evaluation.signal
        if (signal is None or signal.action is _HOLD) and self._store.count_tick(due.claim, status, reason):
            return
        self._store.tick(
            tick_row(due, status=status, reason=reason, evaluation=evaluation, clock=clock, worker=worker)
        )

    def executed(self, row: ExecutionRow) -> None:
        if row.status is ExecutionStatus.SUCCESS and row.action is not None:
            self.signals.append(BacktestSignal(row.slot, row.action))
        if self._charts and row.indicators:
            self._charted.append(to_ms(row.slot))
            self._charted.extend(row.indicators.get(name, nan) for name in self._charted_names)

    def reached_late(self, more: Reached) -> None:
        """Nobody asks a replay whom an evaluation reached."""

    def printed(self, row: Printed) -> None:
        """Nor what it printed."""

    def charted(self) -> Charted | None:
        if not self._charted:
            return None
        rows = np.array(self._charted).reshape(-1, 1 + len(self._charted_names))
        return Charted(charts=self._charts, names=self._charted_names, slot_ms=rows[:, 0], values=rows[:, 1:])


def run_backtest(
    request: BacktestRequest,
    source: CandleSource,
    *,
    path: ReplayPath = ReplayPath.AUTO,
    progress: Progress | None = None,
) -> BacktestResult:
    """Replay `request` over `source`. Raises RunnerError sentences for what cannot be replayed.

    `path` AUTO: the fast one where it serves the request, else the actors; FAST raises where it does not.
    """
    replayable(request.kind)
    if path is ReplayPath.ACTORS:
        return replay_by_actors(request, source, progress, why="asked for")
    try:
        return fast_replay(request, source)
    except Unserved as unserved:
        if path is ReplayPath.FAST:
            raise
        return replay_by_actors(request, source, progress, why=str(unserved))


def replay_by_actors(
    request: BacktestRequest, source: CandleSource, progress: Progress | None, *, why: str
) -> BacktestResult:
    """Every slot through the whole system. `why`: what speaks against the fast path."""
    began_s = process_s()
    definition = definition_of(request, source)
    prepared = prepare(definition)
    span = span_of(request, source, prepared.lead)
    for wanted in prepared.windows:
        candles_of(source, wanted.series, *span.loaded)  # says at once that there are none
    columns = source.candles(request.symbol, request.timeframe, *span.loaded)
    clock = VirtualClock(span.first_slot - request.timeframe.delta / 2)
    store = MemoryStore(clock, request.limits or NO_GATES, tick_window=TICKS_KEPT)
    strategy = prepared.strategy
    journal = PromptJournal(store, strategy.charts if isinstance(strategy, ChartedStrategy) else ())
    _seed(store, request, definition)
    system = ActorSystem.deterministic(clock, answers_at_once=True)
    feed = HeldFeed(source, (span.first_slot, span.last_slot))
    parts = Parts(
        store=store,
        feed=feed,
        rules=rules_of(feed, {request.symbol: float(columns.close[-1])}),
        options=_options(span.loaded),
        journal=journal,
    )
    with WarmSandbox(request.sandbox) as warm:
        start(system, msgspec.structs.replace(parts, code=warm.ask))
        slots = _replay(system, span, request.timeframe, progress)
        system.stop()
    opened = span.first_slot - request.timeframe.delta
    positions = [held for held in store.open_positions() if not held.position.is_flat]
    return BacktestResult(
        request=request,
        origin=source.origin,
        candles=columns.between(to_ms(opened), to_ms(span.last_slot)),
        signals=tuple(journal.signals),
        trades=tuple(sorted(store.trades(limit=ALL), key=lambda trade: trade.exit_time)),
        equity=tuple(store.equity(ACCOUNT_ID, limit=ALL)),
        ticks={
            (str(status), str(reason or "")): count
            for (status, reason), count in store.tick_counts(RUN_ID).items()
        },
        open_position=positions[0] if positions else None,
        funding_known=bool(source.funding(request.symbol)),
        run_slots=slots,
        seconds=process_s() - began_s,
        path=ReplayPath.ACTORS,
        path_reason=why,
        charted=journal.charted(),
    )


def _replay(system: ActorSystem, span: Span, timeframe: Timeframe, progress: Progress | None) -> int:
    """Run the clock to the last slot in some hundred strides, so that progress can be shown; slots in all."""
    assert system.virtual is not None
    slots = (span.last_slot - span.first_slot) // timeframe.delta + 1
    stride = max(1, slots // STRIDES)
    with young_collections() as tidy:
        for done in [*range(stride, slots, stride), slots]:
            system.virtual.run_until(span.first_slot + timeframe.delta * (done - 1))
            tidy()
            if system.failure is not None:
                raise system.failure
            if progress is not None:
                progress(done, slots)
    return slots


@contextmanager
def young_collections() -> Iterator[Callable[[], object]]:
    """Garbage in cycles is left to the end of each stride, where what is given here is called, and old objects in
    peace: a replay makes next to none.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield lambda: gc.collect(1)
    finally:
        if was_enabled:
            gc.enable()


def _seed(store: MemoryStore, request: BacktestRequest, definition: StrategyDefinition) -> None:
    """One user, one portfolio, one active run."""
    store.create_strategy(definition)
    store.create_account(account_of(request))
    store.create_run(run_of(request, definition))
    store.command(RUN_ID, RunCommand.START, by="backtest")


def _options(loaded: tuple[datetime, datetime]) -> Options:
    return Options(
        node=NodeId("backtest"),
        version="backtest",
        worker="backtest",
        safety_s=0.0,
        poll_s=0.0,
        flush_after_s=0.0,
        claim_lead=timedelta(0),
        preload=loaded,
        array_signals=True,
    )
