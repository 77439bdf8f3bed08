"""The Bybit face's sockets, heard with a real WebSocket client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from exchanges.simulator.bybit_face import MANNERS, BybitFace
from exchanges.simulator.http_server import HttpRequest
from exchanges.simulator.web_socket import Socket
from tests.exchanges.simulator.bybit_client import BybitClient, sign
from tests.exchanges.simulator.running import RunningVenue
from tests.exchanges.simulator.test_bybit_face import LIMIT
from tests.exchanges.simulator.worlds import World

WAIT_S = 5.0
MINUTE_MS = 60_000
TOPICS = ("order.linear", "execution.linear", "position.linear", "wallet")


def hear(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(socket.recv(timeout=WAIT_S)))


def hear_until(socket: ClientConnection, **fields: object) -> dict[str, Any]:
    """The first message with these fields, those before it skipped."""
    while True:
        told = hear(socket)
        if fields.items() <= told.items():
            return told


def ask(socket: ClientConnection, op: str, *args: object, **more: object) -> dict[str, Any]:
    socket.send(json.dumps({"op": op, "args": args, **more}))
    return hear_until(socket, op=op)


def login(venue: RunningVenue, socket: ClientConnection, **wrong: Any) -> dict[str, Any]:
    expires = wrong.get("expires", venue.now() + 10_000)
    signature = sign(wrong.get("secret", venue.secret), f"GET/realtime{expires}")
    return ask(socket, "auth", wrong.get("key", venue.key), expires, signature)


@pytest.fixture
def private(bybit: RunningVenue) -> Iterator[ClientConnection]:
    with connect(f"{bybit.ws}/v5/private") as socket:
        assert login(bybit, socket)["success"]
        yield socket


@pytest.fixture
def client(bybit: RunningVenue) -> BybitClient:
    return BybitClient(bybit)


def test_nothing_is_told_before_the_login_and_a_wrong_one_ends_the_connection(bybit: RunningVenue) -> None:
    with connect(f"{bybit.ws}/v5/private") as socket:
        refused = ask(socket, "subscribe", "wallet")
        assert (refused["success"], refused["ret_msg"]) == (False, "Request not authorized")
    for wrong in ({"secret": "x"}, {"key": "x"}, {"expires": bybit.now() - 1}):
        with connect(f"{bybit.ws}/v5/private") as socket:
            assert login(bybit, socket, **wrong)["success"] is False
            with pytest.raises(ConnectionClosed):
                hear(socket)


def test_topics_are_acknowledged_refused_and_not_mixed(private: ClientConnection) -> None:
    assert ask(private, "subscribe", *TOPICS, req_id="7")["req_id"] == "7"
    refused = ask(private, "subscribe", "order.nope")
    assert (refused["success"], refused["ret_msg"]) == (False, "Invalid topic: order.nope")
    assert ask(private, "subscribe", "order", "execution.linear")["success"] is False
    assert ask(private, "subscribe", "order", "wallet")["success"] is True
    assert ask(private, "nope")["success"] is False


def test_a_ping_is_answered_as_each_stream_does(bybit: RunningVenue, private: ClientConnection) -> None:
    private.send('{"op":"ping","req_id":"1"}')
    pong = hear(private)
    assert (pong["op"], pong["req_id"]) == ("pong", "1")
    with connect(f"{bybit.ws}/v5/public/linear") as socket:
        assert ask(socket, "ping") == {"success": True, "ret_msg": "pong", "conn_id": "sim", "op": "ping"}


def test_a_fill_is_told_as_wallet_position_order_and_execution(
    client: BybitClient, private: ClientConnection
) -> None:
    ask(private, "subscribe", *TOPICS)
    client.order(orderLinkId=f"{client.account[:30]}-1")
    told = {message["topic"]: message["data"][0] for message in (hear(private) for _ in range(4))}
    assert set(told) == set(TOPICS)
    order, execution = told["order.linear"], told["execution.linear"]
    assert (order["orderStatus"], order["cumExecQty"], order["avgPrice"]) == ("Filled", "0.01", "60000")
    assert (execution["orderId"], execution["execPrice"]) == (order["orderId"], "60000")
    assert (execution["execFee"], execution["isMaker"]) == ("0.30000000", False)
    position = told["position.linear"]
    assert (position["side"], position["size"], position["entryPrice"]) == ("Buy", "0.01", "60000")
    assert Decimal(told["wallet"]["coin"][0]["walletBalance"]) == Decimal("9999.7")
    [listed] = client.rows("/v5/execution/list", symbol="BTCUSDT")
    assert listed == execution


def test_a_resting_order_is_told_when_it_comes_and_when_it_is_cancelled(
    client: BybitClient, private: ClientConnection
) -> None:
    ask(private, "subscribe", "order")
    answer = client.order(**LIMIT)
    client.post("/v5/order/cancel", orderId=answer["result"]["orderId"])
    told = [hear(private) for _ in range(2)]
    assert {message["topic"] for message in told} == {"order"}
    rows = [message["data"][0] for message in told]
    assert [(row["orderStatus"], row["cancelType"]) for row in rows] == [
        ("New", "UNKNOWN"),
        ("Cancelled", "CancelByUser"),
    ]


def test_a_stop_is_told_under_one_id_from_untriggered_to_filled(
    client: BybitClient, private: ClientConnection
) -> None:
    ask(private, "subscribe", "order.linear", "execution.linear")
    client.placed()
    assert {hear(private)["topic"] for _ in range(2)} == {"order.linear", "execution.linear"}
    client.post(
        "/v5/position/trading-stop", tpslMode="Full", positionIdx=0, stopLoss="59000", takeProfit="61000"
    )
    client.venue.set_price("BTCUSDT", "58990")
    orders, executions = [], []
    while len(orders) < 5:
        told = hear(private)
        (orders if told["topic"] == "order.linear" else executions).append(told["data"][0])
    stop = [row for row in orders if row["stopOrderType"] == "StopLoss"]
    assert [row["orderStatus"] for row in stop] == ["Untriggered", "Triggered", "Filled"]
    assert len({row["orderId"] for row in stop}) == 1
    [target] = [row for row in orders if row["orderStatus"] == "Deactivated"]
    assert (target["stopOrderType"], target["cancelType"]) == ("TakeProfit", "CancelByTpSlTsClear")
    assert [(row["createType"], row["execPrice"]) for row in executions] == [("CreateByStopLoss", "58990")]


def test_only_the_accounts_own_events_are_told(bybit: RunningVenue, private: ClientConnection) -> None:
    ask(private, "subscribe", "order.linear")
    bybit.fresh_account("someone-else")
    BybitClient(bybit).order()
    with pytest.raises(TimeoutError):
        private.recv(timeout=0.2)


HANDSHAKE = (
    b"GET /v5/private HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Wire(asyncio.Transport):
    """Where a socket's bytes go; closed when the venue ends the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


