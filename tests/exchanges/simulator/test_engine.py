"""The engine's rules, case by case."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchanges.simulator.account import Fees
from exchanges.simulator.journal import Journal
from exchanges.simulator.model import (
    AccountChanged,
    Attached,
    IncomeKind,
    OrderChanged,
    OrderStatus,
    Origin,
    PositionSide,
    Reason,
    Refused,
    TimeInForce,
    TriggerBy,
    TriggerKind,
    TriggerStatus,
)
from exchanges.simulator.tape import FileTape
from exchanges.simulator.venue import Manners
from tests.exchanges.simulator.worlds import START_MS, World

D = Decimal
NO_FEES = Fees(maker=D(0), taker=D(0))


def fixed(world: World, price: str) -> None:
    world.engine.set_price("BTCUSDT", D(price))


def refusal(world: World, *args: str, **more: object) -> Reason:
    with pytest.raises(Refused) as refused:
        world.engine.place(world.account, world.order(*args, **more))
    return refused.value.reason


def held(world: World, side: PositionSide = PositionSide.BOTH) -> Decimal:
    return world.account.position("BTCUSDT", side).quantity


def test_a_market_order_fills_at_the_present_price_and_pays_the_taker_fee() -> None:
    world = World()
    fixed(world, "60000")
    order = world.engine.place(world.account, world.order("buy", "0.01"))
    assert (order.status, order.average_price, order.fees) == (OrderStatus.FILLED, D(60000), D("0.3"))
    assert world.account.wallet["USDT"] == D("9999.7")
    assert [type(event) for event in world.events] == [OrderChanged, AccountChanged, OrderChanged]


def test_a_limit_order_rests_until_the_price_comes_and_fills_at_its_own_price_as_maker() -> None:
    world = World()
    fixed(world, "60000")
    order = world.engine.place(world.account, world.order("buy", "0.01", "59000"))
    assert order.status is OrderStatus.NEW
    assert world.account.reserved == D("29.5")
    fixed(world, "58900")
    assert (order.status, order.average_price, order.fees) == (OrderStatus.FILLED, D(59000), D("0.118"))
    assert world.account.reserved == 0
    assert world.account.trades[-1].is_maker


@pytest.mark.parametrize(
    ("args", "more", "reason"),
    [
        (("buy", "0.0001"), {}, Reason.QUANTITY_MIN),
        (("buy", "0.0015"), {}, Reason.QUANTITY_STEP),
        (("buy", "121"), {}, Reason.QUANTITY_MAX),
        (("buy", "0.01", "59000.05"), {}, Reason.PRICE_TICK),
        (("buy", "0.01", "1"), {}, Reason.PRICE_MIN),
        (("buy", "0.01", "9000000"), {}, Reason.PRICE_MAX),
        (("buy", "0.01", "64000"), {}, Reason.PRICE_BAND_UP),
        (("sell", "0.01", "56000"), {}, Reason.PRICE_BAND_DOWN),
        (("buy", "0.001", "49999.9"), {}, Reason.NOTIONAL_MIN),
        (("buy", "50"), {}, Reason.MARGIN),
        (("sell", "0.01"), {"reduce_only": True}, Reason.REDUCE_ONLY),
        (("buy", "0.01"), {"position_side": PositionSide.LONG}, Reason.POSITION_SIDE),
        (("buy", "0.01", "60100"), {"tif": TimeInForce.POST_ONLY}, Reason.POST_ONLY),
        (("buy", "0.01", "59000"), {"tif": TimeInForce.FOK}, Reason.FILL_OR_KILL),
        (("buy", "0.01"), {"symbol": "NOPEUSDT"}, Reason.SYMBOL),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_by_its_name_and_leaves_nothing(
    args: tuple[str, ...], more: dict[str, object], reason: Reason
) -> None:
    world = World()
    fixed(world, "60000")
    world.events.clear()
    assert refusal(world, *args, **more) is reason
    assert (world.events, world.account.by_id, world.account.reserved) == ([], {}, 0)


def test_a_reduce_only_order_below_the_smallest_notional_passes() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.place(world.account, world.order("buy", "0.001"))
    fixed(world, "49000")
    world.engine.place(world.account, world.order("sell", "0.001", reduce_only=True))
    assert held(world) == 0


def test_a_reduce_only_market_order_is_cut_to_what_is_open() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.place(world.account, world.order("buy", "0.01"))
    order = world.engine.place(world.account, world.order("sell", "0.05", reduce_only=True))
    assert (order.status, order.filled, held(world)) == (OrderStatus.FILLED, D("0.01"), 0)


def test_resting_reduce_only_orders_expire_when_nothing_is_left_to_reduce() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.place(world.account, world.order("buy", "0.01"))
    resting = world.engine.place(world.account, world.order("sell", "0.01", "61000", reduce_only=True))
    world.engine.place(world.account, world.order("sell", "0.01"))
    assert (resting.status, resting.reason) == (OrderStatus.EXPIRED, Reason.REDUCE_ONLY)


def test_a_client_id_is_unique_among_open_orders_or_for_ever_by_the_venues_manners() -> None:
    for forever in (False, True):
        world = World(manners=Manners(ids_unique_forever=forever))
        fixed(world, "60000")
        first = world.engine.place(world.account, world.order("buy", "0.01", "59000", client_id="x"))
        assert refusal(world, "buy", "0.01", client_id="x") is Reason.DUPLICATE_ID
        world.engine.cancel(world.account, first)
        if forever:
            assert refusal(world, "buy", "0.01", client_id="x") is Reason.DUPLICATE_ID
        else:
            world.engine.place(world.account, world.order("buy", "0.01", client_id="x"))


def test_thin_liquidity_fills_a_part_and_the_rest_of_a_market_order_expires() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.liquidity["BTCUSDT"] = D("0.004")
    order = world.engine.place(world.account, world.order("buy", "0.01"))
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D("0.004"))
    resting = world.engine.place(world.account, world.order("buy", "0.01", "60000"))
    assert (resting.status, resting.remaining) == (OrderStatus.PARTLY_FILLED, D("0.006"))


def test_hedge_positions_stand_side_by_side_and_a_close_cannot_exceed_its_own() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.set_hedge(world.account, True)
    world.engine.place(world.account, world.order("buy", "0.02", position_side=PositionSide.LONG))
    world.engine.place(world.account, world.order("sell", "0.01", position_side=PositionSide.SHORT))
    assert (held(world, PositionSide.LONG), held(world, PositionSide.SHORT)) == (D("0.02"), D("-0.01"))
    assert refusal(world, "buy", "0.01") is Reason.POSITION_SIDE
    long = {"position_side": PositionSide.LONG}
    assert refusal(world, "sell", "0.03", **long) is Reason.REDUCE_ONLY
    assert refusal(world, "sell", "0.01", reduce_only=True, **long) is Reason.REDUCE_ONLY_IN_HEDGE
    world.engine.place(world.account, world.order("sell", "0.02", **long))
    assert held(world, PositionSide.LONG) == 0


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "price", "fires"),
    [
        ("stop", "sell", "59000", "59000", True),
        ("stop", "sell", "59000", "59000.1", False),
        ("stop", "buy", "61000", "61000", True),
        ("take_profit", "sell", "61000", "61500", True),
        ("take_profit", "buy", "59000", "59000.1", False),
    ],
)
def test_a_conditional_order_fires_when_its_price_is_reached(
    kind: str, side: str, trigger: str, price: str, fires: bool
) -> None:
    world = World()
    fixed(world, "60000")
    asked = world.conditional(kind, side, trigger_price=D(trigger), quantity=D("0.01"))
    conditional = world.engine.place_conditional(world.account, asked)
    fixed(world, price)
    assert (conditional.status is TriggerStatus.FINISHED) == fires
    assert (held(world) != 0) == fires
    assert (conditional.order_id is not None) == fires


def test_a_conditional_order_the_market_has_passed_is_refused() -> None:
    world = World()
    fixed(world, "60000")
    with pytest.raises(Refused) as refused:
        world.engine.place_conditional(
            world.account, world.conditional("stop", "sell", trigger_price=D(60000), quantity=D("0.01"))
        )
    assert refused.value.reason is Reason.WOULD_TRIGGER


def test_a_stop_by_mark_looks_at_the_mark_and_not_at_the_last_price() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.set_mark_offset("BTCUSDT", D(500))
    asked = world.conditional("stop", "sell", trigger_price=D(59000), quantity=D("0.01"), by=TriggerBy.MARK)
    conditional = world.engine.place_conditional(world.account, asked)
    fixed(world, "58600")
    assert conditional.status is TriggerStatus.NEW
    fixed(world, "58500")
    assert conditional.status is TriggerStatus.FINISHED


def test_a_trailing_stop_starts_at_its_activation_price_and_follows_the_best() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.place(world.account, world.order("buy", "0.01"))
    asked = world.conditional(
        "trailing", "sell", quantity=D("0.01"), reduce_only=True,
        callback_pct=D(1), activation_price=D(61000),
    )  # fmt: skip
    conditional = world.engine.place_conditional(world.account, asked)
    for price in ("59000", "60900", "61000", "62000"):
        fixed(world, price)
        assert conditional.status is TriggerStatus.NEW
    fixed(world, "61380.1")
    assert conditional.status is TriggerStatus.NEW
    fixed(world, "61380")
    assert (conditional.status, held(world)) == (TriggerStatus.FINISHED, 0)


def test_close_position_closes_all_that_is_open_and_finishes_with_nothing_when_flat() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.place(world.account, world.order("buy", "0.03"))
    stops = [
        world.engine.place_conditional(
            world.account, world.conditional("stop", "sell", trigger_price=D(price), close_position=True)
        )
        for price in (59000, 58000)
    ]
    fixed(world, "58999")
    assert (held(world), stops[0].status) == (0, TriggerStatus.FINISHED)
    fixed(world, "57999")
    assert (stops[1].status, stops[1].order_id) == (TriggerStatus.FINISHED, None)


def test_attached_protection_stands_with_the_fill_and_ends_with_the_position() -> None:
    world = World()
    fixed(world, "60000")
    wanted = Attached(stop_loss=D(59000), take_profit=D(62000))
    world.engine.place(world.account, world.order("buy", "0.01", attached=wanted))
    position = world.account.position("BTCUSDT", PositionSide.BOTH)
    standing = world.engine.of_position(world.account, position)
    assert [(c.request.kind, c.request.trigger_price) for c in standing] == [
        (TriggerKind.STOP, D(59000)),
        (TriggerKind.TAKE_PROFIT, D(62000)),
    ]
    fixed(world, "62000")
    assert (held(world), world.account.conditionals) == (0, {})
    assert standing[0].status is TriggerStatus.CANCELED


def test_an_isolated_position_is_liquidated_and_costs_its_margin_at_most() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.set_isolated(world.account, "BTCUSDT", True)
    world.engine.set_leverage(world.account, "BTCUSDT", 50)
    world.engine.place(world.account, world.order("buy", "0.1"))
    position = world.account.position("BTCUSDT", PositionSide.BOTH)
    before, margin = world.account.wallet["USDT"], position.margin
    limit = world.engine.liquidation_price(world.account, position)
    assert limit is not None
    fixed(world, str((limit + 1).quantize(D("0.1"))))
    assert held(world) == D("0.1")
    fixed(world, "50000")
    assert (held(world), world.account.wallet["USDT"]) == (0, before - margin)
    assert world.account.ended[-1].origin is Origin.LIQUIDATION


def test_what_the_price_passes_first_happens_first() -> None:
    """Within a candle the stop at 59,500 lies before the liquidation far below, so it goes at its own price."""
    rows = [(START_MS, f"{START_MS},60000,60000,40000,60000,10")]
    world = World(tapes={"BTCUSDT": FileTape(rows, D("0.1"))})
    world.engine.set_isolated(world.account, "BTCUSDT", True)
    world.engine.place(world.account, world.order("buy", "0.1"))
    stop = world.conditional("stop", "sell", trigger_price=D(59500), close_position=True)
    world.engine.place_conditional(world.account, stop)
    world.go(15)
    assert held(world) == 0
    assert world.account.trades[-1].price == D(59500)
    assert all(trade.origin is not Origin.LIQUIDATION for trade in world.account.trades)


def test_funding_is_paid_at_its_hours_by_the_rate() -> None:
    hour = 3_600_000
    start = START_MS // (8 * hour) * 8 * hour + 8 * hour - 60_000
    world = World(start_ms=start, fees=NO_FEES)
    fixed(world, "60000")
    world.engine.market.set_funding("BTCUSDT", [(0, D("0.0002"))])
    world.engine.place(world.account, world.order("buy", "0.1"))
    world.go(59)
    assert world.account.wallet["USDT"] == D(10000)
    world.go(2)
    assert world.account.wallet["USDT"] == D("9998.8")
    world.go(16 * 3600)
    assert [i.kind for i in world.account.income].count(IncomeKind.FUNDING) == 3


def test_a_dead_man_switch_cancels_what_rests_when_it_is_not_renewed() -> None:
    world = World()
    fixed(world, "60000")
    order = world.engine.place(world.account, world.order("buy", "0.01", "59000"))
    world.engine.set_countdown(world.account, "BTCUSDT", 120_000)
    world.go(100)
    assert order.is_open
    world.go(40)
    assert order.status is OrderStatus.CANCELED


def test_settings_are_refused_while_something_is_open_or_when_they_are_so_already() -> None:
    world = World()
    fixed(world, "60000")
    engine, account = world.engine, world.account
    cases: list[Reason] = []

    def attempt(
        *, hedge: bool | None = None, isolated: bool | None = None, leverage: int | None = None
    ) -> None:
        try:
            if hedge is not None:
                engine.set_hedge(account, hedge)
            if isolated is not None:
                engine.set_isolated(account, "BTCUSDT", isolated)
            if leverage is not None:
                engine.set_leverage(account, "BTCUSDT", leverage)
        except Refused as refused:
            cases.append(refused.reason)

    attempt(hedge=False)
    attempt(isolated=False)
    attempt(leverage=126)
    engine.place(account, world.order("buy", "0.01", "59000"))
    attempt(hedge=True)
    engine.place(account, world.order("buy", "0.01"))
    attempt(isolated=True)
    assert cases == [
        Reason.ALREADY_SO,
        Reason.ALREADY_SO,
        Reason.LEVERAGE,
        Reason.HAS_ORDERS,
        Reason.HAS_POSITION,
    ]


def test_what_is_new_stays_out_of_look_ups_for_the_lag() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.set_lookup_lag(3)
    order = world.engine.place(world.account, world.order("buy", "0.01", client_id="x"))
    assert world.engine.order(world.account, client_id="x") is None
    assert world.engine.trades(world.account) == []
    world.go(3)
    assert world.engine.order(world.account, client_id="x") is order
    assert len(world.engine.trades(world.account)) == 1


def test_venue_made_closes_say_who_made_them() -> None:
    world = World()
    fixed(world, "60000")
    world.engine.place(world.account, world.order("sell", "0.01"))
    position = world.account.position("BTCUSDT", PositionSide.BOTH)
    order = world.engine.force_close(world.account, position, Origin.ADL)
    assert (order.origin, order.status, held(world)) == (Origin.ADL, OrderStatus.FILLED, 0)
    assert order.request.client_id.startswith("adl")


def test_the_journal_counts_a_conditional_order_once_however_it_moves() -> None:
    world, journal = World(), Journal()
    world.engine.listen(journal.note)
    fixed(world, "60000")
    asked = world.conditional(
        "trailing", "sell", quantity=D("0.01"), callback_pct=D(1), activation_price=D(61000), client_id="x"
    )
    world.engine.place_conditional(world.account, asked)
    for price in ("61000", "62000", "60000"):
        fixed(world, price)
    assert journal.created == {"x": 1}


def test_without_liquidity_a_resting_order_goes_on_resting_when_the_price_comes() -> None:
    world = World()
    fixed(world, "60000")
    order = world.engine.place(world.account, world.order("buy", "0.010", "59900"))
    world.engine.liquidity["BTCUSDT"] = D(0)
    fixed(world, "59800")
    assert (order.status, order.filled) == (OrderStatus.NEW, D(0))


@pytest.mark.parametrize(("is_jump", "price"), [(True, "58000"), (False, "59000")])
def test_a_price_set_by_hand_jumps_or_goes_past_all_that_lies_between(is_jump: bool, price: str) -> None:
    world = World()
    fixed(world, "60000")
    world.engine.place(world.account, world.order("buy", "0.010"))
    stop = world.conditional("stop", "sell", trigger_price=D(59000), close_position=True)
    world.engine.place_conditional(world.account, stop)
    world.engine.set_price("BTCUSDT", D(58000), is_jump=is_jump)
    assert world.account.trades[-1].price == D(price)
    assert world.engine.last["BTCUSDT"] == D(58000)
