"""A bare local server for `bench gateway`: answers every order the same, and floods WebSockets with klines or trades.

Run as a process of its own, so that what it costs is not counted with the client: `python -m
bin.commands.bench_gateway_server` prints its two ports and lives until its stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from functools import cache
from itertools import repeat
from typing import Final

from websockets.utils import accept_key

ORDER: Final = (
    b'{"orderId":22542179,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"bench","price":"0","avgPrice":'
    b'"60000.10","origQty":"0.010","executedQty":"0.010","cumQty":"0.010","cumQuote":"600.00100","timeInForce":"GTC",'
    b'"type":"MARKET","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"BOTH","stopPrice":"0",'
    b'"workingType":"CONTRACT_PRICE","priceProtect":false,"origType":"MARKET","priceMatch":"NONE",'
    b'"selfTradePreventionMode":"NONE","goodTillDate":0,"updateTime":1763726400000}'
)
INSTRUMENTS: Final = (
    b'{"timezone":"UTC","serverTime":1763726400000,"rateLimits":[],"exchangeFilters":[],"assets":[],"symbols":[{'
    b'"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,"onboardDate":'
    b'1569398400000,"status":"TRADING","maintMarginPercent":"2.5000","requiredMarginPercent":"5.0000","baseAsset":'
    b'"BTC","quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":2,"quantityPrecision":3,"baseAssetPrecision":8,'
    b'"quotePrecision":8,"underlyingType":"COIN","underlyingSubType":["PoW"],"triggerProtect":"0.0500","filters":[{'
    b'"filterType":"PRICE_FILTER","minPrice":"556.80","maxPrice":"4529764","tickSize":"0.10"},{"filterType":'
    b'"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},{"filterType":"MARKET_LOT_SIZE","minQty":'
    b'"0.001","maxQty":"120","stepSize":"0.001"},{"filterType":"MIN_NOTIONAL","notional":"50"}],"orderTypes":['
    b'"LIMIT","MARKET"],"timeInForce":["GTC","IOC","FOK","GTX"]}]}'
)
CLOSED: Final = 60
"""One kline message in so many is of a closed candle."""
BATCH: Final = 600
TRADES_SENT: Final = 200 * BATCH
FIRST_MS: Final = 1_763_726_400_000


def kline(number: int) -> bytes:
    closed = b"true" if number % CLOSED == 0 else b"false"
    return (
        b'{"e":"kline","E":1763726400123,"s":"BTCUSDT","k":{"t":1763726340000,"T":1763726399999,"s":"BTCUSDT","i":"1m",'
        b'"f":6000000000,"L":6000000500,"o":"60000.10","c":"60012.40","h":"60020.00","l":"59990.30","v":"41.250","n":501,'
        b'"x":' + closed + b',"q":"2475000.12345","V":"20.125","Q":"1207500.54321","B":"0"}}'
    )


def agg_trade(number: int) -> bytes:
    return (
        b'{"e":"aggTrade","E":%d,"s":"BTCUSDT","a":%d,"p":"60000.%d0","q":"0.%03d","f":%d,"l":%d,"T":%d,"m":%s,"nq":"0.001"'
        b',"st":1}'
    ) % (
        *(
            FIRST_MS + 10 * number,
            number,
            number % 10,
            number % 999 + 1,
            number,
            number,
            FIRST_MS + 10 * number,
        ),
        b"true" if number % 2 else b"false",
    )


def public_trade(number: int) -> bytes:
    at_ms = FIRST_MS + 10 * number
    return (
        b'{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":%d,"data":[{"T":%d,"s":"BTCUSDT","S":"%s","v":"0.%03d",'
        b'"p":"60000.%d0","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-%012d","BT":false,"seq":%d}]}'
    ) % (at_ms, at_ms, b"Sell" if number % 2 else b"Buy", number % 999 + 1, number % 10, number, number)


@cache
def frames_of(make: Callable[[int], bytes], count: int) -> list[bytes]:
    """Frames of so many messages, `BATCH` a piece."""
    pieces = []
    for first in range(0, count, BATCH):
        made = [make(number) for number in range(first, first + BATCH)]
        pieces.append(b"".join(b"\x81\x7e" + len(one).to_bytes(2, "big") + one for one in made))
    return pieces


class _Face(asyncio.Protocol):
    """Reads whole requests, answers each at once; understands just what its clients send."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            body = INSTRUMENTS if b"exchangeinfo" in head.split(b"\r\n", 1)[0] else ORDER
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-MBX-USED-WEIGHT-1M: 1\r\n"
                b"X-MBX-ORDER-COUNT-10S: 1\r\nX-MBX-ORDER-COUNT-1M: 1\r\nContent-Length: %d\r\n\r\n"
                % len(body)
                + body
            )
            self._buffer = self._buffer[end + 4 + size :]


class _Flood(asyncio.Protocol):
    """Answers the WebSocket handshake by hand, then sends: the same klines until nobody reads them, each trade once."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()
        self._ready.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        if self._buffer.endswith(b"\r\n\r\n"):
            return
        self._buffer += data
        if self._buffer.endswith(b"\r\n\r\n"):
            path = self._buffer.split(b" ", 2)[1]
            made = next((make for name, make in TRADES.items() if path.endswith(name)), None)
            frames: Iterable[bytes] = (
                frames_of(made, TRADES_SENT) if made else repeat(frames_of(kline, BATCH)[0])
            )
            at = self._buffer.lower().find(b"sec-websocket-key:")
            key = self._buffer[at + 18 :].split(b"\r\n", 1)[0].strip().decode()
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
            )
            self._sending = asyncio.get_running_loop().create_task(self._send(frames))

    async def _send(self, frames: Iterable[bytes]) -> None:
        for some in frames:
            if self._transport.is_closing():
                return
            self._transport.write(some)
            await self._ready.wait()
            await asyncio.sleep(0)

    def pause_writing(self) -> None:
        self._ready.clear()

    def resume_writing(self) -> None:
        self._ready.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._ready.set()


TRADES: Final = {b"aggTrade": agg_trade, b"publicTrade": public_trade}


async def serve() -> None:
    loop = asyncio.get_running_loop()
    rest = await loop.create_server(_Face, "127.0.0.1", 0)
    flood = await loop.create_server(_Flood, "127.0.0.1", 0)
    print(rest.sockets[0].getsockname()[1], flood.sockets[0].getsockname()[1], flush=True)
    # Until whoever started this process closes the pipe, or ends.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
