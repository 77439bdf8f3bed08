"""Long while the price is above its simple moving average, short while it is below, else hold."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from core.candles import CandleColumns
from core.indicators import SMA
from core.parameters import Parameters, ParameterSpec
from core.signal import Action, Signal
from core.strategies.template import Mask, Template, near, whole
from core.strategy import ACTION_CODES, ActionCodes


class SmaTrend(Template):
    name: ClassVar[str] = "sma_trend"
    specs: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="period", default=20, minimum=2, maximum=1000, meaning="candles of the average"),
    )

    def lookback(self, parameters: Parameters) -> int:
        return whole(parameters, "period")

    def min_candles(self, parameters: Parameters) -> int:
        return whole(parameters, "period")

    def judge(self, candles: CandleColumns, parameters: Parameters) -> Signal:
        close = candles.close
        price, sma = float(close[-1]), float(SMA(close, parameters["period"])[-1])
        indicators = {"sma": sma}
        if price > sma:
            return Signal(action=Action.LONG, reason="Price above SMA", indicators=indicators)
        if price < sma:
            return Signal(action=Action.SHORT, reason="Price below SMA", indicators=indicators)
        return Signal(action=Action.HOLD, indicators=indicators)

    def sweep(self, candles: CandleColumns, parameters: Parameters) -> tuple[ActionCodes, Mask]:
        close = candles.close
        sma = SMA(close, parameters["period"])
        codes = np.zeros(len(close), dtype=np.int8)
        codes[close > sma] = ACTION_CODES[Action.LONG]
        codes[close < sma] = ACTION_CODES[Action.SHORT]
        return codes, near(close, sma, close)
