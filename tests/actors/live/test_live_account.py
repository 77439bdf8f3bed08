"""A live account through the whole application: settings, protection, reconciliation, breaker."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.messages import SubmitOrder
from core.candles import Candle
from core.ids import RunId
from core.order import Leg
from core.position import Fill, OrderSide
from core.protection import Protection
from core.run import Direction, MissingStop, RunStatus
from core.timeframe import Timeframe
from exchanges.base import Execution, FundingPaid, ProtectionMoved
from exchanges.errors import (
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    Refusal,
    Rejected,
    Unreachable,
)
from tests.actors.candles import SYMBOL, scripted
from tests.actors.live.world import AHEAD, LiveWorld

SEEDS = pytest.mark.parametrize("seed", [None, 1, 2])
UNPROTECTED = Protection()
AWAY = Unreachable(ErrorKind.CONNECTION, "away")


def standing(world: LiveWorld) -> tuple[Decimal | None, Decimal | None]:
    [held] = world.memory.open_positions(account_id=world.live_account.id)
    return held.standing_stop, held.standing_target


def test_mark_prices_are_heard_of_what_is_held_and_of_nothing_else() -> None:
    world = LiveWorld("u----------")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.wait(5)
    assert not any(held() for held in world.held)
    world.to_slot(0, plus_s=5)
    [held] = world.held
    assert held() == {SYMBOL}
    world.venue.engine.apply_candle(SYMBOL, _crash(world), world.timeframe)
    world.wait(130)
    assert world.position(run).is_flat
    assert held() == frozenset()


@SEEDS
def test_a_live_entry_is_set_up_signed_by_the_venues_clock_and_protected(seed: int | None) -> None:
    """The venue's own step, its settings before the first entry alone, its clock in `sign_ts`, stop and target."""
    world = LiveWorld("uuu-", seed=seed)
    run = world.live_run(leverage=3, stop_loss_pct=Decimal(5), take_profit_pct=Decimal(10))
    world.to_slot(0, plus_s=20)
    [entry] = world.orders(run)
    assert entry.filled_quantity == entry.quantity
    assert entry.quantity % world.STEP == 0
    assert entry.created_at is not None
    assert entry.sign_ts == entry.created_at + AHEAD
    assert world.venue.asked("configure") == [(SYMBOL, 3, "isolated")]
    price = entry.average_price
    assert price is not None
    assert standing(world) == (price * Decimal("0.95"), price * Decimal("1.10"))
    [told] = world.events(run, "protection")
    assert told.payload["unprotected_s"] < 1.0


def test_a_run_waits_for_its_venues_filters() -> None:
    world = LiveWorld("uu-")
    run = world.live_run()
    world.fail("rules", *[AWAY] * 50)
    world.to_slot(0, plus_s=5)
    assert world.tick(run, 0) == ("skipped", "no_rules")


def test_settings_that_cannot_be_made_leave_the_order_unplaced() -> None:
    world = LiveWorld("u-u-")
    run = world.live_run()
    world.fail("configure", Rejected(Refusal.MODE, "position mode"))
    world.to_slot(0, plus_s=5)
    assert not world.venue.asked("place")
    assert world.legs(run) == [(Leg.ENTRY, 1, "rejected")]
    world.to_slot(2, plus_s=5)
    assert len(world.venue.asked("configure")) == 2
    assert world.legs(run)[-1] == (Leg.ENTRY, 1, "filled")


def test_a_stop_that_fails_at_first_is_tried_until_it_stands() -> None:
    world = LiveWorld("u---")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.fail("protect", AWAY, AWAY, AWAY)
    world.to_slot(0, plus_s=30)
    assert standing(world)[0] is not None
    [told] = world.events(run, "protection")
    assert 1.0 < told.payload["unprotected_s"] < 10.0
    assert [leg for leg, _, _ in world.legs(run)] == [Leg.ENTRY]


