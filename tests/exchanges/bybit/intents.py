"""The neutral intents of the request examples, said to this adapter's request functions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from core.order import OrderKind
from core.position import OrderSide, Side
from core.timeframe import Timeframe
from exchanges.base import MarginMode
from exchanges.bybit import public, requests
from exchanges.bybit.requests import Direction, Lasts, Stops, TriggerBy
from exchanges.wire import Request

LASTS = {"gtc": Lasts.GTC, "ioc": Lasts.IOC, "fok": Lasts.FOK}
TRIGGERS = {"last": TriggerBy.LAST, "mark": TriggerBy.MARK, "index": TriggerBy.INDEX}
SCOPES = {"plain": "Order", "triggers": "StopOrder", "everything": None}


def request_of(intent: dict[str, Any]) -> Request:
    return _BUILD[intent["op"]](intent)


def _place(intent: dict[str, Any]) -> Request:
    return requests.place_order(
        symbol=intent["symbol"],
        side=OrderSide(intent["side"]),
        kind=OrderKind(intent["type"]),
        quantity=Decimal(intent["qty"]),
        price=_decimal(intent, "price"),
        lasts=Lasts.POST_ONLY if intent.get("post_only") else LASTS[intent.get("tif", "gtc")],
        reduce_only=intent.get("reduce_only", False),
        hedge_side=_hedge_side(intent),
        client_id=intent.get("client_id"),
        attached=Stops(
            take_profit=_decimal(intent, "attached_tp"),
            stop_loss=_decimal(intent, "attached_sl"),
            take_profit_limit=_decimal(intent, "attached_tp_limit"),
            stop_loss_limit=_decimal(intent, "attached_sl_limit"),
        ),
    )


def _trigger(intent: dict[str, Any]) -> Request:
    side, kind = OrderSide(intent["side"]), intent["kind"]
    if kind == "stop_entry":
        direction = Direction.RISE if intent["direction"] == "rise" else Direction.FALL
    else:
        direction = requests.protective_direction(closes=side, takes_profit=kind == "take_profit")
    return requests.place_trigger(
        symbol=intent["symbol"],
        side=side,
        kind=OrderKind(intent["order"]),
        quantity=Decimal(intent["qty"]),
        trigger_price=Decimal(intent["trigger_price"]),
        direction=direction,
        trigger_by=TRIGGERS[intent.get("trigger_by", "last")],
        limit_price=_decimal(intent, "limit_price"),
        reduce_only=kind != "stop_entry",
        hedge_side=_hedge_side(intent),
        client_id=intent.get("client_id"),
    )


def _stops(intent: dict[str, Any]) -> Request:
    return requests.set_position_stops(
        symbol=intent["symbol"],
        stops=Stops(
            take_profit=_decimal(intent, "tp"),
            stop_loss=_decimal(intent, "sl"),
            take_profit_limit=_decimal(intent, "tp_limit"),
            stop_loss_limit=_decimal(intent, "sl_limit"),
        ),
        quantity=_decimal(intent, "qty"),
        partial=intent["scope"] == "partial",
        hedge_side=_hedge_side(intent),
        trail_distance=_decimal(intent, "trail_distance"),
        activation_price=_decimal(intent, "activation_price"),
        tp_trigger_by=TRIGGERS.get(intent.get("tp_trigger_by", "")),
        sl_trigger_by=TRIGGERS.get(intent.get("sl_trigger_by", "")),
    )


def _klines(intent: dict[str, Any]) -> Request:
    return public.klines(
        symbol=intent["symbol"],
        timeframe=Timeframe.parse(intent["interval"]),
        start_ms=intent.get("start"),
        end_ms=intent.get("end"),
        of_mark_price=intent["op"] == "get_mark_klines",
    )


def _named(intent: dict[str, Any]) -> dict[str, Any]:
    order_id = intent.get("order_id") or intent.get("trigger_id")
    return {"symbol": intent["symbol"], "client_id": intent.get("client_id"), "order_id": order_id}


def _spanned(intent: dict[str, Any]) -> dict[str, Any]:
    return {"start_ms": intent.get("start"), "end_ms": intent.get("end")}


def _decimal(intent: dict[str, Any], field: str) -> Decimal | None:
    return Decimal(intent[field]) if field in intent else None


def _hedge_side(intent: dict[str, Any]) -> Side | None:
    return Side(intent["position_side"]) if intent.get("position_mode") == "hedge" else None


_BUILD = {
    "place_order": _place,
    "place_trigger": _trigger,
    "set_position_stops": _stops,
    "cancel_order": lambda it: requests.cancel_order(**_named(it)),
    "cancel_trigger": lambda it: requests.cancel_order(**_named(it)),
    "cancel_all": lambda it: requests.cancel_all(
        symbol=it.get("symbol"), order_filter=SCOPES[it.get("scope", "everything")]
    ),
    "get_order": lambda it: requests.get_order(**_named(it)),
    "get_trigger": lambda it: requests.get_order(**_named(it)),
    "get_closed_order": lambda it: requests.get_closed_order(**_named(it)),
    "list_open_orders": lambda it: requests.open_orders(symbol=it["symbol"]),
    "list_open_triggers": lambda it: requests.open_orders(symbol=it["symbol"], order_filter="StopOrder"),
    "list_trigger_history": lambda it: requests.order_history(
        symbol=it.get("symbol"), order_filter="StopOrder", **_spanned(it)
    ),
    "set_leverage": lambda it: requests.set_leverage(symbol=it["symbol"], leverage=it["leverage"]),
    "set_margin_mode": lambda it: requests.set_margin_mode(mode=MarginMode(it["mode"])),
    "set_position_mode": lambda it: requests.set_position_mode(hedge=it["hedge"], symbol=it.get("symbol")),
    "get_position_mode": lambda it: requests.positions(symbol=it["symbol"]),
    "get_balance": lambda it: requests.wallet_balance(),
    "get_positions": lambda it: requests.positions(symbol=it.get("symbol")),
    "get_symbol_config": lambda it: requests.positions(symbol=it["symbol"]),
    "get_klines": _klines,
    "get_mark_klines": _klines,
    "get_mark_price": lambda it: public.ticker(symbol=it["symbol"]),
    "get_agg_trades": lambda it: public.recent_trades(symbol=it["symbol"]),
    "get_user_trades": lambda it: requests.executions(
        symbol=it.get("symbol"), client_id=it.get("client_id"), **_spanned(it)
    ),
    "get_income": lambda it: requests.transaction_log(**_spanned(it)),
    "get_closed_pnl": lambda it: requests.closed_pnl(symbol=it.get("symbol"), **_spanned(it)),
    "get_instruments": lambda it: public.instruments(symbol=it.get("symbol")),
    "get_fee_rate": lambda it: requests.fee_rate(symbol=it["symbol"]),
    "get_funding_history": lambda it: public.funding_history(symbol=it["symbol"], **_spanned(it)),
    "get_server_time": lambda it: public.server_time(),
    "dead_man_switch": lambda it: requests.dead_man_switch(window_s=it["window_s"]),
}
