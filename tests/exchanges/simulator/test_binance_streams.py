"""The Binance face's sockets, heard with a real WebSocket client."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.exchanges.simulator.running import RunningVenue, running
from tests.exchanges.simulator.test_binance_face import ALGO, LIMIT, ORDER, place

WAIT_S = 5.0
MINUTE_MS = 60_000


def hear(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(socket.recv(timeout=WAIT_S)))


def hear_until(socket: ClientConnection, **fields: object) -> dict[str, Any]:
    """The first message with these fields, those before it skipped."""
    while True:
        told = hear(socket)
        if fields.items() <= told.items():
            return told


def listen(venue: RunningVenue, *events: str) -> ClientConnection:
    headers = {"X-MBX-APIKEY": venue.key}
    listen_key = venue.http.post("/fapi/v1/listenKey", headers=headers).json()["listenKey"]
    wanted = f"&events={'/'.join(events)}" if events else ""
    return connect(f"{venue.ws}/private/ws?listenKey={listen_key}{wanted}")


def names(told: list[dict[str, Any]]) -> list[str]:
    return [f"{t['e']}:{t['o']['X']}" if "o" in t and isinstance(t["o"], dict) else t["e"] for t in told]


def test_a_fill_is_told_by_account_order_and_lite_events(binance: RunningVenue) -> None:
    with listen(binance) as socket:
        place(binance, "s-1")
        told = [hear(socket) for _ in range(4)]
        assert names(told) == [
            "ORDER_TRADE_UPDATE:NEW",
            "ACCOUNT_UPDATE",
            "ORDER_TRADE_UPDATE:FILLED",
            "TRADE_LITE",
        ]
        fill, lite = told[2]["o"], told[3]
        assert (fill["c"], fill["l"], fill["L"], fill["x"]) == ("s-1", "0.01", "60000", "TRADE")
        assert (lite["t"], lite["i"]) == (fill["t"], fill["i"])
        account = told[1]["a"]
        assert (account["m"], account["P"][0]["pa"]) == ("ORDER", "0.01")
        assert account["B"][0]["wb"] == "9999.70000000"


def test_only_the_events_asked_for_are_told(binance: RunningVenue) -> None:
    with listen(binance, "ACCOUNT_UPDATE") as socket:
        place(binance, "s-2")
        place(binance, "s-3")
        assert [hear(socket)["e"] for _ in range(2)] == ["ACCOUNT_UPDATE"] * 2


def test_a_conditional_order_is_told_from_new_to_finished_with_its_real_order(binance: RunningVenue) -> None:
    with listen(binance, "ALGO_UPDATE", "ORDER_TRADE_UPDATE") as socket:
        place(binance, "s-4")
        binance.signed(
            "POST", "/fapi/v1/algoOrder",
            **{**ALGO, "triggerPrice": "59000", "closePosition": "true", "clientAlgoId": "stop-4"},
        )  # fmt: skip
        binance.set_price("BTCUSDT", "58990")
        told = [hear(socket) for _ in range(8)]
        assert names(told) == [
            "ORDER_TRADE_UPDATE:NEW",
            "ORDER_TRADE_UPDATE:FILLED",
            "ALGO_UPDATE:NEW",
            "ALGO_UPDATE:TRIGGERING",
            "ALGO_UPDATE:TRIGGERED",
            "ORDER_TRADE_UPDATE:NEW",
            "ORDER_TRADE_UPDATE:FILLED",
            "ALGO_UPDATE:FINISHED",
        ]
        assert told[7]["o"]["ai"] == str(told[6]["o"]["i"])
        assert told[7]["o"]["aq"] == "0.01"


def test_one_account_does_not_hear_another(binance: RunningVenue) -> None:
    with listen(binance) as socket:
        mine = binance.key, binance.secret
        binance.fresh_account("somebody-else")
        place(binance, "s-5")
        binance.key, binance.secret = mine
        place(binance, "s-6")
        assert hear(socket)["o"]["c"] == "s-6"


def test_a_listen_key_ends_with_a_word_and_is_dead_from_then_on() -> None:
    with running("binance") as venue:
        with listen(venue) as socket:
            venue.set_price("BTCUSDT", "60000")
            venue.control("PUT", "clock", {"at": venue.now() + 61 * MINUTE_MS})
            assert hear_until(socket, e="listenKeyExpired")["e"] == "listenKeyExpired"
            place(venue, "k-1")
            with pytest.raises(TimeoutError):
                socket.recv(timeout=0.2)
        headers = {"X-MBX-APIKEY": venue.key}
        assert venue.http.put("/fapi/v1/listenKey", headers=headers).json()["code"] == -1125


def test_events_come_twice_out_of_order_or_never_when_asked_for(binance: RunningVenue) -> None:
    with listen(binance, "ORDER_TRADE_UPDATE") as socket:
        binance.control("POST", "faults", {"kind": "streams", "duplicate": 1})
        place(binance, "d-1", **LIMIT)
        assert hear(socket) == hear(socket)
        binance.control("POST", "faults", {"kind": "streams", "reorder": 1})
        place(binance, "d-2")
        assert names([hear(socket), hear(socket)]) == ["ORDER_TRADE_UPDATE:FILLED", "ORDER_TRADE_UPDATE:NEW"]
        binance.control("POST", "faults", {"kind": "streams", "lose": 1})
        place(binance, "d-3")
        binance.control("DELETE", "faults")
        place(binance, "d-4")
        assert hear(socket)["o"]["c"] == "d-4"


def test_sockets_are_dropped_without_a_word_when_asked_for(binance: RunningVenue) -> None:
    with listen(binance) as socket:
        binance.control("POST", "faults", {"kind": "drop_sockets", "private_only": True})
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=WAIT_S)
        assert closed.value.rcvd is None


def test_a_connection_ends_after_a_day() -> None:
    with running("binance", "--speed", "0") as venue, listen(venue) as socket:
        start = venue.now()
        venue.control("PUT", "clock", {"at": start + 24 * 60 * MINUTE_MS})
        hear_until(socket, e="listenKeyExpired")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=WAIT_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


def test_klines_stream_as_rest_tells_them_each_final_once_it_closed() -> None:
    with running("binance", "--speed", "0") as venue:
        start = venue.now() // MINUTE_MS * MINUTE_MS + MINUTE_MS
        venue.control("PUT", "clock", {"at": start})
        with connect(f"{venue.ws}/market/ws/btcusdt@kline_1m") as socket:
            for quarter in range(1, 13):
                venue.control("PUT", "clock", {"at": start + quarter * 15_000})
                hear_until(socket, e="kline")
                if quarter % 4 == 0:
                    hear_until(socket, e="kline")
            venue.control("PUT", "clock", {"at": start + 10 * MINUTE_MS})
            final = []
            while len(final) < 7:
                kline = hear(socket)["k"]
                final += [kline] if kline["x"] else []
        assert [k["t"] for k in final] == [start + n * MINUTE_MS for n in range(3, 10)]
        rows = venue.http.get(
            "/fapi/v1/klines", params={"symbol": "BTCUSDT", "interval": "1m", "startTime": final[0]["t"]}
        ).json()
        told = [[k["t"], k["o"], k["h"], k["l"], k["c"], k["v"], k["T"]] for k in final]
        assert told == [row[:7] for row in rows[:7]]


def test_combined_streams_are_wrapped_and_can_be_changed_by_command() -> None:
    with running("binance", "--speed", "0") as venue:
        start = venue.now() // MINUTE_MS * MINUTE_MS
        venue.control("PUT", "clock", {"at": start})
        with connect(f"{venue.ws}/market/stream?streams=btcusdt@aggTrade") as socket:
            socket.send(json.dumps({"method": "SUBSCRIBE", "params": ["ethusdt@markPrice@1s"], "id": 7}))
            assert hear(socket) == {"result": None, "id": 7}
            venue.control("PUT", "clock", {"at": start + 15_000})
            told = [hear(socket) for _ in range(3)]
            assert {each["stream"] for each in told} == {"btcusdt@aggTrade", "ethusdt@markPrice@1s"}
            trades = [t["data"] for t in told if t["stream"] == "btcusdt@aggTrade"]
            assert trades[1]["a"] == trades[0]["a"] + 1
            assert all(Decimal(trade["q"]) > 0 for trade in trades)


@pytest.mark.parametrize("path", ["/ws/btcusdt@kline_1m", "/public/ws/btcusdt@kline_1m"])
def test_an_address_without_the_right_route_is_taken_and_stays_silent(path: str) -> None:
    with running("binance", "--speed", "0") as venue:
        with (
            connect(f"{venue.ws}{path}") as silent,
            connect(f"{venue.ws}/market/ws/btcusdt@kline_1m") as heard,
        ):
            venue.control("PUT", "clock", {"at": venue.now() + MINUTE_MS})
            hear(heard)
            with pytest.raises(TimeoutError):
                silent.recv(timeout=0.1)
        with pytest.raises(InvalidStatus):
            connect(f"{venue.ws}/nothing")


def test_a_handshake_that_is_none_is_refused_and_harms_nobody(binance: RunningVenue) -> None:
    headers = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "7"}
    assert binance.http.get("/market/ws/btcusdt@kline_1m", headers=headers).status_code >= 400
    assert binance.http.get("/fapi/v1/ping").status_code == 200


def test_funding_is_told_and_booked() -> None:
    with running("binance", "--speed", "0") as venue:
        hours = 8 * 60 * MINUTE_MS
        before = venue.now() // hours * hours + hours - MINUTE_MS
        venue.control("PUT", "clock", {"at": before})
        venue.set_price("BTCUSDT", "60000")
        place(venue, "u-1", **{**ORDER, "quantity": "0.1"})
        with listen(venue, "ACCOUNT_UPDATE") as socket:
            venue.control("PUT", "clock", {"at": before + 2 * MINUTE_MS})
            told = hear(socket)
            assert (told["a"]["m"], told["a"]["B"][0]["bc"]) == ("FUNDING_FEE", "-0.60000000")
        [row] = venue.signed("GET", "/fapi/v1/income", incomeType="FUNDING_FEE").json()
        assert (row["income"], row["time"]) == ("-0.60000000", before + MINUTE_MS)