@SEEDS
def test_a_position_whose_stop_will_not_stand_is_closed_within_the_bound(seed: int | None) -> None:
    world = LiveWorld("u---", seed=seed)
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.fail("protect", *[AWAY] * 100)
    world.to_slot(0, plus_s=30)
    entry, repair = world.orders(run)
    assert (repair.leg, repair.reduce_only) == (Leg.REPAIR, True)
    assert repair.filled_quantity == entry.filled_quantity
    assert entry.created_at is not None
    assert repair.created_at is not None
    assert repair.created_at - entry.created_at < timedelta(seconds=12)
    assert world.position(run).is_flat
    causes = [event.payload.get("failure") for event in world.events(run, "protection")]
    assert causes[0] == "connection"


STOP_GONE = ProtectionMoved(symbol=SYMBOL, leg=Leg.STOP_LOSS, price=None)


@pytest.mark.parametrize("price", [None, Decimal(1)])
def test_a_stop_that_is_told_to_be_gone_or_elsewhere_is_looked_for_at_once(price: Decimal | None) -> None:
    world = LiveWorld("u---")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=5)
    looks, wanted = len(world.venue.asked("positions")), standing(world)
    world.venue.engine.protect(SYMBOL, UNPROTECTED)
    world.venue.tell(replace(STOP_GONE, price=price))
    world.wait(3)
    assert len(world.venue.asked("positions")) == looks + 1
    assert standing(world) == wanted
    assert world.events(run, "protection")[-1].payload["unprotected_s"] < 3


def test_what_is_told_of_stops_that_stand_as_known_or_went_with_their_position_asks_for_no_look() -> None:
    world = LiveWorld("ud---")
    run = world.live_run(stop_loss_pct=Decimal(5), direction=Direction.LONG)
    world.to_slot(0, plus_s=5)
    looks = len(world.venue.asked("positions"))
    world.venue.tell(replace(STOP_GONE, price=standing(world)[0]))
    world.venue.tell(replace(STOP_GONE, leg=Leg.TAKE_PROFIT))
    world.to_slot(1, plus_s=5)
    assert world.position(run).is_flat
    world.venue.tell(STOP_GONE)
    world.wait(5)
    assert len(world.venue.asked("positions")) == looks


def test_a_stop_whose_level_is_passed_closes_the_position_at_once() -> None:
    world = LiveWorld("u---")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.fail("protect", Rejected(Refusal.WOULD_TRIGGER, "passed"))
    world.to_slot(0, plus_s=5)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.REPAIR]
    assert world.position(run).is_flat


def test_a_repair_waits_for_the_kill_switch_and_goes_on_after_it() -> None:
    """I8: the switch blocks exits too."""
    world = LiveWorld("u----")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=5)
    world.memory.set_kill_switch(on=True, reason="drill")
    world.fail("protect", *[Rejected(Refusal.WOULD_TRIGGER, "passed")] * 3)
    world.venue.engine.protect(SYMBOL, UNPROTECTED)
    world.gap()
    world.wait(40)
    assert [order.leg for order in world.orders(run)] == [Leg.ENTRY]
    world.memory.set_kill_switch(on=False, reason="over")
    world.wait(15)
    assert {order.leg for order in world.orders(run)} == {Leg.ENTRY, Leg.REPAIR}
    assert world.position(run).is_flat


def test_a_stop_somebody_cancelled_is_placed_again_and_both_are_told() -> None:
    world = LiveWorld("u---------")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=5)
    world.venue.engine.protect(SYMBOL, UNPROTECTED)
    world.wait(150)
    [holding] = world.venue.engine.holdings()
    position = holding.protection
    assert position.stop_loss is not None
    _, lost, again = world.events(run, "protection")
    assert "stop_loss" not in lost.payload
    assert Decimal(again.payload["stop_loss"]) == position.stop_loss
    assert 0 < again.payload["unprotected_s"] < 1.0
    assert standing(world)[0] == position.stop_loss


def test_what_an_earlier_process_left_standing_is_taken_away_once() -> None:
    """A stop without a position closes whatever is opened next, by hand too."""
    world = LiveWorld("-----------")
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.wait(5)
    assert world.venue.asked("sweep") == [SYMBOL]
    assert world.events(run, "protection") == []
    world.venue.orphans.add(SYMBOL)
    world.gap()
    world.wait(5)
    assert not world.venue.orphans
    world.wait(300)
    assert world.venue.asked("sweep") == [SYMBOL] * 2
    assert len(world.venue.asked("positions")) > 2


