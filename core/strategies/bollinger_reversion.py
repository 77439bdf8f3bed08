"""Long while the price closes below the lower Bollinger band, short while it closes above the upper one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from core.candles import CandleColumns
from core.indicators import BBANDS, FloatArray
from core.parameters import Parameters, ParameterSpec
from core.signal import Action, Signal
from core.strategies.template import Mask, Template, near, whole
from core.strategy import ACTION_CODES, ActionCodes


class BollingerReversion(Template):
    name: ClassVar[str] = "bollinger_reversion"
    specs: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="period", default=20, minimum=2, maximum=1000, meaning="candles of the bands"),
        ParameterSpec(
            name="deviations",
            default=2.0,
            minimum=0.1,
            maximum=10,
            whole=False,
            meaning="standard deviations from the mean to a band",
        ),
    )

    def lookback(self, parameters: Parameters) -> int:
        return whole(parameters, "period")

    def min_candles(self, parameters: Parameters) -> int:
        return whole(parameters, "period")

    def judge(self, candles: CandleColumns, parameters: Parameters) -> Signal:
        price = float(candles.close[-1])
        upper, middle, lower = (float(band[-1]) for band in _bands(candles, parameters))
        indicators = {"bb_upper": upper, "bb_middle": middle, "bb_lower": lower}
        if price < lower:
            return Signal(action=Action.LONG, reason="Price below lower band", indicators=indicators)
        if price > upper:
            return Signal(action=Action.SHORT, reason="Price above upper band", indicators=indicators)
        return Signal(action=Action.HOLD, indicators=indicators)

    def sweep(self, candles: CandleColumns, parameters: Parameters) -> tuple[ActionCodes, Mask]:
        close = candles.close
        upper, _, lower = _bands(candles, parameters)
        codes = np.zeros(len(close), dtype=np.int8)
        codes[close < lower] = ACTION_CODES[Action.LONG]
        codes[close > upper] = ACTION_CODES[Action.SHORT]
        return codes, near(close, lower, close) | near(close, upper, close)


def _bands(candles: CandleColumns, parameters: Parameters) -> tuple[FloatArray, FloatArray, FloatArray]:
    deviations = float(parameters["deviations"])
    return BBANDS(candles.close, parameters["period"], deviations, deviations)
