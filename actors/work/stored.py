"""The candles of the database as a source to replay from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from msgspec.structs import replace

from core.candles import CandleColumns, aggregate
from core.errors import RunnerError
from core.market import Market, Series
from core.strategy import WantedWindow
from core.timeframe import Timeframe
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.generator import GeneratedMarket
from schema.pg_candles import PgCandles

MAX_CANDLES: Final = 1_200_000
"""Of all series of one replay: two years of minutes."""
_ALWAYS: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))


class StoredRange:
    """What of the stored candles a replay looks at. `start`, `end` None: all there is. `venue`: the strategies' own."""

    def __init__(
        self, market: PgCandles, venue: str, *, start: datetime | None, end: datetime | None
    ) -> None:
        self._market = market
        self._venue = venue
        self._start = start
        self._end = end
        self._left = MAX_CANDLES

    def source(self, wanted: Iterable[WantedWindow]) -> ColumnSource:
        """Of each window's series, with its lookback before the start, and what is finer, as far as that fits.

        Raises RunnerError where nothing is stored, or more than fits.
        """
        found: dict[Series, CandleColumns] = {}
        for window in wanted:
            asked = window.series
            timeframe = asked.timeframe
            lead = timeframe.delta * (window.lookback + 1)
            # From the asked-for timeframe down: it is never left out for the sake of a finer one.
            for each in reversed([base for base in Timeframe if base.divides(timeframe)]):
                series = replace(asked, timeframe=each)
                if series not in found:
                    self._load(series, lead, found, needed=each is timeframe)
            _fill_from_finer(asked, found)
            if not any(_same_market(series, asked) for series in found):
                raise RunnerError(self._missing(asked))
        return ColumnSource(origin=_origin(self._venue), venue=self._venue, series=found)

    def _missing(self, series: Series) -> str:
        is_spot = series.market is Market.SPOT
        named = {"venue": series.venue} if series.venue != self._venue else {}
        named |= {"market": series.market.value} if is_spot else {}
        with_these = " and ".join(f'"{name}": "{value}"' for name, value in named.items())
        return (
            f"There are no {'spot candles' if is_spot else 'candles'} of {series.symbol} stored for "
            f"{series.timeframe} at {series.venue}; POST /api/market-data/backfill downloads them"
            f"{with_these and f' with {with_these}'}."
        )

    def _load(
        self, series: Series, lead: timedelta, found: dict[Series, CandleColumns], *, needed: bool
    ) -> None:
        start = _ALWAYS[0] if self._start is None else self._start - lead
        ends = self._market.ends(series, start, self._end or _ALWAYS[1])
        if ends.first is None or ends.last is None:
            return
        until = ends.last + series.timeframe.delta
        most = (until - ends.first) // series.timeframe.delta
        if most > self._left:
            if needed:
                raise RunnerError(
                    f"{ends.first:%Y-%m-%d} to {until:%Y-%m-%d} may hold {most:,} {series.timeframe} candles of "
                    f"{series.symbol}; a replay takes {self._left:,} more at most."
                )
            return
        columns = self._market.columns(series, ends.first, until)
        self._left -= len(columns)
        found[series] = columns


def _fill_from_finer(own: Series, found: dict[Series, CandleColumns]) -> None:
    """Of a timeframe that is stored for a while only, what can be built of smaller candles fills the rest."""
    if own not in found:
        return
    for series in list(found):
        if _same_market(series, own) and series != own and series.timeframe.divides(own.timeframe):
            found[own] = _joined(found[own], aggregate(found[series], series.timeframe, own.timeframe))


def _same_market(one: Series, other: Series) -> bool:
    return replace(one, timeframe=other.timeframe) == other


def _joined(first: CandleColumns, other: CandleColumns) -> CandleColumns:
    """Both in order; of a candle that both have, that of `first`."""
    missing = ~np.isin(other.open_time, first.open_time)
    data = np.hstack([first.data, other.data[:, missing]])
    return CandleColumns(np.ascontiguousarray(data[:, np.argsort(data[0])]))


def _origin(venue: str) -> str:
    """Generated candles are never mistaken for recorded ones, wherever they have been since."""
    return "generated candles, stored" if venue == GeneratedMarket.VENUE else f"stored candles of {venue}"
