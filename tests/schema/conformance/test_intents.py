"""The intent transaction: what commits an order, and what refuses it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.errors import Reason
from core.ids import ClientOrderId, RunId
from core.order import Acknowledged, Canceled, Leg, NotPlaced, Order, OrderStatus, OutcomeUnknown, Rejected
from core.position import OrderSide
from core.risk import RiskLimits
from core.run import Run, RunCommand
from core.timeframe import Timeframe
from schema.ops import IntentCommitted, ObserveOrder, OpRefused, OrderMoved
from tests.schema.conformance.world import MINUTE, START, TTL_S, World

SECOND = timedelta(seconds=1)
MICRO = timedelta(microseconds=1)


def observe(world: World, order: Order, event: object, *, no_further_attempt: bool = True) -> OrderMoved:
    op = ObserveOrder(
        client_order_id=order.client_order_id,
        event=event,  # type: ignore[arg-type]
        no_further_attempt=no_further_attempt,
    )
    result = world.settle(op)
    assert isinstance(result, OrderMoved), result
    return result


def may_send(world: World, client_order_id: ClientOrderId, fence: int) -> Reason | None:
    [refusal] = world.store.may_send([(client_order_id, fence)])
    return refusal


def trades_today(world: World, run: Run) -> int:
    return world.store.risk(run.user_id).state.day(world.now).trades


def test_i2_a_committed_intent_is_a_durable_row_with_fence_sign_ts_and_event(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    order = world.committed(run, fence, stop_loss=Decimal("98.5"), take_profit=Decimal(103))
    assert world.order(order.client_order_id, run) == order
    assert world.store.open_orders(run_id=run.id) == [order]
    assert (order.status, order.fence, order.sign_ts, order.created_at) == ("intent", fence, START, START)
    [event] = world.store.events(run_id=run.id)
    assert (event.type, event.seq, event.payload["client_order_id"]) == (
        "order_submit",
        1,
        order.client_order_id,
    )
    assert event.payload["quantity"] == "1"


def test_i2_the_callers_sign_ts_is_kept(world: World) -> None:
    run = world.run()
    sign_ts = START - timedelta(milliseconds=7)
    assert world.committed(run, world.claim(run).fence, sign_ts=sign_ts).sign_ts == sign_ts


def test_i2_a_refused_intent_leaves_no_row(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.refused(run, fence + 1)
    assert world.store.orders(run_id=run.id) == []
    assert world.event_types(run) == []
    assert trades_today(world, run) == 0


def test_i1_the_same_proposal_told_twice_changes_nothing(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    first = world.committed(run, fence)
    assert world.committed(run, fence) == first
    assert len(world.store.orders(run_id=run.id)) == 1
    assert trades_today(world, run) == 1
    assert world.event_types(run) == ["order_submit"]


def test_i1_one_live_intent_per_run_slot_and_leg(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.store.set_limits(run.user_id, RiskLimits(cooldown_after_trade_s=Decimal(0)))
    order = world.committed(run, fence)
    assert world.refused(run, fence, attempt=2).reason is Reason.OPEN_LEG
    observe(world, order, Acknowledged("v-1"))
    assert world.refused(run, fence, attempt=2).reason is Reason.OPEN_LEG


def test_i5_an_intent_needs_the_current_unexpired_fence(world: World) -> None:
    run = world.run()
    old = world.claim(run).fence
    world.expire_leases(0)
    assert world.refused(run, old).reason is Reason.LEASE_LOST
    world.next_slot()
    new = world.claim(run).fence
    assert world.refused(run, old).reason is Reason.LEASE_LOST
    assert world.committed(run, new).fence == new


def test_i5_a_released_lease_decides_nothing(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.store.release([(run.id, fence)])
    assert world.refused(run, fence).reason is Reason.LEASE_LOST


@pytest.mark.parametrize(
    "command", [RunCommand.PAUSE, RunCommand.STOP, RunCommand.AUTO_PAUSE, RunCommand.FAIL]
)
def test_i9_a_run_that_is_not_active_gets_no_entry_and_no_first_exit(
    world: World, command: RunCommand
) -> None:
    run = world.run()
    fence = world.held(run)
    world.store.command(run.id, command, by="ann")
    world.set_now(world.now + 30 * SECOND)
    assert world.refused(run, fence, slot=world.slot + 10 * SECOND).reason is Reason.NOT_ACTIVE
    assert world.refused(run, fence, leg=Leg.EXIT).reason is Reason.NOT_ACTIVE
    assert world.committed(run, fence, leg=Leg.FLATTEN).status is OrderStatus.INTENT


def test_later_exit_attempts_go_on_in_every_status(world: World) -> None:
    """Decision 21: the first attempt was made in time, so the rest of the leg goes on, under a new lease."""
    run = world.run()
    fence = world.held(run)
    first = world.committed(run, fence, leg=Leg.EXIT)
    observe(world, first, NotPlaced("busy"), no_further_attempt=False)
    world.store.command(run.id, RunCommand.PAUSE, by="ann")
    world.store.release([(run.id, fence)])
    world.set_now(world.slot + timedelta(minutes=5))
    lease = world.store.acquire(run.id, owner="node-2", ttl_s=TTL_S)
    assert lease is not None
    second = world.committed(run, lease, leg=Leg.EXIT, attempt=2)
    assert second.fence == lease


def test_a_second_exit_attempt_without_a_first_is_a_first(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    world.store.command(run.id, RunCommand.PAUSE, by="ann")
    assert world.refused(run, fence, leg=Leg.EXIT, attempt=2).reason is Reason.NOT_ACTIVE


@pytest.mark.parametrize("whose", ["global", "account"])
def test_i8_nothing_commits_after_a_kill_switch_but_an_operators_flatten(world: World, whose: str) -> None:
    run = world.run()
    fence = world.held(run)
    account = run.account_id if whose == "account" else None
    world.store.set_kill_switch(on=True, reason="drill", account_id=account)
    world.set_now(world.now + 31 * SECOND)
    assert world.refused(run, fence, slot=world.slot + 10 * SECOND).reason is Reason.KILL_SWITCH
    assert world.refused(run, fence, leg=Leg.EXIT).reason is Reason.KILL_SWITCH
    assert world.refused(run, fence, leg=Leg.EXIT, by_operator=True).reason is Reason.KILL_SWITCH
    assert world.refused(run, fence, leg=Leg.FLATTEN).reason is Reason.KILL_SWITCH
    flatten = world.committed(run, fence, leg=Leg.FLATTEN, by_operator=True)
    assert may_send(world, flatten.client_order_id, fence) is None
    world.store.set_kill_switch(on=False, reason="over", account_id=account)
    assert world.committed(run, fence, leg=Leg.EXIT).status is OrderStatus.INTENT


def test_i8_another_accounts_switch_stops_nobody_else(world: World) -> None:
    run, other = world.run("ann"), world.run("bob")
    world.store.set_kill_switch(on=True, reason="drill", account_id=other.account_id)
    assert world.committed(run, world.claim(run).fence).status is OrderStatus.INTENT


@pytest.mark.parametrize("whose", ["global", "account"])
def test_i8_the_switch_is_read_again_before_sending(world: World, whose: str) -> None:
    run = world.run()
    fence = world.claim(run).fence
    order = world.committed(run, fence)
    assert may_send(world, order.client_order_id, fence) is None
    account = run.account_id if whose == "account" else None
    world.store.set_kill_switch(on=True, reason="drill", account_id=account)
    assert may_send(world, order.client_order_id, fence) is Reason.KILL_SWITCH


def test_i8_an_owners_flatten_committed_before_the_switch_is_not_sent_after_it(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    flatten = world.committed(run, fence, leg=Leg.FLATTEN)
    assert may_send(world, flatten.client_order_id, fence) is None
    world.store.set_kill_switch(on=True, reason="drill")
    assert may_send(world, flatten.client_order_id, fence) is Reason.KILL_SWITCH


def test_i3_an_order_that_is_no_longer_an_intent_is_not_sent(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    order = world.committed(run, fence)
    observe(world, order, OutcomeUnknown("timeout"))
    assert may_send(world, order.client_order_id, fence) is not None
    assert may_send(world, ClientOrderId("nobody"), fence)


def test_i5_an_order_is_not_sent_under_a_lost_lease(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    order = world.committed(run, fence)
    assert may_send(world, order.client_order_id, fence + 1) is Reason.LEASE_LOST
    world.expire_leases(0)
    assert may_send(world, order.client_order_id, fence) is Reason.LEASE_LOST


def test_i8_several_orders_are_re_read_at_once_each_for_itself(world: World) -> None:
    """Answers come in the order asked, whatever the order of the rows."""
    sound, elsewhere, stale, settled = world.run("ann"), world.run("bob"), world.run("cid"), world.run("dan")
    fences = {run.id: world.claim(run).fence for run in (sound, elsewhere, stale, settled)}
    orders = {run.id: world.committed(run, fences[run.id]) for run in (sound, elsewhere, stale, settled)}
    world.store.set_kill_switch(on=True, reason="drill", account_id=elsewhere.account_id)
    observe(world, orders[settled.id], OutcomeUnknown("timeout"))
    asked = [
        (orders[settled.id].client_order_id, fences[settled.id]),
        (orders[stale.id].client_order_id, fences[stale.id] - 1),
        (ClientOrderId("nobody"), 1),
        (orders[sound.id].client_order_id, fences[sound.id]),
        (orders[elsewhere.id].client_order_id, fences[elsewhere.id]),
    ]
    refusals = [Reason.OPEN_LEG, Reason.LEASE_LOST, Reason.OPEN_LEG, None, Reason.KILL_SWITCH]
    assert world.store.may_send(asked) == refusals
    assert world.store.may_send(asked[::-1]) == refusals[::-1]
    assert world.store.may_send([]) == []


@pytest.mark.parametrize(
    ("late_by", "reason"), [(timedelta(0), None), (MICRO, Reason.LATE_ENTRY), (MINUTE, Reason.LATE_ENTRY)]
)
def test_i9_an_entry_commits_until_thirty_seconds_after_its_slot(
    world: World, late_by: timedelta, reason: Reason | None
) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.set_now(START + 30 * SECOND + late_by)
    result = world.propose(run, fence)
    assert getattr(result, "reason", None) == reason


def test_i9_the_callers_own_deadline_counts_where_it_is_earlier(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    world.set_now(START + 6 * SECOND)
    assert world.refused(run, fence, deadline=START + 5 * SECOND).reason is Reason.LATE_ENTRY


@pytest.mark.parametrize(("late_by", "reason"), [(timedelta(0), None), (MICRO, Reason.LATE_EXIT)])
def test_i9_a_first_exit_leaves_within_its_timeframe(
    world: World, late_by: timedelta, reason: Reason | None
) -> None:
    run = world.run()
    fence = world.held(run)
    world.set_now(world.slot + Timeframe.M1.delta + late_by)
    assert getattr(world.propose(run, fence, leg=Leg.EXIT), "reason", None) == reason


def test_i4_an_unknown_order_blocks_entries_on_its_account_and_symbol(world: World) -> None:
    account = world.account()
    run = world.run(account=account)
    elsewhere = world.run(account=account, symbol="ETHUSDT")
    world.store.set_limits(run.user_id, RiskLimits(cooldown_after_trade_s=Decimal(0)))
    fence = world.held(run)
    order = world.committed(run, fence, leg=Leg.EXIT)
    observe(world, order, OutcomeUnknown("timeout"))
    world.report(run, fence)
    world.next_slot()
    fence = world.claim(run).fence
    assert world.refused(run, fence).reason is Reason.UNKNOWN_ORDER
    assert world.committed(elsewhere, world.claim(elsewhere).fence).status is OrderStatus.INTENT
    closing = world.committed(run, fence, leg=Leg.EXIT)
    observe(world, order, NotPlaced("absent"))
    world.filled(closing, "100")
    assert world.committed(run, fence).status is OrderStatus.INTENT


def test_an_entry_is_refused_while_the_run_holds_a_position(world: World) -> None:
    """I7: whoever proposes it has not heard of a fill, as a process that was away; the exit comes first."""
    run = world.run()
    world.store.set_limits(run.user_id, RiskLimits(cooldown_after_trade_s=Decimal(0)))
    fence = world.held(run)
    world.report(run, fence)
    world.next_slot()
    fence = world.claim(run).fence
    assert world.refused(run, fence).reason is Reason.ALREADY_OPEN
    world.filled(world.committed(run, fence, leg=Leg.EXIT), "100")
    assert world.committed(run, fence).status is OrderStatus.INTENT


def test_i4_an_unknown_order_is_never_resent(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    order = world.committed(run, fence)
    observe(world, order, OutcomeUnknown("reset"), no_further_attempt=False)
    assert world.refused(run, fence, attempt=2).reason in (Reason.UNKNOWN_ORDER, Reason.OPEN_LEG)


@pytest.mark.parametrize(
    ("quantity", "side", "reason"),
    [
        ("1", OrderSide.SELL, None),
        ("0.4", OrderSide.SELL, None),
        ("1.00000001", OrderSide.SELL, Reason.EXIT_TOO_LARGE),
        ("1", OrderSide.BUY, Reason.NOTHING_TO_EXIT),
    ],
)
def test_i15_an_exit_reduces_at_most_the_runs_own_open_quantity(
    world: World, quantity: str, side: OrderSide, reason: Reason | None
) -> None:
    run = world.run()
    fence = world.held(run)
    for leg in (Leg.EXIT, Leg.FLATTEN):
        result = world.propose(run, fence, leg=leg, quantity=quantity, side=side)
        assert getattr(result, "reason", None) == reason


def test_i15_a_flat_run_has_nothing_to_exit(world: World) -> None:
    run = world.run()
    assert world.refused(run, world.claim(run).fence, leg=Leg.EXIT).reason is Reason.NOTHING_TO_EXIT


def test_i15_leverage_stays_within_the_accounts_limit(world: World) -> None:
    run = world.run(account=world.account(max_leverage=3))
    fence = world.claim(run).fence
    assert world.refused(run, fence, leverage=4).reason is Reason.LEVERAGE_TOO_HIGH
    assert world.committed(run, fence, leverage=3).leverage == 3


def test_i15_an_exit_that_could_open_something_is_refused(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    op = world.intent(run, fence, leg=Leg.EXIT)
    refused = world.settle(replace(op, order=replace(op.order, reduce_only=False)))
    assert isinstance(refused, OpRefused)


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "Infinity"])
def test_i15_a_quantity_that_cannot_be_is_refused(world: World, quantity: str) -> None:
    run = world.run()
    assert isinstance(world.propose(run, world.claim(run).fence, quantity=quantity), OpRefused)


def test_i12_an_order_on_a_foreign_account_is_refused(world: World) -> None:
    run, other = world.run("ann"), world.run("bob")
    op = world.intent(run, world.claim(run).fence)
    foreign = replace(op, order=replace(op.order, account_id=other.account_id))
    assert isinstance(world.settle(foreign), OpRefused)
    assert isinstance(world.settle(replace(op, order=replace(op.order, user_id=other.user_id))), OpRefused)
    assert world.store.orders(run_id=run.id) == []


def test_i18_what_cannot_be_read_is_no_order(world: World) -> None:
    """A run that is not there: the lease cannot be shown to hold, so nothing commits."""
    run = world.run()
    op = world.intent(run, world.claim(run).fence)
    result = world.settle(replace(op, order=replace(op.order, run_id=RunId(world.id()))))
    assert not isinstance(result, IntentCommitted)


def test_a_later_entry_attempt_carries_the_reservation_past_gates_three_to_five(world: World) -> None:
    """Decision 20: the cool-down began with the leg's own reservation and does not stop its retry."""
    run = world.run()
    world.store.set_limits(run.user_id, RiskLimits(max_trades_per_day=1))
    fence = world.claim(run).fence
    first = world.committed(run, fence)
    assert first.reserved
    observe(world, first, NotPlaced("busy"), no_further_attempt=False)
    world.set_now(START + 3 * SECOND)
    second = world.committed(run, fence, attempt=2)
    assert second.reserved
    assert not world.order(first.client_order_id, run).reserved
    assert trades_today(world, run) == 1
    assert world.store.risk(run.user_id).state.last_trade_at == START


