"""The Binance face over real HTTP: checks, codes, headers, faults, journal and ledger."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.exchanges.simulator.running import RunningVenue, running

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
LIMIT = {**ORDER, "type": "LIMIT", "price": "59000", "timeInForce": "GTC"}
ALGO = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET"}


def code(reply: httpx.Response) -> tuple[int, int]:
    return reply.status_code, reply.json()["code"]


def place(venue: RunningVenue, client_id: str, **more: object) -> httpx.Response:
    return venue.signed("POST", "/fapi/v1/order", **{**ORDER, "newClientOrderId": client_id, **more})


def created(venue: RunningVenue, client_id: str) -> int:
    return int(venue.control("GET", "journal")["created"].get(client_id, 0))


def balance(venue: RunningVenue) -> Decimal:
    return Decimal(venue.signed("GET", "/fapi/v3/balance").json()[0]["balance"])


def test_the_signature_covers_exactly_the_bytes_and_the_key_must_be_known(binance: RunningVenue) -> None:
    path = "/fapi/v3/balance"
    assert binance.signed("GET", path).status_code == 200
    assert code(binance.signed("GET", path, signature="0" * 64)) == (400, -1022)
    assert code(binance.signed("GET", path, key="unknown")) == (401, -2015)
    assert code(binance.http.get(path)) == (401, -2014)


def test_the_time_must_lie_in_the_window_and_not_ahead(binance: RunningVenue) -> None:
    now = binance.now()
    for stamp in (now - 7000, now + 3000):
        assert code(binance.signed("GET", "/fapi/v3/balance", timestamp=stamp)) == (400, -1021)
    assert binance.signed("GET", "/fapi/v3/balance", timestamp=now - 7000, recvWindow=20000).is_success


@pytest.mark.parametrize(
    ("path", "params", "expected"),
    [
        ("/fapi/v1/order", {**ORDER, "quantity": "0.0001"}, -4004),
        ("/fapi/v1/order", {**ORDER, "quantity": "0.0015"}, -1111),
        ("/fapi/v1/order", {**ORDER, "quantity": "100"}, -2019),
        ("/fapi/v1/order", {**ORDER, "quantity": "x"}, -1100),
        ("/fapi/v1/order", {**ORDER, "quantity": ""}, -1100),
        ("/fapi/v1/order", {**ORDER, "symbol": "NOPE"}, -1121),
        ("/fapi/v1/order", {**ORDER, "side": "LONG"}, -1117),
        ("/fapi/v1/order", {**ORDER, "type": "STOP_MARKET"}, -4120),
        ("/fapi/v1/order", {**ORDER, "type": "NOPE"}, -1116),
        ("/fapi/v1/order", {**ORDER, "reduceOnly": "true"}, -2022),
        ("/fapi/v1/order", {**ORDER, "positionSide": "LONG"}, -4061),
        ("/fapi/v1/order", {**ORDER, "newClientOrderId": "ä b"}, -4015),
        ("/fapi/v1/order", {**ORDER, "price": "1"}, -1106),
        ("/fapi/v1/order", {**LIMIT, "price": "59000.05"}, -4014),
        ("/fapi/v1/order", {**LIMIT, "quantity": "0.001", "price": "40000"}, -4164),
        ("/fapi/v1/order", {**LIMIT, "price": "65000"}, -4016),
        ("/fapi/v1/order", {**LIMIT, "timeInForce": "NOPE"}, -1115),
        ("/fapi/v1/order", {**LIMIT, "price": "61000", "timeInForce": "GTX"}, -5022),
        ("/fapi/v1/order", {**LIMIT, "timeInForce": "FOK"}, -5021),
        ("/fapi/v1/algoOrder", {**ALGO, "triggerPrice": "60000", "quantity": "0.01"}, -2021),
        ("/fapi/v1/algoOrder", {**ALGO, "stopPrice": "59000", "quantity": "0.01"}, -1104),
        ("/fapi/v1/algoOrder", {**ALGO, "triggerPrice": "59000"}, -1102),
        (
            "/fapi/v1/algoOrder",
            {**ALGO, "triggerPrice": "59000", "closePosition": "true", "quantity": "1"},
            -4137,
        ),
        (
            "/fapi/v1/algoOrder",
            {**ALGO, "type": "TRAILING_STOP_MARKET", "quantity": "0.01", "callbackRate": "21"},
            -1130,
        ),
        ("/fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": "126"}, -4028),
        ("/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4046),
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, -4059),
    ],
)
def test_what_breaks_a_rule_gets_the_venues_code_and_does_nothing(
    binance: RunningVenue, path: str, params: dict[str, str], expected: int
) -> None:
    assert code(binance.signed("POST", path, **params))[1] == expected
    account = binance.control("GET", "ledger")["accounts"][binance.key.removeprefix("key-")]
    assert (account["orders"], account["conditionals"]) == ([], [])


def test_place_answers_leave_out_what_the_venue_took_out_and_queries_have_it(binance: RunningVenue) -> None:
    placed = place(binance, "a-1", newOrderRespType="RESULT")
    assert "avgPrice" not in placed.json()
    assert placed.json()["status"] == "FILLED"
    assert placed.headers["x-mbx-order-count-10s"].isdigit()
    assert placed.headers["x-mbx-used-weight-1m"].isdigit()
    found = binance.signed("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a-1").json()
    assert (found["avgPrice"], found["executedQty"], found["cumQuote"]) == ("60000.00000", "0.01", "600.00")


def test_an_order_is_only_acknowledged_unless_its_result_is_asked_for(binance: RunningVenue) -> None:
    acknowledged = place(binance, "a-2").json()
    assert (acknowledged["status"], acknowledged["executedQty"]) == ("NEW", "0")
    query = {"symbol": "BTCUSDT", "origClientOrderId": "a-2"}
    assert binance.signed("GET", "/fapi/v1/order", **query).json()["status"] == "FILLED"


def test_an_id_may_be_used_again_once_its_order_has_ended(binance: RunningVenue) -> None:
    assert place(binance, "b-1", **LIMIT).is_success
    assert code(place(binance, "b-1")) == (400, -4116)
    assert binance.signed("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="b-1").is_success
    assert place(binance, "b-1").is_success
    assert created(binance, "b-1") == 2


@pytest.mark.parametrize(
    ("fault", "acts", "status"),
    [
        ({"kind": "instead", "status": 503, "body": '{"code":-1008,"msg":"overloaded"}'}, False, 503),
        ({"kind": "afterwards", "status": 503, "body": '{"msg":"Unknown error"}'}, True, 503),
        ({"kind": "drop_before"}, False, None),
        ({"kind": "drop_after"}, True, None),
        ({"kind": "truncate", "bytes": 20}, True, None),
        ({"kind": "silent"}, True, None),
        ({"kind": "slow", "bytes": 4000}, True, 200),
        ({"kind": "delay", "seconds": 0.05}, True, 200),
        ({"kind": "hold", "seconds": 0.05}, True, 200),
    ],
)
def test_a_scripted_fault_strikes_once_and_the_journal_says_what_was_done(
    binance: RunningVenue, fault: dict[str, Any], acts: bool, status: int | None
) -> None:
    client_id = f"f-{fault['kind']}"
    binance.control("POST", "faults", {**fault, "method": "POST", "path": "/fapi/v1/order"})
    binance.http.timeout = httpx.Timeout(0.5)
    try:
        if status is None:
            with pytest.raises(httpx.TransportError):
                place(binance, client_id)
        else:
            assert place(binance, client_id).status_code == status
    finally:
        binance.http.timeout = httpx.Timeout(10)
    assert created(binance, client_id) == int(acts)
    entries = binance.control("GET", "journal")["entries"]
    [entry] = [entry for entry in entries if entry.get("client_id") == client_id]
    assert entry["fault"] == fault["kind"]
    assert entry.get("created", []) == ([client_id] if acts else [])
    assert entry.get("status", 0) == (status or 0)
    assert place(binance, f"{client_id}-again").is_success


def test_the_nth_request_is_struck_and_no_other(binance: RunningVenue) -> None:
    binance.control("POST", "faults", {"kind": "instead", "path": "/fapi/v1/order", "nth": 2, "status": 500})
    assert [place(binance, f"n-{n}").status_code for n in range(3)] == [200, 500, 200]


def test_a_held_request_dies_when_its_window_has_passed(binance: RunningVenue) -> None:
    binance.control("POST", "faults", {"kind": "hold", "path": "/fapi/v1/order", "seconds": 0.3})
    assert code(place(binance, "h-1", recvWindow=200)) == (400, -1021)
    assert created(binance, "h-1") == 0


def test_a_new_order_stays_out_of_look_ups_for_the_lag(binance: RunningVenue) -> None:
    binance.control("POST", "faults", {"kind": "lookup_lag", "seconds": 60})
    assert place(binance, "l-1").is_success
    query = {"symbol": "BTCUSDT", "origClientOrderId": "l-1"}
    assert code(binance.signed("GET", "/fapi/v1/order", **query)) == (400, -2013)
    assert binance.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT").json() == []
    binance.control("DELETE", "faults")
    assert binance.signed("GET", "/fapi/v1/order", **query).json()["status"] == "FILLED"


def test_a_ban_refuses_everything_until_its_time(binance: RunningVenue) -> None:
    binance.control("POST", "faults", {"kind": "ban", "seconds": 600})
    for reply in (binance.http.get("/fapi/v1/time"), place(binance, "x-1")):
        assert code(reply) == (418, -1003)
        assert "banned until" in reply.json()["msg"]
        assert int(reply.headers["retry-after"]) > 500
    binance.control("DELETE", "faults")
    assert binance.http.get("/fapi/v1/time").is_success


def test_budgets_end_in_429_and_who_goes_on_is_banned(binance: RunningVenue) -> None:
    try:
        binance.control("PUT", "limits", {"weight": 0, "orders_10s": 1, "orders_1m": 0})
        assert [place(binance, f"o-{n}").status_code for n in range(3)].count(429) >= 1
        binance.control("PUT", "limits", {"weight": 1, "orders_10s": 0, "orders_1m": 0})
        replies = [binance.http.get("/fapi/v1/time") for _ in range(60)]
        statuses = [reply.status_code for reply in replies]
        assert 429 in statuses
        assert statuses[-1] == 418
        assert "retry-after" in replies[-1].headers
    finally:
        binance.control("PUT", "limits", {"weight": 0, "orders_10s": 0, "orders_1m": 0})
        binance.control("DELETE", "faults")


def test_a_batch_answers_each_item_by_itself(binance: RunningVenue) -> None:
    items = [
        {**ORDER, "newClientOrderId": "i-1"},
        {**ORDER, "reduceOnly": "true", "side": "SELL", "quantity": "0"},
    ]
    reply = binance.signed("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps(items))
    assert reply.status_code == 200
    assert [item.get("code") for item in reply.json()] == [None, -4003]


def test_klines_are_ascending_and_only_the_last_one_is_open(binance: RunningVenue) -> None:
    rows = binance.http.get("/fapi/v1/klines?symbol=ETHUSDT&interval=5m&limit=20").json()
    now = binance.now()
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert len(rows) == 20
    assert [row[6] < now for row in rows] == [True] * 19 + [False]
    older = binance.http.get(
        "/fapi/v1/klines", params={"symbol": "ETHUSDT", "interval": "5m", "endTime": rows[9][0], "limit": 3}
    ).json()
    assert older == rows[7:10]
    assert binance.http.get("/fapi/v1/klines?symbol=ETHUSDT&interval=1s").json()["code"] == -1120
    assert binance.http.get("/fapi/v1/klines?symbol=ETHUSDT&interval=1m&limit=2000").json()["code"] == -1130


def test_aggregated_trades_have_no_gaps_and_add_up_to_the_candle(binance: RunningVenue) -> None:
    row = binance.http.get("/fapi/v1/klines?symbol=ETHUSDT&interval=1m&limit=3").json()[0]
    trades = binance.http.get(
        "/fapi/v1/aggTrades", params={"symbol": "ETHUSDT", "startTime": row[0], "endTime": row[6]}
    ).json()
    assert [t["a"] for t in trades] == list(range(trades[0]["a"], trades[0]["a"] + 8))
    assert {trades[0]["p"], trades[-1]["p"]} == {row[1], row[4]}
    bought = sum(Decimal(t["q"]) for t in trades if not t["m"])
    assert abs(bought - Decimal(row[9])) <= Decimal("0.004")


def test_what_a_key_may_do_is_told(binance: RunningVenue) -> None:
    binance.control(
        "PUT", "keys",
        {"key": "w", "secret": binance.secret, "account": "w", "withdraw": True, "ip_bound": False},
    )  # fmt: skip
    rights = binance.signed("GET", "/sapi/v1/account/apiRestrictions", key="w").json()
    assert (rights["enableWithdrawals"], rights["ipRestrict"], rights["enableFutures"]) == (True, False, True)
    binance.control("PUT", "keys", {"key": "r", "secret": binance.secret, "account": "r", "trade": False})
    assert code(place(binance, "r-1", key="r")) == (401, -2015)


def test_venue_made_orders_carry_the_venues_ids(binance: RunningVenue) -> None:
    account = binance.key.removeprefix("key-")
    place(binance, "v-1")
    binance.control("POST", "close", {"account": account, "symbol": "BTCUSDT", "origin": "adl"})
    binance.signed("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    binance.signed("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage="50")
    place(binance, "v-2")
    binance.set_price("BTCUSDT", "55000")
    found = binance.signed("GET", "/fapi/v1/allOrders", symbol="BTCUSDT").json()
    ids = [order["clientOrderId"] for order in found]
    assert [ids[0], ids[2]] == ["v-1", "v-2"]
    assert ids[1].startswith("adl_autoclose")
    assert ids[3].startswith("autoclose-")
    assert binance.signed("GET", "/fapi/v3/positionRisk").json() == []


def test_the_ledger_agrees_with_what_the_face_tells(binance: RunningVenue) -> None:
    account = binance.key.removeprefix("key-")
    for side, price in (("BUY", "60000"), ("SELL", "61000"), ("BUY", "60500")):
        binance.set_price("BTCUSDT", price)
        place(binance, f"g-{price}", side=side)
    books = binance.control("GET", "ledger", account=account)["accounts"][account]
    trades = binance.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT").json()
    assert [t["trade_id"] for t in books["trades"]] == [t["id"] for t in trades]
    assert Decimal(books["wallet"]["USDT"]) == balance(binance)
    total = sum(Decimal(t["realizedPnl"]) - Decimal(t["commission"]) for t in trades)
    assert balance(binance) == 10000 + total


def test_at_rate_sixty_the_window_is_sixty_times_longer_and_the_journal_goes_to_its_file(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal.jsonl"
    with running("binance", "--speed", "60", "--journal", str(journal)) as venue:
        now = venue.now()
        assert venue.signed("GET", "/fapi/v3/balance", timestamp=now - 200_000).is_success
        assert code(venue.signed("GET", "/fapi/v3/balance", timestamp=now - 400_000)) == (400, -1021)
        venue.control("PUT", "clock", {"rate": 60, "ceiling": now})
        assert venue.now() == now
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("/fapi/v3/balance", 200),
        ("/fapi/v3/balance", 400),
    ]


def test_a_tape_is_played_from_its_start(tmp_path: Path) -> None:
    start = 1_750_000_020_000
    rows = [f"{start + n * 60_000},{100 + n},{101 + n},{99 + n},{100.5 + n},10" for n in range(5)]
    tape = tmp_path / "SOLUSDT-1m.csv"
    tape.write_text("open_time,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    with running("binance", "--tape", str(tape), "--speed", "0") as venue:
        assert venue.now() == start
        price = "/fapi/v2/ticker/price?symbol=SOLUSDT"
        seen = []
        for at in (0, 15_000, 30_000, 45_000, 60_000):
            venue.control("PUT", "clock", {"at": start + at})
            seen.append(Decimal(venue.http.get(price).json()["price"]))
        assert seen == [Decimal(each) for each in ("100", "99", "101", "100.5", "101")]
        [row] = venue.http.get(
            "/fapi/v1/klines", params={"symbol": "SOLUSDT", "interval": "1m", "endTime": start}
        ).json()
        assert [Decimal(cell) for cell in row[1:6]] == [100, 101, 99, Decimal("100.5"), 10]
        day = venue.http.get("/fapi/v1/ticker/24hr?symbol=SOLUSDT").json()
        assert (Decimal(day["lastPrice"]), Decimal(day["openPrice"])) == (101, 100)


def test_an_unknown_address_or_method_is_no_json_answer(binance: RunningVenue) -> None:
    assert binance.http.get("/fapi/v1/nothing").status_code == 404
    assert binance.http.put("/fapi/v1/order").status_code == 405
    assert binance.http.get("/simulator/nothing").status_code == 404