def test_a_sweep_that_fails_is_made_good() -> None:
    world = LiveWorld("-----------")
    world.live_run(stop_loss_pct=Decimal(5))
    world.fail("sweep", AWAY)
    world.wait(10)
    assert len(world.venue.asked("protect")) == 1


@SEEDS
def test_a_stop_is_placed_when_the_sweep_before_it_has_ended(seed: int | None) -> None:
    """Else it might be taken for one that was left."""
    world = LiveWorld("u---", seed=seed)
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.wait(5)
    world.venue.sweep_s = 4.0
    world.to_slot(0, plus_s=-2)
    world.gap()
    world.wait(10)
    names = [name for name, _ in world.venue.calls]
    assert names.index("protect") > len(names) - 1 - names[::-1].index("swept")
    assert not world.position(run).is_flat
    assert standing(world)[0] is not None


TRAILED = {"trailing_callback_pct": Decimal(5), "trailing_activation_pct": Decimal(1)}


@SEEDS
@pytest.mark.parametrize("stop", [None, Decimal(20)])
def test_a_trailing_stop_stands_and_closes_what_it_was_set_for(
    seed: int | None, stop: Decimal | None
) -> None:
    world = LiveWorld("u-----", seed=seed)
    run = world.live_run(stop_loss_pct=stop, **TRAILED)
    world.to_slot(0, plus_s=5)
    [held] = world.memory.open_positions(account_id=world.live_account.id)
    assert (held.trail_pct, held.standing_trail, held.standing_stop is None) == (5, 5, stop is None)
    best = replace(world.columns.candle(4), high=1100.0, low=1099.0, close=1100.0, open=1100.0)
    world.venue.engine.apply_candle(SYMBOL, best, Timeframe.M1)
    world.wait(60)
    back = replace(best, open_time_ms=best.open_time_ms + 60_000, low=1040.0, close=1040.0)
    world.venue.engine.apply_candle(SYMBOL, back, Timeframe.M1)
    world.wait(5)
    assert world.position(run).is_flat
    assert world.legs(run)[-1][0] is Leg.TRAILING_STOP
    [trade] = world.memory.trades(run_id=run)
    assert (trade.exit_reason, trade.exit_price) == ("trailing_stop", Decimal(1045))


@pytest.mark.parametrize("stop", [None, Decimal(5)])
def test_a_trailing_stop_somebody_cancelled_is_placed_again(stop: Decimal | None) -> None:
    world = LiveWorld("u---------")
    run = world.live_run(stop_loss_pct=stop, **TRAILED)
    world.to_slot(0, plus_s=5)
    [before] = world.memory.open_positions(account_id=world.live_account.id)
    world.venue.engine.protect(SYMBOL, Protection(stop_loss=before.standing_stop))
    world.wait(150)
    [holding] = world.venue.engine.holdings()
    assert holding.protection.trailing is not None
    _, lost, again = world.events(run, "protection")
    assert "trail" not in lost.payload
    assert (again.payload["trail"], again.payload.get("failure")) == ("5", None)


@SEEDS
@pytest.mark.parametrize("wanted", [{"stop_loss_pct": Decimal(5)}, TRAILED])
def test_a_run_that_says_so_is_closed_as_soon_as_its_stop_cannot_be_placed(
    seed: int | None, wanted: dict[str, Decimal]
) -> None:
    """Decision 22: unless the run's policy says otherwise."""
    world = LiveWorld("u---", seed=seed)
    run = world.live_run(missing_stop=MissingStop.CLOSE, **wanted)
    world.fail("protect", AWAY)
    world.to_slot(0, plus_s=5)
    entry, repair = world.orders(run)
    assert (repair.leg, repair.filled_quantity) == (Leg.REPAIR, entry.filled_quantity)
    assert entry.created_at is not None
    assert repair.created_at is not None
    assert repair.created_at - entry.created_at < timedelta(seconds=1)
    assert world.position(run).is_flat


