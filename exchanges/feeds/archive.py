"""Puts candle files into a folder of recorded candles, under the names it is read by."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from core.candles import CandleColumns
from core.errors import RunnerError
from core.market import Market, Series
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from exchanges.feeds.candle_file import CandleFile, CandleFileError, content, file_name, read_candle_file
from exchanges.feeds.files import join, named_series

# `BTCUSDT-5m-2025-03.csv`: the public archive's own names, which do not tell the market.
_ARCHIVE_NAME: Final = re.compile(r"(?P<symbol>[A-Z0-9]+)-\d+[mhd]-\d{4}-\d{2}.*")


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is in the folder now. `added` is False when it was there before, byte for byte."""

    path: Path
    series: Series
    candles: int
    added: bool


def import_file(
    path: Path,
    folder: Path,
    *,
    symbol: str | None = None,
    market: Market | None = None,
    venue: str | None = None,
) -> Imported:
    """Copies a clean candle file into `folder` unchanged but for its name and packing.

    What is not given is taken from the file's name; the market is `perp` where that is silent too. Raises
    CandleFileError for a file that is not clean or names no symbol, and for candles the folder has already.
    """
    candles = read_candle_file(path)
    named = named_series(path)
    series = Series(
        venue=venue or (named.venue if named else "binance"),
        market=market or (named.market if named else Market.PERP),
        symbol=parse_symbol(symbol) if symbol else _symbol_of(path, named),
        timeframe=candles.timeframe,
    )
    return _store(candles, series, folder, lambda: content(path))


def store_columns(columns: CandleColumns, series: Series, folder: Path) -> Imported:
    """Writes fetched candles into `folder` as such a file; refuses what `import_file` refuses."""
    candles = CandleFile(path=folder / "fetched", timeframe=series.timeframe, columns=columns)
    return _store(candles, series, folder, lambda: _csv(columns, series.timeframe))


def _store(candles: CandleFile, series: Series, folder: Path, text: Callable[[], bytes]) -> Imported:
    name = file_name(venue=series.venue, market=series.market, symbol=series.symbol, candles=candles)
    target = folder / name
    packed = gzip.compress(text(), mtime=0)
    count = len(candles.columns)
    if target.exists() and target.read_bytes() == packed:
        return Imported(path=target, series=series, candles=count, added=False)
    there = [path for path in sorted(folder.glob("*.csv*")) if named_series(path) == series]
    join([*(read_candle_file(path, series.timeframe) for path in there), candles])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_bytes(packed)
        os.replace(partial, target)
    except OSError as error:
        raise RunnerError(f"{target} cannot be written: {error.strerror}.") from error
    return Imported(path=target, series=series, candles=count, added=True)


def _symbol_of(path: Path, named: Series | None) -> str:
    if named is not None:
        return named.symbol
    archived = _ARCHIVE_NAME.fullmatch(path.name)
    if archived is None:
        raise CandleFileError(path, "its name does not tell the symbol; name it with --symbol")
    return archived["symbol"]


def _csv(columns: CandleColumns, timeframe: Timeframe) -> bytes:
    """Shortest decimals that read back as the same floats; the taker column only where there is one."""
    has_taker = not bool(np.isnan(columns.taker_buy_volume).all())
    header = "open_time,open,high,low,close,volume,close_time" + (",taker_buy_volume" if has_taker else "")
    lines = [header]
    for candle in columns:
        cells = [repr(value) for value in candle.row()[1:6]]
        close_time = candle.open_time_ms + timeframe.ms - 1
        taker = [repr(candle.taker_buy_volume)] if has_taker else []
        lines.append(",".join([str(candle.open_time_ms), *cells, str(close_time), *taker]))
    return ("\n".join(lines) + "\n").encode()
