"""Plain orders of the Binance face: place, query, cancel, list, trades, the dead-man switch."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.simulator.binance_call import Call
from exchanges.simulator.binance_codes import VenueError, invalid, missing, refusal
from exchanges.simulator.binance_routes import Route, Routes, Security, signed, trading
from exchanges.simulator.binance_words import POSITION_SIDES, TIMES_IN_FORCE, order_json, trade_json
from exchanges.simulator.engine import Engine
from exchanges.simulator.model import (
    Order,
    OrderKind,
    OrderRequest,
    PositionSide,
    Reason,
    Refused,
    Side,
    TimeInForce,
)

CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_BATCH_MAX = 5
_WEEK_MS = 7 * 24 * 3600 * 1000
_UNFILLED_KEPT_MS = 3 * 24 * 3600 * 1000
_CONDITIONAL_TYPES = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


def routes(engine: Engine) -> Routes:
    orders = BinanceOrders(engine)
    batch = Route(
        handler=orders.place_batch,
        security=Security.TRADE,
        weight=lambda call: 5,
        orders=lambda call: len(_batch(call, "batchOrders")),
    )
    return {
        ("POST", "/fapi/v1/order"): trading(orders.place, 0, orders=1),
        ("POST", "/fapi/v1/order/test"): trading(orders.test),
        ("GET", "/fapi/v1/order"): signed(orders.query),
        ("DELETE", "/fapi/v1/order"): trading(orders.cancel),
        ("POST", "/fapi/v1/batchOrders"): batch,
        ("DELETE", "/fapi/v1/batchOrders"): trading(orders.cancel_batch),
        ("GET", "/fapi/v1/openOrder"): signed(orders.query_open),
        ("GET", "/fapi/v1/openOrders"): signed(orders.open_orders, without_symbol=40),
        ("GET", "/fapi/v1/allOrders"): signed(orders.all_orders, 5),
        ("DELETE", "/fapi/v1/allOpenOrders"): trading(orders.cancel_all),
        ("GET", "/fapi/v1/userTrades"): signed(orders.trades, 5),
        ("POST", "/fapi/v1/countdownCancelAll"): trading(orders.countdown, 10),
    }


def side_of(call: Call) -> Side:
    word = call.text("side")
    if word not in ("BUY", "SELL"):
        raise VenueError(-1117, "Invalid side.")
    return Side.BUY if word == "BUY" else Side.SELL


def position_side_of(call: Call) -> PositionSide:
    found = POSITION_SIDES.get(call.params.get("positionSide", "BOTH"))
    if found is None:
        raise VenueError(-4060, "Invalid position side.")
    return found


def client_id_of(call: Call, name: str, default: str) -> str:
    given = call.params.get(name)
    if given is None:
        return default
    if not CLIENT_ID.fullmatch(given):
        raise VenueError(-4015, "Client order id is not valid.")
    return given


class BinanceOrders:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made_up = 0

    def place(self, call: Call) -> dict[str, Any]:
        words = order_json(self._engine.place(call.account, self._request(call)))
        if call.params.get("newOrderRespType") != "RESULT":
            # By default the venue only acknowledges: what became of the order is told by stream and look-up.
            words.update(status="NEW", executedQty="0", cumQty="0")
        return words

    def test(self, call: Call) -> dict[str, Any]:
        self._request(call)
        return {}

    def query(self, call: Call) -> dict[str, Any]:
        return order_json(self._find(call, -2013, "Order does not exist."), is_query=True)

    def query_open(self, call: Call) -> dict[str, Any]:
        order = self._find(call, -2013, "Order does not exist.")
        if not order.is_open:
            raise VenueError(-2013, "Order does not exist.")
        return order_json(order, is_query=True)

    def cancel(self, call: Call) -> dict[str, Any]:
        order = self._find(call, -2011, "Unknown order sent.")
        return order_json(self._engine.cancel(call.account, order))

    def cancel_all(self, call: Call) -> dict[str, Any]:
        self._engine.cancel_all(call.account, self._symbol(call))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def place_batch(self, call: Call) -> list[dict[str, Any]]:
        return [self._one(self.place, call, params) for params in _batch(call, "batchOrders")]

    def cancel_batch(self, call: Call) -> list[dict[str, Any]]:
        symbol = self._symbol(call)
        wanted: list[dict[str, str]] = []
        for name, key in (("orderIdList", "orderId"), ("origClientOrderIdList", "origClientOrderId")):
            if name in call.params:
                ids = msgspec.json.decode(call.params[name], type=list[int | str])
                wanted += [{"symbol": symbol, key: str(each)} for each in ids]
        return [self._one(self.cancel, call, params) for params in wanted]

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol = self._symbol(call) if "symbol" in call.params else None
        return [order_json(o, is_query=True) for o in self._engine.open_orders(call.account, symbol)]

    def all_orders(self, call: Call) -> list[dict[str, Any]]:
        """From an id on, or of a time; the newest of them."""
        found = self._engine.all_orders(call.account, self._symbol(call))
        first, (since, until) = call.number("orderId"), window(call, self._engine.now_ms)
        if first is not None:
            found = [order for order in found if order.order_id >= first]
        else:
            found = [order for order in found if since <= order.created_ms <= until]
        return [order_json(order, is_query=True) for order in found[-call.limit(500, 1000) :]]

    def trades(self, call: Call) -> list[dict[str, Any]]:
        """From a trade id on, of an order, or of a time not longer than a week; oldest first."""
        found = self._engine.trades(call.account, self._symbol(call))
        order_id, first = call.number("orderId"), call.number("fromId")
        limit = call.limit(500, 1000)
        if order_id is not None:
            found = [trade for trade in found if trade.order_id == order_id]
        if first is not None:
            return [trade_json(trade) for trade in found if trade.trade_id >= first][:limit]
        since, until = window(call, self._engine.now_ms)
        found = [trade for trade in found if since <= trade.at_ms <= until]
        has_start = "startTime" in call.params
        return [trade_json(trade) for trade in (found[:limit] if has_start else found[-limit:])]

    def countdown(self, call: Call) -> dict[str, Any]:
        symbol, after = self._symbol(call), call.number("countdownTime")
        if after is None:
            raise missing("countdownTime")
        self._engine.set_countdown(call.account, symbol, self._engine.clock.wire_ms(after))
        return {"symbol": symbol, "countdownTime": str(after)}

    # -- inside

    def _request(self, call: Call) -> OrderRequest:
        symbol, side, kind = self._symbol(call), side_of(call), call.text("type")
        if kind in _CONDITIONAL_TYPES:
            raise VenueError(
                -4120,
                "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
            )
        if kind not in ("MARKET", "LIMIT"):
            raise VenueError(-1116, "Invalid orderType.")
        price, tif = None, TimeInForce.GTC
        if kind == "LIMIT":
            tif_word = call.text("timeInForce")
            if tif_word not in TIMES_IN_FORCE:
                raise VenueError(-1115, "Invalid timeInForce.")
            tif, price = (
                TIMES_IN_FORCE[tif_word],
                _positive(call.decimal("price"), -4001, "Price less than 0."),
            )
        elif "price" in call.params:
            raise VenueError(-1106, "Parameter 'price' sent when not required.")
        elif "timeInForce" in call.params:
            raise VenueError(-1106, "Parameter 'timeInForce' sent when not required.")
        quantity = _positive(call.decimal("quantity"), -4003, "Quantity less than zero.")
        if call.account.hedge and "reduceOnly" in call.params:
            raise refusal(Reason.REDUCE_ONLY_IN_HEDGE)
        self._made_up += 1
        return OrderRequest(
            symbol=symbol,
            side=side,
            kind=OrderKind.MARKET if kind == "MARKET" else OrderKind.LIMIT,
            quantity=quantity,
            price=price,
            tif=tif,
            reduce_only=call.flag("reduceOnly"),
            position_side=position_side_of(call),
            client_id=client_id_of(call, "newClientOrderId", f"web_{self._made_up:020d}"),
        )

    def _find(self, call: Call, code: int, words: str) -> Order:
        self._symbol(call)
        order_id, client_id = call.number("orderId"), call.params.get("origClientOrderId")
        if order_id is None and client_id is None:
            raise VenueError(
                -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
        found = self._engine.order(call.account, order_id=order_id, client_id=client_id)
        if found is None or found.request.symbol != call.params["symbol"] or self._is_forgotten(found):
            raise VenueError(code, words)
        return found

    def _is_forgotten(self, order: Order) -> bool:
        """Orders that ended without a fill disappear after three days."""
        is_old = self._engine.now_ms - order.created_ms > _UNFILLED_KEPT_MS
        return is_old and not order.is_open and not order.filled

    def _symbol(self, call: Call) -> str:
        symbol = call.text("symbol")
        if symbol not in self._engine.market.instruments:
            raise VenueError(-1121, "Invalid symbol.")
        return symbol

    def _one(self, handler: Any, call: Call, params: dict[str, str]) -> dict[str, Any]:
        """One item of a batch: its answer, or its own error inside the 200."""
        item = Call(params=params, key=call.key, account_of=call.account_of)
        try:
            answer: dict[str, Any] = handler(item)
        except Refused as refused:
            error = refusal(refused.reason, refused.detail)
            return {"code": error.code, "msg": error.message}
        except VenueError as error:
            return {"code": error.code, "msg": error.message}
        return answer


def window(call: Call, now_ms: int) -> tuple[int, int]:
    """Start and end of a look-up; a week at most, the last one by default. Raises VenueError."""
    since, until = call.number("startTime"), call.number("endTime")
    if since is None:
        since = (now_ms if until is None else until) - _WEEK_MS
    if until is None:
        until = since + _WEEK_MS
    if until < since:
        raise VenueError(-1023, "Start time is greater than end time.")
    if until - since > _WEEK_MS:
        raise VenueError(-1127, "Lookup interval is too big.")
    return since, until


def _batch(call: Call, name: str) -> list[dict[str, str]]:
    try:
        found = msgspec.json.decode(call.text(name), type=list[dict[str, Any]])
    except msgspec.DecodeError:
        raise invalid(name) from None
    if not 1 <= len(found) <= _BATCH_MAX:
        raise VenueError(-4082, "Invalid number of batch place orders")
    return [{key: _word(value) for key, value in params.items()} for params in found]


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _positive(amount: Decimal, code: int, words: str) -> Decimal:
    if amount <= 0:
        raise VenueError(code, words)
    return amount
