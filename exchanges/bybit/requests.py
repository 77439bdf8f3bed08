"""What leaves for Bybit, unsigned: one function per thing a caller may want. Pure.

Source: Bybit v5 API documentation, the page named by each path. Reads carry everything in the query, writes in a JSON
body, where prices, quantities and leverage are text, and modes and indices are numbers.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from core.order import OrderKind
from core.position import OrderSide, Side
from exchanges.base import MarginMode
from exchanges.wire import Cost, Purpose, Request

CATEGORY: Final = "linear"
COIN: Final = "USDT"
MAX_ROWS: Final = 100
Query = dict[str, str | None]
_JSON: Final = (("Content-Type", "application/json"),)
_encode: Final = msgspec.json.Encoder().encode


class Lasts(StrEnum):
    """How long a limit order lasts."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "PostOnly"


class TriggerBy(StrEnum):
    LAST = "LastPrice"
    MARK = "MarkPrice"
    INDEX = "IndexPrice"


class Direction(IntEnum):
    """Which way the price must go to fire a conditional order."""

    RISE = 1
    FALL = 2


class Stops(msgspec.Struct, frozen=True, kw_only=True):
    """Stop and target, by trigger price; with a limit price what fires is a limit order. 0 clears, None keeps."""

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit_limit: Decimal | None = None
    stop_loss_limit: Decimal | None = None

    @property
    def has_limits(self) -> bool:
        return self.take_profit_limit is not None or self.stop_loss_limit is not None


NO_STOPS: Final = Stops()


def position_idx(side: Side | None) -> int:
    """Which position of a symbol is meant: the only one (`side` None), or in hedge mode the long or the short."""
    return 0 if side is None else 1 if side is Side.LONG else 2


def plain(number: Decimal) -> str:
    """`number` without an exponent and with the places it has."""
    return f"{number:f}"


def place_order(
    *,
    symbol: str,
    side: OrderSide,
    kind: OrderKind,
    quantity: Decimal,
    client_id: str | None = None,
    price: Decimal | None = None,
    lasts: Lasts = Lasts.GTC,
    reduce_only: bool = False,
    hedge_side: Side | None = None,
    attached: Stops = NO_STOPS,
) -> Request:
    """A market order becomes an IOC limit at the venue. Stop and target are attached to entries only."""
    body: dict[str, Any] = {
        "category": CATEGORY,
        "symbol": symbol,
        "side": _side(side),
        "orderType": "Limit" if kind is OrderKind.LIMIT else "Market",
        "qty": plain(quantity),
    }
    if kind is OrderKind.LIMIT:
        if price is None:
            raise ValueError("a limit order has a price")
        body |= {"price": plain(price), "timeInForce": lasts.value}
    body["positionIdx"] = position_idx(hedge_side)
    if client_id is not None:
        body["orderLinkId"] = client_id
    if reduce_only:
        body["reduceOnly"] = True
    elif attached != NO_STOPS:
        body |= _stops(attached) | {"tpslMode": "Partial" if attached.has_limits else "Full"}
    return _write("/v5/order/create", body, Purpose.CLOSING if reduce_only else Purpose.ENTRY, orders=1)


def place_trigger(
    *,
    symbol: str,
    side: OrderSide,
    kind: OrderKind,
    quantity: Decimal,
    trigger_price: Decimal,
    direction: Direction,
    trigger_by: TriggerBy = TriggerBy.LAST,
    limit_price: Decimal | None = None,
    reduce_only: bool = True,
    hedge_side: Side | None = None,
    client_id: str | None = None,
) -> Request:
    """A conditional order of its own; a position's stop and target are better set on it (`set_position_stops`)."""
    body: dict[str, Any] = {
        "category": CATEGORY,
        "symbol": symbol,
        "side": _side(side),
        "orderType": "Limit" if kind is OrderKind.LIMIT else "Market",
        "qty": plain(quantity),
        "triggerPrice": plain(trigger_price),
        "triggerDirection": int(direction),
        "triggerBy": trigger_by.value,
        "positionIdx": position_idx(hedge_side),
    }
    if limit_price is not None:
        body |= {"price": plain(limit_price), "timeInForce": Lasts.GTC.value}
    if reduce_only:
        body["reduceOnly"] = True
    if client_id is not None:
        body["orderLinkId"] = client_id
    return _write("/v5/order/create", body, Purpose.CLOSING if reduce_only else Purpose.ENTRY, orders=1)


def protective_direction(*, closes: OrderSide, takes_profit: bool) -> Direction:
    """A stop that sells fires when the price falls, a target that sells when it rises; the other way for buying."""
    return Direction.RISE if (closes is OrderSide.SELL) is takes_profit else Direction.FALL


