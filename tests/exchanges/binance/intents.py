"""The neutral intents of the request examples, spoken to Binance's requests."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core.position import OrderSide, Side
from exchanges.base import MarginMode
from exchanges.binance import public, requests
from exchanges.binance.requests import Income, TimeInForce, TriggerKind
from exchanges.binance.signing import Call

Intent = dict[str, Any]


def _decimal(intent: Intent, name: str) -> Decimal | None:
    return Decimal(intent[name]) if name in intent else None


def _position_side(intent: Intent) -> Side | None:
    return Side(intent["position_side"]) if intent.get("position_mode") == "hedge" else None


def _order(intent: Intent) -> Call:
    tif = TimeInForce.POST_ONLY if intent.get("post_only") else TimeInForce[intent.get("tif", "gtc").upper()]
    return requests.place_order(
        symbol=intent["symbol"],
        side=OrderSide(intent["side"]),
        quantity=Decimal(intent["qty"]),
        price=_decimal(intent, "price"),
        time_in_force=tif,
        reduce_only=intent.get("reduce_only", False),
        position_side=_position_side(intent),
        client_order_id=intent.get("client_id"),
    )


def _trigger(intent: Intent) -> Call:
    kind = intent["kind"]
    if kind == "stop_entry":
        kind = f"entry_on_{intent['direction']}"
    return requests.place_trigger(
        kind=TriggerKind(kind),
        symbol=intent["symbol"],
        side=OrderSide(intent["side"]),
        quantity=_decimal(intent, "qty"),
        trigger_price=_decimal(intent, "trigger_price"),
        limit_price=_decimal(intent, "limit_price"),
        close_all=intent.get("close_all", False),
        reduce_only=intent.get("reduce_only", False),
        callback_pct=_decimal(intent, "callback_pct"),
        activation_price=_decimal(intent, "activation_price"),
        by_mark=intent.get("trigger_by") == "mark",
        position_side=_position_side(intent),
        client_algo_id=intent.get("client_id"),
    )


def _income(intent: Intent) -> Call:
    kind = Income(intent.get("kind", "realized_pnl").upper())
    symbol, start, end = intent.get("symbol"), intent.get("start"), intent.get("end")
    return requests.income(kind, symbol=symbol, start_ms=start, end_ms=end)


def _window(intent: Intent) -> dict[str, Any]:
    names = {"start": "start_ms", "end": "end_ms", "limit": "limit"}
    return {names[key]: intent[key] for key in names if key in intent}


OPS: dict[str, Callable[[Intent], Call]] = {
    "place_order": _order,
    "place_trigger": _trigger,
    "cancel_order": lambda i: requests.cancel_order(
        i["symbol"], client_order_id=i.get("client_id"), order_id=i.get("order_id")
    ),
    "cancel_trigger": lambda i: requests.cancel_trigger(
        client_algo_id=i.get("client_id"), algo_id=i.get("trigger_id")
    ),
    "cancel_all": lambda i: (
        requests.cancel_all_triggers if i.get("scope") == "triggers" else requests.cancel_all
    )(i["symbol"]),
    "get_order": lambda i: requests.get_order(
        i["symbol"], client_order_id=i.get("client_id"), order_id=i.get("order_id")
    ),
    "get_closed_order": lambda i: requests.get_order(
        i["symbol"], client_order_id=i.get("client_id"), order_id=i.get("order_id")
    ),
    "get_trigger": lambda i: requests.get_trigger(
        client_algo_id=i.get("client_id"), algo_id=i.get("trigger_id")
    ),
    "list_open_orders": lambda i: requests.list_open_orders(i.get("symbol")),
    "list_open_triggers": lambda i: requests.list_open_triggers(i.get("symbol")),
    "list_trigger_history": lambda i: requests.list_triggers(i["symbol"], start_ms=i.get("start")),
    "set_leverage": lambda i: requests.set_leverage(i["symbol"], i["leverage"]),
    "set_margin_mode": lambda i: requests.set_margin_mode(i["symbol"], MarginMode(i["mode"])),
    "set_position_mode": lambda i: requests.set_position_mode(hedge=i["hedge"]),
    "get_position_mode": lambda _: requests.position_mode(),
    "get_balance": lambda _: requests.balances(),
    "get_positions": lambda i: requests.positions(i.get("symbol")),
    "get_symbol_config": lambda i: requests.symbol_config(i["symbol"]),
    "get_klines": lambda i: public.get_klines(i["symbol"], i["interval"], **_window(i)),
    "get_mark_klines": lambda i: public.get_klines(i["symbol"], i["interval"], mark=True, **_window(i)),
    "get_mark_price": lambda i: public.get_mark_price(i["symbol"]),
    "get_agg_trades": lambda i: public.get_agg_trades(i["symbol"], **_window(i)),
    "get_user_trades": lambda i: requests.user_trades(
        i["symbol"], start_ms=i.get("start"), end_ms=i.get("end")
    ),
    "get_income": _income,
    "get_closed_pnl": _income,
    "get_instruments": lambda _: public.get_instruments(),
    "get_fee_rate": lambda i: requests.fee_rate(i["symbol"]),
    "get_funding_history": lambda i: public.get_funding_rates(i["symbol"], **_window(i)),
    "get_server_time": lambda _: public.get_server_time(),
    "start_user_stream": lambda _: requests.start_user_stream(),
    "keepalive_user_stream": lambda _: requests.keep_user_stream(),
    "get_order_rate_limit": lambda _: requests.order_rate_limit(),
    "dead_man_switch": lambda i: requests.dead_man_switch(i["symbol"], i["countdown_ms"]),
}
