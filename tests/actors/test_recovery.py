"""What dies, hangs or cannot be reached: no order without a durable intent, no fill lost, nothing booked twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.messages import TickRequested
from actors.runtime.spec import StopMode
from core.ids import NodeId, OrderKey, RunId, UserId, client_order_id
from core.order import Leg, OrderStatus, OutcomeUnknown
from core.position import Fill, OrderSide
from core.residency import home
from core.run import Direction, RunCommand, RunSettings
from core.timeframe import Timeframe
from schema.ops import ObserveFill, ObserveOrder, ProposeIntent
from schema.store import StoreUnavailable
from tests.actors.test_orders import assert_durable_before_sent
from tests.actors.world import World

LONG_ONLY = RunSettings(direction=Direction.LONG, order_size_pct=Decimal(10))


@pytest.mark.parametrize("method", ["settle", "may_send", "claim"])
def test_i18_without_the_store_there_is_no_order(method: str) -> None:
    """I18: an error reading gate, switch or lease sends nothing."""
    world = World("u--")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=3))
    world.store.down.add(method)
    world.to_slot(0, plus_s=40)
    assert world.placed() == []
    world.store.down.clear()
    world.wait(30)
    assert world.placed() == []
    assert not any(order.reserved for order in world.orders(run))
    assert world.memory.open_orders(run_id=run) == []


def test_i18_an_intent_whose_answer_was_lost_is_withdrawn_and_never_sent() -> None:
    world = World("uu--")
    run = world.run()
    world.store.lost_answers.append("settle")
    world.to_slot(0, plus_s=20)
    assert world.tick(run, 0) == ("error", "store_unavailable")
    assert world.legs(run) == [(Leg.ENTRY, 1, "not_placed")]
    assert world.placed() == []
    assert world.memory.risk(world.orders(run)[0].user_id).state.day(world.clock.now()).trades == 0
    world.to_slot(1)
    assert world.legs(run)[1:] == [(Leg.ENTRY, 1, "filled")]


def test_a_run_restarted_while_its_intent_commits_withdraws_it_and_does_not_fail_again() -> None:
    """The answer comes before its row has been read."""
    world = World("u--")
    run = world.run()
    world.store.before["settle"] = lambda: world.crash(f"run:{run}")
    world.to_slot(0, plus_s=20)
    assert [action for action, _ in world.reports if action == "actor_failed"] == ["actor_failed"]
    assert world.legs(run) == [(Leg.ENTRY, 1, "not_placed")]
    assert not any(order.reserved for order in world.orders(run))
    assert world.placed() == []


@pytest.mark.parametrize("lost", [False, True], ids=["down", "answer lost"])
def test_observations_are_kept_while_the_store_is_down_and_settle_once(lost: bool) -> None:
    world = World("u---")
    run = world.run()
    place_seen = world.calls

    def fail_next() -> None:
        if lost:
            world.store.lost_answers.append("settle")
        else:
            world.store.down.add("settle")

    world.store.before["may_send"] = fail_next
    world.to_slot(0, plus_s=1)
    assert any(what == "venue.place" for what, _ in place_seen)
    world.wait(10)
    world.store.down.clear()
    world.wait(10)
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled")]
    assert len(world.events(run, "order_fill")) == 1
    assert world.position(run).quantity == world.orders(run)[0].quantity


def test_a_refusal_whose_answer_was_lost_still_reaches_its_tick() -> None:
    """Told again it changes nothing in the row; the tick that waits has not heard of it all the same."""
    world = World("u---")
    run = world.run()
    world.venue_script.append("refused")
    world.store.before["may_send"] = lambda: world.store.lost_answers.append("settle")
    world.to_slot(0, plus_s=20)
    assert world.legs(run) == [(Leg.ENTRY, 1, "not_placed"), (Leg.ENTRY, 2, "filled")]
    assert world.tick(run, 0) == ("ok", None)


def test_a_stop_set_for_a_position_that_another_process_closed_ends_nothing() -> None:
    """I7: the account of this process is outdated; it is read anew and the run goes on from its row."""
    world = World("u---d--u--", wicks={2: (900.0, 1010.0)})
    run = world.run(settings=replace(LONG_ONLY, stop_loss_pct=Decimal(1)))
    world.to_slot(0, plus_s=30)
    close_elsewhere(world, run)
    world.to_slot(4)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.EXIT]
    assert world.position(run).is_flat
    world.to_slot(7)
    assert world.position(run).quantity > 0


def test_i4_an_owed_exit_that_another_process_has_sent_is_looked_up_here() -> None:
    """I4: what became of it is learnt within a minute, not when the next slot is claimed; then attempts go on."""
    world = World("ud-----", timeframe=Timeframe.M15)
    run = world.run(settings=LONG_ONLY)
    world.to_slot(0)
    world.venue_script.extend(["refused"] * 20)
    world.to_slot(1, plus_s=70)
    world.venue_script.clear()
    sent = [order for order in world.orders(run) if order.leg is Leg.EXIT]
    assert sent
    assert not world.position(run).is_flat
    exit_elsewhere(world, run, attempt=len(sent) + 1)
    world.wait(60)
    assert "unknown" not in [status for _, _, status in world.legs(run)]
    world.wait(60)
    assert world.orders(run)[-1].attempt > len(sent) + 1


def test_i4_an_order_of_the_process_that_had_the_run_before_is_looked_up_here() -> None:
    """It was committed after this process had read the rows; no slot and no exit of its own would tell for long."""
    world = World("u------", timeframe=Timeframe.M15)
    run = world.run("cid", settings=LONG_ONLY)
    world.to_slot(0, plus_s=10)
    another = NodeId("another")
    assert home(UserId("cid"), [another, NodeId("node")]) == "node"
    world.memory.beat(another, "1")
    world.wait(12)
    exit_elsewhere(world, run, attempt=1)
    world.wait(60)
    assert (Leg.EXIT, 1, "not_placed") in world.legs(run)


@pytest.mark.parametrize("status", ["active", "paused"])
def test_i4_an_order_of_unknown_fate_is_looked_up_by_a_restarted_gateway(status: str) -> None:
    world = World("uu-----", timeframe=Timeframe.M15)
    run = world.run()
    world.venue_script.append("lost_reply")
    world.to_slot(0, plus_s=2)
    assert world.legs(run) == [(Leg.ENTRY, 1, "unknown")]
    if status == "paused":
        world.memory.command(run, RunCommand.PAUSE, by="ann")
    world.crash("gateway")
    world.wait(60)
    assert "unknown" not in [status for _, _, status in world.legs(run)]


def test_i4_an_order_of_a_run_that_is_stopped_is_looked_up_all_the_same() -> None:
    """Another process sent it and went; the run has no actor any more that would ask."""
    world = World("u------", timeframe=Timeframe.M15)
    run = world.run(settings=LONG_ONLY)
    world.to_slot(0, plus_s=10)
    exit_elsewhere(world, run, attempt=1)
    world.memory.command(run, RunCommand.STOP, by="ann")
    world.wait(60)
    assert (Leg.EXIT, 1, "not_placed") in world.legs(run)


def test_i4_an_order_of_a_run_that_was_stopped_before_the_start_is_looked_up() -> None:
    world = World("uu-----", timeframe=Timeframe.M15)
    run = world.run()
    world.venue_script.append("lost_reply")
    world.to_slot(0, plus_s=2)
    world.end(StopMode.NOW)
    assert world.legs(run) == [(Leg.ENTRY, 1, "unknown")]
    world.memory.command(run, RunCommand.STOP, by="ann")
    world.begin()
    world.wait(60)
    assert "unknown" not in [status for _, _, status in world.legs(run)]


def exit_elsewhere(world: World, run: RunId, *, attempt: int) -> None:
    """An attempt of another process to close, of which nothing is known: the process has gone."""
    fence = world.memory.acquire(run, owner="another", ttl_s=1.0)
    assert fence is not None
    last = world.orders(run)[-1]
    key = OrderKey(run_id=run, slot=last.slot, leg="exit", attempt=attempt)
    order = replace(
        last,
        client_order_id=client_order_id(key),
        leg=Leg.EXIT,
        side=OrderSide.SELL,
        quantity=world.position(run).size,
        reduce_only=True,
        reserved=False,
        attempt=attempt,
        sign_ts=world.clock.now(),
        fence=fence,
        status=OrderStatus.INTENT,
        filled_quantity=Decimal(0),
        filled_value=Decimal(0),
    )
    world.memory.settle([ProposeIntent(order=order, deadline=world.slot(3))])
    unknown = OutcomeUnknown("timeout")
    world.memory.settle([ObserveOrder(client_order_id=order.client_order_id, event=unknown)])


def close_elsewhere(world: World, run: RunId) -> None:
    """What another process does when it ticks the run: an exit, filled."""
    fence = world.memory.acquire(run, owner="another", ttl_s=5.0)
    assert fence is not None
    entry, position, slot = world.orders(run)[0], world.position(run), world.slot(0)
    key = OrderKey(run_id=run, slot=slot, leg="exit", attempt=1)
    order = replace(
        entry,
        client_order_id=client_order_id(key),
        leg=Leg.EXIT,
        side=OrderSide.SELL,
        quantity=position.size,
        reduce_only=True,
        fence=fence,
        status=OrderStatus.INTENT,
        filled_quantity=Decimal(0),
        filled_value=Decimal(0),
        reserved=False,
    )
    fill = Fill(
        trade_id="elsewhere",
        side=OrderSide.SELL,
        quantity=position.size,
        price=Decimal(1010),
        commission=Decimal(0),
        executed_at=world.clock.now(),
    )
    world.memory.settle(
        [
            ProposeIntent(order=order, deadline=world.slot(9)),
            ObserveFill(
                account_id=entry.account_id,
                symbol=entry.symbol,
                fill=fill,
                client_order_id=order.client_order_id,
            ),
        ]
    )
    world.memory.release([(run, fence)])


def test_observations_survive_a_restart_of_the_ledger() -> None:
    """The ledger fails while the transaction with the fill is under way and cannot tell whether it committed."""
    world = World("u---")
    run = world.run()

    def fail_next() -> None:
        def crash_and_refuse() -> None:
            world.crash("risk_ledger")
            raise StoreUnavailable("a drill")

        world.store.before["settle"] = crash_and_refuse

    world.store.before["may_send"] = fail_next
    world.to_slot(0, plus_s=20)
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled")]
    assert len(world.events(run, "order_fill")) == 1
    assert world.tick(run, 0) == ("ok", None)


def test_tick_rows_are_kept_while_the_store_is_down() -> None:
    world = World("uu--")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=1))
    world.store.down.add("report")
    world.to_slot(0, plus_s=20)
    assert world.ticks(run) == []
    world.store.down.clear()
    world.wait(10)
    assert world.tick(run, 0) == ("ok", None)
    world.to_slot(1)
    assert world.tick(run, 1) == ("ok", "already_open")


@pytest.mark.parametrize(
    "name", ["run", "account", "risk_ledger", "gateway", "scheduler", "journal", "evaluator"]
)
@pytest.mark.parametrize("point", ["claim", "settle", "may_send", "report"])
@pytest.mark.parametrize("seed", [None, 7])
def test_i3_an_actor_that_fails_between_two_effects_leaves_one_order_and_nothing_open(
    name: str, point: str, seed: int | None
) -> None:
    """I3: at most one venue order per intent; after reconciliation store and venue agree."""
    world = World("u-d--u----", seed=seed)
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=3))
    account = world.status(run).account_id
    target = {"run": f"run:{run}", "account": f"account:{account}"}.get(name, name)

    def crash() -> None:
        try:
            world.crash(target)
        except LookupError:
            return

    world.store.before[point] = crash
    world.to_slot(0, plus_s=25)
    world.store.before[point] = crash
    world.to_slot(7)
    assert_durable_before_sent(world.calls)
    ids = [order.client_order_id for order in world.placed()]
    assert len(ids) == len(set(ids))
    assert world.memory.open_orders(run_id=run) == []
    filled = sum(order.filled_quantity * order.side.sign for order in world.orders(run))
    assert filled == world.position(run).quantity
    trades = world.memory.risk(world.orders(run)[0].user_id).state.day(world.clock.now()).trades if ids else 0
    entries = {(o.slot, o.leg) for o in world.orders(run) if o.leg is Leg.ENTRY and o.filled_quantity}
    assert trades == len(entries)


@pytest.mark.parametrize("actor", ["run", "account"])
def test_i17_reconciling_twice_emits_nothing_the_second_time(actor: str) -> None:
    world = World("u----")
    run = world.run()
    world.venue_script.append("lost_reply")
    world.to_slot(0, plus_s=2)
    target = f"run:{run}" if actor == "run" else f"account:{world.status(run).account_id}"
    world.crash(target)
    world.to_slot(0, plus_s=40)
    assert world.orders(run)[0].status in (OrderStatus.FILLED, OrderStatus.NOT_PLACED)
    events = len(world.events())
    world.crash(target)
    world.wait(10)
    world.crash(target)
    world.wait(5)
    assert len([e for e in world.events() if e.type != "signal"]) == len(
        [e for e in world.events()[:events] if e.type != "signal"]
    )


@pytest.mark.parametrize("point", ["settle", "may_send", "report"])
def test_a_process_that_died_mid_order_is_taken_up_by_the_next(point: str) -> None:
    """The intent it left is ended, its lease runs out, the slot becomes `interrupted` and is not run again (I1)."""
    world = World("uu---u-")
    run = world.run()
    died: list[bool] = []
    world.store.before[point] = lambda: died.append(True)
    world.to(world.slot(0) - timedelta(seconds=3))
    assert world.system.virtual is not None
    while not died:
        world.system.virtual.step()
    world.begin()
    world.to_slot(3)
    assert world.memory.open_orders(run_id=run) == []
    assert not any(order.reserved and not order.filled_quantity for order in world.orders(run))
    world.to_slot(5)
    assert world.position(run).quantity > 0
    assert len([order for order in world.orders(run) if order.filled_quantity]) == 1


def test_an_owed_exit_survives_a_restart_of_its_run() -> None:
    world = World("ud-----")
    run = world.run(settings=LONG_ONLY)
    world.to_slot(0)
    world.venue_script.extend(["refused"] * 5)
    world.to_slot(1, plus_s=20)
    assert not world.position(run).is_flat
    world.crash(f"run:{run}")
    world.to_slot(3)
    assert world.position(run).is_flat


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_i16_a_drain_claims_nothing_more_and_ends_orders_in_flight_recorded(seed: int | None) -> None:
    world = World("uuu-", seed=seed)
    run = world.run()
    world.venue_script.append("slow")
    world.to_slot(0, plus_s=1)
    assert world.tick(run, 0) is None
    world.end(StopMode.DRAIN)
    assert world.tick(run, 0) == ("ok", None)
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled")]
    assert world.position(run).quantity > 0
    claims = sum(what == "store.claim" for what, _ in world.calls)
    assert claims == 1


def test_i16_nothing_is_claimed_while_the_runs_drain() -> None:
    world = World("uuu-")
    run, other = world.run("ann"), world.run("bob")
    world.venue_script.extend(["slow", "slow"])
    world.to_slot(0, plus_s=1)
    asked = TickRequested(run_id=other, slot=world.slot(1))
    scheduler = world.system.ref("scheduler")
    assert world.system.virtual is not None
    world.system.virtual.call_at(world.clock.us + 2_000_000, lambda: scheduler.tell(asked))
    world.end(StopMode.DRAIN)
    assert [world.tick(each, 0) for each in (run, other)] == [("ok", None)] * 2
    assert sum(what == "store.claim" for what, _ in world.calls) == 1


def test_i16_a_drain_enters_nothing_new() -> None:
    """The exit of a flip ends recorded; its entry is not made any more."""
    world = World("udd-")
    run = world.run()
    world.to_slot(0)
    world.venue_script.append("slow")
    world.to_slot(1, plus_s=1)
    world.end(StopMode.DRAIN)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.EXIT]
    assert world.position(run).is_flat
    assert world.tick(run, 1) is not None


def test_i16_a_claim_under_way_when_the_drain_begins_starts_no_order() -> None:
    world = World("uuu-")
    run = world.run()
    world.to(world.slot(0) - timedelta(seconds=1))
    world.end(StopMode.DRAIN)
    assert world.orders(run) == []


def test_a_ledger_operation_that_fails_by_a_fault_of_ours_halts_its_run_alone() -> None:
    """I20: neither the ledger nor another user's orders stop."""
    world = World("ud--")
    broken, sound = world.run("ann"), world.run("bob")
    settle = world.memory.settle

    def faulty(ops: list[object]) -> object:
        if any(getattr(op, "run_id", None) == broken for op in ops):
            raise ZeroDivisionError("a drill")
        return settle(ops)  # type: ignore[arg-type]

    world.memory.settle = faulty  # type: ignore[method-assign, assignment]
    world.to_slot(0, plus_s=50)
    assert world.status(broken).status == "error"
    assert world.legs(sound) == [(Leg.ENTRY, 1, "filled")]
    world.to_slot(1)
    assert world.position(sound).quantity < 0


@pytest.mark.parametrize("command", [RunCommand.PAUSE, RunCommand.STOP])
def test_a_position_of_a_run_that_does_not_tick_is_followed_by_the_next_process(command: RunCommand) -> None:
    world = World("u-----", wicks={4: (900.0, 1010.0)})
    run = world.run(settings=replace(LONG_ONLY, stop_loss_pct=Decimal(1)))
    world.to_slot(0)
    world.memory.command(run, command, by="ann")
    world.end()
    world.wait_dead(90)
    world.begin()
    world.to_slot(4)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.STOP_LOSS]
    assert world.position(run).is_flat


@pytest.mark.parametrize("status", ["active", "stopped"])
def test_i3_a_restarted_gateway_follows_every_open_position_again(status: str) -> None:
    """Stop and target work on, though no run has an order to send."""
    world = World("u-----", wicks={4: (900.0, 1010.0)})
    run = world.run(settings=replace(LONG_ONLY, stop_loss_pct=Decimal(1)))
    world.to_slot(0)
    if status == "stopped":
        world.memory.command(run, RunCommand.STOP, by="ann")
        world.to_slot(1)
    world.crash("gateway")
    world.to_slot(4)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.STOP_LOSS]
    assert world.position(run).is_flat
