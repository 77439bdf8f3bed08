"""Klines of one WebSocket a second, by how much is made of them. Part of `bench gateway`."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from websockets.asyncio.client import connect

from bin.commands.bench_gateway_pace import Clock
from core.errors import RunnerError
from exchanges.binance.market_stream import market_news, still_open
from exchanges.web_socket import opened

STREAM_S: Final = 0.25
TIMEOUT_S: Final = 30.0


async def klines(url: str, rounds: int) -> dict[str, Any]:
    """Messages a second and the CPU time of one, µs.

    `decoded`: each to a struct. `candles`: each to a checked candle. `closedOnly`: to a candle where it is closed,
    which the bytes tell of the others. `library`: decoded, with the library's own reading.
    """
    decode = msgspec.json.Decoder(_Message).decode

    def closed_only(message: bytes) -> None:
        if not still_open(message):
            market_news(message)

    ways: dict[str, Callable[[], Awaitable[tuple[float, float]]]] = {
        "decoded": lambda: flooded(url, decode),
        "candles": lambda: flooded(url, market_news),
        "closedOnly": lambda: flooded(url, closed_only),
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


async def flooded(url: str, read_it: Callable[[bytes], object]) -> tuple[float, float]:
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