def opened(face: BybitFace) -> tuple[Wire, Socket]:
    wire = Wire()
    socket = Socket(wire)
    socket.receive(HANDSHAKE)
    request = HttpRequest(method="GET", path="/v5/private", query="", headers={}, body=b"")
    assert face.open_socket(request, socket)
    return wire, socket


def test_a_private_connection_that_says_nothing_ends_after_ten_minutes_of_its_own_time() -> None:
    world = World(manners=MANNERS)
    face = BybitFace(world.engine)
    (silent, _), (alive, speaks) = opened(face), opened(face)
    for minutes in (5, 4):
        world.go(minutes * 60)
        face.pulse()
        speaks.on_text(b'{"op":"ping"}')
    world.clock.set(at_ms=world.clock.now_ms() + 60 * MINUTE_MS, rate=None, ceiling_ms=None)
    world.go(50)
    face.pulse()
    assert not silent.closed  # an hour of the venue's is none of the client's
    world.go(20)
    face.pulse()
    assert (silent.closed, alive.closed) == (True, False)


def test_sockets_can_be_cut_and_events_doubled_or_lost(
    client: BybitClient, private: ClientConnection
) -> None:
    ask(private, "subscribe", "execution.linear")
    client.venue.control("POST", "faults", {"kind": "streams", "duplicate": 1.0})
    client.order()
    assert hear(private)["data"] == hear(private)["data"]
    client.venue.control("POST", "faults", {"kind": "streams", "lose": 1.0})
    client.placed()
    with pytest.raises(TimeoutError):
        private.recv(timeout=0.2)
    client.venue.control("DELETE", "faults")
    client.venue.control("POST", "faults", {"kind": "drop_sockets", "private_only": True})
    with pytest.raises(ConnectionClosed):
        hear(private)


