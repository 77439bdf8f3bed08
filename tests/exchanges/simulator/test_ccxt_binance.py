"""ccxt.binanceusdm, unmodified and only pointed there by URL, takes the stand-in for Binance."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import ccxt
import pytest

from tests.exchanges.simulator.running import RunningVenue

SYMBOL = "BTC/USDT:USDT"
HOSTS = ("/fapi/", "/sapi/")


@pytest.fixture
def client(binance: RunningVenue) -> Any:
    found = ccxt.binanceusdm({"apiKey": binance.key, "secret": binance.secret, "enableRateLimit": False})
    for name, url in found.urls["api"].items():
        for host in HOSTS:
            if isinstance(url, str) and host in url:
                found.urls["api"][name] = binance.base + url[url.index(host) :]
    return found


def test_it_loads_the_markets_with_their_grids(client: Any) -> None:
    markets = client.load_markets()
    assert {"BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"} <= set(markets)
    market = markets[SYMBOL]
    assert (market["swap"], market["linear"], market["contractSize"]) == (True, True, 1)
    assert market["precision"] == {**market["precision"], "price": 0.1, "amount": 0.001}
    assert (market["limits"]["cost"]["min"], market["limits"]["amount"]["max"]) == (50, 1000)


def test_it_reads_balance_tickers_candles_funding_and_brackets(client: Any) -> None:
    balance = client.fetch_balance()
    assert balance["USDT"] == {"free": 10000, "used": 0, "total": 10000}
    assert client.fetch_ticker(SYMBOL)["last"] == 60000
    candles = client.fetch_ohlcv(SYMBOL, "5m", limit=50)
    assert len(candles) == 50
    assert all(b[0] - a[0] == 300_000 for a, b in pairwise(candles))
    assert client.fetch_funding_rate(SYMBOL)["fundingRate"] == 0.0001
    assert client.fetch_leverage_tiers([SYMBOL])[SYMBOL][0]["maxLeverage"] == 125
    assert abs(client.fetch_time() - client.milliseconds()) < 60_000


def test_a_market_order_fills_and_makes_the_position_and_the_trade_it_tells(client: Any) -> None:
    placed = client.create_order(SYMBOL, "market", "buy", 0.01)
    assert (placed["status"], placed["filled"], placed["remaining"]) == ("closed", 0.01, 0)
    found = client.fetch_order(placed["id"], SYMBOL)
    assert (found["average"], found["cost"], found["side"]) == (60000, 600, "buy")
    [position] = client.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.01, 60000)
    [trade] = client.fetch_my_trades(SYMBOL)
    assert (trade["order"], trade["price"], trade["amount"]) == (placed["id"], 60000, 0.01)
    assert trade["fee"] == {"cost": 0.3, "currency": "USDT"}
    assert client.fetch_balance()["USDT"]["total"] == pytest.approx(9999.7)


def test_a_limit_order_rests_is_listed_and_is_cancelled(client: Any) -> None:
    placed = client.create_order(SYMBOL, "limit", "buy", 0.01, 59000, {"clientOrderId": "mine-1"})
    assert (placed["status"], placed["price"], placed["clientOrderId"]) == ("open", 59000, "mine-1")
    assert [order["id"] for order in client.fetch_open_orders(SYMBOL)] == [placed["id"]]
    canceled = client.cancel_order(placed["id"], SYMBOL)
    assert (canceled["status"], canceled["filled"]) == ("canceled", 0)
    assert client.fetch_order(placed["id"], SYMBOL)["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order(placed["id"], SYMBOL)


def test_a_limit_order_fills_when_the_price_comes(client: Any, binance: RunningVenue) -> None:
    placed = client.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
    binance.set_price("BTCUSDT", "58990")
    found = client.fetch_order(placed["id"], SYMBOL)
    assert (found["status"], found["average"]) == ("closed", 59000)
    assert client.fetch_my_trades(SYMBOL)[0]["takerOrMaker"] == "maker"


def test_reduce_only_closes_and_refuses_to_open(client: Any) -> None:
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
    client.create_order(SYMBOL, "market", "buy", 0.01)
    closed = client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
    assert (closed["status"], closed["reduceOnly"]) == ("closed", True)
    assert client.fetch_positions([SYMBOL]) == []


@pytest.mark.parametrize(
    ("params", "kind", "fires_at"),
    [
        ({"stopLossPrice": 59000}, "STOP_MARKET", "58999"),
        ({"takeProfitPrice": 61000}, "TAKE_PROFIT_MARKET", "61001"),
        # Its own trailingTriggerPrice goes out as activationPrice, which the venue renamed to activatePrice in 2025-12.
        ({"trailingPercent": 1, "activatePrice": "60500"}, "TRAILING_STOP_MARKET", "59800"),
    ],
)
def test_a_conditional_order_stands_fires_and_closes(
    client: Any, binance: RunningVenue, params: dict[str, float], kind: str, fires_at: str
) -> None:
    client.create_order(SYMBOL, "market", "buy", 0.01)
    placed = client.create_order(SYMBOL, "market", "sell", 0.01, None, {**params, "reduceOnly": True})
    assert (placed["status"], placed["info"]["orderType"]) == ("open", kind)
    [listed] = client.fetch_open_orders(SYMBOL, params={"trigger": True})
    assert (listed["id"], listed["amount"], listed["reduceOnly"]) == (placed["id"], 0.01, True)
    assert client.fetch_open_orders(SYMBOL) == []  # conditional orders have a list of their own
    for price in ("60600", fires_at):
        binance.set_price("BTCUSDT", price)
    found = client.fetch_order(placed["id"], SYMBOL, {"trigger": True})
    assert found["info"]["algoStatus"] == "FINISHED"
    real = client.fetch_order(found["info"]["actualOrderId"], SYMBOL)
    assert (real["status"], real["filled"], real["average"]) == ("closed", 0.01, float(fires_at))
    assert client.fetch_positions([SYMBOL]) == []


@pytest.mark.parametrize(
    "params", [{"stopLossPrice": 59000}, {"takeProfitPrice": 61000}, {"trailingPercent": 1}]
)
def test_a_conditional_order_is_cancelled(client: Any, params: dict[str, float]) -> None:
    placed = client.create_order(SYMBOL, "market", "sell", 0.01, None, params)
    client.cancel_order(placed["id"], SYMBOL, {"trigger": True})
    assert client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []
    assert client.fetch_order(placed["id"], SYMBOL, {"trigger": True})["status"] == "canceled"


def test_all_orders_of_a_symbol_are_cancelled_at_once(client: Any) -> None:
    for price in (59000, 58900):
        client.create_order(SYMBOL, "limit", "buy", 0.01, price)
    client.create_order(SYMBOL, "market", "buy", 0.01, None, {"stopLossPrice": 61000})
    client.cancel_all_orders(SYMBOL)
    assert client.fetch_open_orders(SYMBOL) == []
    assert len(client.fetch_open_orders(SYMBOL, params={"trigger": True})) == 1
    client.cancel_all_orders(SYMBOL, {"trigger": True})
    assert client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []


def test_settings_are_set_read_back_and_used(client: Any) -> None:
    client.set_leverage(7, SYMBOL)
    client.set_margin_mode("isolated", SYMBOL)
    assert client.fetch_leverage(SYMBOL)["longLeverage"] == 7
    assert client.fetch_margin_mode(SYMBOL)["marginMode"] == "isolated"
    client.create_order(SYMBOL, "market", "sell", 0.01)
    [position] = client.fetch_positions([SYMBOL])
    assert (position["side"], position["marginMode"]) == ("short", "isolated")
    assert 60000 < position["liquidationPrice"] < 70000


def test_hedge_mode_holds_both_sides(client: Any) -> None:
    client.set_position_mode(True)
    client.create_order(SYMBOL, "market", "buy", 0.02, None, {"positionSide": "LONG"})
    client.create_order(SYMBOL, "market", "sell", 0.01, None, {"positionSide": "SHORT"})
    held = {p["side"]: p["contracts"] for p in client.fetch_positions([SYMBOL])}
    assert held == {"long": 0.02, "short": 0.01}
    with pytest.raises(ccxt.ExchangeError, match="-4061"):
        client.create_order(SYMBOL, "market", "buy", 0.01)


def test_the_ledger_of_income_adds_up(client: Any) -> None:
    client.create_order(SYMBOL, "market", "buy", 0.01)
    client.create_order(SYMBOL, "market", "sell", 0.01)
    rows = client.fetch_ledger("USDT")
    assert sorted(row["type"] for row in rows) == ["commission", "commission", "trade"]
    signed = sum(row["amount"] * (-1 if row["direction"] == "out" else 1) for row in rows)
    assert client.fetch_balance()["USDT"]["total"] == pytest.approx(10000 + signed)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("market", "buy", 100), "-2019"),
        (("limit", "buy", 0.001, 30000), "-4164"),
        (("limit", "buy", 0.01, 100000), "-4016"),
    ],
)
def test_refusals_reach_the_caller_with_the_venues_code(
    client: Any, arguments: tuple[Any, ...], code: str
) -> None:
    with pytest.raises(ccxt.ExchangeError, match=code):
        client.create_order(SYMBOL, *arguments)


def test_a_wrong_secret_is_an_authentication_error(client: Any) -> None:
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_balance()
