"""Money through the whole application: limits that hold in a race, stops inside candles, funding, the risk day."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from core.order import Leg
from core.run import Direction, RunSettings
from exchanges.feeds.base import FundingRate
from schema.records import RiskView
from tests.actors.candles import SYMBOL
from tests.actors.world import OPEN_LIMITS, World

BOTH = pytest.mark.parametrize("replayed", [False, True], ids=["live", "replay"])


def risk(world: World, user: str = "ann") -> RiskView:
    return world.memory.risk(user)  # type: ignore[arg-type]


def settings(**fields: object) -> RunSettings:
    return replace(RunSettings(order_size_pct=Decimal(10)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [None, *range(8)])
def test_i7_two_runs_race_for_the_last_trade_of_their_user_and_one_wins(seed: int | None) -> None:
    """I7: the reservation under the user's row decides, whatever the interleaving."""
    world = World("u--", seed=seed, limits=replace(OPEN_LIMITS, max_trades_per_day=1))
    runs = [world.run("ann"), world.run("ann"), world.run("bob")]
    world.to_slot(0, plus_s=40)
    mine = sorted(str(world.tick(run, 0)) for run in runs[:2])
    assert mine == [str(("blocked", "max_trades")), str(("ok", None))]
    assert world.tick(runs[2], 0) == ("ok", None)
    assert risk(world).state.day(world.clock.now()).trades == 1


def test_i7_a_cooldown_blocks_flat_runs_until_it_is_over() -> None:
    world = World("ud-u", limits=replace(OPEN_LIMITS, cooldown_after_trade_s=Decimal(90)))
    first, second = world.run("ann"), world.run("ann", settings=settings(direction=Direction.SHORT))
    world.to_slot(1)
    assert world.tick(first, 0) == ("ok", None)
    assert world.tick(second, 1) == ("blocked", "cooldown")
    assert [order.leg for order in world.orders(first)] == [Leg.ENTRY, Leg.EXIT], "the exit passes"


@BOTH
@pytest.mark.parametrize(
    ("wick", "leg", "price"),
    [((995.0, 1040.0), "take_profit", "1030.2"), ((989.0, 1012.0), "stop_loss", "999.6")],
)
def test_a_stop_or_target_hit_inside_a_candle_closes_the_position_and_books_the_round_trip(
    replayed: bool, wick: tuple[float, float], leg: str, price: str
) -> None:
    """The entry fills at 1010, candle 1's open; candle 2 opens at 1010 too and touches one of both."""
    wicks = {2: wick} if leg == "stop_loss" else {2: (1005.0, wick[1])}
    world = World("u----", wicks=wicks, replayed=replayed)
    run = world.run(settings=settings(take_profit_pct=Decimal(2), stop_loss_pct=Decimal("1.02")))
    world.to_slot(1)
    assert world.position(run).entry_price == Decimal(1010)
    world.to_slot(2)
    assert world.position(run).is_flat
    [trade] = world.memory.trades(run_id=run)
    assert (trade.exit_reason, trade.exit_price) == (leg, Decimal(price))
    gross = (trade.exit_price - trade.entry_price) * trade.quantity
    fees = (trade.exit_price + trade.entry_price) * trade.quantity * Decimal("0.0004")
    assert trade.pnl == gross - fees
    assert risk(world).state.day(world.clock.now()).pnl == trade.pnl
    account = world.memory.account(trade.account_id)
    assert account is not None
    assert account.balance == account.bankroll + trade.pnl
    assert account.used_margin == 0


@BOTH
def test_the_candle_a_position_was_opened_in_can_stop_it_out(replayed: bool) -> None:
    world = World("u---", wicks={1: (980.0, 1010.0)}, replayed=replayed)
    run = world.run(settings=settings(stop_loss_pct=Decimal(1)))
    world.to_slot(1)
    [trade] = world.memory.trades(run_id=run)
    assert trade.exit_reason == "stop_loss"
    assert trade.exit_time.replace(second=0, microsecond=0) == world.slot(0)


@BOTH
def test_a_position_closed_by_its_stop_at_the_boundary_is_not_exited_again(replayed: bool) -> None:
    """The stop in the candle that closes at the slot is booked before the slot's signal is acted on."""
    world = World("uud-", wicks={2: (980.0, 1020.0)}, replayed=replayed)
    run = world.run(settings=settings(stop_loss_pct=Decimal(1)))
    world.to_slot(2)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.STOP_LOSS, Leg.ENTRY]
    assert world.position(run).quantity < 0


