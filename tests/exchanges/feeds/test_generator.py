"""The seeded market: the same however it is cut, plausible, and honest about what it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candles import CandleColumns, check
from core.timeframe import Timeframe, from_ms, to_ms
from exchanges.feeds.base import NoCandles, coverage_of
from exchanges.feeds.generator import FIRST_DAY, GeneratedMarket

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
MARKET = GeneratedMarket(7)
WEEKS = MARKET.candles("BTCUSDT", Timeframe.M1, START, START + 30 * DAY)


def test_it_says_what_it_is() -> None:
    assert MARKET.origin == "generated (seed 7)"
    assert MARKET.venue == "generator"
    assert MARKET.funding("BTCUSDT") == ()


@pytest.mark.parametrize("symbol", [*MARKET.symbols(), "ANYUSDT"])
@pytest.mark.parametrize("timeframe", [Timeframe.M1, Timeframe.M10, Timeframe.D1])
def test_i10_candles_could_have_been_traded_and_have_no_hole(symbol: str, timeframe: Timeframe) -> None:
    market = GeneratedMarket(3, (symbol,))
    candles = market.candles(symbol, timeframe, START, START + 5 * DAY)
    check(candles, timeframe)
    coverage = coverage_of(candles, timeframe)
    assert (coverage.start, coverage.end, len(coverage.stretches)) == (START, START + 5 * DAY, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30 * 1440), st.integers(1, 3 * 1440))
def test_any_range_is_the_same_however_it_is_cut(first: int, length: int) -> None:
    begin = START + timedelta(minutes=first)
    cut = GeneratedMarket(7).candles("BTCUSDT", Timeframe.M1, begin, begin + timedelta(minutes=length))
    wanted = MARKET.candles("BTCUSDT", Timeframe.M1, START, START + 34 * DAY)
    assert np.array_equal(cut.data, wanted.part(first, first + length).data)


def test_a_day_opens_where_the_day_before_closed() -> None:
    assert np.array_equal(WEEKS.open[1:], WEEKS.close[:-1])


def test_seeds_and_symbols_differ_and_repeat() -> None:
    def closes(seed: int, symbol: str) -> CandleColumns:
        return GeneratedMarket(seed).candles(symbol, Timeframe.M1, START, START + DAY)

    assert np.array_equal(closes(7, "BTCUSDT").data, closes(7, "BTCUSDT").data)
    moves = [
        np.diff(np.log(closes(seed, s).close)) for seed, s in ((7, "BTCUSDT"), (8, "BTCUSDT"), (7, "ETHUSDT"))
    ]
    assert max(abs(np.corrcoef(moves)[np.triu_indices(3, 1)])) < 0.2


def test_it_moves_like_a_market() -> None:
    moves = np.diff(np.log(WEEKS.close))
    assert 2e-4 < moves.std() < 3e-3
    assert ((moves / moves.std()) ** 4).mean() > 5, "tails are fat"
    size = np.abs(moves)
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.05, "volatility clusters"
    assert np.corrcoef(size, WEEKS.volume[1:])[0, 1] > 0.3, "volume follows movement"
    share = WEEKS.taker_buy_volume / WEEKS.volume
    assert np.corrcoef(share[1:], moves)[0, 1] > 0.3, "taker buying leans with the candle"


def test_prices_stay_near_the_usual_one_over_years() -> None:
    years = MARKET.candles("BTCUSDT", Timeframe.D1, datetime(2020, 1, 1, tzinfo=UTC), START)
    assert 5_000 < years.low.min() < years.high.max() < 500_000


def test_prices_have_the_digits_of_their_symbol() -> None:
    assert all(len(repr(price).split(".")[1]) == 1 for price in WEEKS.close[:2000].tolist())


def test_nothing_is_generated_before_the_first_day() -> None:
    early = MARKET.candles("BTCUSDT", Timeframe.M1, FIRST_DAY - DAY, FIRST_DAY + timedelta(minutes=2))
    assert [from_ms(candle.open_time_ms) for candle in early] == [FIRST_DAY, FIRST_DAY + timedelta(minutes=1)]
    assert to_ms(FIRST_DAY) == early.open_time[0]
    assert len(MARKET.candles("BTCUSDT", Timeframe.M1, FIRST_DAY - DAY, FIRST_DAY)) == 0


def test_what_it_does_not_make_is_refused() -> None:
    with pytest.raises(NoCandles, match="there are"):
        MARKET.candles("NOPEUSDT", Timeframe.M1, START, START + DAY)
    with pytest.raises(NoCandles, match="at most"):
        MARKET.candles("BTCUSDT", Timeframe.D1, FIRST_DAY, START)
