"""Scheduler: one timer for the whole process. Claims the runs due in a slot in batches and passes them on.

Claims begin up to `CLAIM_LEAD` before the boundary, so that it finds runs claimed; the Evaluator waits for the
closing candle. A safety pass catches what a timer missed, within the grace of the slot and never later (I9).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import TypeVar

import msgspec

from actors.directory import tell
from actors.evaluator import series_of
from actors.journal import JournalBuffer
from actors.messages import (
    ClaimedTick,
    DueRequested,
    EvaluateSlot,
    Gone,
    Resident,
    ResidentsWanted,
    SeriesAdvanced,
    TickDue,
    TickRequested,
    run_name,
)
from actors.runtime.behaviour import Behaviour, Context
from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import RunId, StrategyId, UserId
from core.lease import trusted_until
from core.market import Series
from core.risk import gate
from core.run import ExecutionMode, Run, ticks
from core.schedule import Schedule
from core.timeframe import Timeframe, to_us
from schema.records import Ask, Claim, LostAsk, TickRow, TickSource, TickStatus
from schema.store import MAX_CLAIM_BATCH, Store

K = TypeVar("K")

CLAIM_LEAD = timedelta(seconds=2)
CLAIM_AGAIN_S = 0.5
"""Wait after a claim the store did not answer; a slot is due for seconds only."""
MAX_MISSED = 1_000
"""Missed slots recorded per claim, the newest; a longer absence is visible from the gap itself."""

MAX_MISSED_AT_ONCE = 20_000
"""Missed slots recorded for one batch of claims, so that an absence of many runs leaves the journal room for ticks."""


class SlotTimer(msgspec.Struct, frozen=True):
    """The claims of this boundary are due."""

    slot: datetime


class SafetyPass(msgspec.Struct, frozen=True):
    """Look for due runs nobody claimed, and for claimed slots nobody finished."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """Of the runs asked for, those in `claims` were won."""

    ask: Ask
    asked_at_s: float
    run_ids: Sequence[RunId]
    claims: list[Claim]


class ClaimFailed(msgspec.Struct, frozen=True):
    """The store did not answer: asked again soon, while the slot is due."""

    run_ids: Sequence[RunId]
    ask: Ask


class ClaimAgain(msgspec.Struct, frozen=True):
    """The wait after a failed claim is over."""


class Swept(msgspec.Struct, frozen=True):
    """Interrupted slots were closed, or could not be this time."""


class Scheduler(Behaviour):
    __slots__ = (
        "_again_set",
        "_asked",
        "_attempt",
        "_by_series",
        "_by_timeframe",
        "_covered",
        "_grace_s",
        "_journal",
        "_lead",
        "_lease_s",
        "_next",
        "_noted",
        "_residents",
        "_safety_s",
        "_schedules",
        "_store",
        "_worker",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        store: Store,
        journal: JournalBuffer,
        worker: str,
        lease_s: float,
        grace_s: float,
        safety_s: float,
        lead: timedelta = CLAIM_LEAD,
    ) -> None:
        super().__init__(ctx)
        self._store = store
        self._journal = journal
        self._worker = worker
        self._lease_s = lease_s
        self._grace_s = grace_s
        self._safety_s = safety_s
        self._lead = lead
        self._residents: dict[RunId, Run] = {}
        self._by_timeframe: dict[Timeframe, dict[RunId, Run]] = {}
        self._schedules: dict[RunId, Schedule] = {}
        # Runs that a closing candle asks for: those in AUTO, at every slot.
        self._by_series: dict[Series, dict[RunId, Run]] = {}
        # What a run was last claimed for: once per slot, except by an operator; later asks of others have lost.
        self._asked: dict[RunId, Ask] = {}
        # The slot all due runs were asked for in, so that a closing candle need not look at each.
        self._covered: datetime | None = None
        # The slot in which each source's lost asks were noted last: a repetition says nothing new.
        self._noted: dict[TickSource, datetime] = {}
        self._next: datetime | None = None
        self._attempt = 0
        self._again_set = False

    def started(self) -> None:
        tell(
            self.ctx, "runs", ResidentsWanted()
        )  # after a restart; at first start nobody is there to hear it
        if self._safety_s:
            self.ctx.after(self._safety_s, SafetyPass(), every=self._safety_s)

    def receive(self, message: object) -> None:
        match message:
            case SlotTimer():
                self._slot_reached(message.slot)
            case Claimed():
                self._claimed(message)
            case Resident():
                self._admit(message.run)
            case Gone():
                self._dismiss(message.run_id)
                self._asked.pop(message.run_id, None)
            case DueRequested():
                self._claim_due(message.source)
            case SeriesAdvanced():
                self._candle_closed(message.series, message.close_time)
            case TickRequested():
                if message.run_id in self._residents:
                    self._claim([message.run_id], self._ask(message.slot, TickSource.OPERATOR))
            case SafetyPass():
                self._claim_due(TickSource.TIMER)
                self._sweep()
            case ClaimFailed():
                self._claim_failed(message)
            case ClaimAgain():
                self._again_set = False
                self._claim_due(TickSource.TIMER)
            case Swept():
                pass
            case _:
                raise TypeError(f"scheduler cannot handle {type(message).__name__}")

    # -- who is here ----------------------------------------------------------------------------

    def _admit(self, run: Run) -> None:
        self._dismiss(run.id)
        self._residents[run.id] = run
        if not ticks(run):
            return  # resident for execute-tick and its open position, but no slot claims it by itself
        timeframe = run.strategy.timeframe
        self._by_timeframe.setdefault(timeframe, {})[run.id] = run
        if run.schedule is not None:
            self._schedules[run.id] = Schedule(run.schedule, timeframe)
        elif run.execution_mode is ExecutionMode.AUTO:
            self._by_series.setdefault(series_of(run.strategy), {})[run.id] = run
        self._arm()
        now = self.ctx.clock.now()
        slot = timeframe.slot(now)
        if timeframe.is_due(now, run.last_slot, self._grace_s) and self._wants(run.id, slot):
            self._claim([run.id], self._ask(slot, TickSource.TIMER))

    def _dismiss(self, run_id: RunId) -> None:
        run = self._residents.pop(run_id, None)
        self._schedules.pop(run_id, None)
        if run is None:
            return
        _leave(self._by_timeframe, run.strategy.timeframe, run_id)
        _leave(self._by_series, series_of(run.strategy), run_id)

    # -- when -----------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Set the timer for the nearest boundary any resident run closes at."""
        if not self._by_timeframe:
            return
        ahead = self.ctx.clock.now() + self._lead
        nearest = min(timeframe.next_close(ahead) for timeframe in self._by_timeframe)
        if self._next is None or nearest < self._next:
            self._next = nearest
            self.ctx.at(nearest - self._lead, SlotTimer(nearest))

    def _slot_reached(self, slot: datetime) -> None:
        if self._next == slot:
            self._next = None
        ask = self._ask(slot, TickSource.TIMER)
        if ask.at - slot <= timedelta(seconds=self._grace_s):
            us = to_us(slot)
            self._claim_wanted(ask, [t for t in self._by_timeframe if us % t.micros == 0])
        # Else the process stood still past the slot: it is missed, never made up for (I9).
        self._arm()

    def _wants(self, run_id: RunId, slot: datetime) -> bool:
        asked = self._asked.get(run_id)
        return (asked is None or asked.slot != slot) and self._selects(run_id, slot)

    def _selects(self, run_id: RunId, slot: datetime) -> bool:
        schedule = self._schedules.get(run_id)
        return schedule is None or schedule.selects(slot)

    def _claim_due(self, source: TickSource) -> None:
        """Windows of 30 s at most never meet another slot's: all that is due now is due for the same slot."""
        now = self.ctx.clock.now()
        due = [each for each in self._by_timeframe if each.is_due(now, None, self._grace_s)]
        if due:
            self._claim_wanted(Ask(slot=due[0].slot(now), source=source, at=now), due)
        self._arm()

    def _claim_wanted(self, ask: Ask, timeframes: Sequence[Timeframe]) -> None:
        """Claim the runs of these timeframes nobody has asked for yet; for the others the ask has lost."""
        slot = self._covered = ask.slot
        wanted: list[RunId] = []
        resident = 0
        for timeframe in timeframes:
            runs = self._by_timeframe[timeframe]
            resident += len(runs)
            wanted.extend(run_id for run_id in runs if self._wants(run_id, slot))
        self._claim(wanted, ask)
        if len(wanted) < resident and self._noted.get(ask.source) != slot:
            self._note_lost(ask, [run_id for each in timeframes for run_id in self._by_timeframe[each]])

    def _candle_closed(self, series: Series, slot: datetime) -> None:
        runs = self._by_series.get(series)
        if not runs:
            return
        now = self.ctx.clock.now()
        ask = Ask(slot=slot, source=TickSource.CANDLE, at=now)
        if self._covered == slot:
            self._journal.asked_in_vain(LostAsk(ask=ask, node=self._worker, run_ids=tuple(runs)))
        elif series.timeframe.is_due(now, None, self._grace_s) and series.timeframe.slot(now) == slot:
            self._claim([run_id for run_id in runs if self._wants(run_id, slot)], ask)
            self._note_lost(ask, runs)

    def _ask(self, slot: datetime, source: TickSource) -> Ask:
        return Ask(slot=slot, source=source, at=self.ctx.clock.now())

    def _note_lost(self, ask: Ask, run_ids: Iterable[RunId]) -> None:
        """Those of the runs another source had asked for already."""
        source, slot = ask.source, ask.slot
        asked = self._asked
        lost = [
            run_id
            for run_id in run_ids
            if (first := asked.get(run_id)) is not None and first.slot == slot and first.source is not source
        ]
        if lost:
            self._noted[source] = slot
            self._journal.asked_in_vain(LostAsk(ask=ask, node=self._worker, run_ids=lost))

    # -- claims ---------------------------------------------------------------------------------

    def _claim(self, run_ids: Sequence[RunId], ask: Ask) -> None:
        for start in range(0, len(run_ids), MAX_CLAIM_BATCH):
            self._claim_batch(run_ids[start : start + MAX_CLAIM_BATCH], ask)

    def _claim_batch(self, batch: Sequence[RunId], ask: Ask) -> None:
        self._asked.update(dict.fromkeys(batch, ask))
        self._attempt += 1
        owner = f"{self._worker}:{self._attempt}"
        asked_at_s = self.ctx.clock.monotonic()
        store, ttl_s = self._store, self._lease_s
        self.ctx.call(
            lambda: store.claim(batch, slot=ask.slot, owner=owner, ttl_s=ttl_s, ask=ask),
            lambda claims: Claimed(ask=ask, asked_at_s=asked_at_s, run_ids=batch, claims=claims),
            lambda _: ClaimFailed(batch, ask),
        )

    def _claim_failed(self, failed: ClaimFailed) -> None:
        self._covered = None
        for run_id in failed.run_ids:
            if self._asked.get(run_id) is failed.ask:
                del self._asked[run_id]
        if not self._again_set:
            self._again_set = True
            self.ctx.after(CLAIM_AGAIN_S, ClaimAgain())

    def _claimed(self, claimed: Claimed) -> None:
        """Blocked runs are told at once; the others go to the Evaluator, one request per strategy version."""
        ask, claims = claimed.ask, claimed.claims
        if len(claims) < len(claimed.run_ids):
            self._note_unclaimed(claimed)
        at = max(self.ctx.clock.now(), ask.slot)
        clock = self.ctx.clock
        trusted_s = trusted_until(claimed.asked_at_s, self._lease_s)
        ahead_s = clock.seconds_until(ask.slot)
        missed_left = MAX_MISSED_AT_ONCE
        closed_at_s = clock.monotonic() + (ahead_s if isfinite(ahead_s) else 0.0)
        groups: dict[tuple[StrategyId, int], tuple[StrategyDefinition, list[ClaimedTick]]] = {}
        for claim in claims:
            tick = ClaimedTick(
                claim=claim,
                ask=ask,
                asked_at_s=claimed.asked_at_s,
                closed_at_s=closed_at_s,
                trusted_until_s=trusted_s,
            )
            if claim.previous_slot is not None:
                missed_left -= self._record_missed(claim, min(MAX_MISSED, missed_left))
            run = self._residents.get(claim.run_id)
            if run is None:
                continue  # dismissed meanwhile: the slot is closed as interrupted
            if claim.kill_switch or gate(claim.risk, claim.limits, at) is not None:
                tell(self.ctx, run_name(claim.run_id), TickDue(tick=tick, evaluation=None))
                continue
            definition = run.strategy
            groups.setdefault((definition.id, definition.version), (definition, []))[1].append(tick)
        evaluator = self.ctx.ref("evaluator")
        for definition, mine in groups.values():
            evaluator.tell(EvaluateSlot(definition=definition, slot=ask.slot, ticks=tuple(mine)))

    def _note_unclaimed(self, claimed: Claimed) -> None:
        """Another process had asked first, the run is busy, or it ticks no longer."""
        won = {claim.run_id for claim in claimed.claims}
        lost = [run_id for run_id in claimed.run_ids if run_id not in won]
        self._journal.asked_in_vain(LostAsk(ask=claimed.ask, node=self._worker, run_ids=lost))

    def _record_missed(self, claim: Claim, most: int) -> int:
        """Rows for the newest `most` slots since the last claim; how many were looked at."""
        run = self._residents.get(claim.run_id)
        if run is None or claim.previous_slot is None:
            return 0
        step = run.strategy.timeframe.delta
        missed = min((claim.slot - claim.previous_slot) // step - 1, most)
        if missed <= 0:
            return 0
        schedule = self._schedules.get(run.id)
        for slot in _slots(claim.slot - step * missed, claim.slot, step):
            if schedule is None or schedule.selects(slot):
                self._journal.ticked(self._missed_row(claim, slot))
        return missed

    def _missed_row(self, claim: Claim, slot: datetime) -> TickRow:
        paused = claim.activated_at is not None and slot <= claim.activated_at
        return TickRow(
            run_id=claim.run_id,
            user_id=UserId(claim.user_id),
            slot=slot,
            status=TickStatus.MISSED,
            reason=Reason.NOT_ACTIVE if paused else Reason.DOWN,
            scheduled_at=slot,
            finished_at=self.ctx.clock.now(),
            worker=self._worker,
        )

    def _sweep(self) -> None:
        store = self._store
        self.ctx.call(lambda: store.close_interrupted(older_than_s=1.0), lambda _: Swept(), lambda _: Swept())


def _leave(groups: dict[K, dict[RunId, Run]], key: K, run_id: RunId) -> None:
    mine = groups.get(key, {})
    mine.pop(run_id, None)
    if not mine:
        groups.pop(key, None)


def _slots(first: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    at = first
    while at < end:
        yield at
        at += step
