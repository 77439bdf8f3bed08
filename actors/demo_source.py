"""Which candles a demo plays: a folder's, the venue's own, or a seeded market that says it is one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from core.candles import CandleColumns
from core.config import Settings
from core.errors import RunnerError
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.archive import store_columns
from exchanges.feeds.base import CandleSource, ColumnSource
from exchanges.feeds.binance_public import BASE_URL, BinancePublic
from exchanges.feeds.files import FolderCandles
from exchanges.feeds.generator import GeneratedMarket
from exchanges.feeds.public_rest import FeedError

REACH_TIMEOUT_S = 3.0
DOWNLOAD_TIMEOUT_S = 45.0
DOWNLOAD_DAYS = 10
SEED = 7
GENERATED_START = datetime(2026, 1, 5, tzinfo=UTC)
GENERATED_DAYS = 45
GENERATED = "generated"


class DemoSource(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` and `key` name the candles: demos on different ones get databases of their own."""

    kind: str
    key: str
    candles: CandleSource


def demo_source(data: Path | None, folder: Path, settings: Settings) -> DemoSource:
    """Recorded candles from `data`, else the venue's, else generated ones. Raises RunnerError sentences.

    What has been downloaded is kept below `folder` and used again: a demo resumes on the candles it began with.
    """
    if data is not None:
        return DemoSource(kind="recorded", key=str(data.resolve()), candles=FolderCandles(data))
    kept = folder / "demo" / "binance-candles"
    if kept.is_dir():
        return _downloaded(kept)
    if any((folder / "demo").glob(f"{GENERATED}-*")):
        return _generated(settings)  # this demo began without the venue and goes on without it
    try:
        asyncio.run(_download(kept, settings))
    except (FeedError, TimeoutError):
        return _generated(settings)
    return _downloaded(kept)


def _downloaded(kept: Path) -> DemoSource:
    return DemoSource(kind="binance", key="binance", candles=FolderCandles(kept))


class _Drawn(ColumnSource):
    """A generated market's perpetuals, held; its spot, and other venues', are drawn when somebody asks, as few do."""

    def __init__(self, market: GeneratedMarket, series: Mapping[Series, CandleColumns]) -> None:
        super().__init__(origin=market.origin, venue=market.venue, series=series)
        self._market = market

    def in_market(self, market: Market) -> CandleSource:
        return self._market.in_market(market) if market is Market.SPOT else super().in_market(market)

    def in_venue(self, venue: str) -> CandleSource | None:
        return self._market.in_venue(venue)


def _generated(settings: Settings) -> DemoSource:
    """Made once and held: a market that is asked for every minute need not be drawn every minute."""
    market = GeneratedMarket(SEED, settings.symbol_whitelist)
    start, end = GENERATED_START, GENERATED_START + timedelta(days=GENERATED_DAYS)
    series = {
        Series(venue=market.venue, market=Market.PERP, symbol=symbol, timeframe=Timeframe.M1): market.candles(
            symbol, Timeframe.M1, start, end
        )
        for symbol in market.symbols()
    }
    held = _Drawn(market, series)
    return DemoSource(kind=GENERATED, key=f"seed {SEED} {','.join(market.symbols())}", candles=held)


async def _download(kept: Path, settings: Settings) -> None:
    """The last days of every listed symbol, into `kept` only when all are there."""
    venue = BinancePublic(settings.binance_base_url or BASE_URL)
    try:
        if not await venue.reachable(REACH_TIMEOUT_S):
            raise FeedError("Binance's public data cannot be reached.")
        async with asyncio.timeout(DOWNLOAD_TIMEOUT_S):
            end = Timeframe.D1.floor(await venue.server_time())
            start = end - timedelta(days=DOWNLOAD_DAYS)
            found = await venue.source(settings.symbol_whitelist, Timeframe.M1, start, end)
    finally:
        await venue.aclose()
    _keep(found, (start, end), kept)


def _keep(found: CandleSource, span: tuple[datetime, datetime], kept: Path) -> None:
    """Whole or not at all; where another process has been faster, its candles stay."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="fetching-") as fetched:
            folder = Path(fetched) / kept.name
            for symbol in found.symbols():
                series = Series(venue=found.venue, market=Market.PERP, symbol=symbol, timeframe=Timeframe.M1)
                store_columns(found.candles(symbol, Timeframe.M1, *span), series, folder)
            if not kept.is_dir():
                folder.rename(kept)
    except OSError as error:
        if not kept.is_dir():
            raise RunnerError(
                f"The data directory {kept.parent} cannot be written: {error.strerror}."
            ) from error
