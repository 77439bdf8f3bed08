"""Intents → calls: one function per thing that can be asked of a trading account. Pure.

Source: USDⓈ-M Futures, "Trade", "Account" and "User Data Streams" REST API; weights as documented there. Conditional
orders go to the algo endpoints only, since 2025-12-09.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

from core.position import OrderSide, Side
from exchanges.base import MarginMode
from exchanges.binance.signing import Access, Call, Params
from exchanges.wire import Cost, Purpose

PAGE: Final = 1000
_ORDER: Final = "/fapi/v1/order"
_ALGO: Final = "/fapi/v1/algoOrder"
_LISTEN_KEY: Final = "/fapi/v1/listenKey"
_DUAL: Final = "/fapi/v1/positionSide/dual"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "GTX"


class TriggerKind(StrEnum):
    """What a conditional order is for; a stop entry opens once the price rises or falls to its trigger."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    ENTRY_ON_RISE = "entry_on_rise"
    ENTRY_ON_FALL = "entry_on_fall"


class Income(StrEnum):
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"


def plain(value: Decimal) -> str:
    """Digits without exponent and without zeros at the end."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def place_order(
    *,
    symbol: str,
    side: OrderSide,
    quantity: Decimal,
    price: Decimal | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    reduce_only: bool = False,
    position_side: Side | None = None,
    client_order_id: str | None = None,
) -> Call:
    """A market order, or with a price a limit order. `position_side`: in hedge mode, where it replaces reduce-only."""
    limit: Params = () if price is None else (("price", plain(price)), ("timeInForce", time_in_force.value))
    params = (
        ("symbol", symbol),
        ("side", side.name),
        ("type", "MARKET" if price is None else "LIMIT"),
        ("quantity", plain(quantity)),
        *limit,
        *_closing(reduce_only, position_side),
        *_given("newClientOrderId", client_order_id),
        ("newOrderRespType", "RESULT"),
    )
    purpose = Purpose.CLOSING if reduce_only else Purpose.ENTRY
    return Call(method="POST", path=_ORDER, params=params, cost=Cost(weight=0, orders=1, purpose=purpose))


def place_trigger(
    *,
    kind: TriggerKind,
    symbol: str,
    side: OrderSide,
    quantity: Decimal | None = None,
    trigger_price: Decimal | None = None,
    limit_price: Decimal | None = None,
    close_all: bool = False,
    reduce_only: bool = False,
    callback_pct: Decimal | None = None,
    activation_price: Decimal | None = None,
    by_mark: bool = False,
    position_side: Side | None = None,
    client_algo_id: str | None = None,
) -> Call:
    """A conditional order, market or with a limit price. `close_all` takes neither quantity nor reduce-only."""
    params = (
        ("algoType", "CONDITIONAL"),
        ("symbol", symbol),
        ("side", side.name),
        ("type", _trigger_type(kind, side, limited=limit_price is not None)),
        *_amount("quantity", None if close_all else quantity),
        *_amount("triggerPrice", trigger_price),
        *_amount("price", limit_price),
        *((("timeInForce", "GTC"),) if limit_price is not None else ()),
        *_amount("callbackRate", callback_pct),
        *_amount("activatePrice", activation_price),
        *((("closePosition", "true"),) if close_all else ()),
        *_closing(reduce_only and not close_all, position_side),
        *((("workingType", "MARK_PRICE"),) if by_mark else ()),
        *_given("clientAlgoId", client_algo_id),
    )
    entry = kind in (TriggerKind.ENTRY_ON_RISE, TriggerKind.ENTRY_ON_FALL)
    purpose = Purpose.ENTRY if entry else Purpose.CLOSING
    return Call(method="POST", path=_ALGO, params=params, cost=Cost(weight=1, orders=1, purpose=purpose))


def _trigger_type(kind: TriggerKind, side: OrderSide, *, limited: bool) -> str:
    if kind is TriggerKind.TRAILING_STOP:
        return "TRAILING_STOP_MARKET"
    # With the move (buying a rise, selling a fall) is a stop, against it a take-profit.
    with_move = kind is TriggerKind.STOP_LOSS or (
        kind is (TriggerKind.ENTRY_ON_RISE if side is OrderSide.BUY else TriggerKind.ENTRY_ON_FALL)
    )
    return ("STOP" if with_move else "TAKE_PROFIT") + ("" if limited else "_MARKET")


def cancel_order(symbol: str, *, client_order_id: str | None = None, order_id: str | None = None) -> Call:
    params = (("symbol", symbol), *_given("origClientOrderId", client_order_id), *_given("orderId", order_id))
    return _call("DELETE", _ORDER, params, purpose=Purpose.CLOSING)


def cancel_trigger(*, client_algo_id: str | None = None, algo_id: str | None = None) -> Call:
    params = (*_given("clientAlgoId", client_algo_id), *_given("algoId", algo_id))
    return _call("DELETE", _ALGO, params, purpose=Purpose.CLOSING)


def cancel_all(symbol: str) -> Call:
    """Plain orders only: conditional ones stay."""
    return _call("DELETE", "/fapi/v1/allOpenOrders", (("symbol", symbol),), purpose=Purpose.CLOSING)


def cancel_all_triggers(symbol: str) -> Call:
    return _call("DELETE", "/fapi/v1/algoOpenOrders", (("symbol", symbol),), purpose=Purpose.CLOSING)


def get_order(symbol: str, *, client_order_id: str | None = None, order_id: str | None = None) -> Call:
    params = (("symbol", symbol), *_given("origClientOrderId", client_order_id), *_given("orderId", order_id))
    return _call("GET", _ORDER, params, purpose=Purpose.LOOK_UP)


def get_trigger(*, client_algo_id: str | None = None, algo_id: str | None = None) -> Call:
    params = (*_given("clientAlgoId", client_algo_id), *_given("algoId", algo_id))
    return _call("GET", _ALGO, params, purpose=Purpose.LOOK_UP)


def list_open_orders(symbol: str | None = None) -> Call:
    weight = 40 if symbol is None else 1
    return _call("GET", "/fapi/v1/openOrders", _given("symbol", symbol), weight, Purpose.LOOK_UP)


def list_open_triggers(symbol: str | None = None) -> Call:
    weight = 40 if symbol is None else 1
    return _call("GET", "/fapi/v1/openAlgoOrders", _given("symbol", symbol), weight, Purpose.LOOK_UP)


def list_triggers(symbol: str, *, start_ms: int | None = None, limit: int = PAGE) -> Call:
    """Conditional orders of any state, also ended ones."""
    params = (("symbol", symbol), *_given("startTime", start_ms), ("limit", str(limit)))
    return _call("GET", "/fapi/v1/allAlgoOrders", params, 5, Purpose.LOOK_UP)


def user_trades(
    symbol: str,
    *,
    order_id: int | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    from_id: int | None = None,
) -> Call:
    """Own executions: of one order, in a window of 7 days at most, or from a trade id on."""
    params = (
        ("symbol", symbol),
        *_given("orderId", order_id),
        *_given("startTime", start_ms),
        *_given("endTime", end_ms),
        *_given("fromId", from_id),
        ("limit", str(PAGE)),
    )
    return _call("GET", "/fapi/v1/userTrades", params, 5, Purpose.LOOK_UP)


def income(
    kind: Income, *, symbol: str | None = None, start_ms: int | None = None, end_ms: int | None = None
) -> Call:
    """Rows of one kind, oldest first. Pages go by time: the venue's own `page` is not to be used."""
    params = (
        *_given("symbol", symbol),
        ("incomeType", kind.value),
        *_given("startTime", start_ms),
        *_given("endTime", end_ms),
        ("limit", str(PAGE)),
    )
    return _call("GET", "/fapi/v1/income", params, 30, Purpose.LOOK_UP)


