"""Where a backtest's candles come from, in a form every process of a sweep can open for itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from actors.backtest import BacktestRequest
from actors.backtest_result import declared_by
from actors.publishers.signals_out import trades_of
from core.errors import RunnerError
from core.market import Market, Series
from core.strategy import strategy_parameters
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource, ColumnSource, NoCandles, candles_of
from exchanges.feeds.files import FolderCandles, file_source, named_series
from exchanges.feeds.generator import FIRST_DAY, GeneratedMarket
from exchanges.feeds.influx_trades import influx_candles
from facade.settings_file import load_settings

GENERATOR_SEED: Final = 1
GENERATED_UNTIL: Final = datetime(2026, 4, 1, tzinfo=UTC)
GENERATED_FOR: Final = timedelta(days=90)

# `BTCUSDT-5m-2025-03.csv`: the public archive's names tell the symbol, and nothing else that is needed here.
_ARCHIVE_NAME: Final = re.compile(r"(?P<symbol>[A-Z0-9]+)-\d+[mhd]-\d{4}-\d{2}.*")


class WrongSymbol(RunnerError):
    """A candle file's name says another symbol than the one asked for."""


class SourceChoice(msgspec.Struct, frozen=True, kw_only=True):
    """`files`, else `folder`, else `influx`, else the generator over `start` to `end`: there also what `beside` names.

    `influx`: trades in the InfluxDB that the settings name, `config` as the command line has it.
    """

    symbol: str
    timeframe: Timeframe
    beside: tuple[Series, ...] = ()
    files: tuple[Path, ...] = ()
    folder: Path | None = None
    influx: bool = False
    config: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(
        cls,
        request: BacktestRequest,
        *,
        files: tuple[Path, ...],
        folder: Path | None,
        influx: bool = False,
        config: str | None = None,
    ) -> SourceChoice:
        return SourceChoice(
            symbol=request.symbol,
            timeframe=request.timeframe,
            beside=_looked_at(request),
            files=files,
            folder=folder,
            influx=influx,
            config=config,
            start=request.start,
            end=request.end,
        )

    def open(self) -> CandleSource:
        """The candles, read and checked. Raises RunnerError for what is not there or not clean."""
        if self.files:
            return self._files()
        if self.folder is not None:
            return FolderCandles(self.folder)
        if self.influx:
            return self._influx()
        return self._generated()

    def _files(self) -> ColumnSource:
        for path in self.files:
            symbol = _symbol_in(path)
            if symbol not in (None, self.symbol):
                raise WrongSymbol(f"{path.name} holds candles of {symbol}, not of {self.symbol}.")
        named = [series for path in self.files if (series := named_series(path)) is not None]
        if not named:
            return file_source(self.files, symbol=self.symbol)
        return file_source(self.files, symbol=self.symbol, venue=named[0].venue, market=named[0].market)

    def _influx(self) -> ColumnSource:
        """With DATA_LOOKBACK_HOURS before the start, so that the first slot has its window."""
        settings = load_settings(config=self.config)
        where = trades_of(settings)
        if where is None:
            raise NoCandles("--influx needs INFLUX_URL and INFLUX_TRADES_DATABASE.")
        if self.start is None or self.end is None:
            raise NoCandles("--influx needs --from and --to.")
        back = timedelta(hours=settings.data_lookback_hours)
        return influx_candles(where, [self.symbol], self.start - back, self.end)

    def _generated(self) -> ColumnSource:
        end = self.end or (self.start + GENERATED_FOR if self.start else GENERATED_UNTIL)
        start = self.start or end - GENERATED_FOR
        market = GeneratedMarket(GENERATOR_SEED)
        own = Series(venue=market.venue, market=Market.PERP, symbol=self.symbol, timeframe=self.timeframe)
        series = {own: candles_of(market, own, start, end)}
        for wanted in self.beside:
            series[wanted] = candles_of(market, wanted, start, end)
        if not len(series[own]):
            span = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
            raise NoCandles(
                f"The generator makes no {self.timeframe} candle in {span}; it begins {FIRST_DAY:%Y-%m-%d}."
            )
        return ColumnSource(origin=market.origin, venue=market.venue, series=series)


def _looked_at(request: BacktestRequest) -> tuple[Series, ...]:
    """What the strategy looks at beside its own candles in the generated market, whatever its parameters."""
    strategy = declared_by(request)
    venue = GeneratedMarket.VENUE
    own = Series(venue=venue, market=Market.PERP, symbol=request.symbol, timeframe=request.timeframe)
    windows = strategy.windows(own, strategy_parameters(strategy, {}))
    return tuple(window.series for window in windows if window.series != own)


def _symbol_in(path: Path) -> str | None:
    series = named_series(path)
    if series is not None:
        return series.symbol
    archived = _ARCHIVE_NAME.fullmatch(path.name)
    return archived["symbol"] if archived else None
