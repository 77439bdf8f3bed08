"""Signed orders a second and their latency beside other clients on one server; klines a second with decoding.

At the simulator the whole gateway path takes its turns as well (`bench_gateway_path.py`). Every client signs each
order, sends it over a kept connection and decodes the answer. ccxt and aiohttp take part where they are installed.
Rounds of the clients alternate, so that neighbours on the machine slow all of them alike; compare the ratios.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import importlib.util
import os
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import httpx
import msgspec

from bin.commands.bench_gateway_klines import klines
from bin.commands.bench_gateway_pace import Clock, Pace
from bin.commands.bench_gateway_trades import trades
from bin.environment import ROOT
from bin.tether import tether, tethered
from core.errors import RunnerError
from core.position import OrderSide
from core.redact import Secret
from exchanges.binance.parse import order_report
from exchanges.binance.requests import place_order
from exchanges.binance.signing import signed_request
from exchanges.binance.wire import OrderRow, read
from exchanges.credentials import Credentials
from exchanges.http import HttpPool, PoolRules
from exchanges.limits import BINANCE, OrderLimit
from exchanges.venue_host import VenueHost

if TYPE_CHECKING:
    from bin.commands.bench_gateway_path import GatewayPath

WARM_UP: Final = 64
TIMEOUT_S: Final = 30.0
SYMBOL: Final = "BTCUSDT"
SIDES: Final = (OrderSide.BUY, OrderSide.SELL)
"""In turns: a position that only grows is one day more than its leverage carries."""
# The budgets are kept and counted, but not used up.
AMPLE: Final = msgspec.structs.replace(
    BINANCE,
    weight=10**9,
    orders=tuple(OrderLimit(count=10**9, window_s=one.window_s, header=one.header) for one in BINANCE.orders),
)

Order = Callable[[], Awaitable[None]]
Round = Callable[[int, Pace], Awaitable[Mapping[str, float]]]
"""So many orders at that pace; `p50Us`, `perSecond`, `cpuUs` and what else was seen of them."""


PACES: Final = {"inFlight1": Pace(in_flight=1), "inFlight32": Pace(in_flight=32)}
NOW_AND_THEN: Final = Pace(in_flight=1, pause_s=0.02)
"""As runs send them: what an order leaves to be done is done before the next."""
NOW_AND_THEN_ORDERS: Final = 48


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where orders go."""

    url: str
    key: str
    secret: str


