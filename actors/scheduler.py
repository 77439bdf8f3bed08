"""Scheduler: one timer for the whole process. Claims the runs due in a slot in batches and passes them on.

Claims begin up to `CLAIM_LEAD` before the boundary, so that it finds runs claimed; the Evaluator waits for the
closing candle. A safety pass catches what a timer missed, within the grace of the slot and never later (I9).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import isfinite

import msgspec

from actors.directory import tell
from actors.journal import JournalBuffer
from actors.messages import (
    ClaimedTick,
    DueRequested,
    EvaluateSlot,
    Gone,
    Resident,
    ResidentsWanted,
    TickDue,
    TickRequested,
    run_name,
)
from actors.runtime.behaviour import Behaviour, Context
from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import RunId, StrategyId, UserId
from core.lease import trusted_until
from core.risk import gate
from core.run import Run, ticks
from core.schedule import Schedule
from core.timeframe import Timeframe, to_us
from schema.records import Claim, TickRow, TickSource, TickStatus
from schema.store import MAX_CLAIM_BATCH, Store

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
    slot: datetime
    source: TickSource
    asked_at_s: float
    claims: list[Claim]


class ClaimFailed(msgspec.Struct, frozen=True):
    """The store did not answer: asked again soon, while the slot is due."""

    run_ids: Sequence[RunId]
    slot: datetime


class ClaimAgain(msgspec.Struct, frozen=True):
    """The wait after a failed claim is over."""


class Swept(msgspec.Struct, frozen=True):
    """Interrupted slots were closed, or could not be this time."""


class Scheduler(Behaviour):
    __slots__ = (
        "_again_set",
        "_asked",
        "_attempt",
        "_by_timeframe",
        "_grace_s",
        "_journal",
        "_lead",
        "_lease_s",
        "_next",
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
        # The slot a claim was last asked for, per run: a run is asked for once per slot by the timer.
        self._asked: dict[RunId, datetime] = {}
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
            case TickRequested():
                if message.run_id in self._residents:
                    self._claim([message.run_id], message.slot, TickSource.OPERATOR)
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
        self._arm()
        if self._is_due(run, self.ctx.clock.now()):
            self._claim([run.id], timeframe.slot(self.ctx.clock.now()), TickSource.TIMER)

    def _dismiss(self, run_id: RunId) -> None:
        run = self._residents.pop(run_id, None)
        self._schedules.pop(run_id, None)
        if run is None:
            return
        mine = self._by_timeframe.get(run.strategy.timeframe, {})
        mine.pop(run_id, None)
        if not mine:
            self._by_timeframe.pop(run.strategy.timeframe, None)

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
        if self.ctx.clock.now() - slot <= timedelta(seconds=self._grace_s):
            us = to_us(slot)
            due: list[RunId] = []
            for timeframe, runs in self._by_timeframe.items():
                if us % timeframe.micros == 0:
                    due.extend(run_id for run_id in runs if self._wants(run_id, slot))
            self._claim(due, slot, TickSource.TIMER)
        # Else the process stood still past the slot: it is missed, never made up for (I9).
        self._arm()

    def _wants(self, run_id: RunId, slot: datetime) -> bool:
        if self._asked.get(run_id) == slot:
            return False
        schedule = self._schedules.get(run_id)
        return schedule is None or schedule.selects(slot)

    def _is_due(self, run: Run, now: datetime) -> bool:
        timeframe = run.strategy.timeframe
        if not timeframe.is_due(now, run.last_slot, self._grace_s):
            return False
        return self._wants(run.id, timeframe.slot(now))

    def _claim_due(self, source: TickSource) -> None:
        now = self.ctx.clock.now()
        by_slot: dict[datetime, list[RunId]] = {}
        for timeframe, runs in self._by_timeframe.items():
            if timeframe.is_due(now, None, self._grace_s):
                slot = timeframe.slot(now)
                by_slot.setdefault(slot, []).extend(run_id for run_id in runs if self._wants(run_id, slot))
        for slot, run_ids in by_slot.items():
            self._claim(run_ids, slot, source)
        self._arm()

    # -- claims ---------------------------------------------------------------------------------

    def _claim(self, run_ids: Sequence[RunId], slot: datetime, source: TickSource) -> None:
        for start in range(0, len(run_ids), MAX_CLAIM_BATCH):
            self._claim_batch(run_ids[start : start + MAX_CLAIM_BATCH], slot, source)

    def _claim_batch(self, batch: Sequence[RunId], slot: datetime, source: TickSource) -> None:
        self._asked.update(dict.fromkeys(batch, slot))
        self._attempt += 1
        owner = f"{self._worker}:{self._attempt}"
        asked_at_s = self.ctx.clock.monotonic()
        store, ttl_s = self._store, self._lease_s
        self.ctx.call(
            lambda: store.claim(batch, slot=slot, owner=owner, ttl_s=ttl_s),
            lambda claims: Claimed(slot=slot, source=source, asked_at_s=asked_at_s, claims=claims),
            lambda _: ClaimFailed(batch, slot),
        )

    def _claim_failed(self, failed: ClaimFailed) -> None:
        for run_id in failed.run_ids:
            if self._asked.get(run_id) == failed.slot:
                del self._asked[run_id]
        if not self._again_set:
            self._again_set = True
            self.ctx.after(CLAIM_AGAIN_S, ClaimAgain())

    def _claimed(self, claimed: Claimed) -> None:
        """Blocked runs are told at once; the others go to the Evaluator, one request per strategy version."""
        at = max(self.ctx.clock.now(), claimed.slot)
        clock = self.ctx.clock
        trusted_s = trusted_until(claimed.asked_at_s, self._lease_s)
        ahead_s = clock.seconds_until(claimed.slot)
        missed_left = MAX_MISSED_AT_ONCE
        closed_at_s = clock.monotonic() + (ahead_s if isfinite(ahead_s) else 0.0)
        groups: dict[tuple[StrategyId, int], tuple[StrategyDefinition, list[ClaimedTick]]] = {}
        for claim in claimed.claims:
            tick = ClaimedTick(
                claim=claim,
                asked_at_s=claimed.asked_at_s,
                closed_at_s=closed_at_s,
                trusted_until_s=trusted_s,
                source=claimed.source,
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
            evaluator.tell(EvaluateSlot(definition=definition, slot=claimed.slot, ticks=tuple(mine)))

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


def _slots(first: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    at = first
    while at < end:
        yield at
        at += step
