"""Closing a position: through the ledger and the account, until flat; past the switches on an operator's word."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import cast
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.flattener import Flattener
from actors.messages import FlattensAsked
from actors.runtime.behaviour import Context
from actors.runtime.spec import ChildSpec
from core.ids import AccountId, RunId
from core.order import Leg, Order
from core.run import RunCommand
from exchanges.errors import ErrorKind, Unreachable
from schema.flattens import Flatten, FlattenOutcome
from schema.store import Store
from tests.actors.candles import SYMBOL
from tests.actors.live.world import LiveWorld
from tests.actors.test_orders import assert_durable_before_sent
from tests.actors.world import World


class Requests:
    """A `FlattenStore` that keeps them in a list."""

    def __init__(self) -> None:
        self.waiting: list[Flatten] = []
        self.ended: dict[UUID, FlattenOutcome] = {}

    def open(self) -> Sequence[Flatten]:
        return list(self.waiting)

    def end(self, flatten_id: UUID, outcome: FlattenOutcome) -> None:
        self.waiting = [each for each in self.waiting if each.id != flatten_id]
        self.ended[flatten_id] = outcome


def closing(world: World) -> Requests:
    """Has the world a Flattener, whose requests these are."""
    requests = Requests()

    def flattener(ctx: Context) -> Flattener:
        knowledge = world.parts.knowledge
        store = cast(Store, world.store)
        return Flattener(ctx, rows=requests, store=store, knowledge=knowledge, worker="worker", lease_s=120.0)

    world.more = [ChildSpec(id="flattener", factory=flattener)]
    return requests


def ask(world: World, requests: Requests, run_id: RunId, *, by_operator: bool = True) -> UUID:
    run = world.status(run_id)
    assert run.account_id is not None
    request = Flatten(
        id=world.id(),
        run_id=run_id,
        user_id=run.user_id,
        account_id=AccountId(run.account_id),
        symbol=SYMBOL,
        asked_by="root" if by_operator else "ann",
        by_operator=by_operator,
        asked_at=world.clock.now(),
    )
    requests.waiting.append(request)
    world.system.ref("flattener").tell(FlattensAsked())
    return request.id


class Closing(World):
    """On paper, with its requests."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.requests = closing(self)

    def ask(self, run_id: RunId, *, by_operator: bool = True) -> UUID:
        return ask(self, self.requests, run_id, by_operator=by_operator)


def opened(path: str = "uuuuuuuuuu") -> tuple[Closing, RunId]:
    """A run that is long, paused so that it does not enter again."""
    world = Closing(path)
    run = world.run()
    world.to_slot(1, plus_s=20)
    world.memory.command(run, RunCommand.PAUSE, by="ann")
    world.wait(11)
    assert world.position(run).quantity > 0
    return world, run


def flattens(world: World, run: RunId) -> list[tuple[int, str]]:
    return [(order.attempt, order.status.value) for order in world.orders(run) if order.leg is Leg.FLATTEN]


def test_an_open_position_is_closed_reduce_only_as_a_committed_intent() -> None:
    world, run = opened()
    quantity = world.position(run).size
    asked = world.ask(run)
    world.to_slot(2, plus_s=5)
    order = world.orders(run)[-1]
    assert (order.leg, order.reduce_only, order.filled_quantity) == (Leg.FLATTEN, True, quantity)
    assert world.position(run).is_flat
    assert world.requests.ended == {asked: FlattenOutcome.FLAT}
    assert_durable_before_sent(world.calls)
    [trade] = world.memory.trades(run_id=run)
    assert trade.exit_reason == "flatten"
    lease = next(each for each in world.memory.leases() if each.run_id == run)
    assert lease.locked_s <= 0, "the run's next slot is free"


