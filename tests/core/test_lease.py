"""I5, I6: leases. Trust ends before the lease does, and no interleaving gives a run two holders."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from core.errors import Reason
from core.ids import RunId
from core.lease import Lease, may_start, trusted_until
from core.risk import RiskLimits
from schema.memory import MemoryStore
from tests.schema.conformance.world import MINUTE, START, HandClock, World

LEASE = Lease(run_id=RunId(UUID(int=1)), owner="node-1", fence=1, trusted_until_s=110.0)
nodes = st.integers(0, 2)


@pytest.mark.parametrize(
    ("now_s", "timeout_s", "may"),
    [
        (0.0, 110.0, True),
        (0.0, 110.001, False),
        (109.0, 1.0, True),
        (110.0, 0.0, True),
        (110.001, 0.0, False),
    ],
)
def test_i5_no_effect_starts_whose_timeout_passes_the_trust(
    now_s: float, timeout_s: float, may: bool
) -> None:
    assert may_start(LEASE, effect_timeout_s=timeout_s, monotonic_s=now_s) is may


def test_i5_a_lease_of_120_s_is_trusted_for_110_s_from_before_it_was_asked_for() -> None:
    assert trusted_until(1_000.0, 120.0) == pytest.approx(1_110.0)


@given(st.floats(0, 1e6), st.floats(0, 60), st.floats(5, 120), st.floats(0, 130), st.floats(0, 130))
def test_i5_an_effect_that_may_start_ends_before_the_lease_runs_out(
    asked_s: float, answer_s: float, ttl_s: float, later_s: float, timeout_s: float
) -> None:
    """The database counts from when the statement ran, which is after the holder began to count."""
    lease = replace(LEASE, trusted_until_s=trusted_until(asked_s, ttl_s))
    started = asked_s + answer_s + later_s
    if may_start(lease, effect_timeout_s=timeout_s, monotonic_s=started):
        assert started + timeout_s <= asked_s + answer_s + ttl_s


class Holders(RuleBasedStateMachine):
    """Three nodes want one run; each remembers what it was told and knows nothing of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock(START)
        self.store = MemoryStore(self.clock, RiskLimits(max_trades_per_day=0))
        self.world = World(
            self.store,
            set_now=lambda at: setattr(self.clock, "market", at),
            expire_leases=lambda seconds: None,
            forget_lease=self.store.forget_lease,
        )
        self.run = self.world.run()
        self.fences: dict[int, int] = {}
        self.until: dict[int, float] = {}
        self.highest = 0
        self.slot = START
        self.claimed: set[object] = set()

    def granted(self, node: int, fence: int, ttl_s: float) -> None:
        assert fence > self.highest
        assert not any(self.clock.process_s < until for until in self.until.values())
        self.highest = fence
        self.fences[node], self.until[node] = fence, self.clock.process_s + ttl_s

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0, 119.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.clock.process_s += seconds

    @rule(node=nodes, ahead=st.integers(0, 2))
    def claim(self, node: int, ahead: int) -> None:
        slot = self.slot + ahead * MINUTE
        for claim in self.store.claim([self.run.id], slot=slot, owner=f"node-{node}", ttl_s=120.0):
            assert slot not in self.claimed
            assert all(slot > earlier for earlier in self.claimed)  # type: ignore[operator]
            self.claimed.add(slot)
            self.slot = slot
            self.granted(node, claim.fence, 120.0)

    @rule(node=nodes)
    def acquire(self, node: int) -> None:
        fence = self.store.acquire(self.run.id, owner=f"node-{node}", ttl_s=60.0)
        if fence is not None:
            self.granted(node, fence, 60.0)

    @rule(node=nodes)
    def renew(self, node: int) -> None:
        renewed = self.store.renew(self.run.id, fence=self.fences.get(node, 0), ttl_s=120.0)
        assert renewed is (self.clock.process_s < self.until.get(node, 0.0))
        if renewed:
            self.until[node] = self.clock.process_s + 120.0

    @rule(node=nodes)
    def release(self, node: int) -> None:
        self.store.release([(self.run.id, self.fences.get(node, 0))])
        self.until.pop(node, None)

    @rule()
    def lose_the_row(self) -> None:
        self.store.forget_lease(self.run.id)
        self.until.clear()
        self.slot = max([self.slot, *self.claimed], default=self.slot) + timedelta(minutes=1)  # type: ignore[type-var]

    @rule(node=nodes)
    def decide(self, node: int) -> None:
        """The day's trades are used up, so whoever holds the lease is told that, and nobody else is."""
        refused = self.world.refused(self.run, self.fences.get(node, 0))
        holds = self.clock.process_s < self.until.get(node, 0.0)
        assert refused.reason is (Reason.MAX_TRADES if holds else Reason.LEASE_LOST)

    @invariant()
    def at_most_one_holder(self) -> None:
        assert sum(self.clock.process_s < until for until in self.until.values()) <= 1


Holders.TestCase.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
TestI5Holders = Holders.TestCase