def measure(
    *,
    orders: int,
    rounds: int,
    simulator: bool = False,
    seed: int = 1,
    database: str | None = None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """`bench gateway --json`. `orders`: of each client, round and pace; at a bare server or a simulator.

    `seed`: of the simulator's market and of the keys; `database`: an empty one for the whole path, else one is started;
    `say` is told how far it is.
    """
    with ExitStack() as stack:
        server, flood = stack.enter_context(bare_server())
        path = None
        if simulator:
            from bin.commands import bench_gateway_path

            say("Starting the simulator and a database …")
            server = stack.enter_context(simulated_venue(seed))
            path = stack.enter_context(bench_gateway_path.opened(server.url, AMPLE, seed, database))
        return asyncio.run(_measured(server, flood, path, orders, rounds, say))


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
def simulated_venue(seed: int) -> Iterator[Server]:
    """`simulator` in a process of its own, at the present time, with ample limits and money."""
    now = datetime.now(UTC).isoformat()
    options = f"--venue binance --port 0 --at {now} --balance 1e12 --seed {seed} --json".split()
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
        present = {"at": time.time_ns() // 1_000_000, "rate": 1.0}  # its start took a while
        httpx.put(f"{url}/simulator/clock", json=present, timeout=TIMEOUT_S).raise_for_status()
        yield Server(url=url, key=known["key"], secret=known["secret"])


@contextmanager
def _program(*module: str) -> Iterator[subprocess.Popen[str]]:
    command = tethered(*module)
    pipe, ours = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=ours, stdin=tether(), stdout=pipe, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


async def _measured(
    server: Server,
    flood: str,
    path: GatewayPath | None,
    orders: int,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    figures: dict[str, Any] = {"orders": orders, "rounds": rounds}
    paces = PACES if path is None else PACES | {"nowAndThen": NOW_AND_THEN}
    async with AsyncExitStack() as stack:
        clients: dict[str, Round] = {}
        if path is not None:
            clients["gateway"] = partial(path.round, booked=False)
            clients["booked"] = partial(path.round, booked=True)
        for name, client in (("ours", _ours), ("aiohttp", _aiohttp), ("httpx", _httpx), ("ccxt", _ccxt)):
            if name not in ("aiohttp", "ccxt") or importlib.util.find_spec(name) is not None:
                clients[name] = partial(_round, await stack.enter_async_context(client(server)))
        for called, pace in paces.items():
            count = min(orders, NOW_AND_THEN_ORDERS) if pace.pause_s else orders
            # What is sent now and then is booked before the next.
            these = {name: each for name, each in clients.items() if not (pace.pause_s and name == "gateway")}
            figures[called] = await _compared(these, count, rounds, pace, partial(_progress, say, called))
    say("Klines …")
    figures["klines"] = await klines(flood, rounds)
    say("Trades …")
    figures["trades"] = await trades(flood, rounds)
    return figures


def _progress(say: Callable[[str], None], pace: str, number: int, rounds: int) -> None:
    say(f"{pace}: round {number} of {rounds} …")


async def _compared(
    clients: dict[str, Round], orders: int, rounds: int, pace: Pace, begins: Callable[[int, int], None]
) -> dict[str, Any]:
    """The medians over the rounds, and latency and time an order of each client in those of the first."""
    measured: dict[str, list[Mapping[str, float]]] = {name: [] for name in clients}
    for client in clients.values():
        await client(min(orders, WARM_UP), pace)
    for number in range(1, rounds + 1):
        begins(number, rounds)
        for name, client in clients.items():
            measured[name].append(await client(orders, pace))
    medians = {
        name: {key: statistics.median(each[key] for each in found) for key in found[0]}
        for name, found in measured.items()
    }
    first = medians[next(iter(clients))]
    return {
        name: {key: round(value, 1) for key, value in found.items()}
        | {
            "p50Ratio": round(found["p50Us"] / first["p50Us"], 2),
            "perSecondRatio": round(first["perSecond"] / found["perSecond"], 2),
            "cpuRatio": round(found["cpuUs"] / first["cpuUs"], 2),
        }
        for name, found in medians.items()
    }


async def _round(order: Order, count: int, pace: Pace) -> Mapping[str, float]:
    """Median latency, orders a second while there is one on its way, this process's CPU time of one."""
    latencies: list[float] = []

    async def worker(share: int) -> None:
        for _ in range(share):
            began = time.perf_counter()
            await order()
            latencies.append(time.perf_counter() - began)
            if pace.pause_s:
                await asyncio.sleep(pace.pause_s)

    cpu, wall = time.process_time(), time.perf_counter()
    share = max(1, count // pace.in_flight)
    await asyncio.gather(*(worker(share) for _ in range(pace.in_flight)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done = len(latencies)
    return {
        "p50Us": statistics.median(latencies) * 1e6,
        "perSecond": done / (sum(latencies) if pace.pause_s else wall),
        "cpuUs": cpu / done * 1e6,
    }


@asynccontextmanager
async def _ours(server: Server) -> AsyncIterator[Order]:
    """From what is asked to what it became: request, signature, budgets, connection, report."""
    rules = PoolRules(max_connections=max(pace.in_flight for pace in PACES.values()))
    host = VenueHost(HttpPool(server.url, rules=rules), AMPLE, clock=Clock())
    send = host.bound(tenant="bench", account="bench")
    credentials = Credentials(key=Secret(server.key), secret=Secret(server.secret))
    numbers, sides = iter(range(1, 10**9)), cycle(SIDES)

    async def order() -> None:
        call = place_order(
            symbol=SYMBOL,
            side=next(sides),
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


def _signed(server: Server, name: str, side: OrderSide) -> tuple[str, dict[str, str]]:
    """A body and headers as a bare loop makes them."""
    now_ns = time.time_ns()
    query = urlencode(
        {
            "symbol": SYMBOL,
            "side": side.value.upper(),
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
    sides = cycle(SIDES)
    async with httpx.AsyncClient(base_url=server.url, timeout=TIMEOUT_S) as client:

        async def order() -> None:
            body, headers = _signed(server, "httpx", next(sides))
            answer = await client.post("/fapi/v1/order", content=body, headers=headers)
            answer.raise_for_status()
            msgspec.json.decode(answer.content)

        yield order


@asynccontextmanager
async def _aiohttp(server: Server) -> AsyncIterator[Order]:
    aiohttp = importlib.import_module("aiohttp")
    sides = cycle(SIDES)
    async with aiohttp.ClientSession(raise_for_status=True) as client:

        async def order() -> None:
            body, headers = _signed(server, "aiohttp", next(sides))
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
        sides = cycle(SIDES)

        async def order() -> None:
            await client.create_order("BTC/USDT:USDT", "market", next(sides).value, 0.01)

        yield order
    finally:
        await client.close()
