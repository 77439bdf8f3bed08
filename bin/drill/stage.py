"""Where drills at simulated venues play: the candles for demo and venues alike, the rows, and the pace of time."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any, Final

from actors.demo import Demo, demo_of
from actors.demo_source import demo_source
from actors.launch import open_demo
from bin.drill.node import settings_of
from bin.drill.stand_in import StandIn
from bin.drill.traders import Trader, make_traders
from bin.serving import vault_of
from core.connection import Venue
from core.errors import RunnerError
from core.market import Market, Series
from core.risk import RiskLimits
from core.timeframe import Timeframe
from exchanges.feeds.archive import store_columns
from exchanges.feeds.files import FolderCandles
from facade.settings_file import load_settings
from schema.notify import PgNotifier
from schema.pg import PgStore

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
CANDLES: Final = "candles"
"""The folder of the candles, below the drill's own."""


def make_tapes(data: Path | None, length: timedelta, folder: Path) -> tuple[Demo, list[Path]]:
    """The warm-up and the hours to trade, of recorded candles or of generated ones."""
    settings = load_settings(environ=settings_of("", folder, 10.0) | {"SYMBOL_WHITELIST": ",".join(SYMBOLS)})
    source = demo_source(data, folder, settings).candles
    symbols = [symbol for symbol in SYMBOLS if symbol in source.symbols()]
    start = max(_start(source, symbol) for symbol in symbols)
    # A demo plays whole days, the first quarter of them (six days at most) as its warm-up.
    end = start + timedelta(days=ceil(length / timedelta(days=1) * 4 / 3 + 0.25))
    candles = folder / CANDLES
    tapes = []
    for symbol in symbols:
        series = Series(venue="binance", market=Market.PERP, symbol=symbol, timeframe=Timeframe.M1)
        columns = source.candles(symbol, Timeframe.M1, start, end)
        tapes.append(store_columns(columns, series, candles).path)
    return demo_of(FolderCandles(candles)), tapes


def _start(source: Any, symbol: str) -> datetime:
    coverage = source.coverage(symbol, Timeframe.M1)
    if coverage is None:
        raise RunnerError(f"There are no one-minute candles of {symbol}.")
    return Timeframe.D1.floor(max(coverage.stretches, key=lambda s: s.end - s.start).start) + timedelta(
        days=1
    )


@contextmanager
def rows(dsn: str) -> Iterator[PgStore]:
    store = PgStore(dsn, default_limits=RiskLimits(), worker="drill")
    try:
        yield store
    finally:
        store.close()


def master_keys() -> str:
    """For RUNNER_MASTER_KEYS; nobody keeps them."""
    return f"drill:{base64.b64encode(os.urandom(32)).decode()}"


def make_rows(
    dsn: str,
    settings: Mapping[str, str],
    demo: Demo,
    venues: Mapping[Venue, StandIn],
    users: int,
    *,
    speed: float,
    timeframes: Sequence[Timeframe] = (Timeframe.M1, Timeframe.M5),
) -> list[Trader]:
    """A demo's database with users on these venues, whose time stands until somebody is there to tick."""
    vault = vault_of(load_settings(environ=dict(settings)))
    assert vault is not None
    with rows(dsn) as store:
        store.mark_demo(start=demo.stage.start, rate=speed)
        store.set_clock(ceiling=demo.stage.start)
        open_demo(store, demo, speed=speed)
        return make_traders(store, vault, demo, venues, users, timeframes)


def set_rate(dsn: str, rate: float) -> None:
    """Market seconds per second from now on; 0: time stands, and what is under way ends."""
    with rows(dsn) as store:
        store.set_clock(rate=rate, ceiling=store.clock().ceiling)
    notifier = PgNotifier(dsn)
    notifier.notify("clock", "")
    notifier.close()
