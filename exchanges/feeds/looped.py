"""A held source that starts over at a later time: the demo's way to go on when its candles end."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from core.candles import CandleColumns
from core.market import Market
from core.timeframe import Timeframe
from exchanges.feeds.base import (
    CandleSource,
    Coverage,
    FundingRate,
    MarketsSource,
    NoCandles,
    Stretch,
    VenuesSource,
)

MAX_ROUNDS = 400
"""How often the candles repeat; beyond that the source is simply over."""


class LoopedSource:
    """Round k shows the candles of the span again, `period` × k later. Whole days, so that every slot still aligns."""

    def __init__(self, source: CandleSource, span: tuple[datetime, datetime]) -> None:
        """Uses the last whole days of `span`, at least one (ValueError below)."""
        self._source = source
        self.origin = source.origin
        self.venue = source.venue
        self.period = timedelta(days=(span[1] - span[0]).days)
        if not self.period:
            raise ValueError("less than a day of candles cannot be looped")
        self.start = span[1] - self.period
        self._funding: dict[str, tuple[FundingRate, ...]] = {}

    def round_of(self, at: datetime) -> int:
        """Which repetition an instant lies in; 0 the first."""
        return max(0, (at - self.start) // self.period)

    def start_of(self, round_: int) -> datetime:
        return self.start + self.period * round_

    def symbols(self) -> tuple[str, ...]:
        return self._source.symbols()

    def market(self, symbol: str) -> Market:
        return self._source.market(symbol)

    def in_market(self, market: Market) -> LoopedSource:
        if not isinstance(self._source, MarketsSource):
            raise NoCandles(f"There are no {market} candles beside these, {self.origin}.")
        return LoopedSource(self._source.in_market(market), (self.start, self.start + self.period))

    def in_venue(self, venue: str) -> LoopedSource | None:
        beside = self._source.in_venue(venue) if isinstance(self._source, VenuesSource) else None
        return None if beside is None else LoopedSource(beside, (self.start, self.start + self.period))

    def coverage(self, symbol: str, timeframe: Timeframe) -> Coverage | None:
        if self._source.coverage(symbol, timeframe) is None:
            return None
        end = self.start_of(MAX_ROUNDS)
        return Coverage(
            candles=(end - self.start) // timeframe.delta,
            stretches=(Stretch(start=self.start, end=end),),
        )

    def candles(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        parts: list[CandleColumns] = []
        for round_ in range(self.round_of(start), min(self.round_of(end), MAX_ROUNDS - 1) + 1):
            later = self.period * round_
            first = max(start - later, self.start)
            last = min(end - later, self.start + self.period)
            if first < last:
                parts.append(_moved(self._source.candles(symbol, timeframe, first, last), later))
        if not parts:
            return self._source.candles(symbol, timeframe, self.start, self.start)
        return CandleColumns.joined(parts)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        """Of the first round and its repetitions, drawn up once."""
        if symbol not in self._funding:
            once = [
                rate
                for rate in self._source.funding(symbol)
                if self.start <= rate.at < self.start + self.period
            ]
            self._funding[symbol] = tuple(
                FundingRate(at=rate.at + self.period * round_, rate=rate.rate)
                for round_ in range(MAX_ROUNDS if once else 0)
                for rate in once
            )
        return self._funding[symbol]


def _moved(columns: CandleColumns, later: timedelta) -> CandleColumns:
    if not later:
        return columns
    data = np.array(columns.data)
    data[0] += later.total_seconds() * 1_000
    return CandleColumns(data)
