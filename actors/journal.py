"""Journal: tick rows, executions and candles of a slot become one batch, written in one transaction.

Whoever has a row adds it to the buffer; the actor writes what is there, one batch under way at a time. Rows are
kept until the store has them, up to a bound; a tick row lost beyond it is later found as `interrupted`. Asks for
a slot that lost are noted when no tick waits, and not at all where too many do: they decide nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from actors.messages import ClaimedTick, EvaluateSlot, Evaluation
from actors.passing import Passing
from actors.run_tick import tick_row
from actors.runtime.behaviour import Behaviour, Context
from actors.tally import Tally
from core.backoff import Backoff
from core.clock import Clock
from core.strategy_warning import StrategyWarning
from schema.records import CandleRow, ExecutionRow, LostAsk, Printed, Reached, SlotReport, TickRow, TickStatus
from schema.store import Store

MAX_BATCH = 10_000
MAX_BUFFERED = 200_000
FLUSH_AFTER_S = 0.02
"""How long a batch waits for company. While some comes it waits again: writing would slow those who still decide."""
MOST_WAITS = 10
"""How often it does, so that the first row is written after 0.22 s at the latest."""

MAX_LOST = 20_000
"""Runs whose lost asks wait to be noted; what comes on top is not noted."""
MAX_REACHED = 20_000
"""Evaluations whose late runs wait to be noted; of what comes on top the rows keep their first number."""
MAX_PRINTS = 2_000
"""Prints that wait, 8 kB each; of too many the oldest go."""
MAX_WARNINGS = 1_000
NOTE_LOST_AFTER_S = 1.0
"""How long lost asks wait, so that the slot's ticks are through."""

RETRY = Backoff(min_s=0.1, max_s=5.0)


T = TypeVar("T")


class Flush(msgspec.Struct, frozen=True):
    """Write what has been added."""


class Gathering(msgspec.Struct, frozen=True):
    """See whether rows still come in: there were so many at the last look."""

    rows: int
    waits: int


class Written(msgspec.Struct, frozen=True):
    """The batch under way is durable."""


class WriteFailed(msgspec.Struct, frozen=True):
    error: Exception


class JournalBuffer:
    """Rows waiting to be written. Adding is an append; the first one after a flush wakes the journal."""

    def __init__(self) -> None:
        self.ticks: deque[TickRow] = deque(maxlen=MAX_BUFFERED)
        self.executions: deque[ExecutionRow] = deque(maxlen=MAX_BUFFERED)
        self.candles: deque[CandleRow] = deque(maxlen=MAX_BUFFERED)
        self.reached: dict[tuple[str, datetime], Reached] = {}
        self.prints: deque[Printed] = deque(maxlen=MAX_PRINTS)
        self.warnings: deque[StrategyWarning] = deque(maxlen=MAX_WARNINGS)
        self.lost: deque[LostAsk] = deque()
        self.lost_runs = 0
        self.wake: Callable[[], None] = lambda: None
        self.wake_for_lost: Callable[[], None] = lambda: None
        self.idle = True
        self.tally = Tally()
        self.traced: Callable[[SlotReport], None] | None = None
        """Told of what is durable where ticks are traced."""
        self.passing: Passing | None = None
        """Told of what is told and not kept, where somebody may listen."""

    def ticked(self, row: TickRow) -> None:
        self.ticks.append(row)
        self._wake_up()

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
        """A claimed slot ends now."""
        self.ticked(
            tick_row(due, status=status, reason=reason, evaluation=evaluation, clock=clock, worker=worker)
        )

    def executed(self, row: ExecutionRow) -> None:
        """Executions ride along with the tick rows they led to."""
        self.executions.append(row)

    def reached_late(self, more: Reached) -> None:
        """Runs that asked for an evaluation when it was done; their tick rows follow."""
        key = (more.evaluation_key, more.slot)
        if key in self.reached or len(self.reached) < MAX_REACHED:
            self.reached[key] = more

    def printed(self, row: Printed) -> None:
        self.prints.append(row)

    def warned(self, warning: StrategyWarning) -> None:
        """It may come long after the ticks it is about."""
        self.warnings.append(warning)
        self._wake_up()

    def closed(self, row: CandleRow) -> None:
        """Candles ride along as well; of too many waiting the oldest go, the venue has them still."""
        self.candles.append(row)
        if self.passing is not None:
            self.passing.candle_closed(row)

    def evaluating(self, request: EvaluateSlot) -> None:
        """Nothing to write yet."""
        if self.passing is not None:
            self.passing.evaluating(request)

    def evaluated(self, request: EvaluateSlot, evaluation: Evaluation) -> None:
        """What was asked for has come to this, by an execution of its own or by one it shares."""
        if self.passing is not None:
            self.passing.evaluated(request, evaluation)

    def asked_in_vain(self, lost: LostAsk) -> None:
        room = MAX_LOST - self.lost_runs
        if room <= 0:
            return
        if len(lost.run_ids) > room:
            lost = replace(lost, run_ids=lost.run_ids[:room])
        self.lost_runs += len(lost.run_ids)
        self.lost.append(lost)
        if len(self.lost) == 1:
            self.wake_for_lost()

    def take_reached(self) -> tuple[Reached, ...]:
        """Once their rows are on the way."""
        if self.executions or not self.reached:
            return ()
        return tuple([self.reached.popitem()[1] for _ in range(len(self.reached))])

    def _wake_up(self) -> None:
        if self.idle:
            self.idle = False
            self.wake()

    def take_lost(self) -> tuple[LostAsk, ...]:
        lost = tuple(self.lost)
        self.lost.clear()
        self.lost_runs = 0
        return lost


