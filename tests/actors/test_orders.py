"""Orders through the whole application: durable first, never twice, nothing after the switch or a lost lease."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from actors.messages import RowsChanged, SubmitOrder
from core.order import Leg, OrderStatus
from core.run import Direction, RunCommand, RunSettings
from tests.actors.venue import Call
from tests.actors.world import World

BOTH = pytest.mark.parametrize("replayed", [False, True], ids=["live", "replay"])
SEEDS = pytest.mark.parametrize("seed", [None, 1, 2, 3])


def assert_durable_before_sent(calls: list[Call]) -> None:
    """I2: every order the venue saw had been committed, with its fence, sign time and id."""
    committed = {}
    for what, answer in calls:
        if what == "store.settle":
            for result in answer[2]:
                if type(result).__name__ == "IntentCommitted":
                    committed[result.order.client_order_id] = result.order
        elif what == "venue.place":
            stored = committed[answer.client_order_id]
            assert answer == stored, "sent exactly as stored"
            assert stored.fence > 0
            assert stored.sign_ts is not None


@SEEDS
def test_i2_the_venue_never_sees_an_order_without_a_committed_intent(seed: int | None) -> None:
    world = World("uudduududdu-", seed=seed)
    runs = [world.run(user) for user in ("ann", "bob", "cid")]
    world.venue_script.extend(["ok", "refused", "rejected", "lost_reply", "ok", "lost", "slow"])
    world.to_slot(10, plus_s=29)
    assert_durable_before_sent(world.calls)
    ids = [order.client_order_id for order in world.placed()]
    assert len(ids) == len(set(ids)), "I3: no id is sent twice"
    assert all(world.orders(run) for run in runs)


@BOTH
def test_a_flip_exits_first_and_both_legs_fill_at_the_same_opening(replayed: bool) -> None:
    world = World("ud-", replayed=replayed)
    run = world.run()
    world.to_slot(1)
    entry, exit_, flipped = world.orders(run)
    assert [entry.leg, exit_.leg, flipped.leg] == [Leg.ENTRY, Leg.EXIT, Leg.ENTRY]
    assert exit_.reduce_only
    assert not flipped.reduce_only
    assert exit_.quantity == entry.filled_quantity
    assert exit_.average_price == flipped.average_price == Decimal(1000)
    assert world.position(run).quantity < 0
    assert world.tick(run, 1) == ("ok", None)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (Direction.LONG, [Leg.ENTRY, Leg.EXIT, Leg.ENTRY]),
        (Direction.SHORT, [Leg.ENTRY, Leg.EXIT]),
        (Direction.BOTH, [Leg.ENTRY, Leg.EXIT, Leg.ENTRY, Leg.EXIT, Leg.ENTRY]),
    ],
)
def test_a_direction_turns_the_other_side_into_an_exit(direction: Direction, expected: list[Leg]) -> None:
    world = World("udu-")
    run = world.run(settings=RunSettings(direction=direction, order_size_pct=Decimal(10)))
    world.to_slot(2)
    assert [order.leg for order in world.orders(run)] == expected


def test_what_was_not_placed_is_tried_again_as_a_new_attempt() -> None:
    world = World("u--")
    run = world.run()
    world.venue_script.extend(["refused", "limited"])
    world.to_slot(0, plus_s=10)
    assert world.legs(run) == [
        (Leg.ENTRY, 1, "not_placed"),
        (Leg.ENTRY, 2, "not_placed"),
        (Leg.ENTRY, 3, "filled"),
    ]
    first, second, third = world.orders(run)
    assert first.sign_ts is not None
    assert second.sign_ts is not None
    assert first.sign_ts < second.sign_ts
    assert len({first.client_order_id, second.client_order_id, third.client_order_id}) == 3
    assert world.memory.risk(first.user_id).state.day(world.clock.now()).trades == 1


def test_an_entry_is_given_up_at_its_deadline_and_its_reservation_with_it() -> None:
    world = World("u--")
    run = world.run()
    world.venue_script.extend(["refused"] * 10)
    world.to_slot(0, plus_s=45)
    assert world.tick(run, 0) == ("error", "adapter_error")
    orders = world.orders(run)
    assert {order.status for order in orders} == {OrderStatus.NOT_PLACED}
    last = orders[-1].created_at
    assert last is not None
    assert last <= world.slot(0) + timedelta(seconds=30)
    assert not any(order.reserved for order in orders)
    assert world.memory.risk(orders[0].user_id).state.day(world.clock.now()).trades == 0


def test_a_rejected_entry_is_not_tried_again() -> None:
    world = World("u--")
    run = world.run()
    world.venue_script.append("rejected")
    world.to_slot(0, plus_s=20)
    assert world.legs(run) == [(Leg.ENTRY, 1, "rejected")]
    assert world.tick(run, 0) == ("error", "other")
    assert world.memory.risk(world.orders(run)[0].user_id).state.day(world.clock.now()).trades == 0


def test_i4_an_order_of_unknown_fate_is_looked_up_and_never_sent_again() -> None:
    """I4: found at the venue, it is adopted."""
    world = World("uu-")
    run = world.run()
    world.venue_script.append("lost_reply")
    world.to_slot(0, plus_s=2)
    assert world.legs(run) == [(Leg.ENTRY, 1, "unknown")]
    assert world.tick(run, 0) == ("error", "unknown_order")
    world.to_slot(0, plus_s=10)
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled")]
    assert world.position(run).quantity > 0
    world.to_slot(1)
    assert world.tick(run, 1) == ("ok", "already_open")
    assert len(world.placed()) == 1


def test_i4_an_unknown_order_blocks_entries_until_its_absence_is_final() -> None:
    """I4: absent twice, late enough and 5 s apart, is not placed; resolved within 60 s."""
    world = World("uu-")
    run = world.run()
    world.venue_script.append("lost")
    world.to_slot(0, plus_s=14)
    assert world.legs(run) == [(Leg.ENTRY, 1, "unknown")]
    world.to_slot(0, plus_s=40)
    assert world.legs(run) == [(Leg.ENTRY, 1, "not_placed")]
    assert not world.orders(run)[0].reserved
    world.to_slot(1)
    assert world.legs(run)[1:] == [(Leg.ENTRY, 1, "filled")]


def test_i4_an_exit_of_unknown_fate_is_tried_again_once_it_is_known_not_to_be_there() -> None:
    world = World("ud---")
    run = world.run(settings=RunSettings(direction=Direction.LONG, order_size_pct=Decimal(10)))
    world.to_slot(0)
    world.venue_script.append("lost")
    world.to_slot(1, plus_s=10)
    assert world.legs(run)[1:] == [(Leg.EXIT, 1, "unknown")]
    world.to_slot(2)
    assert world.legs(run)[1:] == [(Leg.EXIT, 1, "not_placed"), (Leg.EXIT, 2, "filled")]
    assert world.position(run).is_flat


@pytest.mark.parametrize("outcome", ["refused", "rejected"])
def test_an_exit_is_tried_until_flat_beyond_its_tick_and_through_a_pause(outcome: str) -> None:
    """Decision 21: later attempts go on in every run status, each under a lease of its own."""
    world = World("ud-----")
    run = world.run(settings=RunSettings(direction=Direction.LONG, order_size_pct=Decimal(10)))
    world.to_slot(0)
    world.venue_script.extend([outcome] * 8)
    world.to_slot(1, plus_s=20)
    assert world.tick(run, 1) == ("error", "adapter_error")
    world.memory.command(run, RunCommand.PAUSE, by="ann")
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(4)
    assert world.position(run).is_flat
    exits = [order for order in world.orders(run) if order.leg is Leg.EXIT]
    assert [order.attempt for order in exits] == list(range(1, 10))
    assert len({order.fence for order in exits[5:]}) == 4
    assert exits[4].fence < exits[5].fence


def test_an_owed_exit_waits_while_the_switch_is_on_and_goes_on_afterwards() -> None:
    world = World("ud------")
    run = world.run(settings=RunSettings(direction=Direction.LONG, order_size_pct=Decimal(10)))
    world.to_slot(0)
    world.venue_script.extend(["refused"] * 5)
    world.to_slot(1, plus_s=20)
    world.memory.set_kill_switch(on=True, reason="drill")
    sent = len(world.placed())
    world.to_slot(4)
    assert len(world.placed()) == sent, "I8: the switch blocks exits too"
    assert not world.position(run).is_flat
    world.memory.set_kill_switch(on=False, reason="over")
    world.to_slot(5)
    assert world.position(run).is_flat


def test_i8_a_switch_set_between_intent_and_send_stops_the_order() -> None:
    """I8: re-read before the first byte; the tick is blocked, nothing was sent, nothing stays reserved."""
    world = World("u--")
    run = world.run()
    world.store.before["may_send"] = lambda: world.memory.set_kill_switch(on=True, reason="drill")
    world.to_slot(0, plus_s=20)
    assert world.placed() == []
    assert world.legs(run) == [(Leg.ENTRY, 1, "not_placed")]
    assert world.tick(run, 0) == ("blocked", "kill_switch")
    assert world.memory.risk(world.orders(run)[0].user_id).state.day(world.clock.now()).trades == 0


def test_i8_a_process_that_stood_still_after_the_re_read_sends_nothing_on_its_word() -> None:
    """Whatever it was told a second ago may have changed: it asks once more, and a new attempt asks anew."""
    world = World("u--")
    run = world.run()

    def stand_still() -> None:
        world.clock.move_to(world.clock.us + 1_500_000)

    def stand_still_twice() -> None:
        stand_still()
        world.store.before["may_send"] = stand_still

    world.store.before["may_send"] = stand_still_twice
    world.to_slot(0, plus_s=10)
    assert world.legs(run) == [(Leg.ENTRY, 1, "not_placed"), (Leg.ENTRY, 2, "filled")]
    assert len(world.placed()) == 1
    assert world.status(run).adapter_errors == 0


def test_i8_what_was_re_read_before_a_process_stood_still_is_re_read_again() -> None:
    """The switch that was set meanwhile holds."""
    world = World("u--")
    run = world.run()

    def stand_still() -> None:
        world.clock.move_to(world.clock.us + 200_000)
        world.store.before["may_send"] = lambda: world.memory.set_kill_switch(on=True, reason="drill")

    world.store.before["may_send"] = stand_still
    world.to_slot(0, plus_s=10)
    assert world.placed() == []
    assert world.legs(run) == [(Leg.ENTRY, 1, "not_placed")]
    assert world.tick(run, 0) == ("blocked", "kill_switch")


@pytest.mark.parametrize(("answer", "asked"), [("slow", 1), ("ok", 2)])
def test_i3_an_order_told_twice_to_its_account_is_executed_once(answer: str, asked: int) -> None:
    """While it is out it is not sent again; once it was answered, the venue knows its id."""
    world = World("u--")
    run = world.run()
    world.venue_script.append(answer)

    def tell_again() -> None:
        world.system.ref("gateway").tell(SubmitOrder(order=world.orders(run)[0]))

    world.store.before["may_send"] = tell_again
    world.to_slot(0, plus_s=20)
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled")]
    assert world.position(run).quantity == world.orders(run)[0].quantity
    assert len(world.placed()) == asked


@pytest.mark.parametrize("held", [False, True], ids=["flat", "open"])
def test_i8_a_switch_that_is_on_blocks_ticks_exits_included(held: bool) -> None:
    world = World("udu-")
    run = world.run()
    if held:
        world.to_slot(0)
    account_id = world.status(run).account_id
    world.memory.set_kill_switch(on=True, reason="drill", account_id=account_id)
    sent = len(world.placed())
    world.to_slot(2)
    assert world.tick(run, 1) == ("blocked", "kill_switch")
    assert len(world.placed()) == sent


def test_i5_a_lease_lost_before_the_intent_leaves_no_order() -> None:
    world = World("u--")
    run = world.run()
    world.store.before["settle"] = lambda: world.memory.forget_lease(run)
    world.to_slot(0, plus_s=20)
    assert world.orders(run) == []
    assert world.tick(run, 0) == ("error", "lease_lost")


def test_i5_a_lease_lost_between_intent_and_send_sends_nothing() -> None:
    world = World("u--")
    run = world.run()
    world.store.before["may_send"] = lambda: world.memory.forget_lease(run)
    world.to_slot(0, plus_s=20)
    assert world.placed() == []
    assert world.tick(run, 0) == ("error", "lease_lost")
    assert not world.orders(run)[0].reserved


def test_i5_nothing_is_proposed_once_trust_in_the_lease_is_over() -> None:
    """A tick that waits for its venue longer than it may trust its lease has no further effect."""
    world = World("ud" + "-" * 6)
    run = world.run(settings=RunSettings(direction=Direction.LONG, order_size_pct=Decimal(10)))
    world.to_slot(0)
    world.venue_script.extend(["slow"] * 100)
    world.to_slot(1, plus_s=0.5)
    before = len(world.orders(run))
    world.clock.move_to(world.clock.us + 115_000_000)
    world.venue_script.clear()
    world.wait(3)
    fences = {order.fence for order in world.orders(run)[before:]}
    assert all(fence != world.orders(run)[before - 1].fence for fence in fences)


def test_i15_an_exit_is_reduce_only_and_closes_exactly_what_is_open() -> None:
    world = World("uuddud-")
    run = world.run(settings=RunSettings(order_size_pct=Decimal(33), leverage=3))
    world.to_slot(5)
    for order in world.orders(run):
        assert order.reduce_only == (order.leg is Leg.EXIT)
        assert order.leverage == 3
    filled = sum(order.filled_quantity * order.side.sign for order in world.orders(run))
    assert filled == world.position(run).quantity


def test_signals_runs_publish_and_never_order() -> None:
    world = World("udu-")
    run = world.run(signals=True)
    world.to_slot(2)
    assert [tick.signal for tick in world.ticks(run)] == ["long", "short", "long"]
    assert world.placed() == []
    assert [event.payload["signal"] for event in world.events(run, "signal")] == ["long", "short", "long"]
