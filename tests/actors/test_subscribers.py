"""Many subscribers of one strategy: one evaluation for all, and whose venue fails keeps nobody else waiting."""

from __future__ import annotations

from datetime import timedelta

from core.run import RunStatus
from schema.records import TickStatus
from tests.actors.world import World

SUBSCRIBERS = 1_000
FAILING = 100
"""Accounts whose venue takes no order; the others trade in the same slot."""


def test_a_thousand_subscribers_cost_one_evaluation_and_a_tenth_on_a_failing_venue_holds_up_nobody() -> None:
    """I20, and the issue's bound: the 900 others are decided, and filled, within 30 s of the slot."""
    world = World("uu")
    strategy = world.strategy()
    runs = []
    for number in range(SUBSCRIBERS):
        user = f"user-{number:04}"
        outage = 1_000 if number % (SUBSCRIBERS // FAILING) == 0 else 0
        runs.append(world.run(user, strategy=strategy, account=world.account(user, outage_orders=outage)))
    failing = set(runs[:: SUBSCRIBERS // FAILING])
    world.to_slot(0, plus_s=40.0)
    executions = [
        execution
        for what, answer in world.calls
        if what == "store.report"
        for execution in answer[0][0].executions
    ]
    assert [(each.slot, each.runs_reached) for each in executions] == [(world.slot(0), SUBSCRIBERS)]
    for run in runs:
        [tick] = world.ticks(run)
        if run in failing:
            assert tick.status is not TickStatus.OK
            assert world.position(run).is_flat
            assert world.status(run).adapter_errors == 1
        else:
            assert tick.status is TickStatus.OK
            assert tick.finished_at - world.slot(0) <= timedelta(seconds=30)
            assert not world.position(run).is_flat
        assert world.status(run).status is RunStatus.ACTIVE
