"""Scheduler: one timer for the whole process. Claims the runs due in a slot in batches and passes them on.

Claims begin up to `CLAIM_LEAD` before the boundary, so that it finds runs claimed; the Evaluator waits for the
closing candle. A safety pass catches what a timer missed, within the grace of the slot and never later (I9).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from actors.journal import JournalBuffer
from actors.messages import (
    ClaimedTick,
    DueRequested,
    EvaluateSlot,
    Gone,
    Resident,
    ResidentsWanted,
    SeriesAdvanced,
    StandDown,
    TickDue,
    TickRequested,
    run_name,
)
from actors.prepared import series_of
from actors.runtime.behaviour import Behaviour, Context
from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import RunId, UserId
from core.lease import trusted_until
from core.market import Series
from core.risk import gate
from core.run import ExecutionMode, Run, ticks
from core.schedule import Schedule
from core.timeframe import Timeframe, from_us, to_us
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


_TIMER = TickSource.TIMER


class SlotTimer(msgspec.Struct, frozen=True, gc=False):
    """The claims of this boundary are due. `us`: the same moment in microseconds since 1970."""

    slot: datetime
    us: int


class SafetyPass(msgspec.Struct, frozen=True):
    """Look for due runs nobody claimed, and for claimed slots nobody finished."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


class Here:
    """A resident run, and what its slots need of it, worked out once."""

    __slots__ = ("asked", "name", "run", "run_id", "schedule", "step", "version")

    def __init__(self, run: Run, asked: Ask | None) -> None:
        definition, schedule = run.strategy, run.schedule if ticks(run) else None
        self.run = run
        self.run_id = run.id
        # What it was last claimed for: once per slot, except by an operator; later asks of others have lost.
        self.asked = asked
        self.name = run_name(run.id)
        self.version = f"{definition.id}:{definition.version}"
        self.step = definition.timeframe.delta
        self.schedule = None if schedule is None else Schedule(schedule, definition.timeframe)

    def wants(self, slot: datetime) -> bool:
        asked = self.asked
        if asked is not None and asked.slot == slot:
            return False
        return self.schedule is None or self.schedule.selects(slot)


