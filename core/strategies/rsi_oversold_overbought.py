"""Long while the RSI is below its oversold level, short while it is above its overbought level, else hold."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from core.candles import CandleColumns
from core.indicators import EMA, RSI
from core.parameters import Parameters, ParameterSpec
from core.signal import Action, Signal
from core.strategies.template import (
    MIN_SMOOTHED_LOOKBACK,
    TOLERANCE,
    FloatArray,
    Mask,
    Template,
    order_problem,
    whole,
)
from core.strategy import ACTION_CODES, ActionCodes

# (1 - 1/period) ** (36 * period) is below e^-36: what lies before the window no longer shows in 15 digits.
_LOOKBACK_PERIODS: Final = 36
# Unless what lies before was this much livelier than the window itself.
_OLD_WEIGHT: Final = 1e-9


class RsiOversoldOverbought(Template):
    """Levels are strict: an RSI on the level holds."""

    name: ClassVar[str] = "rsi_oversold_overbought"
    specs: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="rsi_period", default=14, minimum=2, maximum=200, meaning="candles of the RSI"),
        ParameterSpec(
            name="rsi_oversold",
            default=30,
            minimum=0,
            maximum=100,
            whole=False,
            meaning="long below this RSI",
        ),
        ParameterSpec(
            name="rsi_overbought",
            default=70,
            minimum=0,
            maximum=100,
            whole=False,
            meaning="short above this RSI",
        ),
    )

    def problems(self, parameters: Parameters) -> list[str]:
        return order_problem(parameters, "rsi_oversold", "rsi_overbought")

    def lookback(self, parameters: Parameters) -> int:
        return max(MIN_SMOOTHED_LOOKBACK, _LOOKBACK_PERIODS * whole(parameters, "rsi_period"))

    def min_candles(self, parameters: Parameters) -> int:
        return whole(parameters, "rsi_period") + 1

    def judge(self, candles: CandleColumns, parameters: Parameters) -> Signal:
        rsi = float(RSI(candles.close, parameters["rsi_period"])[-1])
        indicators = {"rsi": rsi}
        if rsi < parameters["rsi_oversold"]:
            reason = f"RSI {rsi:.2f} below {parameters['rsi_oversold']:g}"
            return Signal(action=Action.LONG, reason=reason, indicators=indicators)
        if rsi > parameters["rsi_overbought"]:
            reason = f"RSI {rsi:.2f} above {parameters['rsi_overbought']:g}"
            return Signal(action=Action.SHORT, reason=reason, indicators=indicators)
        return Signal(action=Action.HOLD, indicators=indicators)

    def sweep(self, candles: CandleColumns, parameters: Parameters) -> tuple[ActionCodes, Mask]:
        low, high = parameters["rsi_oversold"], parameters["rsi_overbought"]
        rsi = RSI(candles.close, parameters["rsi_period"])
        codes = np.zeros(len(rsi), dtype=np.int8)
        codes[rsi < low] = ACTION_CODES[Action.LONG]
        codes[rsi > high] = ACTION_CODES[Action.SHORT]
        # Compared with both ends: no array of differences, which would cost more than all the rest.
        doubtful: Mask = (rsi > low - TOLERANCE) & (rsi < low + TOLERANCE)
        doubtful |= (rsi > high - TOLERANCE) & (rsi < high + TOLERANCE)
        self._doubt_quiet_windows(candles.close, parameters, doubtful)
        return codes, doubtful

    def _doubt_quiet_windows(self, close: FloatArray, parameters: Parameters, doubtful: Mask) -> None:
        """Marks slots where movement from before the window still outweighs the movement inside it.

        Wilder's mean of the absolute changes is an EMA with weight 1/period, hence of length 2·period − 1.
        """
        period, lookback = whole(parameters, "rsi_period"), self.lookback(parameters)
        if len(close) <= lookback + 2 * period:
            return
        changes = np.diff(close)
        moved = EMA(np.abs(changes, out=changes), 2 * period - 1)
        left_over = (1 - 1 / period) ** lookback / _OLD_WEIGHT
        known = moved[2 * period - 2 :]
        if known.max() * left_over >= known.min():
            doubtful[lookback + 1 :] |= moved[:-lookback] * left_over >= moved[lookback:]
