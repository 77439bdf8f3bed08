"""Signed orders a second and their latency beside other clients on one server; klines a second with decoding.

Every client signs each order, sends it over a kept connection and decodes the answer. ccxt and aiohttp take part
where they are installed. Rounds of the clients alternate, so that neighbours on the machine slow all of them alike;
compare the ratios.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import importlib.util
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import msgspec
from websockets.asyncio.client import connect

from bin.tether import tether, tethered
from core.errors import RunnerError
from core.position import OrderSide
from core.redact import Secret
from exchanges.binance.market_stream import market_news, still_open
from exchanges.binance.parse import order_report
from exchanges.binance.requests import place_order
from exchanges.binance.signing import signed_request
from exchanges.binance.wire import OrderRow, read
from exchanges.credentials import Credentials
from exchanges.http import HttpPool, PoolRules
from exchanges.limits import BINANCE, OrderLimit
from exchanges.venue_host import VenueHost
from exchanges.web_socket import opened

IN_FLIGHT: Final = (1, 32)
WARM_UP: Final = 64
STREAM_S: Final = 0.25
TIMEOUT_S: Final = 30.0
SYMBOL: Final = "BTCUSDT"
# The budgets are kept and counted, but not used up.
AMPLE: Final = msgspec.structs.replace(
    BINANCE,
    weight=10**9,
    orders=tuple(OrderLimit(count=10**9, window_s=one.window_s, header=one.header) for one in BINANCE.orders),
)

Order = Callable[[], Awaitable[None]]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where orders go."""

    url: str
    key: str
    secret: str