def test_candles_are_told_while_open_and_confirmed_when_they_close(bybit_timed: RunningVenue) -> None:
    venue = bybit_timed
    venue.control("PUT", "clock", {"rate": 0})
    minute = venue.now() // MINUTE_MS * MINUTE_MS
    with connect(f"{venue.ws}/v5/public/linear") as socket:
        assert ask(socket, "subscribe", "kline.1.ETHUSDT")["success"]
        venue.control("PUT", "clock", {"at": minute + 3 * MINUTE_MS + 20_000})
        told = [hear(socket) for _ in range(4)]
        rows = [message["data"][0] for message in told]
        assert [(row["start"], row["confirm"]) for row in rows] == [
            (minute, True),
            (minute + MINUTE_MS, True),
            (minute + 2 * MINUTE_MS, True),
            (minute + 3 * MINUTE_MS, False),
        ]
        assert all(row["end"] == row["start"] + MINUTE_MS - 1 for row in rows)
        listed = BybitClient(venue).rows("/v5/market/kline", symbol="ETHUSDT", interval="1", limit=4)
        names = ("open", "high", "low", "close", "volume")
        assert [[row[name] for name in names] for row in rows] == [row[1:6] for row in listed[::-1]]


def test_trades_and_tickers_are_told_linear_and_spot(bybit_timed: RunningVenue) -> None:
    venue = bybit_timed
    venue.control("PUT", "clock", {"rate": 0})
    now = venue.now() // MINUTE_MS * MINUTE_MS
    with (
        connect(f"{venue.ws}/v5/public/linear") as linear,
        connect(f"{venue.ws}/v5/public/spot") as spot,
    ):
        for socket in (linear, spot):
            assert ask(socket, "subscribe", "publicTrade.BTCUSDT", "tickers.BTCUSDT")["success"]
            snapshot = hear(socket)
            assert (snapshot["type"], snapshot["data"]["lastPrice"]) == ("snapshot", "60000")
        venue.control("PUT", "clock", {"at": now + 30_000})
        for socket, kind in ((linear, "delta"), (spot, "snapshot")):
            trades = hear_until(socket, topic="publicTrade.BTCUSDT")["data"]
            assert {(row["s"], row["S"]) for row in trades} == {("BTCUSDT", "Buy"), ("BTCUSDT", "Sell")}
            assert hear_until(socket, topic="tickers.BTCUSDT")["type"] == kind


def test_public_topics_are_all_taken_or_none_and_left_again(bybit_timed: RunningVenue) -> None:
    venue = bybit_timed
    with connect(f"{venue.ws}/v5/public/linear") as socket:
        for topic in ("kline.7.BTCUSDT", "kline.1.NOPE", "nope.BTCUSDT"):
            refused = ask(socket, "subscribe", "publicTrade.BTCUSDT", topic)
            assert (refused["success"], refused["ret_msg"]) == (False, f"Invalid topic: {topic}")
        assert ask(socket, "subscribe", "publicTrade.BTCUSDT")["success"]
        assert ask(socket, "unsubscribe", "publicTrade.BTCUSDT")["success"]
        venue.control("PUT", "clock", {"at": venue.now() + MINUTE_MS})
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)
    with connect(f"{venue.ws}/v5/public/spot") as socket:
        assert ask(socket, "subscribe", *["tickers.BTCUSDT"] * 11)["success"] is False
    with pytest.raises(InvalidStatus):
        connect(f"{venue.ws}/v5/public/nope")
