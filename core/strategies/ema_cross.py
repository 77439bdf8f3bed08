"""Long at the close where the fast average crosses above the slow one, short where it crosses below."""

from __future__ import annotations

from typing import ClassVar, Final

from core.candles import CandleColumns
from core.indicators import EMA
from core.parameters import Parameters, ParameterSpec
from core.signal import Action, Signal
from core.strategies.template import (
    MIN_SMOOTHED_LOOKBACK,
    Mask,
    Template,
    crossed,
    crossings,
    order_problem,
    whole,
)
from core.strategy import ActionCodes

# (1 - 2/(slow+1)) ** (20 * slow) is below e^-36: the seed no longer shows in 15 digits of the price.
_LOOKBACK_PERIODS: Final = 20
_REASONS: Final = {Action.LONG: "Fast EMA crossed above slow", Action.SHORT: "Fast EMA crossed below slow"}


class EmaCross(Template):
    name: ClassVar[str] = "ema_cross"
    specs: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="fast_period", default=12, minimum=2, maximum=500, meaning="candles, fast line"),
        ParameterSpec(name="slow_period", default=26, minimum=3, maximum=500, meaning="candles, slow line"),
    )

    def problems(self, parameters: Parameters) -> list[str]:
        return order_problem(parameters, "fast_period", "slow_period")

    def lookback(self, parameters: Parameters) -> int:
        return max(MIN_SMOOTHED_LOOKBACK, _LOOKBACK_PERIODS * whole(parameters, "slow_period"))

    def min_candles(self, parameters: Parameters) -> int:
        return whole(parameters, "slow_period") + 1

    def judge(self, candles: CandleColumns, parameters: Parameters) -> Signal:
        close = candles.close
        fast = EMA(close, parameters["fast_period"])[-2:].tolist()
        slow = EMA(close, parameters["slow_period"])[-2:].tolist()
        action = crossed(fast[0] - slow[0], fast[1] - slow[1])
        indicators = {"ema_fast": fast[1], "ema_slow": slow[1]}
        return Signal(action=action, reason=_REASONS.get(action), indicators=indicators)

    def sweep(self, candles: CandleColumns, parameters: Parameters) -> tuple[ActionCodes, Mask]:
        close = candles.close
        return crossings(EMA(close, parameters["fast_period"]) - EMA(close, parameters["slow_period"]), close)
