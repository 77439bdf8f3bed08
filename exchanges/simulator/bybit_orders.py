"""Orders of the Bybit face: create, cancel, cancel all. The answer only acknowledges; `bybit_lookups` shows later.

A cancel takes effect at once here; at the venue it may take a moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

from exchanges.simulator.account import Account
from exchanges.simulator.bybit_books import Books
from exchanges.simulator.bybit_call import Call
from exchanges.simulator.bybit_codes import (
    DUPLICATE_ID,
    NOT_FOUND,
    SYMBOL,
    TOO_MANY_CONDITIONALS,
    VenueError,
    wrong,
)
from exchanges.simulator.bybit_lookups import find
from exchanges.simulator.bybit_routes import Routes, ordering
from exchanges.simulator.bybit_words import (
    CATEGORY,
    MADE_UP,
    SIDES,
    TIMES_IN_FORCE,
    TRIGGERS,
    conditional_link,
    order_link,
    order_uid,
    uid,
)
from exchanges.simulator.engine import Engine
from exchanges.simulator.filters import check_price
from exchanges.simulator.model import (
    Attached,
    Conditional,
    ConditionalRequest,
    Order,
    OrderKind,
    OrderRequest,
    Reason,
    Refused,
    Side,
    TimeInForce,
    TriggerBy,
    TriggerKind,
    TriggerStatus,
)

CONDITIONALS_OF_SYMBOL = 10
_LINK = re.compile(r"[A-Za-z0-9_-]{1,36}")
_KINDS = {"Market": OrderKind.MARKET, "Limit": OrderKind.LIMIT}
_FILTERS = (None, "Order", "StopOrder")


def routes(engine: Engine, books: Books) -> Routes:
    orders = BybitOrders(engine, books)
    return {
        ("POST", "/v5/order/create"): ordering(orders.create, "create"),
        ("POST", "/v5/order/cancel"): ordering(orders.cancel, "cancel"),
        ("POST", "/v5/order/cancel-all"): ordering(orders.cancel_all, "cancel-all"),
    }


def linear_symbol(call: Call, engine: Engine) -> str:
    """Raises VenueError for another category, or a symbol that is not traded."""
    if call.text("category") != CATEGORY:
        raise wrong("category")
    symbol = call.text("symbol")
    if symbol not in engine.market.instruments:
        raise VenueError(10001, SYMBOL)
    return symbol


def trigger_by(call: Call, name: str) -> TriggerBy:
    found = TRIGGERS.get(call.optional(name) or "LastPrice")
    if found is None:
        raise wrong(name)
    return found


def check_stop(name: str, price: Decimal, opened_by: Side, base: Decimal, by: TriggerBy) -> None:
    """Raises VenueError for a stop or target on the wrong side of the price it guards from."""
    is_above = (opened_by is Side.BUY) == (name == "TakeProfit")
    if price > base if is_above else price < base:
        return
    side, where = ("Buy" if opened_by is Side.BUY else "Sell"), "higher" if is_above else "lower"
    source = "MarkPrice" if by is TriggerBy.MARK else "LastPrice"
    raise VenueError(
        10001,
        f"{name}:{price:f} set for {side} position should be {where} than base_price:{base:f}??{source}",
    )


class BybitOrders:
    def __init__(self, engine: Engine, books: Books) -> None:
        self._engine = engine
        self._books = books
        self._made_up = count(1)

    def create(self, call: Call) -> dict[str, Any]:
        engine, account = self._engine, call.account
        symbol = linear_symbol(call, engine)
        link = self._link(call)
        if "triggerPrice" in call.params and call.optional_decimal("triggerPrice"):
            conditional = self._create_conditional(call, symbol, link)
            return _ack(uid(conditional.conditional_id), link)
        side, kind, quantity = _side(call), _kind(call), _quantity(call)
        price, tif = _price(call, kind), _tif(call, kind)
        attached = self._attached(call, symbol, side, price)
        order = engine.place(
            account,
            OrderRequest(
                symbol=symbol,
                side=side,
                kind=kind,
                quantity=quantity,
                price=price,
                tif=tif,
                reduce_only=_reduces(call),
                position_side=call.position_side(),
                client_id=link or f"{MADE_UP}{next(self._made_up)}",
                attached=attached,
            ),
        )
        return _ack(order_uid(order), link)

    def cancel(self, call: Call) -> dict[str, Any]:
        symbol = linear_symbol(call, self._engine)
        found = find(call, self._books)
        if found is None or found.request.symbol != symbol:
            raise VenueError(*NOT_FOUND)
        return self._cancelled(call.account, found)

    def cancel_all(self, call: Call) -> dict[str, Any]:
        """Without a filter the stops and targets of positions go too."""
        if call.text("category") != CATEGORY:
            raise wrong("category")
        symbol, kinds = call.optional("symbol"), call.optional("orderFilter")
        if symbol is None and call.optional("settleCoin") is None and call.optional("baseCoin") is None:
            raise wrong("symbol")
        if kinds not in _FILTERS:
            raise wrong("orderFilter")
        if symbol is not None:
            linear_symbol(call, self._engine)
        cancelled = [self._cancelled(call.account, each) for each in _open(call.account, symbol, kinds)]
        return {"list": cancelled, "success": "1"}

    # -- inside

    def _create_conditional(self, call: Call, symbol: str, link: str) -> Conditional:
        engine, account = self._engine, call.account
        side, kind = _side(call), _kind(call)
        direction = call.number("triggerDirection")
        if direction not in (1, 2):
            raise wrong("triggerDirection")
        waiting = sum(
            1
            for other in account.conditionals.values()
            if other.request.symbol == symbol and not other.request.of_position
        )
        if waiting >= CONDITIONALS_OF_SYMBOL:
            raise VenueError(*TOO_MANY_CONDITIONALS)
        by, trigger = trigger_by(call, "triggerBy"), call.decimal("triggerPrice")
        price = _price(call, kind)
        request = ConditionalRequest(
            symbol=symbol,
            side=side,
            kind=TriggerKind.STOP,
            client_id=link or f"{MADE_UP}{next(self._made_up)}",
            rises=direction == 1,
            quantity=_quantity(call),
            trigger_price=trigger,
            limit_price=price,
            tif=_tif(call, kind),
            by=by,
            reduce_only=_reduces(call),
            position_side=call.position_side(),
            attached=self._attached(call, symbol, side, price or trigger),
        )
        try:
            return engine.place_conditional(account, request)
        except Refused as refused:
            if refused.reason is not Reason.WOULD_TRIGGER:
                raise
            present = (engine.marks if by is TriggerBy.MARK else engine.last)[symbol]
            if direction == 1:
                said = f"expect Rising, but trigger_price[{trigger:f}] <= current[{present:f}]??laste"
                raise VenueError(110092, said) from None
            said = f"expect Falling, but trigger_price[{trigger:f}] >= current[{present:f}]??last"
            raise VenueError(110093, said) from None

    def _link(self, call: Call) -> str:
        """The client's id, unique among all orders there ever were. Raises VenueError."""
        link = call.optional("orderLinkId")
        if link is None:
            return ""
        if not _LINK.fullmatch(link):
            raise wrong("orderLinkId")
        name = call.account.name
        if link in call.account.by_client_id or self._books.conditional_by_link(name, link) is not None:
            raise VenueError(*DUPLICATE_ID)
        return link

    def _attached(self, call: Call, symbol: str, side: Side, price: Decimal | None) -> Attached | None:
        """Stop and target of an entry, for the whole position and at market."""
        stop = call.optional_decimal("stopLoss") or None
        target = call.optional_decimal("takeProfit") or None
        if stop is None and target is None:
            return None
        if _reduces(call):
            raise wrong("takeProfit")
        if call.optional("tpslMode") not in (None, "Full"):
            raise wrong("tpslMode")
        wanted = (
            ("StopLoss", stop, trigger_by(call, "slTriggerBy")),
            ("TakeProfit", target, trigger_by(call, "tpTriggerBy")),
        )
        for name, level, by in wanted:
            if level is not None:
                base = (self._engine.marks if by is TriggerBy.MARK else self._engine.last)[symbol]
                check_price(self._engine.market.instruments[symbol], level)
                check_stop(name, level, side, base if price is None else price, by)
        return Attached(stop_loss=stop, take_profit=target, stop_by=wanted[0][2], target_by=wanted[1][2])

    def _cancelled(self, account: Account, found: Order | Conditional) -> dict[str, Any]:
        if isinstance(found, Order):
            self._engine.cancel(account, found)
            return _ack(order_uid(found), order_link(found, self._books.conditional_of(found)))
        self._engine.cancel_conditional(found)
        return _ack(uid(found.conditional_id), conditional_link(found))


