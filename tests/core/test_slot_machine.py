"""I1, I9: several processes want the slots of several runs, on time, late, twice and after their leases ran out.

Each process asks as the Scheduler does: what is due by its own, perhaps outdated, knowledge; then one claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct

from core.errors import Reason
from core.ids import RunId
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunStatus
from core.timeframe import Timeframe
from schema.memory import MemoryStore
from schema.records import Claim, TickStatus
from tests.schema.conformance.world import START, TTL_S, HandClock, World

NODES = 3
TIMEFRAMES = (Timeframe.M1, Timeframe.M3)
EDGES_S = (-10.0, -5.001, -5.0, -2.0, 0.0, 0.001, 5.0, 5.001, 25.0, 25.001, 40.0)
offsets = st.sampled_from(EDGES_S) | st.floats(-10, 40).map(lambda seconds: round(seconds, 3))
runs = st.integers(0, len(TIMEFRAMES) - 1)


class Won(Struct, frozen=True):
    """A slot one process evaluates, and has not reported yet."""

    run: Run
    claim: Claim


class Race(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock(START)
        self.store = MemoryStore(self.clock, RiskLimits())
        self.world = World(
            self.store,
            set_now=lambda at: setattr(self.clock, "market", at),
            expire_leases=lambda seconds: None,
            forget_lease=self.store.forget_lease,
        )
        self.runs = [self.world.run(timeframe=timeframe) for timeframe in TIMEFRAMES]
        self.grace_s = 5.0
        self.active = {run.id: True for run in self.runs}
        self.known: dict[tuple[int, RunId], datetime] = {}
        self.claimed: dict[RunId, list[datetime]] = {run.id: [] for run in self.runs}
        self.locked_until: dict[RunId, float] = {}
        self.fences: list[int] = []
        self.won: list[Won] = []
        self.rows: dict[tuple[RunId, datetime], TickStatus] = {}
        # The slot up to which nothing of a run is missing; slots that were cut off do not move it.
        self.settled: dict[RunId, datetime] = {}

    @initialize(grace_s=st.sampled_from([0.0, 5.0, 25.0]))
    def set_grace(self, grace_s: float) -> None:
        self.grace_s = grace_s

    # -- time -----------------------------------------------------------------------------------

    def go(self, to: datetime) -> None:
        self.clock.process_s += (to - self.clock.market).total_seconds()
        self.world.set_now(to)

    def go_near_a_boundary(self, timeframe: Timeframe, offset_s: float) -> None:
        to = timeframe.next_close(self.clock.market) + timedelta(seconds=offset_s)
        self.go(to if to > self.clock.market else to + timeframe.delta)

    @rule(seconds=st.sampled_from([0.001, 1.0, 61.0, TTL_S, 400.0]))
    def wait(self, seconds: float) -> None:
        self.go(self.clock.market + timedelta(seconds=seconds))

    @rule(seconds=st.sampled_from([1.0, TTL_S]))
    def let_process_time_run_ahead(self, seconds: float) -> None:
        """Leases end by process time, whatever market time does (decision 1)."""
        self.clock.process_s += seconds

    # -- claims ---------------------------------------------------------------------------------

    @rule(timeframe=st.sampled_from(TIMEFRAMES), offset_s=offsets, nodes=st.permutations(range(NODES)))
    def all_wake_near_a_boundary(self, timeframe: Timeframe, offset_s: float, nodes: Sequence[int]) -> None:
        """All processes look at one instant, then their claims arrive one after the other."""
        self.go_near_a_boundary(timeframe, offset_s)
        due = [(node, [run for run in self.runs if self.is_due(node, run)]) for node in nodes]
        for node, found in due:
            self.claim(node, found)

    @rule(timeframe=st.sampled_from(TIMEFRAMES), offset_s=offsets, node=st.integers(0, NODES - 1))
    def one_wakes_near_a_boundary(self, timeframe: Timeframe, offset_s: float, node: int) -> None:
        self.go_near_a_boundary(timeframe, offset_s)
        self.pass_again(node)

    @rule(node=st.integers(0, NODES - 1))
    def pass_again(self, node: int) -> None:
        self.claim(node, [run for run in self.runs if self.is_due(node, run)])

    @rule(node=st.integers(0, NODES - 1), run=runs)
    def learn_of_the_others_claims(self, node: int, run: int) -> None:
        found = self.store.run(self.runs[run].id)
        assert found is not None
        if found.last_slot is not None:
            self.known[node, found.id] = found.last_slot

    @precondition(lambda self: any(self.claimed.values()))
    @rule(run=runs, back=st.integers(0, 3))
    def ask_for_a_slot_that_was_claimed_or_passed(self, run: int, back: int) -> None:
        slots = self.claimed[self.runs[run].id]
        if slots:
            slot = slots[-1] - back * self.runs[run].strategy.timeframe.delta
            assert self.store.claim([self.runs[run].id], slot=slot, owner="late", ttl_s=TTL_S) == []

    def is_due(self, node: int, run: Run) -> bool:
        return run.strategy.timeframe.is_due(self.clock.market, self.known.get((node, run.id)), self.grace_s)

    def claim(self, node: int, due: Sequence[Run]) -> None:
        by_slot: dict[datetime, list[Run]] = {}
        for run in due:
            by_slot.setdefault(run.strategy.timeframe.slot(self.clock.market), []).append(run)
        for slot, wanted in by_slot.items():
            free = {run.id for run in wanted if self.is_free(run.id, slot)}
            ids = [run.id for run in wanted]
            claims = self.store.claim(ids, slot=slot, owner=f"node-{node}", ttl_s=TTL_S)
            assert {claim.run_id for claim in claims} == free, "all that is free, and nothing else"
            by_id = {run.id: run for run in wanted}
            for claim in claims:
                self.take(node, by_id[claim.run_id], claim)

    def is_free(self, run_id: RunId, slot: datetime) -> bool:
        unlocked = self.clock.process_s >= self.locked_until.get(run_id, 0.0)
        return self.active[run_id] and unlocked and all(slot > earlier for earlier in self.claimed[run_id])

    def take(self, node: int, run: Run, claim: Claim) -> None:
        late = self.clock.market - claim.slot
        assert timedelta(seconds=-5) <= late <= timedelta(seconds=self.grace_s), "I9: on time or not at all"
        assert run.strategy.timeframe.is_slot(claim.slot)
        earlier = self.claimed[run.id]
        if earlier:  # a slot that was cut off has its row before a later one is claimed
            self.rows.setdefault((run.id, earlier[-1]), TickStatus.ERROR)
            self.settled.setdefault(run.id, earlier[-1])
        assert claim.previous_slot == self.settled.get(run.id)
        earlier.append(claim.slot)
        self.fences.append(claim.fence)
        self.locked_until[run.id] = self.clock.process_s + TTL_S
        self.known[node, run.id] = claim.slot
        self.won.append(Won(run, claim))

    # -- ends -----------------------------------------------------------------------------------

    @precondition(lambda self: self.won)
    @rule(which=st.integers(0, 99), twice=st.booleans())
    def report(self, which: int, twice: bool) -> None:
        """On time, or long after the lease ended: the row of a slot closed meanwhile stays as it is."""
        won = self.won.pop(which % len(self.won))
        key = (won.run.id, won.claim.slot)
        new = key not in self.rows
        assert self.world.report(won.run, won.claim.fence, won.claim.slot) == new
        if twice:
            assert self.world.report(won.run, won.claim.fence, won.claim.slot) == 0
        self.rows.setdefault(key, TickStatus.OK)
        if self.claimed[won.run.id][-1] == won.claim.slot:
            self.locked_until[won.run.id] = 0.0
            self.settled[won.run.id] = won.claim.slot

    @rule()
    def close_what_nobody_finished(self) -> None:
        for row in self.store.close_interrupted(older_than_s=1.0):
            assert (row.status, row.reason) == (TickStatus.ERROR, Reason.INTERRUPTED)
            assert row.slot == self.claimed[row.run_id][-1]
            assert self.clock.process_s >= self.locked_until[row.run_id] + 1.0, "its lease is over"
            assert (row.run_id, row.slot) not in self.rows
            self.rows[row.run_id, row.slot] = TickStatus.ERROR

    @rule(run=runs)
    def pause_or_resume(self, run: int) -> None:
        run_id = self.runs[run].id
        command = RunCommand.PAUSE if self.active[run_id] else RunCommand.RESUME
        changed = self.store.command(run_id, command, by="ann")
        self.active[run_id] = changed.status is RunStatus.ACTIVE

    # -- always ---------------------------------------------------------------------------------

    @invariant()
    def claimed_slots_and_fences_rise(self) -> None:
        assert all(earlier < later for earlier, later in pairwise(self.fences))
        for slots in self.claimed.values():
            assert all(earlier < later for earlier, later in pairwise(slots))

    @invariant()
    def every_slot_has_one_row_at_most_and_only_if_it_was_claimed(self) -> None:
        stored = self.store.ticks(limit=10_000)
        assert {(row.run_id, row.slot): row.status for row in stored} == self.rows
        assert len(stored) == len(self.rows)
        assert all(row.slot in self.claimed[row.run_id] for row in stored)


Race.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestI1I9Race = Race.TestCase