class Journal(Behaviour):
    __slots__ = ("_attempt", "_buffer", "_draining", "_flush_after_s", "_store", "_writing")

    def __init__(
        self, ctx: Context, *, store: Store, buffer: JournalBuffer, flush_after_s: float = FLUSH_AFTER_S
    ) -> None:
        super().__init__(ctx)
        self._store = store
        self._buffer = buffer
        self._flush_after_s = flush_after_s
        self._writing: SlotReport | None = None
        self._attempt = 0
        self._draining = False

    def started(self) -> None:
        self._buffer.wake = self._wake
        self._buffer.wake_for_lost = self._wake_for_lost
        self._buffer.idle = True
        self._buffer.take_lost()  # whatever waited has lost its waker
        if self._buffer.ticks or self._buffer.executions or self._buffer.warnings:
            self.ctx.self_ref.tell(Flush())

    def draining(self) -> None:
        """Everything added so far is written before the end (I16); the runs have ended before."""
        self._draining = True
        if self._writing is None:
            self._flush()

    def restarting(self, error: BaseException | None) -> None:
        """The batch under way may not have been written: it goes back. Told twice it changes nothing."""
        if self._writing is not None:
            self._buffer.ticks.extendleft(reversed(self._writing.ticks))
            self._buffer.executions.extendleft(reversed(self._writing.executions))
            self._buffer.warnings.extendleft(reversed(self._writing.warnings))
            for more in self._writing.reached:
                self._buffer.reached.setdefault((more.evaluation_key, more.slot), more)

    def receive(self, message: object) -> None:
        match message:
            case Flush():
                self._flush()
            case Gathering():
                self._gather(message)
            case Written():
                self._written()
            case WriteFailed():
                self.ctx.after(RETRY.delay_s(self._attempt, 0.0), Flush())
                self._attempt += 1
            case _:
                raise TypeError(f"journal cannot handle {type(message).__name__}")

    def _written(self) -> None:
        if self._writing is not None:
            self._buffer.tally.written(self._writing)
            if self._buffer.traced is not None:
                self._buffer.traced(self._writing)
        self._writing = None
        self._attempt = 0
        if self._buffer.ticks or self._buffer.warnings or (self._draining and self._buffer.executions):
            self._flush()
            return
        if self._draining:
            self.ctx.stop()
            return
        self._buffer.idle = True
        if self._buffer.ticks or self._buffer.warnings:  # added between the look and the flag
            self._buffer.idle = False
            self._flush()
        elif self._buffer.lost:
            self._wake_for_lost()

    def _wake(self) -> None:
        if self._flush_after_s:
            self.ctx.after(self._flush_after_s, Gathering(rows=1, waits=1))
        else:
            self.ctx.self_ref.tell(Flush())

    def _gather(self, last: Gathering) -> None:
        rows = len(self._buffer.ticks)
        if rows > last.rows and last.waits <= MOST_WAITS and not self._draining:
            self.ctx.after(self._flush_after_s, Gathering(rows=rows, waits=last.waits + 1))
        else:
            self._flush()

    def _wake_for_lost(self) -> None:
        self.ctx.after(NOTE_LOST_AFTER_S, Flush())

    def _flush(self) -> None:
        if self._writing is None:
            self._writing = self._take()
        elif self._attempt == 0:
            return  # a batch is under way; its end flushes the rest
        report = self._writing
        if self._draining and not (report.ticks or report.executions or report.lost or report.warnings):
            self.ctx.stop()
            return
        self.ctx.call(lambda: self._store.report(report), lambda _: Written(), WriteFailed, in_turn=True)

    def _take(self) -> SlotReport:
        buffer = self._buffer
        lost = buffer.take_lost() if self._draining or not buffer.ticks else ()
        executions = _first(buffer.executions)
        return SlotReport(
            ticks=_first(buffer.ticks),
            executions=executions,
            candles=_first(buffer.candles),
            lost=lost,
            reached=buffer.take_reached(),
            printed=_first(buffer.prints),
            warnings=_first(buffer.warnings),
        )


def _first(rows: deque[T]) -> tuple[T, ...]:
    """Takes at most a batch; others may append meanwhile."""
    if not rows:
        return ()
    return tuple([rows.popleft() for _ in range(min(len(rows), MAX_BATCH))])