@pytest.mark.parametrize("of_account", [True, False])
def test_i8_a_flatten_alone_passes_the_kill_switches(of_account: bool) -> None:
    world, run = opened()
    world.memory.command(run, RunCommand.RESUME, by="ann")
    account = world.status(run).account_id if of_account else None
    world.memory.set_kill_switch(on=True, reason="test", account_id=account)
    world.ask(run)
    world.to_slot(6)
    assert world.position(run).is_flat
    assert flattens(world, run) == [(1, "filled")]
    assert len(world.placed()) == 2, "the entry before and the flatten; nothing else leaves"


@pytest.mark.parametrize("taken_over", [True, False])
def test_i8_an_owners_request_waits_for_the_switch_to_go_off_or_an_operator_to_take_it_over(
    taken_over: bool,
) -> None:
    world, run = opened()
    world.memory.set_kill_switch(on=True, reason="test")
    asked = world.ask(run, by_operator=False)
    world.to_slot(5)
    assert (flattens(world, run), world.position(run).quantity > 0) == ([], True)
    if taken_over:
        world.requests.waiting = [replace(each, by_operator=True) for each in world.requests.waiting]
    else:
        world.memory.set_kill_switch(on=False, reason="over")
    world.to_slot(8)
    assert flattens(world, run) == [(1, "filled")], "what was refused took no attempt"
    assert world.requests.ended == {asked: FlattenOutcome.FLAT}


def test_i8_an_owners_order_that_a_switch_overtakes_is_not_sent() -> None:
    world, run = opened()
    world.store.before["may_send"] = lambda: world.memory.set_kill_switch(on=True, reason="drill")
    world.ask(run, by_operator=False)
    world.to_slot(5)
    assert flattens(world, run) == [(1, "not_placed")]
    assert (len(world.placed()), world.position(run).quantity > 0) == (1, True)


def test_a_stopped_run_without_an_actor_is_closed_as_well() -> None:
    world, run = opened()
    world.memory.command(run, RunCommand.STOP, by="ann")
    world.wait(11)
    assert not world.is_alive(run)
    world.ask(run)
    world.to_slot(3)
    assert world.position(run).is_flat


def test_what_the_run_enters_afterwards_is_not_chased() -> None:
    world, run = opened()
    world.memory.command(run, RunCommand.RESUME, by="ann")
    world.ask(run)
    world.to_slot(5)
    assert flattens(world, run) == [(1, "filled")]
    assert world.position(run).quantity > 0


def test_an_entry_that_fills_between_two_reads_is_not_taken_for_what_was_to_be_closed() -> None:
    """Of a run that closed and entered anew while it was looked at: read first, its orders tell nothing of it."""
    world, run = opened()
    world.memory.command(run, RunCommand.RESUME, by="ann")
    world.ask(run)
    [request] = world.requests.waiting
    orders_then = world.memory.orders(run_id=run)
    world.to_slot(5)
    held = world.position(run)
    assert held.quantity > 0

    def read_too_early(**_: object) -> list[Order]:
        del vars(world.store)["orders"]
        return orders_then

    vars(world.store)["orders"] = read_too_early
    again = replace(request, id=world.id())
    world.requests.waiting.append(again)
    world.system.ref("flattener").tell(FlattensAsked())
    world.wait(130)
    assert flattens(world, run) == [(1, "filled")]
    assert world.requests.ended[again.id] is FlattenOutcome.FLAT
    assert world.position(run) == held


def test_what_was_not_placed_is_tried_again_until_it_is_flat() -> None:
    world, run = opened()
    world.venue_script.extend(["refused", "refused"])
    asked = world.ask(run)
    world.to_slot(5)
    assert flattens(world, run) == [(1, "not_placed"), (2, "not_placed"), (3, "filled")]
    assert world.requests.ended == {asked: FlattenOutcome.FLAT}


def test_i3_i4_an_order_whose_answer_is_lost_is_looked_up_and_not_sent_again() -> None:
    world, run = opened()
    world.venue_script.extend(["lost_reply"])
    asked = world.ask(run)
    world.to_slot(6)
    assert flattens(world, run) == [(1, "filled")]
    assert world.requests.ended == {asked: FlattenOutcome.FLAT}


