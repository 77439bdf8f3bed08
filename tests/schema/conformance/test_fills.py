"""News of orders, executions and funding: position, trade, account, risk day and events together."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.ids import ClientOrderId
from core.order import (
    VENUE_LEGS,
    Acknowledged,
    Canceled,
    Executed,
    Expired,
    Leg,
    NotPlaced,
    Order,
    OrderEvent,
    OrderStatus,
    OutcomeUnknown,
    Rejected,
)
from core.position import Fill, OrderSide
from core.protection import Protection
from core.risk import RiskLimits, risk_day
from core.run import Run
from schema.ops import (
    EndLeg,
    FillSettled,
    ObserveFill,
    ObserveOrder,
    OpRefused,
    OrderMoved,
)
from tests.schema.conformance.world import START, World

NO_COOLDOWN = RiskLimits(cooldown_after_trade_s=Decimal(0))


def observe(world: World, order: Order, event: OrderEvent, *, ends: bool = True) -> OrderMoved:
    op = ObserveOrder(client_order_id=order.client_order_id, event=event, no_further_attempt=ends)
    result = world.settle(op)
    assert isinstance(result, OrderMoved), result
    return result


def end_leg(world: World, order: Order) -> OrderMoved:
    result = world.settle(EndLeg(client_order_id=order.client_order_id))
    assert isinstance(result, OrderMoved), result
    return result


def entry(world: World, run: Run, **fields: object) -> Order:
    return world.committed(run, world.claim(run).fence, **fields)


def trades_on(world: World, run: Run) -> int:
    return world.store.risk(run.user_id).state.day(world.now).trades


def test_a_fill_settles_order_position_account_and_event_together(world: World) -> None:
    """I11: everything a fill changes is there at once."""
    run = world.run()
    order = entry(world, run, leverage=5, quantity="2", stop_loss=Decimal(90), take_profit=Decimal(120))
    settled = world.filled(order, "100", commission="0.08")
    assert settled.order is not None
    assert settled.order == world.order(order.client_order_id, run)
    assert (settled.order.status, settled.order.filled_quantity, settled.order.filled_value) == (
        OrderStatus.FILLED,
        2,
        200,
    )
    assert run.account_id is not None
    account = world.store.account(run.account_id)
    assert account == settled.account
    assert (settled.account.balance, settled.account.used_margin) == (Decimal("9999.92"), 40)
    state = world.store.run_state(run.id)
    assert state is not None
    assert (state.position, state.stop_loss, state.take_profit) == (settled.position, 90, 120)
    assert (state.position.quantity, state.position.entry_price, state.open_orders) == (2, 100, ())
    [held] = world.store.open_positions(account_id=run.account_id)
    assert (held.run_id, held.leverage, held.position) == (run.id, 5, settled.position)
    assert world.store.open_positions(user_id=run.user_id) == [held]
    assert [point.balance for point in world.store.equity(run.account_id)] == [Decimal("9999.92")]
    assert world.store.risk(run.user_id).state.day(world.now).pnl == Decimal("-0.08")
    event = world.store.events(run_id=run.id)[1]
    assert (event.type, event.payload["price"], event.payload["realised"]) == ("order_fill", "100", "-0.08")


def test_a_round_trip_is_booked_with_its_reason_and_frees_the_margin(world: World) -> None:
    run = world.run()
    fence = world.held(run, leverage=2)
    settled = world.filled(world.committed(run, fence, leg=Leg.EXIT), "110", commission="0.1")
    assert settled.round_trip is not None
    assert settled.position.is_flat
    assert settled.wanted == Protection()
    [trade] = world.store.trades(run_id=run.id)
    assert (trade.pnl, trade.exit_reason, trade.side, trade.fees) == (
        Decimal("9.9"),
        "signal",
        "long",
        Decimal("0.1"),
    )
    assert (settled.account.balance, settled.account.used_margin) == (Decimal("10009.9"), 0)
    begun = ["order_submit", "order_fill", "trade.created", "trade.filled"]
    assert world.event_types(run) == [*begun, "order_submit", "order_fill", "trade.closed"]
    assert world.store.open_positions() == []


@pytest.mark.parametrize("leg", sorted(VENUE_LEGS))
def test_what_the_venue_did_is_adopted_once_as_an_order_of_its_own(world: World, leg: Leg) -> None:
    run = world.run()
    world.held(run, stop_loss=Decimal(95))
    assert run.account_id is not None
    op = ObserveFill(
        account_id=run.account_id,
        symbol="BTCUSDT",
        run_id=run.id,
        venue_leg=leg,
        fill=Fill(
            trade_id="venue-1",
            side=OrderSide.SELL,
            quantity=Decimal(1),
            price=Decimal(95),
            commission=Decimal(0),
            executed_at=world.now,
        ),
    )
    first, second = world.store.settle([op, op])
    assert isinstance(first, FillSettled)
    assert isinstance(second, FillSettled)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.position == second.position
    assert first.position.is_flat
    adopted = world.store.orders(run_id=run.id)[0]
    assert first.order == second.order == adopted
    assert (adopted.leg, adopted.status, adopted.reduce_only) == (leg, OrderStatus.FILLED, True)
    [trade] = world.store.trades(run_id=run.id)
    assert (trade.exit_reason, trade.pnl) == (leg.value, -5)
    assert world.store.risk(run.user_id).state.streak == 1


def test_a_venue_fill_in_two_parts_is_two_adopted_orders(world: World) -> None:
    run = world.run()
    world.held(run)
    assert run.account_id is not None
    for number in (1, 2):
        fill = Fill(
            trade_id=f"sl-{number}",
            side=OrderSide.SELL,
            quantity=Decimal("0.5"),
            price=Decimal(95),
            commission=Decimal(0),
            executed_at=world.now,
        )
        result = world.settle(
            ObserveFill(
                account_id=run.account_id,
                symbol="BTCUSDT",
                run_id=run.id,
                venue_leg=Leg.STOP_LOSS,
                fill=fill,
            )
        )
        assert isinstance(result, FillSettled)
    assert [order.attempt for order in world.store.orders(run_id=run.id)] == [2, 1, 1]
    assert world.store.trades()[0].quantity == 1


@pytest.mark.parametrize(("leg", "reason"), [(Leg.EXIT, "signal"), (Leg.FLATTEN, "flatten")])
def test_the_closing_leg_names_the_exit_reason(world: World, leg: Leg, reason: str) -> None:
    run = world.run()
    fence = world.held(run)
    world.filled(world.committed(run, fence, leg=leg), "100")
    assert world.store.trades()[0].exit_reason == reason


def test_i11_the_same_fill_twice_counts_once(world: World) -> None:
    run = world.run()
    order = entry(world, run, quantity="2")
    op = world.fill(order, "100", quantity="1", commission="0.04")
    first, again = world.store.settle([op, op])
    later = world.settle(op)
    assert isinstance(first, FillSettled)
    for repeat in (again, later):
        assert isinstance(repeat, FillSettled)
        assert repeat.duplicate
        assert (repeat.position, repeat.account, repeat.order) == (first.position, first.account, first.order)
    assert world.event_types(run) == ["order_submit", "order_fill", "trade.created"]


def test_i11_a_trade_begins_with_its_first_execution_and_is_filled_with_its_entrys_last(world: World) -> None:
    """Once for each round trip, however many executions it has; each in the transaction of its fill."""
    run = world.run()
    order = entry(world, run, quantity="3")
    world.filled(order, "100", quantity="1")
    world.filled(order, "103", quantity="2")
    created, filled = [
        event
        for event in world.store.events(run_id=run.id)
        if event.type in ("trade.created", "trade.filled")
    ]
    assert (created.type, created.payload["quantity"], created.payload["entry_price"]) == (
        "trade.created",
        "1",
        "100",
    )
    assert (filled.type, filled.payload["quantity"], filled.payload["entry_price"]) == (
        "trade.filled",
        "3",
        "102",
    )
    assert created.payload["entry_time"] == filled.payload["entry_time"]
    assert (filled.payload["side"], filled.payload["symbol"]) == ("long", "BTCUSDT")
    types = world.event_types(run)
    assert types == ["order_submit", "order_fill", "trade.created", "order_fill", "trade.filled"]


def test_a_repeated_last_fill_is_a_repeat_and_no_alert(world: World) -> None:
    run = world.run()
    op = world.fill(entry(world, run), "100")
    results = world.store.settle([op, op])
    assert [result.duplicate for result in results if isinstance(result, FillSettled)] == [False, True]
    assert "error" not in world.event_types(run)


def test_partial_fills_add_up(world: World) -> None:
    run = world.run()
    order = entry(world, run, quantity="3")
    assert world.filled(order, "100", quantity="1").order.status is OrderStatus.PARTIAL  # type: ignore[union-attr]
    settled = world.filled(order, "103", quantity="2")
    assert settled.order is not None
    assert settled.order.status is OrderStatus.FILLED
    assert (settled.position.quantity, settled.position.entry_price) == (3, 102)


def test_protection_comes_with_the_entrys_first_fill_and_goes_when_flat(world: World) -> None:
    run = world.run()
    order = entry(world, run, quantity="2", stop_loss=Decimal(90))
    for quantity in ("0.5", "1.5"):
        assert world.filled(order, "100", quantity=quantity).wanted.stop_loss == 90
    world.report(run, order.fence)
    lease = world.store.acquire(run.id, owner="node-2", ttl_s=120)
    exit_order = world.committed(run, lease or 0, leg=Leg.EXIT, quantity="2")
    assert world.filled(exit_order, "100", quantity="1").wanted.stop_loss == 90
    assert world.filled(exit_order, "100", quantity="1").wanted == Protection()


def test_a_late_fill_after_a_cancel_is_taken_and_the_status_stays(world: World) -> None:
    run = world.run()
    order = entry(world, run, quantity="2")
    observe(world, order, Acknowledged("v-1"))
    world.filled(order, "100", quantity="0.5")
    observe(world, order, Canceled("user"))
    settled = world.filled(order, "101", quantity="0.5")
    assert settled.order is not None
    assert (settled.order.status, settled.order.filled_quantity) == (OrderStatus.CANCELED, 1)
    assert settled.position.quantity == 1
    assert trades_on(world, run) == 1


@pytest.mark.parametrize("event", [Rejected("margin"), NotPlaced("busy")])
def test_an_entry_that_ended_unfilled_gives_its_reservation_back(world: World, event: OrderEvent) -> None:
    run = world.run()
    order = entry(world, run)
    assert (order.reserved, trades_on(world, run)) == (True, 1)
    moved = observe(world, order, event)
    assert (moved.order.reserved, moved.changed, trades_on(world, run)) == (False, True, 0)
    assert world.store.risk(run.user_id).state.last_trade_at == START
    again = observe(world, order, event)
    assert (again.changed, trades_on(world, run)) == (False, 0)
    assert world.event_types(run) == ["order_submit", "order_update"]


def test_an_exit_reserves_and_releases_nothing(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    order = world.committed(run, fence, leg=Leg.EXIT)
    observe(world, order, NotPlaced("busy"))
    assert (order.reserved, trades_on(world, run)) == (False, 1)


def test_an_unknown_order_keeps_its_reservation(world: World) -> None:
    """I4: unknown is not failed."""
    run = world.run()
    order = entry(world, run)
    moved = observe(world, order, OutcomeUnknown("timeout"))
    assert (moved.order.status, moved.order.reserved, trades_on(world, run)) == ("unknown", True, 1)


def test_a_leg_ends_after_its_last_attempt(world: World) -> None:
    run = world.run()
    order = entry(world, run)
    assert not end_leg(world, order).changed
    observe(world, order, NotPlaced("busy"), ends=False)
    assert trades_on(world, run) == 1
    assert end_leg(world, order).changed
    assert not end_leg(world, order).changed
    assert trades_on(world, run) == 0


def test_a_release_after_midnight_counts_on_the_day_of_the_reservation(world: World) -> None:
    """I7: midnight between two attempts does not move the trade to another day."""
    account = world.account()
    run, other = world.run(account=account), world.run(account=account, symbol="ETHUSDT")
    world.store.set_limits(run.user_id, NO_COOLDOWN)
    midnight = START.replace(hour=0) + timedelta(days=1)
    world.slot = midnight - timedelta(seconds=10)
    world.set_now(world.slot)
    fence = world.claim(run).fence
    first = world.committed(run, fence)
    observe(world, first, NotPlaced("busy"), ends=False)
    world.set_now(midnight)
    second = world.committed(run, fence, attempt=2)
    assert risk_day(second.created_at or START) != risk_day(first.created_at or START)
    world.committed(other, world.claim(other).fence)
    assert trades_on(world, run) == 1
    observe(world, second, NotPlaced("busy"))
    assert trades_on(world, run) == 1


def test_a_late_fill_of_a_released_leg_is_reserved_again_without_gates(world: World) -> None:
    run = world.run()
    order = entry(world, run)
    observe(world, order, NotPlaced("absent"))
    world.store.set_limits(run.user_id, RiskLimits(max_trades_per_day=0))
    settled = world.filled(order, "100")
    assert settled.order is not None
    assert (settled.order.status, settled.order.reserved) == (OrderStatus.NOT_PLACED, True)
    assert (settled.position.quantity, trades_on(world, run)) == (1, 1)


def test_a_leg_whose_first_attempt_filled_late_counts_once(world: World) -> None:
    run = world.run()
    fence = world.claim(run).fence
    first = world.committed(run, fence)
    observe(world, first, NotPlaced("absent"), ends=False)
    second = world.committed(run, fence, attempt=2)
    world.filled(first, "100")
    assert trades_on(world, run) == 1
    observe(world, second, NotPlaced("busy"))
    assert trades_on(world, run) == 1


def test_terminal_never_reverts_and_a_contradiction_is_one_alert(world: World) -> None:
    """I17: the same contradiction told again adds nothing."""
    run = world.run()
    order = entry(world, run)
    world.filled(order, "100")
    for _ in range(2):
        moved = observe(world, order, Canceled("by the venue"))
        assert moved.contradiction is not None
        assert (moved.changed, moved.order.status) == (False, OrderStatus.FILLED)
    assert world.event_types(run)[-2:] == ["trade.filled", "error"]


def test_news_told_twice_changes_nothing_the_second_time(world: World) -> None:
    run = world.run()
    order = entry(world, run)
    assert observe(world, order, Acknowledged("v-1")).changed
    assert not observe(world, order, Acknowledged("v-1")).changed
    assert observe(world, order, Expired("no volume")).changed
    assert not observe(world, order, Expired("no volume")).changed
    assert not observe(world, order, Acknowledged("v-1")).changed
    assert world.event_types(run) == ["order_submit", "order_update", "order_update"]


def test_an_order_found_again_keeps_what_it_filled(world: World) -> None:
    """I4: unknown, then found at the venue with half of it done before."""
    run = world.run()
    order = entry(world, run, quantity="2")
    world.filled(order, "100", quantity="1")
    observe(world, order, OutcomeUnknown("reset"))
    assert observe(world, order, Acknowledged("v-1")).order.status is OrderStatus.PARTIAL


def test_news_of_an_order_nobody_placed_is_refused(world: World) -> None:
    run = world.run()
    nobody = replace(entry(world, run), client_order_id=ClientOrderId("nobody"))
    for op in (
        ObserveOrder(client_order_id=nobody.client_order_id, event=Acknowledged("v-1")),
        EndLeg(client_order_id=nobody.client_order_id),
        world.fill(nobody, "100"),
        ObserveOrder(
            client_order_id=ClientOrderId("x"), event=Executed(quantity=Decimal(1), price=Decimal(1))
        ),
    ):
        assert isinstance(world.settle(op), OpRefused)


def test_an_execution_comes_only_as_a_fill(world: World) -> None:
    run = world.run()
    order = entry(world, run)
    op = ObserveOrder(
        client_order_id=order.client_order_id, event=Executed(quantity=Decimal(1), price=Decimal(1))
    )
    assert isinstance(world.settle(op), OpRefused)
    assert world.order(order.client_order_id, run) == order


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": Decimal("1.5")},
        {"quantity": Decimal(-1)},
        {"quantity": Decimal("NaN")},
        {"price": Decimal(0)},
        {"price": Decimal("Infinity")},
        {"price": Decimal("1E+30")},
        {"commission": Decimal("NaN")},
        {"side": OrderSide.SELL},
        {"executed_at": START + timedelta(hours=2)},
    ],
    ids=lambda wrong: "-".join(f"{name}={value}" for name, value in wrong.items()),
)
def test_venue_data_that_cannot_be_enters_nothing_but_one_alert(
    world: World, wrong: dict[str, object]
) -> None:
    run = world.run()
    order = entry(world, run)
    op = world.fill(order, "100")
    op = replace(op, fill=replace(op.fill, **wrong))
    for _ in range(2):
        result = world.settle(op)
        assert isinstance(result, OpRefused)
        assert result.impossible
    assert world.event_types(run) == ["order_submit", "error"]
    assert world.order(order.client_order_id, run).filled_quantity == 0
    assert world.store.open_positions() == []
    assert run.account_id is not None
    assert world.store.equity(run.account_id) == []


def test_a_flip_books_the_trade_and_opens_the_other_side_with_its_protection(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, NO_COOLDOWN)
    world.next_slot()
    fence = world.claim(run).fence
    first = world.committed(run, fence, quantity="1", stop_loss=Decimal(90))
    world.report(run, fence)
    world.next_slot()
    flip = world.committed(
        run, world.claim(run).fence, side=OrderSide.SELL, quantity="3", leverage=2, stop_loss=Decimal(120)
    )
    world.filled(first, "100")
    settled = world.filled(flip, "110", commission="0.3")
    assert (settled.position.quantity, settled.wanted.stop_loss) == (-2, 120)
    assert settled.account.used_margin == 110
    [trade] = world.store.trades()
    assert trade.pnl == Decimal("9.9")
    told = [event for event in world.store.events(run_id=run.id) if event.type.startswith("trade.")]
    assert [(event.type, event.payload["side"], event.payload["quantity"]) for event in told[2:]] == [
        ("trade.closed", "long", "1"),
        ("trade.created", "short", "2"),
        ("trade.filled", "short", "2"),
    ]


def test_orders_and_trades_come_newest_first(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, NO_COOLDOWN)
    for pnl in ("1", "2", "3"):
        world.trade(run, pnl)
    assert [trade.pnl for trade in world.store.trades(run_id=run.id)] == [3, 2, 1]
    assert [trade.pnl for trade in world.store.trades(limit=2)] == [3, 2]
    legs = [order.leg for order in world.store.orders(run_id=run.id)]
    assert legs == [Leg.EXIT, Leg.ENTRY] * 3
    assert len(world.store.orders(run_id=run.id, limit=2)) == 2
    assert run.account_id is not None
    assert [point.balance for point in world.store.equity(run.account_id, limit=2)] == [10003, 10006]
