"""TA-Lib's indicators against their definitions: written out in plain Python, and as reference values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.candles import CandleColumns
from core.indicators import ATR, BBANDS, EMA, MACD, MAX, MIN, RSI, SMA
from exchanges.feeds.candle_file import read_candle_file
from tests.core.candle_cases import generated

Series = Sequence[float | None]
CANDLES = generated(1500)
CLOSE = CANDLES.close.tolist()


def rsi(close: list[float], period: int) -> Series:
    changes = [now - before for before, now in pairwise(close)]
    gain = sum(max(change, 0.0) for change in changes[:period]) / period
    loss = sum(max(-change, 0.0) for change in changes[:period]) / period
    values: list[float | None] = [None] * period
    for index in range(period - 1, len(changes)):
        if index >= period:
            gain = (gain * (period - 1) + max(changes[index], 0.0)) / period
            loss = (loss * (period - 1) + max(-changes[index], 0.0)) / period
        values.append(100 * gain / (gain + loss) if gain + loss else 0.0)
    return values


def ema(values: list[float], period: int, start: int = 0) -> list[float | None]:
    """Seeded with the plain mean of the first `period` values from `start` on."""
    mean = math.fsum(values[start : start + period]) / period
    result: list[float | None] = [None] * (start + period - 1) + [mean]
    for value in values[start + period :]:
        mean += (value - mean) * 2 / (period + 1)
        result.append(mean)
    return result


def macd(close: list[float], fast: int, slow: int, signal: int) -> tuple[Series, Series, Series]:
    """Both averages begin at the slow one's first value, as TA-Lib aligns them."""
    quick, calm = ema(close, fast, slow - fast), ema(close, slow)
    line = [a - b for a, b in zip(quick, calm, strict=True) if a is not None and b is not None]
    smooth = [None] * (slow - 1) + ema(line, signal)
    first = slow + signal - 2
    lines: list[float | None] = [None] * first + list(line[signal - 1 :])
    histogram = [None if a is None or b is None else a - b for a, b in zip(lines, smooth, strict=True)]
    return lines, smooth, histogram


def bands(close: list[float], period: int, deviations: float) -> tuple[Series, Series, Series]:
    result: list[list[float | None]] = [[None] * (period - 1) for _ in range(3)]
    for stop in range(period, len(close) + 1):
        window = close[stop - period : stop]
        mean = math.fsum(window) / period
        spread = deviations * math.sqrt(math.fsum((value - mean) ** 2 for value in window) / period)
        for values, value in zip(result, (mean + spread, mean, mean - spread), strict=True):
            values.append(value)
    return result[0], result[1], result[2]


def atr(candles: CandleColumns, period: int) -> Series:
    high, low, close = candles.high.tolist(), candles.low.tolist(), candles.close.tolist()
    ranges = [
        max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1]))
        for i in range(1, len(close))
    ]
    mean = math.fsum(ranges[:period]) / period
    result: list[float | None] = [None] * period + [mean]
    for value in ranges[period:]:
        mean = (mean * (period - 1) + value) / period
        result.append(mean)
    return result


def assert_same(actual: np.ndarray, expected: Series, relative: float, scale: np.ndarray) -> None:
    wanted = np.array([math.nan if value is None else value for value in expected])
    assert np.array_equal(np.isnan(actual), np.isnan(wanted)), "defined at other candles"
    defined = ~np.isnan(wanted)
    worst = float(np.max(np.abs(actual - wanted)[defined] / scale[defined]))
    assert worst <= relative


ONES = np.ones(len(CLOSE))
BANDS = bands(CLOSE, 20, 2.0)
MACDS = macd(CLOSE, 12, 26, 9)


@pytest.mark.parametrize(
    ("actual", "expected", "relative", "scale"),
    [
        (lambda: RSI(CANDLES.close, 14), rsi(CLOSE, 14), 1e-9, ONES),
        (lambda: EMA(CANDLES.close, 20), ema(CLOSE, 20), 1e-9, CANDLES.close),
        (lambda: SMA(CANDLES.close, 20), BANDS[1], 1e-9, CANDLES.close),
        (lambda: ATR(CANDLES.high, CANDLES.low, CANDLES.close, 14), atr(CANDLES, 14), 1e-9, CANDLES.close),
        (lambda: MACD(CANDLES.close, 12, 26, 9)[0], MACDS[0], 1e-9, CANDLES.close),
        (lambda: MACD(CANDLES.close, 12, 26, 9)[1], MACDS[1], 1e-9, CANDLES.close),
        (lambda: MACD(CANDLES.close, 12, 26, 9)[2], MACDS[2], 1e-9, CANDLES.close),
        (lambda: BBANDS(CANDLES.close, 20, 2.0, 2.0)[0], BANDS[0], 1e-7, CANDLES.close),
        (lambda: BBANDS(CANDLES.close, 20, 2.0, 2.0)[1], BANDS[1], 1e-9, CANDLES.close),
        (lambda: BBANDS(CANDLES.close, 20, 2.0, 2.0)[2], BANDS[2], 1e-7, CANDLES.close),
    ],
    ids=["rsi", "ema", "sma", "atr", "macd", "macd_signal", "macd_hist", "bb_upper", "bb_middle", "bb_lower"],
)
def test_an_indicator_equals_its_definition(
    actual: Callable[[], np.ndarray], expected: Series, relative: float, scale: np.ndarray
) -> None:
    assert_same(actual(), expected, relative, scale)


def test_extremes_include_the_last_candle() -> None:
    assert MAX(CANDLES.high, 20)[-1] == CANDLES.high[-20:].max()
    assert MIN(CANDLES.low, 20)[-1] == CANDLES.low[-20:].min()


def test_the_rsi_of_an_unchanged_series_is_zero() -> None:
    assert RSI(np.full(30, 100.0), 14)[14:].tolist() == [0.0] * 16


@pytest.mark.requires_recorded_data
def test_indicators_equal_the_reference_values(recorded_data: Path) -> None:
    """reference_indicators.json, at the tolerances it states."""
    reference = json.loads((recorded_data / "reference_indicators.json").read_text())
    assert reference["cases"]
    for case in reference["cases"]:
        candles = read_candle_file(recorded_data / case["file"]).columns.part(
            case["row_start"], case["row_end"]
        )
        close = candles.close
        line, signal, histogram = MACD(close, 12, 26, 9)
        upper, middle, lower = BBANDS(close, 20, 2.0, 2.0)
        computed = {
            "rsi_14": (RSI(close, 14), 1e-9, np.ones(len(close))),
            "sma_20": (SMA(close, 20), 1e-9, close),
            "ema_20": (EMA(close, 20), 1e-9, close),
            "atr_14": (ATR(candles.high, candles.low, close, 14), 1e-9, close),
            "macd": (line, 1e-9, close),
            "macd_signal": (signal, 1e-9, close),
            "macd_hist": (histogram, 1e-9, close),
            "bb_upper": (upper, 1e-7, close),
            "bb_middle": (middle, 1e-9, close),
            "bb_lower": (lower, 1e-7, close),
        }
        assert set(computed) == set(case["output"])
        for name, (actual, relative, scale) in computed.items():
            assert_same(actual, case["output"][name], relative, scale)
