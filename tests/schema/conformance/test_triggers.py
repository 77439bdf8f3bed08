"""The trigger ledger: who asked first for a run's slot, and who came later and lost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.ids import RunId
from core.run import Run
from schema.records import Ask, LostAsk, SlotReport, TickSource, TickStatus
from tests.schema.conformance.world import START, TTL_S, World

MINUTE = timedelta(minutes=1)


def lose(world: World, source: TickSource, *runs: Run, node: str = "node-1", after_s: float = 1.0) -> None:
    ask = Ask(slot=world.slot, source=source, at=world.slot + timedelta(seconds=after_s))
    lost = LostAsk(ask=ask, node=node, run_ids=tuple(run.id for run in runs))
    world.store.report(SlotReport(lost=(lost,)))


def losers(world: World, run: Run) -> list[tuple[str, str, float]]:
    """(source, node, seconds after the slot) of the run's newest tick."""
    [tick] = world.store.ticks(run_id=run.id, limit=1)
    found = world.store.lost_triggers([tick]).get((tick.slot, tick.run_id), ())
    return [(lost.source.value, lost.node, (lost.asked_at - tick.slot).total_seconds()) for lost in found]


def test_a_tick_row_keeps_when_its_source_asked(world: World) -> None:
    run = world.run()
    asked_at = world.slot - timedelta(seconds=1.5)
    world.report(run, world.claim(run).fence, asked_at=asked_at)
    [tick] = world.store.ticks()
    assert (tick.source, tick.asked_at) == (TickSource.TIMER, asked_at)


def test_a_row_nobody_asked_for_has_no_time_of_asking(world: World) -> None:
    run = world.run()
    world.report(run, 0, status=TickStatus.MISSED, reason="down", signal=None)
    assert [tick.asked_at for tick in world.store.ticks()] == [None]


def test_a_slot_that_was_cut_off_tells_who_had_claimed_it(world: World) -> None:
    run = world.run()
    ask = Ask(slot=world.slot, source=TickSource.CRON, at=world.slot + timedelta(seconds=2))
    world.store.claim([run.id], slot=world.slot, owner="node-1", ttl_s=0, ask=ask)
    [tick] = world.store.close_interrupted(older_than_s=0)
    assert (tick.reason, tick.source, tick.asked_at) == ("interrupted", TickSource.CRON, ask.at)
    assert world.store.ticks() == [tick]


def test_so_does_one_that_the_next_claim_closes(world: World) -> None:
    run = world.run()
    first = Ask(slot=world.slot, source=TickSource.CRON, at=world.slot + timedelta(seconds=2))
    world.store.claim([run.id], slot=first.slot, owner="node-1", ttl_s=0, ask=first)
    world.next_slot()
    then = Ask(slot=world.slot, source=TickSource.TIMER, at=world.slot)
    assert world.store.claim([run.id], slot=then.slot, owner="node-1", ttl_s=TTL_S, ask=then)
    [tick] = world.store.ticks()
    assert (tick.slot, tick.source, tick.asked_at) == (first.slot, TickSource.CRON, first.at)


def test_asks_that_lost_are_told_with_source_node_and_time(world: World) -> None:
    run, other = world.run("ann"), world.run("bob")
    for each in (run, other):
        world.report(each, world.claim(each).fence)
    lose(world, TickSource.CRON, run, other, after_s=3)
    lose(world, TickSource.CANDLE, run, after_s=0.25)
    assert losers(world, run) == [("candle", "node-1", 0.25), ("cron", "node-1", 3)]
    assert losers(world, other) == [("cron", "node-1", 3)]


def test_an_ask_that_lost_may_be_noted_before_its_tick_row_is_written(world: World) -> None:
    run = world.run()
    claim = world.claim(run)
    lose(world, TickSource.OPERATOR, run)
    world.report(run, claim.fence)
    assert losers(world, run) == [("operator", "node-1", 1)]


def test_of_a_source_and_node_the_first_ask_stays(world: World) -> None:
    run = world.run()
    world.report(run, world.claim(run).fence)
    lose(world, TickSource.CRON, run, after_s=1)
    lose(world, TickSource.CRON, run, after_s=2)
    lose(world, TickSource.CRON, run, node="node-2", after_s=2)
    assert losers(world, run) == [("cron", "node-1", 1), ("cron", "node-2", 2)]


def test_the_winner_asking_again_on_its_node_is_no_loss_but_on_another_node_it_is(world: World) -> None:
    run = world.run()
    world.report(run, world.claim(run).fence)
    lose(world, TickSource.TIMER, run, node="node-1")
    assert losers(world, run) == []
    lose(world, TickSource.TIMER, run, node="node-2")
    assert losers(world, run) == [("timer", "node-2", 1)]


def test_losses_stay_with_their_slot(world: World) -> None:
    run = world.run()
    world.report(run, world.claim(run).fence)
    lose(world, TickSource.CRON, run)
    world.next_slot()
    world.report(run, world.claim(run).fence)
    assert losers(world, run) == []


def test_an_ask_for_a_run_without_a_row_changes_nothing(world: World) -> None:
    """Losing asks decide nothing: a slot they name is still claimed (I1)."""
    run = world.run()
    lose(world, TickSource.CRON, run)
    assert world.store.ticks() == []
    assert [claim.run_id for claim in world.store.claim([run.id], slot=START, owner="n", ttl_s=TTL_S)] == [
        run.id
    ]


def test_ticks_are_counted_by_what_they_came_to(world: World) -> None:
    runs = [world.run(user) for user in ("ann", "bob", "cat")]
    for run in runs:
        fields = {"status": TickStatus.BLOCKED, "reason": "cooldown"} if run is runs[0] else {}
        world.report(run, world.claim(run).fence, **fields)
    slot = world.slot
    world.next_slot()
    world.report(runs[0], world.claim(runs[0]).fence)
    assert dict(world.store.slot_counts(slot)) == {TickStatus.BLOCKED: 1, TickStatus.OK: 2}
    assert dict(world.store.slot_counts(slot - MINUTE)) == {}


def test_ticks_are_filtered_by_source(world: World) -> None:
    run, other = world.run("ann"), world.run("bob")
    world.report(run, world.claim(run).fence, source=TickSource.OPERATOR)
    world.report(other, world.claim(other).fence)
    assert [tick.run_id for tick in world.store.ticks(source=TickSource.OPERATOR)] == [run.id]
    assert world.store.ticks(source=TickSource.CRON) == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
def test_pages_of_ticks_follow_each_other_without_gap_or_repetition(world: World, size: int) -> None:
    runs = [world.run(user) for user in ("ann", "bob", "cat")]
    for _ in range(2):
        world.next_slot()
        for run in runs:
            world.report(run, world.claim(run).fence)
    whole = world.store.ticks()
    places = [(tick.slot, tick.run_id) for tick in whole]
    assert places == sorted(places, reverse=True)
    paged: list[tuple[object, RunId]] = []
    before = None
    while page := world.store.ticks(before=before, limit=size):
        before = (page[-1].slot, page[-1].run_id)
        paged.extend((tick.slot, tick.run_id) for tick in page)
    assert paged == places
