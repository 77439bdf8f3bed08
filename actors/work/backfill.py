"""The download of what is missing of a candle series, within the weight that all processes have at its venue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from actors.backtest import Progress
from core.clock import Clock
from core.connection import Environment, Venue
from core.market import Market, Series
from exchanges.budgets import SharedBudget
from exchanges.feeds.public_candles import PublicCandles
from exchanges.venues import ADDRESSES, SPOT_VENUES, public_candles, public_turn, rest_of
from schema.pg_candles import MAX_STRETCHES, PgCandles, StoredStretch

MAX_CANDLES: Final = 600_000
"""Of one download: a year of minutes, and some."""
AT_ONCE: Final = 6_000
"""Candles between two looks at whether the job is still wanted; what has come until then is stored."""
SHARE: Final = 0.5
"""Of the venue's weight: half is left to those who trade and to candles that are about to be traded on."""
MAX_WAIT_S: Final = 120.0


class BackfillJob(msgspec.Struct, frozen=True, kw_only=True):
    """Candles that open at or after `start` and close at or before `end`."""

    series: Series
    start: datetime
    end: datetime


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """`missing` candles were not there before, `added` came, `absent` the venue has not."""

    missing: int
    added: int
    absent: int


async def fill_holes(job: BackfillJob, market: PgCandles, rest: PublicCandles, progress: Progress) -> Filled:
    """Closes `rest`. Begun anew it asks only for what is still missing. Raises FeedError."""
    timeframe = job.series.timeframe
    start, end = timeframe.floor(job.start), timeframe.floor(job.end)
    wanted = list(holes(market.stretches(job.series, start, end), job.series, start, end))
    missing = sum((until - at) // timeframe.delta for at, until in wanted)
    done = added = 0
    progress(0, missing)
    try:
        for at, until in wanted:
            while at < until:
                reach = min(until, at + timeframe.delta * AT_ONCE)
                columns = await rest.candles(job.series.symbol, timeframe, at, reach)
                market.store(job.series, columns)
                added += len(columns)
                done += (reach - at) // timeframe.delta
                progress(done, missing)
                at = reach
    finally:
        await rest.aclose()
    return Filled(missing=missing, added=added, absent=missing - added)


def holes(
    stretches: Sequence[StoredStretch], series: Series, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Ranges of [start, end) without candles. Behind more stretches than are told, all counts as missing."""
    at = start
    for stretch in stretches[:MAX_STRETCHES]:
        if stretch.first > at:
            yield at, stretch.first
        at = stretch.last + series.timeframe.delta
    if at < end:
        yield at, end


def is_downloadable(series: Series) -> bool:
    """Spot only where its candles tell takers, which is what spot is looked at for."""
    return series.market is not Market.SPOT or series.venue in SPOT_VENUES


def venue_rest(series: Series, rest: str | None, shared: SharedBudget, clock: Clock) -> PublicCandles:
    """`rest`: the operator's own address for the venue, if any."""
    named = Venue(series.venue)
    there = rest or rest_of(ADDRESSES[named, Environment.LIVE], series.market)
    turn = public_turn(named, there, shared, clock=clock, share=SHARE, max_wait_s=MAX_WAIT_S)
    return public_candles(named, there, turn, series.market)