@pytest.mark.parametrize("policy", MissingStop)
@pytest.mark.parametrize("wanted", [{"stop_loss_pct": Decimal(5)}, TRAILED])
def test_a_stop_somebody_took_away_is_repaired_or_its_position_closed_as_the_run_says(
    policy: MissingStop, wanted: dict[str, Decimal]
) -> None:
    """Also in a process that has the account from its rows alone."""
    world = LiveWorld("u---------")
    run = world.live_run(missing_stop=policy, **wanted)
    world.to_slot(0, plus_s=5)
    world.venue.engine.protect(SYMBOL, UNPROTECTED)
    world.gap()
    world.wait(20)
    closed = policy is MissingStop.CLOSE
    assert world.position(run).is_flat is closed
    failures = [event.payload.get("failure") for event in world.events(run, "protection")]
    assert ("missing" in failures) is closed
    assert ([order.leg for order in world.orders(run)] == [Leg.ENTRY, Leg.REPAIR]) is closed


@SEEDS
@pytest.mark.parametrize("while_asking", [True, False])
def test_a_stop_follows_a_position_that_grew_at_its_own_price(seed: int | None, while_asking: bool) -> None:
    """At a venue whose stops are of a quantity the old one would leave what came later without."""
    columns = scripted("u---------", volume=0.5)
    world = LiveWorld("", columns=columns, seed=seed)
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=0.12 if while_asking else 5)
    [entry] = world.orders(run)
    assert entry.filled_quantity == Decimal("0.5")
    asked = len(world.venue.asked("protect"))
    assert entry.average_price is not None
    late = Fill(
        trade_id="late",
        side=OrderSide.BUY,
        quantity=Decimal("0.2"),
        price=entry.average_price,
        commission=Decimal(0),
        executed_at=world.clock.now(),
    )
    world.venue.tell(Execution(symbol=SYMBOL, fill=late, client_order_id=entry.client_order_id))
    world.wait(5)
    assert world.position(run).quantity == Decimal("0.7")
    assert len(world.venue.asked("protect")) == asked + 1


@SEEDS
def test_i3_a_fill_told_to_nobody_is_found_by_the_next_look(seed: int | None) -> None:
    world = LiveWorld("u----------", seed=seed)
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=5)
    world.venue.silent = True
    [held] = world.venue.engine.holdings()
    world.venue.engine.apply_candle(SYMBOL, _crash(world), world.timeframe)
    assert not world.venue.engine.holdings()
    assert not world.position(run).is_flat
    world.wait(130)
    assert world.position(run).is_flat
    [trade] = world.memory.trades(run_id=run)
    assert (trade.quantity, trade.exit_reason) == (held.position.size, "stop_loss")


@SEEDS
def test_i3_an_exit_of_an_earlier_position_told_again_closes_nothing(seed: int | None) -> None:
    """The first look of a new process asks a day back: each exit of that day comes once more, long since filled."""
    world = LiveWorld("dud------", seed=seed)
    run = world.live_run()
    world.to_slot(2, plus_s=20)
    legs = world.legs(run)
    assert world.position(run).quantity < 0
    world.begin()
    world.to_slot(5, plus_s=40)
    assert world.legs(run) == legs
    assert world.position(run).quantity < 0


def test_i17_a_second_look_tells_nothing() -> None:
    world = LiveWorld("u---------")
    world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=30)
    told = len(world.events())
    looks = len(world.venue.asked("positions"))
    for _ in range(3):
        world.gap()
        world.wait(10)
    assert len(world.venue.asked("positions")) >= looks + 3
    later = [event.type for event in world.events()[told:] if event.type != "signal"]
    assert later == []


def test_what_somebody_else_holds_is_drift_and_no_entry_follows() -> None:
    world = LiveWorld("--u-u-----")
    run = world.live_run()
    world.to_slot(0)
    world.venue.foreign[SYMBOL] = Decimal("0.5")
    world.gap()
    world.wait(10)
    [drift] = world.events(run, "drift")
    assert drift.payload["drift"] == "0.5"
    world.to_slot(2, plus_s=5)
    assert world.tick(run, 2) == ("blocked", "drift")
    world.venue.foreign.clear()
    world.gap()
    world.wait(10)
    assert len(world.events(run, "drift")) == 2
    world.to_slot(4, plus_s=5)
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled")]


