from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.candles import Candle
from core.order import Leg, OrderKind
from core.position import OrderSide, Side
from core.protection import Protection
from exchanges.paper.book import (
    Triggers,
    limit_match,
    liquidation_price,
    market_price,
    quiet_range,
    share_of,
    touched,
    triggers,
)
from exchanges.paper.terms import Terms
from tests.exchanges.conformance.paper_venue import PaperVenue
from tests.exchanges.conformance.venue import RULES, order
from tests.exchanges.paper.kit import candle, position

D = Decimal
LONG = Triggers(side=Side.LONG, liquidation=D(910), stop_loss=D(950), take_profit=D(1100))
SHORT = Triggers(side=Side.SHORT, liquidation=D(1090), stop_loss=D(1050), take_profit=D(900))


@pytest.mark.parametrize(
    ("side", "opening", "slippage", "price"),
    [
        (OrderSide.BUY, 1000.0, "0", "1000.0"),
        (OrderSide.BUY, 1000.03, "0", "1000.1"),
        (OrderSide.SELL, 1000.03, "0", "1000.0"),
        (OrderSide.BUY, 1000.0, "0.05", "1000.5"),
        (OrderSide.SELL, 1000.0, "0.05", "999.5"),
        (OrderSide.SELL, 1000.0, "0.055", "999.4"),
        (OrderSide.SELL, 0.1, "10", "0.1"),
    ],
)
def test_market_orders_slip_and_round_against_the_taker(
    side: OrderSide, opening: float, slippage: str, price: str
) -> None:
    assert market_price(side, opening, Terms(slippage_pct=D(slippage)), RULES) == D(price)


@pytest.mark.parametrize(
    ("volume", "pct", "share"),
    [(1.0, 100, "1"), (0.0019, 100, "0.001"), (2.5, 10, "0.25"), (5.0, 0, "0"), (0.0, 100, "0")],
)
def test_the_share_of_volume_is_in_whole_steps(volume: float, pct: int, share: str) -> None:
    assert share_of(volume, Terms(participation_pct=D(pct)), D("0.001")) == D(share)


@pytest.mark.parametrize(
    ("side", "leverage", "price"),
    [
        (OrderSide.BUY, 1, None),
        (OrderSide.BUY, 2, D(500) / D("0.996")),
        (OrderSide.BUY, 10, D(900) / D("0.996")),
        (OrderSide.SELL, 1, D(2000) / D("1.004")),
        (OrderSide.SELL, 10, D(1100) / D("1.004")),
    ],
)
def test_liquidation_is_where_margin_and_loss_leave_the_maintenance_margin(
    side: OrderSide, leverage: int, price: Decimal | None
) -> None:
    held = position(side)
    found = liquidation_price(held, leverage=leverage, terms=Terms())
    assert found == price
    if found is not None:
        left = held.open_cost / leverage + held.unrealised(found)
        assert abs(left - held.size * found * D("0.004")) < D("1e-12")


@pytest.mark.parametrize(
    ("set_", "bar", "leg", "price"),
    [
        # inside the candle, at the trigger
        (LONG, (1000, 1050, 960, 1000), None, None),
        (LONG, (1000, 1050, 950, 1000), Leg.STOP_LOSS, 950),
        (LONG, (1000, 1100, 960, 1000), Leg.TAKE_PROFIT, 1100),
        (SHORT, (1000, 1050, 960, 1000), Leg.STOP_LOSS, 1050),
        (SHORT, (1000, 1040, 900, 1000), Leg.TAKE_PROFIT, 900),
        # gone through: at the open
        (LONG, (940, 960, 930, 950), Leg.STOP_LOSS, 940),
        (LONG, (1120, 1130, 1110, 1120), Leg.TAKE_PROFIT, 1120),
        (SHORT, (1060, 1070, 1040, 1050), Leg.STOP_LOSS, 1060),
        (SHORT, (880, 890, 870, 880), Leg.TAKE_PROFIT, 880),
        (LONG, (900, 920, 890, 900), Leg.LIQUIDATION, 900),
        (SHORT, (1100, 1110, 1080, 1100), Leg.LIQUIDATION, 1100),
        # both sides touched: the worse
        (LONG, (1000, 1100, 950, 1000), Leg.STOP_LOSS, 950),
        (SHORT, (1000, 1050, 900, 1000), Leg.STOP_LOSS, 1050),
        (LONG, (1120, 1130, 940, 950), Leg.STOP_LOSS, 950),
        # the price meets the stop before the liquidation
        (LONG, (1000, 1000, 800, 900), Leg.STOP_LOSS, 950),
        (SHORT, (1000, 1200, 1000, 1100), Leg.STOP_LOSS, 1050),
    ],
)
def test_of_what_a_candle_touches_the_worse_happens(
    set_: Triggers, bar: tuple[float, float, float, float], leg: Leg | None, price: int | None
) -> None:
    found = touched(set_, candle(*bar))
    assert (found and found.leg, found and found.price) == (leg, price and D(price))


def test_a_stop_behind_the_liquidation_never_comes_to_work() -> None:
    set_ = Triggers(side=Side.LONG, liquidation=D(910), stop_loss=D(800))
    found = touched(set_, candle(1000, 1000, 700, 700))
    assert found is not None
    assert (found.leg, found.price) == (Leg.LIQUIDATION, D(910))


