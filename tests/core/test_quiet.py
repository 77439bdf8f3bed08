"""Candles that stay at quiet prices are passed over; the first that leaves them is found, wherever it lies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.candles import CandleColumns
from core.quiet import ANY_PRICE, Quiet
from tests.core.candle_cases import candle, columns_of, walks


def test_the_ends_are_not_quiet() -> None:
    candles = CandleColumns.of([candle(0), candle(1, low=99.0), candle(2, high=101.0)])
    assert Quiet(99.0, 101.0).left_at(candles, 0, 3) == 1
    assert Quiet(98.9, 101.0).left_at(candles, 0, 3) == 2
    assert Quiet(98.9, 101.1).left_at(candles, 0, 3) == 3


def test_no_candle_leaves_any_price() -> None:
    assert ANY_PRICE.left_at(columns_of([1e-300, 1e300]), 0, 2) == 2


@given(walks, st.floats(1, 120), st.floats(80, 500), st.integers(0, 400), st.integers(0, 900))
def test_law_the_first_candle_that_leaves_is_found(
    closes: list[float], above: float, below: float, start: int, length: int
) -> None:
    candles = columns_of(closes * 3)
    stop = min(len(candles), start + length)
    bars = [candles.candle(number) for number in range(min(start, stop), stop)]
    left = [at for at, bar in enumerate(bars, start=start) if not (bar.low > above and bar.high < below)]
    assert Quiet(above, below).left_at(candles, start, stop) == (left[0] if left else stop)