def set_position_stops(
    *,
    symbol: str,
    stops: Stops,
    quantity: Decimal | None = None,
    partial: bool = False,
    hedge_side: Side | None = None,
    trail_distance: Decimal | None = None,
    activation_price: Decimal | None = None,
    tp_trigger_by: TriggerBy | None = None,
    sl_trigger_by: TriggerBy | None = None,
) -> Request:
    """Stop, target and trailing stop of an open position; `quantity` only where they are for a part of it."""
    body: dict[str, Any] = {"category": CATEGORY, "symbol": symbol} | _stops(stops)
    body |= {"tpslMode": "Partial" if partial else "Full", "positionIdx": position_idx(hedge_side)}
    if partial and quantity is not None:
        sizes = {"tpSize": stops.take_profit, "slSize": stops.stop_loss}
        body |= {name: plain(quantity) for name, price in sizes.items() if price is not None}
    if trail_distance is not None:
        body["trailingStop"] = plain(trail_distance)
    if activation_price is not None:
        body["activePrice"] = plain(activation_price)
    if tp_trigger_by is not None:
        body["tpTriggerBy"] = tp_trigger_by.value
    if sl_trigger_by is not None:
        body["slTriggerBy"] = sl_trigger_by.value
    return _write("/v5/position/trading-stop", body, Purpose.CLOSING, orders=1)


def cancel_order(*, symbol: str, client_id: str | None = None, order_id: str | None = None) -> Request:
    """By client id or venue id; conditional orders as well."""
    named = {"orderLinkId": client_id} if client_id is not None else {"orderId": order_id}
    body = {"category": CATEGORY, "symbol": symbol} | named
    return _write("/v5/order/cancel", body, Purpose.CLOSING, orders=1)


def cancel_all(*, symbol: str | None = None, order_filter: str | None = None) -> Request:
    """Of a symbol, or of everything settled in USDT; without a filter (`Order`, `StopOrder`) stops and targets too."""
    body = {"category": CATEGORY} | ({"settleCoin": COIN} if symbol is None else {"symbol": symbol})
    if order_filter is not None:
        body["orderFilter"] = order_filter
    return _write("/v5/order/cancel-all", body, Purpose.CLOSING, orders=1)


def dead_man_switch(*, window_s: int) -> Request:
    """Cancels derivative orders when the private stream has been away for `window_s` (3 to 300)."""
    body = {"product": "DERIVATIVES", "timeWindow": window_s}
    return _write("/v5/order/disconnected-cancel-all", body, Purpose.CLOSING)


def get_order(*, symbol: str, client_id: str | None = None, order_id: str | None = None) -> Request:
    """Open, or among the last 500 that ended."""
    named: Query = {"orderLinkId": client_id, "orderId": order_id}
    return reading("/v5/order/realtime", named | {"category": CATEGORY, "symbol": symbol}, Purpose.LOOK_UP)


