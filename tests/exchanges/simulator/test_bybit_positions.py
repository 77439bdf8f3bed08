"""Positions of the Bybit face over real HTTP: rows, stops, settings, what closing them made, and the account."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.exchanges.simulator.bybit_client import BybitClient, eventually
from tests.exchanges.simulator.running import RunningVenue

WALLET = "/v5/account/wallet-balance"
STOP = "/v5/position/trading-stop"
LIMIT = {"orderType": "Limit", "price": "59000"}
FULL = {"tpslMode": "Full", "positionIdx": 0}
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def client(bybit: RunningVenue) -> BybitClient:
    return BybitClient(bybit)


@pytest.fixture
def timed(bybit_timed: RunningVenue) -> BybitClient:
    return BybitClient(bybit_timed)


def test_a_flat_symbol_is_a_row_of_nothing_and_a_coin_lists_what_is_open(client: BybitClient) -> None:
    flat = client.position()
    assert (flat["side"], flat["size"], flat["positionIdx"]) == ("", "0", 0)
    assert client.rows("/v5/position/list", settleCoin="USDT") == []
    assert client.get("/v5/position/list")["retCode"] == 10001
    client.placed(side="Sell")
    [held] = client.rows("/v5/position/list", settleCoin="USDT")
    assert (held["side"], held["size"], held["avgPrice"]) == ("Sell", "0.01", "60000")


def test_stops_are_kept_by_omission_cleared_by_nought_and_changed_only_if_different(
    client: BybitClient,
) -> None:
    assert client.post(STOP, **FULL, stopLoss="59000")["retMsg"].startswith("can not set tp/sl/ts for zero")
    client.placed()
    assert client.post(STOP, **FULL, stopLoss="59000")["retCode"] == 0
    assert client.post(STOP, **FULL, takeProfit="61000", trailingStop="500")["retCode"] == 0
    held = client.position()
    assert (held["stopLoss"], held["takeProfit"], held["trailingStop"]) == ("59000", "61000", "500")
    assert client.post(STOP, **FULL, stopLoss="59000")["retCode"] == 34040
    assert client.post(STOP, **FULL, stopLoss="0")["retCode"] == 0
    assert client.post(STOP, **FULL, stopLoss="0")["retCode"] == 34040
    held = client.position()
    assert (held["stopLoss"], held["takeProfit"], held["trailingStop"]) == ("", "61000", "500")
    stops = {"symbol": "BTCUSDT", "orderFilter": "StopOrder"}
    rows = eventually(lambda: client.rows("/v5/order/realtime", **stops), lambda rows: len(rows) == 2)
    assert sorted(row["stopOrderType"] for row in rows) == ["TakeProfit", "TrailingStop"]
    assert {row["orderLinkId"] for row in rows} == {""}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"stopLoss": "60100"}, "StopLoss:60100 set for Buy position should be lower than base_price:60000"),
        ({"takeProfit": "59900"}, "TakeProfit:59900 set for Buy position should be higher than base_price"),
        ({"trailingStop": "100", "activePrice": "59000"}, "base_price:60000"),
        ({"stopLoss": "59000.05"}, "Price invalid"),
        ({"stopLoss": "59000", "takeProfit": "59900"}, "TakeProfit"),
    ],
)
def test_a_stop_that_cannot_be_changes_nothing(
    client: BybitClient, params: dict[str, str], said: str
) -> None:
    client.placed()
    answer = client.post(STOP, **FULL, **params)
    assert answer["retCode"] == 10001
    assert said in answer["retMsg"]
    held = client.position()
    assert (held["stopLoss"], held["takeProfit"], held["trailingStop"]) == ("", "", "0")


@pytest.mark.parametrize("missing", ["tpslMode", "positionIdx"])
def test_stops_need_their_mode_and_their_position(client: BybitClient, missing: str) -> None:
    client.placed()
    params = {name: value for name, value in FULL.items() if name != missing}
    assert client.post(STOP, **params, stopLoss="59000")["retCode"] == 10001


def test_partial_stops_are_for_a_part_and_of_one_size(client: BybitClient) -> None:
    client.placed(qty="0.03")
    part = {"tpslMode": "Partial", "positionIdx": 0, "stopLoss": "59000", "takeProfit": "61000"}
    assert client.post(STOP, **part, slSize="0.01", tpSize="0.02")["retCode"] == 10001
    assert client.post(STOP, **part, slSize="0.05", tpSize="0.05")["retCode"] == 110058
    assert client.post(STOP, **part, slSize="0.01", tpSize="0.01")["retCode"] == 0
    assert client.position()["stopLoss"] == ""  # that field is the whole position's
    client.venue.set_price("BTCUSDT", "58999")
    held = client.position()
    assert held["size"] == "0.02"
    rows = eventually(
        lambda: client.rows("/v5/execution/list", symbol="BTCUSDT"), lambda rows: len(rows) == 2
    )
    assert (rows[0]["createType"], rows[0]["orderLinkId"]) == ("CreateByPartialStopLoss", "")


def test_leverage_and_modes_say_when_they_are_so_already_or_cannot_be(client: BybitClient) -> None:
    leverage, mode, margin = (
        "/v5/position/set-leverage",
        "/v5/position/switch-mode",
        "/v5/account/set-margin-mode",
    )
    for code in (0, 110043):
        assert client.post(leverage, buyLeverage="7", sellLeverage="7")["retCode"] == code
    assert client.post(leverage, buyLeverage="500", sellLeverage="500")["retCode"] == 110013
    assert client.post(mode, mode=0)["retCode"] == 110025
    for code in (0, 110026):
        assert client.post(margin, setMarginMode="ISOLATED_MARGIN")["retCode"] == code
    assert client.rows(WALLET, accountType="UNIFIED")[0]["totalAvailableBalance"] == ""
    client.placed(**LIMIT)
    assert client.post(mode, mode=3)["retCode"] == 110028
    client.placed()
    assert client.post(mode, mode=3)["retCode"] == 110024
    refused = client.post(margin, setMarginMode="REGULAR_MARGIN")
    assert refused["retCode"] == 3400045
    assert refused["result"]["reasons"]


def test_closed_pnl_is_net_of_the_fees_of_opening_and_closing(client: BybitClient) -> None:
    client.placed(qty="0.03")
    client.venue.set_price("BTCUSDT", "61000")
    closes = client.placed(side="Sell", qty="0.01", reduceOnly=True)
    [row] = client.rows("/v5/position/closed-pnl", symbol="BTCUSDT")
    assert (row["orderId"], row["side"], row["closedSize"]) == (closes["orderId"], "Sell", "0.01")
    assert (row["avgEntryPrice"], row["avgExitPrice"]) == ("60000", "61000")
    assert row["closedPnl"] == "9.395"  # 10 earned, 0.3 and 0.305 paid
    client.placed(side="Sell", qty="0.05")  # closes the rest and turns it around
    client.placed(qty="0.03")
    rows = client.rows("/v5/position/closed-pnl", symbol="BTCUSDT")
    assert [(row["closedSize"], row["closedPnl"]) for row in rows[:2]] == [
        ("0.03", "-1.83"),
        ("0.02", "18.79"),
    ]


def test_changes_of_the_wallet_add_up_funding_among_them(timed: BybitClient) -> None:
    before = timed.venue.now()
    timed.placed(qty="0.1")
    funding = (before // (8 * 3_600_000) + 1) * 8 * 3_600_000
    timed.venue.control("PUT", "clock", {"at": funding + 1000})
    timed.placed(side="Sell", qty="0.1")
    rows = timed.rows("/v5/account/transaction-log", accountType="UNIFIED", startTime=before)
    assert [row["type"] for row in rows] == ["TRADE", "SETTLEMENT", "TRADE"]
    assert (rows[1]["funding"], rows[1]["transactionTime"]) == ("-0.60000000", str(funding))
    assert Decimal(rows[0]["cashBalance"]) == 10_000 + sum(Decimal(row["change"]) for row in rows)
    assert timed.rows("/v5/account/transaction-log", type="SETTLEMENT") == [rows[1]]


@pytest.mark.parametrize(
    ("origin", "exec_type", "made_by"),
    [("adl", "AdlTrade", "CreateByAdl_PassThrough"), ("settlement", "Settle", "CreateBySettle")],
)
def test_what_the_venue_closes_by_itself_says_why_and_has_no_client_id(
    client: BybitClient, origin: str, exec_type: str, made_by: str
) -> None:
    client.placed()
    client.venue.control("POST", "close", {"account": client.account, "symbol": "BTCUSDT", "origin": origin})
    rows = eventually(
        lambda: client.rows("/v5/execution/list", symbol="BTCUSDT"), lambda rows: len(rows) == 2
    )
    assert (rows[0]["execType"], rows[0]["createType"], rows[0]["orderLinkId"]) == (exec_type, made_by, "")
    assert client.position()["size"] == "0"


def test_a_key_says_what_it_may_do(client: BybitClient) -> None:
    told = client.get("/v5/user/query-api")["result"]
    assert (told["readOnly"], told["permissions"]["Wallet"]) == (0, ["AccountTransfer"])
    assert told["permissions"]["ContractTrade"] == ["Order", "Position"]
    key = {"key": client.venue.key, "secret": client.venue.secret, "withdraw": True, "ip_bound": False}
    client.venue.control("PUT", "keys", key)
    told = client.get("/v5/user/query-api")["result"]
    assert ("Withdraw" in told["permissions"]["Wallet"], told["ips"]) == (True, ["*"])
