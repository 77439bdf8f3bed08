"""A trailing stop on candles: it never loosens, and never does better than the market's ticks would have."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.candles import Candle
from core.order import Leg
from core.position import OrderSide, Side
from core.protection import Protection, Trailing
from exchanges.paper.account import closing_fill
from exchanges.paper.book import Triggers, quiet_range, touched, triggers
from exchanges.paper.terms import Terms
from exchanges.paper.trail import Trail, trail_of
from exchanges.simulator.model import TriggerStatus
from tests.exchanges.conformance.paper_venue import PaperVenue
from tests.exchanges.conformance.venue import RULES, SYMBOL, order
from tests.exchanges.paper.kit import candle, position
from tests.exchanges.simulator.worlds import World

D = Decimal
LONG, SHORT = Side.LONG, Side.SHORT


def trail(side: Side, activation: str, best: str | None, pct: str = "1") -> Trail:
    wanted = Trailing(
        callback_pct=D(pct), activation_price=D(activation), best=None if best is None else D(best)
    )
    return trail_of(wanted, side, RULES)


@pytest.mark.parametrize(
    ("side", "best", "bar", "after"),
    [
        # Before its activation at 1020 (980) nothing stands, from there on 1 % behind the best.
        (LONG, None, (1000, 1019.9, 990, 1000), None),
        (LONG, None, (1000, 1020, 1015, 1018), "1009.8"),
        (SHORT, None, (1000, 1010, 980.1, 1000), None),
        (SHORT, None, (1000, 985, 980, 984), "989.8"),
        # It follows the better side of a candle, and the worse one not at all.
        (LONG, "1030", (1029, 1040, 1032, 1033), "1029.6"),
        (LONG, "1030", (1029, 1030, 1020, 1021), "1019.7"),
        (LONG, "1030", (1025, 1026, 1022, 1023), "1019.7"),
        (SHORT, "970", (971, 968, 960, 962), "969.6"),
        (SHORT, "970", (975, 978, 971, 972), "979.7"),
    ],
)
def test_it_follows_the_best_price_since_its_activation(
    side: Side, best: str | None, bar: tuple[float, ...], after: str | None
) -> None:
    moved = trail(side, "1020" if side is LONG else "980", best).after(candle(*bar))
    assert moved.stop == (None if after is None else D(after))


@pytest.mark.parametrize(
    ("side", "best", "fields", "bar", "leg", "price"),
    [
        # Where it stood before the candle.
        (LONG, "1000", {}, (995, 999, 990, 992), Leg.TRAILING_STOP, "990.0"),
        (LONG, "1000", {}, (985, 999, 980, 992), Leg.TRAILING_STOP, "985.0"),
        (LONG, "1000", {}, (995, 1000, 990.1, 992), None, None),
        (SHORT, "1000", {}, (1005, 1010, 1001, 1002), Leg.TRAILING_STOP, "1010.0"),
        # It moved within the candle, and the candle came back so far: at the candle's worst price.
        (LONG, "1000", {}, (1000, 1010, 999.9, 1005), Leg.TRAILING_STOP, "999.9"),
        (LONG, "1000", {}, (1000, 1010, 1000, 1005), None, None),
        (SHORT, "1000", {}, (1000, 1000.1, 990, 995), Leg.TRAILING_STOP, "1000.1"),
        # Activated and met in one candle.
        (LONG, None, {}, (1000, 1020, 1009, 1010), Leg.TRAILING_STOP, "1009.0"),
        (LONG, None, {}, (1000, 1019.9, 995, 1010), None, None),
        # The stop that stays is met first, or stands farther behind.
        (LONG, "1000", {"stop_loss": D(995)}, (998, 999, 980, 985), Leg.STOP_LOSS, "995"),
        (LONG, "1000", {"stop_loss": D(985)}, (998, 999, 980, 985), Leg.TRAILING_STOP, "990.0"),
        # Beyond a target there is nothing to trail; of a target and the stop the worse is taken.
        (LONG, None, {"take_profit": D(1015)}, (1000, 1030, 1005, 1020), Leg.TAKE_PROFIT, "1015"),
        (LONG, "1000", {"take_profit": D(1015)}, (1004, 1030, 1003, 1020), Leg.TRAILING_STOP, "1003.0"),
        (LONG, "1000", {"take_profit": D(1005)}, (1000, 1030, 999, 1020), Leg.TAKE_PROFIT, "1005"),
    ],
)
def test_a_candle_meets_it_where_it_stood_else_where_it_may_have_moved(
    side: Side,
    best: str | None,
    fields: dict[str, Decimal],
    bar: tuple[float, ...],
    leg: Leg | None,
    price: str | None,
) -> None:
    set_ = Triggers(side=side, trail=trail(side, "1020" if side is LONG else "980", best), **fields)
    found = touched(set_, candle(*bar))
    assert (found and found.leg, found and found.price) == (leg, None if price is None else D(price))


def test_inside_the_candle_that_opened_the_position_only_where_it_stood_counts() -> None:
    set_ = Triggers(side=LONG, trail=trail(LONG, "1000", "1000"))
    assert touched(set_, candle(1000, 1010, 995, 1005), adverse_only=True) is None
    assert touched(set_, candle(1000, 1010, 990, 1005), adverse_only=True) is not None


ticks = st.lists(st.integers(9_000, 11_000), min_size=2, max_size=40)
callbacks = st.integers(1, 60).map(lambda tenths: D(tenths) / 10)


@given(st.sampled_from(Side), ticks, callbacks)
def test_law_it_never_loosens(side: Side, path: list[int], pct: Decimal) -> None:
    long, stop = side is LONG, None
    now = trail(side, "1000", None, str(pct))
    for tick in path:
        now = now.reaching(tick / 10)
        if stop is not None:
            assert now.stop is not None
            assert now.stop >= stop if long else now.stop <= stop
        stop = now.stop


def exit_by_ticks(side: Side, path: list[int], wanted: Trail) -> tuple[int, Decimal] | None:
    """What a venue does that sees every price: the tick at which it closes, and that price."""
    now = wanted
    for number, tick in enumerate(path):
        price = D(tick) / 10
        if now.stop is not None and (price <= now.stop if side is LONG else price >= now.stop):
            return number, now.stop
        now = now.reaching(tick / 10)
    return None


def exit_by_candles(side: Side, path: list[int], wanted: Trail, cuts: set[int]) -> tuple[int, Decimal] | None:
    """The candle, by its last tick, and the price. A candle opens at the tick the one before it closed at."""
    now, first = wanted, 0
    for last in sorted(cuts | {len(path) - 1}):
        part = [tick / 10 for tick in path[first : last + 1]]
        bar = candle(part[0], max(part), min(part), part[-1])
        touch = touched(Triggers(side=side, trail=now), bar)
        if touch is not None:
            return last, touch.price
        now, first = now.after(bar), last
    return None


def walk(path: list[int]) -> list[int]:
    """Every price on the way, a tenth at a time at most a tick: nobody jumps a stop."""
    found = path[:1]
    for tick in path[1:]:
        step = 1 if tick > found[-1] else -1
        found.extend(range(found[-1] + step, tick + step, step))
    return found


@given(
    st.sampled_from(Side), st.lists(st.integers(9_700, 10_300), min_size=2, max_size=12), callbacks, st.data()
)
def test_law_on_candles_it_does_no_better_than_on_the_ticks_they_are_made_of(
    side: Side, path: list[int], pct: Decimal, data: st.DataObject
) -> None:
    """The conservative rule: never later than the market would, and at no better a price."""
    wanted, path = trail(side, "1005" if side is LONG else "995", None, str(pct)), walk(path)
    cuts = data.draw(st.sets(st.integers(1, max(1, len(path) - 1))))
    by_ticks = exit_by_ticks(side, path, wanted)
    by_candles = exit_by_candles(side, path, wanted, {cut for cut in cuts if cut < len(path)})
    if by_ticks is None:
        return
    assert by_candles is not None
    better = by_candles[1] > by_ticks[1] if side is LONG else by_candles[1] < by_ticks[1]
    assert not better


@given(st.sampled_from(Side), st.lists(st.integers(9_700, 10_300), min_size=2, max_size=12), callbacks)
def test_law_on_candles_of_one_step_each_it_is_the_venue_to_the_tick(
    side: Side, path: list[int], pct: Decimal
) -> None:
    """Where a candle leaves no doubt of its order, paper and live agree."""
    wanted, path = trail(side, "1005" if side is LONG else "995", None, str(pct)), walk(path)
    assume(len(path) > 2)
    assert exit_by_candles(side, path, wanted, set(range(1, len(path)))) == exit_by_ticks(side, path, wanted)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(Side),
    st.lists(st.integers(580_000, 620_000), min_size=1, max_size=15),
    callbacks,
    st.sampled_from([D(0), D("0.5"), D(2)]),
)
def test_law_paper_and_the_venues_engine_close_at_the_same_tick(
    side: Side, path: list[int], pct: Decimal, activation_pct: Decimal
) -> None:
    """The venues' simulator shares no code with paper; one has ticks, the other candles of one price each."""
    world, sign = World(), 1 if side is LONG else -1
    world.engine.set_price(SYMBOL, D(60_000))
    opens, closes = ("buy", "sell") if side is LONG else ("sell", "buy")
    world.engine.place(world.account, world.order(opens, "0.01"))
    activation = D(60_000) * (1 + sign * activation_pct / 100)
    asked = world.conditional(
        "trailing",
        closes,
        quantity=D("0.01"),
        reduce_only=True,
        callback_pct=pct,
        activation_price=activation if activation_pct else None,
    )
    standing = world.engine.place_conditional(world.account, asked)
    best = None if activation_pct else D(60_000)
    now = trail_of(Trailing(callback_pct=pct, activation_price=activation, best=best), side, RULES)
    for tick in path:
        price = tick / 10
        world.engine.set_price(SYMBOL, D(tick) / 10)
        touch = touched(Triggers(side=side, trail=now), candle(price, price, price, price))
        assert (touch is not None) is (standing.status is TriggerStatus.FINISHED)
        if touch is not None:
            assert touch.price == world.account.trades[-1].price
            return
        now = now.reaching(price)