def get_closed_order(
    *,
    symbol: str,
    client_id: str | None = None,
    order_id: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Request:
    """Of the last 7 days, or of a window of at most 7 days."""
    named: Query = {"orderLinkId": client_id, "orderId": order_id}
    query = named | {"category": CATEGORY, "symbol": symbol} | _window(start_ms, end_ms, None)
    return reading("/v5/order/history", query, Purpose.LOOK_UP)


def open_orders(*, symbol: str, cursor: str | None = None, order_filter: str | None = None) -> Request:
    """Plain and conditional orders; `order_filter` `StopOrder` leaves the plain ones out."""
    query: Query = {"category": CATEGORY, "symbol": symbol, "openOnly": "0", "limit": "50"}
    extra: Query = {"orderFilter": order_filter, "cursor": cursor}
    return reading("/v5/order/realtime", query | extra, Purpose.LOOK_UP)


def order_history(
    *,
    symbol: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    order_filter: str | None = None,
    cursor: str | None = None,
) -> Request:
    """Windows of at most 7 days, 50 rows a page."""
    query: Query = {"category": CATEGORY, "symbol": symbol, "orderFilter": order_filter, "limit": "50"}
    return reading("/v5/order/history", query | _window(start_ms, end_ms, cursor), Purpose.LOOK_UP)


def executions(
    *,
    symbol: str | None = None,
    client_id: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    exec_type: str | None = None,
    cursor: str | None = None,
) -> Request:
    """Windows of at most 7 days; trades, liquidations and funding unless `exec_type` names one."""
    query: Query = {"category": CATEGORY, "symbol": symbol, "orderLinkId": client_id, "execType": exec_type}
    query["limit"] = str(MAX_ROWS)
    return reading("/v5/execution/list", query | _window(start_ms, end_ms, cursor), Purpose.LOOK_UP)


def set_leverage(*, symbol: str, leverage: int) -> Request:
    body = {
        "category": CATEGORY,
        "symbol": symbol,
        "buyLeverage": str(leverage),
        "sellLeverage": str(leverage),
    }
    return _write("/v5/position/set-leverage", body, Purpose.ENTRY, orders=1)


def set_margin_mode(*, mode: MarginMode) -> Request:
    """Of the whole account."""
    name = "ISOLATED_MARGIN" if mode is MarginMode.ISOLATED else "REGULAR_MARGIN"
    return _write("/v5/account/set-margin-mode", {"setMarginMode": name}, Purpose.ENTRY)


def set_position_mode(*, hedge: bool, symbol: str | None = None) -> Request:
    """Of a symbol, or of everything settled in USDT."""
    body: dict[str, Any] = {"category": CATEGORY, "mode": 3 if hedge else 0}
    body |= {"coin": COIN} if symbol is None else {"symbol": symbol}
    return _write("/v5/position/switch-mode", body, Purpose.ENTRY)


def positions(*, symbol: str | None = None, cursor: str | None = None) -> Request:
    """Of a symbol, or of everything settled in USDT. Its rows also say the position mode: index 0 is one-way."""
    query: Query = {"category": CATEGORY, "symbol": symbol, "settleCoin": None if symbol else COIN}
    paged: Query = {"limit": None if symbol else "200", "cursor": cursor}
    return reading("/v5/position/list", query | paged, Purpose.LOOK_UP)


def wallet_balance(*, coin: str | None = COIN) -> Request:
    return reading("/v5/account/wallet-balance", {"accountType": "UNIFIED", "coin": coin}, Purpose.LOOK_UP)


def account_info() -> Request:
    return reading("/v5/account/info", {}, Purpose.LOOK_UP)


def key_info() -> Request:
    return reading("/v5/user/query-api", {}, Purpose.READ)


def fee_rate(*, symbol: str) -> Request:
    return reading("/v5/account/fee-rate", {"category": CATEGORY, "symbol": symbol}, Purpose.READ)


def transaction_log(
    *,
    kind: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    cursor: str | None = None,
) -> Request:
    """Every change of the wallet; `kind` `SETTLEMENT` is funding. Windows of at most 7 days, 50 rows a page."""
    query: Query = {
        "accountType": "UNIFIED",
        "category": CATEGORY,
        "currency": COIN,
        "type": kind,
        "limit": "50",
    }
    return reading("/v5/account/transaction-log", query | _window(start_ms, end_ms, cursor), Purpose.READ)


def closed_pnl(
    *,
    symbol: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    cursor: str | None = None,
) -> Request:
    """Net of both fees. Windows of at most 7 days."""
    query: Query = {"category": CATEGORY, "symbol": symbol, "limit": str(MAX_ROWS)}
    return reading("/v5/position/closed-pnl", query | _window(start_ms, end_ms, cursor), Purpose.READ)


def _side(side: OrderSide) -> str:
    return "Buy" if side is OrderSide.BUY else "Sell"


def _stops(stops: Stops) -> dict[str, Any]:
    prices = {
        "takeProfit": stops.take_profit,
        "stopLoss": stops.stop_loss,
        "tpLimitPrice": stops.take_profit_limit,
        "slLimitPrice": stops.stop_loss_limit,
    }
    body = {name: plain(price) for name, price in prices.items() if price is not None}
    if stops.take_profit_limit is not None:
        body["tpOrderType"] = "Limit"
    if stops.stop_loss_limit is not None:
        body["slOrderType"] = "Limit"
    return body


def _window(start_ms: int | None, end_ms: int | None, cursor: str | None) -> Query:
    return {"startTime": as_text(start_ms), "endTime": as_text(end_ms), "cursor": cursor}


def as_text(number: int | None) -> str | None:
    return None if number is None else str(number)


def reading(path: str, query: Query, purpose: Purpose) -> Request:
    """Absent values are not sent: the venue reads an empty one as a value."""
    text = urlencode({name: value for name, value in query.items() if value is not None})
    return Request(method="GET", path=path, query=text, cost=Cost(purpose=purpose))


def _write(path: str, body: dict[str, Any], purpose: Purpose, *, orders: int = 0) -> Request:
    cost = Cost(orders=orders, purpose=purpose)
    return Request(method="POST", path=path, body=_encode(body), headers=_JSON, cost=cost)