@BOTH
def test_losses_in_a_row_pause_the_user_and_the_pause_ends(replayed: bool) -> None:
    limits = replace(OPEN_LIMITS, max_consecutive_losses=2, pause_duration_min=Decimal(3))
    world = World("ududuuuuuuu", limits=limits, replayed=replayed)
    run, other = (
        world.run("ann"),
        world.run("ann", settings=settings(direction=Direction.SHORT), active=False),
    )
    world.to_slot(2, plus_s=10)
    assert risk(world).blocked == "paused"
    assert other is not None
    assert world.position(run).is_flat, "the exit passed, the entry of the flip did not"
    paused = [e for e in world.events(type="risk_block") if e.payload["action"] == "paused"]
    assert [event.payload["reason"] for event in paused] == ["consecutive_losses"]
    world.to_slot(4)
    assert world.tick(run, 4) == ("blocked", "paused")
    evaluated = len(world.evaluations())
    world.to_slot(4, plus_s=20)
    assert len(world.evaluations()) == evaluated, "the engine is not run for a blocked flat run"
    world.to_slot(6, plus_s=10)
    assert risk(world).state.streak == 0
    assert world.position(run).quantity > 0
    assert [e.payload["action"] for e in world.events(type="risk_block")][-1] == "expired"


@BOTH
def test_a_daily_loss_blocks_flat_runs_and_lets_exits_pass(replayed: bool) -> None:
    limits = replace(OPEN_LIMITS, daily_max_loss_usdt=Decimal(5))
    world = World("uduud--", limits=limits, replayed=replayed)
    loser = world.run("ann")
    holder = world.run("ann", settings=settings(direction=Direction.LONG, order_size_pct=Decimal(1)))
    world.to_slot(1)
    assert risk(world).blocked == "paused"
    assert world.position(loser).is_flat
    world.to_slot(2)
    assert world.tick(loser, 2) == ("blocked", "paused")
    assert world.tick(holder, 2) == ("blocked", "paused")
    reasons = [
        e.payload["reason"] for e in world.events(type="risk_block") if e.payload["action"] == "paused"
    ]
    assert reasons == ["daily_loss"]


@BOTH
def test_funding_is_booked_on_its_day_into_the_round_trip_and_once(replayed: bool) -> None:
    start = datetime(2026, 3, 10, 7, 57, tzinfo=UTC)
    rates = [FundingRate(at=datetime(2026, 3, 10, 8, 0, 0, 4_000, tzinfo=UTC), rate=Decimal("0.001"))]
    world = World("u----d-", start=start, funding={SYMBOL: rates}, replayed=replayed)
    run = world.run(settings=settings(direction=Direction.LONG))
    world.to_slot(5)
    [trade] = world.memory.trades(run_id=run)
    assert trade.funding == -trade.quantity * Decimal(1010) * Decimal("0.001")
    assert len(world.events(run, "funding")) == 1
    assert risk(world).state.day(world.clock.now()).pnl == trade.pnl


def test_the_end_of_data_leaves_a_position_open() -> None:
    world = World("u--", replayed=True)
    run = world.run()
    world.play()
    assert world.position(run).quantity > 0
    assert world.memory.trades(run_id=run) == []


def test_i11_events_of_a_run_are_numbered_without_a_gap() -> None:
    world = World("ududud-", seed=3)
    run = world.run()
    world.venue_script.extend(["ok", "refused", "rejected"])
    world.to_slot(5, plus_s=20)
    numbers = [event.seq for event in world.events(run)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("seed", [None, 5])
def test_i12_nothing_of_a_user_lands_with_another(seed: int | None) -> None:
    """I12: orders, trades, events and risk days carry the run's user and account throughout."""
    world = World("uduudd-", seed=seed)
    runs = {user: world.run(user) for user in ("ann", "bob", "cid")}
    world.to_slot(5)
    for user, run in runs.items():
        account = world.status(run).account_id
        assert {(o.user_id, o.account_id) for o in world.orders(run)} == {(user, account)}
        assert {(t.user_id, t.account_id) for t in world.memory.trades(run_id=run)} == {(user, account)}
        assert {event.user_id for event in world.events(run)} == {user}
        booked = sum(trade.pnl for trade in world.memory.trades(run_id=run))
        open_fees = -world.position(run).fees
        assert risk(world, user).state.day(world.clock.now()).pnl == booked + open_fees


@BOTH
def test_the_same_run_twice_leaves_the_same_events(replayed: bool) -> None:
    def played() -> list[tuple[object, ...]]:
        world = World("uduud-du-", replayed=replayed, seed=11)
        for user in ("ann", "bob"):
            world.run(user, settings=settings(stop_loss_pct=Decimal("0.5")))
        world.to_slot(7)
        return [(e.user_id, e.run_id, e.seq, e.type, e.at, dict(e.payload)) for e in world.events()]

    assert played() == played()
