"""Stored candles of the venues, the same for everybody; what is missing is downloaded on request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isnan
from typing import Final
from uuid import UUID

from actors.work.backfill import is_downloadable
from core.candles import Candle
from core.errors import Reason
from core.job import JobKind
from core.market import Series
from core.symbols import parse_symbol
from core.timeframe import Timeframe, from_ms
from facade.access import Access
from facade.bridge import MAX_STRETCHES, STORE_TIMEOUT_S, BackfillJob, StoredStretch
from facade.cursor import cursor_text, read_cursor
from facade.endpoint import Call, route
from facade.errors import ApiError, bad_field, refused
from facade.jobs import add_job, job_answer
from facade.moments import sane, sane_range
from facade.operation import OperationRoute
from facade.schemas.jobs import JobAnswer
from facade.schemas.market_data import (
    Backfill,
    CandlesAnswer,
    CandlesAsked,
    CandleShown,
    CoverageAnswer,
    CoverageAsked,
    HoleShown,
    StretchShown,
)

MAX_FILLED: Final = 600_000
MAX_COVERED: Final = 600_000
"""Candles that one look at coverage may have to count."""
_NO_ID: Final = UUID(int=0)
_EVER: Final = datetime(2200, 1, 1, tzinfo=UTC)


async def candles(call: Call, query: CandlesAsked) -> CandlesAnswer:
    """Stored candles of a series."""
    sane_range(query.start, query.end)
    series = _series(call, query)
    place, limit, delta = read_cursor(query.cursor), query.limit, series.timeframe.delta
    market = call.services.runner.market
    # A candle counts where it closes by the end, so it opens a candle before it.
    until = _EVER if query.end is None else query.end - delta + timedelta(microseconds=1)
    start = query.start if place is None else sane("cursor", place[0])
    if start is None:
        start = call.services.runner.market_now() - delta * (limit + 1)
    at = start
    found = await call.bridge.call(
        lambda: market.page(series, at, until, limit + 1), timeout_s=STORE_TIMEOUT_S
    )
    more = from_ms(found[limit].open_time_ms) if len(found) > limit else None
    return CandlesAnswer(
        venue=series.venue,
        symbol=series.symbol,
        timeframe=series.timeframe,
        candles=tuple(_candle(each) for each in found[:limit]),
        next_cursor=None if more is None else cursor_text(more, _NO_ID),
    )


async def coverage(call: Call, query: CoverageAsked) -> CoverageAnswer:
    """What is stored of a series, and where it has holes."""
    sane_range(query.start, query.end)
    series = _series(call, query)
    delta, market = series.timeframe.delta, call.services.runner.market
    end = query.end or call.services.runner.market_now()
    start = query.start or end - min(timedelta(days=400), delta * MAX_COVERED)
    if start >= end:
        raise bad_field("to", "must lie after from")
    if (end - start) // delta > MAX_COVERED:
        raise bad_field("from", f"is more than {MAX_COVERED:,} candles before to")
    found = await call.bridge.call(lambda: market.stretches(series, start, end), timeout_s=STORE_TIMEOUT_S)
    stretches = found[:MAX_STRETCHES]
    return CoverageAnswer(
        venue=series.venue,
        symbol=series.symbol,
        timeframe=series.timeframe,
        candles=sum(each.candles for each in stretches),
        stretches=tuple(
            StretchShown(start=each.first, end=each.last + delta, candles=each.candles) for each in stretches
        ),
        holes=tuple(_hole(one, other, delta) for one, other in pairwise(stretches)),
        cut=len(found) > MAX_STRETCHES,
    )


async def backfill(call: Call, body: Backfill) -> JobAnswer:
    """Download what is missing of a series, in the background."""
    sane_range(body.start, body.end)
    series = _series(call, body)
    if call.services.runner.demo_clock() is not None:
        raise ApiError(
            422,
            "A demo replays candles it has; none are downloaded into it.",
            code="DEMO_HAS_ITS_OWN_CANDLES",
        )
    if series.symbol not in call.settings.symbol_whitelist:
        raise refused(Reason.SYMBOL_NOT_ALLOWED, f"{series.symbol} is not traded here (SYMBOL_WHITELIST).")
    if not is_downloadable(series):
        raise bad_field("market", f"cannot be spot of {series.venue}: its candles do not tell takers")
    if (body.end - body.start) // series.timeframe.delta > MAX_FILLED:
        raise bad_field("from", f"is more than {MAX_FILLED:,} candles before to")
    job = BackfillJob(series=series, start=body.start, end=body.end)
    return job_answer(await add_job(call, JobKind.BACKFILL, job))


def _series(call: Call, asked: CandlesAsked | CoverageAsked | Backfill) -> Series:
    venue, venues = asked.venue, call.services.runner.venues
    if venue is not None and venue not in venues:
        raise bad_field("venue", f"must be one whose candles there are: {', '.join(venues)}")
    return Series(
        venue=venue or venues[0],
        market=asked.market,
        symbol=parse_symbol(asked.symbol),
        timeframe=Timeframe.parse(asked.timeframe),
    )


def _candle(candle: Candle) -> CandleShown:
    taker = candle.taker_buy_volume
    return CandleShown(
        open_time=from_ms(candle.open_time_ms),
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        taker_buy_volume=None if isnan(taker) else taker,
    )


def _hole(one: StoredStretch, other: StoredStretch, delta: timedelta) -> HoleShown:
    start = one.last + delta
    return HoleShown(start=start, end=other.first, missing=(other.first - start) // delta)


ROUTES: list[OperationRoute] = [
    route("GET", "/api/market-data/candles", candles, Access.USER),
    route("GET", "/api/market-data/coverage", coverage, Access.USER),
    route("POST", "/api/market-data/backfill", backfill, Access.USER, status=202),
]
