"""What a live venue holds beside our fills: drift, standing protection, somebody else's trades, its own clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from core.errors import Reason
from core.ids import ClientOrderId
from core.order import Leg
from core.position import Fill, OrderSide
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunStatus
from schema.ops import (
    BalanceChecked,
    FillSettled,
    IntentCommitted,
    LedgerResult,
    ObserveBalance,
    ObserveFill,
    ObservePosition,
    ObserveProtection,
    ObserveTrail,
    OpRefused,
    PositionChecked,
)
from schema.records import AccountKind
from tests.schema.conformance.world import World

NO_COOLDOWN = RiskLimits(cooldown_after_trade_s=Decimal(0))


def seen(world: World, run: Run, quantity: str) -> PositionChecked:
    assert run.account_id is not None
    op = ObservePosition(
        account_id=run.account_id, symbol=run.strategy.symbol, run_id=run.id, quantity=Decimal(quantity)
    )
    result = world.settle(op)
    assert isinstance(result, PositionChecked), result
    return result


def stands(world: World, run: Run, stop: str | None, **fields: object) -> PositionChecked:
    assert run.account_id is not None
    op = ObserveProtection(
        account_id=run.account_id,
        symbol=run.strategy.symbol,
        run_id=run.id,
        stop_loss=None if stop is None else Decimal(stop),
        **fields,  # type: ignore[arg-type]
    )
    result = world.settle(op)
    assert isinstance(result, PositionChecked), result
    return result


def by_hand(world: World, run: Run, side: OrderSide, quantity: str, *, trade: str = "t") -> LedgerResult:
    assert run.account_id is not None
    fill = Fill(
        trade_id=trade,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(110),
        commission=Decimal("0.4"),
        executed_at=world.now,
    )
    return world.settle(
        ObserveFill(
            account_id=run.account_id,
            symbol=run.strategy.symbol,
            run_id=run.id,
            venue_leg=Leg.MANUAL,
            fill=fill,
        )
    )


def test_i17_drift_is_told_once_and_its_end_once(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1")
    assert not seen(world, run, "1").changed
    assert seen(world, run, "1.5").held.drift == Decimal("0.5")
    assert not seen(world, run, "1.5").changed
    assert seen(world, run, "1").changed
    assert not seen(world, run, "1").changed
    assert world.event_types(run).count("drift") == 2


def test_no_entry_while_somebody_else_holds_the_symbol(world: World) -> None:
    """Also for a run that has never traded: the quarantine is its symbol on its account."""
    run = world.run()
    world.store.set_limits(run.user_id, NO_COOLDOWN)
    other = world.run(symbol="ETHUSDT")
    seen(world, run, "-2")
    world.next_slot()
    fence = world.claim(run).fence
    assert world.refused(run, fence).reason is Reason.DRIFT
    world.report(run, fence)
    world.committed(other, world.claim(other).fence)
    seen(world, run, "0")
    world.next_slot()
    world.committed(run, world.claim(run).fence)


def test_drift_does_not_keep_a_run_from_its_exit(world: World) -> None:
    run = world.run()
    fence = world.held(run, quantity="1")
    seen(world, run, "3")
    assert world.committed(run, fence, leg=Leg.EXIT, quantity="1").reduce_only


def test_i17_standing_protection_is_told_when_it_changes(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1", stop_loss=Decimal(90))
    checked = stands(world, run, "90", unprotected_s=0.25)
    assert checked.changed
    assert checked.held.standing_stop == 90
    assert not stands(world, run, "90", unprotected_s=7.0).changed
    [told] = [event for event in world.store.events(run_id=run.id) if event.type == "protection"]
    assert told.payload["unprotected_s"] == 0.25


def test_a_stop_that_could_not_be_placed_is_told_with_its_cause(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1", stop_loss=Decimal(90))
    assert stands(world, run, None, unprotected_s=10.0, failure="would_trigger").changed
    assert world.event_types(run)[-1] == "protection"


def test_a_foreign_close_is_booked_as_ours_and_only_as_much_as_we_had(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1", price="100")
    settled = by_hand(world, run, OrderSide.SELL, "4")
    assert isinstance(settled, FillSettled)
    assert settled.position.is_flat
    assert settled.round_trip is not None
    assert settled.round_trip.pnl == Decimal("9.9")  # 10 gained, a quarter of the commission
    assert settled.order is not None
    assert (settled.order.leg, settled.order.quantity) == (Leg.MANUAL, 1)
    again = by_hand(world, run, OrderSide.SELL, "4")
    assert isinstance(again, FillSettled)
    assert again.duplicate


def test_a_foreign_trade_that_opens_or_adds_is_never_ours(world: World) -> None:
    run = world.run()
    flat = by_hand(world, run, OrderSide.BUY, "1", trade="first")
    assert isinstance(flat, OpRefused)
    assert not flat.impossible
    world.held(run, quantity="1")
    assert isinstance(by_hand(world, run, OrderSide.BUY, "1", trade="second"), OpRefused)
    state = world.store.run_state(run.id)
    assert state is not None
    assert state.position.quantity == 1


def test_an_order_without_a_row_is_somebody_elses(world: World) -> None:
    """As after a restore from a backup: what it closed is booked, what it opened is not ours."""
    run = world.run()
    assert run.account_id is not None
    world.held(run, quantity="1", price="100")
    lost = ClientOrderId("lost-with-the-backup")
    for number, side in enumerate((OrderSide.BUY, OrderSide.SELL)):
        fill = Fill(
            trade_id=f"t{number}",
            side=side,
            quantity=Decimal(1),
            price=Decimal(103),
            commission=Decimal(0),
            executed_at=world.now,
        )
        op = ObserveFill(
            account_id=run.account_id,
            symbol=run.strategy.symbol,
            fill=fill,
            client_order_id=lost,
            run_id=run.id,
        )
        settled = world.settle(op)
        assert isinstance(settled, OpRefused if side is OrderSide.BUY else FillSettled), settled
    state = world.store.run_state(run.id)
    assert state is not None
    assert state.position.is_flat
    [trade] = world.store.trades(run_id=run.id)
    assert (trade.pnl, trade.exit_reason) == (3, "manual")


def test_a_live_order_is_signed_by_the_venues_clock(world: World) -> None:
    """I2: the time of signing is stored with the intent."""
    run = world.run()
    world.next_slot()
    op = world.intent(run, world.claim(run).fence)
    ahead = timedelta(seconds=2.5)
    result = world.settle(type(op)(order=op.order, deadline=op.deadline, venue_ahead=ahead))
    assert isinstance(result, IntentCommitted)
    assert result.order.created_at is not None
    assert result.order.sign_ts == result.order.created_at + ahead
    assert world.order(result.order.client_order_id, run).sign_ts == result.order.sign_ts


def test_i17_the_venues_balance_is_ours_until_it_changes(world: World) -> None:
    account = world.account(kind=AccountKind.CONNECTION, venue="binance")
    op = ObserveBalance(account_id=account.id, user_id=account.user_id, balance=Decimal("812.5"))
    told = [world.settle(op) for _ in range(2)]
    assert [isinstance(each, BalanceChecked) and each.changed for each in told] == [True, False]
    stored = world.store.account(account.id)
    assert stored is not None
    assert stored.balance == Decimal("812.5")
    assert [point.balance for point in world.store.equity(account.id)][-1] == Decimal("812.5")


@pytest.mark.parametrize("balance", ["NaN", "Infinity", "1E15"])
def test_a_balance_that_cannot_be_changes_nothing(world: World, balance: str) -> None:
    account = world.account(kind=AccountKind.CONNECTION, venue="binance")
    op = ObserveBalance(account_id=account.id, user_id=account.user_id, balance=Decimal(balance))
    assert isinstance(world.settle(op), OpRefused)
    assert world.store.account(account.id) == account


def test_i12_a_paper_portfolio_takes_no_venues_balance(world: World) -> None:
    account = world.account()
    op = ObserveBalance(account_id=account.id, user_id=account.user_id, balance=Decimal(1))
    assert isinstance(world.settle(op), OpRefused)


def test_an_unprotected_position_is_closed_whatever_its_run_does(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1")
    world.store.command(run.id, RunCommand.STOP, by="ann")
    stopped = world.store.run(run.id)
    assert stopped is not None
    assert stopped.status is RunStatus.STOPPED
    fence = world.store.acquire(run.id, owner="node-1", ttl_s=60.0)
    if fence is None:  # the tick's own lease still runs
        world.expire_leases(1e6)
        fence = world.store.acquire(run.id, owner="node-1", ttl_s=60.0)
    assert fence is not None
    world.committed(run, fence, leg=Leg.REPAIR)


def test_i8_the_kill_switch_blocks_a_repair_too(world: World) -> None:
    run = world.run()
    fence = world.held(run, quantity="1")
    world.store.set_kill_switch(on=True, reason="drill")
    assert world.refused(run, fence, leg=Leg.REPAIR).reason is Reason.KILL_SWITCH


def trails(world: World, run: Run, best: str, *, opened_at: datetime | None = None) -> PositionChecked:
    assert run.account_id is not None
    [held] = world.store.open_positions(account_id=run.account_id)
    assert held.position.opened_at is not None
    op = ObserveTrail(
        account_id=run.account_id,
        symbol=run.strategy.symbol,
        run_id=run.id,
        opened_at=opened_at or held.position.opened_at,
        best=Decimal(best),
        at=held.updated_at + timedelta(minutes=1),
    )
    result = world.settle(op)
    assert isinstance(result, PositionChecked), result
    return result


def test_a_trailing_stop_is_kept_with_its_position_and_never_loosens(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1", trailing_callback_pct=Decimal(1), trailing_activation_pct=Decimal(2))
    [held] = world.store.open_positions(account_id=run.account_id)
    assert (held.trail_pct, held.trail_from, held.trail_best) == (1, 102, None)
    after = trails(world, run, "105")
    assert (after.changed, after.held.trail_best) == (True, 105)
    assert after.held.updated_at == held.updated_at + timedelta(minutes=1)
    assert not trails(world, run, "104").changed
    assert not trails(world, run, "105").changed
    assert world.store.open_positions(account_id=run.account_id) == [after.held]


def test_a_trail_of_a_position_that_is_gone_moves_nothing(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1", trailing_callback_pct=Decimal(1))
    [held] = world.store.open_positions(account_id=run.account_id)
    assert held.trail_best == 100
    earlier = held.updated_at - timedelta(hours=1)
    assert not trails(world, run, "105", opened_at=earlier).changed
    assert world.store.open_positions(account_id=run.account_id) == [held]


def test_a_position_without_a_trailing_stop_trails_nothing(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1")
    assert not trails(world, run, "105").changed


def test_a_standing_trailing_stop_is_kept_in_the_venues_measure(world: World) -> None:
    run = world.run()
    world.held(run, quantity="1", trailing_callback_pct=Decimal(1))
    assert stands(world, run, None, trail=Decimal("1.02")).held.standing_trail == Decimal("1.02")
    assert not stands(world, run, None, trail=Decimal("1.02")).changed
