"""The Bybit face over real HTTP: checks, codes, headers, look-ups, positions and their stops."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

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


def balance(client: BybitClient, **headers: str) -> tuple[int, int]:
    reply = client.call("GET", WALLET, {"accountType": "UNIFIED"}, headers)
    return reply.status_code, reply.json()["retCode"]


# -- checks


def test_the_signature_covers_exactly_the_bytes_and_the_key_must_be_known(client: BybitClient) -> None:
    assert balance(client) == (200, 0)
    assert balance(client, **{"X-BAPI-SIGN": "0" * 64}) == (200, 10004)
    assert balance(client, **{"X-BAPI-API-KEY": "unknown"}) == (200, 10003)
    assert client.venue.http.get(WALLET).status_code == 401
    body = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.01"}
    answered = client.call("POST", "/v5/order/create", body)
    assert answered.json()["retCode"] == 0
    signed = answered.request
    respaced = json.dumps(body, indent=1).encode()
    headers = {name: value for name, value in signed.headers.items() if name.startswith("x-bapi-")}
    reply = client.venue.http.post("/v5/order/create", content=respaced, headers=headers)
    assert reply.json()["retCode"] == 10004


def test_the_time_must_lie_in_the_window_and_not_ahead(client: BybitClient) -> None:
    now = client.venue.now()
    for stamp in (now - 7000, now + 3000):
        assert balance(client, **{"X-BAPI-TIMESTAMP": str(stamp)}) == (200, 10002)
    late = {"X-BAPI-TIMESTAMP": str(now - 7000), "X-BAPI-RECV-WINDOW": "20000"}
    assert balance(client, **late) == (200, 0)


def test_at_rate_sixty_the_window_is_sixty_times_longer(timed: BybitClient) -> None:
    timed.venue.control("PUT", "clock", {"rate": 60})
    for late_s, code in ((30, 0), (400, 10002)):
        stamp = timed.venue.now() - late_s * 1000
        assert balance(timed, **{"X-BAPI-TIMESTAMP": str(stamp)}) == (200, code)


def test_a_key_that_may_not_trade_reads_only(client: BybitClient) -> None:
    key = {"key": client.venue.key, "secret": client.venue.secret, "trade": False}
    client.venue.control("PUT", "keys", key)
    assert balance(client) == (200, 0)
    assert client.order()["retCode"] == 10005


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"qty": "0.0001"}, 10001),
        ({"qty": "0.0015"}, 10001),
        ({"qty": "100"}, 110007),
        ({"qty": "x"}, 10001),
        ({"qty": 1}, 10001),
        ({"symbol": "NOPE"}, 10001),
        ({"category": "inverse"}, 10001),
        ({"side": "LONG"}, 10001),
        ({"orderType": "Stop"}, 10001),
        ({"reduceOnly": True}, 110017),
        ({"positionIdx": 1}, 10001),
        ({"orderLinkId": "ä b"}, 10001),
        ({"orderLinkId": "x" * 37}, 10001),
        ({**LIMIT, "price": "59000.05"}, 10001),
        ({**LIMIT, "qty": "0.001", "price": "40000"}, 110094),
        ({**LIMIT, "price": "65000"}, 30208),
        ({**LIMIT, "timeInForce": "NOPE"}, 10001),
        ({"triggerPrice": "59000"}, 10001),
        ({"triggerPrice": "59000", "triggerDirection": 1}, 110092),
        ({"triggerPrice": "61000", "triggerDirection": 2}, 110093),
        ({"stopLoss": "61000"}, 10001),
        ({"stopLoss": "59000", "reduceOnly": True}, 10001),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_the_venues_code(
    client: BybitClient, params: dict[str, Any], expected: int
) -> None:
    assert client.order(**params)["retCode"] == expected
    assert client.venue.ledger(client.account)["orders"] == []


def test_an_unknown_route_and_a_read_with_a_body_are_refused(client: BybitClient) -> None:
    assert client.venue.http.get("/v5/nope").status_code == 404
    reply = client.venue.http.request("GET", "/v5/market/time", content=b"{}")
    assert (reply.status_code, reply.text) == (403, "access too frequent")


def test_headers_count_an_accounts_second_and_more_is_refused_until_it_ends(timed: BybitClient) -> None:
    timed.venue.control("PUT", "clock", {"rate": 0})  # the second does not end
    used = [timed.call("POST", "/v5/order/cancel", {}) for _ in range(11)]
    assert [reply.headers["X-Bapi-Limit-Status"] for reply in used] == [*map(str, range(9, -1, -1)), "0"]
    assert {reply.headers["X-Bapi-Limit"] for reply in used} == {"10"}
    assert [reply.json()["retCode"] for reply in used] == [10001] * 10 + [10006]
    ends = int(used[-1].headers["X-Bapi-Limit-Reset-Timestamp"])
    assert 0 < ends - timed.venue.now() <= 1000
    assert timed.order()["retCode"] == 0  # another group
    timed.venue.control("PUT", "clock", {"at": ends})
    assert timed.call("POST", "/v5/order/cancel", {}).json()["retCode"] == 10001


def test_an_address_that_asks_too_often_is_blocked_for_ten_minutes(timed: BybitClient) -> None:
    timed.venue.control("PUT", "limits", {"weight": 5, "orders_10s": 100, "orders_1m": 0})
    window_ends = (timed.venue.now() // 5000 + 1) * 5000
    timed.venue.control("PUT", "clock", {"at": window_ends, "rate": 0})
    statuses = [timed.venue.http.get("/v5/market/time").status_code for _ in range(7)]
    assert statuses == [200] * 5 + [403] * 2
    now = timed.venue.now()
    for later, status in ((599_000, 403), (600_000, 200)):
        timed.venue.control("PUT", "clock", {"at": now + later})
        assert timed.venue.http.get("/v5/market/time").status_code == status


# -- market


def test_candles_come_newest_first_and_the_first_is_open(timed: BybitClient) -> None:
    rows = timed.rows("/v5/market/kline", symbol="ETHUSDT", interval="5", limit=20)
    opens = [int(row[0]) for row in rows]
    assert opens[0] == timed.venue.now() // 300_000 * 300_000
    assert all(a - b == 300_000 for a, b in pairwise(opens))
    before = timed.rows(
        "/v5/market/kline", symbol="ETHUSDT", interval="5", start=opens[9], end=opens[2], limit=3
    )
    assert before == rows[2:5]
    assert [row[:5] for row in rows[2:5]] == timed.rows(
        "/v5/market/mark-price-kline", symbol="ETHUSDT", interval="5", end=opens[2], limit=3
    )
    assert timed.get("/v5/market/kline", symbol="ETHUSDT", interval="7")["retCode"] == 10001


def test_instruments_are_listed_page_by_page(client: BybitClient) -> None:
    seen, cursor = [], ""
    while True:
        page = client.get("/v5/market/instruments-info", limit=1, cursor=cursor)["result"]
        seen += [row["symbol"] for row in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert seen == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert client.rows("/v5/market/instruments-info", symbol="NOPE") == []


def test_prices_funding_tiers_trades_and_time_are_told(timed: BybitClient) -> None:
    [ticker] = timed.rows("/v5/market/tickers", symbol="BTCUSDT")
    assert (ticker["lastPrice"], ticker["markPrice"], ticker["fundingRate"]) == ("60000", "60000", "0.0001")
    assert int(ticker["nextFundingTime"]) % (8 * 3_600_000) == 0
    times = [
        int(row["fundingRateTimestamp"]) for row in timed.rows("/v5/market/funding/history", symbol="BTCUSDT")
    ]
    assert times == sorted(times, reverse=True)
    assert all(a - b == 8 * 3_600_000 for a, b in pairwise(times))
    assert len(times) >= 9  # the three days before its time began
    caps = [row["riskLimitValue"] for row in timed.rows("/v5/market/risk-limit", symbol="BTCUSDT")]
    assert caps == ["300000", "3000000", "70000000"]
    trades = timed.rows("/v5/market/recent-trade", symbol="BTCUSDT", limit=5)
    assert [row["time"] for row in trades] == sorted((row["time"] for row in trades), reverse=True)
    told = timed.get("/v5/market/time")
    assert abs(int(told["result"]["timeNano"]) // 1_000_000 - told["time"]) < 5


# -- orders and look-ups


def test_what_is_acknowledged_shows_later_in_every_list(client: BybitClient) -> None:
    client.venue.control("POST", "faults", {"kind": "lookup_lag", "seconds": 3600})
    acknowledged = client.order(**LIMIT, orderLinkId="late")["result"]
    assert acknowledged["orderLinkId"] == "late"
    assert client.order()["retCode"] == 0
    for path in ("/v5/order/realtime", "/v5/order/history", "/v5/execution/list"):
        assert client.rows(path, symbol="BTCUSDT") == []
        assert client.rows(path, symbol="BTCUSDT", orderLinkId="late") == []
    client.venue.control("DELETE", "faults")
    assert client.found(acknowledged["orderId"])["orderStatus"] == "New"
    assert len(eventually(lambda: client.rows("/v5/execution/list", symbol="BTCUSDT"))) == 1


def test_a_market_order_is_an_ioc_order_that_may_fill_in_part(client: BybitClient) -> None:
    client.venue.control("PUT", "liquidity", {"symbol": "BTCUSDT", "quantity": "0.004"})
    row = client.placed()
    assert (row["orderStatus"], row["timeInForce"]) == ("Cancelled", "IOC")
    assert (row["cumExecQty"], row["leavesQty"], row["avgPrice"]) == ("0.004", "0", "60000")
    assert row["rejectReason"] == "EC_CancelForNoFullFill"


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"orderType": "Limit", "price": "61000", "timeInForce": "PostOnly"}, "EC_PostOnlyWillTakeLiquidity"),
        ({**LIMIT, "timeInForce": "FOK"}, "EC_NoImmediateQtyToFill"),
        ({**LIMIT, "timeInForce": "IOC"}, "EC_NoImmediateQtyToFill"),
    ],
)
def test_what_cannot_stand_is_accepted_and_then_cancelled(
    client: BybitClient, params: dict[str, Any], reason: str
) -> None:
    row = client.placed(**params)
    assert (row["orderStatus"], row["rejectReason"], row["cumExecQty"]) == ("Cancelled", reason, "0")


def test_open_orders_leave_out_what_ended_and_history_what_is_open(client: BybitClient) -> None:
    rests = client.placed(**LIMIT, orderLinkId="rests")
    ended = client.placed(orderLinkId="ended")
    realtime, history = "/v5/order/realtime", "/v5/order/history"
    assert [row["orderId"] for row in client.rows(realtime, symbol="BTCUSDT")] == [rests["orderId"]]
    assert [row["orderId"] for row in client.rows(history, symbol="BTCUSDT")] == [ended["orderId"]]
    assert client.rows(realtime, symbol="BTCUSDT", openOnly=1) == [ended]
    assert client.rows(realtime, symbol="BTCUSDT", orderLinkId="ended") == [ended]
    assert client.rows(history, symbol="BTCUSDT", orderLinkId="rests") == []
    assert client.get(realtime)["retCode"] == 10001  # neither symbol nor coin


def test_lists_go_on_at_the_cursor_newest_first(client: BybitClient) -> None:
    placed = [client.placed(**LIMIT)["orderId"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = client.get("/v5/order/realtime", symbol="BTCUSDT", limit=2, cursor=cursor)["result"]
        seen += [row["orderId"] for row in page["list"]]
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert seen == placed[::-1]


def test_orders_without_a_fill_leave_the_history_after_a_day(timed: BybitClient) -> None:
    filled = timed.placed(orderLinkId="filled")
    timed.post("/v5/order/cancel", orderId=timed.placed(**LIMIT)["orderId"])
    assert len(timed.rows("/v5/order/history", symbol="BTCUSDT")) == 2
    later = timed.venue.now() + DAY_MS + 60_000
    timed.venue.control("PUT", "clock", {"at": later})
    assert [row["orderId"] for row in timed.rows("/v5/order/history")] == [filled["orderId"]]
    week = {"startTime": later - 8 * DAY_MS, "endTime": later}
    for path in ("/v5/order/history", "/v5/execution/list", "/v5/position/closed-pnl"):
        assert timed.get(path, **week)["retCode"] == 10001
    since = {"startTime": later - 60_000}
    assert timed.rows("/v5/execution/list", **since, execType="Trade") == []
    assert timed.rows("/v5/execution/list", orderLinkId="filled")[0]["execQty"] == "0.01"
    timed.venue.control("PUT", "clock", {"at": later + 7 * DAY_MS})
    named = {"symbol": "BTCUSDT", "orderLinkId": "filled"}
    own_week = {"startTime": int(filled["createdTime"])}
    for path in ("/v5/order/history", "/v5/execution/list"):
        assert timed.rows(path, **named) == []  # by default of the last seven days
        assert len(timed.rows(path, **named, **own_week)) == 1


def test_conditional_orders_are_ten_a_symbol(client: BybitClient) -> None:
    waits = {"triggerPrice": "59000", "triggerDirection": 2}
    assert {client.order(**waits)["retCode"] for _ in range(10)} == {0}
    assert client.order(**waits)["retCode"] == 110009


def test_a_client_id_belongs_to_one_order_conditional_or_not(client: BybitClient) -> None:
    waits = {"triggerPrice": "59000", "triggerDirection": 2}
    assert client.order(**waits, orderLinkId="a")["retCode"] == 0
    assert client.order(orderLinkId="b")["retCode"] == 0
    for link in ("a", "b"):
        assert client.order(orderLinkId=link)["retCode"] == 110072
        assert client.order(**waits, orderLinkId=link)["retCode"] == 110072
    assert client.venue.control("GET", "journal")["created"]["b"] == 1


def test_cancel_all_takes_stops_of_positions_unless_a_filter_spares_them(client: BybitClient) -> None:
    client.placed(stopLoss="58000")
    client.placed(**LIMIT)
    plain = client.post("/v5/order/cancel-all", orderFilter="Order")["result"]
    assert (len(plain["list"]), plain["success"]) == (1, "1")
    assert client.position()["stopLoss"] == "58000"
    assert len(client.post("/v5/order/cancel-all")["result"]["list"]) == 1
    assert client.position()["stopLoss"] == ""
