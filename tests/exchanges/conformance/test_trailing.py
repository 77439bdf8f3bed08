"""A trailing stop is one promise on paper and at venues: when it stands, when it moves, what it closes and leaves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.order import Leg
from core.position import OrderSide
from core.protection import Protection, Trailing, protection_of
from tests.exchanges.conformance.simulated_venue import SimulatedVenue
from tests.exchanges.conformance.venue import SYMBOL, Venue, order

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
ONE_PCT = {"trailing_callback_pct": D(1)}
LATER = {**ONE_PCT, "trailing_activation_pct": D(2)}
NOTHING = Protection()


def mirrored(side: OrderSide, bar: tuple[float, ...]) -> tuple[float, ...]:
    """The candle of a rise as one of the same fall."""
    open_, high, low, close = bar
    return bar if side is BUY else (2000 - open_, 2000 - low, 2000 - high, 2000 - close)


@pytest.mark.parametrize("side", OrderSide)
@pytest.mark.parametrize(
    ("fields", "bars", "price"),
    [
        # From the entry on: 990 behind 1000, then 999.9 behind 1010 (at Bybit the distance stays 10: 1000).
        (ONE_PCT, [(1000, 1000, 992, 993), (993, 995, 985, 986)], {990}),
        (
            ONE_PCT,
            [(1000, 1005, 1000, 1005), (1005, 1010, 1003, 1004), (1004, 1004, 996, 997)],
            {D("999.9"), 1000},
        ),
        # After its activation at 1020, and not before.
        (LATER, [(1000, 1015, 1000, 1012), (1012, 1012, 985, 990), (990, 995, 980, 990)], None),
        (
            LATER,
            [(1000, 1015, 1006, 1012), (1012, 1020, 1012, 1018), (1018, 1018, 1005, 1006)],
            {D("1009.8")},
        ),
        # Beside a stop that stays: whichever is met first.
        ({**LATER, "stop_loss": D(970)}, [(1000, 1015, 1000, 1005), (1005, 1005, 965, 966)], {970}),
    ],
)
def test_it_follows_from_its_activation_and_closes_the_position(
    venue: Venue,
    side: OrderSide,
    fields: dict[str, Any],
    bars: list[tuple[float, ...]],
    price: set[Decimal] | None,
) -> None:
    fixed = fields.get("stop_loss")
    if fixed is not None and side is SELL:
        fields = {**fields, "stop_loss": 2000 - fixed}
    venue.opens(1000.0)
    venue.place(order(venue, side=side, **fields))
    for bar in bars:
        venue.trades(*mirrored(side, bar))
    closing = [e for e in venue.books.executions.values() if e.venue_leg is not None]
    if price is None:
        assert closing == []
        return
    assert venue.books.position(SYMBOL).is_flat
    assert closing[-1].venue_leg is (Leg.TRAILING_STOP if fixed is None else Leg.STOP_LOSS)
    # Behind the best price of a short it is 1 % of a lower price, and of its activation a lower one too.
    allowed = {D(each) if side is BUY else 2000 - D(each) for each in price}
    assert min(abs(closing[-1].fill.price - each) for each in allowed) <= D("0.6")


def test_paper_and_venue_meet_it_at_the_same_price_of_the_same_candle(venue: Venue) -> None:
    """On a tape whose candles leave no doubt: every venue closes in the third minute, none of them earlier."""
    venue.opens(1000.0)
    venue.place(order(venue, **ONE_PCT))
    for bar in [(1000, 1004, 1000, 1004), (1004, 1006, 1000, 1005)]:
        venue.trades(*bar)
        assert not venue.books.position(SYMBOL).is_flat
    venue.trades(1005, 1005, 990, 991)
    assert venue.books.position(SYMBOL).is_flat


# -- at venues


def trailing(activation: str = "1020", *, at_once: bool = False) -> Trailing:
    return Trailing(
        callback_pct=D(1), activation_price=D(activation), best=D(activation) if at_once else None
    )


def protect(live: SimulatedVenue, wanted: Protection) -> Protection:
    return live.run(live.exchange.protect(SYMBOL, wanted))


def enter(live: SimulatedVenue, **changes: Any) -> None:
    live.place(order(live, **changes))


@pytest.mark.parametrize("wanted", [trailing(), trailing("1000", at_once=True)])
def test_it_stands_beside_stop_and_target_and_asking_again_changes_nothing(
    live: SimulatedVenue, wanted: Trailing
) -> None:
    enter(live)
    all_ = Protection(stop_loss=D(950), take_profit=D(1100), trailing=wanted)
    stands = protect(live, all_)
    assert stands.trailing is not None
    assert stands.trailing.measure == live.run(live.exchange.positions())[0].trail
    assert set(live.stands()) == {"stop", "trailing", "take_profit"}
    seen = live.seen()
    assert protect(live, all_) == stands
    assert live.requests("POST", since=seen) == []


def test_the_stop_goes_first_then_the_trailing_stop_then_the_target(live: SimulatedVenue) -> None:
    enter(live)
    protect(live, Protection(stop_loss=D(950), take_profit=D(1100), trailing=trailing()))
    waiting = live.do(lambda: live.engine.open_conditionals(live.account, SYMBOL))
    placed = sorted(waiting, key=lambda one: one.conditional_id)
    assert [one.request.kind.value for one in placed] == ["stop", "trailing", "take_profit"]


def test_an_activation_the_market_has_reached_trails_at_once(live: SimulatedVenue) -> None:
    enter(live)
    live.set_price(1030.0, jump=False)
    protect(live, Protection(trailing=trailing()))
    live.set_price(1015.0, jump=False)
    assert live.held() == 0


def test_another_is_put_in_its_place_and_none_is_left(live: SimulatedVenue) -> None:
    enter(live)
    protect(live, Protection(trailing=trailing()))
    wider = Trailing(callback_pct=D(2), activation_price=D(1020))
    protect(live, Protection(trailing=wider))
    assert set(live.stands()) == {"trailing"}
    protect(live, Protection(stop_loss=D(950)))
    assert set(live.stands()) == {"stop"}


def test_one_that_somebody_cancelled_is_missed_and_placed_again(live: SimulatedVenue) -> None:
    enter(live)
    protect(live, Protection(trailing=trailing()))
    for each in list(live.account.conditionals.values()):
        live.engine.cancel_conditional(each)
    assert live.run(live.exchange.positions())[0].trail is None
    protect(live, Protection(trailing=trailing()))
    assert set(live.stands()) == {"trailing"}


def test_nothing_of_it_is_left_once_it_is_flat(live: SimulatedVenue) -> None:
    enter(live, **LATER)
    enter(live, leg=Leg.EXIT, side=SELL)
    assert protect(live, Protection(trailing=trailing())) == NOTHING
    assert live.stands() == {}


def test_it_covers_what_was_added_later(live: SimulatedVenue) -> None:
    enter(live)
    wanted = protection_of(order(live, **ONE_PCT), D(1000))
    protect(live, wanted)
    enter(live, attempt=2)
    protect(live, wanted)
    live.trades(1000, 1000, 985, 986)
    assert live.held() == 0
