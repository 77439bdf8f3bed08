"""Laws of the engine under any sequence of orders, conditional orders, prices and settings."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.simulator.model import (
    OrderChanged,
    OrderStatus,
    PositionSide,
    Refused,
    Side,
    TimeInForce,
    TriggerStatus,
)
from tests.exchanges.simulator.worlds import World

D = Decimal
SYMBOL = "BTCUSDT"
SIDES = st.sampled_from(["buy", "sell"])
QUANTITIES = st.integers(1, 60).map(lambda n: D(n) / 1000)
PRICES = st.integers(58000, 62000).map(D)
STEPS = st.one_of(
    st.tuples(st.just("price"), PRICES),
    st.tuples(st.just("market"), SIDES, QUANTITIES, st.booleans()),
    st.tuples(st.just("limit"), SIDES, QUANTITIES, PRICES, st.booleans(), st.sampled_from(TimeInForce)),
    st.tuples(st.sampled_from(["stop", "take_profit"]), SIDES, QUANTITIES, PRICES, st.booleans()),
    st.tuples(st.just("trailing"), SIDES, QUANTITIES, st.integers(1, 30)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("leverage"), st.integers(1, 125)),
    st.tuples(st.just("liquidity"), st.one_of(st.none(), QUANTITIES)),
    st.tuples(st.just("time"), st.integers(1, 3000)),
)


def do(world: World, step: tuple[object, ...]) -> None:
    engine, account = world.engine, world.account
    match step:
        case ("price", Decimal() as price):
            engine.set_price(SYMBOL, price)
        case ("market", str() as side, Decimal() as quantity, bool() as reduce_only):
            engine.place(account, world.order(side, str(quantity), reduce_only=reduce_only))
        case ("limit", str() as side, Decimal() as quantity, Decimal() as price, bool() as reduce_only, tif):
            asked = world.order(side, str(quantity), str(price), reduce_only=reduce_only, tif=tif)
            engine.place(account, asked)
        case ("stop" | "take_profit" as kind, str() as side, Decimal() as quantity, price, bool() as whole):
            more = {"close_position": True} if whole else {"quantity": quantity, "reduce_only": True}
            engine.place_conditional(account, world.conditional(str(kind), side, trigger_price=price, **more))
        case ("trailing", str() as side, Decimal() as quantity, int() as tenths):
            asked = world.conditional("trailing", side, quantity=quantity, callback_pct=D(tenths) / 10)
            engine.place_conditional(account, asked)
        case ("cancel", int() as n):
            orders = engine.open_orders(account)
            if orders:
                engine.cancel(account, orders[n % len(orders)])
        case ("leverage", int() as leverage):
            engine.set_leverage(account, SYMBOL, leverage)
        case ("liquidity", quantity):
            engine.liquidity.pop(SYMBOL, None)
            if isinstance(quantity, Decimal):
                engine.liquidity[SYMBOL] = quantity
        case ("time", int() as seconds):
            engine.set_price(SYMBOL, None)
            world.go(seconds)


def run(steps: list[tuple[object, ...]], *, isolated: bool) -> World:
    world = World(balance="3000")
    world.engine.set_price(SYMBOL, D(60000))
    if isolated:
        world.engine.set_isolated(world.account, SYMBOL, True)
    for step in steps:
        with suppress(Refused):
            do(world, step)
        check(world)
    return world


def check(world: World) -> None:
    account = world.account
    trades, income = account.trades, account.income
    # The wallet is what came in and went out, to the last digit.
    assert account.wallet["USDT"] == account.opening_balance() + sum(i.amount for i in income)
    # Cash paid for what is open, valued at any price, plus the wallet is conserved by trading: only fees leave.
    net = sum((t.quantity * t.side.sign for t in trades), D(0))
    spent = sum((t.quantity * t.price * t.side.sign for t in trades), D(0))
    position = account.position(SYMBOL, PositionSide.BOTH)
    assert position.quantity == net
    assert all(t.price % D("0.1") == 0 for t in trades)
    realised = sum((t.realised for t in trades), D(0))
    assert position.cost - realised == spent
    assert (position.quantity > 0) == (position.cost > 0)
    # Nothing fills beyond what was asked, and a full one is filled.
    for order in account.by_id.values():
        filled = sum((t.quantity for t in trades if t.order_id == order.order_id), D(0))
        assert order.filled == filled <= order.quantity <= order.request.quantity
        assert (order.status is OrderStatus.FILLED) == (filled == order.quantity)
        assert order.is_open == (order.order_id in account.orders)
    assert account.reserved == sum((o.reserved for o in account.orders.values()), D(0)) >= 0
    assert all(c.status is TriggerStatus.NEW or c.order_id for c in account.conditionals.values())
    assert len({t.trade_id for t in trades}) == len(trades)
    assert position.margin >= 0
    # Whatever the market does, nobody ends with less than nothing.
    assert account.wallet["USDT"] >= 0


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=25), st.booleans())
def test_money_and_quantity_are_conserved_and_fills_never_exceed_what_was_asked(
    steps: list[tuple[object, ...]], isolated: bool
) -> None:
    run(steps, isolated=isolated)


@settings(max_examples=80, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_reduce_only_orders_never_open_or_enlarge_a_position(steps: list[tuple[object, ...]]) -> None:
    world = run(steps, isolated=False)
    position = D(0)
    orders = world.account.by_id
    for trade in world.account.trades:
        after = position + trade.quantity * trade.side.sign
        if orders[trade.order_id].request.reduce_only:
            assert abs(after) < abs(position)
            assert after * position >= 0
        position = after


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_events_tell_every_fill_once_and_every_end(steps: list[tuple[object, ...]]) -> None:
    world = run(steps, isolated=False)
    told = [e.trade.trade_id for e in world.events if isinstance(e, OrderChanged) and e.trade is not None]
    assert told == [trade.trade_id for trade in world.account.trades]
    seen = {e.order.order_id for e in world.events if isinstance(e, OrderChanged)}
    assert seen == set(world.account.by_id)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 1500), min_size=1, max_size=8))
def test_the_same_time_walked_in_any_pieces_ends_the_same(seed: int, pieces: list[int]) -> None:
    """However often the venue is asked in between, the market does what the tape says."""
    ends = []
    for steps in (pieces, [sum(pieces)]):
        world = World(seed=seed)
        last = world.engine.last[SYMBOL]
        for offset, side in ((-100, Side.BUY), (100, Side.SELL)):
            price = ((last + offset) // D("0.1")) * D("0.1")
            world.engine.place(world.account, world.order(side, "0.01", str(price)))
        for seconds in steps:
            world.go(seconds)
        ends.append([(t.side, t.price, t.quantity, t.at_ms) for t in world.account.trades])
    assert ends[0] == ends[1]
