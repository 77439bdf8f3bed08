"""Long at the close where the MACD line crosses above its signal line, short where it crosses below."""

from __future__ import annotations

from typing import ClassVar, Final

from core.candles import CandleColumns
from core.indicators import MACD, FloatArray
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

# As for the averages' cross, with the signal line's own memory on top.
_LOOKBACK_PERIODS: Final = 20
_REASONS: Final = {Action.LONG: "MACD crossed above signal", Action.SHORT: "MACD crossed below signal"}


class Macd(Template):
    name: ClassVar[str] = "macd"
    specs: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(name="fast_period", default=12, minimum=2, maximum=500, meaning="candles, fast line"),
        ParameterSpec(name="slow_period", default=26, minimum=3, maximum=500, meaning="candles, slow line"),
        ParameterSpec(
            name="signal_period", default=9, minimum=2, maximum=500, meaning="candles of the signal"
        ),
    )

    def problems(self, parameters: Parameters) -> list[str]:
        return order_problem(parameters, "fast_period", "slow_period")

    def lookback(self, parameters: Parameters) -> int:
        periods = whole(parameters, "slow_period") + whole(parameters, "signal_period")
        return max(MIN_SMOOTHED_LOOKBACK, _LOOKBACK_PERIODS * periods)

    def min_candles(self, parameters: Parameters) -> int:
        return whole(parameters, "slow_period") + whole(parameters, "signal_period")

    def judge(self, candles: CandleColumns, parameters: Parameters) -> Signal:
        line, signal, histogram = _macd(candles, parameters)
        before, now = histogram[-2:].tolist()
        action = crossed(before, now)
        indicators = {"macd": float(line[-1]), "macd_signal": float(signal[-1]), "macd_histogram": now}
        return Signal(action=action, reason=_REASONS.get(action), indicators=indicators)

    def sweep(self, candles: CandleColumns, parameters: Parameters) -> tuple[ActionCodes, Mask]:
        return crossings(_macd(candles, parameters)[2], candles.close)


def _macd(candles: CandleColumns, parameters: Parameters) -> tuple[FloatArray, FloatArray, FloatArray]:
    periods = (parameters[name] for name in ("fast_period", "slow_period", "signal_period"))
    return MACD(candles.close, *periods)
