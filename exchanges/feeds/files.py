"""A folder of recorded candles as a candle source, read by file name and loaded symbol by symbol.

Names: `binance-perp-BTCUSDT-5m-20250301-20250909[-ohlcv].csv[.gz]` for candles,
`binance-perp-BTCUSDT-funding-8h-20220101-20250909.csv[.gz]` for funding. Other files are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from core.candles import CandleColumns
from core.connection import Venue
from core.market import Market, Series
from core.timeframe import Timeframe, from_ms
from exchanges.feeds.base import CandleSource, ColumnSource, Coverage, FundingRate, NoCandles
from exchanges.feeds.candle_file import CandleFile, CandleFileError, read_candle_file
from exchanges.feeds.funding_file import read_funding_file

MAX_FILES: Final = 10_000
_CANDLES: Final = re.compile(
    rf"(?P<venue>[a-z]+)-(?P<market>perp|spot)-(?P<symbol>[A-Z0-9]+)-(?P<timeframe>{'|'.join(Timeframe)})"
    r"-\d{8}-\d{8}(?:-ohlcv)?\.csv(?:\.gz)?"
)
_FUNDING: Final = re.compile(
    r"(?P<venue>[a-z]+)-perp-(?P<symbol>[A-Z0-9]+)-funding-\d+h-\d{8}-\d{8}\.csv(?:\.gz)?"
)


class FolderCandles:
    """Recorded candles of one venue below a folder; files are read when their symbol is first asked for.

    Those of other venues are had by `in_venue`.
    """

    def __init__(self, folder: Path, venue: str = "binance") -> None:
        """Lists the folder, recursively. Raises NoCandles when no name in it says candles of `venue`."""
        self.venue = venue
        self.origin = f"recorded {venue.capitalize()} candles"
        self._candle_files: dict[str, dict[Series, list[Path]]] = {}
        self._funding_files: dict[str, list[Path]] = {}
        self._loaded: dict[tuple[str, Market], ColumnSource] = {}
        self._beside: dict[Market, _MarketOf] = {}
        self._folder = folder
        self._at: dict[str, FolderCandles | None] = {}
        if not folder.is_dir():
            raise NoCandles(f"There is no folder {folder}.")
        for number, path in enumerate(sorted(folder.rglob("*.csv*"))):
            if number >= MAX_FILES:
                raise NoCandles(f"{folder} holds more than {MAX_FILES:,} files.")
            self._list(path)
        if not self._candle_files:
            raise NoCandles(
                f"{folder} holds no file named like {venue}-perp-BTCUSDT-5m-20250301-20250909.csv.gz; "
                "bring other files in with `bin/runner data import`."
            )

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(self._candle_files))

    def market(self, symbol: str) -> Market:
        return self._of(symbol).market(symbol)

    def in_market(self, market: Market) -> CandleSource:
        return self._beside.setdefault(market, _MarketOf(self, market))

    def in_venue(self, venue: str) -> CandleSource | None:
        if venue not in self._at:
            # Another name than a venue's, as of generated candles, is asked for by nobody who looks into a folder.
            self._at[venue] = None if venue not in list(Venue) else _folder_of(self._folder, venue)
        return self._at[venue]

    def coverage(self, symbol: str, timeframe: Timeframe) -> Coverage | None:
        return self._of(symbol).coverage(symbol, timeframe) if symbol in self._candle_files else None

    def candles(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        return self._of(symbol).candles(symbol, timeframe, start, end)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self._of(symbol).funding(symbol) if symbol in self._candle_files else ()

    def _list(self, path: Path) -> None:
        series = named_series(path)
        if series is not None and series.venue == self.venue:
            self._candle_files.setdefault(series.symbol, {}).setdefault(series, []).append(path)
        funding = _FUNDING.fullmatch(path.name)
        if funding is not None and funding["venue"] == self.venue:
            self._funding_files.setdefault(funding["symbol"], []).append(path)

    def markets(self, symbol: str) -> frozenset[Market]:
        return frozenset(series.market for series in self._candle_files.get(symbol, ()))

    def loaded(self, symbol: str, market: Market) -> ColumnSource:
        """The files of one symbol and market, of which there are any."""
        key = symbol, market
        if key not in self._loaded:
            files = self._candle_files[symbol]
            series = {each: _merged(paths, each) for each, paths in files.items() if each.market is market}
            rates = _funding(self._funding_files.get(symbol, [])) if market is Market.PERP else ()
            self._loaded[key] = ColumnSource(
                origin=self.origin, venue=self.venue, series=series, funding={symbol: rates}
            )
        return self._loaded[key]

    def _chosen(self, symbol: str) -> Market:
        if symbol not in self._candle_files:
            raise NoCandles(f"There are no candles of {symbol}; there are {', '.join(self.symbols())}.")
        # Perpetual before spot: the spot files of such a symbol are only read for who asks for spot.
        return min(self.markets(symbol))

    def _of(self, symbol: str) -> ColumnSource:
        return self.loaded(symbol, self._chosen(symbol))


def _folder_of(folder: Path, venue: str) -> FolderCandles | None:
    try:
        return FolderCandles(folder, venue)
    except NoCandles:
        return None


class _MarketOf:
    """The folder's candles of one kind of market."""

    def __init__(self, folder: FolderCandles, market: Market) -> None:
        self.venue = folder.venue
        self.origin = folder.origin
        self._folder = folder
        self._market = market

    def symbols(self) -> tuple[str, ...]:
        folder = self._folder
        return tuple(symbol for symbol in folder.symbols() if self._market in folder.markets(symbol))

    def market(self, symbol: str) -> Market:
        return self._of(symbol).market(symbol)

    def coverage(self, symbol: str, timeframe: Timeframe) -> Coverage | None:
        return self._of(symbol).coverage(symbol, timeframe) if symbol in self.symbols() else None

    def candles(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        return self._of(symbol).candles(symbol, timeframe, start, end)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self._of(symbol).funding(symbol) if symbol in self.symbols() else ()

    def _of(self, symbol: str) -> ColumnSource:
        if symbol not in self.symbols():
            raise NoCandles(f"There are no {self._market} candles of {symbol}.")
        return self._folder.loaded(symbol, self._market)


def named_series(path: Path) -> Series | None:
    """The series a file name tells; None for names of another form."""
    named = _CANDLES.fullmatch(path.name)
    if named is None:
        return None
    return Series(
        venue=named["venue"],
        market=Market(named["market"]),
        symbol=named["symbol"],
        timeframe=Timeframe.parse(named["timeframe"]),
    )


def file_source(
    files: Sequence[Path], *, symbol: str, venue: str = "binance", market: Market = Market.PERP
) -> ColumnSource:
    """Candle files named on a command line, all of one symbol, as a source of `venue`.

    `venue`, `market`: of files whose names tell none.
    """
    found: dict[Series, list[CandleFile]] = {}
    for path in files:
        candle_file = read_candle_file(path)
        named = named_series(path)
        series = Series(
            venue=venue if named is None else named.venue,
            market=market if named is None else named.market,
            symbol=symbol,
            timeframe=candle_file.timeframe,
        )
        found.setdefault(series, []).append(candle_file)
    joined = {series: join(parts) for series, parts in found.items()}
    names = ", ".join(path.name for path in files)
    return ColumnSource(origin=f"recorded candles ({names})", venue=venue, series=joined)


def join(files: Sequence[CandleFile]) -> CandleColumns:
    """Several files of one series as one range, oldest first. Raises CandleFileError where two overlap."""
    ordered = sorted(files, key=lambda file: float(file.columns.open_time[0]))
    for earlier, later in pairwise(ordered):
        at = float(later.columns.open_time[0])
        if at <= earlier.columns.open_time[-1]:
            what = f"{earlier.path.name} already holds the candle of {from_ms(int(at)):%Y-%m-%d %H:%M} UTC"
            raise CandleFileError(later.path, what)
    return CandleColumns.joined([file.columns for file in ordered])


def _merged(paths: Sequence[Path], series: Series) -> CandleColumns:
    return join([read_candle_file(path, series.timeframe) for path in paths])


def _funding(paths: Sequence[Path]) -> tuple[FundingRate, ...]:
    """All rates of one symbol. Files may overlap where they agree, as a settlement is one number."""
    rates: dict[datetime, FundingRate] = {}
    for path in paths:
        for rate in read_funding_file(path):
            if rates.setdefault(rate.at, rate) != rate:
                raise CandleFileError(path, f"another file has another rate for {rate.at:%Y-%m-%d %H:%M} UTC")
    return tuple(rates[at] for at in sorted(rates))
