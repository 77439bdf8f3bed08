"""Claims, leases and tick rows."""

from __future__ import annotations

from datetime import datetime

import pytest

from core.errors import RunnerError
from core.ids import RunId
from core.order import Leg
from core.run import ExecutionMode, RunCommand, RunStatus
from core.timeframe import Timeframe
from schema.records import Ask, ExecutionRow, ExecutionStatus, SlotReport, TickSource, TickStatus
from schema.store import LONG_AGO_S, MAX_CLAIM_BATCH
from tests.schema.conformance.world import MINUTE, START, TTL_S, World


def claims(world: World, *run_ids: RunId, slot: datetime | None = None) -> list[RunId]:
    won = world.store.claim(run_ids, slot=slot or world.slot, owner="node-2", ttl_s=TTL_S)
    return [claim.run_id for claim in won]


def test_i1_a_slot_is_claimed_once(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.store.release([(run.id, fence)])
    assert claims(world, run.id) == []
    world.expire_leases(0)
    assert claims(world, run.id) == []


def test_i1_an_earlier_slot_is_never_claimed_after_a_later_one(world: World) -> None:
    run = world.run()
    world.store.release([(run.id, world.claim(run, START + MINUTE).fence)])
    assert claims(world, run.id, slot=START) == []


def test_i5_a_lease_held_by_another_leaves_the_slot_unclaimed(world: World) -> None:
    run = world.run()
    fence = world.claim(run, START).fence
    assert claims(world, run.id, slot=START + MINUTE) == []
    assert world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S) is None
    world.store.release([(run.id, fence)])
    assert claims(world, run.id, slot=START + MINUTE) == [run.id]


def test_i5_a_lease_is_not_reentrant(world: World) -> None:
    run = world.run()
    world.claim(run)
    assert world.store.acquire(run.id, owner="node-1", ttl_s=TTL_S) is None


def test_i5_an_expired_lease_is_taken_over_under_a_higher_fence(world: World) -> None:
    run = world.run()
    old = world.claim(run, START).fence
    world.expire_leases(0)
    new = world.claim(run, START + MINUTE).fence
    assert new > old
    assert not world.store.renew(run.id, fence=old, ttl_s=TTL_S)
    assert world.store.renew(run.id, fence=new, ttl_s=TTL_S)


def test_i5_only_the_matching_fence_releases(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.store.release([(run.id, fence - 1), (run.id, fence + 1)])
    assert world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S) is None
    world.store.release([(run.id, fence)])
    assert world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S) is not None