class Scheduler(Behaviour):
    __slots__ = (
        "_again_set",
        "_attempt",
        "_by_series",
        "_by_timeframe",
        "_clock",
        "_covered",
        "_grace",
        "_grace_s",
        "_journal",
        "_lead",
        "_lease_s",
        "_next_us",
        "_noted",
        "_residents",
        "_safety_s",
        "_standing_down",
        "_store",
        "_trusted_s",
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
        self._trusted_s = trusted_until(0.0, lease_s)
        self._clock = ctx.clock
        self._grace_s = grace_s
        self._grace = timedelta(seconds=grace_s)
        self._safety_s = safety_s
        self._lead = lead
        self._residents: dict[RunId, Here] = {}
        self._by_timeframe: dict[Timeframe, dict[RunId, Here]] = {}
        # Runs that a closing candle asks for: those in AUTO, at every slot.
        self._by_series: dict[Series, dict[RunId, Here]] = {}
        # The slot all due runs were asked for in, so that a closing candle need not look at each.
        self._covered: datetime | None = None
        # The slot in which each source's lost asks were noted last: a repetition says nothing new.
        self._noted: dict[TickSource, datetime] = {}
        self._next_us: int | None = None
        self._attempt = 0
        self._again_set = False
        self._standing_down = False

    def started(self) -> None:
        self.ctx.tell("runs", ResidentsWanted())  # after a restart; at first nobody is there to hear it
        if self._safety_s:
            self.ctx.after(self._safety_s, SafetyPass(), every=self._safety_s)

    def receive(self, message: object) -> None:
        match message:
            case SlotTimer():
                self._slot_reached(message)
            case Claimed():
                self._claimed(message)
            case Resident():
                self._admit(message.run)
            case Gone():
                self._dismiss(message.run_id)
            case DueRequested():
                self._claim_due(message.source)
            case SeriesAdvanced():
                self._candle_closed(message.series, message.close_time)
            case TickRequested():
                here = self._residents.get(message.run_id)
                if here is not None:
                    ask = self._ask(message.slot, TickSource.OPERATOR)
                    self._claim([here], replace(ask, request_id=message.request_id))
            case SafetyPass():
                self._claim_due(TickSource.TIMER)
                self._sweep()
            case ClaimFailed():
                self._claim_failed(message)
            case ClaimAgain():
                self._again_set = False
                self._claim_due(TickSource.TIMER)
            case StandDown():
                self._standing_down = True
            case Swept():
                pass
            case _:
                raise TypeError(f"scheduler cannot handle {type(message).__name__}")

    # -- who is here ----------------------------------------------------------------------------

    def _admit(self, run: Run) -> None:
        before = self._dismiss(run.id)
        here = self._residents[run.id] = Here(run, asked=None if before is None else before.asked)
        if not ticks(run):
            return  # resident for execute-tick and its open position, but no slot claims it by itself
        timeframe = run.strategy.timeframe
        self._by_timeframe.setdefault(timeframe, {})[run.id] = here
        if run.schedule is None and run.execution_mode is ExecutionMode.AUTO:
            self._by_series.setdefault(series_of(run.strategy), {})[run.id] = here
        self._arm()
        now = self._clock.now()
        slot = timeframe.slot(now)
        if timeframe.is_due(now, run.last_slot, self._grace_s) and here.wants(slot):
            self._claim([here], self._ask(slot, TickSource.TIMER))

    def _dismiss(self, run_id: RunId) -> Here | None:
        here = self._residents.pop(run_id, None)
        if here is not None:
            _leave(self._by_timeframe, here.run.strategy.timeframe, run_id)
            _leave(self._by_series, series_of(here.run.strategy), run_id)
        return here

    # -- when -----------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Set the timer for the nearest boundary any resident run closes at."""
        ahead = self._clock.now() + self._lead
        self._arm_after(ahead, to_us(ahead))

    def _arm_after(self, at: datetime, us: int) -> None:
        nearest, nearest_us = None, self._next_us
        for timeframe in self._by_timeframe:
            past_us = us % timeframe.micros
            close_us = us - past_us + timeframe.micros
            if nearest_us is None or close_us < nearest_us:
                nearest_us, nearest = close_us, from_us(close_us) if past_us else at + timeframe.delta
        if nearest is not None and nearest_us is not None:
            self._next_us = nearest_us
            self.ctx.at(nearest - self._lead, SlotTimer(nearest, nearest_us))

    def _slot_reached(self, timer: SlotTimer) -> None:
        slot, us, now = timer.slot, timer.us, self._clock.now()
        if self._next_us == us:
            self._next_us = None
        if now - slot <= self._grace:
            due = [runs for timeframe, runs in self._by_timeframe.items() if not us % timeframe.micros]
            self._claim_wanted(Ask(slot=slot, source=_TIMER, at=now), due)
        # Else the process stood still past the slot: it is missed, never made up for (I9).
        if now + self._lead == slot:
            self._arm_after(slot, us)  # on time: nothing has to be worked out anew
        else:
            self._arm()

    def _claim_due(self, source: TickSource) -> None:
        """Windows of 30 s at most never meet another slot's: all that is due now is due for the same slot."""
        now = self._clock.now()
        due = [each for each in self._by_timeframe if each.is_due(now, None, self._grace_s)]
        if due:
            runs = [self._by_timeframe[timeframe] for timeframe in due]
            self._claim_wanted(Ask(slot=due[0].slot(now), source=source, at=now), runs)
        self._arm()

    def _claim_wanted(self, ask: Ask, due: Sequence[Mapping[RunId, Here]]) -> None:
        """Claim those of the runs due nobody has asked for yet; for the others the ask has lost."""
        slot = self._covered = ask.slot
        wanted = [here for runs in due for here in runs.values() if here.wants(slot)]
        self._claim(wanted, ask)
        if len(wanted) < sum(map(len, due)) and self._noted.get(ask.source) != slot:
            self._note_lost(ask, [here for runs in due for here in runs.values()])

    def _candle_closed(self, series: Series, slot: datetime) -> None:
        runs = self._by_series.get(series)
        if not runs:
            return
        now = self._clock.now()
        ask = Ask(slot=slot, source=TickSource.CANDLE, at=now)
        if self._covered == slot:
            self._journal.asked_in_vain(LostAsk(ask=ask, node=self._worker, run_ids=tuple(runs)))
        elif series.timeframe.is_due(now, None, self._grace_s) and series.timeframe.slot(now) == slot:
            resident = list(runs.values())
            self._claim([here for here in resident if here.wants(slot)], ask)
            self._note_lost(ask, resident)

    def _ask(self, slot: datetime, source: TickSource) -> Ask:
        return Ask(slot=slot, source=source, at=self._clock.now())

    def _note_lost(self, ask: Ask, resident: Iterable[Here]) -> None:
        """Those of the runs another source had asked for already."""
        source, slot = ask.source, ask.slot
        lost = [
            here.run.id
            for here in resident
            if (first := here.asked) is not None and first.slot == slot and first.source is not source
        ]
        if lost:
            self._noted[source] = slot
            self._journal.asked_in_vain(LostAsk(ask=ask, node=self._worker, run_ids=lost))

    # -- claims ---------------------------------------------------------------------------------

    def _claim(self, wanted: Sequence[Here], ask: Ask) -> None:
        if self._standing_down:
            return  # others have the runs by now, or will in time for this slot
        while len(wanted) > MAX_CLAIM_BATCH:
            self._claim_batch(wanted[:MAX_CLAIM_BATCH], ask)
            wanted = wanted[MAX_CLAIM_BATCH:]
        if wanted:
            self._claim_batch(wanted, ask)

    def _claim_batch(self, batch: Sequence[Here], ask: Ask) -> None:
        run_ids = []
        for here in batch:
            here.asked = ask
            run_ids.append(here.run_id)
        self._attempt += 1
        owner = f"{self._worker}:{self._attempt}"
        asked_at_s = self._clock.monotonic()
        store, ttl_s = self._store, self._lease_s
        self.ctx.call(
            lambda: store.claim(run_ids, slot=ask.slot, owner=owner, ttl_s=ttl_s, ask=ask),
            lambda claims: Claimed(ask=ask, asked_at_s=asked_at_s, run_ids=run_ids, claims=claims),
            lambda _: ClaimFailed(run_ids, ask),
            in_turn=True,
        )

    def _claim_failed(self, failed: ClaimFailed) -> None:
        self._covered = None
        for run_id in failed.run_ids:
            here = self._residents.get(run_id)
            if here is not None and here.asked is failed.ask:
                here.asked = None
        if not self._again_set:
            self._again_set = True
            self.ctx.after(CLAIM_AGAIN_S, ClaimAgain())

    def _claimed(self, claimed: Claimed) -> None:
        """Blocked runs are told at once; the others go to the Evaluator, one request per strategy version."""
        ask, claims, clock = claimed.ask, claimed.claims, self._clock
        if len(claims) < len(claimed.run_ids):
            self._note_unclaimed(claimed)
        slot, at, closed_at_s = ask.slot, clock.now(), clock.monotonic()
        if at < slot:
            at, ahead_s = slot, clock.seconds_until(slot)
            closed_at_s += ahead_s if isfinite(ahead_s) else 0.0
        trusted_s = claimed.asked_at_s + self._trusted_s
        missed_left = MAX_MISSED_AT_ONCE
        groups: dict[str, tuple[StrategyDefinition, list[ClaimedTick]]] = {}
        for claim in claims:
            here = self._residents.get(claim.run_id)
            if here is None:
                continue  # dismissed meanwhile: the slot is closed as interrupted
            previous = claim.previous_slot
            if previous is not None and slot - previous > here.step and ticks(here.run):
                missed_left -= self._record_missed(claim, here, previous, min(MAX_MISSED, missed_left))
            blocked = gate(claim.risk, claim.limits, at)
            tick = ClaimedTick(
                claim=claim,
                ask=ask,
                run=here.name,
                asked_at_s=claimed.asked_at_s,
                closed_at_s=closed_at_s,
                trusted_until_s=trusted_s,
                strategy_version=here.run.strategy.version,
                gated_at=at,
                blocked=blocked,
            )
            if blocked is not None or claim.kill_switch:
                self.ctx.tell(here.name, TickDue(tick=tick, evaluation=None))
            elif (group := groups.get(here.version)) is not None:
                group[1].append(tick)
            else:
                groups[here.version] = (here.run.strategy, [tick])
        for definition, mine in groups.values():
            self.ctx.tell("evaluator", EvaluateSlot(definition=definition, slot=slot, ticks=tuple(mine)))

    def _note_unclaimed(self, claimed: Claimed) -> None:
        """Another process had asked first, the run is busy, or it ticks no longer."""
        won = {claim.run_id for claim in claimed.claims}
        lost = [run_id for run_id in claimed.run_ids if run_id not in won]
        self._journal.asked_in_vain(LostAsk(ask=claimed.ask, node=self._worker, run_ids=lost))

    def _record_missed(self, claim: Claim, here: Here, previous: datetime, most: int) -> int:
        """Rows for the newest `most` slots since the `previous` claim; how many were looked at."""
        missed = min((claim.slot - previous) // here.step - 1, most)
        if missed <= 0:
            return 0
        for slot in _slots(claim.slot - here.step * missed, claim.slot, here.step):
            if here.schedule is None or here.schedule.selects(slot):
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
            finished_at=self._clock.now(),
            worker=self._worker,
        )

    def _sweep(self) -> None:
        store = self._store
        self.ctx.call(lambda: store.close_interrupted(older_than_s=1.0), lambda _: Swept(), lambda _: Swept())


def _leave(groups: dict[K, dict[RunId, Here]], key: K, run_id: RunId) -> None:
    mine = groups.get(key, {})
    mine.pop(run_id, None)
    if not mine:
        groups.pop(key, None)


def _slots(first: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    at = first
    while at < end:
        yield at
        at += step
