"""The stand-in's answers and events carry every field of the venue's recorded ones, each of the same JSON kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.exchanges.simulator.running import RunningVenue, running
from tests.exchanges.simulator.test_binance_face import ALGO, LIMIT, ORDER
from tests.exchanges.simulator.test_binance_streams import MINUTE_MS, hear_until, listen

PAYLOADS = Path(__file__).resolve().parents[2] / "payloads" / "binance"
# A name that REST and a stream share (book_ticker) is the REST answer.
RECORDED: dict[str, Any] = {
    entry["name"]: entry["payload"]
    for name in ("ws_market", "ws_user", "rest_market", "rest_account", "rest_orders")
    for entry in json.loads((PAYLOADS / f"{name}.json").read_text())["entries"]
}
# Fields that samples of trailing, expiring or bracketed orders have and others do not.
NOT_ALWAYS = {
    "activatePrice", "priceRate", "callbackRate", "cumBase", "pair", "tpTriggerPrice", "tpPrice",
    "slTriggerPrice", "slPrice", "AP", "cr", "rm", "marginAvailable", "icebergQuantity",
}  # fmt: skip
SIGNED = {
    "query_order": ("GET", "/fapi/v1/order", {"symbol": "BTCUSDT", "origClientOrderId": "rest"}),
    "open_orders": ("GET", "/fapi/v1/openOrders", {}),
    "all_orders": ("GET", "/fapi/v1/allOrders", {"symbol": "BTCUSDT"}),
    "query_algo_order": ("GET", "/fapi/v1/algoOrder", {"clientAlgoId": "stop"}),
    "open_algo_orders": ("GET", "/fapi/v1/openAlgoOrders", {}),
    "all_algo_orders": ("GET", "/fapi/v1/allAlgoOrders", {"symbol": "BTCUSDT"}),
    "account_v3_sdk": ("GET", "/fapi/v3/account", {}),
    "account_v2": ("GET", "/fapi/v2/account", {}),
    "balance_v3": ("GET", "/fapi/v3/balance", {}),
    "position_risk_v3_one_way": ("GET", "/fapi/v3/positionRisk", {}),
    "position_risk_v2_one_way": ("GET", "/fapi/v2/positionRisk", {}),
    "account_config": ("GET", "/fapi/v1/accountConfig", {}),
    "symbol_config": ("GET", "/fapi/v1/symbolConfig", {}),
    "position_mode": ("GET", "/fapi/v1/positionSide/dual", {}),
    "multi_assets_mode": ("GET", "/fapi/v1/multiAssetsMargin", {}),
    "leverage_bracket": ("GET", "/fapi/v1/leverageBracket", {}),
    "leverage_bracket_one": ("GET", "/fapi/v1/leverageBracket", {"symbol": "BTCUSDT"}),
    "order_rate_limit": ("GET", "/fapi/v1/rateLimit/order", {}),
    "commission_rate": ("GET", "/fapi/v1/commissionRate", {"symbol": "BTCUSDT"}),
    "income": ("GET", "/fapi/v1/income", {}),
    "user_trades_2026": ("GET", "/fapi/v1/userTrades", {"symbol": "BTCUSDT"}),
    "set_leverage": ("POST", "/fapi/v1/leverage", {"symbol": "ETHUSDT", "leverage": "9"}),
    "countdown_cancel_all": (
        "POST", "/fapi/v1/countdownCancelAll", {"symbol": "ETHUSDT", "countdownTime": "100000"},
    ),
    "server_time": ("GET", "/fapi/v1/time", {}),
    "klines_1m_limit3": ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "3"}),
    "premium_index_one": ("GET", "/fapi/v1/premiumIndex", {"symbol": "BTCUSDT"}),
    "premium_index_all": ("GET", "/fapi/v1/premiumIndex", {}),
    "agg_trades": ("GET", "/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "limit": "2"}),
    "ticker_price_v2": ("GET", "/fapi/v2/ticker/price", {"symbol": "BTCUSDT"}),
    "book_ticker": ("GET", "/fapi/v1/ticker/bookTicker", {"symbol": "BTCUSDT"}),
    "funding_rate": ("GET", "/fapi/v1/fundingRate", {"symbol": "BTCUSDT", "limit": "2"}),
    "ticker_24h": ("GET", "/fapi/v1/ticker/24hr", {"symbol": "BTCUSDT"}),
    "cancel_order_2026": ("DELETE", "/fapi/v1/order", {"symbol": "BTCUSDT", "origClientOrderId": "rest"}),
    "cancel_algo_order": ("DELETE", "/fapi/v1/algoOrder", {"clientAlgoId": "stop"}),
    "cancel_all": ("DELETE", "/fapi/v1/allOpenOrders", {"symbol": "BTCUSDT"}),
    "cancel_all_algo": ("DELETE", "/fapi/v1/algoOpenOrders", {"symbol": "BTCUSDT"}),
}  # fmt: skip


def differences(recorded: Any, ours: Any, where: str = "") -> list[str]:
    """Fields of the recorded payload that ours lacks or has as another kind of JSON value."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        found = [f"{where}.{name} is missing" for name in recorded.keys() - ours.keys() - NOT_ALWAYS]
        for name in (recorded.keys() & ours.keys()) - NOT_ALWAYS:
            found += differences(recorded[name], ours[name], f"{where}.{name}")
        return found
    if isinstance(recorded, list) and isinstance(ours, list):
        if isinstance(recorded[0] if recorded else None, dict):
            return differences(recorded[0], ours[0], f"{where}[0]") if ours else [f"{where} is empty"]
        return [] if [type(x) for x in recorded] == [type(x) for x in ours] else [f"{where}: other kinds"]
    kinds = (type(recorded), type(ours))
    return [] if kinds[0] is kinds[1] or set(kinds) == {int, float} else [f"{where} is {kinds[1].__name__}"]