def test_prices_between_two_ticks_fall_on_the_takers_worse_side() -> None:
    protection = Protection(stop_loss=D("950.07"), take_profit=D("1100.07"))
    long = triggers(position(OrderSide.BUY), protection, leverage=1, terms=Terms(), rules=RULES)
    short = triggers(position(OrderSide.SELL), protection, leverage=1, terms=Terms(), rules=RULES)
    assert (long.stop_loss, long.take_profit) == (D("950.0"), D("1100.0"))
    assert (short.stop_loss, short.take_profit) == (D("950.1"), D("1100.1"))


@pytest.mark.parametrize(
    ("side", "bar", "arrives", "fill"),
    [
        (OrderSide.BUY, (1000, 1010, 991, 1000), False, None),
        (OrderSide.BUY, (1000, 1010, 990, 1000), False, None),
        (OrderSide.BUY, (1000, 1010, 989.9, 1000), False, ("990", True, False)),
        (OrderSide.BUY, (980, 1010, 970, 1000), False, ("980", True, True)),
        (OrderSide.BUY, (980, 1010, 970, 1000), True, ("980", False, True)),
        (OrderSide.SELL, (980, 990, 970, 980), False, None),
        (OrderSide.SELL, (980, 990.1, 970, 980), False, ("990", True, False)),
        (OrderSide.SELL, (1001, 1010, 980, 990), True, ("1001", False, True)),
    ],
)
def test_limit_orders_fill_only_when_traded_through(
    side: OrderSide,
    bar: tuple[float, float, float, float],
    arrives: bool,
    fill: tuple[str, bool, bool] | None,
) -> None:
    sent = order(PaperVenue(), side=side, kind=OrderKind.LIMIT, price=D(990))
    match = limit_match(sent, candle(*bar), RULES, quantity=D("0.1"), arrives=arrives)
    found = None if match is None else (match.price, match.maker, match.at_open)
    assert found == (None if fill is None else (D(fill[0]), *fill[1:]))


ticks = st.integers(5_000, 15_000).map(lambda n: n / 10)


@st.composite
def candles(draw: st.DrawFn) -> Candle:
    open_, close, up, down = draw(ticks), draw(ticks), draw(ticks), draw(ticks)
    return candle(open_, max(open_, close, up), min(open_, close, down), close)


@st.composite
def trigger_sets(draw: st.DrawFn) -> Triggers:
    price = st.integers(5_000, 15_000).map(lambda n: D(n) / 10)
    maybe = st.none() | price
    return Triggers(
        side=draw(st.sampled_from(Side)),
        liquidation=draw(maybe),
        stop_loss=draw(maybe),
        take_profit=draw(maybe),
    )


def worse(side: Side, price: Decimal, other: Decimal) -> bool:
    return price <= other if side is Side.LONG else price >= other


@given(trigger_sets(), candles())
def test_law_the_outcome_is_the_worst_of_each_trigger_alone(set_: Triggers, bar: Candle) -> None:
    """Worse of both; and of stop and liquidation, which lie on one side, the first met."""
    loss = touched(set_, bar, adverse_only=True)
    gain = touched(Triggers(side=set_.side, take_profit=set_.take_profit), bar)
    both = touched(set_, bar)
    if loss is None or gain is None:
        assert both == (loss or gain)
    else:
        assert both is not None
        assert both in (loss, gain)
        assert worse(set_.side, both.price, loss.price)
        assert worse(set_.side, both.price, gain.price)


@given(trigger_sets(), candles())
def test_law_in_the_quiet_range_nothing_is_touched(set_: Triggers, bar: Candle) -> None:
    above, below = quiet_range(set_)
    assert (touched(set_, bar) is None) == (bar.low > above and bar.high < below)


@given(trigger_sets(), candles())
def test_law_a_fill_lies_within_the_candle(set_: Triggers, bar: Candle) -> None:
    found = touched(set_, bar)
    if found is not None:
        assert D(repr(bar.low)) <= found.price <= D(repr(bar.high))


@given(trigger_sets(), candles())
def test_law_liquidation_is_never_better_than_the_stop_that_was_met_first(
    set_: Triggers, bar: Candle
) -> None:
    """A position with a stop never ends worse for having it than it would by liquidation alone, and one that is
    liquidated in spite of its stop got no better price than that stop."""
    found = touched(set_, bar, adverse_only=True)
    alone = touched(Triggers(side=set_.side, stop_loss=set_.stop_loss), bar)
    if found is not None and found.leg is Leg.LIQUIDATION and alone is not None:
        assert found.at_open or worse(set_.side, alone.price, found.price)
        assert not found.at_open or found.price == D(repr(bar.open))


@given(
    side=st.sampled_from(OrderSide),
    leverage=st.integers(1, 100),
    entry=st.integers(1_000, 10_000_000).map(lambda n: D(n) / 10),
)
def test_law_liquidation_lies_on_the_losing_side_and_before_bankruptcy(
    side: OrderSide, leverage: int, entry: Decimal
) -> None:
    held = position(side, entry=str(entry))
    price = liquidation_price(held, leverage=leverage, terms=Terms())
    if price is None:
        assert (side, leverage) == (OrderSide.BUY, 1)
        return
    loss = -held.unrealised(price)
    assert 0 < loss < held.open_cost / leverage
