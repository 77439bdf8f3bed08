"""TA-Lib's indicators by TA-Lib's names, over (n,) float64 arrays, oldest first.

Results have the length of their input and NaN until they are defined. The unstable period is 0 for every
function: a value appears at the first candle that defines it, seeded as TA-Lib does (classic compatibility).
TA-Lib's wrapper is untyped; the names below give its functions a type and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import talib

FloatArray = npt.NDArray[np.float64]
_OneSeries = Callable[..., FloatArray]
_ThreeSeries = Callable[..., tuple[FloatArray, FloatArray, FloatArray]]

_talib: Final[Any] = talib
# TA-Lib keeps both settings per process; these are its defaults, pinned against a host that changes them.
_talib.set_unstable_period("ALL", 0)
_talib.set_compatibility(0)

RSI: Final[_OneSeries] = _talib.RSI
"""(close, timeperiod): Wilder's relative strength index, 0 to 100; 0 while nothing has changed."""

SMA: Final[_OneSeries] = _talib.SMA
"""(close, timeperiod): plain mean."""

EMA: Final[_OneSeries] = _talib.EMA
"""(close, timeperiod): weight 2/(timeperiod+1), seeded with the plain mean of the first `timeperiod`."""

ATR: Final[_OneSeries] = _talib.ATR
"""(high, low, close, timeperiod): Wilder's mean of the true range."""

MACD: Final[_ThreeSeries] = _talib.MACD
"""(close, fastperiod, slowperiod, signalperiod): line, signal, histogram; all from the signal's first."""

BBANDS: Final[_ThreeSeries] = _talib.BBANDS
"""(close, timeperiod, nbdevup, nbdevdn): upper, middle, lower; plain mean, population standard deviation."""

MAX: Final[_OneSeries] = _talib.MAX
MIN: Final[_OneSeries] = _talib.MIN
"""(values, timeperiod): extreme of the last `timeperiod` values, this one included."""
