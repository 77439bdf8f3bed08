"""Intents become exactly the documented requests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.position import OrderSide, Side
from exchanges.binance.requests import TriggerKind, place_order, place_trigger, plain
from exchanges.binance.signing import Access, keyed_request, public_request, signed_request
from exchanges.wire import Purpose, Request
from tests.exchanges.binance.intents import OPS
from tests.exchanges.binance.test_signing import KEYS
from tests.exchanges.fixtures import mismatches, request_examples

EXAMPLES = request_examples("binance")
S = "BTCUSDT"
# What the intents cover beyond the published examples: (intent, method, path, parameters, never sent).
MORE: dict[str, tuple[dict[str, Any], str, str, dict[str, str], list[str]]] = {
    "post_only": (
        {"op": "place_order", "symbol": S, "side": "buy", "type": "limit", "qty": "1", "price": "9", "post_only": True},
        "POST", "/fapi/v1/order",
        {"symbol": S, "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "9", "timeInForce": "GTX"},
        ["reduceOnly", "positionSide"],
    ),
    "hedge_close": (
        {"op": "place_order", "symbol": S, "side": "buy", "type": "market", "qty": "1", "reduce_only": True,
         "position_mode": "hedge", "position_side": "short"},
        "POST", "/fapi/v1/order",
        {"symbol": S, "side": "BUY", "type": "MARKET", "quantity": "1", "positionSide": "SHORT"},
        ["reduceOnly", "price", "timeInForce"],
    ),
    "stop_entry_rise": (
        {"op": "place_trigger", "kind": "stop_entry", "symbol": S, "side": "buy", "order": "market", "qty": "1",
         "trigger_price": "7", "direction": "rise"},
        "POST", "/fapi/v1/algoOrder",
        {"algoType": "CONDITIONAL", "symbol": S, "side": "BUY", "type": "STOP_MARKET", "quantity": "1",
         "triggerPrice": "7"},
        ["stopPrice", "reduceOnly", "closePosition"],
    ),
    "stop_entry_sell_rise_limit": (
        {"op": "place_trigger", "kind": "stop_entry", "symbol": S, "side": "sell", "order": "limit", "qty": "1",
         "trigger_price": "7", "limit_price": "6.9", "direction": "rise"},
        "POST", "/fapi/v1/algoOrder",
        {"algoType": "CONDITIONAL", "symbol": S, "side": "SELL", "type": "TAKE_PROFIT", "quantity": "1",
         "triggerPrice": "7", "price": "6.9", "timeInForce": "GTC"},
        ["stopPrice"],
    ),
    "cancel_all_plain": (
        {"op": "cancel_all", "symbol": S, "scope": "plain"}, "DELETE", "/fapi/v1/allOpenOrders", {"symbol": S}, [],
    ),
    "cancel_all_triggers": (
        {"op": "cancel_all", "symbol": S, "scope": "triggers"}, "DELETE", "/fapi/v1/algoOpenOrders", {"symbol": S}, [],
    ),
    "cancel_by_client_id": (
        {"op": "cancel_order", "symbol": S, "client_id": "a"}, "DELETE", "/fapi/v1/order",
        {"symbol": S, "origClientOrderId": "a"}, ["orderId"],
    ),
    "closed_order": (
        {"op": "get_closed_order", "symbol": S, "client_id": "a"}, "GET", "/fapi/v1/order",
        {"symbol": S, "origClientOrderId": "a"}, [],
    ),
    "open_orders": (
        {"op": "list_open_orders", "symbol": S}, "GET", "/fapi/v1/openOrders", {"symbol": S}, [],
    ),
    "open_triggers": (
        {"op": "list_open_triggers", "symbol": S}, "GET", "/fapi/v1/openAlgoOrders", {"symbol": S}, [],
    ),
    "trigger_history": (
        {"op": "list_trigger_history", "symbol": S}, "GET", "/fapi/v1/allAlgoOrders",
        {"symbol": S, "limit": "1000"}, [],
    ),
    "hedge_mode": (
        {"op": "set_position_mode", "hedge": True}, "POST", "/fapi/v1/positionSide/dual",
        {"dualSidePosition": "true"}, [],
    ),
    "margin_cross": (
        {"op": "set_margin_mode", "symbol": S, "mode": "cross"}, "POST", "/fapi/v1/marginType",
        {"symbol": S, "marginType": "CROSSED"}, [],
    ),
    "position_mode": ({"op": "get_position_mode"}, "GET", "/fapi/v1/positionSide/dual", {}, []),
    "balance": ({"op": "get_balance"}, "GET", "/fapi/v3/balance", {}, []),
    "positions": ({"op": "get_positions"}, "GET", "/fapi/v3/positionRisk", {}, ["symbol"]),
    "mark_klines": (
        {"op": "get_mark_klines", "symbol": S, "interval": "1m", "limit": 5}, "GET", "/fapi/v1/markPriceKlines",
        {"symbol": S, "interval": "1m", "limit": "5"}, [],
    ),
    "mark_price": ({"op": "get_mark_price", "symbol": S}, "GET", "/fapi/v1/premiumIndex", {"symbol": S}, []),
    "agg_trades": (
        {"op": "get_agg_trades", "symbol": S, "start": 1, "end": 2, "limit": 10}, "GET", "/fapi/v1/aggTrades",
        {"symbol": S, "startTime": "1", "endTime": "2", "limit": "10"}, [],
    ),
    "user_trades": (
        {"op": "get_user_trades", "symbol": S, "start": 1, "end": 2}, "GET", "/fapi/v1/userTrades",
        {"symbol": S, "startTime": "1", "endTime": "2", "limit": "1000"}, ["fromId", "orderId"],
    ),
    "closed_pnl": (
        {"op": "get_closed_pnl", "symbol": S}, "GET", "/fapi/v1/income",
        {"symbol": S, "incomeType": "REALIZED_PNL", "limit": "1000"}, ["page"],
    ),
    "instruments": ({"op": "get_instruments"}, "GET", "/fapi/v1/exchangeInfo", {}, ["symbol"]),
    "fee_rate": ({"op": "get_fee_rate", "symbol": S}, "GET", "/fapi/v1/commissionRate", {"symbol": S}, []),
    "funding_history": (
        {"op": "get_funding_history", "symbol": S, "limit": 2}, "GET", "/fapi/v1/fundingRate",
        {"symbol": S, "limit": "2"}, [],
    ),
    "server_time": ({"op": "get_server_time"}, "GET", "/fapi/v1/time", {}, []),
    "keepalive": ({"op": "keepalive_user_stream"}, "PUT", "/fapi/v1/listenKey", {}, ["timestamp", "signature"]),
    "order_rate_limit": ({"op": "get_order_rate_limit"}, "GET", "/fapi/v1/rateLimit/order", {}, []),
}  # fmt: skip


def sent(intent: dict[str, Any]) -> Request:
    call = OPS[intent["op"]](intent)
    if call.access is Access.PUBLIC:
        return public_request(call)
    if call.access is Access.KEY:
        return keyed_request(call, KEYS)
    return signed_request(call, KEYS, timestamp_ms=1_790_000_000_000)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_published_example_leaves_as_published(name: str) -> None:
    case = EXAMPLES[name]
    assert mismatches("binance", case["expect"], sent(case["intent"])) == []


@pytest.mark.parametrize("name", sorted(MORE))
def test_every_other_intent_leaves_as_documented(name: str) -> None:
    intent, method, path, params, absent = MORE[name]
    request = sent(intent)
    expect = {"method": method, "path": path, "params": params}
    assert mismatches("binance", expect, request) == []
    for never in absent:
        assert f"{never}=" not in request.query + request.body.decode()


def test_the_user_stream_calls_carry_the_key_alone() -> None:
    for op in ("start_user_stream", "keepalive_user_stream"):
        request = sent({"op": op})
        assert (request.query, request.body) == ("", b"")
        assert [name for name, _ in request.headers] == ["X-MBX-APIKEY"]


def test_what_reduces_risk_is_sent_first() -> None:
    market = {"symbol": S, "side": OrderSide.SELL, "quantity": Decimal(1)}
    assert place_order(**market, reduce_only=True).cost.purpose is Purpose.CLOSING
    assert place_order(**market).cost.purpose is Purpose.ENTRY
    stop = place_trigger(kind=TriggerKind.STOP_LOSS, trigger_price=Decimal(1), **market)
    assert stop.cost.purpose is Purpose.CLOSING
    assert (stop.cost.orders, place_order(**market).cost.orders) == (1, 1)


def test_hedge_mode_names_the_side_instead_of_reduce_only() -> None:
    call = place_order(
        symbol=S, side=OrderSide.SELL, quantity=Decimal(1), reduce_only=True, position_side=Side.LONG
    )
    assert dict(call.params)["positionSide"] == "LONG"
    assert "reduceOnly" not in dict(call.params)


@given(st.decimals(min_value=Decimal("1E-12"), max_value=Decimal("1E12"), allow_nan=False))
def test_amounts_are_plain_digits_of_the_same_value(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text.upper()
    assert not ("." in text and text.endswith(("0", ".")))
