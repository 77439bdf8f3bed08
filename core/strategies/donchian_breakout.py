"""Long at a close above the highest high before it, short below the lowest low; a shorter channel exits.

Channels end at the candle before: a close inside its own candle's range could never break out of it.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from core.candles import CandleColumns
from core.indicators import MAX, MIN, FloatArray
from core.parameters import Parameters, ParameterSpec
from core.signal import Action, Signal
from core.strategies.template import Mask, Template, whole
from core.strategy import ACTION_CODES, ActionCodes


class DonchianBreakout(Template):
    """Exits are told without looking at the position: the run that holds nothing to exit lets them pass."""

    name: ClassVar[str] = "donchian_breakout"
    specs: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(
            name="entry_period", default=20, minimum=2, maximum=1000, meaning="candles of the entry"
        ),
        ParameterSpec(name="exit_period", default=10, minimum=2, maximum=1000, meaning="candles of the exit"),
    )

    def problems(self, parameters: Parameters) -> list[str]:
        if parameters["exit_period"] <= parameters["entry_period"]:
            return []
        return ["exit_period must not be above entry_period."]

    def lookback(self, parameters: Parameters) -> int:
        return whole(parameters, "entry_period") + 1

    def min_candles(self, parameters: Parameters) -> int:
        return whole(parameters, "entry_period") + 1

    def judge(self, candles: CandleColumns, parameters: Parameters) -> Signal:
        price = float(candles.close[-1])
        entry_high, entry_low = _before_last(candles, whole(parameters, "entry_period"))
        exit_high, exit_low = _before_last(candles, whole(parameters, "exit_period"))
        indicators = {
            "entry_high": entry_high,
            "entry_low": entry_low,
            "exit_high": exit_high,
            "exit_low": exit_low,
        }
        if price > entry_high:
            return Signal(action=Action.LONG, reason="Price above entry channel", indicators=indicators)
        if price < entry_low:
            return Signal(action=Action.SHORT, reason="Price below entry channel", indicators=indicators)
        if price < exit_low:
            return Signal(action=Action.EXIT_LONG, reason="Price below exit channel", indicators=indicators)
        if price > exit_high:
            return Signal(action=Action.EXIT_SHORT, reason="Price above exit channel", indicators=indicators)
        return Signal(action=Action.HOLD, indicators=indicators)

    def sweep(self, candles: CandleColumns, parameters: Parameters) -> tuple[ActionCodes, Mask]:
        """Nothing is doubtful: highest and lowest are values of the candles, without rounding."""
        close = candles.close[1:]
        codes = np.zeros(len(candles), dtype=np.int8)
        for name, above, below in (
            ("exit_period", Action.EXIT_SHORT, Action.EXIT_LONG),
            ("entry_period", Action.LONG, Action.SHORT),
        ):
            highest, lowest = _channel(candles, whole(parameters, name))
            codes[1:][close > highest[:-1]] = ACTION_CODES[above]
            codes[1:][close < lowest[:-1]] = ACTION_CODES[below]
        return codes, np.zeros(len(candles), dtype=np.bool_)


def _channel(candles: CandleColumns, period: int) -> tuple[FloatArray, FloatArray]:
    return MAX(candles.high, period), MIN(candles.low, period)


def _before_last(candles: CandleColumns, period: int) -> tuple[float, float]:
    highest, lowest = _channel(candles.part(len(candles) - period - 1, len(candles) - 1), period)
    return float(highest[-1]), float(lowest[-1])
