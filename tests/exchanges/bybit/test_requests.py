"""Every request example of the fixtures, and what else a request of this venue must keep to."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.position import Side
from exchanges.bybit.requests import Direction, plain, position_idx
from exchanges.wire import Purpose
from tests.exchanges.bybit.intents import request_of
from tests.exchanges.fixtures import mismatches, parameters, request_examples

EXAMPLES = request_examples("bybit")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_leaves_as_expected(name: str) -> None:
    example = EXAMPLES[name]
    assert mismatches("bybit", example["expect"], request_of(example["intent"])) == []


BTC = {"symbol": "BTCUSDT"}
ORDER = {"op": "place_order", **BTC, "side": "buy", "type": "limit", "qty": "0.010", "price": "25000.0"}
TRIGGER = {"op": "place_trigger", **BTC, "order": "market", "qty": "1", "trigger_price": "2.50"}


@pytest.mark.parametrize(
    ("intent", "path", "sent"),
    [
        (ORDER | {"post_only": True}, "/v5/order/create", {"timeInForce": "PostOnly"}),
        (ORDER | {"tif": "fok"}, "/v5/order/create", {"timeInForce": "FOK", "qty": "0.010"}),
        (
            ORDER | {"position_mode": "hedge", "position_side": "short"},
            "/v5/order/create",
            {"positionIdx": 2},
        ),
        (
            TRIGGER | {"kind": "take_profit", "side": "buy", "trigger_by": "mark"},
            "/v5/order/create",
            {"triggerDirection": 2, "triggerBy": "MarkPrice", "reduceOnly": True},
        ),
        (
            TRIGGER | {"kind": "stop_entry", "side": "buy", "direction": "rise", "limit_price": "2.6"},
            "/v5/order/create",
            {"triggerDirection": 1, "price": "2.6"},
        ),
        (
            {"op": "cancel_trigger", **BTC, "trigger_id": "abc"},
            "/v5/order/cancel",
            {"orderId": "abc"},
        ),
        (
            {"op": "cancel_all", **BTC, "scope": "plain"},
            "/v5/order/cancel-all",
            {"orderFilter": "Order", "symbol": "BTCUSDT"},
        ),
        (
            {"op": "set_margin_mode", "mode": "isolated"},
            "/v5/account/set-margin-mode",
            {"setMarginMode": "ISOLATED_MARGIN"},
        ),
        ({"op": "set_position_mode", **BTC, "hedge": True}, "/v5/position/switch-mode", {"mode": 3}),
        (
            {"op": "get_closed_order", **BTC, "client_id": "c1"},
            "/v5/order/history",
            {"orderLinkId": "c1"},
        ),
        (
            {"op": "get_mark_klines", **BTC, "interval": "1d"},
            "/v5/market/mark-price-kline",
            {"interval": "D"},
        ),
        ({"op": "get_balance"}, "/v5/account/wallet-balance", {"accountType": "UNIFIED"}),
        ({"op": "get_positions"}, "/v5/position/list", {"settleCoin": "USDT"}),
        ({"op": "list_open_triggers", **BTC}, "/v5/order/realtime", {"orderFilter": "StopOrder"}),
        ({"op": "list_trigger_history", **BTC}, "/v5/order/history", {"orderFilter": "StopOrder"}),
        ({"op": "get_income", "start": 5}, "/v5/account/transaction-log", {"startTime": "5"}),
        ({"op": "get_fee_rate", **BTC}, "/v5/account/fee-rate", BTC),
        ({"op": "get_funding_history", **BTC, "end": 9}, "/v5/market/funding/history", {"endTime": "9"}),
        ({"op": "get_agg_trades", **BTC}, "/v5/market/recent-trade", BTC),
        ({"op": "get_server_time"}, "/v5/market/time", {}),
        (
            {"op": "dead_man_switch", "window_s": 40},
            "/v5/order/disconnected-cancel-all",
            {"product": "DERIVATIVES", "timeWindow": 40},
        ),
    ],
)
def test_the_rest_of_the_vocabulary_is_spoken(
    intent: dict[str, Any], path: str, sent: dict[str, Any]
) -> None:
    request = request_of(intent)
    assert request.path == path
    assert sent.items() <= parameters(request).items()


@pytest.mark.parametrize("intent", [example["intent"] for example in EXAMPLES.values()])
def test_reads_carry_a_query_and_writes_a_json_body(intent: dict[str, Any]) -> None:
    """A read with a body is answered with 403, which counts as a ban."""
    request = request_of(intent)
    if request.method == "GET":
        assert (request.body, request.headers) == (b"", ())
    else:
        assert request.query == ""
        assert request.headers == (("Content-Type", "application/json"),)
        assert isinstance(json.loads(request.body), dict)


@pytest.mark.parametrize(
    ("change", "purpose", "orders"),
    [
        ({}, Purpose.ENTRY, 1),
        ({"reduce_only": True}, Purpose.CLOSING, 1),
        ({"op": "cancel_order", "client_id": "c"}, Purpose.CLOSING, 1),
        ({"op": "get_order", "client_id": "c"}, Purpose.LOOK_UP, 0),
        ({"op": "get_instruments"}, Purpose.READ, 0),
    ],
)
def test_a_request_says_what_it_costs_and_is_for(
    change: dict[str, Any], purpose: Purpose, orders: int
) -> None:
    cost = request_of(ORDER | change).cost
    assert (cost.purpose, cost.orders, cost.weight) == (purpose, orders, 1)


def test_an_exit_carries_no_stops() -> None:
    sent = parameters(request_of(ORDER | {"reduce_only": True, "attached_sl": "20000"}))
    assert not {"stopLoss", "takeProfit", "tpslMode"} & sent.keys()


def test_indices_and_directions_are_the_documented_ones() -> None:
    assert [position_idx(side) for side in (None, Side.LONG, Side.SHORT)] == [0, 1, 2]
    assert (Direction.RISE, Direction.FALL) == (1, 2)


@given(st.decimals(min_value=Decimal("1e-18"), max_value=Decimal("1e18"), allow_nan=False))
def test_numbers_are_sent_plain_and_whole(number: Decimal) -> None:
    text = plain(number)
    assert "e" not in text.lower()
    assert Decimal(text) == number
