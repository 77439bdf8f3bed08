"""I7: the risk limits of a user, through the transactions that touch them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from msgspec.structs import replace

from core.errors import Reason
from core.order import Leg
from core.risk import RiskLimits
from core.run import Run
from schema.ops import ExpirePause, OpRefused, RiskSettled, SimulateTrade
from schema.records import Event
from tests.schema.conformance.world import START, World

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def limits(**fields: object) -> RiskLimits:
    return RiskLimits(**{"cooldown_after_trade_s": Decimal(0), **fields})  # type: ignore[arg-type]


def simulate(world: World, run: Run, delta: str) -> RiskSettled:
    result = world.settle(SimulateTrade(user_id=run.user_id, delta=Decimal(delta)))
    assert isinstance(result, RiskSettled), result
    return result


def expire(world: World, run: Run) -> RiskSettled:
    result = world.settle(ExpirePause(user_id=run.user_id))
    assert isinstance(result, RiskSettled)
    return result


def user_events(world: World, run: Run, action: str) -> list[Event]:
    events = world.store.events(user_id=run.user_id)
    return [event for event in events if event.run_id is None and event.payload.get("action") == action]


@pytest.mark.parametrize(("pnl", "paused"), [("-50", True), ("-49.99", False), ("-50.01", True)])
def test_i7_the_daily_loss_pauses_at_the_limit(world: World, pnl: str, paused: bool) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits())
    settled = world.trade(run, pnl)
    assert (settled.pause is not None) is paused
    world.next_slot()
    result = world.propose(run, world.claim(run).fence)
    assert getattr(result, "reason", None) == (Reason.PAUSED if paused else None)
    assert world.store.risk(run.user_id).blocked == (Reason.PAUSED if paused else None)
    assert len(user_events(world, run, "paused")) == paused


def test_i7_the_pause_lasts_as_long_as_configured_and_says_so(world: World) -> None:
    run = world.run()
    settled = world.trade(run, "-50")
    assert settled.pause is not None
    until = world.now + timedelta(minutes=1440)
    assert (settled.pause.until, settled.pause.reason) == (until, Reason.DAILY_LOSS)
    [event] = user_events(world, run, "paused")
    assert (event.type, event.payload["until"], event.payload["reason"]) == (
        "risk_block",
        until.isoformat(),
        "daily_loss",
    )


def test_i7_the_pause_ends_exactly_at_its_end(world: World) -> None:
    run = world.run()
    settled = world.trade(run, "-50")
    assert settled.pause is not None
    world.set_now(settled.pause.until - timedelta(microseconds=1))
    world.slot = world.now.replace(second=0, microsecond=0)
    assert world.store.expired_pauses() == []
    assert world.store.risk(run.user_id).blocked is Reason.PAUSED
    world.set_now(settled.pause.until)
    assert world.store.risk(run.user_id).blocked is None
    assert world.store.expired_pauses() == [run.user_id]


def test_i7_expiry_is_written_once_with_one_event(world: World) -> None:
    run = world.run()
    settled = world.trade(run, "-50")
    assert settled.pause is not None
    assert expire(world, run).state.paused_until == settled.pause.until
    assert user_events(world, run, "expired") == []
    world.set_now(settled.pause.until)
    for _ in range(2):
        assert expire(world, run).state.paused_until is None
    assert len(user_events(world, run, "expired")) == 1
    assert world.store.expired_pauses() == []


def test_i7_expiry_does_not_lift_the_daily_loss(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits(pause_duration_min=Decimal(1)))
    world.trade(run, "-50")
    world.set_now(world.now + 60 * SECOND)
    world.next_slot()
    refused = world.refused(run, world.claim(run).fence)
    assert (refused.reason, refused.pause) == (Reason.DAILY_LOSS, None)
    assert len(user_events(world, run, "expired")) == 1


def test_i7_midnight_does_not_lift_a_pause_but_clears_the_day(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits(pause_duration_min=Decimal(1440)))
    world.trade(run, "-50")
    world.set_now(datetime(2026, 3, 11, tzinfo=UTC))
    view = world.store.risk(run.user_id)
    assert view.blocked is Reason.PAUSED
    assert (view.state.day(world.now).pnl, view.state.day(world.now).trades) == (0, 0)
    assert view.state.streak == 1
    world.set_now(START + DAY + 2 * 60 * SECOND)
    assert world.store.risk(run.user_id).blocked is None


def test_i7_further_losses_while_crossed_do_not_extend_the_pause(world: World) -> None:
    account = world.account()
    run, other = world.run(account=account), world.run(account=account, symbol="ETHUSDT")
    world.store.set_limits(run.user_id, limits())
    fence, late = world.held(run), world.claim(other).fence
    open_elsewhere = world.committed(other, late)
    world.filled(open_elsewhere, "100")
    first = world.filled(world.committed(run, fence, leg=Leg.EXIT), "40")
    assert first.pause is not None
    world.set_now(world.now + 10 * SECOND)
    second = world.filled(world.committed(other, late, leg=Leg.EXIT), "40")
    assert second.pause is None
    assert world.store.risk(run.user_id).state.paused_until == first.pause.until
    assert len(user_events(world, run, "paused")) == 1


def test_i7_the_third_loss_in_a_row_pauses_and_the_expiry_starts_the_count_anew(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits(pause_duration_min=Decimal(5)))
    assert [world.trade(run, "-1").pause is not None for _ in range(3)] == [False, False, True]
    world.next_slot()
    assert world.refused(run, world.claim(run).fence).reason is Reason.PAUSED
    world.set_now(world.now + 300 * SECOND)
    world.expire_leases(0)
    assert [world.trade(run, "-1").pause is not None for _ in range(3)] == [False, False, True]
    assert len(user_events(world, run, "paused")) == 2


def test_i7_a_loss_after_an_expiry_nobody_wrote_counts_from_nothing(world: World) -> None:
    """The position was open through the pause; its loss is the first of a new count, not the fourth."""
    account = world.account()
    run, other = world.run(account=account), world.run(account=account, symbol="ETHUSDT")
    world.store.set_limits(run.user_id, limits(pause_duration_min=Decimal(1)))
    late = world.held(other)
    for _ in range(3):
        world.trade(run, "-1")
    world.set_now(world.now + 60 * SECOND)
    closed = world.filled(world.committed(other, late, leg=Leg.FLATTEN, slot=world.slot), "99")
    assert closed.pause is None
    assert world.store.risk(run.user_id).state.streak == 1


def test_i7_a_win_or_a_zero_ends_the_streak(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits())
    for pnl, streak in (("-1", 1), ("-1", 2), ("0", 0), ("-1", 1), ("5", 0)):
        world.trade(run, pnl)
        assert world.store.risk(run.user_id).state.streak == streak


def test_i7_tightened_limits_pause_at_the_next_entry(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits())
    world.trade(run, "-1")
    world.trade(run, "-1")
    world.store.set_limits(run.user_id, limits(max_consecutive_losses=2))
    world.next_slot()
    refused = world.refused(run, world.claim(run).fence)
    assert refused.reason is Reason.CONSECUTIVE_LOSSES
    assert refused.pause is not None
    assert (refused.pause.reason, world.store.risk(run.user_id).blocked) == (
        Reason.CONSECUTIVE_LOSSES,
        Reason.PAUSED,
    )


def test_i7_a_pause_that_ran_out_ends_under_the_limits_it_began_under(world: World) -> None:
    """Whoever writes the end first: raising the limit in between does not keep the old streak alive."""
    run = world.run()
    world.store.set_limits(run.user_id, limits(max_consecutive_losses=2, pause_duration_min=Decimal(20)))
    world.trade(run, "-1")
    world.trade(run, "-1")
    world.set_now(world.now + timedelta(minutes=20))
    world.store.set_limits(run.user_id, limits(max_consecutive_losses=3))
    assert world.store.risk(run.user_id).state.streak == 0
    assert len(user_events(world, run, "expired")) == 1


@pytest.mark.parametrize("most", [0, 1, 20])
def test_i7_the_last_trade_of_the_day_passes_and_the_next_is_refused(world: World, most: int) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits(max_trades_per_day=most))
    for _ in range(most):
        world.trade(run, "1")
    world.next_slot()
    assert world.refused(run, world.claim(run).fence).reason is Reason.MAX_TRADES


@pytest.mark.parametrize(
    ("waited", "reason"),
    [(timedelta(seconds=29.999), Reason.COOLDOWN), (30 * SECOND, None)],
)
def test_i7_the_cooldown_ends_exactly_after_thirty_seconds(
    world: World, waited: timedelta, reason: Reason | None
) -> None:
    account = world.account()
    run, other = world.run(account=account), world.run(account=account, symbol="ETHUSDT")
    world.committed(run, world.claim(run).fence)
    world.set_now(START + waited)
    assert getattr(world.propose(other, world.claim(other).fence), "reason", None) == reason
    assert world.store.risk(run.user_id).blocked is Reason.COOLDOWN


def test_i7_two_runs_of_one_user_share_the_last_trade(world: World) -> None:
    account = world.account()
    run, other = world.run(account=account), world.run(account=account, symbol="ETHUSDT")
    world.store.set_limits(run.user_id, limits(max_trades_per_day=1))
    ops = [world.intent(each, world.claim(each).fence) for each in (run, other)]
    first, second = world.store.settle(ops)
    assert type(first).__name__ == "IntentCommitted"
    assert getattr(second, "reason", None) is Reason.MAX_TRADES


def test_i7_users_do_not_share_limits(world: World) -> None:
    ann, bob = world.run("ann"), world.run("bob")
    world.trade(ann, "-50")
    assert world.store.risk(ann.user_id).blocked is Reason.PAUSED
    assert world.store.risk(bob.user_id).blocked is None


def test_i7_a_refusal_by_the_gate_is_one_event_of_the_run(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits(max_trades_per_day=0))
    world.refused(run, world.claim(run).fence)
    [event] = world.store.events(run_id=run.id)
    assert (event.type, event.payload["action"], event.payload["reason"]) == (
        "risk_block",
        "blocked",
        "max_trades",
    )
    assert world.store.orders(run_id=run.id) == []


@pytest.mark.parametrize(
    ("pnl", "trades", "streak", "reason"),
    [
        ("-50", 0, 5, Reason.DAILY_LOSS),
        ("0", 0, 5, Reason.CONSECUTIVE_LOSSES),
        ("0", 5, 0, Reason.MAX_TRADES),
    ],
)
def test_i7_the_first_gate_that_matches_names_the_reason(
    world: World, pnl: str, trades: int, streak: int, reason: Reason
) -> None:
    run = world.run()
    generous = {"max_trades_per_day": 100, "max_consecutive_losses": 100}
    world.store.set_limits(run.user_id, limits(daily_max_loss_usdt=Decimal(1000), **generous))
    for _ in range(streak):
        simulate(world, run, str(Decimal(pnl) / streak if pnl != "0" else Decimal("-0.01")))
    for _ in range(trades):
        simulate(world, run, "0")
    world.store.set_limits(
        run.user_id, limits(max_trades_per_day=min(5, trades or 5), max_consecutive_losses=5)
    )
    assert world.store.risk(run.user_id).blocked is reason
    assert world.refused(run, world.claim(run).fence).reason is reason


def test_i7_a_late_fill_touches_its_own_day(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    order = world.committed(run, fence, leg=Leg.EXIT)
    world.set_now(START + DAY)
    settled = world.filled(order, "20", at=START + timedelta(hours=1))
    assert settled.pause is None
    assert world.store.risk(run.user_id).state.day(world.now).pnl == 0
    assert world.store.risk(run.user_id).blocked is None


@pytest.mark.parametrize("leg", [Leg.LIQUIDATION, Leg.ADL, Leg.SETTLEMENT, Leg.MANUAL, Leg.STOP_LOSS])
def test_i7_what_the_venue_closed_counts(world: World, leg: Leg) -> None:
    from schema.ops import FillSettled, ObserveFill

    run = world.run()
    order = world.intent(run, world.held(run), leg=Leg.EXIT).order
    fill = world.fill(order, "50").fill
    op = ObserveFill(
        account_id=order.account_id, symbol=order.symbol, fill=fill, run_id=run.id, venue_leg=leg
    )
    settled = world.settle(op)
    assert isinstance(settled, FillSettled)
    assert settled.pause is not None


def test_i7_both_limits_crossed_by_one_fill_are_one_pause_named_daily_loss(world: World) -> None:
    run = world.run()
    world.store.set_limits(run.user_id, limits())
    for pnl in ("-1", "-1"):
        world.trade(run, pnl)
    settled = world.trade(run, "-48")
    assert settled.pause is not None
    assert settled.pause.reason is Reason.DAILY_LOSS
    assert len(user_events(world, run, "paused")) == 1


def test_i7_a_simulated_trade_moves_the_day_and_is_never_gated(world: World) -> None:
    run = world.run()
    first = simulate(world, run, "-50")
    assert first.pause is not None
    second = simulate(world, run, "-10")
    day = second.state.day(world.now)
    assert (second.pause, day.pnl, day.trades, second.state.streak) == (None, -60, 2, 2)
    assert second.state.last_trade_at == world.now
    assert world.store.risk(run.user_id).state == second.state
    assert isinstance(world.settle(SimulateTrade(user_id=run.user_id, delta=Decimal("NaN"))), OpRefused)


def test_i7_a_simulated_trade_told_twice_by_its_id_is_booked_once(world: World) -> None:
    run = world.run()
    told = SimulateTrade(user_id=run.user_id, delta=Decimal(-10), id=uuid4())
    first, again = world.settle(told), world.settle(told)
    assert again == first
    world.settle(replace(told, id=uuid4()))
    assert world.store.risk(run.user_id).state.day(world.now).pnl == -20
    assert len([each for each in world.store.events(user_id=run.user_id) if each.type == "trade.closed"]) == 2


def test_i7_exits_pass_while_the_user_is_paused(world: World) -> None:
    run = world.run()
    fence = world.held(run)
    simulate(world, run, "-50")
    assert world.committed(run, fence, leg=Leg.EXIT).status == "intent"
