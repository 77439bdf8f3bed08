"""Engine objects in Bybit's words: ids, orders, conditional orders, executions.

A conditional order and the order it becomes are one order here: same orderId, same orderLinkId. The engine knows
two, so rows of the second carry the id of the first.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from exchanges.simulator.model import (
    QUOTE,
    ZERO,
    Conditional,
    Order,
    OrderKind,
    OrderStatus,
    Origin,
    PositionSide,
    Reason,
    Side,
    TimeInForce,
    Trade,
    TriggerBy,
    TriggerKind,
    TriggerStatus,
)

CATEGORY = "linear"
MADE_UP = ":"
"""Begins client ids that no client sent; the venue tells them as none."""
SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
SIDE_WORDS = {side: word for word, side in SIDES.items()}
INDICES = {PositionSide.BOTH: 0, PositionSide.LONG: 1, PositionSide.SHORT: 2}
TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
}
_TIF_WORDS = {tif: word for word, tif in TIMES_IN_FORCE.items()}
TRIGGERS = {"LastPrice": TriggerBy.LAST, "MarkPrice": TriggerBy.MARK, "IndexPrice": TriggerBy.MARK}
TRIGGER_WORDS = {TriggerBy.LAST: "LastPrice", TriggerBy.MARK: "MarkPrice"}
_STATUS_WORDS = {
    OrderStatus.NEW: "New",
    OrderStatus.PARTLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
    OrderStatus.CANCELED: "Cancelled",
    OrderStatus.EXPIRED: "Cancelled",
    OrderStatus.REJECTED: "Rejected",
}
_TRIGGER_STATUS_WORDS = {
    TriggerStatus.NEW: "Untriggered",
    TriggerStatus.TRIGGERED: "Triggered",
    TriggerStatus.FINISHED: "Rejected",
    TriggerStatus.CANCELED: "Deactivated",
    TriggerStatus.REJECTED: "Rejected",
    TriggerStatus.EXPIRED: "Deactivated",
}
_STOP_WORDS = {
    TriggerKind.STOP: "StopLoss",
    TriggerKind.TAKE_PROFIT: "TakeProfit",
    TriggerKind.TRAILING: "TrailingStop",
}
_REJECT_WORDS = {
    Reason.POST_ONLY: "EC_PostOnlyWillTakeLiquidity",
    Reason.FILL_OR_KILL: "EC_NoImmediateQtyToFill",
    Reason.REDUCE_ONLY: "EC_NoError",
}
_CREATED_BY = {
    Origin.LIQUIDATION: "CreateByLiq",
    Origin.ADL: "CreateByAdl_PassThrough",
    Origin.SETTLEMENT: "CreateBySettle",
}
EXEC_TYPES = {Origin.LIQUIDATION: "BustTrade", Origin.ADL: "AdlTrade", Origin.SETTLEMENT: "Settle"}
FUNDING = "Funding"
_PLACES = Decimal("0.00000001")
_MARKET_GUARD = Decimal("0.05")
_ORDER_ID = "5cf9859839a7459e"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CURSOR = re.compile(r"page_token(?:=|%3D)([0-9]{1,40})")


def text(amount: Decimal) -> str:
    """Plain, with the places it has, never with an exponent."""
    return f"{amount:f}"


def money(amount: Decimal) -> str:
    """To eight places, without zeros that say nothing."""
    return f"{amount.quantize(_PLACES).normalize():f}"


def optional(amount: Decimal | None) -> str:
    return "" if amount is None else text(amount)


def uid(number: int) -> str:
    """An engine's id of an order as the venue writes ids."""
    digits = f"{_ORDER_ID}{number:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def number_of(order_id: str) -> int | None:
    """The engine's id; None: not one of this venue's."""
    digits = order_id.replace("-", "")
    if not _ID.fullmatch(order_id) or not digits.startswith(_ORDER_ID):
        return None
    return int(digits[len(_ORDER_ID) :], 16)


def order_uid(order: Order) -> str:
    return uid(order.order_id if order.conditional_id is None else order.conditional_id)


def own_id(client_id: str) -> str:
    return "" if client_id.startswith(MADE_UP) else client_id


def conditional_link(conditional: Conditional) -> str:
    return "" if conditional.request.of_position else own_id(conditional.request.client_id)


def order_link(order: Order, conditional: Conditional | None) -> str:
    if order.origin is Origin.CLIENT:
        return own_id(order.request.client_id)
    return "" if conditional is None else conditional_link(conditional)


def cursor(number: int) -> str:
    """Encoded already, as the venue gives it."""
    return f"page_token%3D{number}%26"


def cursor_number(given: str | None) -> int | None:
    """As it was given, or encoded once more on its way."""
    found = None if given is None else _CURSOR.search(given)
    return int(found[1]) if found else None


def stop_type(conditional: Conditional | None) -> str:
    if conditional is None:
        return ""
    if not conditional.request.of_position:
        return "Stop"
    word = _STOP_WORDS[conditional.request.kind]
    return word if conditional.request.close_position else f"Partial{word}"


