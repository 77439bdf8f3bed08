"""A held source that starts over: every round shows the same candles, later, without a seam."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.market import Market, Series
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource, FundingRate
from exchanges.feeds.looped import MAX_ROUNDS, LoopedSource
from tests.live.candle_folder import START, generated_source

DAY = timedelta(days=1)
SOURCE = generated_source(2 * DAY + timedelta(hours=7), ("BTCUSDT",))
LOOPED = LoopedSource(SOURCE, (START, START + 2 * DAY))
LAST = LOOPED.start_of(MAX_ROUNDS)
INSTANTS = st.integers(0, 7 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
TIMEFRAMES = st.sampled_from(list(Timeframe))


@given(timeframe=TIMEFRAMES, start=INSTANTS, end=INSTANTS)
@settings(max_examples=150, deadline=None)
def test_any_range_over_any_rounds_is_without_gap_on_the_timeframes_grid(
    timeframe: Timeframe, start: datetime, end: datetime
) -> None:
    """I10: what straddled the seam would be a hole in every window after it."""
    found = LOOPED.candles("BTCUSDT", timeframe, start, end)
    first = timeframe.floor(start)
    first = first if first == start else first + timeframe.delta
    expected = np.arange(to_ms(first), to_ms(timeframe.floor(end)), timeframe.ms)
    assert list(found.open_time) == list(expected)


@given(timeframe=TIMEFRAMES, round_=st.integers(0, MAX_ROUNDS - 1))
@settings(max_examples=60, deadline=None)
def test_every_round_is_the_first_one_moved(timeframe: Timeframe, round_: int) -> None:
    once = LOOPED.candles("BTCUSDT", timeframe, LOOPED.start_of(0), LOOPED.start_of(1))
    again = LOOPED.candles("BTCUSDT", timeframe, LOOPED.start_of(round_), LOOPED.start_of(round_ + 1))
    assert np.array_equal(again.data[1:], once.data[1:], equal_nan=True)
    moved_ms = (LOOPED.period * round_).total_seconds() * 1_000
    assert np.array_equal(again.open_time - moved_ms, once.open_time)


@given(timeframe=TIMEFRAMES, cuts=st.lists(INSTANTS, min_size=3, max_size=3).map(sorted))
@settings(max_examples=60, deadline=None)
def test_however_a_range_is_cut_into_questions_the_answers_are_the_same(
    timeframe: Timeframe, cuts: list[datetime]
) -> None:
    start, middle, end = (timeframe.floor(cut) for cut in cuts)
    whole = LOOPED.candles("BTCUSDT", timeframe, start, end)
    parts = [LOOPED.candles("BTCUSDT", timeframe, *span) for span in ((start, middle), (middle, end))]
    assert np.array_equal(whole.data, np.concatenate([part.data for part in parts], axis=1), equal_nan=True)


@given(at=st.integers(0, int((LAST - START).total_seconds()) - 1).map(lambda s: START + timedelta(seconds=s)))
def test_an_instant_lies_in_exactly_one_round(at: datetime) -> None:
    round_ = LOOPED.round_of(at)
    assert LOOPED.start_of(round_) <= at < LOOPED.start_of(round_ + 1)


def test_before_the_first_candle_and_after_the_last_round_there_is_nothing() -> None:
    assert LOOPED.round_of(START - DAY) == 0
    assert len(LOOPED.candles("BTCUSDT", Timeframe.M1, START - DAY, START)) == 0
    assert len(LOOPED.candles("BTCUSDT", Timeframe.M1, LAST, LAST + DAY)) == 0
    coverage = LOOPED.coverage("BTCUSDT", Timeframe.H1)
    assert coverage is not None
    assert (coverage.start, coverage.end) == (START, LAST)
    assert LOOPED.coverage("ETHUSDT", Timeframe.H1) is None


def test_only_whole_days_repeat() -> None:
    odd = LoopedSource(SOURCE, (START, START + 2 * DAY + timedelta(hours=7)))
    assert (odd.start, odd.period) == (START + timedelta(hours=7), 2 * DAY)
    with pytest.raises(ValueError, match="less than a day"):
        LoopedSource(SOURCE, (START, START + DAY - timedelta(minutes=1)))


def test_funding_repeats_with_its_round() -> None:
    rates = tuple(
        FundingRate(at=START + timedelta(hours=8 * n), rate=Decimal(n)) for n in range(8)
    )  # the last two lie past the span
    key = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M1)
    series = {key: SOURCE.candles("BTCUSDT", Timeframe.M1, START, START + 2 * DAY)}
    looped = LoopedSource(
        ColumnSource(origin="o", venue="binance", series=series, funding={"BTCUSDT": rates}),
        (START, START + 2 * DAY),
    )
    found = looped.funding("BTCUSDT")
    assert len(found) == 6 * MAX_ROUNDS
    assert [rate.at for rate in found] == sorted(rate.at for rate in found)
    assert found[6] == FundingRate(at=START + 2 * DAY, rate=Decimal(0))
