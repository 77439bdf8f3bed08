"""The candle source interface, and the source that is simply columns held in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np

from core.candles import CandleColumns, aggregate
from core.errors import RunnerError
from core.market import Market, Series
from core.timeframe import Timeframe, from_ms, to_ms


class NoCandles(RunnerError):
    """The source holds no candles of what was asked for; the sentence says what it does hold."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Candles without a hole, from the first one's open to the last one's close."""

    start: datetime
    end: datetime


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a source holds of one series; at least one stretch, oldest first."""

    candles: int
    stretches: tuple[Stretch, ...]

    @property
    def start(self) -> datetime:
        return self.stretches[0].start

    @property
    def end(self) -> datetime:
        return self.stretches[-1].end


class FundingRate(msgspec.Struct, frozen=True, kw_only=True):
    """A funding rate settled at `at`: the fraction of a position's value longs pay shorts."""

    at: datetime
    rate: Decimal


class CandleSource(Protocol):
    """Closed candles of one venue. However a range is cut into questions, the answers are the same."""

    @property
    def origin(self) -> str:
        """Where the candles come from, as it is shown wherever they are."""
        ...

    @property
    def venue(self) -> str: ...

    def symbols(self) -> tuple[str, ...]: ...

    def market(self, symbol: str) -> Market:
        """The market whose candles stand for `symbol`; raises NoCandles."""
        ...

    def coverage(self, symbol: str, timeframe: Timeframe) -> Coverage | None: ...

    def candles(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        """Candles that open at or after `start` and close at or before `end`, holes left as they are.

        A timeframe the source lacks is built from whole smaller candles. Raises NoCandles when the source
        holds none of this symbol and timeframe at any time; a range without candles is empty.
        """
        ...

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        """Settled funding, oldest first; empty where the source has no series."""
        ...


@runtime_checkable
class MarketsSource(CandleSource, Protocol):
    """A source that holds a symbol's other market as well, as spot beside the perpetual."""

    def in_market(self, market: Market) -> CandleSource:
        """The same source with the candles of one kind of market alone; empty where it holds none."""
        ...


@runtime_checkable
class VenuesSource(CandleSource, Protocol):
    """A source that holds another venue's candles as well, as Bybit's beside Binance's."""

    def in_venue(self, venue: str) -> CandleSource | None:
        """The same source with that venue's candles alone; None where it holds none."""
        ...


def candles_of(source: CandleSource, series: Series, start: datetime, end: datetime) -> CandleColumns:
    """Candles of exactly this venue and market. Raises NoCandles where the source holds none, like `candles`."""
    if series.venue != source.venue:
        beside = source.in_venue(series.venue) if isinstance(source, VenuesSource) else None
        if beside is None or series.symbol not in beside.symbols():
            raise NoCandles(
                f"There are no candles of {series.symbol} of {series.venue} beside these, {source.origin}."
            )
        source = beside
    if source.market(series.symbol) is not series.market:
        if not isinstance(source, MarketsSource):
            raise NoCandles(f"There are no {series.market} candles of {series.symbol}.")
        source = source.in_market(series.market)
        if series.symbol not in source.symbols():
            raise NoCandles(f"There are no {series.market} candles of {series.symbol}, {source.origin}.")
    return source.candles(series.symbol, series.timeframe, start, end)


class ColumnSource:
    """A candle source over columns in memory."""

    def __init__(
        self,
        *,
        origin: str,
        venue: str,
        series: Mapping[Series, CandleColumns],
        funding: Mapping[str, Sequence[FundingRate]] | None = None,
    ) -> None:
        """A symbol's perpetual series stand for it where there are any, its spot series otherwise. Series of other
        venues are those of `in_venue`.
        """
        self.origin = origin
        self.venue = venue
        self._series = {key: columns for key, columns in series.items() if key.venue == venue}
        self._elsewhere = {key: columns for key, columns in series.items() if key.venue != venue}
        self._at: dict[str, ColumnSource] = {}
        self._beside: dict[Market, ColumnSource] = {}
        self._held: dict[str, dict[Timeframe, CandleColumns]] = {}
        self._markets: dict[str, Market] = {}
        for key, columns in sorted(self._series.items(), key=lambda item: item[0]):
            if self._markets.setdefault(key.symbol, key.market) is key.market and len(columns):
                self._held.setdefault(key.symbol, {})[key.timeframe] = columns
        self._funding = {symbol: tuple(rates) for symbol, rates in (funding or {}).items()}

    def in_market(self, market: Market) -> CandleSource:
        if market not in self._beside:
            series = {key: columns for key, columns in self._series.items() if key.market is market}
            self._beside[market] = ColumnSource(origin=self.origin, venue=self.venue, series=series)
        return self._beside[market]

    def in_venue(self, venue: str) -> CandleSource | None:
        if venue not in self._at:
            series = {key: columns for key, columns in self._elsewhere.items() if key.venue == venue}
            if not series:
                return None
            self._at[venue] = ColumnSource(origin=self.origin, venue=venue, series=series)
        return self._at[venue]

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(self._held))

    def market(self, symbol: str) -> Market:
        self._of(symbol)
        return self._markets[symbol]

    def coverage(self, symbol: str, timeframe: Timeframe) -> Coverage | None:
        columns = self._built(symbol, timeframe) if symbol in self._held else None
        return coverage_of(columns, timeframe) if columns is not None and len(columns) else None

    def candles(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        columns = self._built(symbol, timeframe)
        if columns is None:
            have = ", ".join(held for held in Timeframe if held in self._of(symbol))
            raise NoCandles(
                f"There are no {timeframe} candles of {symbol}, nor any to build them from ({have})."
            )
        return columns.between(to_ms(start), to_ms(end) - timeframe.ms + 1)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        return self._funding.get(symbol, ())

    def _of(self, symbol: str) -> dict[Timeframe, CandleColumns]:
        held = self._held.get(symbol)
        if held is None:
            raise NoCandles(
                f"There are no candles of {symbol}; there are {', '.join(self.symbols()) or 'none'}."
            )
        return held

    def _built(self, symbol: str, timeframe: Timeframe) -> CandleColumns | None:
        """The fullest series that can be had, built once and kept: at most one per symbol and timeframe."""
        held = self._of(symbol)
        if timeframe in held:
            return held[timeframe]
        smaller = [base for base in held if base.divides(timeframe)]
        if not smaller:
            return None
        built = [aggregate(held[base], base, timeframe) for base in smaller]
        fullest = max(built, key=len)
        held[timeframe] = fullest
        return fullest


def coverage_of(columns: CandleColumns, timeframe: Timeframe) -> Coverage:
    """What `columns`, at least one candle, cover."""
    opens = columns.open_time
    holes = np.flatnonzero(np.diff(opens) != timeframe.ms) + 1
    firsts = [0, *holes.tolist()]
    lasts = [*(holes - 1).tolist(), len(columns) - 1]
    stretches = tuple(
        Stretch(start=from_ms(int(opens[first])), end=from_ms(int(opens[last]) + timeframe.ms))
        for first, last in zip(firsts, lasts, strict=True)
    )
    return Coverage(candles=len(columns), stretches=stretches)