def order_row(order: Order, conditional: Conditional | None) -> dict[str, Any]:
    """An order; `conditional`: the one it came from."""
    request = order.request
    is_market = request.kind is OrderKind.MARKET
    left = order.remaining if order.is_open else ZERO
    cancel, reject = _ending(order)
    attached = request.attached
    made_by, stop = made(order, conditional)
    return {
        "category": CATEGORY,
        "symbol": request.symbol,
        "orderId": order_uid(order),
        "orderLinkId": order_link(order, conditional),
        "side": SIDE_WORDS[request.side],
        "orderType": "Market" if is_market else "Limit",
        "price": _guard_price(order) if is_market else optional(request.price),
        "qty": text(order.quantity),
        "timeInForce": "IOC" if is_market else _TIF_WORDS[request.tif],
        "orderStatus": _STATUS_WORDS[order.status],
        "cancelType": cancel,
        "rejectReason": reject,
        "createType": made_by,
        "stopOrderType": stop,
        "avgPrice": money(order.average_price) if order.filled else "",
        "leavesQty": text(left),
        "leavesValue": money(left * (request.price or ZERO)),
        "cumExecQty": text(order.filled),
        "cumExecValue": money(order.notional),
        "cumExecFee": money(order.fees),
        "cumFeeDetail": {QUOTE: money(order.fees)} if order.fees else {},
        "positionIdx": INDICES[request.position_side],
        "reduceOnly": request.reduce_only,
        "closeOnTrigger": conditional is not None and conditional.request.close_position,
        "takeProfit": "" if attached is None else optional(attached.take_profit),
        "stopLoss": "" if attached is None else optional(attached.stop_loss),
        "tpTriggerBy": "" if attached is None else TRIGGER_WORDS[attached.target_by],
        "slTriggerBy": "" if attached is None else TRIGGER_WORDS[attached.stop_by],
        "tpslMode": "" if attached is None else "Full",
        "createdTime": str(order.created_ms if conditional is None else conditional.created_ms),
        "updatedTime": str(order.updated_ms),
        **_trigger(conditional),
        **_UNUSED,
    }


def conditional_row(conditional: Conditional, quantity: Decimal) -> dict[str, Any]:
    """One that has not become an order. `quantity`: what it would close or open now."""
    request = conditional.request
    is_open = conditional.status is TriggerStatus.NEW
    is_cancelled = conditional.status is TriggerStatus.CANCELED
    cancel = "UNKNOWN"
    if is_cancelled:
        cancel = "CancelByUser" if conditional.reason is None else "CancelByTpSlTsClear"
    is_rejected = _TRIGGER_STATUS_WORDS[conditional.status] == "Rejected"
    stop = stop_type(conditional)
    attached = request.attached
    return {
        "category": CATEGORY,
        "symbol": request.symbol,
        "orderId": uid(conditional.conditional_id),
        "orderLinkId": conditional_link(conditional),
        "side": SIDE_WORDS[request.side],
        "orderType": "Market" if request.limit_price is None else "Limit",
        "price": optional(request.limit_price),
        "qty": text(quantity),
        "timeInForce": "IOC" if request.limit_price is None else _TIF_WORDS[request.tif],
        "orderStatus": _TRIGGER_STATUS_WORDS[conditional.status],
        "cancelType": cancel,
        "rejectReason": "EC_Others" if is_rejected else "EC_NoError",
        "createType": f"CreateBy{stop}" if request.of_position else "CreateByUser",
        "stopOrderType": stop,
        "avgPrice": "",
        "leavesQty": text(quantity if is_open else ZERO),
        "leavesValue": "0",
        "cumExecQty": "0",
        "cumExecValue": "0",
        "cumExecFee": "0",
        "cumFeeDetail": {},
        "positionIdx": INDICES[request.position_side],
        "reduceOnly": request.reduce_only or request.close_position,
        "closeOnTrigger": request.close_position,
        "takeProfit": "" if attached is None else optional(attached.take_profit),
        "stopLoss": "" if attached is None else optional(attached.stop_loss),
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "tpslMode": ("Full" if request.close_position else "Partial") if request.of_position else "",
        "createdTime": str(conditional.created_ms),
        "updatedTime": str(conditional.updated_ms),
        **_trigger(conditional),
        **_UNUSED,
    }