def test_a_later_entry_attempt_still_meets_the_pause_and_the_daily_loss(world: World) -> None:
    account = world.account()
    run, other = world.run(account=account), world.run(account=account, symbol="ETHUSDT")
    world.store.set_limits(run.user_id, RiskLimits(cooldown_after_trade_s=Decimal(0)))
    lossy = world.held(other)
    fence = world.claim(run).fence
    first = world.committed(run, fence)
    observe(world, first, NotPlaced("busy"), no_further_attempt=False)
    world.filled(world.committed(other, lossy, leg=Leg.EXIT), "50")
    assert world.refused(run, fence, attempt=2).reason is Reason.PAUSED


@pytest.mark.parametrize("event", [Rejected("margin"), Canceled("user")])
def test_only_an_entry_that_was_never_placed_is_tried_again(world: World, event: object) -> None:
    run = world.run()
    fence = world.claim(run).fence
    first = world.committed(run, fence)
    observe(world, first, Acknowledged("v-1"))
    observe(world, first, event, no_further_attempt=False)
    assert isinstance(world.propose(run, fence, attempt=2), OpRefused)


def test_a_leg_that_was_ended_is_not_tried_again(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    first = world.committed(run, fence)
    observe(world, first, NotPlaced("busy"))
    assert isinstance(world.propose(run, fence, attempt=2), OpRefused)
    assert trades_today(world, run) == 0


def test_operations_of_one_batch_stand_or_fall_alone(world: World) -> None:
    ann, bob = world.run("ann"), world.run("bob")
    good, bad = world.intent(ann, world.claim(ann).fence), world.intent(bob, 0)
    impossible = replace(good, order=replace(good.order, quantity=Decimal(0)))
    results = world.store.settle([bad, impossible, good])
    assert [type(result).__name__ for result in results] == ["IntentRefused", "OpRefused", "IntentCommitted"]
    assert world.store.orders(run_id=bob.id) == []


def test_i11_a_batch_that_fails_unforeseen_leaves_nothing_behind(world: World) -> None:
    run = world.run()
    op = world.intent(run, world.claim(run).fence)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, it must not commit
        world.store.settle([op, object()])  # type: ignore[list-item]
    assert world.store.orders(run_id=run.id) == []
    assert world.event_types(run) == []
    assert trades_today(world, run) == 0
    assert world.settle(op) == IntentCommitted(order=world.store.orders(run_id=run.id)[0])


def test_an_intent_of_another_day_keeps_utc(world: World) -> None:
    run = world.run()
    world.set_now(datetime(2026, 3, 11, 0, 0, tzinfo=UTC))
    world.slot = world.now
    order = world.committed(run, world.claim(run).fence)
    assert order.created_at == world.now
    assert world.order(order.client_order_id, run).slot == world.now


def test_entries_of_one_account_never_need_more_margin_than_it_has(world: World) -> None:
    """Two runs decide in the same slot on the same money: what the first has spoken for, the second has not."""
    account = world.account(balance=Decimal(150), bankroll=Decimal(150))
    first, second = world.run(account=account), world.run(account=account, symbol="ETHUSDT")
    fences = world.claim(first).fence, world.claim(second).fence
    world.store.set_limits(first.user_id, RiskLimits(cooldown_after_trade_s=Decimal(0)))
    order = world.committed(first, fences[0])
    assert world.refused(second, fences[1]).reason is Reason.NO_FREE_MARGIN
    observe(world, order, Rejected("min_notional"))
    world.committed(second, fences[1])
