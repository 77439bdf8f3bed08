"""A served page over a real store: generated candles, runs that have traded, users that are shut out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import msgspec
from starlette.applications import Starlette

from core.candles import CandleColumns, empty
from core.ids import UserId
from core.mark import Mark
from core.market import Series
from core.risk import RiskLimits
from core.run import Run
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.generator import GeneratedMarket
from facade.app import build_app
from facade.price_chart import MarketView
from facade.routes.pages import page_routes
from facade.server import listen, server
from schema.ops import SimulateTrade
from schema.pg import PgStore
from schema.records import SlotReport, TickStatus
from tests.facade.world import START, WORKER, SmallRunner, make_settings
from tests.schema.pg_world import entry, fill_of, make_run, tick_of

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class SmallMarket:
    """Answers from a generated market, an hour beyond market time too: a held source knows the future."""

    def __init__(self) -> None:
        self._source = GeneratedMarket(7, SYMBOLS)
        self.origin = self._source.origin

    def candles(self, series: Series, limit: int) -> CandleColumns:
        if series.symbol not in SYMBOLS:
            return empty()
        end = START + timedelta(hours=1)
        start = START - series.timeframe.delta * limit
        return self._source.candles(series.symbol, series.timeframe, start, end)

    def mark(self, venue: str, symbol: str) -> Mark | None:
        return None


class SparseMarket:
    """Holds no candles at all."""

    origin = "no candles"

    def candles(self, series: Series, limit: int) -> CandleColumns:
        return empty()

    def mark(self, venue: str, symbol: str) -> Mark | None:
        return None


def last_close(symbol: str) -> float:
    """Of the newest one-minute candle that has closed at START."""
    market = GeneratedMarket(7, SYMBOLS)
    held = market.candles(symbol, Timeframe.M1, START - timedelta(minutes=5), START)
    assert int(held.open_time[-1]) == to_ms(START) - 60_000
    return float(held.close[-1])


def seed(store: PgStore) -> dict[str, Run]:
    """Runs by user: alice long and open to trade, bob past his daily loss, carol out of trades."""
    runs = {
        user: make_run(store, user, symbol=symbol, name="page")
        for user, symbol in (("alice", "BTCUSDT"), ("bob", "ETHUSDT"), ("carol", "SOLUSDT"))
    }
    limits = RiskLimits(max_trades_per_day=1, cooldown_after_trade_s=Decimal(0))
    store.set_limits(UserId("carol"), limits)
    store.settle([SimulateTrade(user_id=UserId("bob"), delta=Decimal(-60))])
    store.settle([SimulateTrade(user_id=UserId("carol"), delta=Decimal(5))])
    claims = store.claim([run.id for run in runs.values()], slot=START, owner=WORKER, ttl_s=120)
    fences = {claim.run_id: claim.fence for claim in claims}
    alice = runs["alice"]
    order = entry(alice, fences[alice.id])
    store.settle([order])
    store.settle([fill_of(order.order, "60000")])
    ticks = []
    for user, reason in (("alice", None), ("bob", "paused"), ("carol", "max_trades")):
        run = runs[user]
        signal = "long" if reason is None else None
        status = TickStatus.OK if reason is None else TickStatus.BLOCKED
        tick = tick_of(run, fences[run.id], START, signal=signal)
        ticks.append(msgspec.structs.replace(tick, status=status, reason=reason))
    store.report(SlotReport(ticks=tuple(ticks)))
    return runs


def page_app(runner: SmallRunner, market: MarketView | None = None) -> Starlette:
    pages = page_routes(market or SmallMarket(), runner.reads)
    return build_app(runner, make_settings(), pages=pages)


@contextmanager
def served(app: Starlette, port: int = 0) -> Iterator[str]:
    """The address of `app`, served from a thread until left."""
    with listen("127.0.0.1", port) as listening:
        port = listening.getsockname()[1]
        running = server(app)
        thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listening])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            running.should_exit = True
            thread.join(10)
