"""The Bybit face's rows have the fields of the recorded ones, and of the same kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.exchanges.fixtures import entries
from tests.exchanges.simulator.bybit_client import BybitClient, eventually, sign
from tests.exchanges.simulator.running import RunningVenue

Row = dict[str, Any]
SYMBOL = "BTCUSDT"


@pytest.fixture
def client(bybit: RunningVenue) -> BybitClient:
    """Of an account that has traded and has orders of every kind."""
    client = BybitClient(bybit)
    client.placed(stopLoss="59000")
    client.placed(side="Sell", qty="0.005", reduceOnly=True)
    client.placed(orderType="Limit", price="59000")
    return client


def first(path: str, **params: str) -> Callable[[BybitClient], Row]:
    return lambda client: eventually(lambda: client.rows(path, **params))[0]


def result(path: str) -> Callable[[BybitClient], Row]:
    return lambda client: dict(client.get(path)["result"])


def row_of(payload: Any) -> Row:
    return dict(payload["result"]["list"][0])


@pytest.mark.parametrize(
    ("file", "name", "told", "left_out"),
    [
        ("rest_orders", "open_orders", first("/v5/order/realtime", symbol=SYMBOL), set()),
        ("rest_orders", "order_history", first("/v5/order/history", symbol=SYMBOL), set()),
        ("rest_orders", "executions", first("/v5/execution/list", symbol=SYMBOL), set()),
        ("rest_account", "position_list", first("/v5/position/list", symbol=SYMBOL), {"mmrSysUpdateTime"}),
        ("rest_account", "closed_pnl", first("/v5/position/closed-pnl"), set()),
        ("rest_account", "transaction_log", first("/v5/account/transaction-log"), {"size"}),
        ("rest_account", "wallet_balance", first("/v5/account/wallet-balance", accountType="UNIFIED"), set()),
        ("rest_account", "fee_rate", first("/v5/account/fee-rate", symbol=SYMBOL), set()),
        ("rest_market", "recent_trades", first("/v5/market/recent-trade", symbol=SYMBOL), set()),
        (
            "instruments",
            "instruments_linear_0_0",
            first("/v5/market/instruments-info", symbol=SYMBOL),
            {"symbolId"},
        ),
    ],
)
def test_a_row_has_the_recorded_fields(
    client: BybitClient, file: str, name: str, told: Callable[[BybitClient], Row], left_out: set[str]
) -> None:
    recorded, row = row_of(entries("bybit", file)[name]["payload"]), told(client)
    assert recorded.keys() - row.keys() == left_out
    assert kinds(recorded, row) == kinds(row, recorded)


def test_account_information_has_the_recorded_fields(client: BybitClient) -> None:
    recorded = entries("bybit", "rest_account")["account_info"]["payload"]["result"]
    row = result("/v5/account/info")(client)
    assert recorded.keys() - row.keys() == set()
    assert kinds(recorded, row) == kinds(row, recorded)


@pytest.mark.parametrize("topic", ["order", "execution", "position", "wallet"])
def test_a_private_message_has_the_recorded_fields(client: BybitClient, topic: str) -> None:
    recorded = entries("bybit", "ws_private")[topic]["payload"]
    with connect(f"{client.venue.ws}/v5/private") as socket:
        expires = client.venue.now() + 10_000
        login = [client.venue.key, expires, sign(client.venue.secret, f"GET/realtime{expires}")]
        for command in ({"op": "auth", "args": login}, {"op": "subscribe", "args": [topic]}):
            socket.send(json.dumps(command))
            assert json.loads(socket.recv(timeout=5))["success"]
        client.order()
        told = json.loads(socket.recv(timeout=5))
    assert recorded.keys() == told.keys()
    before, row = recorded["data"][0], told["data"][0]
    assert before.keys() - row.keys() == set()
    assert kinds(before, row) - kinds(row, before) <= {("extraFees", "list")}  # "" where there are none


def kinds(row: Row, other: Row) -> set[tuple[str, str]]:
    """The kinds of the fields both have."""
    return {(name, type(value).__name__) for name, value in row.items() if name in other}