def test_a_request_is_taken_up_by_the_next_process_and_one_for_what_is_flat_just_ends() -> None:
    world, run = opened()
    asked = world.ask(run)
    world.end()
    world.begin()
    world.to_slot(3)
    assert world.requests.ended == {asked: FlattenOutcome.FLAT}
    again = world.ask(run)
    world.wait(5)
    assert world.requests.ended[again] is FlattenOutcome.FLAT
    assert flattens(world, run) == [(1, "filled")]


def test_a_lease_held_elsewhere_is_waited_for() -> None:
    """I5: the tick of another process is never interfered with."""
    world, run = opened()
    fence = world.memory.acquire(run, owner="other", ttl_s=40.0)
    assert fence is not None
    world.ask(run)
    world.to_slot(2)
    assert (flattens(world, run), world.position(run).quantity > 0) == ([], True)
    world.to_slot(4)
    assert world.position(run).is_flat


def test_i15_a_live_position_is_closed_at_its_venue_within_its_filters_and_its_stop_is_gone() -> None:
    world = LiveWorld("uuuuuuuuuu")
    requests = closing(world)
    run = world.live_run(stop_loss_pct=Decimal(50))
    world.to_slot(1, plus_s=20)
    quantity = world.position(run).size
    asked = ask(world, requests, run)
    world.venue.fail("place", Unreachable(ErrorKind.CONNECTION, "away"))
    world.to_slot(3, plus_s=20)
    attempts = [order for order in world.orders(run) if order.leg is Leg.FLATTEN]
    assert next(order.status.value for order in attempts) == "not_placed"
    assert attempts[-1].filled_quantity == quantity
    assert requests.ended == {asked: FlattenOutcome.FLAT}
    assert [order.reduce_only for order in world.venue.asked("place") if order.leg is Leg.FLATTEN] == [
        True
    ] * len(attempts)


def test_an_account_followed_by_another_process_is_left_to_it() -> None:
    world, run = opened()
    request = world.ask(run)
    world.requests.waiting[0] = replace(world.requests.waiting[0], account_id=AccountId(UUID(int=99)))
    world.to_slot(4)
    assert (flattens(world, run), request in world.requests.ended) == ([], False)


@pytest.mark.parametrize("answer", [None, "lost_reply"])
def test_an_entry_that_was_on_its_way_when_the_close_was_asked_is_closed_once_it_has_filled(
    answer: str | None,
) -> None:
    """Asked between the intent and its first byte: nothing was open yet."""
    world = Closing("uuuuuuuuuu")
    run = world.run()
    asked: list[UUID] = []

    def cancelled() -> None:
        if not asked:
            world.memory.command(run, RunCommand.STOP, by="ann")
            asked.append(world.ask(run, by_operator=False))

    world.store.before["may_send"] = cancelled
    if answer is not None:
        world.venue_script.append(answer)
    world.to_slot(6)
    entry = next(order for order in world.orders(run) if order.leg is Leg.ENTRY)
    assert (entry.status, entry.created_at is not None) == ("filled", True)
    assert flattens(world, run) == [(1, "filled")]
    assert world.position(run).is_flat
    assert world.requests.ended == {asked[0]: FlattenOutcome.FLAT}


def test_an_entry_on_its_way_that_was_never_placed_leaves_nothing_to_close() -> None:
    world = Closing("uuuuuuuuuu")
    run = world.run()
    asked: list[UUID] = []

    def cancelled() -> None:
        if not asked:
            world.memory.command(run, RunCommand.STOP, by="ann")
            asked.append(world.ask(run, by_operator=False))
            world.memory.set_kill_switch(on=True, reason="drill")

    world.store.before["may_send"] = cancelled
    world.to_slot(3)
    assert [(order.leg, order.status.value) for order in world.orders(run)] == [(Leg.ENTRY, "not_placed")]
    assert world.requests.ended == {asked[0]: FlattenOutcome.FLAT}