def test_i5_an_expired_lease_is_not_renewed(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.expire_leases(0)
    assert not world.store.renew(run.id, fence=fence, ttl_s=TTL_S)


def test_i6_the_fence_rises_with_every_lease_and_over_all_runs(world: World) -> None:
    first, second = world.run("ann"), world.run("bob")
    fences = [world.claim(first).fence, world.claim(second).fence]
    world.store.release([(first.id, fences[0])])
    fences.append(world.store.acquire(first.id, owner="node-2", ttl_s=TTL_S) or 0)
    assert fences == sorted(set(fences))


def test_i6_the_fence_rises_even_after_the_lease_row_was_deleted(world: World) -> None:
    run = world.run()
    before = world.claim(run).fence
    world.forget_lease(run.id)
    world.next_slot()
    assert world.claim(run).fence > before


def test_i6_a_deleted_lease_row_ends_the_lease(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.forget_lease(run.id)
    assert world.refused(run, fence).reason == "lease_lost"


def test_i9_only_active_runs_are_claimed(world: World) -> None:
    statuses = [status for status in RunStatus if status is not RunStatus.ACTIVE]
    runs = [world.run(f"user-{status}", status=status) for status in statuses]
    assert claims(world, *(run.id for run in runs), RunId(world.id())) == []


def test_a_manual_run_that_is_active_is_claimed_but_never_awaited(world: World) -> None:
    run = world.run(execution_mode=ExecutionMode.MANUAL)
    assert world.store.pending(START) == 0
    assert claims(world, run.id) == [run.id]


def test_a_claim_takes_the_free_runs_of_a_batch_and_leaves_the_others_out(world: World) -> None:
    busy, free = world.run("ann"), world.run("bob")
    world.claim(busy)
    assert claims(world, busy.id, free.id, RunId(world.id())) == [free.id]
    with pytest.raises(RunnerError):
        claims(world, *[busy.id] * (MAX_CLAIM_BATCH + 1))


def test_a_claim_brings_what_the_gates_look_at(world: World) -> None:
    run = world.run()
    world.trade(run, "-7")
    world.store.set_kill_switch(on=True, reason="drill", account_id=run.account_id)
    world.next_slot()
    claim = world.claim(run)
    assert (claim.run_id, claim.user_id, claim.slot) == (run.id, run.user_id, world.slot)
    assert claim.previous_slot == world.slot - MINUTE
    assert claim.status is RunStatus.ACTIVE
    assert claim.kill_switch
    assert (claim.risk.day(world.now).pnl, claim.risk.day(world.now).trades, claim.risk.streak) == (-7, 1, 1)
    assert claim.limits == world.store.risk(run.user_id).limits
    assert claim.balance == run.settings.capital - 7
    assert claim.used_margin == 0


def test_a_changed_row_shows_in_the_claims_version(world: World) -> None:
    run = world.run()
    first = world.claim(run)
    world.report(run, first.fence)
    world.store.command(run.id, RunCommand.PAUSE, by="ann")
    resumed = world.store.command(run.id, RunCommand.RESUME, by="ann")
    world.next_slot()
    claim = world.claim(run)
    assert claim.run_version > first.run_version
    assert claim.run_version == resumed.version
    assert claim.activated_at == START


def test_i1_the_first_tick_row_of_a_slot_stays(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    assert world.report(run, fence) == 1
    assert world.report(run, fence, status=TickStatus.ERROR, reason="late", signal="long") == 0
    [tick] = world.store.ticks(run_id=run.id)
    assert (tick.status, tick.signal, tick.fence) == (TickStatus.OK, "hold", fence)
    assert world.event_types(run) == []


def test_reporting_releases_the_lease_under_its_fence_only(world: World) -> None:
    run = world.run()
    old = world.claim(run, START).fence
    world.expire_leases(0)
    new = world.claim(run, START + MINUTE).fence
    world.report(run, old, START)
    assert world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S) is None
    world.report(run, new, START + MINUTE)
    assert world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S) is not None


def test_a_signal_becomes_an_event_and_a_hold_does_not(world: World) -> None:
    run = world.run()
    for signal in ("hold", "long", None, "exit_long"):
        world.next_slot()
        world.report(run, world.claim(run).fence, signal=signal)
    assert [event.payload["signal"] for event in world.store.events(run_id=run.id)] == ["long", "exit_long"]


def test_evaluations_are_reported_beside_ticks(world: World) -> None:
    run = world.run()
    execution = ExecutionRow(
        evaluation_key="rsi@1m",
        strategy_id=run.strategy.id,
        slot=START,
        worker="node-1",
        duration_ms=1.5,
        status=ExecutionStatus.SUCCESS,
        action="hold",
        indicators={"rsi": 44.0},
        runs_reached=1,
    )
    report = SlotReport(ticks=(world.tick(run, world.claim(run).fence),), executions=(execution, execution))
    assert world.store.report(report) == 1
    assert world.store.report(report) == 0


def test_i9_missed_slots_are_rows_without_a_claim(world: World) -> None:
    run = world.run()
    world.report(run, 0, START - MINUTE, status=TickStatus.MISSED, signal=None, reason="down")
    [missed] = world.store.ticks(run_id=run.id, status="missed")
    assert (missed.slot, missed.fence, missed.reason) == (START - MINUTE, 0, "down")
    assert world.store.ticks(run_id=run.id, status="ok") == []
    assert claims(world, run.id) == [run.id]


def test_i9_a_claimed_slot_without_a_row_becomes_interrupted_and_is_never_run_again(world: World) -> None:
    run, done = world.run("ann"), world.run("bob")
    fence = world.claim(run).fence
    world.report(done, world.claim(done).fence)
    assert world.store.close_interrupted(older_than_s=60) == []
    world.expire_leases(30)
    assert world.store.close_interrupted(older_than_s=7_200) == []
    [closed] = world.store.close_interrupted(older_than_s=10)
    assert (closed.run_id, closed.slot, closed.fence) == (run.id, START, fence)
    assert (closed.status, closed.reason) == (TickStatus.ERROR, "interrupted")
    assert world.store.close_interrupted(older_than_s=10) == []
    assert world.report(run, fence) == 0
    assert claims(world, run.id) == []


def test_a_renewed_lease_is_not_interrupted(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    assert world.store.renew(run.id, fence=fence, ttl_s=TTL_S)
    assert world.store.close_interrupted(older_than_s=0) == []


def test_leases_tell_what_each_run_was_claimed_for_and_how_long_that_holds(world: World) -> None:
    """A slot that is cut off is one without a row whose lease has run out."""
    cut_off, done = sorted([world.run("ann"), world.run("bob")], key=lambda run: run.id)
    ask = Ask(slot=START, source=TickSource.CRON, at=START)
    [claim] = world.store.claim([cut_off.id], slot=START, owner="node-2", ttl_s=TTL_S, ask=ask)
    fence = world.claim(done, START).fence
    world.report(done, fence, START)
    first, second = world.store.leases()
    assert (first.run_id, first.owner, first.fence) == (cut_off.id, "node-2", claim.fence)
    assert (first.last_slot, first.ticked_slot, first.previous_slot) == (START, None, None)
    assert (first.source, first.asked_at) == (TickSource.CRON, START)
    assert TTL_S - 60 < first.locked_s <= TTL_S
    assert (second.run_id, second.fence) == (done.id, fence)
    assert (second.last_slot, second.ticked_slot, second.previous_slot) == (START, START, START)
    assert (second.source, second.asked_at) == (None, None)
    assert -LONG_AGO_S <= second.locked_s <= 0
    world.expire_leases(30)
    assert -LONG_AGO_S < world.store.leases()[0].locked_s <= -30


def test_pending_counts_runs_whose_slot_has_no_row_yet(world: World) -> None:
    minute = world.run("ann")
    world.run("bob", timeframe=Timeframe.H1)
    world.run("cat", status=RunStatus.PAUSED)
    assert world.store.pending(START) == 2
    assert world.store.pending(START + MINUTE) == 1
    world.report(minute, world.claim(minute).fence)
    assert world.store.pending(START) == 1


def test_pending_leaves_out_scheduled_runs_whose_schedule_skips_the_slot(world: World) -> None:
    """Decision 4: nobody claims them there, so nothing would ever come to wait for."""
    scheduled = world.run("ann", execution_mode=ExecutionMode.SCHEDULED, schedule="*/5 * * * *")
    world.run("bob", execution_mode=ExecutionMode.SCHEDULED, schedule="30 9 * * *")
    world.run("cat")
    assert world.store.pending(START) == 2
    assert world.store.pending(START + MINUTE) == 1
    assert world.store.pending(START + 5 * MINUTE) == 2
    world.report(scheduled, world.claim(scheduled).fence)
    assert world.store.pending(START) == 1


def test_ticks_come_newest_first_and_filtered(world: World) -> None:
    run, other = world.run("ann"), world.run("bob")
    for index in range(4):
        world.next_slot()
        blocked = {"status": TickStatus.BLOCKED, "reason": "cooldown"} if index == 2 else {}
        world.report(run, world.claim(run).fence, **blocked)
    world.report(other, world.claim(other).fence)
    slots = [tick.slot for tick in world.store.ticks(run_id=run.id)]
    assert slots == sorted(slots, reverse=True)
    assert len(slots) == 4
    assert [tick.slot for tick in world.store.ticks(run_id=run.id, limit=2)] == slots[:2]
    assert [tick.reason for tick in world.store.ticks(status="blocked")] == ["cooldown"]
    assert len(world.store.ticks(run_id=run.id, since=slots[1])) == 2
    assert {tick.run_id for tick in world.store.ticks(slot=world.slot)} == {run.id, other.id}


def test_a_lease_without_a_slot_serves_later_exit_attempts(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    world.report(run, fence)
    lease = world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S)
    assert lease is not None
    assert world.committed(run, lease, leg=Leg.EXIT).fence == lease
    stored = world.store.run(run.id)
    assert stored is not None
    assert stored.last_slot == world.slot


def test_i5_freed_leases_can_be_taken_and_their_old_fences_decide_nothing(world: World) -> None:
    """Only for a database whose other processes are known to be dead (decision 31)."""
    run, idle = world.run("ann"), world.run("bob")
    old = world.claim(run).fence
    world.store.free_leases()
    assert world.refused(run, old).reason == "lease_lost"
    assert set(claims(world, run.id, idle.id, slot=START + MINUTE)) == {run.id, idle.id}


def test_i1_a_slot_that_was_cut_off_is_closed_before_a_later_one_is_claimed(world: World) -> None:
    """Else nobody would ever say what became of it: the lease row remembers the last slot only."""
    run, other = world.run("ann"), world.run("bob")
    cut_off = world.claim(run, START).fence
    world.report(other, world.claim(other, START).fence, START)
    world.expire_leases(0)
    assert sorted(claims(world, run.id, other.id, slot=START + MINUTE)) == sorted([run.id, other.id])
    [tick] = world.store.ticks(run_id=run.id)
    assert (tick.slot, tick.status, tick.reason) == (START, TickStatus.ERROR, "interrupted")
    assert (tick.fence, tick.worker) == (cut_off, "node-1")
    assert world.report(run, cut_off, START) == 0


def test_i1_what_still_has_its_lease_is_not_cut_off_by_another_claim(world: World) -> None:
    run = world.run()
    fence = world.claim(run, START).fence
    assert claims(world, run.id, slot=START + MINUTE) == []
    assert world.report(run, fence, START) == 1


def test_a_claim_tells_from_where_on_rows_may_be_missing_however_many_claims_were_cut_off(
    world: World,
) -> None:
    """Rows of missed slots are written with the tick of the slot that found them, and die with it."""
    run = world.run()
    world.report(run, world.claim(run, START).fence, START)
    for minutes in (3, 5):
        assert world.claim(run, START + minutes * MINUTE).previous_slot == START
        world.expire_leases(30)
        if minutes == 5:
            world.store.close_interrupted(older_than_s=10)
    last = world.claim(run, START + 7 * MINUTE)
    assert last.previous_slot == START
    world.report(run, last.fence, START + 7 * MINUTE)
    assert world.claim(run, START + 8 * MINUTE).previous_slot == START + 7 * MINUTE


def test_i5_a_claim_tells_whether_somebody_has_decided_since_the_state_was_read(world: World) -> None:
    """Whoever held a lease in between may have committed orders nobody else has heard of."""
    run = world.run()
    read = world.store.run_state(run.id)
    assert read is not None
    first = world.claim(run, START)
    assert first.previous_fence <= read.fence
    world.report(run, first.fence, START)
    assert world.claim(run, START + MINUTE).previous_fence == first.fence
    world.expire_leases(0)
    stolen = world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S)
    assert stolen is not None
    world.store.release([(run.id, stolen)])
    assert world.claim(run, START + 2 * MINUTE).previous_fence == stolen > first.fence
    again = world.store.run_state(run.id)
    assert again is not None
    assert again.fence > stolen