def prepared(venue: RunningVenue) -> dict[str, Any]:
    """A position, an order that rests and one that waits; the answers to placing them."""
    placed = venue.signed("POST", "/fapi/v1/order", **ORDER, newOrderRespType="RESULT").json()
    venue.signed("POST", "/fapi/v1/order", **{**LIMIT, "newClientOrderId": "rest"})
    algo = {**ALGO, "triggerPrice": "59000", "closePosition": "true", "clientAlgoId": "stop"}
    return {
        "new_order_ack_2026": placed,
        "new_algo_order": venue.signed("POST", "/fapi/v1/algoOrder", **algo).json(),
    }


@pytest.mark.parametrize("name", [*SIGNED, "new_order_ack_2026", "new_algo_order"])
def test_an_answer_has_the_shape_of_the_recorded_one(binance: RunningVenue, name: str) -> None:
    answers = prepared(binance)
    if name in SIGNED:
        method, path, params = SIGNED[name]
        answers[name] = binance.signed(method, path, **params).json()
    recorded, ours = RECORDED[name], answers[name]
    if name == "klines_1m_limit3":
        recorded, ours = recorded[0], ours[0]
    assert differences(recorded, ours) == []


def test_private_events_have_the_shape_of_the_recorded_ones(binance: RunningVenue) -> None:
    with listen(binance) as socket:
        prepared(binance)
        new = hear_until(socket, e="ORDER_TRADE_UPDATE")
        told = {
            "order_update_new": new,
            "account_update_order": hear_until(socket, e="ACCOUNT_UPDATE"),
            "order_update_trade": hear_until(socket, e="ORDER_TRADE_UPDATE"),
            "trade_lite": hear_until(socket, e="TRADE_LITE"),
            "algo_update_new": hear_until(socket, e="ALGO_UPDATE"),
        }
        binance.signed("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage="9")
        told["account_config_update_leverage"] = hear_until(socket, e="ACCOUNT_CONFIG_UPDATE")
    assert [differences(RECORDED[name], event) for name, event in told.items()] == [[]] * len(told)


def test_public_events_have_the_shape_of_the_recorded_ones() -> None:
    streams = {
        "kline_open_live": "/market/ws/btcusdt@kline_1m",
        "kline_combined": "/market/stream?streams=btcusdt@kline_1m",
        "agg_trade_2026": "/market/ws/btcusdt@aggTrade",
        "mark_price": "/market/ws/btcusdt@markPrice@1s",
        "spot_agg_trade": "/spot/ws/btcusdt@aggTrade",
    }
    with running("binance", "--speed", "0") as venue:
        for name, path in streams.items():
            with connect(f"{venue.ws}{path}") as socket:
                venue.control("PUT", "clock", {"at": venue.now() + MINUTE_MS})
                event = json.loads(socket.recv(timeout=5))
            recorded = RECORDED[name]["data"] if name == "spot_agg_trade" else RECORDED[name]
            if name == "spot_agg_trade":
                recorded = {key: value for key, value in recorded.items() if key != "st"}
            assert differences(recorded, event) == [], name


def test_the_comparison_bites() -> None:
    assert differences({"a": 1, "b": {"c": "x"}}, {"a": "1", "b": {}}) != []
    assert len(differences({"a": 1, "b": {"c": "x"}}, {"a": "1", "b": {}})) == 2