@given(st.sampled_from(Side), st.lists(st.integers(9_500, 10_500), min_size=4, max_size=4), callbacks)
def test_law_quiet_prices_neither_end_the_position_nor_move_the_stop(
    side: Side, bar: list[int], pct: Decimal
) -> None:
    set_ = Triggers(side=side, trail=trail(side, "1000", "1000", str(pct)))
    prices = [tick / 10 for tick in bar]
    shown = Candle(
        open_time_ms=0, open=bar[0] / 10, high=max(prices), low=min(prices), close=bar[3] / 10, volume=1.0
    )
    quiet = quiet_range(set_)
    if shown.low > quiet.above and shown.high < quiet.below:
        assert set_.trail is not None
        assert touched(set_, shown) is None
        assert set_.trail.after(shown) is set_.trail


@pytest.mark.parametrize(("side", "price"), [(OrderSide.BUY, "990.0"), (OrderSide.SELL, "1010.0")])
def test_it_closes_the_whole_position_as_a_leg_of_its_own(side: OrderSide, price: str) -> None:
    held = position(side)
    wanted = Protection(trailing=Trailing(callback_pct=D(1), activation_price=D(1000), best=D(1000)))
    set_ = triggers(held, wanted, leverage=1, terms=Terms(), rules=RULES)
    touch = touched(set_, candle(1000, 1015, 985, 1000))
    assert touch is not None
    assert touch.leg is Leg.TRAILING_STOP
    fill = closing_fill(held, touch, held.opened_at, terms=Terms(), rules=RULES)  # type: ignore[arg-type]
    assert (fill.price, fill.quantity) == (D(price), held.size)


def test_a_restart_goes_on_from_the_best_price_that_was_told() -> None:
    venue = PaperVenue()
    venue.opens(1000.0)
    venue.place(order(venue, trailing_callback_pct=D(1)))
    venue.trades(1000.0, 1005.0, 1000.0, 1004.0)
    venue.trades(1004.0, 1010.0, 1004.0, 1009.0)
    venue.restart()
    [held] = venue.run(venue.exchange.positions())
    assert held.trail == 1
    venue.opens(1005.0)
    venue.trades(1005.0, 1005.0, 999.0, 999.0)
    assert venue.books.position(SYMBOL).is_flat
    closing = list(venue.books.executions.values())[-1]
    assert (closing.venue_leg, closing.fill.price) == (Leg.TRAILING_STOP, D("999.9"))
