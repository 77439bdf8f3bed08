"""Reading the rows that runs' actors begin with: what many ask for at once is one call of the store.

Part of the supervisor of runs, in its turns. One batch is under way at a time; whoever asks meanwhile is in the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from actors.messages import run_name
from actors.runtime.behaviour import Context
from core.ids import RunId
from schema.records import RunStart
from schema.store import Store

MAX_BATCH = 500
"""Runs read at once: enough that round trips do not count, few enough that a run which asks alone is not kept long."""
RECENT_ORDERS = 10
"""Latest orders looked at when starting: which reservations to give back, which exit to go on with."""


class RowsWanted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """To the supervisor of runs, from a StrategyRun in its `life`, when it has heard of `heard` fills."""

    run_id: RunId
    life: int
    heard: int


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """To a StrategyRun: its rows, read after it asked; None when there is no such run."""

    life: int
    heard: int
    start: RunStart | None


class LoadFailed(msgspec.Struct, frozen=True, kw_only=True):
    """To a StrategyRun: the store did not answer."""

    life: int
    error: Exception


class StartsRead(msgspec.Struct, frozen=True):
    """What the store had for those who asked."""

    wanted: Sequence[RowsWanted]
    starts: Sequence[RunStart]


class StartsFailed(msgspec.Struct, frozen=True):
    wanted: Sequence[RowsWanted]
    error: Exception


class RowReader:
    """`on_read`: told how many runs have begun since nobody waited last, whenever nobody waits again."""

    def __init__(self, ctx: Context, store: Store, on_read: Callable[[int], None]) -> None:
        self._ctx = ctx
        self._store = store
        self._on_read = on_read
        # A run's newest ask: of its lives the latest alone is there to hear.
        self._waiting: dict[RunId, RowsWanted] = {}
        self._reading = False
        self._read = 0

    def handle(self, message: RowsWanted | StartsRead | StartsFailed) -> None:
        match message:
            case RowsWanted():
                self._want(message)
            case StartsRead():
                self._give(message)
            case StartsFailed():
                self._fail(message)

    def _want(self, wanted: RowsWanted) -> None:
        self._waiting[wanted.run_id] = wanted
        if not self._reading:
            self._read_next()

    def _give(self, answer: StartsRead) -> None:
        found = {start.state.run.id: start for start in answer.starts}
        for each in answer.wanted:
            loaded = Loaded(life=each.life, heard=each.heard, start=found.get(each.run_id))
            self._ctx.tell(run_name(each.run_id), loaded)
        self._read += len(found)
        self._read_next()
        if not self._reading:
            read, self._read = self._read, 0
            self._on_read(read)

    def _fail(self, failure: StartsFailed) -> None:
        """They ask again, each after a while of its own."""
        for each in failure.wanted:
            self._ctx.tell(run_name(each.run_id), LoadFailed(life=each.life, error=failure.error))
        self._read_next()

    def _read_next(self) -> None:
        wanted = tuple(islice(self._waiting.values(), MAX_BATCH))
        self._reading = bool(wanted)
        if not wanted:
            return
        run_ids = [each.run_id for each in wanted]
        for run_id in run_ids:
            del self._waiting[run_id]
        store = self._store
        self._ctx.call(
            lambda: store.run_starts(run_ids, recent=RECENT_ORDERS),
            lambda starts: StartsRead(wanted, starts),
            lambda error: StartsFailed(wanted, error),
        )