def execution_row(
    trade: Trade, order: Order, conditional: Conditional | None, mark: Decimal
) -> dict[str, Any]:
    """A fill as it happens: what is left is as of now. Its id is the one of the ledger, so that books compare."""
    value = trade.price * trade.quantity
    made_by, stop = made(order, conditional)
    return {
        "category": CATEGORY,
        "symbol": trade.symbol,
        "orderId": order_uid(order),
        "orderLinkId": order_link(order, conditional),
        "side": SIDE_WORDS[trade.side],
        "orderType": "Market" if order.request.kind is OrderKind.MARKET else "Limit",
        "stopOrderType": stop or "UNKNOWN",
        "createType": made_by,
        "orderPrice": optional(order.request.price) or money(trade.price),
        "orderQty": text(order.quantity),
        "leavesQty": text(order.remaining),
        "execId": str(trade.trade_id),
        "execPrice": text(trade.price),
        "execQty": text(trade.quantity),
        "execValue": money(value),
        "execType": EXEC_TYPES.get(trade.origin, "Trade"),
        "execFee": text(trade.fee),
        "execPnl": money(trade.realised),
        "feeRate": money(trade.fee / value),
        "feeCurrency": trade.fee_asset,
        "isMaker": trade.is_maker,
        "closedSize": text(trade.closed),
        "markPrice": text(mark),
        "execTime": str(trade.at_ms),
        "seq": trade.trade_id,
        **_UNUSED_OF_EXECUTIONS,
    }


def funding_row(
    serial: int, symbol: str, quantity: Decimal, mark: Decimal, rate: Decimal, amount: Decimal, at_ms: int
) -> dict[str, Any]:
    """Funding is told as an execution whose fee it is: positive when paid."""
    return {
        "category": CATEGORY,
        "symbol": symbol,
        "orderId": uid(serial),
        "orderLinkId": "",
        "side": "Sell" if quantity < 0 else "Buy",
        "orderType": "UNKNOWN",
        "stopOrderType": "UNKNOWN",
        "createType": "",
        "orderPrice": "0",
        "orderQty": "0",
        "leavesQty": "0",
        "execId": str(serial),
        "execPrice": text(mark),
        "execQty": text(abs(quantity)),
        "execValue": money(abs(quantity) * mark),
        "execType": FUNDING,
        "execFee": text(-amount),
        "execPnl": "0",
        "feeRate": text(rate),
        "feeCurrency": QUOTE,
        "isMaker": False,
        "closedSize": "0",
        "markPrice": text(mark),
        "execTime": str(at_ms),
        "seq": serial,
        **_UNUSED_OF_EXECUTIONS,
    }


def made(order: Order, conditional: Conditional | None) -> tuple[str, str]:
    """Who made it and which stop it was."""
    stop = stop_type(conditional)
    if order.origin is Origin.CONDITIONAL and conditional is None:
        stop = "StopLoss"  # an attached one whose price the market had passed
    if order.origin in _CREATED_BY:
        return _CREATED_BY[order.origin], stop
    return ("CreateByUser" if stop in ("", "Stop") else f"CreateBy{stop}"), stop


_UNUSED = {
    "blockTradeId": "",
    "isLeverage": "",
    "orderIv": "",
    "lastPriceOnCreated": "",
    "tpLimitPrice": "",
    "slLimitPrice": "",
    "placeType": "",
    "smpType": "None",
    "smpGroup": 0,
    "smpOrderId": "",
    "feeCurrency": "",
    "slippageToleranceType": "UNKNOWN",
    "slippageTolerance": "",
    "extraFees": "",
    "rpiTakerAccess": False,
    "rpiMatchedQty": "0",
}
_UNUSED_OF_EXECUTIONS = {
    "tradeIv": "",
    "markIv": "",
    "indexPrice": "",
    "underlyingPrice": "",
    "blockTradeId": "",
    "isLeverage": "0",
    "marketUnit": "",
    "extraFees": "",
}


def _ending(order: Order) -> tuple[str, str]:
    """cancelType and rejectReason."""
    if order.status is OrderStatus.CANCELED and order.reason is None:
        return "CancelByUser", "EC_PerCancelRequest"
    if order.status is OrderStatus.EXPIRED and order.reason is None:
        return "UNKNOWN", "EC_CancelForNoFullFill" if order.filled else "EC_NoImmediateQtyToFill"
    if order.reason is None:
        return "UNKNOWN", "EC_NoError"
    cancel = "CancelByReduceOnly" if order.reason is Reason.REDUCE_ONLY else "UNKNOWN"
    return cancel, _REJECT_WORDS.get(order.reason, "EC_Others")


def _trigger(conditional: Conditional | None) -> dict[str, Any]:
    if conditional is None:
        return {"triggerPrice": "", "triggerDirection": 0, "triggerBy": ""}
    request = conditional.request
    return {
        "triggerPrice": optional(_trigger_price(conditional)),
        "triggerDirection": 1 if request.rises else 2,
        "triggerBy": TRIGGER_WORDS[request.by],
    }


def _trigger_price(conditional: Conditional) -> Decimal | None:
    """A trailing stop's is where it would fire now, before its activation where it starts."""
    request = conditional.request
    if request.kind is not TriggerKind.TRAILING:
        return request.trigger_price
    if conditional.best is None or request.callback_distance is None:
        return request.activation_price
    return conditional.best + request.side.sign * request.callback_distance


def _guard_price(order: Order) -> str:
    """A market order is an IOC limit order some way beyond the market."""
    if not order.filled:
        return ""
    price = order.average_price * (1 + order.request.side.sign * _MARKET_GUARD)
    return f"{price:.1f}"
