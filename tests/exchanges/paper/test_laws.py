"""Laws of the paper account over whole sequences of orders, candles, funding and restarts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.candles import Candle
from core.order import Leg, OrderKind
from core.position import ZERO, OrderSide
from core.timeframe import Timeframe
from exchanges.base import Execution
from exchanges.errors import Rejected
from exchanges.paper.terms import Terms
from tests.exchanges.conformance.paper_venue import PaperVenue
from tests.exchanges.conformance.venue import BANKROLL, SYMBOL, order

D = Decimal
TERMS = Terms(slippage_pct=D("0.02"), participation_pct=D(50))

prices = st.integers(8_500, 11_500).map(lambda tenths: tenths / 10)
maybe_price = st.none() | prices.map(lambda price: D(repr(price)))
bars = st.tuples(prices, prices, prices, prices, st.sampled_from([0.0, 0.3, 5.0, 1e6]))
orders = st.fixed_dictionaries(
    {
        "side": st.sampled_from(OrderSide),
        "leg": st.sampled_from([Leg.ENTRY, Leg.ENTRY, Leg.EXIT]),
        "price": maybe_price,
        "quantity": st.integers(60, 3_000).map(lambda thousandths: D(thousandths) / 1000),
        "leverage": st.sampled_from([1, 3, 10]),
        "stop_loss": maybe_price,
        "take_profit": maybe_price,
        "trailing_callback_pct": st.none() | st.sampled_from([D("0.1"), D(1), D(4)]),
        "trailing_activation_pct": st.sampled_from([D(0), D(0), D("0.5"), D(2)]),
    }
)
steps = st.lists(
    st.tuples(bars, st.lists(orders, max_size=2), st.sampled_from(["0", "0.001", "-0.0005"])), max_size=12
)


class Play:
    """A market played step by step; `candles` is what was applied."""

    def __init__(self) -> None:
        self.venue = PaperVenue(TERMS)
        self.candles: list[Candle] = []

    def step(self, bar: tuple[float, ...], wanted: list[dict[str, Any]], rate: str) -> None:
        venue, (open_, close, up, down, volume) = self.venue, bar
        last = D(repr(open_))
        if D(rate):
            venue.exchange.apply_funding(SYMBOL, venue.slot, rate=D(rate), mark=last)
        venue.opens(open_, volume)
        for attempt, fields in enumerate(wanted, start=1):
            kind = OrderKind.MARKET if fields["price"] is None else OrderKind.LIMIT
            try:
                venue.place(order(venue, attempt=attempt, kind=kind, reference_price=last, **fields))
            except Rejected:
                continue
        extremes = (open_, close, up, down)
        self.candles.append(venue.candle(open_, max(extremes), min(extremes), close, volume))
        venue.trades(open_, max(extremes), min(extremes), close, volume)


@settings(max_examples=60, deadline=None)
@given(steps, prices)
def test_law_equity_is_bankroll_plus_realised_plus_unrealised(played: list[Any], price: float) -> None:
    """The venue's own money and positions equal what its news add up to, at every step."""
    play = Play()
    for step in played:
        play.step(*step)
        books, venue, mark = play.venue.books, play.venue, D(repr(price))
        realised = books.balance - BANKROLL
        unrealised = books.position(SYMBOL).unrealised(mark)
        assert venue.exchange.equity({SYMBOL: mark}) == BANKROLL + realised + unrealised
        held = {p.symbol: p.quantity for p in venue.run(venue.exchange.positions())}
        assert held.get(SYMBOL, ZERO) == books.position(SYMBOL).quantity


@settings(max_examples=40, deadline=None)
@given(steps)
def test_law_candles_applied_again_change_nothing(played: list[Any]) -> None:
    play = Play()
    for step in played:
        play.step(*step)
        told, balance = list(play.venue.news), play.venue.run(play.venue.exchange.balance())
        for candle in play.candles:
            play.venue.exchange.apply_candle(SYMBOL, candle, Timeframe.M1)
        assert play.venue.news == told
        assert play.venue.run(play.venue.exchange.balance()) == balance


@settings(max_examples=40, deadline=None)
@given(steps, st.integers(0, 11))
def test_law_a_restart_between_two_slots_changes_no_execution(played: list[Any], at: int) -> None:
    """I17: rebuilt from what the store holds, with all candles told again, the venue goes on as if nothing was."""
    straight, broken = Play(), Play()
    for index, step in enumerate(played):
        straight.step(*step)
        broken.step(*step)
        if index == at:
            broken.venue.restart()
            for candle in broken.candles:
                broken.venue.exchange.apply_candle(SYMBOL, candle, Timeframe.M1)
    assert set(straight.venue.books.executions) == set(broken.venue.books.executions)
    assert straight.venue.books.balance == broken.venue.books.balance


@settings(max_examples=60, deadline=None)
@given(steps)
def test_law_i15_reduce_only_orders_never_open_or_enlarge(played: list[Any]) -> None:
    play = Play()
    for step in played:
        before = play.venue.books.position(SYMBOL).quantity
        seen = set(play.venue.books.executions)
        play.step(*step)
        for key, execution in play.venue.books.executions.items():
            if key in seen:
                continue
            after = before + execution.fill.quantity * execution.fill.side.sign
            if reduces(play.venue, execution):
                assert abs(after) < abs(before)
                assert after * before >= 0
            before = after


def reduces(venue: PaperVenue, execution: Execution) -> bool:
    sent = venue.books.sent.get(execution.client_order_id or "")
    return sent is None or sent.reduce_only
