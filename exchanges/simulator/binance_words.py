"""Engine objects in Binance's words: JSON of orders, conditional orders, trades, positions, and stream events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchanges.simulator.account import Account
from exchanges.simulator.model import (
    ZERO,
    Conditional,
    IncomeKind,
    Order,
    OrderKind,
    OrderStatus,
    Origin,
    Position,
    PositionSide,
    Reason,
    TimeInForce,
    Trade,
    TriggerBy,
    TriggerKind,
    TriggerStatus,
)

POSITION_SIDES = {"BOTH": PositionSide.BOTH, "LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}
TIMES_IN_FORCE = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTX": TimeInForce.POST_ONLY,
}
_TIF_WORDS = {tif: word for word, tif in TIMES_IN_FORCE.items()}
_STATUS_WORDS = {
    OrderStatus.NEW: "NEW",
    OrderStatus.PARTLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "REJECTED",
}
_TRIGGER_WORDS = {
    TriggerStatus.NEW: "NEW",
    TriggerStatus.TRIGGERED: "TRIGGERED",
    TriggerStatus.FINISHED: "FINISHED",
    TriggerStatus.CANCELED: "CANCELED",
    TriggerStatus.REJECTED: "REJECTED",
    TriggerStatus.EXPIRED: "EXPIRED",
}
INCOME_WORDS = {
    IncomeKind.TRANSFER: "TRANSFER",
    IncomeKind.REALISED: "REALIZED_PNL",
    IncomeKind.COMMISSION: "COMMISSION",
    IncomeKind.FUNDING: "FUNDING_FEE",
}
VENUE_IDS = {
    Origin.LIQUIDATION: "autoclose-{}",
    Origin.ADL: "adl_autoclose_{}",
    Origin.SETTLEMENT: "settlement_autoclose-{}",
}
_VENUE_ORIGINS = tuple(VENUE_IDS)


def plain(amount: Decimal) -> str:
    return f"{amount:f}"


def money(amount: Decimal) -> str:
    return f"{amount:.8f}"


def price(amount: Decimal) -> str:
    return f"{amount:.5f}"


def venue_id(origin: Origin, order_id: int) -> str:
    return VENUE_IDS.get(origin, "venue-{}").format(order_id)


def order_type(order: Order) -> str:
    return "MARKET" if order.request.kind is OrderKind.MARKET else "LIMIT"


def conditional_type(conditional: Conditional) -> str:
    request = conditional.request
    if request.kind is TriggerKind.TRAILING:
        return "TRAILING_STOP_MARKET"
    word = "STOP" if request.kind is TriggerKind.STOP else "TAKE_PROFIT"
    return word if request.limit_price is not None else f"{word}_MARKET"


def order_json(order: Order, *, is_query: bool = False) -> dict[str, Any]:
    """The reply of place and cancel; a query adds what these leave out since 2026-07-15."""
    request, kind = order.request, order_type(order)
    words: dict[str, Any] = {
        "orderId": order.order_id,
        "symbol": request.symbol,
        "status": _STATUS_WORDS[order.status],
        "clientOrderId": request.client_id,
        "price": plain(request.price or ZERO),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.filled),
        "cumQty": plain(order.filled),
        "timeInForce": _TIF_WORDS[request.tif],
        "type": kind,
        "reduceOnly": request.reduce_only,
        "closePosition": False,
        "side": request.side.upper(),
        "positionSide": request.position_side.upper(),
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "updateTime": order.updated_ms,
    }
    if is_query:
        del words["cumQty"]
        words["avgPrice"] = price(order.average_price)
        words["cumQuote"] = plain(order.notional)
        words["time"] = order.created_ms
    return words


def conditional_json(
    conditional: Conditional, real: Order | None, *, is_query: bool = False
) -> dict[str, Any]:
    """`real`: the order it became, where it did."""
    request = conditional.request
    words: dict[str, Any] = {
        "algoId": conditional.conditional_id,
        "clientAlgoId": request.client_id,
        "algoType": "CONDITIONAL",
        "orderType": conditional_type(conditional),
        "symbol": request.symbol,
        "side": request.side.upper(),
        "positionSide": request.position_side.upper(),
        "timeInForce": _TIF_WORDS[request.tif],
        "quantity": plain(request.quantity or ZERO),
        "algoStatus": _TRIGGER_WORDS[conditional.status],
        "triggerPrice": plain(request.trigger_price or ZERO),
        "price": plain(request.limit_price or ZERO),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": _working(request.by),
        "priceMatch": "NONE",
        "closePosition": request.close_position,
        "priceProtect": False,
        "reduceOnly": request.reduce_only or request.close_position,
        "createTime": conditional.created_ms,
        "updateTime": conditional.updated_ms,
        "triggerTime": conditional.triggered_ms,
        "goodTillDate": 0,
    }
    if request.kind is TriggerKind.TRAILING:
        words["activatePrice"] = plain(request.activation_price or ZERO)
        words["callbackRate"] = plain(request.callback_pct or ZERO)
    if is_query:
        words["actualOrderId"] = "" if real is None else str(real.order_id)
        words["actualPrice"] = price(real.average_price if real else ZERO)
        words["actualQty"] = plain(real.filled if real else ZERO)
        words["actualType"] = "" if real is None else order_type(real)
        words["tpOrderType"] = ""
    return words


def trade_json(trade: Trade) -> dict[str, Any]:
    quote = plain(trade.price * trade.quantity)
    return {
        "symbol": trade.symbol,
        "pair": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "side": trade.side.upper(),
        "price": plain(trade.price),
        "qty": plain(trade.quantity),
        "quoteQty": quote,
        "baseQty": plain(trade.quantity),
        "realizedPnl": money(trade.realised),
        "marginAsset": "USDT",
        "commission": money(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.at_ms,
        "positionSide": trade.position_side.upper(),
        "buyer": trade.side.sign > 0,
        "maker": trade.is_maker,
    }


# -- stream events


def order_event(order: Order, trade: Trade | None, at_ms: int) -> dict[str, Any]:
    request, kind = order.request, order_type(order)
    is_venues = order.origin in _VENUE_ORIGINS
    fill_word = "CALCULATED" if is_venues else "TRADE"
    what = _STATUS_WORDS[order.status] if trade is None else fill_word
    status = _STATUS_WORDS[order.status]
    if order.origin is Origin.ADL:
        status = "NEW_ADL"
    details = {
        "s": request.symbol,
        "c": request.client_id,
        "S": request.side.upper(),
        "o": kind,
        "f": _TIF_WORDS[request.tif],
        "q": plain(order.quantity),
        "p": plain(request.price or ZERO),
        "ap": price(order.average_price),
        "sp": "0",
        "x": what,
        "X": status,
        "i": order.order_id,
        "l": plain(trade.quantity if trade else ZERO),
        "z": plain(order.filled),
        "L": plain(trade.price if trade else ZERO),
        "N": trade.fee_asset if trade else "USDT",
        "n": money(trade.fee) if trade else "0",
        "T": at_ms,
        "t": trade.trade_id if trade else 0,
        "b": "0",
        "a": "0",
        "m": trade.is_maker if trade else False,
        "R": request.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": kind,
        "ps": request.position_side.upper(),
        "cp": False,
        "pP": False,
        "si": 0,
        "ss": 0,
        "rp": money(trade.realised) if trade else "0",
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
    }
    if order.reason is not None:
        details["er"] = "1"
    return {"e": "ORDER_TRADE_UPDATE", "T": at_ms, "E": at_ms, "o": details}


def trade_lite(trade: Trade, order: Order, at_ms: int) -> dict[str, Any]:
    return {
        "e": "TRADE_LITE",
        "E": at_ms,
        "T": at_ms,
        "s": trade.symbol,
        "q": plain(order.quantity),
        "p": plain(order.request.price or ZERO),
        "m": trade.is_maker,
        "c": trade.client_id,
        "S": trade.side.upper(),
        "L": plain(trade.price),
        "l": plain(trade.quantity),
        "t": trade.trade_id,
        "i": trade.order_id,
    }


def account_event(
    account: Account, position: Position | None, mark: Decimal, cause: str, change: Decimal, at_ms: int
) -> dict[str, Any]:
    is_funding = cause == "funding"
    balances = [
        {
            "a": asset,
            "wb": money(amount),
            "cw": money(account.cross_wallet() if asset == "USDT" else amount),
            "bc": money(change if is_funding and asset == "USDT" else ZERO),
        }
        for asset, amount in account.wallet.items()
    ]
    # Funding of a cross position comes without its position.
    shown = [] if position is None or is_funding else [_event_position(account, position, mark)]
    return {
        "e": "ACCOUNT_UPDATE",
        "T": at_ms,
        "E": at_ms,
        "a": {"m": "FUNDING_FEE" if is_funding else "ORDER", "B": balances, "P": shown},
    }


def _event_position(account: Account, position: Position, mark: Decimal) -> dict[str, Any]:
    isolated = account.is_isolated(position.symbol)
    return {
        "s": position.symbol,
        "pa": plain(position.quantity),
        "ep": price(position.entry_price),
        "bep": price(position.entry_price),
        "cr": money(position.realised),
        "up": money(position.unrealised(mark)),
        "mt": "isolated" if isolated else "cross",
        "iw": money(position.margin if isolated else ZERO),
        "ps": position.side.upper(),
    }


def conditional_event(
    conditional: Conditional, real: Order | None, at_ms: int, status: str | None = None
) -> dict[str, Any]:
    request = conditional.request
    details = {
        "caid": request.client_id,
        "aid": conditional.conditional_id,
        "at": "CONDITIONAL",
        "o": conditional_type(conditional),
        "s": request.symbol,
        "S": request.side.upper(),
        "ps": request.position_side.upper(),
        "f": _TIF_WORDS[request.tif],
        "q": plain(request.quantity or ZERO),
        "X": status or _TRIGGER_WORDS[conditional.status],
        "ai": "" if real is None else str(real.order_id),
        "ap": price(real.average_price if real else ZERO),
        "aq": plain(real.filled if real else ZERO),
        "act": "0" if real is None else order_type(real),
        "tp": plain(request.trigger_price or ZERO),
        "p": plain(request.limit_price or ZERO),
        "V": "EXPIRE_MAKER",
        "wt": _working(request.by),
        "pm": "NONE",
        "cp": request.close_position,
        "pP": False,
        "R": request.reduce_only or request.close_position,
        "tt": conditional.triggered_ms,
        "gtd": 0,
    }
    if conditional.status is TriggerStatus.REJECTED:
        details["rm"] = _reject_words(conditional.reason)
    return {"e": "ALGO_UPDATE", "T": at_ms, "E": at_ms, "o": details}


def _reject_words(reason: Reason | None) -> str:
    return "Reduce Only reject" if reason is Reason.REDUCE_ONLY else str(reason or "")


def _working(by: TriggerBy) -> str:
    return "MARK_PRICE" if by is TriggerBy.MARK else "CONTRACT_PRICE"