def _open(account: Account, symbol: str | None, kinds: str | None) -> Iterator[Order | Conditional]:
    if kinds != "StopOrder":
        yield from [o for o in account.orders.values() if symbol in (None, o.request.symbol)]
    if kinds != "Order":
        yield from [
            c
            for c in account.conditionals.values()
            if symbol in (None, c.request.symbol) and c.status is TriggerStatus.NEW
        ]


def _ack(order_id: str, link: str) -> dict[str, Any]:
    return {"orderId": order_id, "orderLinkId": link}


def _side(call: Call) -> Side:
    found = SIDES.get(call.text("side"))
    if found is None:
        raise wrong("side")
    return found


def _kind(call: Call) -> OrderKind:
    found = _KINDS.get(call.text("orderType"))
    if found is None:
        raise wrong("orderType")
    return found


def _quantity(call: Call) -> Decimal:
    quantity = call.decimal("qty")
    if not quantity:
        raise wrong("Qty")
    return quantity


def _price(call: Call, kind: OrderKind) -> Decimal | None:
    """A market order's price is not looked at."""
    return call.decimal("price") if kind is OrderKind.LIMIT else None


def _tif(call: Call, kind: OrderKind) -> TimeInForce:
    if kind is OrderKind.MARKET:
        return TimeInForce.IOC
    found = TIMES_IN_FORCE.get(call.optional("timeInForce") or "GTC")
    if found is None:
        raise wrong("timeInForce")
    return found


def _reduces(call: Call) -> bool:
    return call.flag("reduceOnly") or call.flag("closeOnTrigger")