def balances() -> Call:
    return _call("GET", "/fapi/v3/balance", (), 5, Purpose.LOOK_UP)


def positions(symbol: str | None = None) -> Call:
    """Symbols with a position or an order; flat ones are left out."""
    return _call("GET", "/fapi/v3/positionRisk", _given("symbol", symbol), 5, Purpose.LOOK_UP)


def account_config() -> Call:
    """Both modes of the account for a sixth of what asking for one costs."""
    return _call("GET", "/fapi/v1/accountConfig", (), 5, Purpose.LOOK_UP)


def symbol_config(symbol: str) -> Call:
    return _call("GET", "/fapi/v1/symbolConfig", (("symbol", symbol),), 5, Purpose.LOOK_UP)


def position_mode() -> Call:
    return _call("GET", _DUAL, (), 30, Purpose.LOOK_UP)


def set_position_mode(*, hedge: bool) -> Call:
    """Of the whole account, COIN-M included."""
    params = (("dualSidePosition", "true" if hedge else "false"),)
    return _call("POST", _DUAL, params, purpose=Purpose.ENTRY)


def set_margin_mode(symbol: str, mode: MarginMode) -> Call:
    params = (("symbol", symbol), ("marginType", "ISOLATED" if mode is MarginMode.ISOLATED else "CROSSED"))
    return _call("POST", "/fapi/v1/marginType", params, purpose=Purpose.ENTRY)


def set_leverage(symbol: str, leverage: int) -> Call:
    params = (("symbol", symbol), ("leverage", str(leverage)))
    return _call("POST", "/fapi/v1/leverage", params, purpose=Purpose.ENTRY)


def leverage_tiers(symbol: str) -> Call:
    return _call("GET", "/fapi/v1/leverageBracket", (("symbol", symbol),))


def fee_rate(symbol: str) -> Call:
    return _call("GET", "/fapi/v1/commissionRate", (("symbol", symbol),), 20)


def order_rate_limit() -> Call:
    return _call("GET", "/fapi/v1/rateLimit/order", ())


def dead_man_switch(symbol: str, countdown_ms: int) -> Call:
    """Cancels the symbol's plain orders unless called again in time; 0 ends the countdown."""
    params = (("symbol", symbol), ("countdownTime", str(countdown_ms)))
    return _call("POST", "/fapi/v1/countdownCancelAll", params, 10, Purpose.CLOSING)


def key_restrictions() -> Call:
    """What the key may do: an endpoint of the spot host, which the test environments lack."""
    return _call("GET", "/sapi/v1/account/apiRestrictions", ())


def start_user_stream() -> Call:
    return _listen_key("POST")


def keep_user_stream() -> Call:
    return _listen_key("PUT")


def _listen_key(method: str) -> Call:
    cost = Cost(weight=1, purpose=Purpose.LOOK_UP)
    return Call(method=method, path=_LISTEN_KEY, access=Access.KEY, cost=cost)


def _call(method: str, path: str, params: Params, weight: int = 1, purpose: Purpose = Purpose.READ) -> Call:
    return Call(method=method, path=path, params=params, cost=Cost(weight=weight, purpose=purpose))


def _closing(reduce_only: bool, position_side: Side | None) -> Params:
    """In hedge mode the side says what is closed, and reduce-only is refused."""
    if position_side is not None:
        return (("positionSide", position_side.name),)
    return (("reduceOnly", "true"),) if reduce_only else ()


def _given(name: str, value: str | int | None) -> Params:
    return () if value is None else ((name, str(value)),)


def _amount(name: str, value: Decimal | None) -> Params:
    return () if value is None else ((name, plain(value)),)
