"""ccxt.bybit, unmodified and only pointed there by URL, takes the stand-in for Bybit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import ccxt
import pytest

from tests.exchanges.simulator.bybit_client import eventually
from tests.exchanges.simulator.running import RunningVenue

SYMBOL = "BTC/USDT:USDT"
STOP = {"tpslMode": "Full", "positionIdx": 0}  # what the venue asks for besides


@pytest.fixture
def client(bybit: RunningVenue) -> Any:
    found = ccxt.bybit({"apiKey": bybit.key, "secret": bybit.secret, "enableRateLimit": False})
    found.urls["api"] = dict.fromkeys(found.urls["api"], bybit.base)
    return found


def shown(client: Any, order_id: str) -> dict[str, Any]:
    """The order once the venue shows what it acknowledged."""

    def look() -> dict[str, Any] | None:
        try:
            return dict(client.fetch_order(order_id, SYMBOL, {"acknowledged": True}))
        except ccxt.OrderNotFound:
            return None

    found = eventually(look)
    assert found is not None
    return found


def bought(client: Any, amount: float = 0.01) -> dict[str, Any]:
    return shown(client, client.create_order(SYMBOL, "market", "buy", amount)["id"])


def test_it_loads_the_markets_with_their_grids(client: Any) -> None:
    markets = client.load_markets()
    assert {"BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT", "BTC/USDT"} <= set(markets)
    market = markets[SYMBOL]
    assert (market["swap"], market["linear"], market["contractSize"]) == (True, True, 1)
    assert market["precision"] == {**market["precision"], "price": 0.1, "amount": 0.001}
    assert (market["limits"]["leverage"]["max"], market["limits"]["amount"]["max"]) == (125, 1000)


def test_it_reads_balance_tickers_candles_funding_and_tiers(client: Any) -> None:
    assert client.fetch_balance()["USDT"] == {"free": 10000, "used": 0, "total": 10000, "debt": 0}
    ticker = client.fetch_ticker(SYMBOL)
    assert (ticker["last"], ticker["markPrice"]) == (60000, 60000)
    candles = client.fetch_ohlcv(SYMBOL, "5m", limit=50)
    assert len(candles) == 50
    assert all(b[0] - a[0] == 300_000 for a, b in pairwise(candles))
    assert client.fetch_funding_rate(SYMBOL)["fundingRate"] == 0.0001
    assert len(client.fetch_funding_rate_history(SYMBOL, limit=5)) == 5
    assert client.fetch_market_leverage_tiers(SYMBOL)[0]["maxLeverage"] == 125
    assert len(client.fetch_trades(SYMBOL, limit=10)) == 10
    assert abs(client.fetch_time() - client.milliseconds()) < 60_000


def test_a_market_order_fills_and_makes_the_position_and_the_trade_it_tells(client: Any) -> None:
    order = bought(client)
    assert (order["status"], order["filled"], order["remaining"]) == ("closed", 0.01, 0)
    assert (order["average"], order["cost"], order["side"]) == (60000, 600, "buy")
    assert (order["timeInForce"], order["fee"]) == ("IOC", {"cost": 0.3, "currency": "USDT"})
    [position] = client.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", 0.01, 60000)
    [trade] = client.fetch_my_trades(SYMBOL)
    assert (trade["order"], trade["price"], trade["amount"]) == (order["id"], 60000, 0.01)
    assert trade["fee"] == {"cost": 0.3, "currency": "USDT", "rate": 0.0005}
    assert client.fetch_balance()["USDT"]["total"] == pytest.approx(9999.7)


def test_a_limit_order_rests_is_listed_and_is_cancelled(client: Any) -> None:
    acknowledged = client.create_order(SYMBOL, "limit", "buy", 0.01, 59000, {"clientOrderId": "mine-1"})
    placed = shown(client, acknowledged["id"])
    assert (placed["status"], placed["price"], placed["clientOrderId"]) == ("open", 59000, "mine-1")
    assert [order["id"] for order in client.fetch_open_orders(SYMBOL)] == [placed["id"]]
    assert client.cancel_order(placed["id"], SYMBOL)["id"] == placed["id"]
    canceled = client.fetch_closed_order(placed["id"], SYMBOL)
    assert (canceled["status"], canceled["filled"]) == ("canceled", 0)
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order(placed["id"], SYMBOL)


def test_a_limit_order_fills_when_the_price_comes(client: Any, bybit: RunningVenue) -> None:
    placed = client.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
    bybit.set_price("BTCUSDT", "58990")
    found = shown(client, placed["id"])
    assert (found["status"], found["average"]) == ("closed", 59000)
    [trade] = eventually(lambda: client.fetch_my_trades(SYMBOL))
    assert trade["takerOrMaker"] == "maker"


def test_a_post_only_order_that_would_take_is_accepted_and_cancelled(client: Any) -> None:
    placed = client.create_order(SYMBOL, "limit", "buy", 0.01, 61000, {"postOnly": True})
    found = shown(client, placed["id"])
    assert (found["status"], found["filled"]) == ("canceled", 0)
    assert found["info"]["rejectReason"] == "EC_PostOnlyWillTakeLiquidity"


def test_reduce_only_closes_and_refuses_to_open(client: Any) -> None:
    with pytest.raises(ccxt.ExchangeError, match="110017"):
        client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
    bought(client)
    placed = client.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
    closed = shown(client, placed["id"])
    assert (closed["status"], closed["reduceOnly"]) == ("closed", True)
    [flat] = client.fetch_positions([SYMBOL])
    assert (flat["contracts"], flat["side"]) == (0, None)
    assert client.fetch_positions() == []
    [past] = client.fetch_positions_history([SYMBOL])
    assert past["realizedPnl"] == pytest.approx(-0.6)


@pytest.mark.parametrize(
    ("params", "direction", "price_field", "fires_at"),
    [
        ({"stopLossPrice": 59000}, "2", "stopLossPrice", "58999"),
        ({"takeProfitPrice": 61000}, "1", "takeProfitPrice", "61001"),
        ({"triggerPrice": 59000, "triggerDirection": "descending", "reduceOnly": True}, "2", "triggerPrice", "58999"),
    ],
)  # fmt: skip
def test_a_conditional_order_stands_fires_and_closes_under_the_same_id(
    client: Any, bybit: RunningVenue, params: dict[str, Any], direction: str, price_field: str, fires_at: str
) -> None:
    bought(client)
    placed = client.create_order(SYMBOL, "market", "sell", 0.01, None, params)
    standing = shown(client, placed["id"])
    assert (standing["status"], standing["info"]["orderStatus"]) == ("open", "Untriggered")
    assert (standing["info"]["triggerDirection"], standing["reduceOnly"]) == (direction, True)
    assert standing[price_field] in (59000, 61000)
    [listed] = client.fetch_open_orders(SYMBOL, params={"trigger": True})
    assert (listed["id"], listed["amount"]) == (placed["id"], 0.01)
    bybit.set_price("BTCUSDT", fires_at)
    found = eventually(lambda: shown(client, placed["id"]), lambda order: order["status"] == "closed")
    assert (found["status"], found["filled"], found["average"]) == ("closed", 0.01, float(fires_at))
    assert client.fetch_positions() == []


@pytest.mark.parametrize("params", [{"stopLossPrice": 59000}, {"takeProfitPrice": 61000}])
def test_a_conditional_order_is_cancelled(client: Any, params: dict[str, float]) -> None:
    bought(client)
    placed = client.create_order(SYMBOL, "market", "sell", 0.01, None, params)
    client.cancel_order(placed["id"], SYMBOL)
    assert client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []
    assert shown(client, placed["id"])["status"] == "canceled"


def test_a_trailing_stop_stands_trails_from_its_activation_and_closes(
    client: Any, bybit: RunningVenue
) -> None:
    bought(client)
    trailing = {"trailingAmount": "600", "trailingTriggerPrice": 60500, **STOP}
    client.create_order(SYMBOL, "market", "sell", 0.01, None, trailing)
    [listed] = eventually(lambda: client.fetch_open_orders(SYMBOL, params={"trigger": True}))
    assert (listed["info"]["stopOrderType"], listed["triggerPrice"]) == ("TrailingStop", 60500)
    assert client.fetch_positions([SYMBOL])[0]["info"]["trailingStop"] == "600"
    bybit.set_price("BTCUSDT", "60600")
    assert shown(client, listed["id"])["triggerPrice"] == 60000
    bybit.set_price("BTCUSDT", "59990")
    found = eventually(lambda: shown(client, listed["id"]), lambda order: order["status"] == "closed")
    assert (found["filled"], found["average"]) == (0.01, 59990)
    assert client.fetch_positions() == []


def test_a_trailing_stop_is_cancelled_as_an_order_or_by_a_distance_of_nothing(client: Any) -> None:
    bought(client)
    client.create_order(SYMBOL, "market", "sell", 0.01, None, {"trailingAmount": "600", **STOP})
    [listed] = eventually(lambda: client.fetch_open_orders(SYMBOL, params={"trigger": True}))
    client.cancel_order(listed["id"], SYMBOL)
    assert shown(client, listed["id"])["status"] == "canceled"
    client.create_order(SYMBOL, "market", "sell", 0.01, None, {"trailingAmount": "600", **STOP})
    client.create_order(SYMBOL, "market", "sell", 0.01, None, {"trailingAmount": "0", **STOP})
    assert client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []


def test_stop_and_target_of_a_position_are_set_at_once_and_one_ends_the_other(
    client: Any, bybit: RunningVenue
) -> None:
    bought(client)
    both = {"stopLossPrice": 59000, "takeProfitPrice": 61000, "positionIdx": 0}
    client.create_order(SYMBOL, "market", "sell", 0, None, both)
    [position] = client.fetch_positions([SYMBOL])
    assert (position["stopLossPrice"], position["takeProfitPrice"]) == (59000, 61000)
    bybit.set_price("BTCUSDT", "61000")
    assert client.fetch_positions() == []
    assert client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []


def test_an_entry_brings_its_stop_and_target(client: Any) -> None:
    attached = {"stopLoss": {"triggerPrice": 59000}, "takeProfit": {"triggerPrice": 61000}}
    placed = client.create_order(SYMBOL, "market", "buy", 0.01, None, attached)
    order = shown(client, placed["id"])
    assert (order["stopLossPrice"], order["takeProfitPrice"]) == (59000, 61000)
    [position] = client.fetch_positions([SYMBOL])
    assert (position["stopLossPrice"], position["takeProfitPrice"]) == (59000, 61000)


def test_all_orders_of_a_symbol_are_cancelled_at_once(client: Any) -> None:
    bought(client)
    for price in (59000, 58900):
        client.create_order(SYMBOL, "limit", "buy", 0.01, price)
    stop = client.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": 58000})
    shown(client, stop["id"])
    client.cancel_all_orders(SYMBOL, {"orderFilter": "Order"})
    assert [order["id"] for order in client.fetch_open_orders(SYMBOL)] == [stop["id"]]
    client.cancel_all_orders(SYMBOL)
    assert client.fetch_open_orders(SYMBOL) == []


def test_settings_are_set_read_back_and_used(client: Any) -> None:
    client.set_leverage(7, SYMBOL)
    client.set_margin_mode("isolated")
    assert client.fetch_leverage(SYMBOL)["longLeverage"] == 7
    placed = client.create_order(SYMBOL, "market", "sell", 0.01)
    shown(client, placed["id"])
    [position] = client.fetch_positions([SYMBOL])
    assert (position["side"], position["leverage"]) == ("short", 7)
    assert 60000 < position["liquidationPrice"] < 70000
    with pytest.raises(ccxt.ExchangeError, match="110043"):
        client.set_leverage(7, SYMBOL)


def test_hedge_mode_holds_both_sides(client: Any) -> None:
    client.set_position_mode(True, SYMBOL)
    client.create_order(SYMBOL, "market", "buy", 0.02, None, {"hedged": True})
    client.create_order(SYMBOL, "market", "sell", 0.01, None, {"hedged": True})
    held = {p["side"]: p["contracts"] for p in client.fetch_positions([SYMBOL])}
    assert held == {"long": 0.02, "short": 0.01}
    client.create_order(SYMBOL, "market", "sell", 0.02, None, {"hedged": True, "reduceOnly": True})
    assert {p["side"]: p["contracts"] for p in client.fetch_positions()} == {"short": 0.01}
    with pytest.raises(ccxt.ExchangeError, match="10001"):
        client.create_order(SYMBOL, "market", "buy", 0.01)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("market", "buy", 100), "110007"),
        (("limit", "buy", 0.001, 30000), "110094"),
        (("limit", "buy", 0.01, 100000), "30208"),
    ],
)
def test_refusals_reach_the_caller_with_the_venues_code(
    client: Any, arguments: tuple[Any, ...], code: str
) -> None:
    with pytest.raises(ccxt.ExchangeError, match=code):
        client.create_order(SYMBOL, *arguments)


def test_a_client_id_is_never_taken_twice(client: Any) -> None:
    client.create_order(SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": "twice"})
    with pytest.raises(ccxt.ExchangeError, match="110072"):
        client.create_order(SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": "twice"})


def test_a_wrong_secret_is_an_authentication_error(client: Any) -> None:
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_balance()
