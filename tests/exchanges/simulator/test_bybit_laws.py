"""Laws of what the Bybit face tells, whatever was traded: its lists agree with the wallet, and pages with the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.simulator.bybit_books import Books
from exchanges.simulator.bybit_call import Call
from exchanges.simulator.bybit_face import MANNERS
from exchanges.simulator.bybit_lookups import BybitLookups
from exchanges.simulator.bybit_positions import BybitPositions
from exchanges.simulator.model import Position, PositionSide, Refused, TriggerKind
from tests.exchanges.simulator.worlds import World

PRICES = ("58000", "59400", "59990", "60010", "60600", "62000")
actions = st.one_of(
    st.tuples(st.just("market"), st.sampled_from(["buy", "sell"]), st.sampled_from(["0.01", "0.02", "0.05"])),
    st.tuples(st.just("limit"), st.sampled_from(["buy", "sell"]), st.sampled_from(PRICES)),
    st.tuples(st.just("stop"), st.sampled_from(["stop", "take_profit"]), st.sampled_from(PRICES)),
    st.tuples(st.just("price"), st.just(""), st.sampled_from(PRICES)),
)


class Told:
    """The lists of one account, read page by page."""

    def __init__(self, world: World) -> None:
        self._world = world
        books = Books(world.engine)
        self._lookups = BybitLookups(world.engine, books)
        self._positions = BybitPositions(world.engine, books)

    def executions(self) -> list[dict[str, Any]]:
        return self._rows(self._lookups.executions)

    def orders(self) -> list[dict[str, Any]]:
        return self._rows(self._lookups.realtime, symbol="BTCUSDT") + self._rows(self._lookups.history)

    def transactions(self) -> list[dict[str, Any]]:
        return self._rows(self._lookups.transactions)

    def closed(self) -> list[dict[str, Any]]:
        return self._rows(self._positions.closed_pnl)

    def _rows(self, handler: Callable[[Call], dict[str, Any]], **params: str) -> list[dict[str, Any]]:
        rows, cursor = [], ""
        while True:
            asked = {"category": "linear", "limit": "3", "cursor": cursor, **params}
            page = handler(Call(params=asked, account_of=self._world.account))
            rows += page["list"]
            cursor = page["nextPageCursor"]
            if not cursor:
                return rows


def traded(steps: list[tuple[str, str, str]]) -> tuple[World, Told]:
    world = World(manners=MANNERS)
    told = Told(world)
    engine = world.engine
    engine.set_price("BTCUSDT", Decimal(60000))
    for kind, word, number in steps:
        world.go(1)
        position = world.account.position("BTCUSDT", PositionSide.BOTH)
        try:
            if kind == "market":
                engine.place(world.account, world.order(word, number))
            elif kind == "limit":
                engine.place(world.account, world.order(word, "0.03", number))
            elif kind == "stop":
                engine.set_stop(world.account, position, TriggerKind(word), Decimal(number))
            else:
                engine.set_price("BTCUSDT", Decimal(number))
        except Refused:
            continue
    world.go(1)
    return world, told


def total(rows: list[dict[str, Any]], field: str) -> Decimal:
    return sum((Decimal(row[field]) for row in rows), Decimal(0))


def flatten(world: World) -> None:
    position: Position = world.account.position("BTCUSDT", PositionSide.BOTH)
    if position.quantity:
        side = "sell" if position.quantity > 0 else "buy"
        closing = world.order(side, str(abs(position.quantity)), reduce_only=True)
        world.engine.place(world.account, closing)
    world.go(1)


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=14))
def test_lists_agree_with_the_wallet_and_with_each_other(steps: list[tuple[str, str, str]]) -> None:
    world, told = traded(steps)
    opening = world.account.opening_balance()
    assert opening + total(told.transactions(), "change") == world.account.wallet["USDT"]
    executed: dict[str, Decimal] = defaultdict(Decimal)
    executions = told.executions()
    for row in executions:
        executed[row["orderId"]] += Decimal(row["execQty"])
    orders = {row["orderId"]: row for row in told.orders()}
    filled = {order_id: Decimal(row["cumExecQty"]) for order_id, row in orders.items()}
    assert {order_id: quantity for order_id, quantity in filled.items() if quantity} == dict(executed)
    serials = [row["seq"] for row in executions]
    assert serials == sorted(set(serials), reverse=True)  # newest first, each once, whatever the pages


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=14))
def test_closed_pnl_of_a_flat_account_is_what_its_wallet_made(steps: list[tuple[str, str, str]]) -> None:
    world, told = traded(steps)
    flatten(world)
    made = world.account.wallet["USDT"] - world.account.opening_balance()
    assert abs(total(told.closed(), "closedPnl") - made) < Decimal("0.000001")