def test_missed_funding_is_asked_for_and_booked_once() -> None:
    world = LiveWorld("u-------")
    run = world.live_run()
    world.to_slot(0, plus_s=30)
    paid = FundingPaid(symbol=SYMBOL, funding_id="f1", amount=Decimal("-1.5"), at=world.clock.now())
    world.venue.funding.append(paid)
    for _ in range(2):
        world.gap()
        world.wait(10)
    assert [event.payload["amount"] for event in world.events(run, "funding")] == ["-1.5"]
    assert world.position(run).funding == Decimal("-1.5")


def test_without_a_stream_the_venue_is_polled() -> None:
    world = LiveWorld("u-------")
    world.live_run()
    world.to_slot(0, plus_s=30)
    world.venue.streaming = False
    looks = len(world.venue.asked("positions"))
    world.wait(60)
    assert len(world.venue.asked("positions")) - looks >= 8


def test_i4_an_unknown_order_is_looked_up_by_the_venues_clock() -> None:
    world = LiveWorld("u---")
    run = world.live_run()
    world.fail("place", OutcomeUnknown(ErrorKind.TIMEOUT, "no answer"))
    world.to_slot(0, plus_s=50)
    [order] = world.orders(run)
    assert (order.status.value, order.reason) == ("not_placed", "absent")
    assert len(world.venue.asked("place")) == 1


def test_a_venue_out_of_reach_at_the_start_is_tried_again() -> None:
    world = LiveWorld("--u-")
    run = world.live_run()
    world.fail("connect", AWAY, AWAY, AWAY)
    world.to_slot(2, plus_s=5)
    assert len(world.venue.asked("connect")) == 4
    assert world.legs(run) == [(Leg.ENTRY, 1, "filled")]


def test_a_run_that_sends_more_than_anybody_who_is_well_is_halted() -> None:
    """Exits that the venue takes and expires unfilled, again and again: after five of them it is enough."""
    world = LiveWorld("u" + "-" * 20)
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=5)
    unfilled: list[ExchangeError | None] = [Rejected(Refusal.OTHER, "no")] * 40
    world.fail("protect", *[Rejected(Refusal.WOULD_TRIGGER, "passed")] * 40)
    world.fail("place", *unfilled)
    world.venue.engine.protect(SYMBOL, UNPROTECTED)
    world.gap()
    world.wait(59)
    assert len(world.venue.asked("place")) == 1 + 5
    assert world.status(run).status is RunStatus.ERROR
    reason = world.status(run).status_reason
    assert reason is not None
    assert reason.startswith("breaker")


def test_a_process_that_sends_far_more_than_its_runs_can_is_stopped() -> None:
    """Decision 25: never below a hundred a minute."""
    world = LiveWorld("u---")
    run = world.live_run()
    world.to_slot(0, plus_s=5)
    [entry] = world.orders(run)
    gateway = world.system.ref("gateway")
    for attempt in range(2, 150):
        of_another = RunId(UUID(int=attempt))  # none sends too much by itself
        again = replace(entry, client_order_id=f"{entry.client_order_id[:-3]}{attempt:03}", run_id=of_another)
        gateway.tell(SubmitOrder(order=again))
    world.wait(1)
    alerts = [fields for action, fields in world.reports if action == "alert"]
    assert [alert["what"] for alert in alerts] == ["breaker"]
    asked = [call for call in world.calls if call[0] == "store.may_send"]
    assert sum(len(arguments[0]) for _, (arguments, _, _) in asked) == 100


def test_what_was_never_placed_trips_no_breaker() -> None:
    world = LiveWorld("u" + "-" * 20)
    run = world.live_run(stop_loss_pct=Decimal(5))
    world.to_slot(0, plus_s=5)
    world.fail("protect", *[Rejected(Refusal.WOULD_TRIGGER, "passed")] * 40)
    world.fail("place", *[NotPlaced(ErrorKind.BUSY, "busy")] * 8)
    world.venue.engine.protect(SYMBOL, UNPROTECTED)
    world.gap()
    world.wait(59)
    assert world.position(run).is_flat
    assert world.status(run).status is RunStatus.ACTIVE


def _crash(world: LiveWorld) -> Candle:
    """A candle on which the price falls by half."""
    return replace(world.columns.candle(5), low=500.0, close=500.0)