class Clock:
    """Process time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())


def measure(*, orders: int, rounds: int, simulator: bool = False) -> dict[str, Any]:
    """`bench gateway --json`. `orders`: of each client, round and concurrency; at a bare server or a simulator."""
    with bare_server() as (bare, flood):
        if not simulator:
            return asyncio.run(_measured(bare, flood, orders, rounds))
        with simulated_venue() as venue:
            return asyncio.run(_measured(venue, flood, orders, rounds))


@contextmanager
def bare_server() -> Iterator[tuple[Server, str]]:
    """`bench_gateway_server` in a process of its own, and the address of its klines."""
    with _program("bin.commands.bench_gateway_server") as process:
        assert process.stdout is not None
        ports = process.stdout.readline().split()
        if len(ports) != 2:
            raise RunnerError("The server to measure against did not start.")
        yield (
            Server(url=f"http://127.0.0.1:{ports[0]}", key="k" * 64, secret="s" * 64),
            f"ws://127.0.0.1:{ports[1]}/market/ws/btcusdt@kline_1m",
        )


@contextmanager
def simulated_venue() -> Iterator[Server]:
    """`simulator` in a process of its own, at the present time, with ample limits and money."""
    now = datetime.now(UTC).isoformat()
    options = ("--venue", "binance", "--port", "0", "--at", now, "--balance", "1e12", "--json")
    with _program("bin.commands", "simulator", *options) as process:
        assert process.stdout is not None
        told = ""
        while line := process.stdout.readline():
            told += line
            try:
                known = msgspec.json.decode(told, type=dict[str, str])
            except msgspec.DecodeError:
                continue
            break
        else:
            raise RunnerError("The simulator to measure against did not start.")
        url = known["BINANCE_BASE_URL"]
        ceilings = {"weight": 0, "orders_10s": 0, "orders_1m": 0}
        httpx.put(f"{url}/simulator/limits", json=ceilings, timeout=TIMEOUT_S).raise_for_status()
        yield Server(url=url, key=known["key"], secret=known["secret"])


@contextmanager
def _program(*module: str) -> Iterator[subprocess.Popen[str]]:
    command = tethered(*module)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=tether(), stdout=pipe, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


async def _measured(server: Server, flood: str, orders: int, rounds: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"orders": orders, "rounds": rounds}
    async with AsyncExitStack() as stack:
        clients: dict[str, Order] = {}
        for name, client in (("ours", _ours), ("aiohttp", _aiohttp), ("httpx", _httpx), ("ccxt", _ccxt)):
            if name not in ("aiohttp", "ccxt") or importlib.util.find_spec(name) is not None:
                clients[name] = await stack.enter_async_context(client(server))
        for in_flight in IN_FLIGHT:
            figures[f"inFlight{in_flight}"] = await _compared(clients, orders, rounds, in_flight)
    figures["klines"] = await _klines(flood, rounds)
    return figures


async def _compared(clients: dict[str, Order], orders: int, rounds: int, in_flight: int) -> dict[str, Any]:
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in clients}
    for order in clients.values():
        await _round(order, WARM_UP, in_flight)
    for _ in range(rounds):
        for name, order in clients.items():
            measured[name].append(await _round(order, orders, in_flight))
    medians = {
        name: [statistics.median(column) for column in zip(*found, strict=True)]
        for name, found in measured.items()
    }
    ours = medians["ours"]
    return {
        name: {
            "p50Us": round(p50_us, 1),
            "perSecond": round(per_s),
            "cpuUs": round(cpu_us, 1),
            "p50Ratio": round(p50_us / ours[0], 2),
            "perSecondRatio": round(ours[1] / per_s, 2),
        }
        for name, (p50_us, per_s, cpu_us) in medians.items()
    }


async def _round(order: Order, count: int, in_flight: int) -> tuple[float, float, float]:
    """Median latency in µs, orders a second, and this process's CPU time an order in µs."""
    latencies: list[float] = []

    async def worker(share: int) -> None:
        for _ in range(share):
            began = time.perf_counter()
            await order()
            latencies.append(time.perf_counter() - began)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker(max(1, count // in_flight)) for _ in range(in_flight)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done = len(latencies)
    return statistics.median(latencies) * 1e6, done / wall, cpu / done * 1e6


@asynccontextmanager
async def _ours(server: Server) -> AsyncIterator[Order]:
    """From what is asked to what it became: request, signature, budgets, connection, report."""
    host = VenueHost(
        HttpPool(server.url, rules=PoolRules(max_connections=max(IN_FLIGHT))), AMPLE, clock=Clock()
    )
    send = host.bound(tenant="bench", account="bench")
    credentials = Credentials(key=Secret(server.key), secret=Secret(server.secret))
    numbers = iter(range(1, 10**9))

    async def order() -> None:
        call = place_order(
            symbol=SYMBOL,
            side=OrderSide.BUY,
            quantity=Decimal("0.010"),
            client_order_id=f"ours-{time.time_ns()}-{next(numbers)}",
        )
        request = signed_request(call, credentials, timestamp_ms=time.time_ns() // 1_000_000)
        answer = await send(request, timeout_s=TIMEOUT_S)
        if answer.status != httpx.codes.OK:
            raise RunnerError(f"The venue refused an order with {answer.status}: {answer.body.decode()}")
        order_report(read(answer.body, OrderRow))

    try:
        yield order
    finally:
        await host.close()


def _signed(server: Server, name: str) -> tuple[str, dict[str, str]]:
    """A body and headers as a bare loop makes them."""
    now_ns = time.time_ns()
    query = urlencode(
        {
            "symbol": SYMBOL,
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.010",
            "newClientOrderId": f"{name}-{now_ns}",
            "newOrderRespType": "RESULT",
            "recvWindow": "5000",
            "timestamp": now_ns // 1_000_000,
        }
    )
    signature = hmac.digest(server.secret.encode(), query.encode(), "sha256").hex()
    headers = {"X-MBX-APIKEY": server.key, "Content-Type": "application/x-www-form-urlencoded"}
    return f"{query}&signature={signature}", headers


@asynccontextmanager
async def _httpx(server: Server) -> AsyncIterator[Order]:
    async with httpx.AsyncClient(base_url=server.url, timeout=TIMEOUT_S) as client:

        async def order() -> None:
            body, headers = _signed(server, "httpx")
            answer = await client.post("/fapi/v1/order", content=body, headers=headers)
            answer.raise_for_status()
            msgspec.json.decode(answer.content)

        yield order


@asynccontextmanager
async def _aiohttp(server: Server) -> AsyncIterator[Order]:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession(raise_for_status=True) as client:

        async def order() -> None:
            body, headers = _signed(server, "aiohttp")
            async with client.post(f"{server.url}/fapi/v1/order", data=body, headers=headers) as answer:
                msgspec.json.decode(await answer.read())

        yield order


@asynccontextmanager
async def _ccxt(server: Server) -> AsyncIterator[Order]:
    """`binanceusdm` as it is, told where the venue is; its own rate limiter is off, as ours has ample budgets."""
    client = importlib.import_module("ccxt.async_support").binanceusdm({"enableRateLimit": False})
    try:
        for name, url in client.urls["api"].items():
            if name.startswith("fapi"):
                client.urls["api"][name] = url.replace("https://fapi.binance.com", server.url)
        # Without keys it asks nothing of other hosts.
        await client.load_markets()
        client.apiKey, client.secret = server.key, server.secret

        async def order() -> None:
            await client.create_order("BTC/USDT:USDT", "market", "buy", 0.01)

        yield order
    finally:
        await client.close()


async def _klines(url: str, rounds: int) -> dict[str, Any]:
    """Messages a second and the CPU time of one, µs.

    `decoded`: each to a struct. `candles`: each to a checked candle. `closedOnly`: to a candle where it is closed,
    which the bytes tell of the others. `library`: decoded, with the library's own reading.
    """
    decode = msgspec.json.Decoder(_Message).decode

    def closed_only(message: bytes) -> None:
        if not still_open(message):
            market_news(message)

    ways: dict[str, Callable[[], Awaitable[tuple[float, float]]]] = {
        "decoded": lambda: _flooded(url, decode),
        "candles": lambda: _flooded(url, market_news),
        "closedOnly": lambda: _flooded(url, closed_only),
        "library": lambda: _by_library(url, decode),
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            measured[name].append(await way())
    return {
        name: {
            "perSecond": round(statistics.median(rate for rate, _ in found)),
            "cpuUs": round(statistics.median(cpu for _, cpu in found), 2),
        }
        for name, found in measured.items()
    }


class _Bar(msgspec.Struct, frozen=True):
    t: int
    T: int
    s: str
    i: str
    o: str
    c: str
    h: str
    l: str  # noqa: E741 - the venue's spelling
    v: str
    x: bool
    V: str


class _Message(msgspec.Struct, frozen=True):
    e: str
    E: int
    k: _Bar


async def _flooded(url: str, read_it: Callable[[bytes], object]) -> tuple[float, float]:
    seen = 0

    def heard(message: bytes) -> None:
        nonlocal seen
        seen += 1
        read_it(message)

    faults: list[Exception] = []
    socket = await opened(
        url,
        on_message=heard,
        faulted=faults.append,
        clock=Clock(),
        sleep=asyncio.sleep,
        messages_per_s=5,
        open_timeout_s=TIMEOUT_S,
        max_message_bytes=1 << 20,
    )
    before, cpu, wall = seen, time.process_time(), time.perf_counter()
    await asyncio.sleep(STREAM_S)
    count, cpu, wall = seen - before, time.process_time() - cpu, time.perf_counter() - wall
    socket.cut_off()
    if faults or not count:
        raise RunnerError(f"The stream told {count} messages: {faults}.")
    return count / wall, cpu / count * 1e6


async def _by_library(url: str, read_it: Callable[[bytes], object]) -> tuple[float, float]:
    async with connect(url, compression=None, ping_interval=None, proxy=None, close_timeout=0.1) as socket:
        count, cpu, wall = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() - wall < STREAM_S:
            for _ in range(100):
                read_it(await socket.recv(decode=False))
            count += 100
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        socket.transport.abort()
    return count / wall, cpu / count * 1e6
