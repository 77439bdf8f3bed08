"""Trades of one WebSocket a second, decoded, put in order and summed by second. Part of `bench gateway`."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

from bin.commands.bench_gateway_klines import flooded
from core.errors import RunnerError
from core.market import Market
from exchanges.binance.trade_feed import BinanceTrades
from exchanges.bybit.trade_feed import BybitTrades
from exchanges.feeds.trade_streams import TradeDialect


async def trades(url: str, rounds: int) -> dict[str, Any]:
    """By venue: messages of one trade each a second, and the CPU time of one, µs. `url`: that of the klines."""
    base = url.rsplit("/", 1)[0]
    ways: dict[str, tuple[str, TradeDialect]] = {
        "binance": (f"{base}/aggTrade", BinanceTrades(base, Market.PERP)),
        "bybit": (f"{base}/publicTrade", BybitTrades(base, Market.PERP)),
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (address, dialect) in ways.items():
            measured[name].append(await _summed(address, dialect))
    return {
        name: {
            "perSecond": round(statistics.median(rate for rate, _ in found)),
            "cpuUs": round(statistics.median(cpu for _, cpu in found), 2),
        }
        for name, found in measured.items()
    }


async def _summed(url: str, dialect: TradeDialect) -> tuple[float, float]:
    series = dialect.series(lambda: time.time_ns() // 1_000_000)

    def heard(told: list[int], message: bytes) -> None:
        for trade in dialect.trades(message):
            series.told(trade)
            told[0] += 1

    told = [0]
    figures = await flooded(url, partial(heard, told))
    last = series.last
    if last is None or int(series.flow.columns(0, last.at_ms + 1_000).trades.sum()) != told[0]:
        raise RunnerError("Not every trade that was told is in the sums.")
    return figures
